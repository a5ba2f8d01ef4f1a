"""The search by structure: groups of columns first, then curves, surfaces and polynomials of them."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from itertools import combinations, islice
from typing import Any

import torch
from torch import Tensor

from edgewise.symbolic.evaluate import evaluate, symbol
from edgewise.symbolic.groups import products
from edgewise.symbolic.laws import laws
from edgewise.symbolic.polynomials import polynomials
from edgewise.symbolic.reduce import Columns, Reduction, Start, reductions, start
from edgewise.symbolic.splits import basis
from edgewise.symbolic.state import Search
from edgewise.symbolic.suggest import library
from edgewise.symbolic.surfaces import Rows, recognise

_ROWS = 8000
# The part of the time left that this search may take, and the part of that for one reduction.
_SHARE, _EACH = 0.6, 0.4
# Proposals that are refitted, snapped and judged for a reduction to so many groups. Under noise many
# curves look alike.
_PROPOSALS, _AFTER, _TOP = (1, 10, 9, 9), 2, 4
# A polynomial is tried when its error is at most this much larger than that of the best groups, and
# at once when it is exact.
_AS_GOOD, _EXACT = 1.05, 1e-6
# Fits this much worse than the best are not the law.
_WORSE = 8.0
# Splines of columns, of groups and of two columns, that must not explain what a formula leaves, and
# how far F may be from 1.
_GRID, _GRIDS, _PAIR_GRID, _DEVIATIONS = 8, (40, 10, 4), 4, 4.0
_PAIR_ROWS = 3000
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
    best = math.inf
    for reduction in reductions(begun, late, search.tell):
        if short and short[0].error < _AS_GOOD * reduction.error:
            search.finish(short.pop(0))
        best = min(best, reduction.error)
        if search.solved or late():
            return
        if reduction.error > _WORSE * best:
            continue
        soon = _after(_EACH * _SHARE * search.left, late)
        proposals = laws(reduction, y, begun.table.root, records, soon, search.tell)
        groups = len(reduction.groups.p)
        more = _PROPOSALS[groups]
        for proposal in proposals:
            search.finish(proposal)
            more -= 1
            if search.solved or late() or more == 0:
                break
            # under noise several formulas look alike: the choice is among some of them
            if groups > 1 and more > _AFTER and _explained(search, begun, reduction):
                more = _AFTER
        if search.solved or late() or _explained(search, begun, reduction):
            return
    if len(rows.names) <= _COLUMNS:
        search.tell("the columns themselves")
        error = min(begun.least, best)
        given = Rows(train.x, y, begun.table.root, columns.expressions, error)
        for proposal in islice(recognise(given, records, late, _TOP), 2 * _TOP):
            search.finish(proposal)
            if search.solved or late():
                return


def _after(seconds: float, also: Callable[[], bool] = lambda: False) -> Callable[[], bool]:
    """A clock that tells whether so many seconds have passed, or another one says so."""
    end = time.monotonic() + seconds
    return lambda: time.monotonic() > end or also()


def _explained(search: Search, begun: Start, reduction: Reduction) -> bool:
    """Whether the best formula leaves nothing that splines of the columns, of their groups or of any
    two columns together could explain: its residuals then are noise."""
    best = search.best
    if best is None:
        return False
    x = begun.columns.x
    value = evaluate(
        best.formula.expression, dict(zip(search.rows.names, x.unbind(1), strict=True))
    )
    root = torch.ones_like(begun.y) if begun.weight is None else begun.weight.sqrt()
    left = (value - begun.y) * root
    z = reduction.groups.columns(reduction.columns.x)
    single = [basis(column[:, None], _GRID) for column in x.unbind(1)]
    if z.shape[1]:
        single.append(basis(z, _GRIDS[z.shape[1] - 1]))
    few = [basis(column[:, None], _PAIR_GRID) for column in x[:_PAIR_ROWS].unbind(1)]
    pairs = (products([a, b]) for a, b in combinations(few, 2))
    search.explained = _noise(left, torch.cat(single, dim=1) * root[:, None]) and all(
        not search.late and _noise(left[:_PAIR_ROWS], pair * root[:_PAIR_ROWS, None])
        for pair in pairs
    )
    return search.explained


def _noise(left: Tensor, X: Tensor) -> bool:
    """Whether the functions X (N, K) explain no more of the residuals (N,) than of noise.

    The F test of all coefficients: F = (explained / K) / (unexplained / (N - K)), whose standard
    deviation under noise is about sqrt(2 / K).
    """
    solution = torch.linalg.lstsq(X, left[:, None], driver="gelsd").solution
    unexplained = float((left - (X @ solution)[:, 0]).square().sum())
    N, K = X.shape
    explained = float(left.square().sum()) - unexplained
    F = (explained / K) / max(unexplained / max(N - K, 1), 1e-300)
    return N > 2 * K and F < 1 + _DEVIATIONS * math.sqrt(2 / K)
