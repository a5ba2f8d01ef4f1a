"""Exponents of a group fit as simple fractions, where the rows allow it.

Groups are not unique: powers and products of groups are groups, and what S does to z_k can be done
by the factor before it. So for each of the r groups one column is chosen that stands in this group
alone, with exponent 1, and not in the factor: y is its law with the other columns set to 1.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from itertools import combinations

import torch
from torch import Tensor

from edgewise.symbolic.groups import GroupFit, Table, misfit, precision, solve

# An exponent is taken for a fraction within so many standard errors, or so near.
_ERRORS, _NEAR = 3.5, 4e-3
# Exponents up to 6, in halves, thirds and quarters; bits that each way of writing takes.
_MOST, _BITS = 6, {1: 1.0, 2: 3.0, 3: 6.0, 4: 8.0}
# Simple exponents may raise the error by these factors, as splines with other knots do: when it is
# above _NOISE, and below. Errors below _EXACT count as none.
_NOISE, _NOISE_COST, _SPLINE_COST, _EXACT = 0.02, 1.1, 8.0, 2e-5
_FAR = 0.1


@dataclass(frozen=True, eq=False)
class Groups:
    """y = prod_i |x_i|^q_i S(z_1 .. z_r), z_k = prod_i |x_i|^p_ki: exponents that are fractions, or
    floats where no simple fraction fits. pivots: the column that stands in z_k alone, and not in q.
    signed: the columns that keep their sign in the factor. raw: the groups that are a column as it
    is."""

    fit: GroupFit
    q: tuple[Fraction | float, ...]
    p: tuple[tuple[Fraction | float, ...], ...]
    pivots: tuple[int, ...]
    signed: tuple[bool, ...]
    raw: tuple[bool, ...]

    def factor(self, x: Tensor) -> Tensor:
        """prod_i x_i^q_i (N,), with |x_i| for columns that are not signed."""
        columns = [c if sign else c.abs() for c, sign in zip(x.unbind(1), self.signed, strict=True)]
        return _power(columns, self.q)

    def columns(self, x: Tensor) -> Tensor:
        """The groups' values (N, r)."""
        found = [
            x[:, pivot] if raw else _power([c.abs() for c in x.unbind(1)], row)
            for row, pivot, raw in zip(self.p, self.pivots, self.raw, strict=True)
        ]
        return torch.stack(found, dim=1) if found else x[:, :0]


def _power(columns: Sequence[Tensor], exponents: Sequence[Fraction | float]) -> Tensor:
    value = torch.ones_like(columns[0])
    for column, e in zip(columns, exponents, strict=True):
        if e != 0:
            value = value * column ** (int(e) if e == int(e) else float(e))
    return value


def rounded(table: Table, fit: GroupFit, most: int = 3) -> Iterator[Groups]:
    """The fit with simple exponents, for the choices of pivots that give the simplest ones first."""
    choices = []
    for pivots in _pivots(fit):
        gauged = _gauged(fit, pivots)
        if gauged is not None:
            choices.append((_roughness(gauged), pivots, gauged))
    choices.sort(key=lambda choice: choice[:2])
    given = 0
    for _, pivots, gauged in choices:
        groups = _rounded(table, gauged, pivots)
        if groups is not None:
            yield groups
            given += 1
        if given == most:
            return


def _pivots(fit: GroupFit) -> list[tuple[int, ...]]:
    """Sets of columns, one a group, whose exponents are independent and not small."""
    fixed = {axis.column: k for k, axis in enumerate(fit.axes) if axis.column is not None}
    found = []
    for columns in combinations(range(len(fit.q)), len(fit.axes)):
        if not set(fixed) <= set(columns):
            continue
        rest = [c for c in columns if c not in fixed]
        ordered = tuple(
            axis.column if axis.column is not None else rest.pop(0) for axis in fit.axes
        )
        found.append(ordered)
    return found


def _gauged(fit: GroupFit, pivots: tuple[int, ...]) -> GroupFit | None:
    """The same fit with p = identity and q = 0 on the pivots; None where that is degenerate."""
    p, q = fit.p.clone(), fit.q.clone()
    if not pivots:
        return fit
    for k, axis in enumerate(fit.axes):
        if axis.column is not None:  # a raw column: its row of p is a unit vector
            p[k] = 0.0
            p[k, axis.column] = 1.0
    M = p[:, list(pivots)]
    if float(torch.linalg.svdvals(M)[-1]) < 0.1 * float(p.abs().amax()):
        return None
    p = torch.linalg.solve(M, p)
    q = q - q[list(pivots)] @ p
    if float(p.abs().amax()) > _MOST or float(q.abs().amax()) > 2 * _MOST:
        return None
    return replace(fit, p=p, q=q)


def _roughness(fit: GroupFit) -> float:
    """How far the exponents are from halves, and how large they are: simple ones first."""
    values = torch.cat([fit.q, fit.p.flatten()])
    halves = (2 * values).round() / 2
    return float((values - halves).abs().sum()) + 0.05 * float(halves.abs().sum())


def _rounded(table: Table, fit: GroupFit, pivots: tuple[int, ...]) -> Groups | None:
    """Exponents become fractions one at a time, the surest first; the others follow."""
    n = len(fit.q)
    free_rows = [k for k, axis in enumerate(fit.axes) if axis.column is None]
    values = torch.cat([fit.q, *(fit.p[k] for k in free_rows)])
    held = torch.zeros(len(values), dtype=torch.bool)
    for m in range(1 + len(free_rows)):
        held[[m * n + i for i in pivots]] = True
    inverse = precision(table, fit)
    simple: dict[int, Fraction] = {
        int(i): Fraction(round(float(values[i]))) for i in held.nonzero()
    }
    while not bool(held.all()):
        free = (~held).nonzero()[:, 0]
        H = inverse[free][:, free]
        H = H + 1e-10 * H.diagonal().amax() * torch.eye(len(free), dtype=H.dtype)
        covariance = torch.linalg.inv(H)
        best = _surest(values[free], covariance.diagonal().clamp_min(0).sqrt())
        if best is None:
            break
        n_best, fraction = best
        shift = float(fraction) - float(values[free[n_best]])
        step = covariance[:, n_best] / covariance[n_best, n_best] * shift
        values[free] = values[free] + step
        values[free[n_best]] = float(fraction)
        simple[int(free[n_best])] = fraction
        held[free[n_best]] = True
    q, p = values[:n], fit.p.clone()
    for m, k in enumerate(free_rows):
        p[k] = values[(m + 1) * n : (m + 2) * n]
    again = solve(table, fit.axes, q, p, fit.grid, held=held, steps=10, scaled=False)
    plain = all(p[k].count_nonzero() == 1 for k in range(len(p)))  # columns, no groups of them
    noisy = fit.error > _NOISE and not plain
    bound = max(fit.error * (_NOISE_COST if noisy else _SPLINE_COST), _EXACT)
    if bound < again.error < _FAR:  # along other coordinates the same law may want a finer grid
        finer = misfit(table, fit.axes, again.q, again.p, 2 * fit.grid)
        again = replace(again, error=math.sqrt(finer) / table.size, grid=2 * fit.grid)
    if again.error > bound:
        return None

    def exact(row: int, tensor: Tensor) -> tuple[Fraction | float, ...]:
        return tuple(simple.get(row * n + i, float(tensor[i])) for i in range(n))

    rows = []
    for k, axis in enumerate(fit.axes):
        if k in free_rows:
            rows.append(exact(1 + free_rows.index(k), again.p[k]))
        else:
            rows.append(tuple(Fraction(int(i == axis.column)) for i in range(n)))
    factor = exact(0, again.q)
    mixed = (table.x.amin(0) < 0).tolist()
    signed = tuple(
        not both or (bool(odd) and e == int(e) and int(e) % 2 == 1)
        for both, odd, e in zip(mixed, table.odd.tolist(), factor, strict=True)
    )
    if any(odd and not kept for odd, kept in zip(table.odd.tolist(), signed, strict=True)):
        return None  # the sign of a column counts, but not its odd power
    raw = tuple(
        axis.column is not None or (not mixed[pivot] and sum(e != 0 for e in row) == 1)
        for axis, row, pivot in zip(fit.axes, rows, pivots, strict=True)
    )
    return Groups(again, factor, tuple(rows), pivots, signed, raw)


def _surest(values: Tensor, errors: Tensor) -> tuple[int, Fraction] | None:
    """The exponent that most likely is a fraction, and this fraction; None where none is near."""
    best: tuple[float, int, Fraction] | None = None
    for n, (value, error) in enumerate(zip(values.tolist(), errors.tolist(), strict=True)):
        width = max(error, _NEAR / _ERRORS)
        for denominator, bits in _BITS.items():
            fraction = Fraction(round(value * denominator), denominator)
            distance = abs(value - float(fraction)) / width
            if distance > _ERRORS or abs(fraction) > _MOST:
                continue
            # misfit and bits, and the doubt when other fractions are as near
            cost = 0.5 * distance**2 + math.log(2) * bits + math.log1p(width * denominator)
            if best is None or cost + 0.1 * width < best[0]:
                best = (cost, n, fraction)
    return None if best is None else (best[1], best[2])
