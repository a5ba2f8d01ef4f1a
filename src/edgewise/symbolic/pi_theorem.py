"""The pi theorem: a law between quantities is one between products of powers without dimension.

With D (base dimensions x columns) of rank r, a solution a of D a = d gives a product of the columns
that has the target's dimension d, and the null space of D the n - r groups without dimension; the
law is target = prefactor * F(groups) (E. Buckingham, *On physically similar systems*, 1914). Of the
many choices the simplest is taken: few columns, small whole exponents.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction

import sympy
from sympy import Expr
from torch import Tensor

from edgewise.errors import InputError
from edgewise.symbolic.evaluate import symbol
from edgewise.symbolic.units import Units, written

_CHOICES_MOST = 20_000
Vector = tuple[Fraction, ...]


@dataclass(frozen=True)
class Reduction:
    """Exponents (n,) of the prefactor, and of each group."""

    names: tuple[str, ...]
    prefactor: Vector
    groups: tuple[Vector, ...]

    def product(self, exponents: Vector) -> Expr:
        powers = [
            symbol(name) ** sympy.Rational(p.numerator, p.denominator)
            for name, p in zip(self.names, exponents, strict=True)
        ]
        return sympy.Mul(*powers)


def reduction(units: Units, x: Tensor) -> Reduction | None:
    """The simplest prefactor and groups that are finite on the rows x (N, n), or None.

    Raises InputError: no product of the columns has the target's dimension.
    """
    D, d = _matrix(units)
    _need_dimensions(units, D, d)
    signs = [(bool((column != 0).all()), bool((column > 0).all())) for column in x.unbind(1)]

    def finite(exponents: Vector) -> bool:
        return all(
            not p or ((nonzero or p > 0) and (positive or p.denominator == 1))
            for p, (nonzero, positive) in zip(exponents, signs, strict=True)
        )

    # the target is divided by the prefactor, which may not be 0
    usable = [
        a for a in _solutions(D, d)
        if finite(a) and all(not p or signs[n][0] for n, p in enumerate(a))
    ]  # fmt: skip
    groups = _independent(sorted(_circuits(D, finite), key=_size))
    if not usable or len(groups) < len(units.names) - _rank(D):
        return None
    return Reduction(units.names, min(usable, key=_size), tuple(groups))


def _matrix(units: Units) -> tuple[list[Vector], Vector]:
    """The columns of D, (n) vectors over the base dimensions, and d."""
    everything = (*units.columns, units.target)
    bases = sorted({base for dimension in everything for base, _ in dimension})

    def vector(dimension: tuple[tuple[str, Fraction], ...]) -> Vector:
        powers = dict(dimension)
        return tuple(powers.get(base, Fraction(0)) for base in bases)

    return [vector(column) for column in units.columns], vector(units.target)


def _need_dimensions(units: Units, D: Sequence[Vector], d: Vector) -> None:
    if _rank([*D, d]) == _rank(D):
        return
    there = {base for column in units.columns for base, _ in column}
    absent = [base for base, _ in units.target if base not in there]
    what = f"{units.target_name} has the dimension {written(units.target)}"
    if absent:
        raise InputError(
            f"{what}, but no column has {' or '.join(absent)} in its unit; add the column that is "
            "missing (constants of nature count), or correct the units"
        )
    columns = "; ".join(
        f"{name}: {written(column)}"
        for name, column in zip(units.names, units.columns, strict=True)
    )
    raise InputError(
        f"{what}, which no product of powers of the columns has ({columns}); add the column that is "
        "missing (constants of nature count), or correct the units"
    )


def _solutions(D: Sequence[Vector], d: Vector) -> Iterator[Vector]:
    """All a of D a = d whose columns are independent."""
    for chosen in _subsets(len(D), 0, _rank(D)):
        found = _solve([D[n] for n in chosen], d)
        if found is not None and all(found):
            yield _spread(chosen, found, len(D))


def _circuits(D: Sequence[Vector], finite: Callable[[Vector], bool]) -> Iterator[Vector]:
    """Groups of as few columns as can be: whole exponents without a common divisor."""
    for chosen in _subsets(len(D), 1, _rank(D) + 1):
        *others, last = chosen
        found = _solve([D[n] for n in others], tuple(-p for p in D[last]))
        if found is None or not all(found):
            continue
        whole = math.lcm(*(p.denominator for p in found), 1)
        powers = [p * whole for p in (*found, Fraction(1))]
        divisor = math.gcd(*(int(p) for p in powers))
        exponents = _spread(chosen, [p / divisor for p in powers], len(D))
        turned = tuple(-p for p in exponents)
        if sum(exponents) < 0 or (sum(exponents) == 0 and next(filter(None, exponents)) < 0):
            exponents, turned = turned, exponents
        if finite(exponents):
            yield exponents
        elif finite(turned):
            yield turned


def _subsets(n: int, least: int, most: int) -> Iterator[tuple[int, ...]]:
    sizes = range(least, min(most, n) + 1)
    every = itertools.chain.from_iterable(itertools.combinations(range(n), k) for k in sizes)
    return itertools.islice(every, _CHOICES_MOST)


def _independent(vectors: Sequence[Vector]) -> list[Vector]:
    """The first ones that are independent."""
    chosen: list[Vector] = []
    for vector in vectors:
        if _rank([*chosen, vector]) > len(chosen):
            chosen.append(vector)
    return chosen


def _size(exponents: Vector) -> tuple[int, int]:
    """How long a product is: what is written in exponents, and how many columns."""
    powers = [p for p in exponents if p]
    return sum(abs(p.numerator) + 2 * (p.denominator - 1) + 1 for p in powers), len(powers)


def _spread(places: Sequence[int], values: Sequence[Fraction], n: int) -> Vector:
    given = dict(zip(places, values, strict=True))
    return tuple(given.get(k, Fraction(0)) for k in range(n))


# --- linear algebra over the rationals -----------------------------------------------------------


def _reduced(columns: Sequence[Vector]) -> tuple[list[list[Fraction]], list[int]]:
    """Rows in reduced echelon form, and the columns of their pivots."""
    rows = [list(row) for row in zip(*columns, strict=True)] if columns else []
    pivots: list[int] = []
    for k in range(len(columns)):
        at = next((n for n in range(len(pivots), len(rows)) if rows[n][k]), None)
        if at is None:
            continue
        top = len(pivots)
        rows[top], rows[at] = rows[at], rows[top]
        rows[top] = [value / rows[top][k] for value in rows[top]]
        for n, row in enumerate(rows):
            if n != top and row[k]:
                rows[n] = [a - row[k] * b for a, b in zip(row, rows[top], strict=True)]
        pivots.append(k)
    return rows, pivots


def _rank(columns: Sequence[Vector]) -> int:
    return len(_reduced(columns)[1])


def _solve(columns: Sequence[Vector], target: Vector) -> list[Fraction] | None:
    """The only solution, or None where there is none or more than one."""
    rows, pivots = _reduced([*columns, target])
    if pivots != list(range(len(columns))):
        return None
    return [rows[n][-1] for n in range(len(columns))]
