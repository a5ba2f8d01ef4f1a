"""Short formulas of a few columns by exhaustive search over small expression trees.

A bank holds every tree up to some cost by its values on a few rows (`trees_bank`). The target y is
looked up in it in forms that two trees span:

- T(y) = c e + d                        a tree inside an outer map such as 1/y, y^2, log y, sin y
- T(y) = c_1 e_1 + c_2 e_2 (+ c_3 e_3) + d        a few terms, in closed form
- T(y) = P / Q                         polynomials of low degree (`trees_rational`)
- U(T(y) op e_1) = c e_2 + d            y = e_1 (c e_2 + d), e_1 sqrt(c e_2 + d), 1/(e_1 + 1/(..)), ...

Without noise the second tree is found by a sorted key (meet in the middle), so that pairs of large
trees cost no more than one; with noise by least squares of all pairs of smaller ones. The bank grows
until the target is met. All constants of the best are then fitted together, and who has the shortest
description wins: N/2 log2(error^2 + noise^2) bits for the rows, 5 bits a symbol for the formula.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Sequence

import torch
from sympy import Float
from torch import Tensor

from edgewise.symbolic.direct import Proposal
from edgewise.symbolic.evaluate import symbol
from edgewise.symbolic.outer import Outer
from edgewise.symbolic.primitives import Primitive
from edgewise.symbolic.trees_bank import Bank, affinely_different
from edgewise.symbolic.trees_fit import BITS, EXACT, MANY, Fitted, Fitter, Table, best, polished
from edgewise.symbolic.trees_goals import Goals, outers, pair_goals, target
from edgewise.symbolic.trees_match import (
    EXACT_ROWS,
    LeastSquares,
    Lookup,
    Match,
    best_images,
    best_products,
    best_terms,
)
from edgewise.symbolic.trees_rational import quotients

_ROWS = 64
_STAGES = (2_000, 15_000, 100_000)
_SUMS = (600, 1500, 2500)  # trees of which all pairs are added
_WIDE = 150  # trees that are added to every tree
_FIRST, _CORE, _SECOND = (300, 1000, 2000), (60, 100, 150), (1500, 3000, 5000)  # least squares
_FACTORS = (50, 150, 300)  # trees whose products with the trees e2 are tried
_IMAGES = (1_500, 8_000, 40_000)  # trees of which functions are tried once more
_FINALISTS = 150


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
    if len(table.y) < 4 or table.total == 0:
        return []
    sign = -1.0 if bool((table.y < 0).all()) else 1.0
    unit, units = sign * _unit(table.y), [_unit(column) for column in table.x.unbind(1)]
    x, y = table.x / table.x.new_tensor(units), table.y / unit
    scaled = Table(x, y, table.weight, table.names, noise / abs(unit))
    proposals = _search(scaled, lib, expired, size)
    back = {symbol(n): symbol(n) / Float(u) for n, u in zip(names, units, strict=True) if u != 1.0}
    factor = int(unit) if abs(unit) == 1.0 else Float(unit)
    proposals = [
        Proposal(factor * p.expression.xreplace(back), p.error, p.origin) for p in proposals
    ]
    return best(table, proposals, top)


def _unit(column: Tensor) -> float:
    """1, or a power of ten near the size of columns of an unusual size: 1 + x means nothing there."""
    size = float(column.square().mean().sqrt())
    if size == 0 or 1e-4 < size < 1e4:
        return 1.0
    return float(10.0 ** round(math.log10(size)))


def _make_table(
    x: Tensor, y: Tensor, names: Sequence[str], weight: Tensor | None, noise: float
) -> Table:
    x, y = torch.as_tensor(x).detach().double(), torch.as_tensor(y).detach().double().flatten()
    w = torch.ones_like(y) if weight is None else torch.as_tensor(weight).detach().double()
    w = w.flatten()
    good = torch.isfinite(x).all(1) & torch.isfinite(y) & (w > 0)
    x, y, w = x[good], y[good], w[good]
    order = torch.randperm(len(y), generator=torch.Generator().manual_seed(0))[:MANY]
    return Table(x[order], y[order], w[order] / w.mean(), tuple(names), noise)


def _search(
    table: Table, lib: Sequence[Primitive] | None, expired: Callable[[], bool], size: int
) -> list[Proposal]:
    few = table.first(_ROWS)
    bank = Bank(few.x, table.names, lib)
    fitter = Fitter(table, bank)
    named = None if lib is None else frozenset(p.name for p in lib)
    sound = outers(table.y, named)
    found: list[Match] = []
    fits: list[Fitted] = []
    for stage, most in enumerate(_STAGES):
        while len(bank) < min(most, size) and bank.grow(min(most, size), expired):
            pass
        for matches in _Look(few, bank, sound, named, stage, expired):
            found += matches
            exact = [m for m in matches if m.loss < 1e-12] if table.noise == 0 else []
            met = [f for f in fitter.fits(exact[:60]) if f.error < EXACT]
            if met:
                return [f.proposal(bank) for f in sorted(met, key=lambda f: f.bits)[:12]]
        if stage == 1 and table.noise == 0:
            exact_quotients = [p for p in quotients(table, sound) if p.error < EXACT]
            if exact_quotients:
                return exact_quotients
        fits = list(fitter.fits(_promising(found, few)))
        if expired() or most >= size or _explained(fits, table):
            break
    return polished(fits, bank, table, expired)


def _explained(fits: Sequence[Fitted], table: Table) -> bool:
    """Whether what a formula leaves is the noise: three standard errors of its variance."""
    margin = 1 + 3 * math.sqrt(2 / len(table.y))
    return table.noise > 0 and any(f.error**2 < margin * table.noise2 for f in fits)


class _Look:
    """Matches of the bank as it is, kind by kind, the quick ones first."""

    def __init__(
        self,
        few: Table,
        bank: Bank,
        sound: Sequence[Outer],
        named: frozenset[str] | None,
        stage: int,
        expired: Callable[[], bool],
    ) -> None:
        self.few, self.bank, self.sound, self.named = few, bank, sound, named
        self.stage, self.expired = stage, expired
        self.measure = (few.total, few.noise2, 2 ** (2 * BITS / len(few.y)))
        self.last = stage == len(_STAGES) - 1

    def __iter__(self) -> Iterator[list[Match]]:
        few, bank = self.few, self.bank
        different = affinely_different(bank.values)
        trees = torch.arange(len(bank))
        goals = [target(T, few.y, few.weight) for T in self.sound]
        whole = LeastSquares(bank.values, different, bank.cost)
        yield _sorted(m for goal in goals for m in whole.best(goal, *self.measure, 20))
        yield _sorted(self._sums(goals, different))
        if few.noise == 0:
            yield _sorted(self._looked_up(trees, different))
        yield _sorted(self._products(goals, trees))
        yield _sorted(self._images(goals))
        if few.noise > 0 or self.last:
            yield _sorted(self._nearest(trees, different))
        if self.last:
            yield _sorted(self._wide_sums(goals, different))

    def _sums(self, goals: Sequence[Goals], different: Tensor) -> Iterator[Match]:
        trees = different[: _SUMS[self.stage]]
        for goal in goals:
            yield from self._terms(goal, trees, trees)

    def _wide_sums(self, goals: Sequence[Goals], different: Tensor) -> Iterator[Match]:
        for goal in goals[:4]:
            yield from self._terms(goal, different[:_WIDE], different)

    def _terms(self, goal: Goals, first: Tensor, second: Tensor) -> list[Match]:
        if self.expired():
            return []
        bank = self.bank
        return best_terms(
            goal, bank.values, first, second, bank.cost, *self.measure, 12, self.expired
        )

    def _products(self, goals: Sequence[Goals], trees: Tensor) -> list[Match]:
        first, second = trees[: _FACTORS[self.stage]], trees[: _SECOND[self.stage]]
        return best_products(goals, self.bank, first, second, *self.measure, 12, self.expired)

    def _images(self, goals: Sequence[Goals]) -> Iterator[Match]:
        rows = _ROWS if self.few.noise else EXACT_ROWS * 2
        images = self.bank.images(_IMAGES[self.stage], rows, 4096, self.expired)
        yield from best_images(goals, images, self.bank, *self.measure, 12)

    def _looked_up(self, trees: Tensor, different: Tensor) -> Iterator[Match]:
        few, rows = self.few, slice(0, EXACT_ROWS)
        lookup = Lookup(self.bank.values, different, self.bank.cost)
        values = self.bank.values[:, rows].contiguous()
        y, weight = few.y[rows], few.weight[rows]
        for goal in pair_goals(y, weight, self.sound, self.named, values, trees, 8192):
            if self.expired():
                return
            yield from lookup.exact(goal)

    def _nearest(self, trees: Tensor, different: Tensor) -> Iterator[Match]:
        few, stage = self.few, self.stage
        near = LeastSquares(self.bank.values, different[: _SECOND[stage]], self.bank.cost)
        first, core = trees[: _FIRST[stage]], _CORE[stage]
        values = self.bank.values
        for goal in pair_goals(few.y, few.weight, self.sound, self.named, values, first, 64, core):
            if self.expired():
                return
            yield from near.best(goal, *self.measure, 4)


def _sorted(matches: Iterable[Match]) -> list[Match]:
    return sorted(matches, key=lambda m: m.cost)


def _promising(found: Sequence[Match], few: Table) -> list[Match]:
    """The shortest descriptions by the few rows, and the most precise of each cost."""
    rows = len(few.y)

    def bits(match: Match) -> float:
        return rows / 2 * math.log2(match.loss + few.noise2) + BITS * match.cost

    ordered = sorted(found, key=bits)
    chosen = ordered[:_FINALISTS]
    for cost in sorted({m.cost for m in found}):
        chosen += [m for m in ordered if m.cost == cost][:3]
    return list(dict.fromkeys(chosen))
