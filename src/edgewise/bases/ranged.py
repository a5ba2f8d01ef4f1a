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

from edgewise.bases.base import Basis, Tensors, check_count, interval
from edgewise.kernels import native

# The squares of a cubic spline's differences: 1, -4, 6, -4, 1, over 4.
_SPLINE_ROUGHNESS = 70 / 4


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

    def __post_init__(self) -> None:
        check_count("grid", self.grid, 1)
        object.__setattr__(self, "range", interval(self.range))

    @property
    def rank(self) -> float:
        """Singular values that fits leave out, as a share of the largest; rounding is left out anyway."""
        return 0.0

    @property
    def follows(self) -> bool:
        """Whether the functions move with the limits."""
        return True

    @abstractmethod
    def unit(self, z: Tensor, shapes: Tensors, order: int) -> Tensor:
        """d^order B_k / dz^order: z (..., I) -> (..., I, K); shapes: the other tensors, (I, P) each."""

    def tensors(self, in_features: int, **factory: Any) -> dict[str, Tensor]:
        return {"limits": torch.tensor(self.range, **factory).repeat(in_features, 1)}

    def features(self, x: Tensor, tensors: Tensors, order: int = 0) -> Tensor:
        learnt = any(tensor.requires_grad for tensor in tensors.values())
        if torch.is_grad_enabled() and x.requires_grad and not learnt and native.eager(x):
            return _Features.apply(x, self, order, tuple(tensors), *tensors.values())
        return self.evaluated(x, tensors, order)

    def evaluated(self, x: Tensor, tensors: Tensors, order: int) -> Tensor:
        """``features`` by torch's own operations."""
        z, rate = self.placed(x, tensors)
        if self.outside == "own":
            values = self.unit(z, tensors, order)
        else:
            values = self._straight_outside(z, tensors, order)
        return values if order == 0 else product(values, rate[:, None] ** order)

    def placed(self, x: Tensor, tensors: Tensors) -> tuple[Tensor, Tensor]:
        """z (B, I) and dz/dx (I,)."""
        lower, upper = self.range_of(tensors)
        # each difference is exact near its end, so that the ends are -1 and 1 to the bit
        z = (x - lower).sub_(upper - x).div_(upper - lower)
        return z, 2 / (upper - lower)

    def _straight_outside(self, z: Tensor, tensors: Tensors, order: int) -> Tensor:
        if z.is_cpu and z.numel() and native.eager(z):
            least, most = torch.aminmax(z.detach())
            if -1.0 <= float(least) and float(most) <= 1.0:
                return self.unit(z, tensors, order)
        end = z.clamp(-1.0, 1.0)
        values = self.unit(end, tensors, order)
        if order == 1:
            return values
        if order > 1:
            return torch.where((z.abs() > 1.0)[..., None], 0.0, values)
        one, beyond = torch.ones_like(self.range_of(tensors)[0]), z - end
        first, last = self.unit(-one, tensors, 1), self.unit(one, tensors, 1)
        under, over = beyond.clamp_max(0.0), beyond.clamp_min(0.0)
        values = torch.addcmul(values, under[..., None], first)
        return torch.addcmul(values, over[..., None], last)

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

    def extended(
        self, tensors: Tensors, coef: Tensor, target: Basis, target_tensors: Tensors
    ) -> Tensor | None:
        if not isinstance(target, type(self)) or target.grid < self.grid:
            return None
        bound = tensors if self.follows else self.shape_names
        same = all(torch.equal(tensors[name], target_tensors[name]) for name in bound)
        alike = replace(target, grid=self.grid, range=self.range) == self
        return self.lifted(coef, target) if same and alike else None

    def lifted(self, coef: Tensor, larger: Self) -> Tensor | None:
        """Coefficients of the same curves in the family of a larger ``grid``, on the same tensors;
        None where it does not hold them."""
        return None

    def design_points(self, tensors: Tensors) -> Tensor:
        """The 2K Chebyshev points of each range."""
        lower, upper = self.range_of(tensors)
        return (lower + upper) / 2 + (upper - lower) / 2 * self.design(lower)[:, None]

    def design(self, like: Tensor) -> Tensor:
        """The design points on [-1, 1]."""
        N = 2 * self.size
        places = torch.arange(N, dtype=like.dtype, device=like.device) + 0.5
        return -torch.cos(places * (math.pi / N))

    def roughness(self, **factory: Any) -> Tensor:
        """R_kl ~ integral of B_k'' B_l'' over [-1, 1], by Gauss-Legendre.

        In units in which the roughest function counts as much as a cubic spline's, 70/4: as they
        are, the integrals grow as the fourth power of a degree, and a fit would not leave 0.
        """
        R = self.bending(self.tensors(1, dtype=torch.float64))[0]
        most = R.diagonal().amax().clamp_min(torch.finfo(R.dtype).tiny)
        return (_SPLINE_ROUGHNESS / most * R).to(**factory)

    def bending(self, tensors: Tensors) -> Tensor:
        """The integrals of B_k'' B_l'' by z over [-1, 1] for each input, by Gauss-Legendre: (I, K, K)."""
        nodes, weights = np.polynomial.legendre.leggauss(4 * self.size + 32)
        like = self.range_of(tensors)[0]
        z = torch.from_numpy(nodes).to(like)[:, None].expand(-1, len(like))
        bends = self.unit(z, {name: t.detach() for name, t in tensors.items()}, 2)
        bends = bends * torch.from_numpy(weights).to(like).sqrt()[:, None, None]
        R = torch.einsum("nik,nil->ikl", bends, bends)
        return (R + R.mT) / 2

    def project(self, points: Tensor, values: Tensor, tensors: Tensors) -> Tensor:
        """By singular values: functions that nearly depend on one another share a curve evenly."""
        A = self.features(points, tensors).transpose(0, 1)  # (I, N, K)
        U, s, Vh = torch.linalg.svd(A, full_matrices=False)
        rounding = len(points) * torch.finfo(A.dtype).eps
        least = s.amax(-1, keepdim=True) * max(rounding, self.rank)
        inverse = torch.where(s > least, 1 / s, 0.0)[..., None]
        solved = Vh.mT @ (inverse * (U.mT @ values.permute(2, 0, 1)))
        return solved.permute(2, 0, 1).contiguous()

    def to_dict(self) -> dict[str, Any]:
        options = {part.name: getattr(self, part.name) for part in fields(self) if part.init}
        return {"family": self.family} | options | {"range": list(self.range)}


class _Features(torch.autograd.Function):
    """``evaluated``, whose gradient is the features of the next order instead of a tape."""

    @staticmethod
    def forward(
        ctx: Any, x: Tensor, basis: Ranged, order: int, names: Sequence[str], *tensors: Tensor
    ) -> Tensor:
        ctx.save_for_backward(x, *tensors)
        ctx.basis, ctx.order, ctx.names = basis, order, names
        return basis.evaluated(x, dict(zip(names, tensors, strict=True)), order)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> Any:
        x, *tensors = ctx.saved_tensors
        own = dict(zip(ctx.names, tensors, strict=True))
        slopes = ctx.basis.features(x, own, ctx.order + 1)
        return product(slopes, gradients[0]).sum(-1), None, None, None, *(None for _ in tensors)


def stacked(rows: Sequence[Tensor]) -> Tensor:
    """K tensors (..., I) as (..., I, K), in memory (..., K, I), which is how they come."""
    return torch.stack(list(rows), dim=-2).mT


def product(a: Tensor, b: Tensor | float) -> Tensor:
    """a * b for an ``a`` that nobody else reads: in its own memory where that can do no harm.

    Not where a gradient is recorded, nor inside a transform, which may give b more dimensions.
    """
    tensors = (a, b) if isinstance(b, Tensor) else (a,)
    return a * b if torch.is_grad_enabled() or not native.eager(*tensors) else a.mul_(b)
