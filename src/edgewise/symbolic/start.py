"""A search that begins where another one ended: formulas fitted anew to other rows."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import sympy
from sympy import Expr

from edgewise.errors import FormulaError, InputError
from edgewise.symbolic.evaluate import symbol
from edgewise.symbolic.finish import Rows, finish, measure
from edgewise.symbolic.formula import Formula
from edgewise.symbolic.front import Candidate
from edgewise.symbolic.parse import parse
from edgewise.symbolic.refit import Refit, refit
from edgewise.symbolic.search import Search

_ROWS = 20_000


def starts(start: Any, variables: Sequence[str]) -> list[Expr]:
    """The expressions meant by a text, a Formula, an expression, a discovery's front, or a list.

    Raises FormulaError: a text is not understood, or a formula uses a name that is no column.
    """
    if isinstance(start, str):
        return [parse(start, variables)]
    if isinstance(start, Formula):
        start = start.expression
    if isinstance(start, Expr):
        return [_of_columns(start, variables)]
    if hasattr(start, "front"):
        start = [candidate.formula for candidate in start.front]
    if isinstance(start, (list, tuple)):
        return [expression for one in start for expression in starts(one, variables)]
    raise InputError(
        f"start is a {type(start).__name__}; expected a Discovery, a formula, or a list of them"
    )


def _of_columns(expression: Expr, variables: Sequence[str]) -> Expr:
    unknown = sorted({s.name for s in expression.free_symbols} - set(variables))
    if unknown:
        raise FormulaError(
            f"a formula to start from uses {', '.join(unknown)}, but the columns are "
            f"{', '.join(variables)}"
        )
    return expression.xreplace({s: symbol(s.name) for s in expression.free_symbols})


def enter(search: Search, expressions: Sequence[Expr], whole: Rows) -> list[str]:
    """Fit the expressions to the rows and add them; notes on those that could not be.

    whole: the rows with the columns that are constant, whose values the formulas take in.
    """
    notes: list[str] = []
    first = whole.train.x[0].tolist()
    fixed = {
        symbol(name): sympy.Float(value)
        for name, value in zip(whole.names, first, strict=True)
        if name not in search.rows.names
    }
    for expression in expressions:
        given, reason = expression.xreplace(fixed), "is not finite on these rows, or time was up"
        for form in (given, _loosened(given)):
            if search.solved:
                return notes
            search.tell("the formulas to start from")
            candidate = _entered(form, search)
            if search.add(candidate):
                reason = ""
            elif candidate is not None:
                reason = "is not allowed by lib, forbid or units"
        if reason:
            notes.append(f"{str(expression)[:80]} {reason}")
    return notes


def _entered(expression: Expr, search: Search) -> Candidate | None:
    # fitted before anything is shortened: 1.0 is a number to fit, not a factor that goes
    start = fitted(expression, search.rows, search.deadline)
    return finish(start.expression, search.rows, "start", search.deadline)


def _loosened(expression: Expr) -> Expr:
    """With a scale and an offset, and with fractions as numbers to fit: other rows may have others."""

    def loose(node: Expr) -> Expr:
        if isinstance(node, sympy.Rational):
            return node if node.is_Integer else sympy.Float(float(node))
        if not node.args:
            return node
        if isinstance(node, sympy.Pow):
            return loose(node.base) ** node.exp
        return node.func(*map(loose, node.args))

    return sympy.Float(1.0) * loose(expression) + sympy.Float(1e-9)


def measured_anew(candidate: Candidate, rows: Rows, deadline: float) -> Candidate | None:
    """The candidate fitted and judged as these rows weigh errors; as it is when time is up."""
    return measure(fitted(candidate.formula.expression, rows, deadline), rows, candidate.origin)


def fitted(expression: Expr, rows: Rows, deadline: float) -> Refit:
    """The expression as it is, its floats fitted to the rows."""
    few = rows.train.thinned(_ROWS)
    y, weight = few.y[:, 0], rows.weight(few)
    return refit(expression, few.x, y, list(rows.names), weight, deadline=deadline)
