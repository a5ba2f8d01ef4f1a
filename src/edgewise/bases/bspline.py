"""B-splines: piecewise polynomials on knots that can follow the data and be refined exactly."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any, ClassVar

import torch
from torch import Tensor

from edgewise.bases.base import Basis, Tensors, check_count, interval
from edgewise.errors import InputError
from edgewise.kernels.bspline import ops, plain
from edgewise.kernels.bspline.contract import Spline

# Below this share of the mean spacing two knots count as one; see ``adapt``.
_LEAST_SPACING = 1e-2


@dataclass(frozen=True)
class BSpline(Basis):
    """B-splines of a degree on G intervals an input; K = grid + degree.

    grid: G, the number of intervals. degree: 1 to 5. range: the interval of the knots at the start.
    extrapolation: beyond the range the curve goes on with its end's slope ("linear"), is 0
    ("zero"), or holds its end's value ("clamp"). grid_eps: when knots follow samples, 1 spaces
    them uniformly and 0 puts them at quantiles; between, t = eps * uniform + (1 - eps) * quantiles.

    Tensors: grid (I, G+1), increasing.
    Reference: C. de Boor, *A Practical Guide to Splines* (1978).
    """

    grid: int = 5
    degree: int = 3
    range: tuple[float, float] = (-1.0, 1.0)
    extrapolation: str = "linear"
    grid_eps: float = 1.0
    # what the kernels need to know of this basis
    spline: Spline = field(init=False, repr=False, compare=False)

    family: ClassVar[str] = "bspline"
    tensor_names: ClassVar[tuple[str, ...]] = ("grid",)

    def __post_init__(self) -> None:
        check_count("grid", self.grid, 1)
        check_count("degree", self.degree, 1, 5)
        object.__setattr__(self, "range", interval(self.range))
        if not 0.0 <= self.grid_eps <= 1.0:
            raise InputError(f"grid_eps is {self.grid_eps}; expected a number from 0 to 1.")
        even = self.grid_eps == 1.0
        object.__setattr__(self, "spline", Spline(self.degree, even, self.extrapolation))

    @property
    def size(self) -> int:
        return self.grid + self.degree

    def tensors(self, in_features: int, **factory: Any) -> dict[str, Tensor]:
        knots = torch.linspace(*self.range, self.grid + 1, **factory)
        return {"grid": knots.repeat(in_features, 1)}

    def features(self, x: Tensor, tensors: Tensors, order: int = 0) -> Tensor:
        return plain.features(x, tensors["grid"], order, self.spline)

    def expand(self, x: Tensor, tensors: Tensors) -> Tensor:
        return ops.features(x, tensors["grid"], self.spline)

    def mix(
        self,
        x: Tensor,
        tensors: Tensors,
        coef: Tensor,
        scale: Tensor,
        scale_base: Tensor,
        mask: Tensor,
        residual: str,
    ) -> Tensor:
        return ops.mix(x, tensors["grid"], coef, scale, scale_base, mask, self.spline, residual)

    def local(self, x: Tensor, tensors: Tensors) -> tuple[Tensor, Tensor]:
        return plain.local(x, tensors["grid"], self.spline)

    def pull(self, x: Tensor, tensors: Tensors, coef: Tensor, g: Tensor) -> Tensor:
        return ops.pull(x, tensors["grid"], coef, g, 1, self.spline)

    def range_of(self, tensors: Tensors) -> tuple[Tensor, Tensor]:
        return tensors["grid"][:, 0], tensors["grid"][:, -1]

    def adapt(self, x: Tensor, tensors: Tensors) -> dict[str, Tensor]:
        """Knots from samples x (B, I).

        The range is that of the samples widened by 2/B of its length on both sides, about the gap
        that an unseen sample may fall into. Spacings are kept above a hundredth of the mean one,
        and an input that never varies keeps its old knots: a zero spacing would divide 0 by 0.
        """
        old = tensors["grid"]
        x = x.detach()
        B = x.shape[0]
        lower, upper = x.amin(0), x.amax(0)
        alive = upper - lower > 1e-12 * torch.maximum(lower.abs(), upper.abs()).clamp_min(1e-300)
        margin = (upper - lower) * min(2.0 / B, 0.05)
        lower, upper = lower - margin, upper + margin
        fractions = torch.linspace(0, 1, self.grid + 1, dtype=x.dtype, device=x.device)
        knots = lower[:, None] + (upper - lower)[:, None] * fractions
        if self.grid_eps < 1.0:
            quantiles = torch.quantile(x, fractions, dim=0).T
            quantiles[:, 0], quantiles[:, -1] = lower, upper
            knots = self.grid_eps * knots + (1.0 - self.grid_eps) * quantiles
        return {"grid": torch.where(alive[:, None], _spread(knots), old)}

    def resized(self, grid: int) -> BSpline:
        return replace(self, grid=grid)

    def refined(self, tensors: Tensors, finer: Basis) -> dict[str, Tensor]:
        """Subdivide the existing intervals: knot n of G' lies at the fraction n/G' of the old knot
        sequence, so that for G' a multiple of G every old knot stays and no function is lost."""
        old = tensors["grid"]
        G = finer.size - self.degree
        numerators = torch.arange(G + 1, device=old.device) * self.grid
        index = (numerators // G).clamp_max(self.grid - 1)
        share = (numerators - index * G).to(old.dtype) / G
        knots = old[:, index] + (old[:, index + 1] - old[:, index]) * share
        knots[:, -1] = old[:, -1]
        return {"grid": knots}

    def design_points(self, tensors: Tensors) -> Tensor:
        """degree + 1 Chebyshev points inside each interval."""
        grid, n = tensors["grid"], self.degree + 1
        angles = (torch.arange(n, dtype=grid.dtype, device=grid.device) + 0.5) * (torch.pi / n)
        inside = (1 - torch.cos(angles)) / 2
        points = grid[:, :-1, None] + (grid[:, 1:] - grid[:, :-1])[..., None] * inside
        return points.flatten(1).T.contiguous()

    def roughness(self, **factory: Any) -> Tensor:
        """Differences of order degree + 1 of the coefficients, squared, over 4.

        They vanish for one polynomial over all intervals, so that a coefficient at an end that no
        sample sees goes on as the last piece does. (P. Eilers, B. Marx, P-splines, 1996.)
        """
        order = min(self.degree + 1, self.size - 1)
        differences = torch.eye(self.size, **factory).diff(n=order, dim=0)
        return differences.T @ differences / 4

    def to_dict(self) -> dict[str, Any]:
        return {
            "family": self.family,
            "grid": self.grid,
            "degree": self.degree,
            "range": list(self.range),
            "extrapolation": self.extrapolation,
            "grid_eps": self.grid_eps,
        }


def _spread(knots: Tensor) -> Tensor:
    """Keep the ends and push knots apart where they fall together (repeated samples)."""
    length = knots[:, -1:] - knots[:, :1]
    least = _LEAST_SPACING * length / (knots.shape[1] - 1)
    spacing = torch.maximum(knots.diff(dim=1), least)
    positions = torch.cumsum(spacing, dim=1)
    positions = positions / positions[:, -1:] * length
    spread = torch.cat([knots[:, :1], knots[:, :1] + positions], dim=1)
    # Uniform knots pass unchanged, to the bit.
    untouched = (knots.diff(dim=1) >= least).all(dim=1, keepdim=True)
    return torch.where(untouched, knots, spread)
