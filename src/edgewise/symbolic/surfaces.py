"""Formulas for curves and surfaces: a curve is recognised, a surface is split into curves.

A split T(y) = A(b) phi(a) + B(b) gives a formula when phi is recognised, and then A and B. Where b are
two columns, A and B are surfaces, and split again. What does not split is searched among small trees. Under
noise a short quotient of polynomials comes before all, so many splits look alike there.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from itertools import islice, product

import sympy
import torch
from sympy import Expr, Symbol
from torch import Tensor

from edgewise.errors import FormulaError
from edgewise.symbolic.curves import explain
from edgewise.symbolic.direct import Proposal
from edgewise.symbolic.evaluate import evaluate
from edgewise.symbolic.formula import complexity
from edgewise.symbolic.primitives import Primitive
from edgewise.symbolic.rationals import rationals
from edgewise.symbolic.refit import refit
from edgewise.symbolic.splits import (
    EXACT,
    GRIDS,
    MAY_LEAVE,
    ROWS,
    Split,
    basis,
    project,
    splits,
    without,
)
from edgewise.symbolic.trees import search_trees

# Intervals along the axes once phi is known.
_FINE = {1: 32, 2: 8}
_POINTS, _FEW = 60, 1200
_EACH, _PAIRS, _SPLITS = 3, 4, 3
# Error of a curve and of a surface of splines relative to its spread: formulas need not follow it.
_SPLINE, _RAW = (5e-5, 2e-3), 1e-6
# From this error on rows are taken for noisy.
_NOISE = 1e-4
# Bits of a symbol of a formula.
_BITS = 5.0


@dataclass(frozen=True, eq=False)
class Rows:
    """What a formula of few columns is sought for: z (N, r), y (N,), root (N,), square roots of
    weights, and ``error``, what noise or splines leave of y, relative to its weighted size."""

    z: Tensor
    y: Tensor
    root: Tensor
    symbols: tuple[Symbol, ...]
    error: float

    @property
    def size(self) -> float:
        return float((self.y * self.root).norm())

    @property
    def noise(self) -> float:
        """Weighted rms of the noise, in y's unit."""
        return self.error * self.size / float(self.root.norm())

    def mean(self) -> tuple[float, float]:
        """The weighted mean of y, and the weighted size of what it leaves."""
        weight = self.root.square()
        middle = (weight * self.y).sum() / weight.sum()
        return float(middle), float((weight * (self.y - middle).square()).sum().sqrt())

    def first(self, count: int) -> Rows:
        return Rows(self.z[:count], self.y[:count], self.root[:count], self.symbols, self.error)


def recognise(
    rows: Rows,
    lib: Sequence[Primitive] | None,
    expired: Callable[[], bool],
    top: int,
    prefactors: Sequence[Fraction | float] = (0,),
) -> Iterator[Proposal]:
    """Formulas for y of one, two or three columns."""
    if rows.z.shape[1] == 1:
        yield from explain(
            rows.z[:, 0],
            rows.y,
            rows.symbols[0],
            weight=rows.root.square(),
            noise=rows.noise,
            prefactors=prefactors,
            lib=lib,
            top=top,
            expired=expired,
        )
        return
    if rows.error > _NOISE:
        few = rows.first(ROWS)
        quotients = list(rationals(few.z, few.y, few.root, few.symbols))
        for found in _polished(quotients, rows, "quotient", expired):
            if found.error <= MAY_LEAVE * rows.error:
                yield found
    for split in splits(rows.z, rows.y, rows.root, rows.error, expired)[:_SPLITS]:
        yield from explain_split(split, rows, lib, expired)
    if not expired():
        yield from search_trees(
            rows.z,
            rows.y,
            [s.name for s in rows.symbols],
            weight=rows.root.square(),
            noise=rows.noise if rows.error > _NOISE else 0.0,
            lib=lib,
            top=top,
            expired=expired,
        )


def explain_split(
    split: Split,
    rows: Rows,
    lib: Sequence[Primitive] | None,
    expired: Callable[[], bool],
) -> Iterator[Proposal]:
    """Formulas of a split, the simplest and most precise first."""
    rows = rows.first(ROWS)
    outer, sign = split.target.outer, split.target.sign
    t, scale = split.target.t, split.target.scale
    a, b = rows.z[:, split.a : split.a + 1], without(rows.z, split.a)
    kept = tuple(s for k, s in enumerate(rows.symbols) if k != split.a)
    whole = Rows(b, t, scale, kept, split.error)
    Bb = basis(b, GRIDS[b.shape[1]])
    _, _, A = project(split.phi, t * scale, scale, Bb)
    phi = _curve(Rows(a, split.phi, A * scale, (rows.symbols[split.a],), 0.0), whole, GRIDS[1])
    name = f"{outer.name} split"
    for inner in _best(phi, lib, expired):
        if expired():
            break
        composed: dict[Expr, None] = {}
        for f in _forms(_without_affine(inner.expression)):
            values = evaluate(f, {phi.symbols[0].name: a[:, 0]})
            if bool(torch.isfinite(values).all()):
                for expression in islice(_composed(values, f, whole, lib, expired), _PAIRS):
                    composed[sign * outer.inverse(expression)] = None
        yield from _polished(list(composed), rows, name, expired)


def _forms(f: Expr) -> list[Expr]:
    """f, and for squares of sines, which are cosines up to an affine map, those as well."""
    u = sympy.Wild("u")
    for square in (sympy.sin(u) ** 2, sympy.cos(u) ** 2):
        match = f.match(square)
        if match:
            return [sympy.cos(2 * match[u]), f]
    return [f]


def _curve(curve: Rows, whole: Rows, grid: int) -> Rows:
    """A spline's values, with the error that it inherits from the rows and has by itself."""
    K = (grid + 3) ** curve.z.shape[1]
    # more than its share comes through the other curves
    inherited = 3 * whole.error * whole.size * math.sqrt(K / len(whole.y))
    _, spread = curve.mean()
    error = math.hypot(inherited, _SPLINE[curve.z.shape[1] - 1] * spread) / max(curve.size, 1e-300)
    return Rows(curve.z, curve.y, curve.root, curve.symbols, error)


def _best(
    rows: Rows, lib: Sequence[Primitive] | None, expired: Callable[[], bool]
) -> list[Proposal]:
    """The first formulas for a curve or surface; a constant where it hardly varies."""
    middle, left = rows.mean()
    found = []
    if left < max(3 * rows.error, _SPLINE[0]) * rows.size:
        found.append(Proposal(sympy.Float(middle), 0.0, "constant"))
    few = _thinned(rows) if rows.z.shape[1] == 1 else rows
    return [*found, *islice(recognise(few, lib, expired, _EACH), _EACH)]


def _thinned(rows: Rows) -> Rows:
    """A spline's curve at few points: rows between knots tell nothing new. Weights are sums."""
    parts = rows.z[:, 0].argsort().tensor_split(min(_POINTS, len(rows.y)))
    middle = torch.stack([part[len(part) // 2] for part in parts])
    root = torch.stack([rows.root[part].square().sum().sqrt() for part in parts])
    return Rows(rows.z[middle], rows.y[middle], root, rows.symbols, rows.error)


def _without_affine(expression: Expr) -> Expr:
    """f of c f + d."""
    _, rest = expression.as_independent(*expression.free_symbols, as_Add=True)
    _, f = rest.as_independent(*expression.free_symbols, as_Add=False)
    return f


def _composed(
    f: Tensor,
    inner: Expr,
    whole: Rows,
    lib: Sequence[Primitive] | None,
    expired: Callable[[], bool],
) -> Iterator[Expr]:
    """A f + B with A and B recognised. f: values of ``inner``; whole: the rest of the law."""
    t, scale, b = whole.y, whole.root, whole.z
    grid = _FINE[b.shape[1]]
    Bb = basis(b, grid)
    one, K = f[:, None], Bb.shape[1]
    both = torch.cat([one * Bb, Bb], 1)
    c = _least_squares(both, whole)[1]
    A, B = Bb @ c[:K], Bb @ c[K:]
    weight = scale.square()
    shift = float((weight * A * B).sum() / (weight * A * A).sum().clamp_min(1e-300))
    forms = {
        "sum": torch.cat([one, Bb], 1),
        "product": one * Bb,
        "shifted product": (one + shift) * Bb,
        "both": both,
    }
    fits = {form: _least_squares(X, whole) for form, X in forms.items()}
    floor = max(EXACT[b.shape[1]], _RAW) * whole.size

    def bits(form: str) -> float:
        spent = 0.5 * forms[form].shape[1] * math.log2(len(t))
        return len(t) * math.log2(max(fits[form][0], floor)) + spent

    best = min(forms, key=bits)
    if fits[best][0] > max(MAY_LEAVE * whole.error * whole.size, 2 * floor):
        return
    if best == "sum":
        constant = float(fits[best][1][0])
        rest = Rows(b, t - constant * f, scale, whole.symbols, 0.0)
        for found in _best(_raw(rest, whole), lib, expired):
            yield sympy.Float(constant) * inner + found.expression
        return
    if best != "both":
        d = shift if best == "shifted product" else 0.0
        rest = Rows(b, t / (f + d), scale * (f + d).abs(), whole.symbols, 0.0)
        for found in _best(_raw(rest, whole), lib, expired):
            yield (inner + sympy.Float(d)) * found.expression
        return
    slopes = _best(_curve(Rows(b, A, scale * f, whole.symbols, 0.0), whole, grid), lib, expired)
    offsets = _best(_curve(Rows(b, B, scale, whole.symbols, 0.0), whole, grid), lib, expired)
    pairs = product(enumerate(slopes), enumerate(offsets))
    for (_, one_of), (_, two) in sorted(pairs, key=lambda pair: pair[0][0] + pair[1][0]):
        yield one_of.expression * inner + two.expression


def _raw(rest: Rows, whole: Rows) -> Rows:
    """Rows from which a recognised part was taken: all else that the law leaves is their error."""
    finite = torch.isfinite(rest.y) & torch.isfinite(rest.root)
    z, y, root = rest.z[finite], rest.y[finite], rest.root[finite]
    left = max(whole.error * whole.size, _RAW * whole.size)
    return Rows(z, y, root, rest.symbols, left / max(float((y * root).norm()), 1e-300))


def _least_squares(X: Tensor, whole: Rows) -> tuple[float, Tensor]:
    """Norm of what X (N, K) leaves of the weighted target, and the coefficients."""
    X, target = whole.root[:, None] * X, whole.y * whole.root
    norm = X.square().sum(0).sqrt().clamp_min(1e-300)
    c = torch.linalg.lstsq(X / norm, target[:, None], driver="gelsd").solution[:, 0] / norm
    return float((target - X @ c).norm()), c


def _polished(
    expressions: Sequence[Expr], rows: Rows, name: str, expired: Callable[[], bool]
) -> list[Proposal]:
    """The expressions with all constants refitted to the rows, the shortest description first."""
    few = rows.first(_FEW)
    y, weight = few.y, few.root.square()
    size = float((weight * y.square()).mean().sqrt() / weight.mean().sqrt())
    names = [s.name for s in rows.symbols]
    found: list[tuple[float, int, Proposal]] = []
    for expression in expressions:
        if expired():
            break
        try:
            fitted = refit(expression, few.z, y, names, weight, steps=30)
        except FormulaError:
            continue
        if math.isfinite(fitted.rmse):
            error = fitted.rmse / size
            bits = len(y) * math.log2(math.hypot(error, 1e-9)) + _BITS * complexity(expression)
            found.append((bits, len(found), Proposal(fitted.expression, error, name)))
    return [proposal for _, _, proposal in sorted(found, key=lambda entry: entry[:2])[:_EACH]]
