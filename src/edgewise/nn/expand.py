"""Larger networks that compute the same, and networks with a little of a random curve on their edges."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, TypeVar

import torch
from torch import Tensor

from edgewise.errors import InputError
from edgewise.nn.layer import KANLayer
from edgewise.nn.network import Network, Width, level_counts
from edgewise.nn.nodes import Nodes

Kind = TypeVar("Kind", bound=Network)

EDGE_CHOICES = ("all", "live", "off")


@torch.no_grad()
def expand(
    model: Kind,
    width: Width,
    *,
    mult_arity: int | Sequence[Sequence[int]] = 2,
    noise: float = 0.1,
    generator: torch.Generator | None = None,
    x: Tensor | None = None,
) -> Kind:
    """A new network of the larger ``width`` that computes the same function.

    width: as of a Network; no hidden level loses nodes, inputs and outputs stay as many. Levels that
    are missing come behind the outputs: layers of identity edges w_b x with w_b = 1, whose curves are
    0. New nodes draw their curves from the start ``noise``, and nothing leaves them yet: the curves
    behind them are 0. So all that is new can be trained, and the function stays, but for the rounding
    of sums with more terms. x (B, I): new edges get ranges that follow these inputs.
    mult_arity: factors of the products that are new, or of all of them level by level.
    Raises InputError for a width that is not larger.
    """
    wanted = level_counts(width, mult_arity)
    if isinstance(mult_arity, int):  # the products that are there keep their own
        for level, own in enumerate(model.mult_arity[: len(wanted)]):
            n, arities = wanted[level]
            wanted[level] = n, (*own, *arities[len(own) :])
    _check(model, wanted)
    larger = model.clone()
    while len(larger.layers) < len(wanted) - 1:
        _append_identity(larger, generator)
    for level in range(1, len(wanted) - 1):
        nodes = larger.nodes[level - 1]
        arities = wanted[level][1][len(nodes.arities) :]
        _widen(larger, level, wanted[level][0] - nodes.n_sum, arities, noise, generator)
        if x is not None:  # before the next level's new nodes read the new ones here
            follow(larger, x)
    return larger


@torch.no_grad()
def perturb(
    model: Kind,
    magnitude: float = 0.1,
    edges: str = "all",
    *,
    generator: torch.Generator | None = None,
    x: Tensor | None = None,
) -> Kind:
    """A new network with random curves of coefficients N(0, magnitude^2) added to its edges.

    edges: "all", "live" (those that are on) or "off" (the others). Symbols stay, and the curve comes
    on top; edges that were off are switched on. With magnitude 0 the function stays, and every chosen
    edge can be trained as a curve. x (B, I): magnitude then is relative to the standard deviation of the
    sum that an edge flows into, and ranges of inputs that no curve reads yet follow these.
    """
    if edges not in EDGE_CHOICES:
        raise InputError(f"edges is {edges!r}; expected one of {EDGE_CHOICES}.")
    if not magnitude >= 0:
        raise InputError(f"magnitude is {magnitude!r}; expected a number >= 0.")
    changed = model.clone()
    units = [layer.coef.new_ones(layer.out_features) for layer in changed.layers]
    if x is not None:
        follow(changed, x)
        units = [sums.std(0, correction=0) for sums in changed.trace(x).sums]
    for layer, unit in zip(changed.layers, units, strict=True):
        live = layer.live
        chosen = {"all": torch.ones_like(live), "live": live, "off": ~live}[edges]
        new = chosen & (layer.mask == 0)
        layer.coef[new] = 0.0
        layer.scale_base[new] = 0.0
        layer.scale_spline[new] = 1.0
        layer.mask[new] = 1.0
        drawn = torch.randn(
            layer.coef.shape, generator=generator, dtype=layer.coef.dtype, device=layer.coef.device
        )
        layer.coef.add_(magnitude * (chosen * unit[:, None])[..., None] * drawn)
    return changed


@torch.no_grad()
def follow(model: Network, x: Tensor) -> None:
    """Let the ranges of inputs that only curves of value 0 read follow the values there, in place."""
    x = model.checked(x)
    for layer, nodes in zip(model.layers, model.nodes, strict=True):
        silent = (layer.coef.abs().sum(-1) * layer.scale_spline.abs() * layer.mask).sum(0) == 0
        adapted = layer.basis.adapt(x, layer.basis_tensors)
        for name, tensor in layer.basis_tensors.items():
            tensor[silent] = adapted[name][silent]
        x = nodes(layer(x))


def _check(model: Network, wanted: list[tuple[int, tuple[int, ...]]]) -> None:
    have = [(n, arities) for (n, _), arities in zip(model.width, model.mult_arity, strict=True)]
    if len(wanted) < len(have):
        raise InputError(
            f"width has {len(wanted)} levels, and the network {len(have)}; it can only grow."
        )
    deeper = len(wanted) > len(have)
    last: tuple[int, tuple[int, ...]] = (sum(model.width[-1]), ()) if deeper else have[-1]
    ends = wanted[0] == have[0] and wanted[-1] == last
    if not ends:
        raise InputError(
            f"width goes from {wanted[0]} to {wanted[-1]}; the network's {have[0][0]} inputs and its "
            f"outputs {last} must stay (number of sums, factors of products)."
        )
    for level, ((n, arities), (new_n, new_arities)) in enumerate(zip(have, wanted, strict=False)):
        if new_n < n or new_arities[: len(arities)] != arities:
            raise InputError(
                f"width[{level}] is {new_n} sums and products of {list(new_arities)} factors; the "
                f"network has {n} sums and {list(arities)} there already, and it can only grow."
            )


def _append_identity(model: Network, generator: torch.Generator | None) -> None:
    """A layer of identity edges behind the outputs."""
    last = model.layers[-1]
    O = model.nodes[-1].out_features
    layer = KANLayer(
        O, O, last.basis, base="identity", start=last.start, generator=generator, **_factory(last)
    )
    layer.coef.zero_()
    layer.scale_base.copy_(torch.eye(O))
    nodes = Nodes(O, trainable=model.nodes[-1].sum_scale.requires_grad, **_factory(last))
    model.layers.append(layer)  # type: ignore[attr-defined]
    model.nodes.append(nodes)  # type: ignore[attr-defined]


def _widen(
    model: Network,
    level: int,
    n_sum: int,
    arities: tuple[int, ...],
    noise: float,
    generator: torch.Generator | None,
) -> None:
    """More nodes on a hidden level: sums behind the sums, products behind the products."""
    if n_sum == 0 and not arities:
        return
    below, above, old = model.layers[level - 1], model.layers[level], model.nodes[level - 1]
    new = Nodes(
        old.n_sum + n_sum,
        (*old.arities, *arities),
        trainable=old.sum_scale.requires_grad,
        **_factory(below),
    )
    # where the old sums and the old nodes stand among the new
    sums = _places(old.n_sum, old.in_features, n_sum)
    nodes = _places(old.n_sum, old.out_features, n_sum)
    for name, rows in (
        ("sum_scale", sums), ("sum_bias", sums), ("node_scale", nodes), ("node_bias", nodes),
    ):  # fmt: skip
        getattr(new, name)[rows] = getattr(old, name)
    every = torch.arange(below.in_features)
    outputs = torch.arange(above.out_features)
    model.nodes[level - 1] = new  # type: ignore[index]
    lower = _enlarged(below, sums, every, new.in_features, below.in_features, noise, generator)
    upper = _enlarged(above, outputs, nodes, above.out_features, new.out_features, 0.0, generator)
    fresh = torch.ones(new.out_features, dtype=torch.bool)
    fresh[nodes] = False
    upper.coef[:, fresh] = 0.0
    upper.scale_base[:, fresh] = 0.0
    model.layers[level - 1], model.layers[level] = lower, upper  # type: ignore[index]


def _places(n_sum: int, count: int, added: int) -> Tensor:
    """The new places of ``count`` entries when ``added`` come behind the first n_sum."""
    index = torch.arange(count)
    return torch.where(index < n_sum, index, index + added)


def _enlarged(
    layer: KANLayer,
    rows: Tensor,
    columns: Tensor,
    O: int,
    I: int,
    noise: float,
    generator: torch.Generator | None,
) -> KANLayer:
    """A layer from I inputs to O sums that holds the given one at these rows and columns."""
    new = KANLayer(
        I, O, layer.basis, base=layer.base, start=layer.start, noise=noise, generator=generator,
        **_factory(layer),
    )  # fmt: skip
    new.primitives = layer.primitives
    place = torch.meshgrid(rows, columns, indexing="ij")
    names = ("coef", "scale_base", "scale_spline", "symbolic_affine", "mask", "symbolic_code")
    for name in names:
        getattr(new, name)[place] = getattr(layer, name)
        getattr(new, name).requires_grad_(getattr(layer, name).requires_grad)
    for name, tensor in layer.basis_tensors.items():
        new.basis_tensors[name][columns] = tensor
    return new


def _factory(layer: KANLayer) -> dict[str, Any]:
    return {"dtype": layer.coef.dtype, "device": layer.coef.device}
