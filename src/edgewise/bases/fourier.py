"""Fourier series: cosines and sines."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import ClassVar, Self

import torch
from torch import Tensor

from edgewise.bases.base import Tensors
from edgewise.bases.ranged import Ranged, stacked
from edgewise.errors import InputError

# d^r/dt^r of (cos t, sin t) is (cos, sin) turned by r quarters: which, and its sign
_COS = (("cos", 1), ("sin", -1), ("cos", -1), ("sin", 1))
_SIN = (("sin", 1), ("cos", 1), ("sin", -1), ("cos", -1))


@dataclass(frozen=True)
class Fourier(Ranged):
    """1, cos(m t), sin(m t), m = 1 .. M, t = pi z / 2; M = grid // 2 + 1 and K = 2 M + 1.

    period: None lets the functions repeat after twice the range, so that a curve whose ends differ
    has no jump to fit. A number is the period in x itself, whatever the range; as published, 2 pi.
    Outside the range curves repeat.

    On half a period many harmonics nearly depend on one another: coefficients are then determined
    worse than curves.
    Reference: Xu et al., *FourierKAN-GCF* (2024).
    """

    period: float | None = field(default=None, kw_only=True)

    family: ClassVar[str] = "fourier"
    outside: ClassVar[str] = "own"

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.period is not None and not 0.0 < self.period < math.inf:
            raise InputError(f"period is {self.period!r}; expected a number > 0, or None.")

    @property
    def harmonics(self) -> int:
        return self.grid // 2 + 1

    @property
    def size(self) -> int:
        return 2 * self.harmonics + 1

    @property
    def follows(self) -> bool:
        return self.period is None

    def placed(self, x: Tensor, tensors: Tensors) -> tuple[Tensor, Tensor]:
        if self.period is None:
            return super().placed(x, tensors)
        rate = 4 / self.period
        return x * rate, x.new_full(x.shape[1:], rate)

    def unit(self, z: Tensor, shapes: Tensors, order: int) -> Tensor:
        t = z * (math.pi / 2)
        cos, sin = torch.cos(t), torch.sin(t)
        rows = [torch.full_like(z, 1.0 if order == 0 else 0.0)]
        turn = {"cos": cos, "sin": sin}
        for m in range(1, self.harmonics + 1):
            if m > 1:  # one turn further by the addition theorem
                c, s = turn["cos"], turn["sin"]
                turn = {"cos": c * cos - s * sin, "sin": s * cos + c * sin}
            factor = (m * math.pi / 2) ** order
            for name, sign in (_COS[order % 4], _SIN[order % 4]):
                rows.append(turn[name] if order == 0 else turn[name] * (sign * factor))
        return stacked(rows)

    def lifted(self, coef: Tensor, larger: Self) -> Tensor:
        return torch.nn.functional.pad(coef, (0, larger.size - self.size))
