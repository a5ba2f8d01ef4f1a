"""From a rough formula to a candidate: simplified, refitted, snapped and measured."""

from __future__ import annotations

import math
import time
from collections.abc import Sequence
from dataclasses import dataclass

import sympy
import torch
from sympy import Expr
from torch import Tensor

from edgewise.problems.dataset import Samples
from edgewise.symbolic.evaluate import evaluate
from edgewise.symbolic.formula import Formula
from edgewise.symbolic.front import Candidate
from edgewise.symbolic.limits import without_limits
from edgewise.symbolic.refit import Refit, refit, with_errors
from edgewise.symbolic.simplify import simplify
from edgewise.symbolic.snap import snap_constants

_SEARCH_ROWS, _FINAL_ROWS = 1000, 20_000
_SIMPLIFY_SECONDS = 1.5
_EXPONENT_MAX = 1000


@dataclass(frozen=True, eq=False)
class Rows:
    """What a search works on: rows to fit and rows to judge by, in the user's units.

    names: of the columns in the samples. variables: of all columns that came, in the order in which
    formulas take them; those that are constant are left out of the search.
    relative: errors are weighed by 1/y^2, for targets whose errors grow with their size.
    """

    train: Samples
    held_out: Samples
    names: tuple[str, ...]
    variables: tuple[str, ...]
    target: str
    relative: bool = False

    @property
    def spread(self) -> float:
        """Standard deviation of the target, at least a rounding error of its size."""
        y = torch.cat([self.train.y, self.held_out.y])
        return max(
            float((y - y.mean()).square().mean().sqrt()), 1e-15 * float(y.abs().max()), 1e-300
        )

    @property
    def unseen(self) -> int:
        """How many rows no fit sees: none where those held out are those of the fit."""
        return 0 if self.held_out is self.train else len(self.held_out)

    def weight(self, samples: Samples) -> Tensor | None:
        """The rows' weights, with 1/y^2 taken in when errors are relative."""
        if not self.relative:
            return samples.weight
        weight = samples.y[:, 0].square().reciprocal()
        weight = weight / weight.mean()
        return weight if samples.weight is None else weight * samples.weight


def finish(
    expression: Expr, rows: Rows, origin: str, deadline: float, *, snap: bool = True
) -> Candidate | None:
    """The candidate that grows out of an expression, or None where it is not finite on the rows."""
    few = rows.train.thinned(_SEARCH_ROWS)
    columns = dict(zip(rows.names, few.x.unbind(1), strict=True))
    expression = _short(expression, columns, deadline)
    fitted = _fit(expression, few, rows, deadline)
    if len(fitted.constants) >= len(few) > 1 or time.monotonic() > deadline:
        return None  # as many constants as rows fit anything; a fit cut short fits nothing
    if not math.isfinite(fitted.rmse) or _wild(fitted.expression):
        return None
    if snap:
        fitted = without_limits(
            fitted, columns, few.y[:, 0], lambda e: _fit(e, few, rows, deadline), deadline
        )
        if len(fitted.constants) >= len(few):
            return None
    expression = fitted.expression
    for _ in range(2 if snap else 0):
        if time.monotonic() > deadline:
            break
        before = expression
        arguments = (few.x, few.y[:, 0], list(rows.names))
        snapped = snap_constants(expression, *arguments, weight=rows.weight(few), deadline=deadline)
        if math.isfinite(snapped.rmse):
            expression = _short(snapped.expression, columns, deadline)
        if expression == before:
            break
    final = _fit(expression, rows.train.thinned(_FINAL_ROWS), rows, deadline)
    return measure(final, rows, origin)


def measure(fitted: Refit, rows: Rows, origin: str) -> Candidate | None:
    """Held-out figures of a refitted expression; None where it is not finite on held-out rows."""
    expression, unseen = fitted.expression, rows.held_out
    residual = _residual(expression, unseen, rows.names)
    train = error_of(expression, rows.train, rows)
    rmse, held_out = _rms(residual, unseen), _weighed(residual, unseen, rows)
    if not all(map(math.isfinite, (train, held_out, rmse))):
        return None
    constants = with_errors(fitted.values, fitted.errors)
    formula = Formula(expression, rows.variables, rows.target, constants)
    y = unseen.y[:, 0]
    variance = mean((y - mean(y, unseen)).square(), unseen)
    r2 = 1.0 - rmse**2 / variance if variance > 0 else (1.0 if rmse == 0 else -math.inf)
    return Candidate(formula, rmse, r2, train, held_out, origin)


def error_of(expression: Expr, samples: Samples, rows: Rows) -> float:
    """Root mean square error as the search weighs it: in the target's unit, or relative to it."""
    return _weighed(_residual(expression, samples, rows.names), samples, rows)


def _weighed(residual: Tensor, samples: Samples, rows: Rows) -> float:
    return _rms(residual / samples.y[:, 0] if rows.relative else residual, samples)


def _rms(residual: Tensor, samples: Samples) -> float:
    return math.sqrt(mean(residual.square(), samples))


def mean(values: Tensor, samples: Samples) -> float:
    """The mean of values (N,) over the samples by their weights."""
    if samples.weight is None:
        return float(values.mean())
    return float((samples.weight * values).sum() / samples.weight.sum())


def _residual(expression: Expr, samples: Samples, names: Sequence[str]) -> Tensor:
    value = evaluate(expression, dict(zip(names, samples.x.unbind(1), strict=True)))
    return value - samples.y[:, 0]


def _fit(expression: Expr, samples: Samples, rows: Rows, deadline: float) -> Refit:
    y, weight = samples.y[:, 0], rows.weight(samples)
    return refit(expression, samples.x, y, list(rows.names), weight, deadline=deadline)


def _short(expression: Expr, columns: dict[str, Tensor], deadline: float) -> Expr:
    seconds = min(_SIMPLIFY_SECONDS, deadline - time.monotonic())
    if seconds < 0.2:
        return expression
    return simplify(expression, timeout=seconds, samples=columns)


def _wild(expression: Expr) -> bool:
    """Exponents no law has, such as (x + 1000)**900: the limit of an exponential."""
    return any(
        node.exp.is_number and abs(float(node.exp)) > _EXPONENT_MAX
        for node in expression.atoms(sympy.Pow)
    )
