"""A template with rows: what is linear in it is solved for, its unknown parts are polynomials meanwhile.

With the constants c in which the template is not linear held fixed, the others and the coefficients of
the polynomials follow by linear least squares (G. Golub and V. Pereyra, *The differentiation of
pseudo-inverses and nonlinear least squares problems whose variables separate*, 1973).

Shapes: S starts, p constants c, N rows, C linear unknowns.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import cast

import sympy
import torch
from sympy import Expr, Symbol
from torch import Tensor

from edgewise.errors import FormulaError
from edgewise.symbolic.evaluate import evaluate
from edgewise.symbolic.template import TARGET, Part, Template, inverse, second_slope

Columns = Mapping[str, Tensor]

_DEGREES = {1: 12, 2: 5, 3: 3}  # of the polynomials in so many columns; 2 for more
_RIDGE = 1e-13


@dataclass(frozen=True)
class Basis:
    """Products of Chebyshev polynomials in columns that are scaled to [-1, 1]."""

    columns: tuple[str, ...]
    low: Tensor
    high: Tensor
    powers: tuple[tuple[int, ...], ...]

    @staticmethod
    def on(part: Part, columns: Columns) -> Basis:
        x = torch.stack([columns[name] for name in part.columns], 1)
        rows = len(x)
        degree = _DEGREES.get(x.shape[1], 2)
        while degree > 1 and math.comb(degree + x.shape[1], degree) > rows / 5:
            degree -= 1
        few = [min(degree, len(column.unique()) - 1) for column in x.unbind(1)]
        powers = [()]
        for most in few:
            powers = [(*p, n) for p in powers for n in range(most + 1) if sum(p) + n <= degree]  # type: ignore[misc]
        return Basis(part.columns, x.amin(0), x.amax(0), tuple(powers))

    def __call__(self, columns: Columns) -> Tensor:
        """(N, K)."""
        x = torch.stack([columns[name] for name in self.columns], 1)
        z = (2 * (x - self.low) / (self.high - self.low) - 1).clamp(-1, 1)
        most = max(map(max, self.powers))
        T = torch.cos(torch.arange(most + 1).double() * torch.arccos(z)[..., None])  # (N, d, n)
        return torch.stack(
            [math.prod(T[:, d, n] for d, n in enumerate(p)) for p in self.powers],  # type: ignore[misc]
            1,
        )


@dataclass(frozen=True)
class Fitted:
    """c (p,), theta (C,), and the root mean square of the residual, relative to the spread."""

    c: Tensor
    theta: Tensor
    error: float


class Projection:
    """A template with rows; `solve` gives what is linear in it for given constants c.

    linear: constants in which the template is linear, together with its parts. constants: c.

    Raises FormulaError: its parts multiply each other, or it cannot be solved for its part.
    """

    def __init__(self, template: Template, columns: Columns, y: Tensor, root: Tensor | None):
        self.template, self.columns, self.y, self.root = template, dict(columns), y, root
        self.bases = {part.symbol: Basis.on(part, columns) for part in template.parts}
        self.values = {s: basis(columns) for s, basis in self.bases.items()}
        f = template.expression
        parts = [part.symbol for part in template.parts]
        together = all(second_slope(f, u, v) == 0 for u in parts for v in parts)
        if not together and len(parts) > 1:
            raise FormulaError(
                "the template's parts multiply each other, or stand under a function together; "
                "several parts can be told apart only where they are added, such as f(x) + y*g(z)"
            )
        self.inverse = None if together else inverse(f, parts[0])
        self.linear = _linear(f, template.constants, parts) if together else []
        self.constants = [c for c in template.constants if c not in self.linear]
        unknown = [*parts, *self.linear]
        self.slopes = [sympy.diff(f, u) for u in unknown]
        self.rest = f.xreplace({u: sympy.Integer(0) for u in unknown})
        self.unknown = unknown

    def at(self, expression: Expr, c: Tensor, **more: Tensor) -> Tensor:
        """The expression's values (S, N)."""
        given = {s.name: c[:, [n]] for n, s in enumerate(self.constants)}
        value = evaluate(expression, {**self.columns, **given, **more})
        return value.expand(len(c), len(self.y))

    def solve(self, c: Tensor) -> tuple[Tensor, Tensor]:
        """Weighed residuals (S, N), infinite where the template has no value, and theta (S, C)."""
        if self.inverse is not None:
            return self._solve_inverse(c)
        blocks = []
        for u, slope in zip(self.unknown, self.slopes, strict=True):
            value = self.at(slope, c)[..., None]
            blocks.append(value * self.values[u] if u in self.values else value)
        target = self.y - self.at(self.rest, c)
        if not blocks:
            return self.weigh(-target), torch.zeros(len(c), 0, dtype=torch.float64)
        A = torch.cat(blocks, -1)
        theta = _least_squares(self.weigh(A.mT).mT, self.weigh(target))
        return self.weigh((A @ theta[..., None])[..., 0] - target), theta

    def _solve_inverse(self, c: Tensor) -> tuple[Tensor, Tensor]:
        (part,) = self.template.parts
        f = self.at(cast(Expr, self.inverse), c, **{TARGET.name: self.y})
        slope = self.at(
            sympy.diff(self.template.expression, part.symbol), c, **{part.symbol.name: f}
        )
        A = self.values[part.symbol].expand(len(c), -1, -1)
        weight = torch.where(torch.isfinite(slope * f), slope, 0.0)
        theta = _least_squares(A * weight[..., None], torch.nan_to_num(f * weight, 0.0, 0.0, 0.0))
        smooth = (A @ theta[..., None])[..., 0]
        predicted = self.at(self.template.expression, c, **{part.symbol.name: smooth})
        return self.weigh(predicted - self.y), theta

    def weigh(self, values: Tensor) -> Tensor:
        return values if self.root is None else values * self.root

    def errors(self, c: Tensor) -> Tensor:
        """Mean squares (S,), infinite where there is none."""
        square = self.solve(c)[0].square().mean(1)
        return torch.where(torch.isfinite(square), square, math.inf)

    def fitted(self, numbers: Mapping[Symbol, float]) -> Fitted:
        """What is linear solved for beside these constants."""
        c = torch.tensor([[numbers[s] for s in self.constants]], dtype=torch.float64)
        residual, theta = self.solve(c)
        spread = float(self.weigh(self.y - self.y.mean()).square().mean().sqrt()) or 1.0
        return Fitted(c[0], theta[0], float(residual.square().mean().sqrt()) / spread)

    def part_values(
        self, part: Part, fitted: Fitted, columns: Columns, y: Tensor
    ) -> tuple[Tensor, Tensor]:
        """What the part must be on rows (N,) for the template to be y, and dy/dpart there."""
        c = {s.name: fitted.c[n] for n, s in enumerate(self.constants)}
        given = {**columns, **c, **self._linear_values(fitted, columns)}
        f = given[part.symbol.name]
        expression = self.template.expression
        if self.inverse is not None:
            f = evaluate(self.inverse, {**given, TARGET.name: y})
        slope = evaluate(sympy.diff(expression, part.symbol), {**given, part.symbol.name: f})
        if self.inverse is None:
            f = f + (y - evaluate(expression, given)) / slope
        return f, slope

    def _linear_values(self, fitted: Fitted, columns: Columns) -> dict[str, Tensor]:
        """Name -> value of the parts (N,) and the linear constants."""
        found, at = {}, 0
        for u in self.unknown if self.inverse is None else [p.symbol for p in self.template.parts]:
            count = len(self.bases[u].powers) if u in self.bases else 1
            theta = fitted.theta[at : at + count]
            found[u.name] = self.bases[u](columns) @ theta if u in self.bases else theta[0]
            at += count
        return found

    def numbers(self, fitted: Fitted) -> dict[Symbol, float]:
        """Every constant's value."""
        linear = self._linear_values(fitted, self.columns)
        found = dict(zip(self.constants, fitted.c.tolist(), strict=True))
        return found | {s: float(linear[s.name]) for s in self.linear}


def _linear(f: Expr, constants: Sequence[Symbol], parts: Sequence[Symbol]) -> list[Symbol]:
    """Constants in which f is linear, jointly with one another and with the parts."""
    chosen: list[Symbol] = []
    for c in constants:
        if all(second_slope(f, c, u) == 0 for u in [c, *chosen, *parts]):
            chosen.append(c)
    return chosen


def _least_squares(A: Tensor, b: Tensor) -> Tensor:
    """theta (S, C) of A (S, N, C), b (S, N); 0 where A is not finite."""
    norm = A.square().sum(1, keepdim=True).sqrt()
    fine = torch.isfinite(norm).all(-1, keepdim=True) & torch.isfinite(b).all(-1)[:, None, None]
    A = torch.where(fine & (norm > 0), A / norm.clamp_min(1e-300), 0.0)
    b = torch.where(fine[..., 0], b, 0.0)
    G = A.mT @ A + _RIDGE * torch.eye(A.shape[-1], dtype=A.dtype)
    theta = torch.linalg.solve(G, (A.mT @ b[..., None]))[..., 0]
    return torch.where(norm[:, 0] > 0, theta / norm[:, 0].clamp_min(1e-300), 0.0)
