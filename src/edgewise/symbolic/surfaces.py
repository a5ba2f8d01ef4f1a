"""Laws of two columns whose structure can be split: T(y) = A(b) phi(a) + B(b).

With A constant this is a sum, with B in proportion to A a product, and otherwise a law that is affine
in a function of one column; T is y, 1/y, y^2, log y, ... The curves phi, A and B are splines, fitted
by Gauss-Newton steps on phi with A and B eliminated; then each is recognised by itself.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
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
from edgewise.symbolic.groups import bspline
from edgewise.symbolic.primitives import Primitive
from edgewise.symbolic.refit import refit

_ROWS, _GRID, _STEPS = 2500, 16, 15
# A split may leave so much more than the surface's own error, and this much at least.
_MAY_LEAVE, _EXACT = 1.35, 3e-5
_POINTS, _FEW = 60, 600
_EACH, _PAIRS = 3, 4
# Error of a spline curve relative to its spread, so that formulas need not follow it.
_SPLINE = 2e-4


@dataclass(frozen=True)
class Outer:
    """T, its slope, its inverse on expressions, and the targets on which it is sound."""

    name: str
    forward: Callable[[Tensor], Tensor]
    slope: Callable[[Tensor], Tensor]
    inverse: Callable[[Expr], Expr]
    sound: Callable[[Tensor], bool]


def _one_sign(y: Tensor) -> bool:
    return bool((y > 0).all())


OUTER = (
    Outer("y", lambda y: y, torch.ones_like, lambda e: e, lambda y: True),
    Outer("1/y", torch.reciprocal, lambda y: -(y**-2), lambda e: 1 / e, _one_sign),
    Outer("y^2", torch.square, lambda y: 2 * y, sympy.sqrt, _one_sign),
    Outer("1/y^2", lambda y: y**-2, lambda y: -2 * y**-3, lambda e: 1 / sympy.sqrt(e), _one_sign),
    Outer("log y", torch.log, torch.reciprocal, sympy.exp, _one_sign),
    Outer("sqrt y", torch.sqrt, lambda y: 0.5 * y**-0.5, lambda e: e**2, _one_sign),
    Outer("exp y", torch.exp, torch.exp, sympy.log, lambda y: bool((y.abs() < 20).all())),
    Outer("sin y", torch.sin, torch.cos, sympy.asin, lambda y: bool((y.abs() < 1.5708).all())),
    Outer(
        "tan y",
        torch.tan,
        lambda y: torch.cos(y) ** -2,
        sympy.atan,
        lambda y: bool((y.abs() < 1.57).all()),
    ),
)


@dataclass(frozen=True, eq=False)
class Split:
    """T(y) = A(b) phi(a) + B(b): values on the rows, and the error relative to y's weighted size."""

    outer: Outer
    a: int
    b: int
    phi: Tensor
    error: float


def coordinate(z: Tensor) -> Tensor:
    """z for splines with equal intervals: spread out by a logarithm where z is positive and wide."""
    low, high = float(z.min()), float(z.max())
    if low >= 0 and high > 4 * max(low, 1e-300):
        return (z / z.median().clamp_min(1e-300) + 0.1).log()
    return z


def splits(
    z: Tensor, y: Tensor, root: Tensor, floor: float, expired: Callable[[], bool]
) -> list[Split]:
    """The splits that explain y (N,) on z (N, 2) as well as a free surface does (relative error
    ``floor``), the most precise first. root: square roots of the rows' weights."""
    z, y, root = z[:_ROWS], y[:_ROWS], root[:_ROWS]
    bases = [bspline(coordinate(c), torch.ones_like(c), _GRID)[0] for c in z.unbind(1)]
    found = []
    sign = -1.0 if bool((y < 0).all()) else 1.0
    for outer in OUTER:
        if expired():
            break
        if not outer.sound(sign * y):
            continue
        t, slope = outer.forward(sign * y), outer.slope(sign * y)
        scale = root / slope.abs().clamp_min(1e-300)
        if not bool(torch.isfinite(t).all() and torch.isfinite(scale).all()):
            continue
        for a, b in ((0, 1), (1, 0)):
            split = _split(t, scale, z[:, a], bases[a], bases[b])
            error = split[1] / float((y * root).norm())
            if error <= max(_MAY_LEAVE * floor, _EXACT):
                found.append(Split(outer, a, b, split[0], error))
    return sorted(found, key=lambda s: s.error)


def _split(t: Tensor, scale: Tensor, a: Tensor, Ba: Tensor, Bb: Tensor) -> tuple[Tensor, float]:
    """phi (N,) and the norm of the weighted residual."""
    target = t * scale
    best: tuple[Tensor, float] | None = None
    for start in _starts(a):
        c = torch.linalg.lstsq(Ba, start[:, None], driver="gelsd").solution
        phi, loss = _gauss_newton(c[:, 0], target, scale, Ba, Bb)
        if best is None or loss < best[1]:
            best = (phi, loss)
    assert best is not None
    return best


def _starts(a: Tensor) -> list[Tensor]:
    unit = (a - a.mean()) / a.std().clamp_min(1e-300)
    return [unit, unit.square()]


def _project(
    phi: Tensor, target: Tensor, scale: Tensor, Bb: Tensor
) -> tuple[Tensor, Tensor, Tensor]:
    """Residual of the best A and B for given phi, an orthonormal basis of what they reach, and A."""
    X = scale[:, None] * torch.cat([phi[:, None] * Bb, Bb], dim=1)
    norm = X.square().sum(0).sqrt().clamp_min(1e-300)
    K = X.shape[1]
    ridge = 1e-9 * torch.eye(K, dtype=X.dtype)
    Q, R = torch.linalg.qr(torch.cat([X / norm, ridge]))
    inside = Q[: len(X)].T @ target
    c = torch.linalg.solve_triangular(R, inside[:, None], upper=True)[:, 0] / norm
    return target - Q[: len(X)] @ inside, Q[: len(X)], Bb @ c[: K // 2]


def _gauss_newton(
    c: Tensor, target: Tensor, scale: Tensor, Ba: Tensor, Bb: Tensor
) -> tuple[Tensor, float]:
    damping = 1e-3
    r, Q, A = _project(Ba @ c, target, scale, Bb)
    loss = float(r.norm())
    for _ in range(_STEPS):
        J = (scale * A)[:, None] * Ba
        J = J - Q @ (Q.T @ J)
        H, g = J.T @ J, J.T @ r
        diagonal = H.diagonal() + 1e-9 * H.diagonal().amax() + 1e-300
        for _ in range(4):
            step = torch.linalg.solve(H + damping * torch.diag(diagonal), g)
            new = c + step
            new = new / new.abs().amax().clamp_min(1e-300)
            trial = _project(Ba @ new, target, scale, Bb)
            if float(trial[0].norm()) < loss:
                break
            damping *= 10
        else:
            break
        gain = 1 - float(trial[0].norm()) / loss
        c, (r, Q, A), loss, damping = new, trial, float(trial[0].norm()), max(damping / 10, 1e-12)
        if gain < 1e-3:
            break
    return Ba @ c, loss


# --- from curves to formulas ---------------------------------------------------------------------


def explain_split(
    split: Split,
    z: Tensor,
    y: Tensor,
    root: Tensor,
    symbols: Sequence[Symbol],
    lib: Sequence[Primitive] | None,
    expired: Callable[[], bool],
) -> Iterator[Proposal]:
    """Formulas of a split, the simplest and most precise first."""
    z, y, root = z[:_ROWS], y[:_ROWS], root[:_ROWS]
    sign = -1.0 if bool((y < 0).all()) else 1.0
    outer = split.outer
    t = outer.forward(sign * y)
    scale = root / outer.slope(sign * y).abs().clamp_min(1e-300)
    a, b = z[:, split.a], z[:, split.b]
    noise = split.error * float((y * root).norm()) / math.sqrt(len(y))
    Bb = bspline(coordinate(b), torch.ones_like(b), _GRID)[0]
    _, _, A = _project(split.phi, t * scale, scale, Bb)
    weight = (A * scale).square()
    composed: dict[Expr, None] = {}
    for inner in _explained(a, split.phi, weight, noise, symbols[split.a], lib, expired):
        if expired():
            break
        f = _without_affine(inner.expression)
        values = _values(f, symbols[split.a], a)
        if values is None:
            continue
        found = _curves(values, f, t, scale, b, Bb, symbols[split.b], noise, lib, expired)
        for expression, _ in islice(found, _PAIRS):
            composed[sign * outer.inverse(expression)] = None
    yield from _polished(list(composed), z, y, root, symbols, outer.name, expired)


def _polished(
    expressions: Sequence[Expr],
    z: Tensor,
    y: Tensor,
    root: Tensor,
    symbols: Sequence[Symbol],
    name: str,
    expired: Callable[[], bool],
) -> list[Proposal]:
    """The expressions with all constants refitted to the rows, the shortest description first."""
    z, y, weight = z[:_FEW], y[:_FEW], root[:_FEW].square()
    size = float((weight * y.square()).mean().sqrt() / weight.mean().sqrt())
    found: list[tuple[float, int, Proposal]] = []
    for expression in expressions:
        if expired():
            break
        try:
            fitted = refit(expression, z, y, [s.name for s in symbols], weight, steps=30)
        except FormulaError:
            continue
        if math.isfinite(fitted.rmse):
            error = fitted.rmse / size
            bits = len(y) * math.log2(math.hypot(error, 1e-9)) + 5.0 * complexity(expression)
            found.append((bits, len(found), Proposal(fitted.expression, error, f"{name} split")))
    return [proposal for _, _, proposal in sorted(found, key=lambda entry: entry[:2])[:_EACH]]


def _sample(at: Tensor, curve: Tensor, weight: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """The curve at few points: rows between knots tell nothing new. Weights are sums over rows."""
    order = at.argsort()
    parts = order.tensor_split(_POINTS)
    middle = torch.stack([part[len(part) // 2] for part in parts])
    total = torch.stack([weight[part].sum() for part in parts])
    return at[middle], curve[middle], total


def _without_affine(expression: Expr) -> Expr:
    """f of c f + d."""
    _, rest = expression.as_independent(*expression.free_symbols, as_Add=True)
    _, f = rest.as_independent(*expression.free_symbols, as_Add=False)
    return f


def _values(f: Expr, symbol: Symbol, at: Tensor) -> Tensor | None:
    value = evaluate(f, {symbol.name: at})
    return value if bool(torch.isfinite(value).all()) else None


def _curves(
    f: Tensor,
    inner: Expr,
    t: Tensor,
    scale: Tensor,
    b: Tensor,
    Bb: Tensor,
    symbol: Symbol,
    noise: float,
    lib: Sequence[Primitive] | None,
    expired: Callable[[], bool],
) -> Iterator[tuple[Expr, float]]:
    """A f + B with A and B recognised."""
    size = float((t * scale).norm())
    ones = torch.ones_like(f)
    bound = max(_MAY_LEAVE * noise * math.sqrt(len(f)), _EXACT * size)
    # a sum: A a constant; a product: B = 0, or B = d A
    for columns, form in (
        (torch.cat([f[:, None], Bb], 1), lambda c, s: c * inner + s),
        (f[:, None] * Bb, lambda c, s: s * inner),
    ):
        X = scale[:, None] * columns
        left = t * scale - X @ _least_squares(X, t * scale)
        if float(left.norm()) > bound:
            continue
        whole = _least_squares(X, t * scale)
        if columns.shape[1] == Bb.shape[1]:
            curve, constant, weight = Bb @ whole, 1.0, (f * scale).square()
        else:
            curve, constant, weight = Bb @ whole[1:], float(whole[0]), scale.square()
        for found in _explained(b, curve, weight, noise, symbol, lib, expired):
            yield form(sympy.Float(constant), found.expression), found.error
        return
    shift = _proportion(f, t, scale, Bb, bound)
    if shift is not None:
        X = scale[:, None] * ((f + shift)[:, None] * Bb)
        curve = Bb @ _least_squares(X, t * scale)
        weight = ((f + shift) * scale).square()
        for found in _explained(b, curve, weight, noise, symbol, lib, expired):
            yield (inner + sympy.Float(shift)) * found.expression, found.error
        return
    X = scale[:, None] * torch.cat([f[:, None] * Bb, Bb], 1)
    c = _least_squares(X, t * scale)
    if float((t * scale - X @ c).norm()) > 2 * bound:
        return
    K = Bb.shape[1]
    slopes = _explained(b, Bb @ c[:K], (f * scale).square(), noise, symbol, lib, expired)
    offsets = _explained(b, Bb @ c[K:], scale.square() * ones, noise, symbol, lib, expired)
    pairs = product(enumerate(slopes), enumerate(offsets))
    for (_, one), (_, two) in sorted(pairs, key=lambda pair: pair[0][0] + pair[1][0]):
        yield one.expression * inner + two.expression, max(one.error, two.error)


def _explained(
    b: Tensor,
    curve: Tensor,
    weight: Tensor,
    noise: float,
    symbol: Symbol,
    lib: Sequence[Primitive] | None,
    expired: Callable[[], bool],
) -> list[Proposal]:
    # a spline of _GRID + 3 coefficients inherits the rows' noise, more through the other curve, and
    # has an error of its own
    inherited = 2 * noise / float(weight.mean().sqrt()) * math.sqrt((_GRID + 3) / len(curve))
    middle = (weight * curve).sum() / weight.sum()
    own = float(((weight * (curve - middle).square()).sum() / weight.sum()).sqrt())
    spread = math.hypot(inherited, _SPLINE * own)
    at, values, total = _sample(b, curve, weight)
    found = explain(
        at, values, symbol, weight=total, noise=spread, lib=lib, top=_EACH, expired=expired
    )
    if own < 3 * inherited + _SPLINE * abs(float(middle)):
        found.insert(0, Proposal(sympy.Float(float(middle)), own, "constant"))
    return found


def _least_squares(X: Tensor, target: Tensor) -> Tensor:
    norm = X.square().sum(0).sqrt().clamp_min(1e-300)
    return torch.linalg.lstsq(X / norm, target[:, None], driver="gelsd").solution[:, 0] / norm


def _proportion(f: Tensor, t: Tensor, scale: Tensor, Bb: Tensor, bound: float) -> float | None:
    """d where t = (f + d) A(b), by the best proportion of the two free curves; None where none is."""
    X = scale[:, None] * torch.cat([f[:, None] * Bb, Bb], 1)
    c = _least_squares(X, t * scale)
    K = Bb.shape[1]
    A, B = Bb @ c[:K], Bb @ c[K:]
    weight = scale.square()
    shift = float((weight * A * B).sum() / (weight * A * A).sum().clamp_min(1e-300))
    X = scale[:, None] * ((f + shift)[:, None] * Bb)
    left = t * scale - X @ _least_squares(X, t * scale)
    return shift if float(left.norm()) <= 2 * bound else None
