"""The fixed function b(x) beside the splines of a layer: value and derivative, in torch."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext

import torch
from torch import Tensor
from torch.nn.functional import silu


def _silu_slope(x: Tensor) -> Tensor:
    s = torch.sigmoid(x)
    return s * (1 + x * (1 - s))


# name -> (b, b')
RESIDUALS: dict[str, tuple[Callable[[Tensor], Tensor], Callable[[Tensor], Tensor]]] = {
    "silu": (silu, _silu_slope),
    "identity": (lambda x: x, torch.ones_like),
    "zero": (torch.zeros_like, torch.zeros_like),
}


def slope(name: str, x: Tensor, order: int) -> Tensor:
    """b^(order)(x) of the named residual, any order from 0.

    With s the logistic function, s' = s (1 - s) makes every s^(n) a polynomial in s, and
    (x s)^(n) = x s^(n) + n s^(n-1).
    """
    if order < 2:
        return RESIDUALS[name][order](x)
    if name != "silu":
        return torch.zeros_like(x)
    s, below, powers = torch.sigmoid(x), [1.0], [0.0, 1.0]
    for _ in range(order):  # p(s) -> p'(s) (s - s^2)
        below, old = powers, [n * p for n, p in enumerate(powers)][1:]
        powers = [a - b for a, b in zip([0.0, *old, 0.0], [0.0, 0.0, *old], strict=True)]
    return x * _horner(powers, s) + order * _horner(below, s)


def _horner(powers: list[float], x: Tensor) -> Tensor:
    value = torch.zeros_like(x)
    for power in reversed(powers):
        value = value * x + power
    return value


def full_precision(x: Tensor) -> AbstractContextManager[object]:
    """A block in which autocast lowers nothing: local coordinates need the digits that they have."""
    kind = x.device.type
    if not torch.amp.is_autocast_available(kind):
        return nullcontext()
    return torch.autocast(kind, enabled=False)


def mixed(
    features: Tensor, x: Tensor, coef: Tensor, scale: Tensor, scale_base: Tensor, residual: str
) -> Tensor:
    """A layer's sums from dense features (B, I, K): what every family without a kernel does.

    y_bo = sum_i [scale_oi sum_k coef_oik features_bik + scale_base_oi b(x_bi)], (B, O). Autocast does
    not lower its precision.
    """
    with full_precision(x):
        if features.mT.is_contiguous():  # (B, K, I) in memory
            y = features.mT.flatten(1) @ (coef.mT * scale[:, None]).flatten(1).T
        else:
            y = features.flatten(1) @ (coef * scale[..., None]).flatten(1).T
        if residual == "zero":
            return y
        return y + RESIDUALS[residual][0](x) @ scale_base.T
