"""A network of KAN layers with sum and multiplication nodes."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from typing import Self

import torch
from torch import Tensor, nn

from edgewise import bases
from edgewise.bases import Basis
from edgewise.errors import InputError, ShapeError
from edgewise.nn.layer import KANLayer, checked
from edgewise.nn.nodes import Nodes
from edgewise.nn.trace import Trace

Width = Sequence[int | Sequence[int]]


class Network(nn.Module):
    """Layers l = 0..L-1, each followed by its nodes: x_{l+1} = nodes_l(layer_l(x_l)).

    width: nodes a level, inputs first; an entry is a number of sum nodes or [n_sum, n_mult].
    mult_arity: factors of a product: one number for all, or a list a level, e.g. [[], [2, 3], []].
    basis: one Basis for all layers or a list of one a layer. base, start, noise: as in KANLayer.
    The dtype of the layers is the network's, whatever float dtype comes in. Raises InputError for
    widths that do not make sense.

    Reference: Liu et al., *KAN* (2024), eq. 2.5; *KAN 2.0* (2024) for products.
    """

    # ModuleLists; typed by what they hold, which torch's own annotations cannot say
    layers: Sequence[KANLayer]
    nodes: Sequence[Nodes]

    def __init__(
        self,
        width: Width,
        basis: str | Basis | Sequence[Basis] = "bspline",
        *,
        base: str = "silu",
        mult_arity: int | Sequence[Sequence[int]] = 2,
        start: str = "noise",
        noise: float = 0.1,
        affine_trainable: bool = False,
        input_names: Sequence[str] | None = None,
        output_names: Sequence[str] | None = None,
        generator: torch.Generator | None = None,
        dtype: torch.dtype | None = None,
        device: torch.device | str | None = None,
    ) -> None:
        super().__init__()
        levels = level_counts(width, mult_arity)
        if levels[0][1]:
            raise InputError("The inputs cannot be products; width[0] must be a plain number.")
        given = [basis] * (len(levels) - 1) if isinstance(basis, str | Basis) else list(basis)
        if len(given) != len(levels) - 1:
            raise InputError(f"{len(given)} bases came for {len(levels) - 1} layers.")
        layers, nodes = [], []
        in_features = levels[0][0]
        for (n_sum, arities), family in zip(levels[1:], given, strict=True):
            node = Nodes(n_sum, arities, trainable=affine_trainable, dtype=dtype, device=device)
            layers.append(
                KANLayer(
                    in_features,
                    node.in_features,
                    bases.make(family),
                    base=base,
                    start=start,
                    noise=noise,
                    generator=generator,
                    dtype=dtype,
                    device=device,
                )
            )
            nodes.append(node)
            in_features = node.out_features
        self.layers = nn.ModuleList(layers)  # type: ignore[assignment]
        self.nodes = nn.ModuleList(nodes)  # type: ignore[assignment]
        self.input_names = _names("input_names", input_names, levels[0][0])
        self.output_names = _names("output_names", output_names, in_features)

    @property
    def width(self) -> list[tuple[int, int]]:
        """(n_sum, n_mult) a level, inputs first."""
        return [
            (self.layers[0].in_features, 0),
            *((node.n_sum, len(node.arities)) for node in self.nodes),
        ]

    @property
    def mult_arity(self) -> list[tuple[int, ...]]:
        """The arities of the products a level, inputs first."""
        return [(), *(node.arities for node in self.nodes)]

    @property
    def dtype(self) -> torch.dtype:
        return self.layers[0].coef.dtype

    @property
    def device(self) -> torch.device:
        return self.layers[0].coef.device

    @property
    def n_parameters(self) -> int:
        """Trainable numbers: K + 2 a spline edge, 4 a symbolic one, the shapes of the functions of each
        input that splines read, and the affine maps."""
        count = sum(p.numel() for n in self.nodes for p in n.parameters() if p.requires_grad)
        for layer in self.layers:
            splines = int((layer.mask != 0).sum())
            count += splines * (layer.basis.size + 2) + 4 * int((layer.symbolic_code != 0).sum())
            read = int((layer.mask != 0).any(0).sum())
            count += read * sum(shape.shape[1] for shape in layer.shapes.values())
        return count

    def checked(self, x: Tensor) -> Tensor:
        """x in the network's dtype, or a ShapeError."""
        return checked(x, self.layers[0].in_features, self.dtype)

    def forward(self, x: Tensor) -> Tensor:
        x = self.checked(x)
        for layer, nodes in zip(self.layers, self.nodes, strict=True):
            x = nodes(layer(x))
        return x

    def trace(self, x: Tensor) -> Trace:
        """Run x (B, I) and keep every node's and edge's value."""
        x = self.checked(x)
        if x.ndim != 2:
            raise ShapeError(f"trace takes x of shape (B, I), not {tuple(x.shape)}.")
        inputs, edges, sums = [], [], []
        with torch.no_grad():
            for layer, nodes in zip(self.layers, self.nodes, strict=True):
                inputs.append(x)
                edges.append(layer.edges(x))
                sums.append(edges[-1].sum(-1))
                x = nodes(sums[-1])
        return Trace(tuple(inputs), tuple(edges), tuple(sums), x)

    def clone(self) -> Self:
        """An independent copy: nothing is shared but frozen values."""
        return copy.deepcopy(self)


def level_counts(
    width: Width, mult_arity: int | Sequence[Sequence[int]]
) -> list[tuple[int, tuple[int, ...]]]:
    """width as (n_sum, arities) a level."""
    if isinstance(width, int) or len(width) < 2:
        raise InputError(f"width is {width!r}; expected at least inputs and outputs, as [2, 5, 1].")
    levels = []
    for level, entry in enumerate(width):
        pair = tuple(entry) if isinstance(entry, list | tuple) else (entry, 0)
        counts = len(pair) == 2 and all(type(n) is int and n >= 0 for n in pair)
        if not counts or sum(pair) == 0:
            raise InputError(
                f"width[{level}] is {entry!r}; expected n_sum or [n_sum, n_mult], with a node."
            )
        if isinstance(mult_arity, int):
            arities = (mult_arity,) * pair[1]
        else:
            given = mult_arity[level] if level < len(mult_arity) else ()
            arities = tuple(given) if isinstance(given, list | tuple) else (given,)
        if len(arities) != pair[1]:
            raise InputError(
                f"mult_arity[{level}] is {list(arities)}, but width[{level}] is {entry!r}."
            )
        levels.append((pair[0], arities))
    return levels


def _names(argument: str, names: Sequence[str] | None, count: int) -> tuple[str, ...] | None:
    if names is None:
        return None
    if len(names) != count:
        raise InputError(f"{argument} has {len(names)} names; expected {count}.")
    return tuple(str(name) for name in names)
