"""Bumps on even centres: Gaussians (FastKAN) and 1 - tanh^2 (FasterKAN)."""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import dataclass, field
from typing import ClassVar

import torch
from torch import Tensor

from edgewise.bases.base import Tensors
from edgewise.bases.horner import polynomial
from edgewise.bases.ranged import Ranged, product
from edgewise.bases.squash import tanh_factors
from edgewise.errors import InputError

# Further than so many widths from every centre all bumps are 0 in both precisions.
_FAR = 40.0


@dataclass(frozen=True)
class Bumps(Ranged):
    """B_m(z) = bump((z - t_m) / h), K = grid + 3.

    The centres t_m = -1 + (m - 1) 2/grid, m = 0 .. grid + 2, reach one spacing beyond either end.
    width: h in spacings. Outside the range the curves decay to 0. Constants and straight lines are
    not among them, so a layer's residual branch matters.
    """

    width: float = field(default=1.0, kw_only=True)

    outside: ClassVar[str] = "own"

    def __post_init__(self) -> None:
        super().__post_init__()
        if not 0.0 < self.width < _FAR:
            raise InputError(f"width is {self.width!r}; expected spacings, a number from 0 to 40.")

    @property
    def size(self) -> int:
        return self.grid + 3

    @abstractmethod
    def bump(self, v: Tensor, order: int) -> Tensor:
        """The derivative of the bump around 0 of width 1."""

    def unit(self, z: Tensor, shapes: Tensors, order: int) -> Tensor:
        spacing = 2 / self.grid
        h = self.width * spacing
        most = 1 + spacing + _FAR * h
        centres = torch.arange(-1, self.grid + 2, dtype=z.dtype, device=z.device) / self.width
        v = (z.clamp(-most, most) + 1)[..., None, :] / h - centres[:, None]
        values = self.bump(v, order)
        return (values if order == 0 else product(values, h**-order)).mT


@dataclass(frozen=True)
class GaussianRBF(Bumps):
    """exp(-v^2), v = (z - t_m) / h.

    As published: grid=5 on the range (-10/7, 10/7) has its 8 centres on [-2, 2], for inputs that
    come from a LayerNorm.
    Reference: Li, *Kolmogorov-Arnold Networks are Radial Basis Function Networks* (2024).
    """

    family: ClassVar[str] = "rbf"

    def bump(self, v: Tensor, order: int) -> Tensor:
        value = v.square().neg_().exp_()
        if order < 2:
            return value if order == 0 else product(product(value, v), -2.0)
        # (-1)^r H_r(v) exp(-v^2), H_{r+1} = 2 v H_r - 2 r H_{r-1}
        before, factor = torch.ones_like(v), -2 * v
        for r in range(1, order):
            before, factor = factor, -2 * (v * factor + r * before)
        return factor * value


@dataclass(frozen=True)
class RSWAF(Bumps):
    """1 - tanh^2(v), v = (z - t_m) / h: the reflectional switch activation.

    As published: two spacings wide on eight centres from -1.2 to 0.2, without a residual branch.
    Reference: Delis, *FasterKAN* (2024).
    """

    family: ClassVar[str] = "rswaf"

    def bump(self, v: Tensor, order: int) -> Tensor:
        # tanh v = 2 s - 1, and 1 - tanh^2 v = 4 s (1 - s)
        s = torch.sigmoid(2 * v)
        if order < 2:
            value = product(torch.addcmul(s, s, s, value=-1), 4.0)
            return value if order == 0 else product(value, 2 - 4 * s)
        # the derivative of tanh, once more than asked
        return polynomial(tanh_factors(order + 1)[1], 2 * s - 1)
