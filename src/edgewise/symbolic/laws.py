"""Formulas for a law whose structure is known: a monomial times a function of few groups.

One group: its curve is recognised. Two: the surface is split into curves, and what does not split is
searched among small trees. Expressions come back in the user's columns, with floats still to refit.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from fractions import Fraction

import torch
from sympy import Expr, Float, Symbol
from torch import Tensor

from edgewise.symbolic.direct import Proposal
from edgewise.symbolic.evaluate import evaluate, symbol
from edgewise.symbolic.primitives import Primitive
from edgewise.symbolic.reduce import Reduction
from edgewise.symbolic.surfaces import Rows, recognise

_TOP = 10
# From this error on rows are taken for noisy.
_NOISE = 1e-4
_PREFACTORS, _FEW = 4, 200


def laws(
    reduction: Reduction,
    y: Tensor,
    root: Tensor,
    lib: Sequence[Primitive] | None = None,
    expired: Callable[[], bool] = lambda: False,
    tell: Callable[[str], None] = lambda stage: None,
) -> Iterator[Proposal]:
    """Proposals for y (N,) by a reduction, the most promising first. root (N,): square roots of the
    rows' weights, as the group fit had them."""
    groups, x = reduction.groups, reduction.columns.x
    factor = groups.factor(x)
    z = groups.columns(x)
    if not bool(torch.isfinite(factor).all() and (factor != 0).all() and torch.isfinite(z).all()):
        return
    t = y / factor
    root = root * factor.abs()  # what the division does to the noise
    symbols = [symbol(f"z_{k}") for k in range(z.shape[1])]
    for found in _reduced(reduction, z, t, root, symbols, lib, expired, tell):
        back = {
            s: reduction.group(k, even=_even(found.expression, s, z, symbols))
            for k, s in enumerate(symbols)
        }
        whole = reduction.factor() * found.expression.xreplace(back)
        yield Proposal(whole, found.error, found.origin)


def _reduced(
    reduction: Reduction,
    z: Tensor,
    t: Tensor,
    root: Tensor,
    symbols: Sequence[Symbol],
    lib: Sequence[Primitive] | None,
    expired: Callable[[], bool],
    tell: Callable[[str], None],
) -> Iterator[Proposal]:
    fit = reduction.groups.fit
    if z.shape[1] == 0:
        weight = root.square()
        constant = float((weight * t).sum() / weight.sum())
        yield Proposal(Float(constant), fit.error, "monomial")
        return
    # what is left of one group where an exact law has nothing left is noise
    error = fit.error if z.shape[1] > 1 or fit.error > _NOISE else 0.0
    tell(f"formula of {z.shape[1]} groups")
    prefactors = _prefactors(reduction) if z.shape[1] == 1 else (0,)
    yield from recognise(Rows(z, t, root, tuple(symbols), error), lib, expired, _TOP, prefactors)


def _even(expression: Expr, symbol: Symbol, z: Tensor, symbols: Sequence[Symbol]) -> bool:
    """Whether the sign of one group does not matter."""
    values = {s.name: column[:_FEW] for s, column in zip(symbols, z.unbind(1), strict=True)}
    there = evaluate(expression, values)
    back = evaluate(expression, {**values, symbol.name: -values[symbol.name]})
    return bool(((there - back).abs() <= 1e-12 * there.abs()).all())


def _prefactors(reduction: Reduction) -> list[Fraction | float]:
    """Powers s so that z^-s takes some column out of the monomial: the curve can be z^s times
    another one, and each column alike may be the one that stands in the curve alone."""
    q, (p,) = reduction.groups.q, reduction.groups.p
    found: list[Fraction | float] = [Fraction(0)]
    for a, b in zip(q, p, strict=True):
        if b != 0 and isinstance(a, Fraction) and isinstance(b, Fraction) and -a / b not in found:
            found.append(-a / b)
    return sorted(found, key=lambda s: abs(float(s)))[:_PREFACTORS]
