"""Rational functions: polynomials over a trained denominator without real zeros."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, ClassVar, Self

import torch
from torch import Tensor

from edgewise.bases.base import Tensors, check_count
from edgewise.bases.horner import polynomial
from edgewise.bases.polynomials import Chebyshev
from edgewise.bases.shaped import Shaped


@dataclass(frozen=True)
class Rational(Shaped):
    """B_j(z) = T_j(z) / Q(z), j = 0..grid, with Q = 1 + (b_0 + b_1 z + .. + b_n z^n)^2; K = grid + 1.

    Every edge has its own numerator; the edges that leave an input share its denominator, whose b are
    trained. Q >= 1: no pole on the real line, and smooth. Peaks and flanks that polynomials reach
    with high degrees only are found by moving b, for example 1 / (1 + 25 z^2) by b = (0, 5, 0).
    With grid > 2n the family holds the straight lines, whatever b.

    grid: the degree of the numerators. denominator_degree: n. At the start b = (0, 1, 0, ..): at
    b = 0 the loss would not depend on b. Beyond the range: straight on. Refinement: exact.

    Tensors: limits (I, 2); denominator (I, n+1), trained.
    Reference: N. Boulle, Y. Nakatsukasa, A. Townsend, *Rational Neural Networks* (2020).
    """

    denominator_degree: int = 2

    family: ClassVar[str] = "rational"
    tensor_names: ClassVar[tuple[str, ...]] = ("limits", "denominator")
    shape_names: ClassVar[tuple[str, ...]] = ("denominator",)

    def __post_init__(self) -> None:
        super().__post_init__()
        check_count("denominator_degree", self.denominator_degree, 1, 8)

    @property
    def size(self) -> int:
        return self.grid + 1

    def tensors(self, in_features: int, **factory: Any) -> dict[str, Tensor]:
        b = torch.zeros(in_features, self.denominator_degree + 1, **factory)
        b[:, 1] = 1.0
        return super().tensors(in_features, **factory) | {"denominator": b}

    def unit(self, z: Tensor, shapes: Tensors, order: int) -> Tensor:
        """From (B Q)^(r) = T^(r) by Leibniz's rule, for r = 0, 1, .., order."""
        Q = [q[..., None] for q in _denominators(z, shapes["denominator"], order)]
        B: list[Tensor] = []
        numerators = Chebyshev(self.grid)
        for r in range(order + 1):
            T = numerators.unit(z, {}, r)
            for m in range(r):
                T = T - math.comb(r, m) * B[m] * Q[r - m]
            B.append(T / Q[0])
        return B[order]

    def lifted(self, coef: Tensor, larger: Self) -> Tensor:
        return torch.nn.functional.pad(coef, (0, larger.size - self.size))

    def carried(self, tensors: Tensors, factor: Tensor, shift: Tensor) -> dict[str, Tensor]:
        """b' of p(factor w + shift) = sum_j b'_j w^j: the same Q as a function of x."""
        b = tensors["denominator"].unbind(1)
        new = [
            sum(
                (math.comb(m, j) * b[m] * shift ** (m - j) for m in range(j + 1, len(b))),
                start=b[j],
            )
            * factor**j
            for j in range(len(b))
        ]
        return {"denominator": torch.stack(new, dim=1)}


def _denominators(z: Tensor, b: Tensor, order: int) -> list[Tensor]:
    """Q, Q', .., Q^(order) at z (..., I), b (I, n+1)."""
    p = [polynomial(b.unbind(1), z, r) for r in range(order + 1)]
    Q = [
        sum((math.comb(r, m) * p[m] * p[r - m] for m in range(r)), start=p[r] * p[0])
        for r in range(order + 1)
    ]
    return [1.0 + Q[0], *Q[1:]]
