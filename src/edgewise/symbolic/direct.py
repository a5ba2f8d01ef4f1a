"""Formulas found straight from the rows, without a network: cheap, and right for small tables.

The target, or its logarithm, reciprocal, square or root, is tried as

- a power law:            log|y| = sum_i p_i log x_i + c
- one curve of one input: T(y) = c f(a x_i + b) + d for every primitive f
- a few terms:            T(y) = c_0 + c_1 t_1 + c_2 t_2 (+ c_3 t_3), with terms t that are powers,
  logarithms, products and quotients of the inputs

Every proposal is an expression with floats in the user's units; who calls it refits and judges.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import sympy
import torch
from sympy import Expr, Float
from torch import Tensor

from edgewise.symbolic.canonical import canonical_edge
from edgewise.symbolic.compose import exact
from edgewise.symbolic.evaluate import evaluate, symbol
from edgewise.symbolic.formula import complexity
from edgewise.symbolic.outer import IDENTITY, LOG, POSITIVE_INVERSE, ROOT, SQUARE
from edgewise.symbolic.primitives import Primitive
from edgewise.symbolic.suggest import suggest

_POWERS = (-3, -2, -1, sympy.Rational(-1, 2), sympy.Rational(1, 2), 1, 2, 3)
_PAIR_INPUTS = 12  # products and quotients are tried for at most this many inputs
_TERMS_MAX = 400
_OUTER = (IDENTITY, LOG, POSITIVE_INVERSE, SQUARE, ROOT)


@dataclass(frozen=True)
class Proposal:
    """An expression and its root mean square error, relative to the target's spread."""

    expression: Expr
    error: float
    origin: str


@torch.no_grad()
def propose(
    x: Tensor,
    y: Tensor,
    names: Sequence[str],
    lib: Sequence[Primitive] | None = None,
    *,
    top: int = 6,
    expired: Callable[[], bool] = lambda: False,
) -> list[Proposal]:
    """The best proposals of all kinds and lengths for x (N, I), y (N,), smallest error first.

    ``expired`` ends the search early. Expressions that are not finite on every row are left out.
    """
    sign = -1.0 if bool((y < 0).all()) else 1.0
    y = sign * y
    found: list[tuple[Expr, str]] = []
    found += _power_laws(x, y, names)
    for outer in _OUTER:
        if expired() or not bool(outer.sound(y)):
            continue
        t = outer.forward(y)
        for expression, origin in _terms(x, t, names) + _curves(x, t, names, lib, expired):
            found.append((outer.inverse(expression), f"{outer.name}: {origin}"))
    proposals = []
    for expression, origin in found:
        expression = expression if sign > 0 else -expression
        error = _error(expression, x, sign * y, names)
        if math.isfinite(error):
            proposals.append(Proposal(expression, error, origin))
    return _diverse(sorted(proposals, key=lambda p: p.error), top)


def _diverse(proposals: list[Proposal], top: int) -> list[Proposal]:
    """The most precise ones, and every simpler one that is the best of its length: the most precise
    alone would be variations of the longest."""
    chosen: list[Proposal] = []
    shortest = math.inf
    for proposal in proposals:
        length = complexity(proposal.expression)
        if length < shortest or len(chosen) < top // 2:
            chosen.append(proposal)
            shortest = min(shortest, length)
    return chosen[: 2 * top]


def _power_laws(x: Tensor, y: Tensor, names: Sequence[str]) -> list[tuple[Expr, str]]:
    """c prod x_i^p_i by least squares in logarithms, for positive targets and inputs."""
    positive = (x > 0).all(0)
    if not bool((y > 0).all()) or not bool(positive.any()):
        return []
    used = positive.nonzero()[:, 0].tolist()
    A = torch.cat([x[:, used].log(), x.new_ones(len(x), 1)], dim=1)
    if len(x) < A.shape[1]:
        return []
    p = torch.linalg.lstsq(A, y.log()[:, None], driver="gelsd").solution[:, 0]
    factors = [
        symbol(names[i]) ** Float(float(p[n]))
        for n, i in enumerate(used)
        if abs(float(p[n])) > 1e-9
    ]
    return [(Float(math.exp(min(float(p[-1]), 700.0))) * sympy.Mul(*factors), "power law")]


def _curves(
    x: Tensor,
    t: Tensor,
    names: Sequence[str],
    lib: Sequence[Primitive] | None,
    expired: Callable[[], bool],
) -> list[tuple[Expr, str]]:
    """c f(a x_i + b) + d for an input on its own."""
    found = []
    for i in range(x.shape[1]) if x.shape[1] == 1 else ():
        if expired():
            break
        for s in suggest(x[:, i], t, lib, top=8):
            # in canonical form constants that trade with each other are gone: a = 1 for powers
            affine = canonical_edge(s.primitive, torch.tensor(s.affine, dtype=torch.float64))
            a, b, c, d = (exact(v) if v in (0.0, 1.0, -1.0) else Float(v) for v in affine.tolist())
            expression = c * s.primitive.sympy(a * symbol(names[i]) + b) + d
            found.append((expression, s.primitive.name))
    return found


def _terms(x: Tensor, t: Tensor, names: Sequence[str]) -> list[tuple[Expr, str]]:
    """Constant plus the best one, two and three terms, by least squares."""
    columns, terms = _dictionary(x, names)
    N = len(t)
    if not terms or N < 3:
        return []
    A = torch.stack(columns, dim=1)
    A = A - A.mean(0)
    norm = A.square().sum(0).sqrt()
    keep = (norm > 0) & torch.isfinite(norm)
    A, norm = A[:, keep] / norm[keep], norm[keep]
    terms = [term for term, kept in zip(terms, keep.tolist(), strict=True) if kept]
    if not terms:
        return []
    means = torch.stack(columns, dim=1)[:, keep].mean(0)
    r, G = A.T @ (t - t.mean()), A.T @ A
    sets = [[int(r.abs().argmax())]]
    # two terms: the part of |t|^2 that each pair explains, in closed form
    det = (1 - G.square()).clamp_min(1e-9)
    explained = (r[:, None] ** 2 + r[None] ** 2 - 2 * G * r[:, None] * r[None]) / det
    explained = torch.where(1 - G.square() > 1e-7, explained, torch.zeros_like(explained))
    if N > 4 and len(terms) > 1:
        flat = explained.triu(1).flatten().topk(min(3, len(terms))).indices.tolist()
        sets += [[n // len(terms), n % len(terms)] for n in flat]
    if N > 8 and len(terms) > 2:
        sets.append(_third(A, t, sets[1]))
    found = []
    for chosen in sets:
        c = torch.linalg.lstsq(A[:, chosen], (t - t.mean())[:, None], driver="gelsd").solution[:, 0]
        c = c / norm[chosen]
        constant = float(t.mean() - (c * means[chosen]).sum())
        parts = [Float(float(v)) * terms[n] for v, n in zip(c, chosen, strict=True)]
        found.append((sympy.Add(Float(constant), *parts), f"{len(chosen)} terms"))
    return found


def _third(A: Tensor, t: Tensor, pair: list[int]) -> list[int]:
    """The pair and the term that best explains what it leaves."""
    Q, _ = torch.linalg.qr(A[:, pair])
    rest = A - Q @ (Q.T @ A)
    residual = t - t.mean()
    residual = residual - Q @ (Q.T @ residual)
    norm = rest.square().sum(0).sqrt()
    gain = torch.where(norm > 1e-3, (rest.T @ residual).abs() / norm.clamp_min(1e-12), 0.0)
    return [*pair, int(gain.argmax())]


def _dictionary(x: Tensor, names: Sequence[str]) -> tuple[list[Tensor], list[Expr]]:
    """Powers, logarithms, products and quotients of the inputs that are finite on all rows."""
    symbols = [symbol(name) for name in names]
    columns: list[Tensor] = []
    terms: list[Expr] = []

    def add(column: Tensor, term: Expr) -> None:
        if len(terms) < _TERMS_MAX and bool(torch.isfinite(column).all()):
            columns.append(column)
            terms.append(term)

    for i, s in enumerate(symbols):
        v = x[:, i]
        positive, nonzero = bool((v > 0).all()), bool((v != 0).all())
        for p in _POWERS:
            if (p < 0 and not nonzero) or (sympy.Rational(p).q != 1 and not positive):
                continue
            add(v ** float(p), s**p)
        if positive:
            add(v.log(), sympy.log(s))
    if len(names) <= _PAIR_INPUTS:
        for i, s in enumerate(symbols):
            for j, other in enumerate(symbols):
                if j > i:
                    add(x[:, i] * x[:, j], s * other)
                if j != i and bool((x[:, j] != 0).all()):
                    add(x[:, i] / x[:, j], s / other)
    return columns, terms


def _error(expression: Expr, x: Tensor, y: Tensor, names: Sequence[str]) -> float:
    value = evaluate(expression, dict(zip(names, x.unbind(1), strict=True)))
    spread = float((y - y.mean()).square().mean().sqrt()) or 1.0
    return float((value - y).square().mean().sqrt()) / spread
