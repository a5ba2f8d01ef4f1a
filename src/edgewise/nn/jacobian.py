"""The Jacobian of a network in its parameters, layer by layer from outer products.

With S_bo = dy_b/du_bo at a sum u_o of a layer and f_bi the features of its input i, the derivative
with respect to the weight of feature k on edge (o, i) is S_bo f_bik: no autograd graph a sample.
Symbolic edges c f(a x + b) + d give the columns c f' x, c f', f and 1, times S_bo. For the shapes of
an input's functions see ``nn.shapes``.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from edgewise.kernels.residual import RESIDUALS
from edgewise.nn.layer import EdgeFunction, KANLayer
from edgewise.nn.network import Network
from edgewise.nn.nodes import Nodes
from edgewise.nn.shapes import fill_shape_columns

Edges = tuple[Tensor, Tensor]

_NODE_PARAMETERS = ("sum_scale", "sum_bias", "node_scale", "node_bias")


@dataclass(frozen=True)
class LayerLayout:
    """Where the free parameters of one layer and its nodes stand: theta[start:stop].

    splines, symbols: edge indices (o, i), (E,) each; functions: those on the symbolic edges, which
    stand together where they share one; shaped: the inputs (I',) whose trained shapes count.
    """

    splines: Edges
    symbols: Edges
    functions: tuple[tuple[EdgeFunction, slice], ...]
    shaped: Tensor
    start: int
    stop: int


@dataclass(frozen=True)
class Layout:
    """Where each free parameter of a network stands in one vector theta (P,).

    Order a layer: the K+1 weights (coef, scale_base) of each spline edge, [a, b, c, d] of each
    symbolic edge, the basis's trained shapes at the inputs that a spline edge reads, then the nodes'
    trainable affine maps. w_s is held: it only rescales coef. Masked edges are left out.
    """

    layers: tuple[LayerLayout, ...]
    size: int


def layout(model: Network) -> Layout:
    """The layout of the parameters that are on now."""
    layers, start = [], 0
    for layer, nodes in zip(model.layers, model.nodes, strict=True):
        o, i = (layer.mask != 0).nonzero(as_tuple=True)
        symbols, functions = _symbolic_edges(layer)
        shaped = (layer.mask != 0).any(0).nonzero()[:, 0]
        stop = start + len(o) * (layer.basis.size + 1) + 4 * len(symbols[0])
        stop += len(shaped) * sum(shape.shape[1] for shape in layer.shapes.values())
        stop += sum(p.numel() for p in _trainable(nodes))
        layers.append(LayerLayout((o, i), symbols, functions, shaped, start, stop))
        start = stop
    return Layout(tuple(layers), start)


def _symbolic_edges(layer: KANLayer) -> tuple[Edges, tuple[tuple[EdgeFunction, slice], ...]]:
    """The symbolic edges ordered by their functions, and each function's place among them."""
    o, i = (layer.symbolic_code != 0).nonzero(as_tuple=True)
    codes, order = layer.symbolic_code[o, i].sort(stable=True)
    functions, start = [], 0
    for code, count in zip(*codes.unique_consecutive(return_counts=True), strict=True):
        stop = start + int(count)
        functions.append((layer.primitives[int(code) - 1], slice(start, stop)))
        start = stop
    return (o[order], i[order]), tuple(functions)


def _trainable(nodes: Nodes) -> list[Tensor]:
    return [p for name in _NODE_PARAMETERS if (p := getattr(nodes, name)).requires_grad]


def pack(model: Network, at: Layout) -> Tensor:
    """The free parameters as one vector (P,)."""
    parts = []
    for layer, nodes, own in zip(model.layers, model.nodes, at.layers, strict=True):
        edges = torch.cat([layer.coef[own.splines], layer.scale_base[own.splines][:, None]], dim=1)
        parts += [edges.flatten(), layer.symbolic_affine[own.symbols].flatten()]
        parts += [shape[own.shaped].flatten() for shape in layer.shapes.values()]
        parts += [p.flatten() for p in _trainable(nodes)]
    return torch.cat(parts).detach()


@torch.no_grad()
def unpack(model: Network, at: Layout, theta: Tensor) -> None:
    """Write theta (P,) into the model, in place."""
    for layer, nodes, own in zip(model.layers, model.nodes, at.layers, strict=True):
        width = layer.basis.size + 1
        stop = own.start + len(own.splines[0]) * width
        edges = theta[own.start : stop].reshape(-1, width)
        layer.coef[own.splines], layer.scale_base[own.splines] = edges[:, :-1], edges[:, -1]
        start, stop = stop, stop + 4 * len(own.symbols[0])
        layer.symbolic_affine[own.symbols] = theta[start:stop].reshape(-1, 4)
        for shape in layer.shapes.values():
            start, stop = stop, stop + len(own.shaped) * shape.shape[1]
            shape[own.shaped] = theta[start:stop].reshape(-1, shape.shape[1])
        for parameter in _trainable(nodes):
            start, stop = stop, stop + parameter.numel()
            parameter.copy_(theta[start:stop].reshape(parameter.shape))


@dataclass(frozen=True)
class LayerPass:
    """What the way back needs of a layer: its inputs x (B, I) and sums (B, O), and f and f' at a x + b
    of its symbolic edges, (B, E) each."""

    x: Tensor
    sums: Tensor
    f: Tensor
    slope: Tensor


@torch.no_grad()
def run(model: Network, at: Layout, x: Tensor) -> tuple[Tensor, list[LayerPass]]:
    """x (B, I) -> the output y (B, Y), and what ``pull_back`` needs."""
    passes = []
    for layer, nodes, own in zip(model.layers, model.nodes, at.layers, strict=True):
        passes.append(_run_layer(layer, own, x))
        x = nodes(passes[-1].sums)
    return x, passes


@torch.no_grad()
def pull_back(model: Network, at: Layout, passes: list[LayerPass], S: Tensor, J: Tensor) -> None:
    """Fill J (B, R, P) with S dy/dtheta, for S (B, R, Y)."""
    for l in reversed(range(len(passes))):
        layer, nodes, own, values = model.layers[l], model.nodes[l], at.layers[l], passes[l]
        _node_columns(nodes, values.sums, S, J[:, :, : own.stop])
        S = nodes.pull_back(values.sums, S)
        split = own.start + len(own.splines[0]) * (layer.basis.size + 1)
        _spline_columns(layer, own, values, S, J[:, :, own.start : split])
        _symbol_columns(layer, own, values, S, J[:, :, split:])
        fill_shape_columns(
            layer, own.shaped, values.x, S, J[:, :, split + 4 * len(own.symbols[0]) :]
        )
        if l > 0:
            S = _to_inputs(layer, own, values, S)


def jacobian(model: Network, at: Layout, x: Tensor) -> tuple[Tensor, Tensor]:
    """x (B, I) -> the output y (B, Y) and J (B, Y, P)."""
    y, passes = run(model, at, x)
    B, Y = y.shape
    J = x.new_empty(B, Y, at.size)
    pull_back(model, at, passes, torch.eye(Y, dtype=x.dtype, device=x.device).expand(B, Y, Y), J)
    return y, J


def _run_layer(layer: KANLayer, own: LayerLayout, x: Tensor) -> LayerPass:
    scales = layer.scale_spline, layer.scale_base, layer.mask
    if len(own.splines[0]):
        sums = layer.basis.mix(x, layer.basis_tensors, layer.coef, *scales, layer.base)
    else:
        sums = x.new_zeros(len(x), layer.out_features)
    o, i = own.symbols
    if not len(o):
        return LayerPass(x, sums, sums[:, :0], sums[:, :0])
    a, b, c, d = layer.symbolic_affine[o, i].unbind(-1)
    u = a * x[:, i] + b
    f, slope = torch.empty_like(u), torch.empty_like(u)
    for primitive, where in own.functions:
        f[:, where] = primitive.torch(u[:, where])
        slope[:, where] = primitive.derivative(u[:, where])
    return LayerPass(x, sums.index_add(1, o, c * f + d), f, slope)


def _spline_columns(
    layer: KANLayer, own: LayerLayout, values: LayerPass, S: Tensor, J: Tensor
) -> None:
    """Fill J (B, R, E (K+1)) for a layer's spline edges: S_o f_ik, times w_s but for the residual."""
    o, i = own.splines
    if not len(o):
        return
    F = layer.basis.size + 1
    S, features = S[..., None], _features(layer, values.x).flatten(1)[:, None, None]
    if len(o) == layer.mask.numel():
        torch.mul(S, features, out=J.unflatten(-1, (layer.out_features, -1)))
    else:
        every = (S * features).unflatten(-1, (-1, F)).flatten(2, 3)
        torch.index_select(every, 2, o * layer.in_features + i, out=J.unflatten(-1, (-1, F)))
    scale = layer.scale_spline[o, i, None].repeat(1, F)
    scale[:, -1] = 1.0
    J *= (scale * layer.mask[o, i, None]).flatten()


def _features(layer: KANLayer, x: Tensor) -> Tensor:
    """``KANLayer.features`` from the few functions that are not 0: (B, I, K+1)."""
    values, first = layer.basis.local(x, layer.basis_tensors)
    features = x.new_zeros(*x.shape, layer.basis.size + 1)
    columns = first[..., None] + torch.arange(values.shape[-1], device=x.device)
    features.scatter_(-1, columns, values)
    features[..., -1] = RESIDUALS[layer.base][0](x)
    return features


def _symbol_columns(
    layer: KANLayer, own: LayerLayout, values: LayerPass, S: Tensor, J: Tensor
) -> None:
    """Fill J (B, R, 4 E, ...) for a layer's symbolic edges: S_o times c f' x, c f', f and 1."""
    o, i = own.symbols
    if not len(o):
        return
    slope = layer.symbolic_affine[o, i, 2] * values.slope
    columns = torch.stack([slope * values.x[:, i], slope, values.f, torch.ones_like(slope)], dim=-1)
    block = J[:, :, : 4 * len(o)].unflatten(-1, (-1, 4))
    torch.mul(S[:, :, o, None], columns[:, None], out=block)


def _to_inputs(layer: KANLayer, own: LayerLayout, values: LayerPass, S: Tensor) -> Tensor:
    """Sensitivities to a layer's sums (B, R, O) -> to its inputs (B, R, I)."""
    B, R, O = S.shape
    if len(own.splines[0]):
        g = S.transpose(0, 1).reshape(R * B, O)
        # an input that no spline reads may be infinite, and 0 times infinity is not 0
        x = torch.where((layer.mask != 0).any(0), values.x, 0.0).repeat(R, 1)
        coef = layer.coef * (layer.scale_spline * layer.mask)[..., None]
        pulled = layer.basis.pull(x, layer.basis_tensors, coef, g)
        pulled += RESIDUALS[layer.base][1](x) * (g @ (layer.scale_base * layer.mask))
        pulled = pulled.view(R, B, layer.in_features).transpose(0, 1)
    else:
        pulled = S.new_zeros(B, R, layer.in_features)
    o, i = own.symbols
    if not len(o):
        return pulled
    a, _, c, _ = layer.symbolic_affine[o, i].unbind(-1)
    return pulled.index_add(2, i, S[:, :, o] * (a * c * values.slope)[:, None])


def _node_columns(nodes: Nodes, sums: Tensor, S: Tensor, J: Tensor) -> None:
    """Fill the last columns of J with those of the nodes' trainable affine maps."""
    if not _trainable(nodes):
        return
    bare = type(nodes)(nodes.n_sum, nodes.arities, dtype=sums.dtype, device=sums.device)
    bare.sum_scale, bare.sum_bias = nodes.sum_scale, nodes.sum_bias
    value = bare(sums)  # products before the node's own affine map
    at_sums = nodes.pull_back_to_factors(sums, S)
    columns = {
        "sum_scale": at_sums * sums[:, None],
        "sum_bias": at_sums,
        "node_scale": S * value[:, None],
        "node_bias": S,
    }
    wanted = [columns[name] for name in _NODE_PARAMETERS if getattr(nodes, name).requires_grad]
    stacked = torch.cat([c.expand(*S.shape[:2], -1) for c in wanted], dim=-1)
    J[:, :, J.shape[-1] - stacked.shape[-1] :] = stacked
