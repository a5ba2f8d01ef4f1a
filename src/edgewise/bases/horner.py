"""Polynomials by their coefficients."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor


def polynomial(coefficients: Sequence[float | Tensor], t: Tensor, order: int = 0) -> Tensor:
    """The derivative of that order of sum_m c_m t^m, by Horner's rule; each c_m a number, or a tensor
    that broadcasts to t."""
    rows = [math.perm(m, order) * c for m, c in enumerate(coefficients) if m >= order]
    if len(rows) < 2:
        return torch.zeros_like(t) + rows[0] if rows else torch.zeros_like(t)
    value = t * rows[-1] + rows[-2]
    for c in rows[-3::-1]:
        value = value * t + c
    return value
