"""What a family of edge functions must offer to stand on every edge of the one layer."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import torch
from torch import Tensor

from edgewise.errors import InputError
from edgewise.kernels.residual import full_precision, mixed

Tensors = Mapping[str, Tensor]


class Basis(ABC):
    """A family of functions B_1..B_K of one variable, as a frozen value.

    The basis itself holds numbers only; the tensors it needs for I inputs (knots, for splines) are
    made by ``tensors`` and held by the layer. Shapes: B samples, I inputs, O outputs, K = ``size``.
    """

    family: ClassVar[str]
    # what ``tensors`` makes, by name
    tensor_names: ClassVar[tuple[str, ...]]
    # those of them that are learnt: one row an input, which only this input's functions depend on
    shape_names: ClassVar[tuple[str, ...]] = ()

    @property
    @abstractmethod
    def size(self) -> int:
        """K, the number of basis functions."""

    @abstractmethod
    def tensors(self, in_features: int, **factory: Any) -> dict[str, Tensor]:
        """The tensors for I inputs at the start, by name."""

    @abstractmethod
    def features(self, x: Tensor, tensors: Tensors, order: int = 0) -> Tensor:
        """B_k^(order)(x): (B, I) -> (B, I, K)."""

    def expand(self, x: Tensor, tensors: Tensors) -> Tensor:
        """``features`` of the values, for callers with very many samples: a kernel's where there is one."""
        return self.features(x, tensors)

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
        """y_bo = sum_i mask_oi [scale_oi sum_k coef_oik B_k(x_bi) + scale_base_oi b(x_bi)].

        x (B, I), coef (O, I, K), scale, scale_base and mask (O, I) -> (B, O); b is
        RESIDUALS[residual]. An input that no edge reads may hold anything. A family with a faster way
        than dense features says so here.
        """
        x = torch.where((mask != 0).any(0), x, 0.0)  # 0 times infinity is not 0
        features = self.features(x, tensors)
        return mixed(features, x, coef, scale * mask, scale_base * mask, residual)

    def local(self, x: Tensor, tensors: Tensors) -> tuple[Tensor, Tensor]:
        """The functions that may differ from 0 at x: values (B, I, n) and the first's index (B, I).

        Functions first .. first + n - 1 of each input; the others are 0 there. A family without
        local support gives all K from index 0.
        """
        return self.features(x, tensors), torch.zeros(x.shape, dtype=torch.int64, device=x.device)

    def pull(self, x: Tensor, tensors: Tensors, coef: Tensor, g: Tensor) -> Tensor:
        """sum_o g_bo sum_k coef_oik B_k'(x_bi): x (B, I), coef (O, I, K), g (B, O) -> (B, I)."""
        with full_precision(x):
            slopes = self.features(x, tensors, 1)
            return ((g @ coef.flatten(1)).view(slopes.shape) * slopes).sum(-1)

    @abstractmethod
    def range_of(self, tensors: Tensors) -> tuple[Tensor, Tensor]:
        """The interval of each input on which the basis resolves detail: two (I,) tensors."""

    @abstractmethod
    def adapt(self, x: Tensor, tensors: Tensors) -> dict[str, Tensor]:
        """Tensors whose ranges follow the samples x (B, I); a constant input keeps its own."""

    @abstractmethod
    def resized(self, grid: int) -> Basis:
        """The same family with another size."""

    @abstractmethod
    def refined(self, tensors: Tensors, finer: Basis) -> dict[str, Tensor]:
        """The tensors for the resized basis ``finer`` on the same ranges."""

    @abstractmethod
    def design_points(self, tensors: Tensors) -> Tensor:
        """Points (N, I) that determine a function of the family well, N >= K."""

    @abstractmethod
    def roughness(self, **factory: Any) -> Tensor:
        """R (K, K), positive semi-definite: c'Rc is small for smooth curves, 0 for lines."""

    def roughness_of(self, tensors: Tensors) -> Tensor:
        """``roughness`` of each input's own functions: (I, K, K)."""
        like = self.range_of(tensors)[0]
        R = self.roughness(dtype=like.dtype, device=like.device)
        return R.expand(len(like), *R.shape)

    @abstractmethod
    def to_dict(self) -> dict[str, Any]:
        """A JSON object from which ``bases.from_dict`` makes the same basis."""

    def fit(self, x: Tensor, y: Tensor, tensors: Tensors, ridge: float = 1e-14) -> Tensor:
        """Least-squares coefficients of sampled curves: x (N, I), y (N, O, I) -> (O, I, K).

        In float64 by QR of the features over sqrt(ridge) I, ``ridge`` relative to their mean square
        sum, so that intervals without samples stay finite; a second solve on the residual takes
        the ridge's bias away where there are samples.
        """
        A = self.features(x, tensors).transpose(0, 1).double()  # (I, N, K)
        Y = y.permute(2, 0, 1).double()  # (I, N, O)
        level = A.square().sum(-2).mean(-1)
        level = torch.where(level > 0, level, 1.0)
        identity = torch.eye(self.size, dtype=A.dtype, device=x.device)
        R = torch.linalg.qr(
            torch.cat([A, (ridge * level).sqrt()[:, None, None] * identity], dim=1), mode="r"
        ).R

        def solved(right: Tensor) -> Tensor:  # (R'R)^-1 A' right
            half = torch.linalg.solve_triangular(R.mT, A.mT @ right, upper=False)
            return torch.linalg.solve_triangular(R, half, upper=True)

        c = solved(Y)
        for _ in range(2):
            c = c + solved(Y - A @ c)
        return c.permute(2, 0, 1).to(y.dtype).contiguous()

    def project(self, points: Tensor, values: Tensor, tensors: Tensors) -> Tensor:
        """As ``fit`` without a ridge, for samples at ``design_points``."""
        A = self.features(points, tensors).transpose(0, 1)
        Q, R = torch.linalg.qr(A)
        right = Q.mT @ values.permute(2, 0, 1)
        solved = torch.linalg.solve_triangular(R, right, upper=True)
        return solved.permute(2, 0, 1).contiguous()

    def extended(
        self, tensors: Tensors, coef: Tensor, target: Basis, target_tensors: Tensors
    ) -> Tensor | None:
        """Coefficients (O, I, K') of the same curves in ``target``, where they follow from those
        here without a fit; else None."""
        return None


def curves(features: Tensor, coef: Tensor) -> Tensor:
    """Every edge's curve: features (B, I, K), coef (O, I, K) -> (B, O, I)."""
    # one (B, K) x (K, O) product an input
    return torch.bmm(features.transpose(0, 1), coef.permute(1, 2, 0)).permute(1, 2, 0)


def moved(
    basis: Basis, tensors: Tensors, coef: Tensor, target: Basis, target_tensors: Tensors
) -> Tensor:
    """Coefficients (O, I, K') of the same curves on another grid or size of the family.

    Exact to rounding when the new functions span the old ones (a larger family of polynomials,
    refinement by subdivision); otherwise the least-squares fit at the new basis's design points.
    """
    exact = basis.extended(tensors, coef, target, target_tensors)
    return fitted(basis, tensors, coef, target, target_tensors) if exact is None else exact


def fitted(
    basis: Basis, tensors: Tensors, coef: Tensor, target: Basis, target_tensors: Tensors
) -> Tensor:
    """As ``moved``, always by least squares."""
    points = target.design_points(target_tensors)
    values = curves(basis.features(points, tensors), coef)
    return target.project(points, values, target_tensors)


def check_count(name: str, value: int, least: int, most: int | None = None) -> None:
    """Raise InputError unless ``value`` is an integer in [least, most]."""
    fits = isinstance(value, int) and not isinstance(value, bool) and value >= least
    if not fits or (most is not None and value > most):
        limit = f"an integer >= {least}" if most is None else f"an integer from {least} to {most}"
        raise InputError(f"{name} is {value!r}; expected {limit}.")


def interval(limits: Sequence[float]) -> tuple[float, float]:
    """The range as two floats, or an InputError."""
    try:
        lower, upper = (float(limit) for limit in limits)
        if -math.inf < lower < upper < math.inf:
            return lower, upper
    except (TypeError, ValueError):
        pass
    raise InputError(f"range is {limits!r}; expected (lower, upper), finite and lower < upper.")
