"""Least squares for short formulas of one variable: many small fits at once.

With f = f(a v + b) and g = g(a' v' + b') the shapes are

    single   c_0 + c_1 f            product   c_0 + c_1 f g
    sum      c_0 + c_1 f + c_2 g    ratio     (c_0 + c_1 f) / (1 + q g)
    nested   c_0 + c_1 f(a g + b)

The fits are Levenberg-Marquardt over theta = (a, b, a', b', q) with the linear constants eliminated
(G. Golub and V. Pereyra, 1973; the approximation of L. Kaufman, 1975).
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from fractions import Fraction

import torch
from torch import Tensor

from edgewise.symbolic.curves_atoms import Kind, evaluate_rows

_TINY = 1e-300
State = tuple[Tensor, Tensor, Tensor, Tensor]


@dataclass(frozen=True)
class Targets:
    """t (R, n) to be fitted with weights w (R, n); w of row sum 1, so that the weighted squares of
    every row are errors of y itself."""

    t: Tensor
    w: Tensor

    def rows(self, chosen: Tensor) -> Targets:
        return Targets(self.t[chosen], self.w[chosen])


@dataclass(frozen=True)
class Models:
    """S models of one shape: kinds of f and g (S,), theta (S, 5), free (S, 5) 0 or 1, the number of
    the target of each (S,), the constants c (S, L) and the mean square error (S,), inf before a fit."""

    shape: str
    f: Tensor
    g: Tensor
    theta: Tensor
    free: Tensor
    target: Tensor
    c: Tensor
    loss: Tensor
    offset: bool = True  # is c_0 free, or 0?

    def rows(self, chosen: Tensor) -> Models:
        return Models(
            self.shape,
            self.f[chosen],
            self.g[chosen],
            self.theta[chosen],
            self.free[chosen],
            self.target[chosen],
            self.c[chosen],
            self.loss[chosen],
            self.offset,
        )


def start(shape: str, f: Tensor, g: Tensor, theta: Tensor, free: Tensor, target: Tensor) -> Models:
    """Models before any fit."""
    c = torch.zeros(len(f), 3 if shape == "sum" else 2, dtype=torch.float64)
    return Models(shape, f, g, theta, free, target, c, torch.full_like(c[:, 0], math.inf))


def columns(
    models: Models, kinds: tuple[Kind, ...], argument: dict[Fraction, Tensor]
) -> tuple[list[Tensor], tuple[Tensor, ...]]:
    """The functions that stand behind c_1, c_2, ... (S, n), and what the slopes are made of."""
    th = models.theta
    if models.shape == "nested":
        g, dg, v2 = evaluate_rows(kinds, models.g, th[:, 2], th[:, 3], argument)
        f, df = _outer(kinds, models.f, th[:, :1] * g + th[:, 1:2])
        return [f], (f, df, g, g, dg, v2)
    f, df, v = evaluate_rows(kinds, models.f, th[:, 0], th[:, 1], argument)
    if models.shape == "single":
        return [f], (f, df, v, f, df, v)
    g, dg, v2 = evaluate_rows(kinds, models.g, th[:, 2], th[:, 3], argument)
    parts = (f, df, v, g, dg, v2)
    if models.shape == "sum":
        return [f, g], parts
    if models.shape == "product":
        return [f * g], parts
    return [f / (1 + th[:, 4:] * g)], parts


def _outer(kinds: tuple[Kind, ...], kind: Tensor, u: Tensor) -> tuple[Tensor, Tensor]:
    f, df = torch.empty_like(u), torch.empty_like(u)
    for number in kind.unique().tolist():
        at = kind == number
        record = kinds[number].record
        f[at], df[at] = record.torch(u[at]), record.derivative(u[at])
    return f, df


def first_column(models: Models, parts: tuple[Tensor, ...]) -> Tensor:
    """The function behind c_0: 1, or 1/(1 + q g)."""
    g = parts[3]
    return 1 / (1 + models.theta[:, 4:] * g) if models.shape == "ratio" else torch.ones_like(g)


def predict(models: Models, kinds: tuple[Kind, ...], argument: dict[Fraction, Tensor]) -> Tensor:
    """The models' values (S, n)."""
    phi, parts = columns(models, kinds, argument)
    return _combined(models.c, [first_column(models, parts), *phi])


def _combined(c: Tensor, phi: list[Tensor]) -> Tensor:
    return sum((c[:, n, None] * p for n, p in enumerate(phi)), torch.zeros_like(phi[0]))


def active(models: Models) -> list[int]:
    """The parts of theta that may move in some model."""
    return [n for n, moves in enumerate((models.free != 0).any(0).tolist()) if moves]


def _jacobian(
    models: Models, c: Tensor, fitted: Tensor, parts: tuple[Tensor, ...], columns: list[int]
) -> Tensor:
    """d fit / d theta for some columns of theta, (S, P, n)."""
    f, df, v, g, dg, v2 = parts
    c1, q = c[:, 1, None], models.theta[:, 4:]
    first, second, last = c1 * df, dg, g
    if models.shape == "sum":
        second = c[:, 2, None] * dg
    elif models.shape == "product":
        first, second = first * g, c1 * f * dg
    elif models.shape == "nested":
        v, second = g, first * models.theta[:, :1] * dg
    elif models.shape == "ratio":
        over = 1 / (1 + q * g)
        first, side = first * over, -fitted * over
        second, last = side * q * dg, side * g
    slopes = (first * v, first, second * v2, second, last)
    chosen = torch.stack([slopes[n] for n in columns], 1) if columns else f[:, None][:, :0]
    return chosen * models.free[:, columns, None]


def _project(
    models: Models,
    kinds: tuple[Kind, ...],
    argument: dict[Fraction, Tensor],
    at: Targets,
    moving: list[int],
) -> State:
    """Mean square error (S,), Gauss-Newton matrix (S, P, P), descent (S, P), constants c (S, L)."""
    phi, parts = columns(models, kinds, argument)
    if models.offset:
        phi = [first_column(models, parts), *phi]
    root = at.w.sqrt()
    basis: list[Tensor] = []
    R = torch.zeros(len(root), len(phi), len(phi), dtype=torch.float64)
    flat = torch.zeros(len(root), dtype=torch.bool)
    for n, column in enumerate(phi):
        rest = root * column
        size = rest.square().sum(1)
        for _ in range(2):
            for m, q in enumerate(basis):
                share = (q * rest).sum(1)
                R[:, m, n] += share
                rest = rest - share[:, None] * q
        norm = rest.square().sum(1)
        flat |= norm < 1e-18 * size
        R[:, n, n] = norm.sqrt().clamp_min(_TINY)
        basis.append(rest / R[:, n, n, None])
    r = root * at.t
    shares = []
    for q in basis:
        shares.append((q * r).sum(1))
        r = r - shares[-1][:, None] * q
    c = torch.linalg.solve_triangular(R, torch.stack(shares, 1)[..., None], upper=True)[..., 0]
    loss = r.square().sum(1)
    good = torch.isfinite(loss) & ~flat & torch.isfinite(c).all(1)
    fitted = _combined(c, phi)
    if not models.offset:
        c = torch.cat([torch.zeros_like(c[:, :1]), c], 1)
    J = _jacobian(models, c, fitted, parts, moving) * root[:, None]
    J = J.nan_to_num(0, 0, 0)
    for q in basis:
        J = J - (J @ q[..., None]) * q[:, None]
    J = J.nan_to_num(0, 0, 0)
    descent = (J @ r.nan_to_num(0, 0, 0)[..., None])[..., 0]
    return torch.where(good, loss, math.inf), J @ J.mT, descent, c


def _chosen(better: Tensor, new: State, old: State) -> State:
    one = better[:, None]
    return (
        torch.where(better, new[0], old[0]),
        torch.where(one[..., None], new[1], old[1]),
        torch.where(one, new[2], old[2]),
        torch.where(one, new[3], old[3]),
    )


def fit(
    models: Models,
    kinds: tuple[Kind, ...],
    argument: dict[Fraction, Tensor],
    targets: Targets,
    steps: int,
) -> Models:
    """Every model after so many steps of Levenberg-Marquardt, each with its own damping."""
    at = targets.rows(models.target)
    damping = torch.full((len(at.t),), 1e-3, dtype=torch.float64)
    moving = active(models)
    state = _project(models, kinds, argument, at, moving)
    identity = torch.eye(len(moving), dtype=torch.float64)
    if not moving:
        return replace(models, c=state[3], loss=state[0])
    for _ in range(steps):
        loss, H, g, _ = state
        D = H.diagonal(dim1=-2, dim2=-1)
        unit = torch.where(D > 0, D, 1.0).rsqrt()
        scaled = H * unit[:, :, None] * unit[:, None] + damping[:, None, None] * identity
        step = torch.linalg.solve_ex(scaled, (g * unit)[..., None])[0][..., 0] * unit
        theta = models.theta.clone()
        theta[:, moving] += step.nan_to_num(0, 0, 0) * models.free[:, moving]
        trial = replace(models, theta=theta)
        new = _project(trial, kinds, argument, at, moving)
        better = new[0] < loss
        models = replace(models, theta=torch.where(better[:, None], trial.theta, models.theta))
        state = _chosen(better, new, state)
        damping = torch.where(better, damping / 6, damping * 8).clamp(1e-14, 1e10)
    return replace(models, c=state[3], loss=state[0])
