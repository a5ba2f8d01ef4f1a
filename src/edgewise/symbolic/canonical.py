"""One way to write a symbolic network: what can be traded between constants is settled.

The same function has many affine maps: sin(x + pi) = -sin(x), c exp(x + b) = c e^b exp(x), and a
hidden value may be scaled on its way in and back on its way out. The canonical form leaves as many
constants as possible at 0 and 1, and says which are still free.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from edgewise.nn import KANLayer, Network
from edgewise.symbolic.elementary import Power
from edgewise.symbolic.primitives import EVEN, ODD, Primitive, primitive, scale_free


@torch.no_grad()
def canonicalise(model: Network) -> None:
    """Write every symbolic edge in its canonical form, in place; the function stays.

    Edge by edge: |a| = 1 where the scale goes into c or d (powers, log, abs, sgn), b = 0 for exp,
    a = 1, b = 0 for lines; a > 0 for odd and even functions, the phase of sin in (-pi/2, pi/2].
    Node by node, where only symbolic edges leave a sum: its constants d go into the b behind it,
    and its scale is chosen so that the first edge behind it has a = 1, or, where that edge's scale is
    free anyway, so that the largest c in front is 1. Constants of the outputs gather in one d.
    """
    for l, layer in enumerate(model.layers):
        if l > 0:
            _settle_nodes(model, l)
        for o, i in (layer.symbolic_code != 0).nonzero().tolist():
            layer.symbolic_affine[o, i] = canonical_edge(
                record_of(layer, o, i), layer.symbolic_affine[o, i]
            )
        if l > 0 and _scale_nodes(model, l):
            for o, i in (layer.symbolic_code != 0).nonzero().tolist():
                affine = canonical_edge(record_of(layer, o, i), layer.symbolic_affine[o, i])
                layer.symbolic_affine[o, i] = affine
    _gather(model)


def free_constants(model: Network, l: int, o: int, i: int) -> tuple[bool, bool, bool, bool]:
    """Which of [a, b, c, d] of a canonical edge are not settled by the form."""
    layer = model.layers[l]
    record = record_of(layer, o, i)
    name = record.name
    a = not scale_free(record)
    b = name not in ("x", "exp")
    c = d = True
    if name == "0":
        a = b = c = False
    first_in_sum = int((layer.symbolic_code[o] != 0).nonzero()[0]) == i
    if not first_in_sum:
        d = False
    nodes, last = model.nodes[l], l + 1 == len(model.layers)
    if not last and o < nodes.n_sum and _all_symbolic(model, l + 1, o):
        d = False  # sits in the b behind
        edge = _first_behind(model, l + 1, o)
        if edge is not None and scale_free(record_of(model.layers[l + 1], *edge)):
            c = not _is_largest(layer, o, i)
    if l > 0 and a:
        # a = 1 on the first edge behind a sum whose scale is free
        owner_is_sum = i < model.nodes[l - 1].n_sum
        if owner_is_sum and _all_symbolic(model, l, i) and _first_behind(model, l, i) == (o, i):
            a = False
    return a, b, c, d


def record_of(layer: KANLayer, o: int, i: int) -> Primitive:
    """The primitive on a symbolic edge."""
    return primitive(layer.primitives[int(layer.symbolic_code[o, i]) - 1])  # type: ignore[arg-type]


def canonical_edge(record: Primitive, affine: Tensor) -> Tensor:
    """[a, b, c, d] of the same function with as many of them at 0 and 1 as can be: (4,) -> (4,)."""
    a, b, c, d = affine.tolist()
    name = record.name
    if name == "0":
        a, b, c = 1.0, 0.0, 0.0
    elif name == "x":
        a, b, c, d = 1.0, 0.0, a * c, c * b + d
    elif isinstance(record.torch, Power) and a != 0:
        p = float(record.torch.exponent)
        scale, b = abs(a), b / abs(a)
        c *= scale**p
        a = math.copysign(1.0, a)
        if a < 0 and p.is_integer():
            a, b = 1.0, -b
            c = c if p % 2 == 0 else -c
    elif name == "log" and a != 0:
        d, b, a = d + c * math.log(abs(a)), b / abs(a), math.copysign(1.0, a)
    elif name == "abs" and a != 0:
        a, b, c = 1.0, b / a, c * abs(a)
    elif name == "sgn" and a != 0:
        a, b, c = 1.0, b / a, math.copysign(c, c * a)
    elif name == "exp" and b < 600:
        b, c = 0.0, c * math.exp(b)
    elif name in ODD and a < 0:
        a, b, c = -a, -b, -c
    elif name in EVEN and a < 0:
        a, b = -a, -b
    if name == "sin":
        turns = round(b / math.pi)
        b -= turns * math.pi
        c = -c if turns % 2 else c
    return affine.new_tensor([a, b, c, d])


def _settle_nodes(model: Network, l: int) -> None:
    """Move the constants of the sums before layer l into the b of the edges behind them, and the
    affine maps of sum nodes into the edges in front."""
    before, nodes, layer = model.layers[l - 1], model.nodes[l - 1], model.layers[l]
    for n in range(nodes.n_sum):
        edges = (before.symbolic_code[n] != 0).nonzero()[:, 0]
        if not _all_symbolic(model, l, n) or len(edges) == 0 or bool((before.mask[n] != 0).any()):
            continue
        scale = float(nodes.node_scale[n] * nodes.sum_scale[n])
        shift = float(nodes.node_scale[n] * nodes.sum_bias[n] + nodes.node_bias[n])
        before.symbolic_affine[n, edges, 2:] *= scale
        nodes.node_scale[n] = nodes.sum_scale[n] = 1.0
        nodes.sum_bias[n] = nodes.node_bias[n] = 0.0
        shift += float(before.symbolic_affine[n, edges, 3].sum())
        before.symbolic_affine[n, edges, 3] = 0.0
        for o in (layer.symbolic_code[:, n] != 0).nonzero()[:, 0].tolist():
            layer.symbolic_affine[o, n, 1] += layer.symbolic_affine[o, n, 0] * shift


def _scale_nodes(model: Network, l: int) -> bool:
    """Choose the scale of the sums before layer l; True when one changed."""
    before, nodes, layer = model.layers[l - 1], model.nodes[l - 1], model.layers[l]
    changed = False
    for n in range(nodes.n_sum):
        edge = _first_behind(model, l, n)
        if edge is None or not _all_symbolic(model, l, n) or bool((before.mask[n] != 0).any()):
            continue
        incoming = (before.symbolic_code[n] != 0).nonzero()[:, 0]
        c = before.symbolic_affine[n, incoming, 2]
        if len(incoming) == 0 or not bool((c != 0).any()):
            continue
        behind = record_of(layer, *edge)
        if scale_free(behind):
            largest = c[c.abs().argmax()]
            whole = isinstance(behind.torch, Power) and float(behind.torch.exponent).is_integer()
            scale = float(largest if whole else largest.abs())
        else:
            scale = 1.0 / float(layer.symbolic_affine[edge[0], n, 0])
        if scale == 1.0 or not math.isfinite(scale) or scale == 0.0:
            continue
        before.symbolic_affine[n, incoming, 2] /= scale
        outgoing = (layer.symbolic_code[:, n] != 0).nonzero()[:, 0]
        layer.symbolic_affine[outgoing, n, 0] *= scale
        changed = True
    return changed


def _gather(model: Network) -> None:
    """Gather the constants of each output, and of each factor of a product, in its first edge."""
    for layer, nodes in zip(model.layers, model.nodes, strict=True):
        last = layer is model.layers[-1]
        for o in range(layer.out_features):
            edges = (layer.symbolic_code[o] != 0).nonzero()[:, 0]
            if len(edges) == 0:
                continue
            constant = float(layer.symbolic_affine[o, edges, 3].sum())
            layer.symbolic_affine[o, edges, 3] = 0.0
            layer.symbolic_affine[o, edges[0], 3] = constant
            if last and o < nodes.n_sum and not bool((layer.mask[o] != 0).any()):
                scale = float(nodes.node_scale[o] * nodes.sum_scale[o])
                shift = float(nodes.node_scale[o] * nodes.sum_bias[o] + nodes.node_bias[o])
                layer.symbolic_affine[o, edges, 2:] *= scale
                layer.symbolic_affine[o, edges[0], 3] += shift
                nodes.node_scale[o] = nodes.sum_scale[o] = 1.0
                nodes.sum_bias[o] = nodes.node_bias[o] = 0.0


def _all_symbolic(model: Network, l: int, n: int) -> bool:
    """Only symbols, and at least one, leave node n into layer l."""
    layer = model.layers[l]
    return bool((layer.symbolic_code[:, n] != 0).any()) and not bool((layer.mask[:, n] != 0).any())


def _first_behind(model: Network, l: int, n: int) -> tuple[int, int] | None:
    outgoing = (model.layers[l].symbolic_code[:, n] != 0).nonzero()[:, 0]
    return (int(outgoing[0]), n) if len(outgoing) else None


def _is_largest(layer: KANLayer, o: int, i: int) -> bool:
    edges = (layer.symbolic_code[o] != 0).nonzero()[:, 0]
    c = layer.symbolic_affine[o, edges, 2].abs()
    return int(edges[c.argmax()]) == i
