"""The numbers that formulas are written with, and how many bits each says.

A number's bits grow with the digits of its fraction and with the rarity of its base: 1 costs one
bit, 2 and 1/2 two and a half, 7/12 pi fourteen. Exponents have a table of their own, of whole
numbers, halves, thirds, quarters, and a few rarer fractions.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from functools import lru_cache

import sympy
import torch
from sympy import Expr, Integer, Rational
from torch import Tensor


def numbers_near(
    value: float, reach: float, is_exponent: bool, known: float
) -> Iterator[tuple[Expr, float]]:
    """(number, bits) within reach of the value: 0, and those that cost less than is known."""
    if abs(value) <= reach:
        yield Integer(0), 0.0
    sign = -1 if value < 0 else 1
    values, costs = _values(is_exponent)
    size = torch.tensor(abs(value), dtype=torch.float64)
    low, high = torch.searchsorted(values, torch.stack([size - reach, size + reach])).tolist()
    for i in range(low, min(high + 1, len(values))):
        if abs(float(values[i]) - abs(value)) <= reach and float(costs[i]) < known:
            yield sign * _numbers(is_exponent)[i][1], float(costs[i]) + 0.5 * (sign < 0)


@lru_cache(maxsize=2)
def _values(is_exponent: bool) -> tuple[Tensor, Tensor]:
    rows = [(value, cost) for value, _, cost in _numbers(is_exponent)]
    values, costs = torch.tensor(rows, dtype=torch.float64).unbind(1)
    return values.contiguous(), costs


@lru_cache(maxsize=2)
def _numbers(is_exponent: bool) -> list[tuple[float, Expr, float]]:
    """(value, number, bits) of the positive special numbers, by value; the cheapest of equals."""
    table: dict[Expr, float] = {}
    for number, cost in _exponent_costs() if is_exponent else _coefficient_costs():
        table[number] = min(cost, table.get(number, math.inf))
    return sorted((float(number.evalf(20)), number, cost) for number, cost in table.items())


def _exponent_costs() -> Iterator[tuple[Expr, float]]:
    by_denominator = {1: 0.0, 2: 1.0, 3: 3.5, 4: 4.5, 5: 7.0, 6: 7.0}
    for q, extra in by_denominator.items():
        for p in range(1, 8 * q + 1):
            if math.gcd(p, q) == 1:
                yield Rational(p, q), 1.0 + extra + math.log2(max(p / q, 1.0)) + (p / q) / 4


def _coefficient_costs() -> Iterator[tuple[Expr, float]]:
    def fraction(p: int, q: int) -> float:
        return 1.0 + 1.5 * math.log2(p * q)

    for p in range(1, 101):
        yield Rational(p), fraction(p, 1)
        yield Rational(1, p), fraction(1, p)
    pi = sympy.pi
    # Circles and spheres.
    for number, cost in ((2 * pi, 3.5), (4 * pi, 4.5), (4 * pi / 3, 5.5)):
        yield number, cost
        yield 1 / number, cost + 0.5
    bases: list[tuple[Expr, float]] = [
        (Integer(1), 0.0),
        (pi, 2.5),
        (1 / pi, 3.0),
        (pi**2, 5.0),
        (sympy.sqrt(2), 4.5),
        (sympy.sqrt(3), 5.5),
        (sympy.sqrt(pi), 5.5),
        (1 / sympy.sqrt(pi), 5.5),
        (1 / sympy.sqrt(2 * pi), 4.5),
        (sympy.sqrt(2 * pi), 5.5),
        (sympy.E, 6.0),
        (1 / sympy.E, 6.5),
        (sympy.log(2), 6.5),
    ]
    for base, extra in bases:
        for p in range(1, 13):
            for q in range(1, 13):
                if math.gcd(p, q) == 1:
                    yield base * Rational(p, q), extra + fraction(p, q)
