"""Laws T(y) = prod_i x_i^q_i P(x), with P a polynomial of low degree in some of the columns.

Which columns are mere factors, and their exponents, come from a fit with one group of columns; P is
linear least squares. Terms that the rows do not need are dropped, the least needed first.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace
from itertools import combinations_with_replacement

import sympy
import torch
from sympy import Expr, Float
from torch import Tensor

from edgewise.symbolic.direct import Proposal
from edgewise.symbolic.exponents import Groups, rounded
from edgewise.symbolic.outer import Outer, transformed
from edgewise.symbolic.reduce import Start, monomial
from edgewise.symbolic.splits import OUTER

_TERMS, _DEGREES = 70, (1, 2, 3)
# Terms that P may have in the end.
_TERMS_MOST = 12
# chi^2 from which a term is needed: of noise, and of rounding.
_NEEDED, _ROUNDING = 16.0, 1e-9


def polynomials(begun: Start, expired: Callable[[], bool] = lambda: False) -> list[Proposal]:
    """Proposals of this form, the shortest description first. Errors are relative to the weighted size
    of y."""
    found: list[tuple[float, int, Proposal]] = []
    for groups in rounded(begun.table, begun.one, most=1):
        inside = [i for i, p in enumerate(groups.p[0]) if p != 0]
        several = [i for i, q in enumerate(groups.q) if q != int(q) or groups.p[0][i] != 0]
        everything = list(range(len(groups.q)))
        for rest in {tuple(chosen): None for chosen in (inside, several, everything)}:
            for outer in OUTER:
                for degree in _DEGREES:
                    if expired():
                        break
                    new = _polynomial(begun, groups, rest, outer, degree)
                    found += [(bits, len(found), proposal) for bits, proposal in new]
    return [proposal for _, _, proposal in sorted(found, key=lambda entry: entry[:2])]


def _polynomial(
    begun: Start, groups: Groups, rest: tuple[int, ...], outer: Outer, degree: int
) -> list[tuple[float, Proposal]]:
    if math.comb(len(rest) + degree, degree) > _TERMS:
        return []
    table, x, symbols = begun.table, begun.columns.x, begun.columns.expressions
    before = replace(groups, q=tuple(0 if i in rest else q for i, q in enumerate(groups.q)))
    factor = before.factor(x)
    y = begun.y / factor
    target = transformed(outer, y, table.root * factor.abs())
    if target is None or not bool(torch.isfinite(y).all()):
        return []
    powers = [
        chosen for d in range(degree + 1) for chosen in combinations_with_replacement(rest, d)
    ]
    A = torch.stack([x[:, list(chosen)].prod(1) for chosen in powers], dim=1)
    kept, c, error = _needed(A * target.scale[:, None], target.t * target.scale)
    error = error / table.size
    if not kept or len(kept) > _TERMS_MOST:
        return []
    terms = [
        Float(float(value)) * sympy.Mul(*(symbols[i] for i in powers[k]))
        for k, value in zip(kept, c, strict=True)
    ]
    whole: Expr = (
        target.sign * monomial(symbols, before.q, before.signed) * outer.inverse(sympy.Add(*terms))
    )
    N = len(table.y)
    bits = N * math.log2(math.hypot(error, _ROUNDING)) + 0.5 * len(kept) * math.log2(N)
    return [(bits, Proposal(whole, error, f"{outer.name}: polynomial of degree {degree}"))]


def _needed(A: Tensor, t: Tensor) -> tuple[list[int], Tensor, float]:
    """Columns of A (N, K) that t (N,) needs, their coefficients, and the norm of what is left.

    Backward elimination: the term of the smallest chi^2 goes while it is below the threshold.
    """
    norm = A.square().sum(0).sqrt().clamp_min(1e-300)
    kept = list(range(A.shape[1]))
    X = A / norm
    G, g = X.T @ X, X.T @ t
    N = len(t)
    while True:
        H = G[kept][:, kept]
        inverse = torch.linalg.inv(H + 1e-14 * torch.eye(len(kept), dtype=H.dtype))
        c = inverse @ g[kept]
        left = float((t - X[:, kept] @ c).square().sum())
        variance = max(left / max(N - len(kept), 1), (_ROUNDING**2) * float(t.square().mean()))
        chi2 = c.square() / (inverse.diagonal().clamp_min(1e-300) * variance)
        least = int(chi2.argmin())
        if len(kept) == 1 or float(chi2[least]) > _NEEDED:
            return kept, c / norm[kept], math.sqrt(left)
        kept.pop(least)
