"""The prior that holds what few samples see: Levenberg-Marquardt adds it to the loss, layer by layer."""

from __future__ import annotations

from typing import Any, Protocol

import torch
from torch import Tensor
from torch.nn import functional

from edgewise.bases import BSpline
from edgewise.nn import KANLayer
from edgewise.nn.starts import moments

# With the weight of the prior, half the mean square of each term of an edge, over N: as if it were
# N(0, 1).
_RIDGE = 1 / 8
# The roughness of a function over its mean square and the number of functions, at most.
_ROUGHEST = 64.0
# What the logarithm of splines' relative roughness is worth beside the other families' prior: a fifth
# leaves short fits from a cold start as fast as without it.
_LOGARITHM = 1 / 5
# How much stiffer than its pull a prior holds an edge's size within one step.
_STIFF = 100.0


class Prior(Protocol):
    """A quadratic function of a layer's weights (E, K+1), fixed anew at every linearisation."""

    def fix(self, block: Tensor, loss: float) -> None:
        """Fix the quadratic at these weights and this loss of the data."""

    def value(self, block: Tensor) -> float: ...

    def curvature(self, block: Tensor) -> tuple[Tensor, Tensor]:
        """Second derivatives (E, K+1, K+1), or (K+1, K+1) for all edges, and the gradient (E, K+1)."""


class Bends:
    """For splines: a fifth of weight * loss * E log(sum c'Rc / sum c'Vc), the sums over a layer's E edges.

    R = D'D / 4 with the differences D of order k + 2; V takes the mean away. The logarithm weighs
    differences by what they are on the whole: one that only a handful of samples sees is then held
    among its like to all digits that the fit has, and goes on as its neighbours do. Neither the hidden
    values' units nor the fineness of the grid matter. Differences below the residuals' size are none:
    sum c'Rc >= loss * sum c'Vc. Edges share the sums: one that has none must be free to get some.

    At c0 the logarithm is replaced by w [c'Rc - 2 m c0'V(c - c0) + s m (c - c0)'V(c - c0)] with
    w = E / sum c0'Rc0, m = sum c0'Rc0 / sum c0'Vc0, which has its gradient there; s keeps an edge that
    no data hold from growing within a step. (P. Eilers, B. Marx, P-splines, 1996, for differences.)
    """

    def __init__(self, basis: BSpline, weight: float, **factory: Any) -> None:
        self.weight, K = _LOGARITHM * weight, basis.size
        self.order = min(basis.degree + 2, K - 1)
        D = torch.eye(K, **factory).diff(n=self.order, dim=0)
        self.R = D.T @ D / 4
        self.V = torch.eye(K, **factory) - 1.0 / K

    def fix(self, block: Tensor, loss: float) -> None:
        self.origin = block[:, :-1].clone()
        rough = float(self._rough(self.origin))
        spread = max(float((self.origin @ self.V).square().sum()), 1e-300)
        size = max(rough, loss * spread)
        # a layer that is constant, as one of identity edges, has no differences to compare with
        self.scale = len(block) * self.weight * loss / size if size > 1e-200 else 0.0
        self.pull = rough / spread

    def value(self, block: Tensor) -> float:
        c = block[:, :-1]
        step = (c - self.origin) @ self.V
        moved = float((step * (_STIFF * step - 2 * self.origin)).sum())
        return self.scale * (float(self._rough(c)) + self.pull * moved)

    def curvature(self, block: Tensor) -> tuple[Tensor, Tensor]:
        c, factor = block[:, :-1], 2 * self.scale
        moved = (_STIFF * (c - self.origin) - self.origin) @ self.V
        bent = factor * (self.R + self.pull * _STIFF * self.V)
        slope = factor * (c @ self.R + self.pull * moved)
        # the residual branch, the last feature, is smooth already
        return functional.pad(bent, (0, 1, 0, 1)), functional.pad(slope, (0, 1))

    def _rough(self, c: Tensor) -> Tensor:
        """sum c'Rc, without the rounding of a product that cancels."""
        return c.diff(n=self.order, dim=1).square().sum() / 4


class Roughness:
    """For other families: weight * loss * c'Rc with the basis's roughness R.

    With ``ridge``, for losses that fall for ever: weight * (c'Rc + an eighth of the mean squares of each
    edge's terms), whatever the loss.
    """

    def __init__(
        self, layer: KANLayer, inputs: Tensor, weight: float, ridge: bool, **factory: Any
    ) -> None:
        self.weight, self.ridge = weight, ridge
        self.R = _roughness(layer, inputs).to(**factory)
        self.squares = _mean_squares(layer).to(**factory) if ridge else None

    def fix(self, block: Tensor, loss: float) -> None:
        self.scale = self.weight * (1.0 if self.ridge else loss)

    def value(self, block: Tensor) -> float:
        total = float((_bent(block, self.R) * block[:, :-1]).sum())
        if self.squares is not None:
            total += _RIDGE * float((self.squares * block.square()).sum())
        return self.scale * total

    def curvature(self, block: Tensor) -> tuple[Tensor, Tensor]:
        factor = 2 * self.scale
        bent = functional.pad(factor * self.R, (0, 1, 0, 1))
        slope = functional.pad(factor * _bent(block, self.R), (0, 1))
        if self.squares is not None:
            size = factor * _RIDGE * self.squares
            bent, slope = bent + torch.diag(size), slope + size * block
        return bent, slope


def make_prior(
    layer: KANLayer, inputs: Tensor, weight: float, ridge: bool, **factory: Any
) -> Prior:
    """The prior of a layer whose E edges begin at ``inputs`` (E,); ``weight`` is in samples over N."""
    if isinstance(layer.basis, BSpline) and not ridge:
        return Bends(layer.basis, weight, **factory)
    return Roughness(layer, inputs, weight, ridge, **factory)


def _bent(block: Tensor, R: Tensor) -> Tensor:
    """R c for the coefficients c of each row of weights (E, K+1); R (K, K) or one a row."""
    c = block[:, :-1]
    return c @ R if R.ndim == 2 else (c[:, None] @ R)[:, 0]


def _roughness(layer: KANLayer, inputs: Tensor) -> Tensor:
    """R (K, K) of the layer's basis, in the splines' unit; (E, K, K), one for the input of each of E
    edges, where the functions have trained shapes.

    A spline has R_kk / m0_k of 64 K at most, m0_k the mean of B_k^2. For polynomials it grows with a
    high power of the degree, and no data could speak against it: R is scaled down to 64 K.
    """
    if layer.shapes:
        return layer.basis.roughness_of(layer.basis_tensors)[inputs]
    R = layer.basis.roughness(dtype=torch.float64, device=layer.coef.device)
    if isinstance(layer.basis, BSpline) or not layer.in_features:
        return R
    steepest = float((R.diagonal() / moments(layer).values.mean(0).clamp_min(1e-300)).max())
    return R * min(1.0, _ROUGHEST * layer.basis.size / max(steepest, 1e-300))


def _mean_squares(layer: KANLayer) -> Tensor:
    """Mean squares over the range of each function and of the residual, (K+1,), averaged over inputs."""
    of = moments(layer)
    return torch.cat([of.values, of.base[:, None]], dim=1).mean(0)
