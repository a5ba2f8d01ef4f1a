"""Derivatives through z = tanh(x), of any order."""

from __future__ import annotations

from functools import lru_cache
from itertools import pairwise

# Coefficients of a polynomial, constant first.
Coefficients = tuple[float, ...]


@lru_cache(maxsize=32)
def tanh_factors(order: int) -> tuple[Coefficients, ...]:
    """p_0 .. p_order with d^order/dx^order f(tanh x) = sum_j p_j(z) f^(j)(z), z = tanh x.

    One derivative more turns p_j into (1 - z^2) (p_j' + p_{j-1}).
    """
    factors: list[Coefficients] = [(1.0,)]
    for _ in range(order):
        before, factors = [(), *factors, ()], []
        for lower, own in pairwise(before):
            slope = tuple(n * c for n, c in enumerate(own))[1:]
            factors.append(_times_rate(_plus(slope, lower)))
    return tuple(factors)


def _plus(p: Coefficients, q: Coefficients) -> Coefficients:
    longer, shorter = (p, q) if len(p) >= len(q) else (q, p)
    return tuple(a + b for a, b in zip(longer, shorter + (0.0,) * len(longer), strict=False))


def _times_rate(p: Coefficients) -> Coefficients:
    """(1 - z^2) p."""
    return _plus(p, (0.0, 0.0, *(-c for c in p))) if p else ()
