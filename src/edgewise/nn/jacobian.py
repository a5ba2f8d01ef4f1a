"""The Jacobian of a network in its parameters, layer by layer from outer products.

With S_bo = dy_b/du_bo at a sum u_o of a layer and f_bi the features of its input i, the derivative
with respect to the weight of feature k on edge (o, i) is S_bo f_bik: no autograd graph a sample.
Symbolic edges c f(a x + b) + d give the columns c f' x, c f', f and 1, times S_bo.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from edgewise.nn.layer import KANLayer
from edgewise.nn.network import Network
from edgewise.nn.nodes import Nodes

_NODE_PARAMETERS = ("sum_scale", "sum_bias", "node_scale", "node_bias")


@dataclass(frozen=True)
class Layout:
    """Where each free parameter of a network stands in one vector theta (P,).

    splines[l], symbols[l]: edge indices (o, i) of layer l, (E,) each. Order a layer: the K+1
    weights (coef, scale_base) of each spline edge, [a, b, c, d] of each symbolic edge, then the
    nodes' trainable affine maps. w_s is held: it only rescales coef. Masked edges are left out.
    """

    splines: tuple[tuple[Tensor, Tensor], ...]
    symbols: tuple[tuple[Tensor, Tensor], ...]
    starts: tuple[int, ...]
    size: int


def layout(model: Network) -> Layout:
    """The layout of the parameters that are on now."""
    splines: list[tuple[Tensor, Tensor]] = []
    symbols: list[tuple[Tensor, Tensor]] = []
    starts, at = [], 0
    for layer, nodes in zip(model.layers, model.nodes, strict=True):
        splines.append(_edges(layer.mask))
        symbols.append(_edges(layer.symbolic_code))
        starts.append(at)
        at += len(splines[-1][0]) * (layer.basis.size + 1) + 4 * len(symbols[-1][0])
        at += sum(p.numel() for p in _trainable(nodes))
    return Layout(tuple(splines), tuple(symbols), tuple(starts), at)


def _edges(where: Tensor) -> tuple[Tensor, Tensor]:
    o, i = (where != 0).nonzero(as_tuple=True)
    return o, i


def _trainable(nodes: Nodes) -> list[Tensor]:
    return [p for name in _NODE_PARAMETERS if (p := getattr(nodes, name)).requires_grad]


def pack(model: Network, at: Layout) -> Tensor:
    """The free parameters as one vector (P,)."""
    parts = []
    for layer, nodes, spline, symbol in zip(
        model.layers, model.nodes, at.splines, at.symbols, strict=True
    ):
        edges = torch.cat([layer.coef[spline], layer.scale_base[spline][:, None]], dim=1)
        parts += [edges.flatten(), layer.symbolic_affine[symbol].flatten()]
        parts += [p.flatten() for p in _trainable(nodes)]
    return torch.cat(parts).detach()


def unpack(model: Network, at: Layout, theta: Tensor) -> None:
    """Write theta (P,) into the model, in place."""
    with torch.no_grad():
        for layer, nodes, spline, symbol, start in zip(
            model.layers, model.nodes, at.splines, at.symbols, at.starts, strict=True
        ):
            width = layer.basis.size + 1
            stop = start + len(spline[0]) * width
            edges = theta[start:stop].reshape(-1, width)
            layer.coef[spline], layer.scale_base[spline] = edges[:, :-1], edges[:, -1]
            start, stop = stop, stop + 4 * len(symbol[0])
            layer.symbolic_affine[symbol] = theta[start:stop].reshape(-1, 4)
            for parameter in _trainable(nodes):
                start, stop = stop, stop + parameter.numel()
                parameter.copy_(theta[start:stop].reshape(parameter.shape))


@torch.no_grad()
def jacobian(model: Network, at: Layout, x: Tensor) -> tuple[Tensor, Tensor]:
    """x (B, I) -> the output y (B, Y) and J (B, Y, P)."""
    kept = []
    for layer, nodes in zip(model.layers, model.nodes, strict=True):
        features = layer.features(x)
        sums = features.flatten(1) @ layer.weights().flatten(1).T
        for o, _, values in layer.symbolic_values(x):
            sums = sums.index_add(1, o, values)
        kept.append((x, features, sums))
        x = nodes(sums)
    B, Y = x.shape
    J = x.new_empty(B, Y, at.size)
    S = torch.eye(Y, dtype=x.dtype, device=x.device).expand(B, Y, Y)
    for l in reversed(range(len(model.layers))):
        layer, nodes = model.layers[l], model.nodes[l]
        inputs, features, sums = kept[l]
        stop = at.starts[l + 1] if l + 1 < len(at.starts) else at.size
        _node_columns(nodes, sums, S, J[:, :, :stop])
        S = nodes.pull_back(sums, S)
        _edge_columns(
            layer, at.splines[l], at.symbols[l], inputs, features, S, J[:, :, at.starts[l] :]
        )
        if l > 0:
            S = S @ layer.edges(inputs, order=1)
    return x, J


def _edge_columns(
    layer: KANLayer,
    spline: tuple[Tensor, Tensor],
    symbol: tuple[Tensor, Tensor],
    x: Tensor,
    features: Tensor,
    S: Tensor,
    J: Tensor,
) -> None:
    """Fill the columns of one layer's edges; J starts at the layer's first column."""
    o, i = spline
    width = features.shape[-1]
    if len(o):
        weight = (layer.scale_spline * layer.mask)[spline]
        scale = torch.cat(
            [weight[:, None].expand(-1, width - 1), layer.mask[spline][:, None]], dim=1
        )
        block = J[:, :, : len(o) * width].unflatten(-1, (len(o), width))
        torch.mul(S[:, :, o, None], (features[:, i] * scale)[:, None], out=block)
    o, i = symbol
    if len(o):
        a, b, c, _ = layer.symbolic_affine[symbol].unbind(-1)
        u = a * x[:, i] + b
        value, slope = torch.empty_like(u), torch.empty_like(u)
        codes = layer.symbolic_code[symbol]
        for n, primitive in enumerate(layer.primitives, start=1):
            use = codes == n
            if bool(use.any()):
                value[:, use] = primitive.torch(u[:, use])
                slope[:, use] = primitive.derivative(u[:, use])
        columns = torch.stack([c * slope * x[:, i], c * slope, value, torch.ones_like(u)], dim=-1)
        start = len(spline[0]) * width
        block = J[:, :, start : start + 4 * len(o)].unflatten(-1, (len(o), 4))
        torch.mul(S[:, :, o, None], columns[:, None], out=block)


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
