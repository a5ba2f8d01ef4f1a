"""From matches of trees to formulas: constants in closed form, then all of them fitted together."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass

import sympy
import torch
from sympy import Expr, Float
from torch import Tensor

from edgewise.symbolic.direct import Proposal
from edgewise.symbolic.evaluate import evaluate
from edgewise.symbolic.formula import complexity
from edgewise.symbolic.refit import refit
from edgewise.symbolic.trees_bank import Bank
from edgewise.symbolic.trees_goals import goal_of
from edgewise.symbolic.trees_match import Match

MANY, FIT_ROWS = 2000, 1000
EXACT = 1e-9  # relative error that only rounding leaves
BITS = 5.0  # of a symbol
_POLISHED, _POLISH_SECONDS = 24, 0.4
_TWINS = 2  # formulas of the same values that are kept


@dataclass(frozen=True)
class Table:
    """Rows x (N, I), y (N,), their weights (N,), and the rms of y's noise in its unit."""

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
    def noise2(self) -> float:
        """Variance of the noise relative to that of y, at least that of rounding."""
        return self.noise**2 * float(self.weight.sum()) / self.total + 1e-20

    def columns(self) -> dict[str, Tensor]:
        return dict(zip(self.names, self.x.unbind(1), strict=True))

    def first(self, rows: int) -> Table:
        return Table(self.x[:rows], self.y[:rows], self.weight[:rows], self.names, self.noise)

    def error(self, value: Tensor) -> float:
        """Root mean square error relative to the target's spread; inf where it is not real."""
        error2 = float((self.weight * (value - self.y).square()).sum()) / self.total
        return math.sqrt(error2) if math.isfinite(error2) else math.inf

    def bits(self, error: float, symbols: int) -> float:
        """Description length: rows/2 log2(error^2 + noise^2) + 5 bits a symbol."""
        rows = min(len(self.y), FIT_ROWS)
        return rows / 2 * math.log2(error**2 + self.noise2) + BITS * symbols

    def bits_of(self, p: Proposal) -> float:
        return self.bits(p.error, complexity(p.expression))


@dataclass(frozen=True)
class Fitted:
    """A match with the constants c_k of its terms and d (0: none), and its error on all rows."""

    match: Match
    constants: tuple[float, ...]
    error: float
    bits: float

    def proposal(self, bank: Bank) -> Proposal:
        terms = [bank.expression(tree) for tree in self.match.terms]
        e1 = None if self.match.e1 is None else bank.expression(self.match.e1)
        parts = [
            _number(c) * e for c, e in zip(self.constants, [*terms, sympy.S.One], strict=True) if c
        ]
        expression = self.match.form.expression(sympy.Add(*parts), e1)
        return Proposal(expression, self.error, f"trees: {self.match.form.outer.name}")


class Fitter:
    """Fits the constants of matches on all rows of a table, by values of trees only."""

    def __init__(self, table: Table, bank: Bank) -> None:
        self.table, self.bank = table, bank
        self._columns = table.columns()
        self._leaves: dict[int, Tensor] = {}
        generator = torch.Generator().manual_seed(4)
        self._direction = torch.randn(len(table.y), generator=generator, dtype=torch.float64)

    def _leaf(self, number: int) -> Tensor:
        if number not in self._leaves:
            value = evaluate(self.bank.leaves[number].expression(), self._columns)
            self._leaves[number] = value.expand(self.table.y.shape)
        return self._leaves[number]

    def fits(self, matches: Iterable[Match]) -> Iterator[Fitted]:
        """Matches with their constants, with d and without; few of those with the same values."""
        twins: dict[str, int] = {}
        for match in matches:
            for fitted, value in self._fitted(match):
                key = f"{float(value @ self._direction):.4g} {fitted.error:.4g}"
                twins[key] = twins.get(key, 0) + 1
                if twins[key] <= _TWINS:
                    yield fitted

    def _fitted(self, match: Match) -> Iterator[tuple[Fitted, Tensor]]:
        y = self.table.y
        e1 = None if match.e1 is None else self.bank.evaluate(match.e1, self._leaf)
        z, w = goal_of(match.form, y, self.table.weight, e1)
        terms = torch.stack([self.bank.evaluate(t, self._leaf) for t in match.terms], 1)
        good = torch.isfinite(terms).all(1) & torch.isfinite(z) & torch.isfinite(w)
        if not bool(torch.isfinite(terms).all()) or int(good.sum()) < 0.9 * len(z):
            return
        A = torch.cat([terms, torch.ones_like(z)[:, None]], 1)
        for used in (len(match.terms) + 1, len(match.terms)):
            c = _least_squares(A[good, :used], z[good], w[good].sqrt())
            size = float(
                (A[good, : len(match.terms)].abs().amax(0) * c[: len(match.terms)].abs()).max()
            )
            constants = c.tolist() + [0.0] * (len(match.terms) + 1 - used)
            if abs(constants[-1]) < 1e-12 * size:
                constants[-1] = 0.0
            if used > len(match.terms) and not constants[-1]:
                continue
            value = match.form.value(A @ A.new_tensor(constants), e1)
            error = self.table.error(value)
            if math.isfinite(error):
                symbols = match.cost + sum(2 for v in constants if _plain(v) is None)
                bits = self.table.bits(error, symbols)
                yield Fitted(match, tuple(constants), error, bits), value


def _least_squares(A: Tensor, z: Tensor, root: Tensor) -> Tensor:
    scaled = A * root[:, None]
    unit = scaled.norm(dim=0).clamp_min(1e-300)
    solution = torch.linalg.lstsq(scaled / unit, (z * root)[:, None], driver="gelsd").solution
    return solution[:, 0] / unit


def _plain(value: float) -> Expr | None:
    """Small fractions that differ from the value by rounding only."""
    if value == 0:
        return sympy.S.Zero
    for q in (1, 2, 3, 4):
        p = round(value * q) if abs(value) < 1e3 else 0
        if p and abs(p) <= 20 and abs(value * q - p) < 1e-10 * abs(p):
            return sympy.Rational(p, q)
    return None


def _number(value: float) -> Expr:
    plain = _plain(value)
    return Float(value) if plain is None else plain


def polished(
    fits: Sequence[Fitted], bank: Bank, table: Table, expired: Callable[[], bool]
) -> list[Proposal]:
    """Formulas of the shortest descriptions, with all constants of each fitted together."""
    fitting = table.first(FIT_ROWS)
    found = []
    for fitted in _finalists(fits):
        p = fitted.proposal(bank)
        if p.expression.has(sympy.zoo, sympy.nan, sympy.oo, sympy.I):
            continue
        found.append(p)
        if expired() or not p.expression.has(Float):
            continue
        deadline = time.monotonic() + _POLISH_SECONDS
        better = refit(
            p.expression, fitting.x, fitting.y, fitting.names, fitting.weight,
            steps=30, deadline=deadline,
        ).expression  # fmt: skip
        error = table.error(evaluate(better, table.columns()))
        if math.isfinite(error):
            found.append(Proposal(better, error, p.origin))
            if table.noise == 0 and error < EXACT:
                break
    return found


def _finalists(fits: Sequence[Fitted]) -> list[Fitted]:
    """Half by description length, half the best of each cost: a constant of the table that is a bit
    off makes the right short formula worse than a wrong long one until it is fitted."""
    ordered = sorted(fits, key=lambda f: f.bits)
    chosen = ordered[: _POLISHED // 2]
    for cost in sorted({f.match.cost for f in fits}):
        chosen += [f for f in ordered if f.match.cost == cost][:2]
    return list(dict.fromkeys(chosen))[:_POLISHED]


def best(table: Table, proposals: Sequence[Proposal], top: int) -> list[Proposal]:
    """Shortest description first, one of each expression up to its floats."""
    chosen: dict[Expr, Proposal] = {}
    for p in sorted(proposals, key=table.bits_of):
        shape = p.expression.xreplace({v: Float(1) for v in p.expression.atoms(Float)})
        chosen.setdefault(shape, p)
    return list(chosen.values())[:top]
