"""Levenberg-Marquardt on the normal equations, for any least-squares-like loss.

Each step solves ``(H + lam D) delta = -g`` by Cholesky in the dtype of theta (use float64), with
H the Gauss-Newton matrix, g the gradient and D the diagonal of H, bounded below. The step is
taken when the loss falls, and lam shrinks; else lam grows and the step is tried again.

Reference: D. W. Marquardt, *An algorithm for least-squares estimation of nonlinear parameters*,
SIAM J. Appl. Math. 11 (1963).
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from edgewise.optim import symmetric

Linearise = Callable[[Tensor], tuple[float, Tensor, Tensor]]

_LAMBDA_MIN, _LAMBDA_MAX = 1e-16, 1e16


@dataclass(frozen=True)
class LMResult:
    """The best point found.

    theta: (P,); loss: its loss; steps: accepted steps; damping: the last lam, a good start for a
    continued run; status: "converged", "steps", "stalled" (no step of any size helps) or "stopped".
    """

    theta: Tensor
    loss: float
    steps: int
    damping: float
    status: str


def minimise(
    linearise: Linearise,
    loss: Callable[[Tensor], float],
    theta: Tensor,
    *,
    steps: int = 100,
    damping: float = 1e-2,
    tolerance: float = 1e-10,
    patience: int = 5,
    floor: float = 0.0,
    reach: Tensor | None = None,
    callback: Callable[[int, Tensor, float], bool | None] | None = None,
) -> LMResult:
    """Minimise a loss whose curvature is known.

    linearise(theta) -> (loss, H, g), with H (P, P) positive semi-definite and g (P,).
    loss(theta) -> float; a value that is not finite rejects the trial step.
    Converged when the loss fell by less than ``tolerance`` relatively in each of the last
    ``patience`` accepted steps, or is at most ``floor``. A loss with a part that ``linearise`` fixes
    anew has two values after a step, before and after that: the lower one counts. reach: how far one
    step may move each parameter (P,), infinity for most: a longer one is refused as one that raises
    the loss, where the linearisation is known to hold so far only. ``callback(step, theta, loss)``
    is called after each accepted step and ends the run by returning True.
    """
    value, H, g = linearise(theta)
    small_steps = accepted = 0
    status = "converged" if value <= floor else "steps"
    while status == "steps" and accepted < steps:
        trial = _descend(H, g, theta, loss, value, damping, reach)
        if trial is None:
            status = "stalled"
            break
        previous = value
        theta, damping, reached = trial
        value, H, g = linearise(theta)
        accepted += 1
        if callback is not None and callback(accepted, theta, value):
            status = "stopped"
            break
        fell = previous - min(value, reached)
        small_steps = small_steps + 1 if fell <= tolerance * previous else 0
        if small_steps >= patience or value <= floor:
            status = "converged"
            break
    return LMResult(theta, value, accepted, damping, status)


def _descend(
    H: Tensor,
    g: Tensor,
    theta: Tensor,
    loss: Callable[[Tensor], float],
    value: float,
    damping: float,
    reach: Tensor | None,
) -> tuple[Tensor, float, float] | None:
    """The first step along growing lam that lowers the loss, the lam to go on from, and that loss."""
    if not math.isfinite(value) or not bool(torch.isfinite(g).all()):
        return None
    diagonal = H.diagonal()
    # A parameter that no sample touches has a zero column: the floor keeps it where it is.
    D = diagonal.clamp_min(float(diagonal.max()) * 1e-8 + 1e-300)
    if reach is not None:  # so that lam = 1 is enough for a parameter by itself
        D = torch.maximum(D, g.abs() / reach)
    damping = max(damping, _LAMBDA_MIN)
    while damping <= _LAMBDA_MAX:
        A = H.clone(memory_format=torch.contiguous_format)
        A.diagonal().add_(damping * D)
        delta = symmetric.solve(A, -g)
        if delta is not None and (reach is None or bool((delta.abs() <= reach).all())):
            trial = theta + delta
            trial_value = loss(trial)
            if math.isfinite(trial_value) and trial_value < value:
                return trial, max(damping / 3.0, _LAMBDA_MIN), trial_value
        damping *= 4.0
    return None
