"""Grids that follow the activations, and finer grids for the same functions."""

from __future__ import annotations

from typing import TypeVar

import torch
from torch import Tensor

from edgewise import bases
from edgewise.errors import InputError
from edgewise.nn import Network

Kind = TypeVar("Kind", bound=Network)

# An end of a range is moved out by its distance from the sample that is so many places inside.
_END_SAMPLES = 10


@torch.no_grad()
def update_grids(model: Network, x: Tensor, *, room: bool = False) -> None:
    """Fit every layer's ranges and knots to its inputs when x (B, I) runs through, in place.

    Coefficients are fitted again so that the curves stay; each layer sees the updated ones before
    it. Reference: Liu et al., *KAN* (2024), section 2.2, "update of spline grids".

    room: leave some for unseen samples. A hidden value is a sum of several inputs' curves: near its
    ends samples are rare, and an unseen one falls outside the seen range by about the distance
    between the outermost samples. There a curve would go on straight; within its range its last
    piece goes on as the polynomial it is.
    """
    for layer, nodes in zip(model.layers, model.nodes, strict=True):
        layer.update_grid(torch.cat([x, _beyond(x)]) if room else x)
        x = nodes(layer(x))


@torch.no_grad()
def covers(model: Network, x: Tensor) -> bool:
    """Whether every value that x (B, I) sends into a layer lies in the range of the layer's curves."""
    for layer, nodes in zip(model.layers, model.nodes, strict=True):
        lower, upper = layer.basis.range_of(layer.basis_tensors)
        used = (layer.mask != 0).any(0)
        if bool((((x < lower) | (x > upper)) & used).any()):
            return False
        x = nodes(layer(x))
    return True


def _beyond(x: Tensor) -> Tensor:
    """A point below and a point above the samples x (B, I) of each input: (2, I)."""
    inside = min(_END_SAMPLES, (len(x) - 1) // 20)
    ordered = x.detach().sort(0).values
    lower, upper = ordered[0], ordered[-1]
    most = 0.05 * (upper - lower)
    return torch.stack(
        [
            lower - torch.minimum(ordered[inside] - lower, most),
            upper + torch.minimum(upper - ordered[-1 - inside], most),
        ]
    )


@torch.no_grad()
def refine(model: Kind, grid: int | list[int]) -> tuple[Kind, float]:
    """A new model on grids of G' intervals, and the largest change of an edge's curve.

    Exact (to rounding) when G' is a multiple of G: the intervals are subdivided. Otherwise the
    curves are fitted by least squares, and the change tells how well: max over the edges of the
    largest difference on the range, relative to the curve's largest value.
    """
    finer = model.clone()
    sizes = list(grid) if isinstance(grid, list | tuple) else [grid] * len(finer.layers)
    if len(sizes) != len(finer.layers):
        raise InputError(f"{len(sizes)} grid sizes came for {len(finer.layers)} layers.")
    change = 0.0
    for layer, size in zip(finer.layers, sizes, strict=True):
        basis = layer.basis.resized(size)
        old, coef = layer.basis_tensors, layer.coef.detach().clone()
        new = layer.basis.refined(old, basis)
        moved = bases.moved(layer.basis, old, coef, basis, new)
        points = layer.basis.design_points(old)
        before = bases.curves(layer.basis.features(points, old), coef)
        after = bases.curves(basis.features(points, new), moved)
        if before.numel():
            scale = before.abs().amax(0).clamp_min(1e-300)
            change = max(change, float(((after - before).abs().amax(0) / scale).max()))
        layer.set_basis(basis, new, moved)
    return finer, change
