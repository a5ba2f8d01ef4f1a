"""A spline's basis as a table of local polynomials, so that a kernel needs no recursion.

The range [t_0, t_G] and what lies outside it fall into G + 2 classes: 0 is left of t_0, m + 1 is the
interval [t_m, t_{m+1}), G + 1 is right of t_G. On each class the degree + 1 functions that are not
zero are polynomials in a local coordinate t of order one:

    inside    t = (x - t_m) / (t_{m+1} - t_m) - 1/2       functions m .. m + degree
    left      t = (x - t_0) / h                           functions 0 .. degree
    right     t = (x - t_G) / h                           functions G - 1 .. G - 1 + degree

with h = (t_G - t_0) / G. The order of differentiation and the rule of extrapolation are in the table,
so whoever evaluates sum_p table[p, n] t^p need not know of either.
"""

from __future__ import annotations

from functools import lru_cache

import torch
from torch import Tensor

from edgewise.kernels.bspline.reference import extend


@torch.no_grad()
def pieces(grid: Tensor, degree: int, order: int, extrapolation: str) -> Tensor:
    """Coefficients [input, class, power, function] of the order-th derivatives in x, in float64.

    grid (I, G+1) -> (I, G+2, k+1, k+1), on grid's device. The triangle of Cox and de Boor runs on
    polynomials in t: with |t| <= 1/2 rounding stays small. Few, large steps, because on a GPU every
    step is a launch.
    """
    k, I, G = degree, grid.shape[0], grid.shape[1] - 1
    grid = grid.double()
    width = grid.diff()
    # the knots that touch an interval, t_{m-k+1} .. t_{m+k}, in its own coordinate
    knots = extend(grid, k)[:, 1:-1].unfold(1, 2 * k, 1)
    knots = (knots - grid[:, :-1, None]) / width[..., None] - 0.5
    inside = grid.new_zeros(I, G, k + 1, k + 1)
    inside[..., 0, 0] = 1
    for q in range(1, k + 1):
        # degree q - 1 -> q: function n passes (right - t) share to n and (t - left) share to n + 1
        left, right = knots[..., None, k - q : k], knots[..., None, k : k + q]
        share = inside[..., :q, :q] / (right - left)
        inside = torch.zeros_like(inside)
        inside[..., :q, :q] += right * share
        inside[..., 1 : q + 1, :q] -= share
        inside[..., :q, 1 : q + 1] -= left * share
        inside[..., 1 : q + 1, 1 : q + 1] += share

    table = grid.new_zeros(I, G + 2, k + 1, k + 1)
    powers = torch.arange(k + 1, dtype=grid.dtype, device=grid.device)
    if order <= k:
        falling = torch.ones_like(powers)
        for j in range(order):
            falling = falling * (powers - j)  # p (p-1) .. (p-order+1)
        table[:, 1:-1, : k + 1 - order] = (inside * falling[:, None])[..., order:, :]
        table[:, 1:-1] /= width[..., None, None] ** order
    h = (grid[:, -1:] - grid[:, :1]) / G
    for outside, m, t in ((0, 0, -0.5), (G + 1, G - 1, 0.5)):
        value = t**powers @ inside[:, m]
        slope = (powers * t ** (powers - 1)) @ inside[:, m] / width[:, m, None]
        if extrapolation == "linear" and order == 0:
            table[:, outside, 0], table[:, outside, 1] = value, slope * h
        elif extrapolation == "linear" and order == 1:
            table[:, outside, 0] = slope
        elif extrapolation == "clamp" and order == 0:
            table[:, outside, 0] = value
    return table


@lru_cache
def even_pieces(
    degree: int, order: int, extrapolation: str, dtype: torch.dtype, device: torch.device
) -> Tensor:
    """The table for even knots: (3, k+1, k+1) for left, any interval, right, in units of h.

    Derivatives in x are these times h^-order. Held for the process: a few hundred bytes each, and
    building it anew would cost a GPU more launches than the op itself.
    """
    with torch.inference_mode(False):  # what is held must not depend on who asked first
        unit = torch.tensor([[0.0, 1.0]], dtype=torch.float64)
        return pieces(unit, degree, order, extrapolation)[0].to(device=device, dtype=dtype)
