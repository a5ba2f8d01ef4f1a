"""Quotients of polynomials under noise: T(y) = P(z) / Q(z) of two or three columns, Q = 1 + ...

All coefficients of the second degree are fitted to T(y) itself (Q T(y) = P would be linear, but with
T(y)'s noise among the regressors), and terms that the rows do not need are dropped one by one, the
least needed first, each time with the others fitted again.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import combinations_with_replacement

import sympy
import torch
from sympy import Expr, Float, Symbol
from torch import Tensor

from edgewise.optim.levenberg_marquardt import minimise
from edgewise.optim.quotient import Quotient
from edgewise.symbolic.outer import IDENTITY, SQUARE, Transformed, transformed

_OUTER = (IDENTITY, SQUARE)
_DEGREE, _TERMS_MOST = 2, 8
# chi^2 from which a term is needed.
_NEEDED = 16.0
_STEPS, _AGAIN = 40, 10


def rationals(z: Tensor, y: Tensor, root: Tensor, symbols: Sequence[Symbol]) -> Iterator[Expr]:
    """Quotients for y (N,) of the columns z (N, 2 or 3), one for each T at most. root (N,): square
    roots of the rows' weights."""
    for outer in _OUTER:
        target = transformed(outer, y, root)
        quotient = None if target is None else _quotient(z, target, symbols)
        if target is not None and quotient is not None:
            yield target.sign * outer.inverse(quotient)


def _quotient(z: Tensor, target: Transformed, symbols: Sequence[Symbol]) -> Expr | None:
    powers = [
        chosen
        for degree in range(_DEGREE + 1)
        for chosen in combinations_with_replacement(range(z.shape[1]), degree)
    ]
    columns = torch.stack([z[:, list(chosen)].prod(1) for chosen in powers], dim=1)
    unit = columns.square().mean(0).sqrt()
    if not bool((unit > 0).all() and torch.isfinite(unit).all()):
        return None
    columns = columns / unit
    whole = Quotient(columns, columns[:, 1:], target.t, target.scale)
    weighted = columns * target.scale[:, None]
    start = torch.linalg.lstsq(weighted, (target.t * target.scale)[:, None], driver="gelsd")
    c = torch.cat([start.solution[:, 0], columns.new_zeros(len(powers) - 1)])
    kept, c = _needed(whole, c)
    if len(kept) > _TERMS_MOST:
        return None
    P, Q = sympy.S.Zero, sympy.S.One
    for value, k in zip(c.tolist(), kept, strict=True):
        n = k if k < len(powers) else k - len(powers) + 1
        term = Float(value / float(unit[n])) * sympy.Mul(*(symbols[i] for i in powers[n]))
        P, Q = (P + term, Q) if k == n else (P, Q + term)
    return P / Q


def _needed(whole: Quotient, c: Tensor) -> tuple[list[int], Tensor]:
    """The columns that t needs, of P's and then of R's, and their coefficients."""
    kept = list(range(len(c)))
    c, covariance = _fit(whole, c, _STEPS)
    while True:
        chi2 = c.square() / covariance.diagonal().clamp_min(1e-300)
        least = int(chi2.argmin())
        if len(kept) == 1 or not float(chi2[least]) < _NEEDED:
            return kept, c
        rest = [k for k in range(len(kept)) if k != least]
        moved = c[rest] - covariance[rest, least] * c[least] / covariance[least, least]
        kept = [kept[k] for k in rest]
        c, covariance = _fit(_part(whole, kept), moved, _AGAIN)


def _part(whole: Quotient, columns: Sequence[int]) -> Quotient:
    """With these columns of P, and after them of R, alone."""
    K = whole.above.shape[1]
    above, below = [k for k in columns if k < K], [k - K for k in columns if k >= K]
    return replace(whole, above=whole.above[:, above], below=whole.below[:, below])


def _fit(quotient: Quotient, c: Tensor, steps: int) -> tuple[Tensor, Tensor]:
    """Coefficients, and their covariance in units of the noise that is left."""
    found = minimise(quotient.linearised, quotient.loss, c, steps=steps, tolerance=1e-6, patience=2)
    loss, H, _ = quotient.linearised(found.theta)
    spare = max(len(quotient.t) - len(c), 1)
    H = H + 1e-12 * torch.diag(H.diagonal())
    return found.theta, torch.linalg.pinv(H, hermitian=True) * loss / spare
