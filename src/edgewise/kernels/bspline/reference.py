"""B-spline basis functions in plain torch: the definition that every faster path is tested against.

Knots t_0 < ... < t_G of one input are extended by ``degree`` knots on each side at the mean
spacing h = (t_G - t_0)/G. On the interval [t_m, t_{m+1}) exactly degree + 1 functions are not zero;
they come from de Boor's triangle on local knots (C. de Boor, *A Practical Guide to Splines*, 1978).
"""

from __future__ import annotations

from fractions import Fraction
from math import comb, factorial

import torch
from torch import Tensor
from torch.nn.functional import pad


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
    at = x.detach().nan_to_num(0.0).T.contiguous()
    index = torch.searchsorted(grid.contiguous(), at, right=True) - 1
    return index.clamp(0, G - 1).T


def uniform_intervals(x: Tensor, grid: Tensor) -> Tensor:
    """``intervals`` on even knots, by division."""
    G = grid.shape[1] - 1
    x = x.detach().nan_to_num(0.0)
    position = (x - grid[:, 0]) * (G / (grid[:, -1] - grid[:, 0]))
    index = position.floor().clamp(0, G - 1).long()
    # by rounding a point may fall on the wrong side of a knot
    late = (index < G - 1) & (x >= grid.T.gather(0, index + 1))
    early = (index > 0) & (x < grid.T.gather(0, index))
    return index + late.long() - early.long()


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
    values = torch.ones_like(x)[..., None]
    for q in range(1, k + 1):
        left, right = local[..., k - q : k], local[..., k : k + q]
        share = values / (right - left)
        if q <= k - order:
            # Cox-de Boor, degree q - 1 -> q: B_j splits between its left and right neighbour
            to_left, to_right = (right - x[..., None]) * share, (x[..., None] - left) * share
        else:
            # B'_{j,q} = q [B_{j,q-1}/(t_{j+q} - t_j) - B_{j+1,q-1}/(t_{j+q+1} - t_{j+1})]
            to_left, to_right = -q * share, q * share
        values = pad(to_left, (0, 1)) + pad(to_right, (1, 0))
    return values


def _cardinal(degree: int) -> tuple[tuple[float, ...], ...]:
    """Monomial coefficients [power p][function n] of the k+1 pieces on uniform knots, t in [0, 1].

    Piece n of the cardinal B-spline: B_n(t) = sum_p M[p][n] t^p, from the truncated-power form
    N(s) = sum_j (-1)^j C(k+1, j) (s - j)_+^k / k! with s = t + k - n.
    """
    k = degree
    M = [[Fraction(0)] * (k + 1) for _ in range(k + 1)]
    for n in range(k + 1):
        for j in range(k - n + 1):  # the terms with s - j > 0 on this piece
            sign = Fraction((-1) ** j * comb(k + 1, j), factorial(k))
            for p in range(k + 1):
                M[p][n] += sign * comb(k, p) * (k - n - j) ** (k - p)
    return tuple(tuple(float(value) for value in row) for row in M)


# By degree; a table, because a compiler of torch's warns of functions that keep what they have made.
_CARDINAL = tuple(_cardinal(degree) for degree in range(6))


def uniform_values(
    x: Tensor, grid: Tensor, degree: int, orders: tuple[int, ...], right: Tensor
) -> tuple[list[Tensor], Tensor]:
    """``local_values`` for each order by one small matrix product, on even knots, and the index.

    right: (B, I) bool, points moved to t_G from beyond it. They get t = 1 though the knots be rounded,
    so that what goes on from there is the same for every backend.
    """
    k, G = degree, grid.shape[1] - 1
    rate = G / (grid[:, -1] - grid[:, 0])
    index = uniform_intervals(x, grid)
    t = torch.where(right, 1.0, (x - grid.T.gather(0, index)) * rate)
    powers = [torch.ones_like(t)]
    for _ in range(k):
        powers.append(powers[-1] * t)
    M = torch.tensor(_CARDINAL[k], dtype=x.dtype, device=x.device)
    values = []
    for order in orders:
        if order > k:
            values.append(x.new_zeros((*x.shape, k + 1)))
            continue
        factors = [factorial(p) / factorial(p - order) for p in range(order, k + 1)]
        D = M[order:] * M.new_tensor(factors)[:, None]
        value = torch.stack(powers[: k + 1 - order], dim=-1) @ D
        values.append(value * rate[:, None] ** order if order else value)
    return values, index


def dense(
    x: Tensor,
    grid: Tensor,
    degree: int,
    order: int = 0,
    extrapolation: str = "linear",
    uniform: bool = False,
) -> Tensor:
    """All basis functions (their order-th derivatives): x (B, I), grid (I, G+1) -> (B, I, G+k).

    Outside [t_0, t_G]: "linear" continues value and slope, "zero" gives 0, "clamp" holds the value
    at the end (so its derivatives are 0). Differentiable in x to every order. ``uniform`` promises
    equal spacing, which allows a closed form.
    """
    lower, upper = grid[:, 0], grid[:, -1]
    inside = torch.minimum(torch.maximum(x.detach(), lower), upper)
    outside = (x < lower) | (x > upper)
    at = torch.where(outside, inside, x)  # NaN stays NaN
    needs_slope = extrapolation == "linear" and order == 0
    orders = (order, 1) if needs_slope else (order,)
    if uniform:
        local, index = uniform_values(at, grid, degree, orders, x > upper)
    else:
        index = intervals(at, grid)
        local = [local_values(at, grid, degree, r, index) for r in orders]
    values = local[0]
    if needs_slope:
        values = values + torch.where(outside, x - inside, 0.0)[..., None] * local[1]
    elif not (extrapolation == "clamp" and order == 0) and not (
        extrapolation == "linear" and order == 1
    ):
        values = torch.where(outside[..., None], 0.0, values)
    if order >= degree:  # constant pieces: x itself, and with it a NaN, has dropped out
        values = torch.where(x.isnan()[..., None], torch.nan, values)
    K = grid.shape[1] - 1 + degree
    columns = index[..., None] + torch.arange(degree + 1, device=x.device)
    return x.new_zeros((*x.shape, K)).scatter(-1, columns, values)
