"""The functions that formulas of one variable are made of: f(a z^k + b), with tables of starts.

Slopes a are in units in which |z| <= 1; a table holds many (function, k, a, b), one a row.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from fractions import Fraction

import torch
from torch import Tensor

from edgewise.symbolic.primitives import PRIMITIVES, Primitive, power, scale_free
from edgewise.symbolic.suggest import library

_POLE = (0.05, 0.12, 0.22, 0.34, 0.46, 0.58, 0.7, 0.8, 0.89, 0.95, 0.985)
_FAR = (1.3, 1.8, 2.6, 4.0, 7.0, 14.0, 40.0)
_WAVE = (0.4, 0.9, *(0.9 + 0.6 * n for n in range(1, 28)))
_RATE = (0.15, 0.35, 0.6, 0.9, 1.3, 1.8, 2.5, 3.4, 4.6, 6.2, 8.5, 12.0)
_FAST = (*_RATE, 17.0, 25.0, 40.0)
_FIXED = (-4, -3, -2, Fraction(-3, 2), -1, Fraction(-1, 2), Fraction(1, 2), 1, Fraction(3, 2), 2)


@dataclass(frozen=True)
class Kind:
    """f(a z^k + b); ``fixed``: a = 1."""

    record: Primitive
    k: Fraction
    fixed: bool = False

    @property
    def shiftable(self) -> bool:
        """Does b say something that a and a constant in front do not?"""
        free_scale = scale_free(self.record)
        return self.record.name not in ("exp", "x") and (self.fixed or not free_scale)


@dataclass(frozen=True)
class Table:
    """Starts: row m is kinds[kind[m]] at slope a[m] and shift b[m]; free (M, 2): which may move;
    group (M,): rows that compete for a place among the starts."""

    kinds: tuple[Kind, ...]
    kind: Tensor
    a: Tensor
    b: Tensor
    free: Tensor
    group: Tensor


def _derived(name: str, outer: Primitive, inner: Primitive) -> Primitive:
    """outer(inner(u)) as one function."""
    return Primitive(
        name,
        lambda u: outer.torch(inner.torch(u)),
        lambda u: outer.derivative(inner.torch(u)) * inner.derivative(u),
        lambda e: outer.sympy(inner.sympy(e)),
        inner.domain,
        outer.cost + inner.cost,
    )


def _bose(sign: int) -> Primitive:
    """1/(exp(u) - 1) or 1/(exp(u) + 1)."""
    exp = PRIMITIVES["exp"]
    return Primitive(
        f"1/(exp(x){sign:+d})",
        lambda u: 1 / (torch.expm1(u) if sign < 0 else u.exp() + 1),
        lambda u: -u.exp() / (torch.expm1(u) if sign < 0 else u.exp() + 1).square(),
        lambda e: 1 / (exp.sympy(e) + sign),
        exp.domain,
        5,
    )


def _row(kinds: list[Kind], rows: list[tuple], kind: Kind, entries: Iterable[tuple]) -> None:
    number = len(kinds)
    kinds.append(kind)
    rows += [(number, a, b, *free) for a, b, *free in entries]


def _table(kinds: list[Kind], rows: list[tuple]) -> Table:
    columns = torch.tensor(rows, dtype=torch.float64).reshape(-1, 5)
    kind, a, b = columns[:, 0].long(), columns[:, 1], columns[:, 2]
    # bands of the slope and its sign: the valley of a fast wave must not hide that of a slow one
    band = (a.abs() > 1).long() + (a.abs() > 5).long() + 3 * (a < 0).long()
    group = (6 * kind + band).unique(return_inverse=True)[1]
    return Table(tuple(kinds), kind, a, b, columns[:, 3:], group)


def _signed(values: Sequence[float]) -> list[float]:
    return [s * v for v in values for s in (1.0, -1.0)]


def _allowed(lib: Sequence[Primitive] | None) -> Callable[[str], bool]:
    """Is a function of the library in use? Whole powers and quotients always are."""
    names = {record.name for record in (library() if lib is None else lib)}
    names |= {"cos"} if "sin" in names else set()
    names |= {"arccos"} if "arcsin" in names else set()
    return lambda name: name in names


def single_table(lib: Sequence[Primitive] | None, exponents: Sequence[Fraction]) -> Table:
    """Starts for one function alone, with a shift b; its argument z^k is mapped onto [-1, 1]."""
    kinds: list[Kind] = []
    rows: list[tuple] = []
    far = [1.0 + e for e in (1e-3, 0.02, 0.1, 0.3, 0.8, 2.0, 5.0)]
    inside = [-0.9, -0.6, -0.3, 0.0, 0.3, 0.6, 0.9]
    for record in library() if lib is None else lib:
        for k in exponents:
            if record.name in ("x", "0", "sgn") or (k != 1 and record.name == "abs"):
                if record.name != "x":
                    continue
                entries = [(1.0, 0.0, 0, 0)]
            elif scale_free(record):
                entries = [(s, -s * z0, 0, 1) for s in (1.0, -1.0) for z0 in inside + _signed(far)]
            elif record.name == "exp":
                entries = [(a, 0.0, 1, 0) for a in _signed(_FAST)]
            elif record.name in ("sin", "tan"):
                phases = [math.pi * n / 6 for n in range(-3, 3)]
                entries = [(a, b, 1, 1) for a in _WAVE for b in phases]
            else:
                rates = _signed((0.2, 0.5, 0.9, 1.5, 2.5, 4.5, 9.0))
                entries = [(a, -a * z0, 1, 1) for a in rates for z0 in inside + _signed(far)]
                ends = (1e-4, 0.02, 0.15, 0.4, 0.8)
                for low in ends:  # lines that map the range into [-1, 1]
                    for high in ends:
                        a, b = (2 - high - low) / 2, (low - high) / 2
                        entries += [(a, b, 1, 1), (-a, b, 1, 1)]
            _row(kinds, rows, Kind(record, k), entries)
    return _table(kinds, rows)


def pair_table(lib: Sequence[Primitive] | None, positive: bool) -> Table:
    """Starts for functions that stand in sums, products and quotients: f(a z^k), (1 + a z^k)^p."""
    allowed = _allowed(lib)
    kinds: list[Kind] = []
    rows: list[tuple] = []

    def add(record: Primitive, k: Fraction | int, entries: Iterable[tuple], fixed=False) -> None:
        _row(kinds, rows, Kind(record, Fraction(k), fixed), entries)

    def slopes(values: Sequence[float], b: float = 0.0) -> list[tuple]:
        return [(v, b, 1, 0) for v in values]

    for p in (*_FIXED, 3, 4):
        if positive or Fraction(p).denominator == 1:
            add(power(Fraction(p)), 1, [(1.0, 0.0, 0, 0)], fixed=True)
    if positive and allowed("log"):
        add(PRIMITIVES["log"], 1, [(1.0, 0.0, 0, 0)], fixed=True)
        add(PRIMITIVES["log"], 1, slopes([math.exp(n / 2) for n in range(-4, 14)]))
    poles = _signed(_POLE + _FAR)
    roots = [Fraction(p, 2) for p in (-4, -3, -2, -1, 1, 3)]
    for k in (1, 2):
        for p in roots:
            entries = slopes(poles, 1.0)
            if p.denominator == 2:
                entries += slopes(_FAR, -1.0)
            add(power(p), k, entries)
        if allowed("log"):
            add(PRIMITIVES["log"], k, slopes(poles, 1.0))
    exponents = (1, 2, -1, Fraction(1, 2)) if positive else (1, 2)
    if allowed("exp"):
        for exponent in exponents:
            add(PRIMITIVES["exp"], exponent, slopes(_signed(_FAST)))
        add(_bose(-1), 1, slopes(_RATE))
        add(_bose(1), 1, slopes(_signed(_RATE)))
    square, inverse = power(2), power(-1)
    for name in ("sin", "cos"):
        if allowed(name):
            wave = PRIMITIVES[name]
            for exponent in exponents:
                add(wave, exponent, slopes(_WAVE))
            add(_derived(f"{name}^2", square, wave), 1, slopes(_WAVE[:20]))
            add(_derived(f"1/{name}", inverse, wave), 1, slopes(_WAVE[:6]))
    for name in ("tan", "tanh", "sinh", "cosh", "arctan", "arcsinh"):
        if allowed(name):
            add(PRIMITIVES[name], 1, slopes(_RATE))
    for name in ("tanh", "sinh", "cosh"):
        if allowed(name):
            add(_derived(f"1/{name}", inverse, PRIMITIVES[name]), 1, slopes(_RATE))
    for name in ("arcsin", "arccos", "arctanh"):
        if allowed(name):
            add(PRIMITIVES[name], 1, slopes((*_POLE, 0.999)))
    if allowed("arccosh"):
        add(PRIMITIVES["arccosh"], 1, slopes(_FAR))
    for record in lib or ():
        if record.name not in PRIMITIVES:
            add(record, 1, slopes(_signed(_RATE)))
    return _table(kinds, rows)


_INNER = frozenset({"x", "x^2", "1/x", "sqrt", "exp", "log", "sin", "cos", "tanh", "1/cosh"})


def nested_tables(lib: Sequence[Primitive] | None, positive: bool) -> tuple[Table, Table]:
    """Starts for f(a g(a' z) + b): few g, and lines that map g's range [-1, 1] into f's domain."""
    inner = pair_table(lib, positive)
    plain = [kind.record.name in _INNER and kind.k in (1, 2) for kind in inner.kinds]
    first = torch.ones_like(inner.kind, dtype=torch.bool)
    first[1:] = inner.kind[1:] != inner.kind[:-1]
    place = torch.arange(len(first))
    start = torch.where(first, place, 0).cummax(0).values
    chosen = torch.tensor(plain)[inner.kind] & ((place - start) % 2 == 0) & (inner.a.abs() < 12)
    outer = single_table(lib, (Fraction(1),))
    lines = torch.zeros_like(outer.kind, dtype=torch.bool)
    for number in range(len(outer.kinds)):
        rows = (outer.kind == number).nonzero()[:, 0]
        lines[rows[:: max(len(rows) // 24, 1)]] = True
    return part(inner, chosen), part(outer, lines)


def part(table: Table, rows: Tensor) -> Table:
    """The rows of that numbers, or of that mask."""
    return Table(
        table.kinds,
        table.kind[rows],
        table.a[rows],
        table.b[rows],
        table.free[rows],
        table.group[rows],
    )


def evaluate_rows(
    kinds: Sequence[Kind], kind: Tensor, a: Tensor, b: Tensor, argument: dict[Fraction, Tensor]
) -> tuple[Tensor, Tensor, Tensor]:
    """f(a v + b), f'(a v + b) and v, each (S, n), for rows of kinds (S,); argument: k -> v (n,)."""
    n = len(next(iter(argument.values())))
    f = torch.empty(len(kind), n, dtype=torch.float64)
    slope, v = torch.empty_like(f), torch.empty_like(f)
    order = kind.argsort()
    numbers, counts = kind[order].unique_consecutive(return_counts=True)
    for number, rows in zip(numbers.tolist(), order.split(counts.tolist()), strict=True):
        record, at = kinds[number].record, argument[kinds[number].k]
        u = a[rows, None] * at + b[rows, None]
        f[rows], slope[rows], v[rows] = record.torch(u), record.derivative(u), at
    return f, slope, v
