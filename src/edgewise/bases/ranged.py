"""Families on an interval an input, mapped to [-1, 1]: what all of them share."""

from __future__ import annotations

import math
from abc import abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass, field, fields, replace
from typing import Any, ClassVar, Self

import numpy as np
import torch
from torch import Tensor

from edgewise.bases.base import Basis, Tensors, check_count
from edgewise.errors import InputError


@dataclass(frozen=True)
class Ranged(Basis):
    """B_1..B_K on [lower_i, upper_i] of each input, from functions of one variable on [-1, 1].

    ::

        B_k(x) = unit_k(z),    z = (2 x - lower - upper) / (upper - lower)
        B_k^(r)(x) = unit_k^(r)(z) (2 / (upper - lower))^r

    A family gives ``size`` and ``unit``. ``outside`` says how its functions go on beyond the range:
    "linear", with the end's value and slope, or "own", by their own formula, which decays or repeats.

    grid: the size, as large as for splines of so many intervals; each family says what it counts.
    range: the interval of every input at the start; ``adapt`` makes it that of the samples.

    Tensors: limits (I, 2), and by the names in ``shape_names`` those that the family makes.
    """

    grid: int = 5
    range: tuple[float, float] = field(default=(-1.0, 1.0), kw_only=True)

    tensor_names: ClassVar[tuple[str, ...]] = ("limits",)
    outside: ClassVar[str] = "linear"
    # the least ``grid``
    least: ClassVar[int] = 1

    def __post_init__(self) -> None:
        check_count("grid", self.grid, self.least)
        object.__setattr__(self, "range", interval(self.range))

    @abstractmethod
    def unit(self, z: Tensor, shapes: Tensors, order: int) -> Tensor:
        """d^order B_k / dz^order: z (..., I) -> (..., I, K); shapes: the other tensors, (I, P) each."""

    def tensors(self, in_features: int, **factory: Any) -> dict[str, Tensor]:
        return {"limits": torch.tensor(self.range, **factory).repeat(in_features, 1)}

    def features(self, x: Tensor, tensors: Tensors, order: int = 0) -> Tensor:
        lower, upper = self.range_of(tensors)
        # each difference is exact near its end, so that the ends are -1 and 1 to the bit
        z = ((x - lower) - (upper - x)) / (upper - lower)
        rate = (2 / (upper - lower))[:, None] ** order
        if self.outside == "own":
            return self.unit(z, tensors, order) * rate
        end = z.clamp(-1.0, 1.0)
        values = self.unit(end, tensors, order)
        if order == 0:
            one = torch.ones_like(lower)
            first, last = self.unit(-one, tensors, 1), self.unit(one, tensors, 1)
            beyond = z - end
            under, over = beyond.clamp_max(0.0), beyond.clamp_min(0.0)
            return values + under[..., None] * first + over[..., None] * last
        if order > 1:
            values = torch.where((z.abs() > 1.0)[..., None], 0.0, values)
        return values * rate

    def range_of(self, tensors: Tensors) -> tuple[Tensor, Tensor]:
        return tensors["limits"][:, 0], tensors["limits"][:, 1]

    def adapt(self, x: Tensor, tensors: Tensors) -> dict[str, Tensor]:
        """The range is that of the samples x (B, I); other tensors stay."""
        old = tensors["limits"]
        x = x.detach()
        lower, upper = x.amin(0), x.amax(0)
        alive = upper - lower > 1e-12 * torch.maximum(lower.abs(), upper.abs()).clamp_min(1e-300)
        new = torch.stack([lower, upper], dim=1).to(old.dtype)
        return {**tensors, "limits": torch.where(alive[:, None], new, old)}

    def resized(self, grid: int) -> Self:
        return replace(self, grid=grid)

    def refined(self, tensors: Tensors, finer: Basis) -> dict[str, Tensor]:
        """The same ranges and shapes."""
        return dict(tensors)

    def design_points(self, tensors: Tensors) -> Tensor:
        """The 2K Chebyshev points of each range."""
        lower, upper = self.range_of(tensors)
        N = 2 * self.size
        angles = (torch.arange(N, dtype=lower.dtype, device=lower.device) + 0.5) * (math.pi / N)
        return (lower + upper) / 2 - (upper - lower) / 2 * torch.cos(angles)[:, None]

    def roughness(self, **factory: Any) -> Tensor:
        """R_kl = integral of B_k'' B_l'' over [-1, 1], by Gauss-Legendre."""
        nodes, weights = np.polynomial.legendre.leggauss(4 * self.size + 32)
        z = torch.from_numpy(nodes)[:, None]
        shapes = self.tensors(1, dtype=torch.float64)
        bends = self.unit(z, shapes, 2)[:, 0].detach() * torch.from_numpy(weights).sqrt()[:, None]
        R = bends.T @ bends
        return ((R + R.T) / 2).to(**factory)

    def to_dict(self) -> dict[str, Any]:
        options = {part.name: getattr(self, part.name) for part in fields(self) if part.init}
        return {"family": self.family} | options | {"range": list(self.range)}


def interval(limits: Sequence[float]) -> tuple[float, float]:
    """The range as two floats, or an InputError."""
    try:
        lower, upper = (float(limit) for limit in limits)
        if -math.inf < lower < upper < math.inf:
            return lower, upper
    except (TypeError, ValueError):
        pass
    raise InputError(f"range is {limits!r}; expected (lower, upper), finite and lower < upper.")
