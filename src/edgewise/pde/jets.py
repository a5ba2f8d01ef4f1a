"""A network's derivatives in its inputs, layer by layer, and theirs in its parameters.

With z the jet of a layer's inputs, the derivative m of a sum u_o is

    u_om = sum_i sum_k w_oik f_bmik,   f_bmik = sum_terms count B_k^(n)(z_i) z_ip1 .. z_ipn,

so that with S_brmo = dr/du_om the Jacobian of r in the weights is sum_m S_brmo f_bmik: outer products,
no autograd graph a sample. The residual branch is one more function in k.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from edgewise.bases import BSpline
from edgewise.errors import InputError, ShapeError
from edgewise.kernels.residual import slope
from edgewise.nn import KANLayer, Network, Nodes
from edgewise.nn.jacobian import Layout
from edgewise.pde.orders import Index, Orders


@dataclass(frozen=True)
class LayerJets:
    """What the way back needs of a layer: its inputs z (B, M, I), its sums (B, M, O), the features'
    derivatives of every order by themselves (B, I, K+1) each, and joined by the chain rule
    (B, M, I, K+1)."""

    z: Tensor
    sums: Tensor
    plain: list[Tensor]
    joined: Tensor


def jet_of(function: Callable[[Tensor], Tensor], x: Tensor, orders: Orders) -> Tensor:
    """The jet (B, M, n) of a torch function that takes each row of x (B, d) for itself to (B, n)."""
    with torch.enable_grad():
        x = x.detach().clone().requires_grad_()
        found: dict[Index, Tensor] = {(): function(x)}
        if found[()].ndim != 2 or len(found[()]) != len(x):
            raise ShapeError(
                f"A function of the points gave {tuple(found[()].shape)} for {len(x)} points; "
                f"expected ({len(x)}, n), as p[:, :1] gives for a single column."
            )
        for index in orders.indices[1:]:
            found[index] = _derivative(found[index[:-1]], x, index[-1])
    return torch.stack([found[index] for index in orders.indices], dim=1).detach()


def _derivative(values: Tensor, x: Tensor, direction: int) -> Tensor:
    """d values / dx_direction, row by row: (B, n)."""
    if not values.requires_grad:
        return torch.zeros_like(values)
    slopes = [
        torch.autograd.grad(
            column.sum(), x, create_graph=True, allow_unused=True, materialize_grads=True
        )[0][:, direction]
        for column in values.unbind(1)
    ]
    return torch.stack(slopes, dim=1)


def run(model: Network, z: Tensor, orders: Orders) -> tuple[Tensor, list[LayerJets]]:
    """The jet of the inputs (B, M, I) -> of the outputs (B, M, Y), and what ``pull_back`` needs.

    Differentiable in the parameters by autograd, too.
    """
    passes = []
    for layer, nodes in zip(model.layers, model.nodes, strict=True):
        plain = [_features(layer, z[:, 0], n) for n in range(orders.highest + 2)]
        joined = torch.stack([_joined(terms, plain, z) for terms in orders.chain], dim=1)
        sums = joined.flatten(2) @ layer.weights().flatten(1).T
        passes.append(LayerJets(z, sums, plain, joined))
        z = _through(nodes, sums, orders)
    return z, passes


def pull_back(
    model: Network, at: Layout, passes: list[LayerJets], S: Tensor, J: Tensor, orders: Orders
) -> None:
    """Fill J (B, R, P) with the derivatives in theta of r, for S (B, R, M, Y) = dr/d jet."""
    for l in reversed(range(len(passes))):
        layer, own, values = model.layers[l], at.layers[l], passes[l]
        S = _nodes_back(model.nodes[l], values.sums, S, orders)
        B, R, M, O = S.shape
        every = S.permute(0, 1, 3, 2).reshape(B, R * O, M) @ values.joined.flatten(2)
        every = every.view(B, R, O * layer.in_features, -1)
        o, i = own.splines
        scale = torch.ones_like(layer.weights())
        scale[..., :-1] *= layer.scale_spline[..., None]
        scale = (scale * layer.mask[..., None])[o, i]
        chosen = every if len(o) == layer.mask.numel() else every[:, :, o * layer.in_features + i]
        J[:, :, own.start : own.stop] = (chosen * scale).flatten(2)
        if l > 0:
            S = _to_inputs(layer, values, S, orders)


def check(model: Network, order: int) -> None:
    """Raise InputError for a network that has no derivatives of this order."""
    for l, layer in enumerate(model.layers):
        if bool((layer.symbolic_code != 0).any()):
            raise InputError(
                f"Layer {l} has symbolic edges; differential equations are solved by curves. Use "
                "unfix_symbolic, or a new model."
            )
        if isinstance(layer.basis, BSpline) and layer.basis.degree < order:
            raise InputError(
                f"The equation has derivatives of order {order}, and splines of degree "
                f"{layer.basis.degree} have none; make the model with k={order + 1} or more."
            )


def check_weights_only(model: Network) -> None:
    """Raise InputError for a network with more to train than the weights of its curves."""
    shaped = any(layer.shapes for layer in model.layers)
    if shaped or any(p.requires_grad for nodes in model.nodes for p in nodes.parameters()):
        raise InputError(
            "This network trains shapes of its functions or affine maps of its nodes, which second-"
            "order steps on equations do not; use solver=Adam(), or a family such as 'bspline'."
        )


def _features(layer: KANLayer, x: Tensor, order: int) -> Tensor:
    """[B_1^(n) .. B_K^(n), b^(n)] at x (B, I): (B, I, K+1)."""
    curves = layer.basis.features(x, layer.basis_tensors, order)
    return torch.cat([curves, slope(layer.base, x, order)[..., None]], dim=-1)


def _joined(terms: tuple, plain: list[Tensor], z: Tensor) -> Tensor:
    """sum_terms count f^(n) z_p1 .. z_pn: (B, I, K+1)."""
    total = torch.zeros_like(plain[0])
    for count, places in terms:
        factor = z[:, list(places)].prod(1) if places else torch.ones_like(z[:, 0])
        total = total + (count * factor)[..., None] * plain[len(places)]
    return total


def _through(nodes: Nodes, sums: Tensor, orders: Orders) -> Tensor:
    """The jet of a layer's sums -> of its nodes."""
    u = _affine(sums, nodes.sum_scale, nodes.sum_bias)
    if nodes.arities:
        products = []
        for block in nodes.blocks(u):
            product = block[..., :1]
            for n in range(1, block.shape[-1]):
                product = orders.multiply(product, block[..., n : n + 1])
            products.append(product)
        u = torch.cat([u[..., : nodes.n_sum], *products], dim=-1)
    return _affine(u, nodes.node_scale, nodes.node_bias)


def _affine(z: Tensor, scale: Tensor, bias: Tensor) -> Tensor:
    z = z * scale
    return torch.cat([z[:, :1] + bias, z[:, 1:]], dim=1)


def _nodes_back(nodes: Nodes, sums: Tensor, S: Tensor, orders: Orders) -> Tensor:
    """Sensitivities to the jets of nodes (B, R, M, nodes) -> to those of the sums (B, R, M, sums)."""
    S = S * nodes.node_scale
    u = _affine(sums, nodes.sum_scale, nodes.sum_bias)[:, None]
    parts = [S[..., : nodes.n_sum]]
    for m, block in enumerate(nodes.blocks(u)):
        own = S[..., nodes.n_sum + m, None]
        for j in range(block.shape[-1]):
            part = own
            for n in range(block.shape[-1]):
                if n != j:
                    part = orders.multiply_back(part, block[..., n : n + 1])
            parts.append(part)
    return torch.cat(parts, dim=-1) * nodes.sum_scale


def _to_inputs(layer: KANLayer, values: LayerJets, S: Tensor, orders: Orders) -> Tensor:
    """Sensitivities to the jets of a layer's sums (B, R, M, O) -> of its inputs (B, R, M, I)."""
    z = values.z[:, None]
    pulled = [torch.zeros_like(S[:, :, 0, :1] * z[:, :, 0]) for _ in orders.indices]
    weights = layer.weights()
    for m, terms in enumerate(orders.chain):
        G = (S[:, :, m] @ weights.flatten(1)).unflatten(-1, weights.shape[1:])
        # sum_o S_o phi_oi^(n), one an order
        curves = [(G * f[:, None]).sum(-1) for f in values.plain[: len(orders.indices[m]) + 2]]
        for count, places in terms:
            inner = [z[:, :, p] for p in places]
            pulled[0] = pulled[0] + count * _product(curves[len(places) + 1], inner)
            for n, place in enumerate(places):
                others = inner[:n] + inner[n + 1 :]
                pulled[place] = pulled[place] + count * _product(curves[len(places)], others)
    return torch.stack(pulled, dim=2)


def _product(value: Tensor, factors: list[Tensor]) -> Tensor:
    for factor in factors:
        value = value * factor
    return value
