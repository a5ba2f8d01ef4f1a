"""Quotients of short polynomials: T(y) = P(x) / Q(x), linear in all coefficients at once.

T = sum_j a_j m_j - T sum_j b_j m_j with monomials m_j, Q = 1 + sum_j b_j m_j. Columns are left out
one by one, the highest degrees first, as long as the rows do not miss them: a column that is missed
now is missed in every smaller set too, so that one pass is enough. For targets without noise only: with
noise T stands on both sides.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence

import sympy
import torch
from sympy import Expr, Float
from torch import Tensor

from edgewise.symbolic.direct import Proposal
from edgewise.symbolic.evaluate import evaluate, symbol
from edgewise.symbolic.outer import EXP, IDENTITY, INVERSE_SQUARE, LOG, SQUARE, Outer
from edgewise.symbolic.trees_fit import Table
from edgewise.symbolic.trees_goals import target

_ABOVE, _BELOW = 3, 2  # degrees of P and Q
_TERMS_MOST = 8
_EXACT_ROWS = 400
_OUTER = (IDENTITY, SQUARE, EXP, LOG, INVERSE_SQUARE)
_ROUNDING = 1e-20  # of the target's squares


def quotients(table: Table, sound: Sequence[Outer]) -> list[Proposal]:
    """A short quotient for each outer map T of the target that has one, with its error."""
    if len(table.names) > 3:
        return []
    columns = table.columns()
    found = []
    rows = table.first(_EXACT_ROWS)
    for T in sound:
        if T not in _OUTER:
            continue
        expression = _quotient(rows, T)
        if expression is not None:
            expression = T.inverse(expression)
            error = table.error(evaluate(expression, columns))
            found.append(Proposal(expression, error, f"trees: quotient, {T.name}"))
    return found


def _monomials(table: Table, degree: int) -> list[tuple[Expr, Tensor]]:
    """1, x, y, x^2, x y, ..., lowest degree first."""
    symbols, columns = [symbol(n) for n in table.names], table.x.unbind(1)
    found = []
    for d in range(degree + 1):
        for chosen in itertools.combinations_with_replacement(range(len(symbols)), d):
            value = torch.ones_like(table.y)
            for i in chosen:
                value = value * columns[i]
            found.append((sympy.Mul(*(symbols[i] for i in chosen)), value))
    return found


def _quotient(table: Table, T: Outer) -> Expr | None:
    goal = target(T, table.y, table.weight)
    t, weight = goal.z[0], goal.weight[0]
    if not bool((torch.isfinite(t) & torch.isfinite(weight)).all()):
        return None
    above, below = _monomials(table, _ABOVE), _monomials(table, _BELOW)[1:]
    M = torch.stack([v for _, v in above], 1)
    D = torch.stack([v for _, v in below], 1)
    if M.shape[1] + D.shape[1] >= len(t) // 3:
        return None
    A = torch.cat([M, -t[:, None] * D], 1)
    root = weight.sqrt()
    kept = _needed(A * root[:, None], t * root, len(table.names))
    if kept is None or len(kept) > _TERMS_MOST or not any(n < len(above) for n in kept):
        return None
    c, _ = _solve((A * root[:, None])[:, kept], t * root)
    P, Q = sympy.S.Zero, sympy.S.One
    for value, n in zip(c.tolist(), kept, strict=True):
        if n < len(above):
            P += Float(value) * above[n][0]
        else:
            Q += Float(value) * below[n - len(above)][0]
    return P / Q


def _needed(A: Tensor, t: Tensor, variables: int) -> list[int] | None:
    """The columns that are left when each one that the rows do not miss is taken out."""
    rounding = _ROUNDING * float(t.square().sum())
    kept = list(range(A.shape[1]))
    if _solve(A, t)[1] > rounding:
        return None
    for n in _by_degree(kept, variables):
        fewer = [k for k in kept if k != n]
        if fewer and _solve(A[:, fewer], t)[1] <= rounding:
            kept = fewer
    return kept


def _by_degree(columns: Sequence[int], variables: int) -> list[int]:
    """Highest degree first, those of Q before those of P."""
    degrees = [
        (d, part)
        for part, (low, high) in enumerate(((0, _ABOVE), (1, _BELOW)))
        for d in range(low, high + 1)
        for _ in range(math.comb(variables + d - 1, d))
    ]
    return sorted(columns, key=lambda n: degrees[n], reverse=True)


def _solve(A: Tensor, t: Tensor) -> tuple[Tensor, float]:
    unit = A.norm(dim=0).clamp_min(1e-300)
    c = torch.linalg.lstsq(A / unit, t[:, None], driver="gelsd").solution[:, 0]
    return c / unit, float((A / unit @ c - t).square().sum())
