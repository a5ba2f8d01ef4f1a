"""Least squares by a quotient whose numerator and denominator are linear in their coefficients."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True, eq=False)
class Quotient:
    """sum_n scale_n^2 ((A p)_n / (1 + B q)_n - t_n)^2 as `levenberg_marquardt.minimise` takes it.

    above: A (N, K); below: B (N, M); t, scale: (N,). The coefficients are one vector (p, q).
    """

    above: Tensor
    below: Tensor
    t: Tensor
    scale: Tensor

    def _parts(self, c: Tensor) -> tuple[Tensor, Tensor]:
        """The quotient's values and one over its denominator, (N,) each."""
        K = self.above.shape[1]
        inverse = (1 + self.below @ c[K:]).reciprocal()
        return (self.above @ c[:K]) * inverse, inverse

    def loss(self, c: Tensor) -> float:
        return float(((self._parts(c)[0] - self.t) * self.scale).square().sum())

    def linearised(self, c: Tensor) -> tuple[float, Tensor, Tensor]:
        """The loss, J'J and J'r."""
        value, inverse = self._parts(c)
        r = (value - self.t) * self.scale
        J = torch.cat([self.above, -value[:, None] * self.below], dim=1)
        J = J * (inverse * self.scale)[:, None]
        return float(r.square().sum()), J.T @ J, J.T @ r
