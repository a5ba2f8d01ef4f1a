"""Bernstein polynomials: never negative, and 1 together."""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import pairwise
from typing import ClassVar, Self

import torch
from torch import Tensor

from edgewise.bases.base import Tensors
from edgewise.bases.polynomials import Polynomial
from edgewise.bases.ranged import stacked


@dataclass(frozen=True)
class Bernstein(Polynomial):
    """B_m(s) = binomial(n, m) s^m (1 - s)^(n - m), s = (1 + z) / 2, m = 0 .. n, n = grid.

    Coefficients are the curve's control points: the curve stays among them, starts at the first and
    ends at the last. A coefficient determines its curve worse with every degree, by 2^n; above 20 take
    splines. With squash="tanh", s = 1 / (1 + exp(-2 x)).
    Reference: R. Farouki, *The Bernstein Polynomial Basis: A Centennial Retrospective* (2012).
    """

    family: ClassVar[str] = "bernstein"

    def unit(self, z: Tensor, shapes: Tensors, order: int) -> Tensor:
        if order > self.grid:
            return stacked([torch.zeros_like(z)] * self.size)
        rows = _values(self.grid - order, (1 + z) / 2, (1 - z) / 2)
        for n in range(self.grid - order + 1, self.size):
            # dB_m^n/dz = n/2 (B_{m-1}^{n-1} - B_m^{n-1})
            between = [(a - b) * (n / 2) for a, b in pairwise(rows)]
            rows = [rows[0] * (-n / 2), *between, rows[-1] * (n / 2)]
        return stacked(rows)

    def lifted(self, coef: Tensor, larger: Self) -> Tensor:
        """Degree elevation: c'_j = sum_m c_m binomial(n, m) binomial(N - n, j - m) / binomial(N, j)."""
        n, N = self.grid, larger.grid
        rows = [
            [math.comb(n, m) * math.comb(N - n, j - m) / math.comb(N, j) if m <= j else 0.0
             for j in range(N + 1)]
            for m in range(n + 1)
        ]  # fmt: skip
        return coef @ torch.tensor(rows, dtype=coef.dtype, device=coef.device)


def _values(n: int, s: Tensor, rest: Tensor) -> list[Tensor]:
    """The n + 1 functions of degree n, from powers of s and of rest = 1 - s."""
    up, down = [torch.ones_like(s)], [torch.ones_like(s)]
    for _ in range(n):
        up.append(up[-1] * s)
        down.append(down[-1] * rest)
    return [up[m] * down[n - m] * math.comb(n, m) for m in range(n + 1)]
