"""Where group fits begin, and the best of them: with no group, one, two and three."""

from __future__ import annotations

from collections.abc import Callable
from itertools import combinations

import torch
from torch import Tensor

from edgewise.symbolic.groups import Axis, GroupFit, Table, loglinear, misfit, solve

# Intervals along each axis of fits with so many groups; a coarser one ranks the starts.
_GRID, _GRID_2, _GRID_3 = 10, 6, 3
_STARTS = 5
_GOOD = 1e-3

_Begin = tuple[tuple[Axis, ...], Tensor]


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


def three_groups(table: Table, pair: GroupFit, expired: Callable[[], bool]) -> GroupFit:
    """The best fit with three groups on few rows; two start as those of the best fit with two."""
    eye = torch.eye(len(pair.q), dtype=torch.float64)
    thirds = [(Axis(), row) for row in directions(len(pair.q))]
    thirds += [(Axis(i), eye[i]) for i in _raw(table)]
    starts: list[_Begin] = []
    for axis, row in thirds:
        p = torch.cat([pair.p, row[None]])
        if float(torch.linalg.svdvals(p)[-1]) > 1e-2:
            starts.append(((*pair.axes, axis), p))
    return _best(table, pair.q, starts, 2, _GRID_3, expired)


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
