"""From a table of many columns to few: the groups of columns on which a law depends.

Fits with up to three groups (group_search.py) are tried, and again after two columns were merged into
their difference, sum or hypotenuse. What explains the rows in the fewest bits comes first.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from itertools import combinations

import sympy
import torch
from sympy import Expr
from torch import Tensor

from edgewise.symbolic.exponents import Groups, rounded
from edgewise.symbolic.group_search import no_group, one_group, three_groups, two_groups
from edgewise.symbolic.groups import (
    GroupFit,
    Table,
    fitted,
    misfit,
    refine,
    relative,
    tabulate,
)

_ROWS = 1000
# Rows and grids of the final fits with so many groups.
_FINER = {
    0: (8000, (1,)),
    1: (8000, (10, 20, 40, 80)),
    2: (3000, (6, 12)),
    3: (3000, (3, 6)),
}
# Errors below are those of splines: nothing else is tried.
_CERTAIN, _SPLINES, _SURFACES = 3e-6, 5e-5, 5e-4
# A merge, which leaves a column less, must not raise the error.
_MERGE_GAIN = 0.99


@dataclass(frozen=True, eq=False)
class Columns:
    """Columns of a table, x (N, n), and what each is in the user's columns."""

    x: Tensor
    expressions: tuple[Expr, ...]

    def merged(self, i: int, j: int, kind: str) -> Columns:
        kept = [k for k in range(len(self.expressions)) if k not in (i, j)]
        a, b = self.x[:, i], self.x[:, j]
        s, t = self.expressions[i], self.expressions[j]
        new, expression = _MERGES[kind](a, b), _MERGED[kind](s, t)
        x = torch.cat([self.x[:, kept], new[:, None]], dim=1)
        return Columns(x, (*(self.expressions[k] for k in kept), expression))


_MERGES: dict[str, Callable[[Tensor, Tensor], Tensor]] = {
    "difference": lambda a, b: a - b,
    "sum": lambda a, b: a + b,
    "hypotenuse": torch.hypot,
}
_MERGED: dict[str, Callable[[Expr, Expr], Expr]] = {
    "difference": lambda s, t: s - t,
    "sum": lambda s, t: s + t,
    "hypotenuse": lambda s, t: sympy.sqrt(s**2 + t**2),
}


@dataclass(frozen=True, eq=False)
class Reduction:
    """A law of few groups: columns, and the groups among them."""

    columns: Columns
    groups: Groups

    @property
    def error(self) -> float:
        return self.groups.fit.error

    @property
    def key(self) -> tuple:
        """What it says, to tell reductions apart."""
        return self.columns.expressions, self.groups.q, self.groups.p

    def factor(self) -> Expr:
        """The monomial before S."""
        return monomial(self.columns.expressions, self.groups.q, self.groups.signed)

    def group(self, k: int, even: bool = False) -> Expr:
        """z_k; of columns of both signs only the size counts, unless one is a group by itself, or
        what z_k stands in is even."""
        plain = even or self.groups.raw[k]
        positive = (self.columns.x.amin(0) >= 0).tolist()
        signed = [plain or sign for sign in positive]
        return monomial(self.columns.expressions, self.groups.p[k], signed)


def monomial(
    symbols: Sequence[Expr], exponents: Sequence[Fraction | float], signed: Sequence[bool]
) -> Expr:
    """prod_i s_i^e_i, with |s_i| where the sign does not count."""
    powers = []
    for s, e, sign in zip(symbols, exponents, signed, strict=True):
        if e != 0:
            base = s if sign else sympy.Abs(s)
            powers.append(base ** (sympy.Float(e) if isinstance(e, float) else sympy.Rational(e)))
    return sympy.Mul(*powers)


@dataclass(frozen=True, eq=False)
class Start:
    """The rows, weighed, and their fits with no group and with one."""

    columns: Columns
    y: Tensor
    weight: Tensor | None
    table: Table
    zero: GroupFit
    one: GroupFit

    @property
    def least(self) -> float:
        """The smaller error of the two."""
        return min(self.zero.error, self.one.error)

    @property
    def certain(self) -> bool:
        """Whether nothing is left that more groups could explain."""
        return self.least < _CERTAIN


def start(
    columns: Columns,
    y: Tensor,
    weight: Tensor | None = None,
    expired: Callable[[], bool] = lambda: False,
) -> Start:
    """Fits of y (N,) with no group of columns, and with one. weight (N,)."""
    table = _weighed(columns, y, weight, expired)
    one = _refined(table, one_group(table.first(_ROWS), expired), expired)
    return Start(columns, y, weight, table, no_group(table), one)


def reductions(
    begun: Start,
    expired: Callable[[], bool] = lambda: False,
    tell: Callable[[str], None] = lambda stage: None,
) -> Iterator[Reduction]:
    """Ways to write y as a monomial times a function of at most three groups, those that explain
    the rows in the fewest bits first."""
    seen = set()
    for reduction in _reductions(begun, expired, tell):
        if reduction.key not in seen:
            seen.add(reduction.key)
            yield reduction


@dataclass(frozen=True, eq=False)
class _Entry:
    """A fit to some rows of a table, and the bits of all its rows by this fit."""

    fit: GroupFit
    columns: Columns
    table: Table
    bits: float


def _entry(fit: GroupFit, columns: Columns, table: Table) -> _Entry:
    rows = len(table.y)
    if fit.rows != rows:  # errors on few rows are smaller by chance and by their parameters
        squares = misfit(table, fit.axes, fit.q, fit.p, fit.grid)
        whole = replace(fit, error=math.sqrt(squares) / table.size, rows=rows)
        return _Entry(fit, columns, table, whole.bits())
    return _Entry(fit, columns, table, fit.bits())


def _reductions(
    begun: Start, expired: Callable[[], bool], tell: Callable[[str], None]
) -> Iterator[Reduction]:
    columns = begun.columns
    zero = _entry(begun.zero, columns, begun.table)
    one = _entry(begun.one, columns, begun.table)
    simple = min(zero, one, key=_bits)
    if begun.certain or len(columns.expressions) < 2 or expired():
        yield from _rounded(simple)
        return
    tell("groups of columns: two")
    found = [zero, one, _two(one, expired)]
    if bool(begun.table.odd.any()):
        plain = tabulate(columns.x, begun.y, begun.table.root, signs=False)
        first = one_group(plain.first(_ROWS), expired)
        found.append(_two(_entry(first, columns, plain), expired))
    if min(found, key=_bits) is not simple:  # else what is left is noise
        found += _more(begun, found, expired, tell)
    for entry in sorted(found, key=_bits):
        yield from _rounded(entry)


def _more(
    begun: Start,
    found: Sequence[_Entry],
    expired: Callable[[], bool],
    tell: Callable[[str], None],
) -> list[_Entry]:
    """Fits with two columns merged, and with three groups."""
    more: list[_Entry] = []
    least = min(entry.fit.error for entry in found)
    if least > _SPLINES:
        tell("groups of columns: merged")
        for merged in _merges(begun, expired):
            table = tabulate(merged.x, begun.y, begun.table.root)
            fit = _refined(table, one_group(table.first(_ROWS), expired), expired)
            more.append(_entry(fit, merged, table))
            if fit.error < _CERTAIN or expired():
                break
        for entry in list(more):
            if expired() or min(least, *(e.fit.error for e in more)) < _CERTAIN:
                break
            if len(entry.columns.expressions) > 1:
                more.append(_two(entry, expired))
    best = min([*found, *more], key=_bits)
    if len(best.fit.axes) == 2 and best.fit.error > _SURFACES and len(best.fit.q) > 2:
        tell("groups of columns: three")
        more.append(_three(best, expired))
    return more


def _bits(entry: _Entry) -> float:
    return entry.bits


def _two(entry: _Entry, expired: Callable[[], bool]) -> _Entry:
    table = entry.table
    fit = _refined(table, two_groups(table.first(_ROWS), entry.fit, expired), expired)
    return _entry(fit, entry.columns, table)


def _three(entry: _Entry, expired: Callable[[], bool]) -> _Entry:
    table = entry.table
    fit = _refined(table, three_groups(table.first(_ROWS), entry.fit, expired), expired)
    return _entry(fit, entry.columns, table)


def _weighed(
    columns: Columns, y: Tensor, weight: Tensor | None, expired: Callable[[], bool]
) -> Table:
    """The table whose small targets count as much as their noise allows.

    Sizes are those of a fit: weights by the rows' own would favour each row that noise makes small.
    """
    table = tabulate(columns.x, y, relative(y, weight))
    fit = one_group(table.first(_ROWS), expired)
    # a rough fit or noise: its error in y is about that of the weighted rows
    share = min(max(3 * fit.error, 0.1), 1.0)
    table = replace(table, root=relative(y, weight, share))
    return replace(table, root=relative(fitted(table, fit), weight, share))


def _refined(table: Table, fit: GroupFit, expired: Callable[[], bool]) -> GroupFit:
    rows, grids = _FINER[len(fit.axes)]
    return refine(table.first(rows), fit, grids, expired)


def _rounded(entry: _Entry) -> Iterator[Reduction]:
    table, fit = entry.table, entry.fit
    for groups in rounded(table.first(fit.rows), fit, most=3 if len(fit.axes) > 1 else 1):
        yield Reduction(entry.columns, groups)


def _merges(begun: Start, expired: Callable[[], bool]) -> Iterator[Columns]:
    """Columns with two merged, and again two of these, as long as that explains the rows better."""
    y, root = begun.y[:_ROWS], begun.table.root[:_ROWS]
    current, error, fit = begun.columns, begun.one.error, begun.one
    for _ in range(len(current.expressions) - 1):
        trials: list[tuple[float, int, Columns, GroupFit]] = []
        inside = [i for i, p in enumerate(fit.p.abs().amax(0).tolist()) if p > 0.02]
        for i, j in combinations(inside, 2):
            for kind in _MERGES:
                if expired():
                    return
                merged = current.merged(i, j, kind)
                again = one_group(tabulate(merged.x[:_ROWS], y, root), expired)
                trials.append((again.error, len(trials), merged, again))
        if not trials:
            return
        lowest, _, merged, again = min(trials, key=lambda trial: trial[:2])
        if lowest > _MERGE_GAIN * error:
            return
        current, error, fit = merged, lowest, again
        yield current
