"""Rational activations whose coefficients groups of channels share, and the layer made of them."""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import lru_cache
from itertools import product
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from edgewise.bases.base import check_count
from edgewise.errors import InputError, ShapeError
from edgewise.optim.levenberg_marquardt import minimise
from edgewise.optim.quotient import Quotient

# Degrees of numerator and denominator, and the range on which a start is fitted.
_UP, _DOWN, _RANGE = 5, 4, 3.0
# What a start imitates.
STARTS: dict[str, Callable[[Tensor], Tensor]] = {
    "identity": lambda x: x,
    "gelu": functional.gelu,
    "swish": functional.silu,
}


class GroupRational(nn.Module):
    """R(x) = (a_0 + a_1 x + .. + a_5 x^5) / (1 + |b_1| |x| + .. + |b_4| |x|^4) on every channel.

    x: (..., C) -> (..., C); the channels stand in ``groups`` runs of C / groups, each with its own a
    and b. The denominator is at least 1: no poles. It is computed in float32 at least.

    start: the activation that a and b are fitted to by least squares on [-3, 3]: "identity" (exact),
    "gelu" or "swish". Parameters: ``numerator`` a (groups, 6) and ``denominator`` b (groups, 4).
    Where b = 0 its gradient is that of b > 0, so that a start there can leave it.

    Raises InputError for groups that do not divide the channels or a start that is not known, and
    ShapeError when the last dimension of x is not C.

    Reference: X. Yang, X. Wang, *Kolmogorov-Arnold Transformer* (2024).
    """

    def __init__(
        self,
        channels: int,
        groups: int = 8,
        start: str = "identity",
        *,
        dtype: torch.dtype | None = None,
        device: torch.device | str | None = None,
    ) -> None:
        super().__init__()
        check_count("channels", channels, 1)
        check_count("groups", groups, 1)
        if channels % groups:
            raise InputError(f"{channels} channels do not make {groups} groups of one size.")
        if start not in STARTS:
            raise InputError(f"start is {start!r}; expected one of {sorted(STARTS)}.")
        self.channels, self.groups, self.start = channels, groups, start
        factory: dict[str, Any] = {"dtype": dtype or torch.get_default_dtype(), "device": device}
        self.numerator = nn.Parameter(torch.empty(groups, _UP + 1, **factory))
        self.denominator = nn.Parameter(torch.empty(groups, _DOWN, **factory))
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Take the start's coefficients in every group."""
        a, b = fitted(self.start)
        with torch.no_grad():
            self.numerator.copy_(torch.tensor(a, dtype=torch.float64))
            self.denominator.copy_(torch.tensor(b, dtype=torch.float64))

    def forward(self, x: Tensor) -> Tensor:
        if x.shape[-1:] != (self.channels,):
            raise ShapeError(
                f"The input has shape {tuple(x.shape)}; expected (..., {self.channels})."
            )
        dtype = torch.promote_types(x.dtype, torch.float32)  # x^5 soon leaves half precision
        with torch.autocast(x.device.type, enabled=False):
            grouped = x.to(dtype).unflatten(-1, (self.groups, -1))
            y = rational(grouped, self.numerator.to(dtype), self.denominator.to(dtype))
        return y.flatten(-2).to(x.dtype)

    def extra_repr(self) -> str:
        return f"{self.channels}, groups={self.groups}, start={self.start!r}"


class GRKAN(nn.Sequential):
    """y = W R(x) + bias, a linear layer on channels that went through ``GroupRational``.

    x: (..., I) -> (..., O), as nn.Linear. At the start W ~ N(0, g^2 / I) with g^2 = 1 / E[R(z)^2] for
    z ~ N(0, 1), about 1 for "identity", 2.35 for "gelu" and 2.81 for "swish", so that inputs of unit
    variance give outputs of unit variance; the bias is 0. A transformer's MLP is
    ``nn.Sequential(GRKAN(C, H), GRKAN(H, C, start="gelu"))``.

    Arguments, errors and reference: those of GroupRational.
    """

    def __init__(
        self,
        in_features: int,
        out_features: int,
        groups: int = 8,
        start: str = "identity",
        *,
        bias: bool = True,
        generator: torch.Generator | None = None,
        dtype: torch.dtype | None = None,
        device: torch.device | str | None = None,
    ) -> None:
        activation = GroupRational(in_features, groups, start, dtype=dtype, device=device)
        linear = nn.Linear(in_features, out_features, bias, dtype=dtype, device=device)
        super().__init__(activation, linear)
        with torch.no_grad():
            linear.weight.normal_(0.0, gain(start) / math.sqrt(in_features), generator=generator)
            if linear.bias is not None:
                linear.bias.zero_()


def rational(x: Tensor, a: Tensor, b: Tensor) -> Tensor:
    """R(x) for x (..., G, C), a (G, 6), b (G, 4)."""
    size, b = x.abs(), torch.where(b < 0, -b, b)  # not abs(), whose slope at 0 is 0
    above, below = a[:, -1:], b[:, -1:]
    for m in range(a.shape[1] - 2, -1, -1):
        above = torch.addcmul(a[:, m, None], above, x)
    for m in range(b.shape[1] - 2, -1, -1):
        below = torch.addcmul(b[:, m, None], below, size)
    return above / (1 + below * size)


@lru_cache
def fitted(start: str) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """a and b >= 0 of the least-squares fit to the activation on even points of [-3, 3]."""
    if start == "identity":
        return (0.0, 1.0, *[0.0] * (_UP - 1)), (0.0,) * _DOWN
    x = torch.linspace(-_RANGE, _RANGE, 601, dtype=torch.float64)
    up = x[:, None] ** torch.arange(_UP + 1)
    down = x[:, None].abs() ** torch.arange(1, _DOWN + 1)
    fits = []
    for free in product((False, True), repeat=_DOWN):  # the others at their bound, 0
        error, a, some = _quotient(STARTS[start](x), up, down[:, list(free)])
        if bool((some >= 0).all()):
            left = iter(some.tolist())
            fits.append((error, tuple(a.tolist()), tuple(next(left) if f else 0.0 for f in free)))
    return min(fits)[1:]


def _quotient(y: Tensor, up: Tensor, down: Tensor) -> tuple[float, Tensor, Tensor]:
    """The error, a and b, of either sign, of the least-squares fit (up a) / (1 + down b) to y."""
    count, quotient = up.shape[1], Quotient(up, down, y, torch.ones_like(y))
    theta = torch.zeros(count + down.shape[1], dtype=torch.float64)
    theta[1], theta[count:] = 0.5, 0.1
    found = minimise(quotient.linearised, quotient.loss, theta, steps=200, tolerance=1e-14)
    return found.loss, found.theta[:count], found.theta[count:]


@lru_cache
def gain(start: str) -> float:
    """1 / sqrt(E[R(z)^2]), z ~ N(0, 1), by the trapezoidal rule."""
    z = torch.linspace(-9, 9, 4001, dtype=torch.float64)
    a, b = (torch.tensor([row], dtype=torch.float64) for row in fitted(start))
    weight = torch.exp(-z * z / 2)
    return float((weight.sum() / (weight * rational(z[:, None], a, b)[:, 0].square()).sum()).sqrt())
