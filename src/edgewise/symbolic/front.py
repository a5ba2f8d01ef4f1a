"""What a search for a formula returns: candidates on a Pareto front of complexity and error."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from sympy import Expr, Float, Mul

from edgewise.symbolic.formula import Formula, complexity
from edgewise.symbolic.rewrite import bottom_up

# Held-out rows below which their error alone does not decide, and rows above which more say no more.
_FEW, _ROWS_MOST = 30, 1000


@dataclass(frozen=True, eq=False)
class Candidate:
    """One formula with its figures.

    rmse, r2: on held-out rows, in the target's unit and as 1 - rmse^2 / variance. train_error and
    error: on the rows fitted and held out, as the search weighs them: the rmse, or the root mean
    square of relative errors. origin: how it was found.
    """

    formula: Formula
    rmse: float
    r2: float
    train_error: float
    error: float
    origin: str = ""

    @property
    def complexity(self) -> int:
        return self.formula.complexity


def table(front: Sequence[Candidate], pick: int, relative: bool = False) -> str:
    """The front as text, simplest first; ">>>>" marks the pick."""
    error = "relative error" if relative else "held-out error"
    lines = [f"      complexity   {error}          R2   formula"]
    for row, candidate in enumerate(front):
        mark = ">>>>" if row == pick else "    "
        lines.append(
            f"{mark}  {candidate.complexity:10d}   {candidate.error:14.4g}  "
            f"{shown_r2(candidate.r2):>10}   {candidate.formula}"
        )
    return "\n".join(lines)


def shown_r2(value: float) -> str:
    """R2 with as many nines as it has."""
    if value >= 1.0 or 1.0 - value < 1e-15:
        return "1"
    digits = 4 if value < 0.999 else min(int(-math.log10(1.0 - value)) + 2, 14)
    return f"{value:.{digits}f}"


def pareto(candidates: Iterable[Candidate]) -> tuple[Candidate, ...]:
    """Those that no simpler one beats: complexity rises, held-out error falls."""
    front: list[Candidate] = []
    for candidate in sorted(candidates, key=lambda c: (c.complexity, c.error)):
        if math.isfinite(candidate.error) and (not front or candidate.error < front[-1].error):
            front.append(candidate)
    return tuple(front)


def choose(front: Sequence[Candidate], floor: float, fitted: int, held_out: int) -> int:
    """The pick: the shortest description of the rows, by the error on those held out.

    With few of them their error is a matter of luck; then that of the fitted rows, corrected for the
    constants fitted, counts as well, each by its number of rows.
    bits = rows/2 log2(error^2 + floor^2) + complexity * log2 of the alphabet (5 bits a symbol) +
    log2(rows)/2 for each fitted constant; ``floor`` is the error that counts as none (rounding).
    A number such as sqrt(2)/(2 sqrt(pi)) is one symbol of the formula, as its decimals would be.
    Reference: J. Rissanen, *Modeling by shortest data description* (1978).
    """

    rows = min(fitted + held_out, _ROWS_MOST)

    def error(candidate: Candidate) -> float:
        if held_out >= _FEW:
            return candidate.error
        spare = max(fitted - len(candidate.formula.constants), 1)
        squares = (fitted * candidate.train_error) ** 2 / spare + held_out * candidate.error**2
        return math.sqrt(squares / (fitted + held_out))

    def bits(candidate: Candidate) -> float:
        unexplained = rows * math.log2(math.hypot(error(candidate), floor))
        size = complexity(_with_short_numbers(candidate.formula.expression))
        return unexplained + 5.0 * size + 0.5 * len(candidate.formula.constants) * math.log2(rows)

    return min(range(len(front)), key=lambda row: bits(front[row]))


def _with_short_numbers(expression: Expr) -> Expr:
    """The expression with every number that takes several symbols as one decimal."""

    def rule(e: Expr) -> Expr:
        if e.is_number:
            return Float(1.5) if complexity(e) > complexity(Float(1.5)) else e
        if isinstance(e, Mul):
            numbers = [factor for factor in e.args if factor.is_number]
            if len(numbers) > 1:
                rest = [factor for factor in e.args if not factor.is_number]
                return Mul(Float(1.5), *rest, evaluate=False)
        return e

    return bottom_up(expression, rule)
