"""Short formulas of a few columns by exhaustive search over small expression trees.

A bank holds every tree up to some cost by its values on a few rows (`trees_bank`). The target y is
looked up in it in forms that two trees span:

- T(y) = c e + d                        a tree inside an outer map such as 1/y, y^2, log y, sin y
- T(y) = c_1 e_1 + c_2 e_2 (+ c_3 e_3) + d        a few terms, in closed form
- U(T(y) op e_1) = c e_2 + d            y = e_1 (c e_2 + d), e_1 sqrt(c e_2 + d), 1/(e_1 + 1/(..)), ...

Without noise the second tree is found by a sorted key (meet in the middle), so that pairs of large
trees cost no more than one; with noise by least squares of all pairs of smaller ones. The bank grows
until the target is met. All constants of the best are then fitted together, and who has the shortest
description wins: N/2 log2(error^2 + noise^2) bits for the rows, 5 bits a symbol for the formula.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

import sympy
import torch
from sympy import Expr, Float
from torch import Tensor

from edgewise.symbolic.direct import Proposal
from edgewise.symbolic.evaluate import evaluate
from edgewise.symbolic.formula import complexity
from edgewise.symbolic.primitives import Primitive
from edgewise.symbolic.refit import refit
from edgewise.symbolic.trees_bank import Bank, affinely_different
from edgewise.symbolic.trees_goals import Outer, goal_of, outers, pair_goals, target
from edgewise.symbolic.trees_match import EXACT_ROWS, LeastSquares, Lookup, Match, best_terms

_ROWS, _MANY, _FIT_ROWS = 64, 2000, 1000
_EXACT = 1e-9  # relative error that only rounding leaves
_STAGES = (2_000, 15_000, 100_000)
_SUMS = (600, 1500, 2500)  # trees of which all pairs are added
_FIRST, _CORE, _SECOND = (300, 1000, 2000), (60, 100, 150), (1500, 3000, 5000)  # of least squares
_FINALISTS, _POLISHED = 150, 24
_POLISH_SECONDS = 0.4
_BITS = 5.0  # of a symbol


@dataclass(frozen=True)
class _Table:
    """Rows x (N, I), y (N,) of positive target where it has one sign, weights (N,) of mean 1."""

    x: Tensor
    y: Tensor
    weight: Tensor
    names: tuple[str, ...]
    noise: float

    @property
    def total(self) -> float:
        """sum of w (y - mean)^2."""
        mean = (self.weight * self.y).sum() / self.weight.sum()
        return float((self.weight * (self.y - mean).square()).sum())

    @property
    def spread(self) -> float:
        return math.sqrt(self.total / float(self.weight.sum())) or 1.0

    @property
    def noise2(self) -> float:
        """Variance of the noise relative to that of y."""
        return (self.noise / self.spread) ** 2 + 1e-20

    def columns(self) -> dict[str, Tensor]:
        return dict(zip(self.names, self.x.unbind(1), strict=True))

    def rows(self, index: Tensor) -> _Table:
        return _Table(self.x[index], self.y[index], self.weight[index], self.names, self.noise)

    def bits(self, proposal: Proposal) -> float:
        rows = min(len(self.y), _FIT_ROWS)
        loss = proposal.error**2 + self.noise2
        return rows / 2 * math.log2(loss) + _BITS * complexity(proposal.expression)


@torch.no_grad()
def search_trees(
    x: Tensor,
    y: Tensor,
    names: Sequence[str],
    *,
    weight: Tensor | None = None,
    noise: float = 0.0,
    lib: Sequence[Primitive] | None = None,
    top: int = 6,
    expired: Callable[[], bool] = lambda: False,
    size: int = _STAGES[-1],
) -> list[Proposal]:
    """The best short formulas for y (N,) of x (N, I), shortest description first.

    Args:
        weight: (N,), inverse variances of y up to a factor.
        noise: root mean square of y's noise, in its unit; 0: y is exact, and a formula that meets
            it to rounding ends the search.
        lib: unary functions of the trees; None: roots, squares, cubes, reciprocals, exp, log and
            the usual trigonometric ones.
        top: at most so many proposals.
        expired: polled often; ends the search with what there is.
        size: the largest number of trees kept, 1 KB each.
    """
    table = _make_table(x, y, names, weight, noise)
    sign = -1.0 if bool((table.y < 0).all()) else 1.0
    table = _Table(table.x, sign * table.y, table.weight, table.names, noise)
    if len(table.y) < 4 or table.total == 0:
        return []
    proposals = _search(table, lib, expired, size)
    signed = [Proposal(sign * p.expression, p.error, p.origin) for p in proposals]
    return _best(table, signed, top)


def _make_table(
    x: Tensor, y: Tensor, names: Sequence[str], weight: Tensor | None, noise: float
) -> _Table:
    x, y = torch.as_tensor(x).detach().double(), torch.as_tensor(y).detach().double().flatten()
    w = torch.ones_like(y) if weight is None else torch.as_tensor(weight).detach().double()
    w = w.flatten()
    good = torch.isfinite(x).all(1) & torch.isfinite(y) & (w > 0)
    x, y, w = x[good], y[good], w[good]
    order = torch.randperm(len(y), generator=torch.Generator().manual_seed(0))[:_MANY]
    return _Table(x[order], y[order], w[order] / w.mean(), tuple(names), noise)


def _search(
    table: _Table, lib: Sequence[Primitive] | None, expired: Callable[[], bool], size: int
) -> list[Proposal]:
    few = table.rows(torch.arange(min(_ROWS, len(table.y))))
    bank = Bank(few.x, table.names, lib)
    named = None if lib is None else frozenset(p.name for p in lib)
    sound = outers(table.y, named)
    found: list[Match] = []
    seen: dict[Expr, Proposal] = {}
    for stage, most in enumerate(_STAGES):
        while len(bank) < min(most, size) and bank.grow(min(most, size), expired):
            pass
        for matches in _look(few, bank, sound, named, stage, expired):
            found += matches
            exact = [m for m in matches if m.loss < 1e-12] if table.noise == 0 else []
            met = [p for p in _proposals(exact[:40], bank, table, seen) if p.error < _EXACT]
            if met:
                return met
        if expired() or most >= size:
            break
    candidates = _proposals(_promising(found, few), bank, table, seen)
    return _polished(candidates, table, expired)


def _look(
    few: _Table,
    bank: Bank,
    sound: Sequence[Outer],
    named: frozenset[str] | None,
    stage: int,
    expired: Callable[[], bool],
) -> Iterable[list[Match]]:
    """Matches of the bank as it is, kind by kind, the quick ones first."""
    y, weight = few.y, few.weight
    factor = 2 ** (2 * _BITS / len(y))
    measure = (few.total, few.noise2, factor)
    different = affinely_different(bank.values)
    whole = LeastSquares(bank.values, different, bank.cost)
    goals = [target(T, y, weight) for T in sound]
    yield _sorted(m for goal in goals for m in whole.best(goal, *measure, 20))
    sums = different[: _SUMS[stage]]
    for goal in goals:
        if expired():
            return
        yield _sorted(best_terms(goal, bank.values, sums, bank.cost, *measure, 12))
    trees = torch.arange(len(bank))
    if few.noise == 0:
        lookup = Lookup(bank.values, different, bank.cost)
        matches: list[Match] = []
        rows = slice(0, EXACT_ROWS)
        few_values = bank.values[:, rows].contiguous()
        for goal in pair_goals(y[rows], weight[rows], sound, named, few_values, trees, 8192):
            if expired():
                return
            matches += lookup.exact(goal)
        yield _sorted(matches)
    if few.noise > 0 or stage == len(_STAGES) - 1:
        near = LeastSquares(bank.values, different[: _SECOND[stage]], bank.cost)
        matches = []
        trees, core = trees[: _FIRST[stage]], _CORE[stage]
        for goal in pair_goals(y, weight, sound, named, bank.values, trees, 64, core):
            if expired():
                break
            matches += near.best(goal, *measure, 4)
        yield _sorted(matches)


def _sorted(matches: Iterable[Match]) -> list[Match]:
    return sorted(matches, key=lambda m: m.cost)


def _promising(found: Sequence[Match], few: _Table) -> list[Match]:
    """The shortest descriptions by the few rows, and the most precise of each cost."""
    rows = len(few.y)

    def bits(match: Match) -> float:
        return rows / 2 * math.log2(match.loss + few.noise2) + _BITS * match.cost

    ordered = sorted(found, key=bits)
    chosen = ordered[:_FINALISTS]
    for cost in sorted({m.cost for m in found}):
        chosen += [m for m in ordered if m.cost == cost][:3]
    return chosen


def _proposals(
    matches: Iterable[Match], bank: Bank, table: _Table, seen: dict[Expr, Proposal]
) -> list[Proposal]:
    """Expressions with their constants fitted in closed form on all rows."""
    found: dict[Expr, Proposal] = {}
    for match in matches:
        for expression in _expressions(match, bank, table):
            if expression not in seen:
                origin = f"trees: {match.form.outer.name or 'y'}"
                seen[expression] = Proposal(expression, _error(expression, table), origin)
            if math.isfinite(seen[expression].error):
                found[expression] = seen[expression]
    return list(found.values())


def _expressions(match: Match, bank: Bank, table: _Table) -> list[Expr]:
    """The formula of a match with and without the constant d, where both are sound."""
    columns = table.columns()
    terms = [bank.expression(tree) for tree in match.terms]
    e1 = None if match.e1 is None else bank.expression(match.e1)
    first = None if e1 is None else evaluate(e1, columns).expand(table.y.shape)
    z, w = goal_of(match.form, table.y, table.weight, first)
    A = torch.stack([evaluate(e, columns).expand(z.shape) for e in terms], 1)
    A = torch.cat([A, torch.ones_like(z)[:, None]], 1)
    good = torch.isfinite(A).all(1) & torch.isfinite(z) & torch.isfinite(w)
    if int(good.sum()) < 0.9 * len(z):
        return []
    A, z, root = A[good], z[good], w[good].sqrt()
    found = []
    for constant in (True, False):
        used = A if constant else A[:, :-1]
        unit = (used * root[:, None]).norm(dim=0)
        scaled = used * root[:, None] / unit
        c = torch.linalg.lstsq(scaled, (z * root)[:, None], driver="gelsd").solution[:, 0] / unit
        size = float((A[:, :-1].abs().amax(0) * c[: len(terms)].abs()).max())
        parts = [_number(v) * e for v, e in zip(c.tolist(), terms, strict=False)]
        if constant and abs(float(c[-1])) > 1e-10 * size:
            parts.append(_number(float(c[-1])))
        found.append(match.form.expression(sympy.Add(*parts), e1))
    return found


def _number(value: float) -> Expr:
    """Small fractions that differ by rounding only as they are, other constants as floats."""
    for q in (1, 2, 3, 4):
        p = round(value * q) if abs(value) < 1e3 else 0
        if p and abs(p) <= 20 and abs(value * q - p) < 1e-10 * abs(p):
            return sympy.Rational(p, q)
    return Float(value)


def _error(expression: Expr, table: _Table) -> float:
    """Root mean square error relative to the target's spread; inf where it is not real."""
    if expression.has(sympy.zoo, sympy.nan, sympy.oo, sympy.I):
        return math.inf
    residual = evaluate(expression, table.columns()) - table.y
    error = math.sqrt(float((table.weight * residual.square()).sum()) / table.total)
    return error if math.isfinite(error) else math.inf


def _polished(
    proposals: Sequence[Proposal], table: _Table, expired: Callable[[], bool]
) -> list[Proposal]:
    """All constants of the best fitted together."""
    fitting = table.rows(torch.arange(min(_FIT_ROWS, len(table.y))))
    found = []
    for n, p in enumerate(sorted(proposals, key=table.bits)):
        found.append(p)
        if n >= _POLISHED or expired() or not p.expression.has(Float):
            continue
        deadline = time.monotonic() + _POLISH_SECONDS
        better = refit(
            p.expression, fitting.x, fitting.y, fitting.names, fitting.weight,
            steps=30, deadline=deadline,
        ).expression  # fmt: skip
        error = _error(better, table)
        if math.isfinite(error):
            found.append(Proposal(better, error, p.origin))
            if table.noise == 0 and error < _EXACT:
                break
    return found


def _best(table: _Table, proposals: Sequence[Proposal], top: int) -> list[Proposal]:
    """Shortest description first, one of each expression up to its floats."""
    chosen: dict[Expr, Proposal] = {}
    for p in sorted(proposals, key=table.bits):
        shape = p.expression.xreplace({v: Float(1) for v in p.expression.atoms(Float)})
        chosen.setdefault(shape, p)
    return list(chosen.values())[:top]
