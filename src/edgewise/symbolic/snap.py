"""Constants as hypotheses: a fitted float becomes 0, 1, 3/2 or 2 pi where the data speak for it.

A float known to a relative error e says log2(1/e) bits. A special number that is written with
fewer bits replaces it when the bits saved are worth more than what the fit loses, everything else
refitted. So 1.0004 +- 0.0006 becomes 1, while 0.1327 +- 0.01, near which small fractions lie
dense, stays a float: the agreement could be chance.
"""

from __future__ import annotations

import math
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace

import sympy
import torch
from sympy import Expr, Integer, Symbol
from torch import Tensor

from edgewise.symbolic.refit import (
    Data,
    Problem,
    Refit,
    covariance,
    fit_template,
    free_floats,
    make_data,
)
from edgewise.symbolic.special_numbers import numbers_near

# Bits by which a hypothesis must be the shorter one: the odds against a match by chance. Each
# constant that has turned out special makes the next one likelier, down to the second number.
# Exponents are simple so often that theirs is small from the start.
_MARGIN, _MARGIN_MIN = 3.5, 1.5
# A hypothesis that does not pay alone is followed, with up to _DEPTH more, to this debt in bits.
_DEBT_MAX, _DEPTH, _BREADTH = 6.0, 2, 2
# No hypothesis may stand further from the fit than this chi^2 (3.5 standard errors) ...
_LR_MAX = 12.0
# ... and none is tried whose linear estimate is above this; the refit decides.
_LR_TRY = 30.0
# Rounding in y and in the evaluation, relative to the rms of y: residuals below count as equal.
_ROUNDING = 1e-13
# What the fit may lose, in bits, when a constant goes that the data do not fix.
_UNFIXED_BITS = 0.5
# The linear model starts a trial close to its end.
_TRIAL_STEPS = 30
# A formula of more constants is no law: its numbers are hardly tried.
_MANY = 24


def snap_constants(
    expression: Expr,
    x: Tensor,
    y: Tensor,
    variables: Sequence[str],
    noise: float | None = None,
    weight: Tensor | None = None,
    trials: int = 60,
    deadline: float = math.inf,
) -> Refit:
    """Replace floats of the expression by special numbers where the data allow it.

    Greedy: all hypotheses (constant, number) are ordered by the bits that they would save; the
    first that holds after the other constants are refitted is kept, and the rest judged anew.
    Zero, which drops a term, must only be compatible with the data. Constants that the data do
    not fix, because others can make up for them, become 0 or 1.

    Args:
        expression: as `refit` takes it; its floats are the start.
        x: (N, I), the columns in the order of ``variables``; y: (N,); weight: (N,).
        noise: the standard deviation of the noise in y, if it is known; else it is estimated
            from the residual of the free fit.
        trials: at most so many refits.
        deadline: time.monotonic() after which no further hypothesis is tried.

    Returns:
        The Refit of the expression with its special numbers exact and its other floats fitted.

    Raises:
        ShapeError, FormulaError: as refit.
    """
    data = make_data(x, y, variables, weight)
    template, start = free_floats(expression, data)
    return snap_template(template, start, data, noise, trials, deadline)


def snap_template(
    template: Expr,
    start: dict[Symbol, float],
    data: Data,
    noise: float | None = None,
    trials: int = 60,
    deadline: float = math.inf,
) -> Refit:
    """`snap_constants` for an expression whose constants are symbols already, with their values.

    ``numbers`` of the result maps the symbols that were settled to their numbers.
    """
    best = fit_template(template, start, data, deadline=deadline)
    if not math.isfinite(best.rmse):
        return best
    if len(best.constants) > _MANY:
        trials = min(trials, 10)
    judge = _Judge.of(best, data, noise)
    search = _Search(data, trials, deadline)
    while (better := search.step(best, judge)) is not None:
        best, judge = better
    return best


class _Search:
    """Steps from a fit to one with fewer floats, until none is left or the trials are used up."""

    def __init__(self, data: Data, trials: int, deadline: float) -> None:
        self.data, self.trials, self.deadline = data, trials, deadline
        self.tested: dict[Expr, Refit | None] = {}

    def step(
        self, fit: Refit, judge: _Judge, debt: float = 0.0, depth: int = _DEPTH
    ) -> tuple[Refit, _Judge] | None:
        """The first hypothesis that pays, alone or, in debt, with up to ``depth`` others.

        Constants that trade against each other are poorly known one by one; together their
        numbers may save more bits than the fit loses.
        """
        owing = []
        for hypothesis in _hypotheses(fit, self.data, judge):
            trial = self._test(hypothesis, fit)
            if trial is None:
                continue
            balance = judge.saved(hypothesis, judge.rise(trial, fit)) - debt
            after = judge.after(hypothesis)
            if balance >= 0:
                return trial, after
            if balance > -_DEBT_MAX:
                owing.append((balance, trial, after))
        owing.sort(key=lambda each: -each[0])
        for balance, trial, after in owing[:_BREADTH] if depth else ():
            found = self.step(trial, after, -balance, depth - 1)
            if found is not None:
                return found
        return None

    def _test(self, hypothesis: _Hypothesis, fit: Refit) -> Refit | None:
        template = hypothesis.template(fit)
        if template not in self.tested:
            if self.trials <= 0 or time.monotonic() > self.deadline:
                return None
            self.trials -= 1
            self.tested[template] = _test(hypothesis, fit, self.data)
        return self.tested[template]


@dataclass(frozen=True)
class _Hypothesis:
    """That constant number k is `number`; start (m - 1,) are the others, by the linear model.

    known: bits that the data know of the constant; cost: bits of the number; gain: bits saved.
    """

    k: int
    number: Expr
    start: Tensor
    known: float
    cost: float
    is_exponent: bool
    gain: float = 0.0

    def template(self, fit: Refit) -> Expr:
        return fit.template.xreplace({fit.constants[self.k]: self.number})


@dataclass(frozen=True)
class _Judge:
    """What the data say: N rows, m constants in the free fit, the noise if known, rounding."""

    N: int
    m: int
    noise: float | None
    floor: float
    margin: float = _MARGIN

    @classmethod
    def of(cls, fit: Refit, data: Data, noise: float | None) -> _Judge:
        floor = _ROUNDING * float(data.y.square().mean().sqrt()) + 1e-300
        return cls(len(data.y), len(fit.constants), noise, floor)

    @property
    def spare(self) -> int:
        return max(self.N - self.m, 1)

    def ssr(self, fit: Refit) -> float:
        return self.N * (fit.rmse**2 + self.floor**2)

    def variance(self, fit: Refit) -> float:
        if self.noise is not None:
            return self.noise**2 + self.floor**2
        return self.ssr(fit) / self.spare

    def rise(self, trial: Refit, fit: Refit) -> float:
        """Twice the loss of log likelihood; with unknown noise as its profile over sigma."""
        if not math.isfinite(trial.rmse):
            return math.inf
        if self.noise is not None:
            return (self.ssr(trial) - self.ssr(fit)) / self.variance(fit)
        return self.spare * math.log(self.ssr(trial) / self.ssr(fit))

    def linear_rise(self, errors: float) -> float:
        """The rise for a constant moved by so many standard errors, by the linear model."""
        if self.noise is not None:
            return errors**2
        return self.spare * math.log1p(errors**2 / self.spare)

    def after(self, hypothesis: _Hypothesis) -> _Judge:
        """How the next constant is judged once this hypothesis is taken."""
        if hypothesis.number == 0:
            return self
        return replace(self, margin=max(self.margin - 1.0, _MARGIN_MIN))

    def saved(self, hypothesis: _Hypothesis, rise: float, limit: float = _LR_MAX) -> float:
        """Bits that the hypothesis saves, less what the fit loses; negative: refused."""
        loss = rise / (2 * math.log(2))
        if hypothesis.number == 0:  # as BIC, and two more for the symbols that go
            limit = min(math.log(self.N) + 2, limit) if self.N > 2 else 0.0
            return limit / (2 * math.log(2)) - loss if rise <= limit else -math.inf
        if rise > limit:
            return -math.inf
        margin = _MARGIN_MIN if hypothesis.is_exponent else self.margin
        return hypothesis.known - hypothesis.cost - margin - max(loss, 0.0)


def _hypotheses(fit: Refit, data: Data, judge: _Judge) -> list[_Hypothesis]:
    """All numbers near the constants in units of their errors, the most bits saved first."""
    _, J = Problem(fit.template, fit.constants, data).residual_and_jacobian(fit.values)
    if not fit.constants or not bool(torch.isfinite(J).all()):
        return []
    variance = judge.variance(fit)
    diagonal, fixed = covariance(J)
    exponents = _exponents(fit.template)
    found = []
    for k, constant in enumerate(fit.constants):
        value = float(fit.values[k])
        error = math.sqrt(variance * float(diagonal[k]))
        is_exponent = constant in exponents
        scale = max(abs(value), 1.0) if is_exponent else abs(value)
        if bool(fixed[k]) and error > 0:
            known = math.log2(max(scale / error, 1e-300))
            near = numbers_near(value, error * math.sqrt(_LR_TRY), is_exponent, known)
        else:  # the others can make up for it: as good as known, if the fit really stays
            known, error = 1.0 + judge.margin + _UNFIXED_BITS, math.inf
            near = iter([(Integer(0), 0.0), (Integer(1 if value >= 0 else -1), 1.0)])
        for number, cost in near:
            shift = float(number) - value
            start = _others(J, k, shift, fit.values)
            guess = _Hypothesis(k, number, start, known, cost, is_exponent)
            gain = judge.saved(guess, judge.linear_rise(shift / error), _LR_TRY)
            # First what drops a term, then exponents: they decide what the other constants mean.
            first = 3.0 if number == 0 else 4.0 if is_exponent else 0.0
            if gain > -_DEBT_MAX or number == 0:
                found.append(replace(guess, gain=gain + first))
    return sorted(found, key=lambda h: (-h.gain, h.cost, h.k))


def _others(J: Tensor, k: int, shift: float, values: Tensor) -> Tensor:
    """The other constants (m - 1,) after constant k moved by shift, to first order."""
    rest = [j for j in range(len(values)) if j != k]
    if not rest:
        return values[:0]
    unit = 1 / J[:, rest].square().sum(0).sqrt().clamp_min(1e-300)
    solution = torch.linalg.lstsq(
        J[:, rest] * unit, -J[:, [k]] * shift, rcond=1e-10, driver="gelsd"
    ).solution[:, 0]
    return values[rest] + solution * unit


def _test(hypothesis: _Hypothesis, fit: Refit, data: Data) -> Refit | None:
    """The other constants refitted, from the better of two starts; None if it is no formula."""
    template = hypothesis.template(fit)
    if template.has(sympy.zoo, sympy.nan, sympy.oo, sympy.I):
        return None
    rest = [c for j, c in enumerate(fit.constants) if j != hypothesis.k]
    moved = dict(zip(rest, hypothesis.start.tolist(), strict=True))
    kept = {c: float(v) for c, v in zip(fit.constants, fit.values, strict=True) if c in moved}

    def loss(start: dict[Symbol, float]) -> float:
        used = [c for c in start if c in template.free_symbols]
        point = torch.tensor([start[c] for c in used], dtype=torch.float64)
        value = Problem(template, used, data).loss(point)
        return value if math.isfinite(value) else math.inf

    fitted = fit_template(template, min((moved, kept), key=loss), data, _TRIAL_STEPS)
    numbers = {**fit.numbers, fit.constants[hypothesis.k]: hypothesis.number}
    return replace(fitted, numbers=numbers)


def _exponents(template: Expr) -> set[Symbol]:
    """The constants that stand as an exponent."""
    found = set()
    for node in sympy.preorder_traversal(template):
        if isinstance(node, sympy.Pow):
            _, exponent = node.exp.as_coeff_Mul()
            if isinstance(exponent, Symbol):
                found.add(exponent)
    return found
