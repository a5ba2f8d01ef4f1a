"""From a table of many columns to few: the groups of columns on which a law depends.

Group fits (groups.py) with 0, 1 and 2 groups are tried, and again after two columns were merged into
their difference, sum or hypotenuse. What explains the rows in the fewest bits comes first.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from itertools import combinations

import sympy
import torch
from sympy import Expr
from torch import Tensor

from edgewise.symbolic.exponents import Groups, rounded
from edgewise.symbolic.groups import (
    Axis,
    GroupFit,
    Table,
    loglinear,
    misfit,
    refine,
    solve,
    tabulate,
)

_ROWS, _ROWS_2 = 1000, 3000
_GRID, _GRIDS = 10, (10, 20, 40, 80)
_GRID_2, _GRIDS_2 = 6, (6, 12)
_STARTS = 5
_GOOD = 1e-3
# Errors below are those of splines: nothing else is tried.
_CERTAIN, _SPLINES = 3e-6, 5e-5
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
    """A law of few groups: columns, the groups among them, and the weighted rows they were fitted to."""

    columns: Columns
    groups: Groups
    share: float

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


_Begin = tuple[tuple[Axis, ...], Tensor]

# --- fits of 0, 1 and 2 groups --------------------------------------------------------------------


def directions(n: int) -> list[Tensor]:
    """Exponents to start from: every column alone, and every product and quotient of two."""
    rows = list(torch.eye(n, dtype=torch.float64))
    for i, j in combinations(range(n), 2):
        rows += [rows[i] + rows[j], rows[i] - rows[j]]
    return rows


def no_group(table: Table) -> GroupFit:
    """y = c prod_i |x_i|^q_i."""
    empty = table.logs.new_zeros(0, table.logs.shape[1])
    return solve(table, (), loglinear(table), empty, 1)


def one_group(table: Table, expired: Callable[[], bool]) -> GroupFit:
    """The best fit with one group on few rows."""
    q = loglinear(table)
    starts: list[_Begin] = [((Axis(),), row[None]) for row in directions(len(q))]
    starts += [((Axis(i),), torch.eye(len(q), dtype=q.dtype)[i : i + 1]) for i in _raw(table)]
    return _best(table, q, starts, 8, _GRID, expired)


def two_groups(table: Table, first: GroupFit, expired: Callable[[], bool]) -> GroupFit:
    """The best fit with two groups; one starts as that of the best fit with one group, or as a
    column alone."""
    n = len(first.q)
    eye = torch.eye(n, dtype=torch.float64)
    rows = directions(n)
    seconds = [(Axis(), row) for row in rows] + [(Axis(i), eye[i]) for i in _raw(table)]
    firsts = [(first.axes[0], first.p[0]), *((Axis(), row) for row in eye)]
    starts: list[_Begin] = []
    for one, row in firsts:
        for two, other in seconds:
            both = torch.stack([row, other])
            if float(torch.linalg.svdvals(both)[-1]) > 1e-2:
                starts.append(((one, two), both))
    return _best(table, first.q, starts, 4, _GRID_2, expired)


def _raw(table: Table) -> list[int]:
    """Columns that are not positive: S may depend on them as they are."""
    return (table.x.amin(0) <= 0).nonzero()[:, 0].tolist()


def _best(
    table: Table,
    q: Tensor,
    starts: list[_Begin],
    coarse: int,
    grid: int,
    expired: Callable[[], bool],
) -> GroupFit:
    """The best of the fits from the most promising starts."""
    ranked: list[tuple[float, int]] = []
    for axes, p in starts:
        if expired() and ranked:
            break
        ranked.append((misfit(table, axes, q, p, coarse), len(ranked)))
    best: GroupFit | None = None
    for _, at in sorted(ranked)[:_STARTS]:
        axes, p = starts[at]
        fit = solve(table, axes, q, p, grid, expired=expired)
        if best is None or fit.error < best.error:
            best = fit
        if best.error < _GOOD or expired():
            break
    assert best is not None  # there is a start for every column
    return best


# --- all reductions -------------------------------------------------------------------------------


@dataclass(frozen=True, eq=False)
class Start:
    """The rows, weighed, and their fits with no group and with one."""

    columns: Columns
    y: Tensor
    weight: Tensor | None
    table: Table
    share: float
    zero: GroupFit
    one: GroupFit

    @property
    def certain(self) -> bool:
        """Whether nothing is left that more groups could explain."""
        return min(self.zero.error, self.one.error) < _CERTAIN


def start(
    columns: Columns,
    y: Tensor,
    weight: Tensor | None = None,
    expired: Callable[[], bool] = lambda: False,
) -> Start:
    """Fits of y (N,) with no group of columns, and with one. weight (N,)."""
    table, share = _weighed(columns, y, weight, expired)
    one = _refined(table, one_group(table.first(_ROWS), expired))
    return Start(columns, y, weight, table, share, no_group(table), one)


def reductions(
    begun: Start,
    expired: Callable[[], bool] = lambda: False,
    tell: Callable[[str], None] = lambda stage: None,
) -> Iterator[Reduction]:
    """Ways to write y as a monomial times a function of at most two groups, those that explain the
    rows in the fewest bits first."""
    seen = set()
    for reduction in _reductions(begun, expired, tell):
        if reduction.key not in seen:
            seen.add(reduction.key)
            yield reduction


def _reductions(
    begun: Start, expired: Callable[[], bool], tell: Callable[[str], None]
) -> Iterator[Reduction]:
    columns, y, weight, share = begun.columns, begun.y, begun.weight, begun.share
    table, zero, one = begun.table, begun.zero, begun.one
    if begun.certain or len(columns.expressions) < 2 or expired():
        yield from _rounded(columns, table, min((zero, one), key=GroupFit.bits), share)
        return
    tell("groups of columns: two")
    found = [(zero, columns, table), (one, columns, table)]
    found.append((_refined(table, two_groups(table.first(_ROWS), one, expired)), columns, table))
    if found[-1][0].error > _SPLINES:
        tell("groups of columns: merged")
        merges = []
        for merged in _merges(columns, y, weight, one, share, expired):
            smaller = tabulate(merged.x, y, weight, share)
            fit = _refined(smaller, one_group(smaller.first(_ROWS), expired))
            merges.append((fit, merged, smaller))
            if fit.error < _CERTAIN or expired():
                break
        found += merges
        for fit, those, their in merges:
            if expired() or min(entry[0].error for entry in found) < _CERTAIN:
                break
            if len(those.expressions) > 1:
                pair = _refined(their, two_groups(their.first(_ROWS), fit, expired))
                found.append((pair, those, their))
    for fit, those, their in sorted(found, key=lambda entry: entry[0].bits(len(y))):
        yield from _rounded(those, their, fit, share)


def _weighed(
    columns: Columns, y: Tensor, weight: Tensor | None, expired: Callable[[], bool]
) -> tuple[Table, float]:
    """The table whose small targets count as much as their noise allows, and that share."""
    table = tabulate(columns.x, y, weight)
    few = table.first(_ROWS)
    error = one_group(few, expired).error
    # a rough fit or noise: its error in y is about that of the weighted rows
    share = min(max(3 * error, 0.1), 1.0)
    return tabulate(columns.x, y, weight, share), share


def _refined(table: Table, fit: GroupFit) -> GroupFit:
    if len(fit.axes) == 2:
        return refine(table.first(_ROWS_2), fit, _GRIDS_2)
    return refine(table, fit, _GRIDS)


def _rounded(columns: Columns, table: Table, fit: GroupFit, share: float) -> Iterator[Reduction]:
    rows = table if len(fit.axes) < 2 else table.first(_ROWS_2)
    for groups in rounded(rows, fit, most=3 if len(fit.axes) == 2 else 1):
        yield Reduction(columns, groups, share)


def _merges(
    columns: Columns,
    y: Tensor,
    weight: Tensor | None,
    one: GroupFit,
    share: float,
    expired: Callable[[], bool],
) -> Iterator[Columns]:
    """Columns with two merged, and again two of these, as long as that explains the rows better."""
    current, error, fit = columns, one.error, one
    for _ in range(len(columns.expressions) - 1):
        trials: list[tuple[float, int, Columns, GroupFit]] = []
        inside = [i for i, p in enumerate(fit.p.abs().amax(0).tolist()) if p > 0.02]
        for i, j in combinations(inside, 2):
            for kind in _MERGES:
                if expired():
                    return
                merged = current.merged(i, j, kind)
                table = tabulate(
                    merged.x[:_ROWS], y[:_ROWS], None if weight is None else weight[:_ROWS], share
                )
                again = one_group(table, expired)
                trials.append((again.error, len(trials), merged, again))
        if not trials:
            return
        lowest, _, merged, again = min(trials, key=lambda trial: trial[:2])
        if lowest > _MERGE_GAIN * error:
            return
        current, error, fit = merged, lowest, again
        yield current
