"""Laws of two or three columns fitted by splines in the form T(y) = A(b) phi(a) + B(b).

With A constant this is a sum, with B in proportion to A a product, and otherwise a law that is affine
in a function of one column; T is y, 1/y, y^2, log y, ... phi, A and B are splines, fitted by
Gauss-Newton steps on phi with A and B eliminated.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from edgewise.symbolic.groups import bspline, products
from edgewise.symbolic.outer import (
    EXP,
    IDENTITY,
    INVERSE_SQUARE,
    LOG,
    POSITIVE_INVERSE,
    ROOT,
    SIN,
    SQUARE,
    TAN,
    Transformed,
    transformed,
    within,
)

ROWS = 2500
_STEPS = 15
# Intervals along the axes of curves and surfaces.
GRIDS = {1: 16, 2: 6}
# A split may leave so much more than the surface's own error, and this much at least where A and B
# are constants, curves, surfaces.
MAY_LEAVE, EXACT = 1.35, (3e-5, 3e-5, 1e-3)
# Bits that an outer function costs beyond the one before it.
_BITS = 5.0


# In the order of what they cost; exp, sin and tan with ranges of their own.
OUTER = (
    IDENTITY,
    POSITIVE_INVERSE,
    SQUARE,
    INVERSE_SQUARE,
    LOG,
    ROOT,
    replace(EXP, sound=within(20.0)),
    replace(SIN, sound=within(1.5708)),
    replace(TAN, sound=within(1.57)),
)


@dataclass(frozen=True, eq=False)
class Split:
    """T(y) = A(b) phi(a) + B(b): values on the rows, and the error relative to y's weighted size."""

    target: Transformed
    a: int
    phi: Tensor
    error: float


def coordinate(z: Tensor) -> Tensor:
    """z for splines with equal intervals: spread out by a logarithm where z is positive and wide."""
    low, high = float(z.min()), float(z.max())
    if low >= 0 and high > 4 * max(low, 1e-300):
        return (z / z.median().clamp_min(1e-300) + 0.1).log()
    return z


def basis(z: Tensor, grid: int) -> Tensor:
    """Splines of one column, or products of those of two: z (N, 1 or 2) -> (N, K)."""
    return products([bspline(coordinate(c), grid)[0] for c in z.unbind(1)])


def splits(
    z: Tensor, y: Tensor, root: Tensor, floor: float, expired: Callable[[], bool]
) -> list[Split]:
    """The splits that explain y (N,) on z (N, 2 or 3) as well as a free surface does (relative error
    ``floor``), in the fewest bits first. root: square roots of the rows' weights."""
    z, y, root = z[:ROWS], y[:ROWS], root[:ROWS]
    r = z.shape[1]
    alone = [basis(z[:, a : a + 1], GRIDS[1]) for a in range(r)]
    rest = [basis(without(z, a), GRIDS[r - 1]) for a in range(r)]
    found: list[tuple[float, int, Split]] = []
    for place, outer in enumerate(OUTER):
        if expired():
            break
        target = transformed(outer, y, root)
        if target is None:
            continue
        for a in range(r):
            if expired():
                break
            phi, left = _split(target, z[:, a], alone[a], rest[a])
            error = left / float((y * root).norm())
            if error <= max(MAY_LEAVE * floor, EXACT[r - 1]):
                bits = len(y) * math.log2(max(error, EXACT[0])) + _BITS * place
                found.append((bits, len(found), Split(target, a, phi, error)))
    return [split for _, _, split in sorted(found, key=lambda entry: entry[:2])]


def without(z: Tensor, a: int) -> Tensor:
    """The columns but one."""
    return torch.cat([z[:, :a], z[:, a + 1 :]], dim=1)


def _split(target: Transformed, a: Tensor, Ba: Tensor, Bb: Tensor) -> tuple[Tensor, float]:
    """phi (N,) and the norm of the weighted residual."""
    weighted = target.t * target.scale
    best: tuple[Tensor, float] | None = None
    for start in _starts(a):
        c = torch.linalg.lstsq(Ba, start[:, None], driver="gelsd").solution
        phi, loss = _gauss_newton(c[:, 0], weighted, target.scale, Ba, Bb)
        if best is None or loss < best[1]:
            best = (phi, loss)
    assert best is not None
    return best


def _starts(a: Tensor) -> list[Tensor]:
    unit = (a - a.mean()) / a.std().clamp_min(1e-300)
    return [unit, unit.square()]


def project(
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
    r, Q, A = project(Ba @ c, target, scale, Bb)
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
            trial = project(Ba @ new, target, scale, Bb)
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
