"""Dimensionless groups found from the rows: which monomials of the inputs a law depends on.

    y = prod_i |x_i|^q_i  S(z_1, ..., z_r),    z_k = prod_i |x_i|^p_ki   or   z_k = x_i,

with S a tensor product of splines in log z_k (or x_i). Laws of physics keep their form when units
change, so that r is small: 0 for a monomial, 1 for most others. For given exponents S is linear and
is eliminated; q and p follow by Levenberg-Marquardt on what is left (G. Golub and V. Pereyra, *The
differentiation of pseudo-inverses and nonlinear least squares problems whose variables separate*,
1973). Nothing is differentiated from the rows, so noise does little harm.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import combinations

import torch
from torch import Tensor

from edgewise.kernels.bspline.pieces import even_pieces

# Rows with small targets count relative to their value, down to this share of the rms.
_SHARE = 0.1
_RIDGE = 1e-8
# Below this error what a fit leaves is not noise alone.
_CLOSE = 1e-3
_STEPS, _TRIES = 40, 6


@dataclass(frozen=True)
class Axis:
    """A coordinate of S: a monomial with free exponents (column None), or a column as it is."""

    column: int | None = None


@dataclass(frozen=True, eq=False)
class Table:
    """Rows in the form of the fit: logs (N, n) of |x|, centred; x (N, n); y (N,), the target times
    the sign of the columns in ``odd`` (n,); root (N,), square roots of weights."""

    logs: Tensor
    x: Tensor
    y: Tensor
    root: Tensor
    odd: Tensor

    def first(self, rows: int) -> Table:
        logs, x, y, root = (part[:rows] for part in (self.logs, self.x, self.y, self.root))
        return Table(logs, x, y, root, self.odd)

    @property
    def size(self) -> float:
        """Norm of the weighted target."""
        return float((self.y * self.root).norm())


@dataclass(frozen=True, eq=False)
class GroupFit:
    """Exponents q (n,) and p (r, n), error relative to the weighted target, and the number of
    parameters; ``axes`` tells which rows of p are free, ``grid`` the intervals along each."""

    axes: tuple[Axis, ...]
    q: Tensor
    p: Tensor
    error: float
    grid: int
    rows: int

    @property
    def parameters(self) -> int:
        free = sum(axis.column is None for axis in self.axes)
        return len(self.q) * (1 + free) + (self.grid + 3) ** len(self.axes)

    def bits(self, floor: float = 1e-12) -> float:
        """Length of the rows' description by this fit: N log2(error) + k/2 log2 N."""
        N = self.rows
        return N * math.log2(math.hypot(self.error, floor)) + 0.5 * self.parameters * math.log2(N)


def relative(size: Tensor, weight: Tensor | None = None, share: float = _SHARE) -> Tensor:
    """Square roots of weights (N,): errors count relative to ``size`` (N,), down to a share of its rms.
    weight: (N,), taken in."""
    root = (size.square() + share**2 * size.square().mean()).rsqrt()
    return root if weight is None else root * weight.sqrt()


def tabulate(x: Tensor, y: Tensor, root: Tensor | None = None, signs: bool = True) -> Table:
    """Rows x (N, n), y (N,) prepared. root: `relative(y)` by default. signs: whether signs of columns
    that tell y's sign go into the factor."""
    size = x.abs()
    logs = torch.maximum(size, 1e-6 * size.amax(0)).clamp_min(1e-300).log()
    odd = _odd_columns(x, y) if signs else torch.zeros(x.shape[1], dtype=torch.bool)
    y_signed = y * torch.where(odd, x.sign(), 1.0).prod(1)
    return Table(logs - logs.mean(0), x, y_signed, relative(y) if root is None else root, odd)


def _odd_columns(x: Tensor, y: Tensor) -> Tensor:
    """Columns of both signs (at most 6) whose signs together best tell that of y."""
    mixed = ((x.amin(0) < 0) & (x.amax(0) > 0)).nonzero()[:, 0].tolist()[:6]
    odd = torch.zeros(x.shape[1], dtype=torch.bool)
    best = float(y.sum().abs())
    for count in range(1, len(mixed) + 1):
        for chosen in combinations(mixed, count):
            told = float((y * x[:, chosen].sign().prod(1)).sum().abs())
            if told > 1.1 * best:
                best = told
                odd = torch.zeros_like(odd)
                odd[list(chosen)] = True
    return odd


def loglinear(table: Table) -> Tensor:
    """Exponents by least squares on log|y|, the start of all fits."""
    y = table.y.abs()
    root = table.root * y
    A = torch.cat([table.logs, torch.ones_like(table.logs[:, :1])], dim=1)
    target = (y + 1e-3 * y.square().mean().sqrt()).log()
    solution = torch.linalg.lstsq(A * root[:, None], (target * root)[:, None], driver="gelsd")
    return solution.solution[:-1, 0]


# --- one fit -------------------------------------------------------------------------------------


def _coordinate(table: Table, axis: Axis, p: Tensor) -> tuple[Tensor, Tensor]:
    """Where S is looked up (N,), and its derivative by log z. log(z + z0), with z0 a tenth of z's
    middle: splines in log z would have most of their knots where z is nearly 0."""
    if axis.column is not None:
        w = table.x[:, axis.column]
        return w, torch.ones_like(w)
    log_z = table.logs @ p
    z = (log_z - log_z.median()).clamp(-60, 60).exp()
    return (z + 0.1).log(), z / (z + 0.1)


def bspline(w: Tensor, grid: int, orders: Sequence[int] = (0,)) -> list[Tensor]:
    """Cubic B-splines on ``grid`` equal intervals over the range of w (N,), or their derivatives, for
    each order: (N, grid + 3)."""
    low, high = w.min(), w.max()
    step = ((high - low) / grid).clamp_min(1e-300)  # a range of width zero is all in its first knot
    u = (w - low) / step
    k = u.long().clamp(0, grid - 1)
    t = (u - k - 0.5)[:, None]
    powers = torch.cat([torch.ones_like(t), t, t * t, t**3], dim=1)
    at = k[:, None] + torch.arange(4)
    empty = w.new_zeros(len(w), grid + 3)
    found = []
    for order in orders:
        value = powers @ even_pieces(3, order, "linear", w.dtype, w.device)[1]
        found.append(empty.scatter(1, at, value / step**order if order else value))
    return found


def products(factors: Sequence[Tensor]) -> Tensor:
    """Rows of the tensor product of (N, K) factors: (N, prod K)."""
    whole = factors[0]
    for factor in factors[1:]:
        whole = (whole[:, :, None] * factor[:, None, :]).flatten(1)
    return whole


@dataclass(frozen=True, eq=False)
class _State:
    """Residual r (N,), its Jacobian J (N, m) after S was eliminated, and |r|^2."""

    r: Tensor
    J: Tensor
    loss: float


def _evaluate(
    table: Table, axes: Sequence[Axis], q: Tensor, p: Tensor, grid: int, slopes: bool = True
) -> _State:
    factor = (table.logs @ q).clamp(-60, 60).exp() * table.root
    looked_up = [_coordinate(table, axis, row) for axis, row in zip(axes, p, strict=True)]
    orders = (0, 1) if slopes else (0,)
    splines = [bspline(w, grid, orders) for w, _ in looked_up]
    ones = torch.ones_like(table.y)[:, None]
    A = factor[:, None] * products([ones, *(value[0] for value in splines)])
    K = A.shape[1]
    ridge = _RIDGE * float(A.norm()) / math.sqrt(K)
    Q, R = torch.linalg.qr(torch.cat([A, ridge * torch.eye(K, dtype=A.dtype)]))
    Q = Q[: len(A)]
    target = table.y * table.root
    inside = Q.T @ target
    fitted = Q @ inside
    r = target - fitted
    loss = float(r.square().sum())
    if not slopes or not math.isfinite(loss):
        return _State(r, r[:, None], loss if math.isfinite(loss) else math.inf)
    c = torch.linalg.solve_triangular(R, inside[:, None], upper=True)
    columns = [fitted[:, None] * table.logs]
    for k, axis in enumerate(axes):
        if axis.column is None:
            values = [ones] + [spline[n == k] for n, spline in enumerate(splines)]
            slope = factor * looked_up[k][1] * (products(values) @ c)[:, 0]
            columns.append(slope[:, None] * table.logs)
    J = torch.cat(columns, dim=1)
    return _State(r, J - Q @ (Q.T @ J), loss)


def solve(
    table: Table,
    axes: Sequence[Axis],
    q: Tensor,
    p: Tensor,
    grid: int,
    held: Tensor | None = None,
    steps: int = _STEPS,
    scaled: bool = True,
    expired: Callable[[], bool] = lambda: False,
) -> GroupFit:
    """Fit q (n,) and the free rows of p (r, n) from a start. held (n (1 + free),): which exponents,
    q first, stay as they are; scaled: rows of p are scaled to a largest exponent of 1."""
    free_rows = [k for k, axis in enumerate(axes) if axis.column is None]
    n = len(q)
    moves = torch.ones(n * (1 + len(free_rows))) if held is None else (~held).double()
    moves = moves.to(q)
    damping, idle = 1e-2, 0
    state = _evaluate(table, axes, q, p, grid)
    for _ in range(steps):
        if idle >= 3 or state.loss <= 1e-26 * table.size**2 or expired() or not moves.any():
            break
        J = state.J * moves
        H, g = J.T @ J, J.T @ state.r
        diagonal = H.diagonal()
        diagonal = diagonal + 1e-9 * diagonal.amax() + 1e-300
        for _ in range(_TRIES):
            step = torch.linalg.solve(H + damping * torch.diag(diagonal), g) * moves
            trial_q, trial_p = q + step[:n], p.clone()
            for m, k in enumerate(free_rows):
                row = p[k] + step[n * (m + 1) : n * (m + 2)]
                trial_p[k] = row / row.abs().amax() if scaled else row
            trial = _evaluate(table, axes, trial_q, trial_p, grid)
            if trial.loss < state.loss:
                break
            damping *= 8
        else:
            break
        idle = idle + 1 if trial.loss > 0.999 * state.loss else 0
        q, p, state = trial_q, trial_p, trial
        damping = max(damping / 5, 1e-12)
    return GroupFit(tuple(axes), q, p, math.sqrt(state.loss) / table.size, grid, len(table.y))


def misfit(table: Table, axes: Sequence[Axis], q: Tensor, p: Tensor, grid: int) -> float:
    """Squares left by the best S for given exponents."""
    return _evaluate(table, axes, q, p, grid, slopes=False).loss


def fitted(table: Table, fit: GroupFit) -> Tensor:
    """The fit's values (N,) of the target as the table has it."""
    state = _evaluate(table, fit.axes, fit.q, fit.p, fit.grid, slopes=False)
    return table.y - state.r / table.root


def precision(table: Table, fit: GroupFit) -> Tensor:
    """The inverse covariance of the free exponents: H M^-1 H with H = J^T J, M = sum_b r_b^2 J_b J_b^T.

    Errors relative to the target are larger where it is small and noise is not, so that their size
    is taken row by row (H. White, *A heteroskedasticity-consistent covariance matrix estimator*,
    1980). Where the fit is that close, what is left are the splines' own errors: H / sigma^2.
    """
    state = _evaluate(table, fit.axes, fit.q, fit.p, fit.grid)
    spare = max(fit.rows - fit.parameters, 1)
    H = state.J.T @ state.J
    if fit.error < _CLOSE:
        return H / max(state.loss / spare, 1e-300)
    scores = state.J * state.r[:, None]
    M = scores.T @ scores * (fit.rows / spare)
    return H @ torch.linalg.pinv(M, rtol=1e-10, hermitian=True) @ H


def refine(
    table: Table,
    fit: GroupFit,
    grids: Sequence[int],
    expired: Callable[[], bool] = lambda: False,
) -> GroupFit:
    """The fit to all rows of the table and on finer grids, as long as the description gets shorter."""
    best = None if fit.rows != len(table.y) else fit
    for grid in grids:
        if best is not None and expired():
            break
        again = solve(table, fit.axes, fit.q, fit.p, grid, expired=expired)
        if best is not None and again.bits() > best.bits():
            break
        best = fit = again
    return fit
