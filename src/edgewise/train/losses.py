"""Losses on outputs, with the curvature that second-order solvers need."""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn import functional

from edgewise.errors import InputError


class MeanSquare:
    """Weighted mean over samples and outputs of (y - t)^2; shown as its root."""

    name = "rmse"
    second_order = True

    def __call__(self, y: Tensor, t: Tensor, share: Tensor) -> Tensor:
        return (share[:, None] * (y - t).square()).sum() / y.shape[1]

    def residual(self, y: Tensor, t: Tensor, share: Tensor) -> tuple[Tensor, Tensor]:
        """r (B, Y) and A (B, Y, Y) with gradient A'r and curvature A'A in the outputs."""
        root = ((2.0 / y.shape[1]) * share[:, None]).sqrt().expand_as(y)
        return root * (y - t), torch.diag_embed(root)

    def shown(self, value: float) -> float:
        return math.sqrt(max(value, 0.0))


class CrossEntropy:
    """Softmax cross-entropy of outputs (B, Y) as scores; targets (B, Y) are class probabilities."""

    name = "cross_entropy"
    second_order = True

    def __call__(self, y: Tensor, t: Tensor, share: Tensor) -> Tensor:
        return -(share[:, None] * t * functional.log_softmax(y, dim=1)).sum()

    def residual(self, y: Tensor, t: Tensor, share: Tensor) -> tuple[Tensor, Tensor]:
        """r (B, Y) and A (B, Y, Y) with gradient A'r and curvature A'A = diag(p) - p p', for p = softmax
        y: generalised Gauss-Newton. A = diag(sqrt p) - sqrt(p) p', and A'(p - t) / sqrt(p) = p - t."""
        # a class of no weight would divide 0 by 0
        p = y.softmax(dim=1).clamp_min(torch.finfo(y.dtype).tiny)
        root, size = p.sqrt(), share[:, None].sqrt()
        A = torch.diag_embed(root) - root[:, :, None] * p[:, None, :]
        return size * (p - t) / root, size[..., None] * A

    def shown(self, value: float) -> float:
        return value


class CallableLoss:
    """loss(y, t) -> scalar, as torch's loss functions; known only by its gradient."""

    second_order = False

    def __init__(self, function: Callable[[Tensor, Tensor], Tensor]) -> None:
        self.function = function
        self.name = getattr(function, "__name__", type(function).__name__)

    def __call__(self, y: Tensor, t: Tensor, share: Tensor) -> Tensor:
        return self.function(y, t)

    def shown(self, value: float) -> float:
        return value


Loss = MeanSquare | CrossEntropy | CallableLoss


def make_loss(loss: str | Loss | Callable[[Tensor, Tensor], Tensor] | None) -> Loss:
    """A loss from its name ("mse", "cross_entropy"), a callable, or None for the mean square."""
    if loss is None or loss == "mse":
        return MeanSquare()
    if loss == "cross_entropy":
        return CrossEntropy()
    if isinstance(loss, MeanSquare | CrossEntropy | CallableLoss):
        return loss
    if callable(loss):
        return CallableLoss(loss)
    raise InputError(
        f"loss is {loss!r}; expected 'mse', 'cross_entropy' or a callable (y, target)."
    )
