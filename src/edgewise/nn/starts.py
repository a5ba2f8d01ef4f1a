"""How a layer starts: the sizes that coefficients and residual weights are drawn with.

Every start shares the curves' size equally between the functions of the basis, as measured on its
own range: with m0_k the mean of B_k^2 and m1_k that of (h B_k')^2 over a range of length 2h,

    coef_oik ~ N(0, (c a_ik)^2),    a_ik^2 = 1 / (m0_ik + m1_ik),

so that steep functions (high degrees and frequencies, narrow wavelets) start small and no family has
slopes that grow from layer to layer. The starts differ in c and in the residual weights w_b.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

import torch
from torch import Tensor

from edgewise.bases import Basis, BSpline
from edgewise.kernels.residual import RESIDUALS

if TYPE_CHECKING:
    from edgewise.nn.layer import KANLayer

# The mean square of a cubic spline on even knots whose coefficients are N(0, 1).
_SPLINE_SQUARE = 151 / 315
# The variance of a value that is uniform on [-1, 1].
_UNIFORM = 1 / 3
_POINTS = 128
# Exponents of the residual weights and of the coefficients.
_POWERS = 0.25, 1.75

Start = Callable[["KANLayer", float, torch.Generator | None], None]


@dataclass(frozen=True)
class Moments:
    """Means over each input's range, float64: of B_k^2 and (h B_k')^2, (I, K) each, of b^2 and b'^2
    of the residual, (I,) each; and h, half the range's length, (I,)."""

    values: Tensor
    slopes: Tensor
    base: Tensor
    base_slope: Tensor
    half: Tensor

    @property
    def share(self) -> Tensor:
        """a^2 (I, K): variances of coefficients that give every function its equal share."""
        return 1 / (self.values + self.slopes).clamp_min(torch.finfo(torch.float64).tiny)


class Functions(Protocol):
    """What moments are taken of: a basis with its tensors, and the residual's name. A layer or a
    convolution."""

    @property
    def basis(self) -> Basis: ...
    @property
    def basis_tensors(self) -> dict[str, Tensor]: ...
    @property
    def base(self) -> str: ...


@torch.no_grad()
def moments(layer: Functions) -> Moments:
    """The moments of the layer's own functions, by the midpoint rule on its own ranges."""
    I = len(layer.basis.range_of(layer.basis_tensors)[0])
    tensors = {name: t.detach().double() for name, t in layer.basis_tensors.items()}
    if all(bool((t == t[:1]).all()) for t in tensors.values()):  # as it is at first: one for all
        tensors = {name: t[:1] for name, t in tensors.items()}
    lower, upper = layer.basis.range_of(tensors)
    places = (torch.arange(_POINTS, device=lower.device) + 0.5) / _POINTS
    x, half = lower + (upper - lower) * places[:, None].double(), (upper - lower) / 2
    value, slope = RESIDUALS[layer.base]
    return Moments(
        layer.basis.features(x, tensors).square().mean(0).expand(I, -1),
        (half[:, None] * layer.basis.features(x, tensors, 1)).square().mean(0).expand(I, -1),
        value(x).square().mean(0).expand(I),
        slope(x).square().mean(0).expand(I),
        half.expand(I),
    )


def noise(layer: KANLayer, size: float, generator: torch.Generator | None = None) -> None:
    """Curves of the size that splines with coefficients N(0, size^2) have; w_b Xavier-uniform.

    Splines themselves take such coefficients (Liu et al., *KAN*, 2024, section 2.2); in every other
    family sum_k E[coef_k^2] m0_k is that of a cubic spline, size^2 151/315.
    """
    bound = math.sqrt(6.0 / max(layer.in_features + layer.out_features, 1))
    if isinstance(layer.basis, BSpline):
        layer.coef.normal_(0.0, size, generator=generator)
    else:
        of = moments(layer)
        square = (of.share * of.values).sum(1, keepdim=True)
        _draw_curves(layer, size * (_SPLINE_SQUARE / square * of.share).sqrt(), generator)
    layer.scale_base.uniform_(-bound, bound, generator=generator)


def glorot(layer: KANLayer, size: float, generator: torch.Generator | None = None) -> None:
    """Values keep their variance on the way forward, gradients theirs on the way back.

    Half of both comes from the curves, half from the residuals. With values spread as uniform ones
    over the range, of variance h^2/3, forward asks for I c^2 M0 = h^2/6, M0 = sum_k a_k^2 m0_k, and
    back for O c^2 M1 = h^2/2; c^2 is the harmonic mean of the two, as in Glorot and Bengio (2010), and
    in the same way w_b. Without a residual the curves have it all.
    Reference: Rigas et al., *Initialization Schemes for Kolmogorov-Arnold Networks* (2025).
    """
    of = moments(layer)
    I, O = layer.in_features, layer.out_features
    forward, back = ((of.share * square).sum(1, keepdim=True) for square in (of.values, of.slopes))
    scale = of.half[:, None] ** 2 / (I * forward / _UNIFORM + O * back)
    base = 1 / (I * of.base / (_UNIFORM * of.half**2) + O * of.base_slope)
    if not bool(of.base.any()):
        scale, base = 2 * scale, torch.zeros_like(base)
    _draw_curves(layer, (scale * of.share).sqrt(), generator)
    _draw_residuals(layer, base.sqrt(), generator)


def power(layer: KANLayer, size: float, generator: torch.Generator | None = None) -> None:
    """Strong residuals, faint curves: w_b of std n^-0.25, curves of size n^-1.75; n = I (K + 1).

    The size of curves means what it means in ``noise``. Reference: as in ``glorot``.
    """
    of, terms = moments(layer), layer.in_features * (layer.basis.size + 1)
    residual, curve = (max(terms, 1) ** -exponent for exponent in _POWERS)
    square = (of.share * of.values).sum(1, keepdim=True)
    _draw_curves(layer, curve * (_SPLINE_SQUARE / square * of.share).sqrt(), generator)
    _draw_residuals(layer, torch.full_like(of.half, residual), generator)


STARTS: dict[str, Start] = {"noise": noise, "glorot": glorot, "power": power}


def _draw_curves(layer: KANLayer, std: Tensor, generator: torch.Generator | None) -> None:
    """coef ~ N(0, std^2), std (I, K)."""
    layer.coef.normal_(generator=generator).mul_(std.to(layer.coef.dtype))


def _draw_residuals(layer: KANLayer, std: Tensor, generator: torch.Generator | None) -> None:
    """w_b uniform with the given std (I,)."""
    bound = math.sqrt(3.0) * std.to(layer.scale_base.dtype)
    layer.scale_base.uniform_(-1.0, 1.0, generator=generator).mul_(bound)
