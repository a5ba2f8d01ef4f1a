"""The constants of an expression fitted to data by Levenberg-Marquardt, with their errors."""

from __future__ import annotations

import math
import time
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field

import sympy
import torch
from sympy import Expr, Float, Symbol
from torch import Tensor

from edgewise.errors import ShapeError
from edgewise.optim.levenberg_marquardt import minimise
from edgewise.symbolic.evaluate import evaluate
from edgewise.symbolic.formula import Constant


@dataclass(frozen=True)
class Refit:
    """An expression whose floats are fitted.

    expression: the formula with its fitted floats.
    template, constants: the same with each free float as a symbol, and those m symbols.
    values: (m,) what was fitted for each of `constants`.
    errors: (m,) standard errors, or None when N <= m, or when the data do not fix each constant.
    numbers: what was put in place of other constants of the first template (see `snap`).
    rmse: sqrt(mean of w r^2), weights w of mean 1; inf where the formula is not finite on a row.
    residual: (N,) r = y - prediction, in the units of y.
    """

    expression: Expr
    template: Expr
    constants: tuple[Symbol, ...]
    values: Tensor
    errors: Tensor | None
    rmse: float
    residual: Tensor
    numbers: Mapping[Symbol, Expr] = field(default_factory=dict)


@dataclass(frozen=True)
class Data:
    """Rows to fit to: columns name -> (N,), y (N,), root (N,) = sqrt of weights of mean 1."""

    columns: dict[str, Tensor]
    y: Tensor
    root: Tensor | None

    def weigh(self, residual: Tensor) -> Tensor:
        return residual if self.root is None else residual * self.root


def make_data(x: Tensor, y: Tensor, variables: Sequence[str], weight: Tensor | None) -> Data:
    x, y = torch.as_tensor(x), torch.as_tensor(y)
    if x.ndim != 2 or x.shape[1] != len(variables) or y.shape not in ((len(x),), (len(x), 1)):
        raise ShapeError(
            f"x has shape {tuple(x.shape)} and y {tuple(y.shape)}; with {len(variables)} variables "
            f"({', '.join(variables)}) x must be (N, {len(variables)}) and y (N,)"
        )
    columns = dict(zip(variables, x.detach().double().unbind(1), strict=True))
    root = None
    if weight is not None:
        weight = torch.as_tensor(weight).detach().double().flatten()
        if weight.shape != (len(x),):
            raise ShapeError(f"weight has shape {tuple(weight.shape)}; expected ({len(x)},)")
        root = (weight / weight.mean()).sqrt()
    return Data(columns, y.detach().double().flatten(), root)


def refit(
    expression: Expr,
    x: Tensor,
    y: Tensor,
    variables: Sequence[str],
    weight: Tensor | None = None,
    steps: int = 100,
    frozen: Collection[float] = (),
    deadline: float = math.inf,
) -> Refit:
    """Minimise sum_n w_n (y_n - f(x_n; c))^2 over the floats c of the expression.

    Args:
        expression: its floats are the start, its exact numbers (2, 1/3, pi) stay. A float with
            more than six digits that occurs twice is one constant.
        x: (N, I), the columns in the order of ``variables``; y: (N,).
        weight: (N,), >= 0; only ratios matter.
        steps: at most so many steps.
        frozen: values of floats that stay as they are.
        deadline: time.monotonic() after which the constants are taken as they are.

    Raises:
        ShapeError: x, y, weight and variables do not fit together.
        FormulaError: a symbol or function of the expression is not known.
    """
    data = make_data(x, y, variables, weight)
    template, start = free_floats(expression, data, frozen)
    return fit_template(template, start, data, steps, deadline)


def constants(
    expression: Expr,
    x: Tensor,
    y: Tensor,
    variables: Sequence[str],
    weight: Tensor | None = None,
) -> tuple[Constant, ...]:
    """The floats of an expression as they are, with their standard errors on the rows.

    The errors are those of least squares, sqrt(diag(sigma^2 (J'J)^-1)); none where N <= m, or where
    the data do not fix each constant. x (N, I), y (N,).
    """
    data = make_data(x, y, variables, weight)
    template, start = free_floats(expression, data)
    free = tuple(c for c in start if c in template.free_symbols)
    values = torch.tensor([start[c] for c in free], dtype=torch.float64)
    errors = _standard_errors(*Problem(template, free, data).residual_and_jacobian(values))
    return with_errors(values, errors)


def with_errors(values: Tensor, errors: Tensor | None) -> tuple[Constant, ...]:
    """Values (m,) and their standard errors (m,), or None for none, as constants of a formula."""
    known = [None] * len(values) if errors is None else errors.tolist()
    return tuple(map(Constant, values.tolist(), known))


def free_floats(
    expression: Expr, data: Data, frozen: Collection[float] = ()
) -> tuple[Expr, dict[Symbol, float]]:
    """The expression with a symbol for each free float, and symbol -> its present value."""
    start: dict[Symbol, float] = {}
    shared: dict[float, Symbol] = {}
    kept = {float(value) for value in frozen}

    def free(value: Float) -> Expr:
        size = abs(float(value))
        if float(value) in kept:
            return value
        # Many equal digits are one number that was written twice; 0.5 and 0.5 need not be.
        key = size if f"{size:.6g}" != f"{size:.15g}" else float("nan")
        constant = shared.get(key)
        if constant is None:
            # real, or |exp(c x)| would become exp(re(c) x)
            constant = Symbol(f"constant {len(start)}", real=True)
            shared[key] = constant
            start[constant] = float(value) if key != key else size
        return constant if key != key or value > 0 else -constant

    def walk(e: Expr) -> Expr:
        if isinstance(e, Float):
            return free(e)
        if not e.args or not e.has(Float):
            return e
        if isinstance(e, sympy.Pow) and isinstance(e.exp, Float) and not _positive(e.base, data):
            # On a negative base the power exists for whole exponents only: no neighbours to try.
            exponent = sympy.Integer(int(e.exp)) if float(e.exp).is_integer() else e.exp
            return walk(e.base) ** exponent
        return e.func(*map(walk, e.args))

    return walk(expression), start


def _positive(base: Expr, data: Data) -> bool:
    return bool((evaluate(base, data.columns) > 0).all())


def fit_template(
    template: Expr,
    start: dict[Symbol, float],
    data: Data,
    steps: int = 100,
    deadline: float = math.inf,
) -> Refit:
    """The constants of the template that fit the data best near the start."""
    constants = tuple(c for c in start if c in template.free_symbols)
    values = torch.tensor([start[c] for c in constants], dtype=torch.float64)
    problem = Problem(template, constants, data)
    if constants and math.isfinite(problem.loss(values)):
        values = _levenberg_marquardt(problem, values, steps, deadline)
        if time.monotonic() < deadline:
            values = _polish(problem, values)
    residual, jacobian = problem.residual_and_jacobian(values)
    loss = float(residual.square().mean())
    fitted = template.xreplace(dict(zip(constants, map(Float, values.tolist()), strict=True)))
    return Refit(
        expression=fitted,
        template=template,
        constants=constants,
        values=values,
        errors=_standard_errors(residual, jacobian),
        rmse=math.sqrt(loss) if math.isfinite(loss) else math.inf,
        residual=data.y - evaluate(fitted, data.columns).expand(data.y.shape),
    )


class Problem:
    """r(c) = sqrt(w) (f(x; c) - y), (N,), and its Jacobian (N, m)."""

    def __init__(self, template: Expr, constants: Sequence[Symbol], data: Data) -> None:
        self.template, self.constants, self.data = template, constants, data

    def _predict(self, leaves: Sequence[Tensor]) -> Tensor:
        names = (c.name for c in self.constants)
        value = evaluate(self.template, {**self.data.columns, **dict(zip(names, leaves))})  # noqa: B905
        return value.expand(self.data.y.shape)

    def raw_residual(self, values: Tensor) -> Tensor:
        with torch.no_grad():
            return self._predict(values.unbind()) - self.data.y

    def loss(self, values: Tensor) -> float:
        return float(self.data.weigh(self.raw_residual(values)).square().mean()) / 2

    def residual_and_jacobian(self, values: Tensor) -> tuple[Tensor, Tensor]:
        N = len(self.data.y)
        # One leaf a constant, expanded over the rows: row b of the output depends on row b of the
        # leaf alone, so the gradient of the sum holds dy_b/dc for all b at once.
        leaves = [value.expand(N).clone().requires_grad_() for value in values]
        with torch.enable_grad():
            y = self._predict(leaves)
            slopes = torch.autograd.grad(y.sum(), leaves, allow_unused=True) if leaves else ()
        zero = torch.zeros(N, dtype=torch.float64)
        columns = [zero if s is None else self.data.weigh(s) for s in slopes]
        J = torch.stack(columns, 1) if columns else torch.zeros(N, 0, dtype=torch.float64)
        return self.data.weigh(y.detach() - self.data.y), J


def _levenberg_marquardt(problem: Problem, values: Tensor, steps: int, deadline: float) -> Tensor:
    """Twice, each time in units in which every column of the Jacobian has length 1.

    Constants may be 1e-11 or 1e30; in these units the curvatures are comparable.
    """
    for _ in range(2):
        _, J = problem.residual_and_jacobian(values)
        unit = 1 / J.square().mean(0).sqrt()
        if not bool(torch.isfinite(J).all()):
            return values  # a square root or logarithm at its edge: no slope to follow
        unit = torch.where(torch.isfinite(unit), unit, torch.ones_like(unit))

        def linearise(t: Tensor, unit: Tensor = unit) -> tuple[float, Tensor, Tensor]:
            r, J = problem.residual_and_jacobian(t * unit)
            J = J * unit
            return float(r.square().mean()) / 2, J.T @ J / len(r), J.T @ r / len(r)

        def loss(t: Tensor, unit: Tensor = unit) -> float:
            return problem.loss(t * unit)

        before = loss(values / unit)
        found = minimise(
            linearise,
            loss,
            values / unit,
            steps=steps,
            tolerance=1e-7,
            callback=lambda *_: time.monotonic() > deadline,
        )
        values = found.theta * unit
        if found.status == "stopped":
            break
        if problem.loss(values) >= 0.999 * before:
            break
    return values


def _polish(problem: Problem, values: Tensor, rounds: int = 5) -> Tensor:
    """Gauss-Newton by least squares on J itself: the last digits, which J'J has squared away."""
    loss = problem.loss(values)
    for _ in range(rounds):
        r, J = problem.residual_and_jacobian(values)
        if not bool(torch.isfinite(J).all()):
            break
        unit = _units(J)
        # SVD: constants that the data do not fix stay where they are.
        step = torch.linalg.lstsq(J * unit, -r[:, None], rcond=1e-12, driver="gelsd").solution
        trial = values + step[:, 0] * unit
        trial_loss = problem.loss(trial)
        # At the minimum the loss is flat to rounding long before the constants are.
        if not trial_loss <= loss * (1 + 1e-14):
            break
        values, loss, gain = trial, trial_loss, loss - trial_loss
        if gain <= 1e-12 * loss:
            break
    return values


def _units(J: Tensor) -> Tensor:
    norm = J.square().sum(0).sqrt()
    return torch.where(norm > 0, 1 / norm, torch.ones_like(norm))


def covariance(J: Tensor) -> tuple[Tensor, Tensor]:
    """diag (J'J)^-1, (m,), and which constants the data fix, (m,) bool.

    By SVD of J with columns of length 1. A constant takes part in a direction of singular value
    below 1e-9 of the largest if it can be traded against others without a change in the fit.
    """
    unit = _units(J)
    scaled = J * unit
    dead = scaled.square().sum(0) == 0
    _, S, Vh = torch.linalg.svd(scaled, full_matrices=False)
    weak = 1e-9 * S.max() >= S
    share = Vh.square()
    fixed = ~dead & (share[weak].sum(0) < 1e-6)
    strong = ~weak
    diagonal = (share[strong] / S[strong, None].square()).sum(0) * unit.square()
    return diagonal, fixed


def _standard_errors(residual: Tensor, J: Tensor) -> Tensor | None:
    """sqrt(diag(sigma^2 (J'J)^-1)), sigma^2 = SSR / (N - m)."""
    N, m = J.shape
    if N <= m or m == 0 or not bool(torch.isfinite(J).all() & torch.isfinite(residual).all()):
        return None
    diagonal, fixed = covariance(J)
    if not bool(fixed.all()):
        return None
    return (residual.square().sum() / (N - m) * diagonal).sqrt()
