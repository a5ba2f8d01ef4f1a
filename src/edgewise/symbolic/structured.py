"""The search by structure: groups of columns first, then curves, surfaces and polynomials of them."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterable
from itertools import islice
from typing import Any

from edgewise.symbolic.direct import Proposal
from edgewise.symbolic.evaluate import evaluate, symbol
from edgewise.symbolic.groups import GroupFit
from edgewise.symbolic.laws import laws
from edgewise.symbolic.polynomials import polynomials
from edgewise.symbolic.reduce import Columns, Start, reductions, start
from edgewise.symbolic.state import Search
from edgewise.symbolic.suggest import library
from edgewise.symbolic.surfaces import Rows, recognise

_ROWS = 8000
# The part of the time left that this search may take, and the part of that for one reduction.
_SHARE, _EACH = 0.6, 0.4
# Proposals of one reduction that are refitted, snapped and judged.
_PROPOSALS = 4
# A polynomial is tried when its error is at most this much larger than that of the best groups, and
# at once when it is exact.
_AS_GOOD, _EXACT = 1.05, 1e-6
# Errors in these proportions are the same noise. Fits this much worse than the best are not the law.
_SAME, _WORSE = (0.97, 1.02), 8.0
# Tables of so few columns are searched as they are, too.
_COLUMNS = 3


def structured(search: Search, lib: Any) -> None:
    """Formulas of laws that depend on few groups of columns; what is found stays in the search."""
    rows = search.rows
    train = rows.train.thinned(_ROWS)
    y, weight = train.y[:, 0], rows.weight(train)
    records = None if lib is None else library(lib)
    columns = Columns(train.x, tuple(symbol(name) for name in rows.names))
    late = _after(_SHARE * search.left)
    search.tell("groups of columns: one")
    begun = start(columns, y, weight, late)
    short = [] if begun.certain else polynomials(begun, late)
    if short and short[0].error < _EXACT:
        search.finish(short.pop(0))
    best: GroupFit | None = None
    for reduction in reductions(begun, late, search.tell):
        if short and short[0].error < _AS_GOOD * reduction.error:
            search.finish(short.pop(0))
        best = reduction.groups.fit if best is None else min(best, reduction.groups.fit, key=_error)
        if search.solved or late():
            return
        if reduction.error > _WORSE * best.error:
            continue
        soon = _after(min(_EACH * _SHARE * search.left, search.left), late)
        _finish(search, laws(reduction, y, weight, records, soon, search.tell), late)
        if search.solved or _explained(search, begun, best):
            return
    if len(rows.names) <= _COLUMNS:
        search.tell("the columns themselves")
        error = begun.least if best is None else best.error
        given = Rows(train.x, y, begun.table.root, columns.expressions, error)
        _finish(search, recognise(given, records, late, _PROPOSALS), late)


def _error(fit: GroupFit) -> float:
    return fit.error


def _after(seconds: float, also: Callable[[], bool] = lambda: False) -> Callable[[], bool]:
    """A clock that tells whether so many seconds have passed, or another one says so."""
    end = time.monotonic() + seconds
    return lambda: time.monotonic() > end or also()


def _finish(search: Search, proposals: Iterable[Proposal], late: Callable[[], bool]) -> None:
    for proposal in islice(proposals, _PROPOSALS):
        search.finish(proposal)
        if search.solved or late():
            return


def _explained(search: Search, begun: Start, fit: GroupFit) -> bool:
    """Whether some formula leaves what the best fit of splines leaves, which then is noise."""
    table, names = begun.table.first(fit.rows), search.rows.names
    x = dict(zip(names, begun.columns.x[: fit.rows].unbind(1), strict=True))
    error = fit.error * math.sqrt(fit.rows / max(fit.rows - fit.parameters, 1))
    for candidate in search.found:
        left = evaluate(candidate.formula.expression, x) - begun.y[: fit.rows]
        if _SAME[0] < float((left * table.root).norm()) / table.size / error < _SAME[1]:
            search.explained = True
    return search.explained
