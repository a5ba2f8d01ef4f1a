"""B-spline basis functions in plain torch: the definition that every faster path is tested against.

Knots t_0 < ... < t_G of one input are extended by ``degree`` knots on each side at the mean
spacing h = (t_G - t_0)/G. On the interval [t_m, t_{m+1}) exactly degree + 1 functions are not zero;
they come from de Boor's triangle on local knots (C. de Boor, *A Practical Guide to Splines*, 1978).
"""

from __future__ import annotations

import torch
from torch import Tensor


def extend(grid: Tensor, degree: int) -> Tensor:
    """Knots (I, G+1) -> (I, G+1+2*degree), continued at the mean spacing."""
    h = (grid[:, -1:] - grid[:, :1]) / (grid.shape[1] - 1)
    steps = torch.arange(1, degree + 1, dtype=grid.dtype, device=grid.device)
    return torch.cat([grid[:, :1] - h * steps.flip(0), grid, grid[:, -1:] + h * steps], dim=1)


def intervals(x: Tensor, grid: Tensor) -> Tensor:
    """Index m of the interval [t_m, t_{m+1}) that holds each x: (B, I) -> (B, I) in 0..G-1.

    Right-continuous, left-continuous at t_G; points outside belong to the nearest interval, NaN to
    the first (their values are NaN all the same).
    """
    G = grid.shape[1] - 1
    index = torch.searchsorted(grid, x.detach().nan_to_num(0.0).T.contiguous(), right=True) - 1
    return index.clamp_(0, G - 1).T


def local_values(x: Tensor, grid: Tensor, degree: int, order: int, index: Tensor) -> Tensor:
    """The degree + 1 functions (their order-th derivatives) on each x's own interval: (B, I, k+1).

    A polynomial in x: evaluating it beyond the interval continues that piece.
    """
    k = degree
    if order > k:
        return x.new_zeros((*x.shape, k + 1))
    knots = extend(grid, k)
    # local[..., n] = t_{m-k+1+n}, n = 0 .. 2k-1: every knot that the triangle touches
    offsets = torch.arange(1, 2 * k + 1, device=x.device)
    local = knots[torch.arange(grid.shape[0], device=x.device)[:, None], index[..., None] + offsets]
    values = [torch.ones_like(x)]
    for q in range(1, k - order + 1):  # degree q - 1 -> q
        values = _raise(values, local, k, q, x)
    for q in range(k - order + 1, k + 1):  # each step differentiates once and raises the degree
        values = _raise_derivative(values, local, k, q)
    return torch.stack(values, dim=-1)


def _raise(values: list[Tensor], local: Tensor, k: int, q: int, x: Tensor) -> list[Tensor]:
    """Cox-de Boor: N_{j,q} = (x-t_j)/(t_{j+q}-t_j) N_{j,q-1} + (t_{j+q+1}-x)/(..) N_{j+1,q-1}."""
    raised = [torch.zeros_like(x) for _ in range(q + 1)]
    for n, value in enumerate(values):
        left, right = local[..., k - q + n], local[..., k + n]
        share = value / (right - left)
        raised[n] = raised[n] + (right - x) * share
        raised[n + 1] = raised[n + 1] + (x - left) * share
    return raised


def _raise_derivative(values: list[Tensor], local: Tensor, k: int, q: int) -> list[Tensor]:
    """N'_{j,q} = q [N_{j,q-1}/(t_{j+q}-t_j) - N_{j+1,q-1}/(t_{j+q+1}-t_{j+1})]."""
    raised = [torch.zeros_like(values[0]) for _ in range(q + 1)]
    for n, value in enumerate(values):
        share = q * value / (local[..., k + n] - local[..., k - q + n])
        raised[n] = raised[n] - share
        raised[n + 1] = raised[n + 1] + share
    return raised


def dense(x: Tensor, grid: Tensor, degree: int, order: int = 0, extrapolation: str = "linear") -> Tensor:
    """All basis functions or their order-th derivatives: x (B, I), grid (I, G+1) -> (B, I, G+degree).

    Outside [t_0, t_G]: "linear" continues value and slope, "zero" gives 0, "clamp" holds the value
    at the end (so its derivatives are 0). Differentiable in x to every order.
    """
    lower, upper = grid[:, 0], grid[:, -1]
    inside = torch.minimum(torch.maximum(x, lower), upper)
    index = intervals(x, grid)
    outside = (x < lower) | (x > upper)
    at = torch.where(outside, inside.detach(), x)  # NaN stays NaN
    values = local_values(at, grid, degree, order, index)
    if extrapolation == "linear" and order == 0:
        slope = local_values(at, grid, degree, 1, index)
        beyond = torch.where(outside, x - inside.detach(), torch.zeros_like(x))
        values = values + beyond[..., None] * slope
    elif extrapolation != "clamp" or order > 0:
        keep = extrapolation == "linear" and order == 1
        if not keep:
            values = torch.where(outside[..., None], torch.zeros_like(values), values)
    K = grid.shape[1] - 1 + degree
    columns = index[..., None] + torch.arange(degree + 1, device=x.device)
    return x.new_zeros((*x.shape, K)).scatter(-1, columns, values)
