"""The curves of edges as arrays to draw, and the choice of edges where there are too many."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any, cast

import numpy as np
import torch

from edgewise.errors import InputError
from edgewise.plot.geometry import blocks
from edgewise.plot.shapes import Edge

if TYPE_CHECKING:
    from edgewise.nn import KANLayer, Network, Trace

_AT_ONCE = 4_000_000  # values that a wide layer may compute in one go


def array(values: Any) -> np.ndarray:
    """A tensor or anything array-like, as float64 on the host."""
    if isinstance(values, torch.Tensor):
        values = values.detach().cpu().double().numpy()
    return np.asarray(values, dtype=float)


def layers(model: Network) -> list[KANLayer]:
    """The model's layers by their true type."""
    return [cast("KANLayer", layer) for layer in model.layers]


def grid_range(layer: KANLayer) -> tuple[np.ndarray, np.ndarray]:
    """The interval (I,), (I,) that the basis is made for, input by input."""
    lower, upper = layer.basis.range_of(layer.basis_tensors)
    return array(lower), array(upper)


def knots(layer: KANLayer, i: int) -> np.ndarray:
    """The knots of input i, in order; none for a basis without a grid."""
    grid = layer.basis_tensors.get("grid")
    return np.zeros(0) if grid is None else array(grid[i])


def data_range(trace: Trace, l: int) -> tuple[np.ndarray, np.ndarray]:
    """Least and greatest value (I,), (I,) that enters layer l; an input that never varies gets
    a little room, so that its curve can be drawn."""
    x = array(trace.inputs[l])
    if not (x.size and np.isfinite(x).all()):
        raise InputError(
            f"trace.inputs[{l}] is empty or not finite; give finite data to model.trace."
        )
    lower, upper = x.min(0), x.max(0)
    varies = upper - lower > 1e-9 * np.maximum(np.abs(lower), np.abs(upper))
    room = np.where(varies, 0.0, 0.01 * np.maximum(np.abs(upper), 1.0))
    return lower - room, upper + room


def values(layer: KANLayer, x: np.ndarray, edges: Sequence[tuple[int, int]]) -> np.ndarray:
    """phi_oi(x_pi) on points x (P, I) for edges given as (i, o): (P, len(edges)).

    NaN where a function is not defined.
    """
    o, i = [edge[1] for edge in edges], [edge[0] for edge in edges]
    points = torch.as_tensor(x, dtype=layer.coef.dtype, device=layer.coef.device)
    chunk = max(1, _AT_ONCE // max(1, layer.in_features * layer.out_features))
    with torch.no_grad():
        parts = [array(layer.edges(part)[:, o, i]) for part in points.split(chunk)]
    y = np.concatenate(parts)
    return np.where(np.isfinite(y), y, np.nan)


def live_edges(model: Network) -> list[Edge]:
    """(l, i, j) of every edge that is on."""
    return [
        (l, int(i), int(j))
        for l, layer in enumerate(layers(model))
        for j, i in layer.live.nonzero().tolist()
    ]


def score_arrays(model: Network, scores: Any) -> list[np.ndarray] | None:
    """Scores a layer (O, I) from an Attribution (its ``edges``), or from a list of arrays."""
    if scores is None:
        return None
    found = [array(s) for s in getattr(scores, "edges", scores)]
    wanted = [tuple(layer.mask.shape) for layer in layers(model)]
    if [s.shape for s in found] != wanted:
        raise InputError(
            f"scores have shapes {[s.shape for s in found]}; expected a layer's (O, I): {wanted}."
        )
    if not all(np.isfinite(s).all() for s in found):
        raise InputError("scores contain values that are not finite; attribute the model anew.")
    return found


def spans(model: Network, ranges: Sequence[tuple[np.ndarray, np.ndarray]]) -> list[np.ndarray]:
    """How far each edge's curve rises and falls over its range: (O, I) a layer."""
    out = []
    for layer, (lower, upper) in zip(layers(model), ranges, strict=True):
        least = np.full(tuple(layer.mask.shape), np.inf)
        most = -least
        for t in np.linspace(0.0, 1.0, 9):
            x = torch.as_tensor(lower + t * (upper - lower), dtype=layer.coef.dtype)
            with torch.no_grad():
                y = array(layer.edges(x[None].to(layer.coef.device))[0])
            least, most = np.fmin(least, y), np.fmax(most, y)
        out.append(np.where(np.isfinite(most - least), most - least, 0.0))
    return out


def _shares(counts: Sequence[int], total: int) -> list[int]:
    """How many each layer may show: equal shares; what a small layer leaves goes to the others."""
    shares, left = [0] * len(counts), total
    order = sorted(range(len(counts)), key=lambda l: counts[l])
    for n, l in enumerate(order):
        shares[l] = min(counts[l], left // (len(counts) - n))
        left -= shares[l]
    return shares


def strongest(
    model: Network, edges: Iterable[Edge], scores: Sequence[np.ndarray], max_edges: int
) -> list[Edge]:
    """At most ``max_edges`` edges, the strongest of each layer that lead on to what is shown.

    From the outputs backwards, so that every edge shown is part of a way to an output.
    """
    edges = list(edges)
    if len(edges) <= max_edges:
        return edges
    depth = len(model.layers)
    layers = [[e for e in edges if e[0] == l] for l in range(depth)]
    shares = _shares([len(layer) for layer in layers], max_edges)
    kept: list[Edge] = []
    wanted = set(range(sum(model.width[-1])))
    for l in reversed(range(depth)):
        made = blocks(model.width[l + 1][0], model.mult_arity[l + 1])
        ends = {j for node in wanted for j in made[node]}
        useful = [e for e in layers[l] if e[2] in ends]
        useful.sort(key=lambda e: -scores[e[0]][e[2], e[1]])
        kept += useful[: shares[l]]
        wanted = {e[1] for e in useful[: shares[l]]}
    return sorted(kept)
