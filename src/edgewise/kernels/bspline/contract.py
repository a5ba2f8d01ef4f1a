"""What the three spline ops compute, stated once for every backend.

With B^(r) the r-th derivative of the basis on one input's knots (``reference.dense``),

    F_r(x, c, u)[b, o]    = sum_i u_bi sum_k B_k^(r)(x_bi) c_oik          (u = None means 1)
    D_r(x, c, g)[b, i]    = sum_o g_bo sum_k B_k^(r)(x_bi) c_oik
    H_r(x, g, u)[o, i, k] = sum_b g_bo u_bi B_k^(r)(x_bi)

for x, u (B, I), grid (I, G+1), c (O, I, K) with K = G + degree, and g (B, O), all of one dtype
(float32 or float64) and on one device. A backend is a module with the three functions

    forward(x, grid, c, u, order, spline) -> (B, O)
    pull(x, grid, c, g, order, spline)    -> (B, I)
    outer(x, grid, g, u, order, spline)   -> (O, I, K)

A NaN gives NaN, and an infinite x may.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Spline:
    """The static part of a spline: its degree, whether its knots are even, and what lies outside.

    ``extrapolation`` is "linear" (value and slope go on), "zero", or "clamp" (the end's value).
    """

    degree: int
    uniform: bool
    extrapolation: str
