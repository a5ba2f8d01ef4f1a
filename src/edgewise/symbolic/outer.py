"""Outer functions: invertible maps T of a target, T(y) being simpler than y itself.

One record a map, named by what it makes of y. Who uses some of them chooses which and in what order,
and where a stricter range is wanted replaces ``sound``. Rows of T(y) weigh by errors of y: 1/T'^2 times
what the rows of y weigh.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace

import sympy
import torch
from sympy import Expr
from torch import Tensor

_HALF_PI = math.pi / 2


@dataclass(frozen=True)
class Outer:
    """An invertible map: forward v -> z, slope |dz/dv| at v, inverse z -> v on values (undo) and on
    expressions.

    sound: for v (..., P), the rows of v (...) on which the inverse is the one that was meant.
    needs: primitives that the map and its inverse write.
    """

    name: str
    forward: Callable[[Tensor], Tensor]
    slope: Callable[[Tensor], Tensor]
    undo: Callable[[Tensor], Tensor]
    inverse: Callable[[Expr], Expr]
    sound: Callable[[Tensor], Tensor]
    needs: str = ""


def _always(v: Tensor) -> Tensor:
    return v.amax(-1) == v.amax(-1)


def positive(v: Tensor) -> Tensor:
    """Whether all of the last axis is: (..., P) -> (...)."""
    return v.amin(-1) > 0


def _negative(v: Tensor) -> Tensor:
    return v.amax(-1) < 0


def _nonzero(v: Tensor) -> Tensor:
    return v.abs().amin(-1) > 0


def within(most: float) -> Callable[[Tensor], Tensor]:
    """Whether |v| < most on all of the last axis: (..., P) -> (...)."""
    return lambda v: v.abs().amax(-1) < most


def _cosine_range(v: Tensor) -> Tensor:
    return (v.amin(-1) > 0) & (v.amax(-1) < math.pi)


IDENTITY = Outer("y", lambda v: v, torch.ones_like, lambda z: z, lambda e: e, _always)
INVERSE = Outer(
    "1/y", torch.reciprocal, lambda v: v.square().reciprocal(), torch.reciprocal,
    lambda e: 1 / e, _nonzero,
)  # fmt: skip
POSITIVE_INVERSE = replace(INVERSE, sound=positive)
SQUARE = Outer("y^2", torch.square, lambda v: 2 * v.abs(), torch.sqrt, sympy.sqrt, positive, "sqrt")
MINUS_SQUARE = Outer(
    "(-y)^2", torch.square, lambda v: 2 * v.abs(), lambda z: -torch.sqrt(z),
    lambda e: -sympy.sqrt(e), _negative, "sqrt",
)  # fmt: skip
INVERSE_SQUARE = Outer(
    "1/y^2", lambda v: v ** (-2.0), lambda v: 2 * v.abs() ** -3.0, torch.rsqrt,
    lambda e: 1 / sympy.sqrt(e), positive, "sqrt",
)  # fmt: skip
ROOT = Outer("sqrt y", torch.sqrt, lambda v: 0.5 / v.sqrt(), torch.square, lambda e: e**2, positive)
LOG = Outer("log y", torch.log, torch.reciprocal, torch.exp, sympy.exp, positive, "exp")
MINUS_LOG = Outer(
    "log(-y)", lambda v: torch.log(-v), lambda v: -v.reciprocal(), lambda z: -torch.exp(z),
    lambda e: -sympy.exp(e), _negative, "exp",
)  # fmt: skip
EXP = Outer("exp y", torch.exp, torch.exp, torch.log, sympy.log, within(12.0), "log")
ARCSIN = Outer(
    "arcsin y", torch.arcsin, lambda v: (1 - v * v).clamp_min(1e-9).rsqrt(), torch.sin, sympy.sin,
    within(1.0), "sin",
)  # fmt: skip
SIN = Outer(
    "sin y", torch.sin, lambda v: torch.cos(v).abs(), torch.arcsin, sympy.asin,
    within(_HALF_PI), "arcsin",
)  # fmt: skip
COS = Outer(
    "cos y", torch.cos, lambda v: torch.sin(v).abs(), torch.arccos, sympy.acos,
    _cosine_range, "arccos",
)  # fmt: skip
TAN = Outer(
    "tan y", torch.tan, lambda v: torch.cos(v).square().reciprocal(), torch.arctan, sympy.atan,
    within(_HALF_PI), "arctan",
)  # fmt: skip
ARCTANH = Outer(
    "arctanh y", torch.arctanh, lambda v: (1 - v * v).reciprocal(), torch.tanh, sympy.tanh,
    within(1.0), "tanh",
)  # fmt: skip


@dataclass(frozen=True, eq=False)
class Transformed:
    """A target through an outer function: t = T(sign y) (N,), and scale (N,), square roots of its
    rows' weights."""

    outer: Outer
    sign: float
    t: Tensor
    scale: Tensor


def transformed(outer: Outer, y: Tensor, root: Tensor) -> Transformed | None:
    """y (N,) through an outer function, its sign turned where it is negative throughout; None where
    the map is not sound. root (N,): square roots of the weights of y's rows."""
    sign = -1.0 if bool((y < 0).all()) else 1.0
    if not bool(outer.sound(sign * y)):
        return None
    t = outer.forward(sign * y)
    scale = root / outer.slope(sign * y).clamp_min(1e-300)
    if not bool(torch.isfinite(t).all() and torch.isfinite(scale).all()):
        return None
    return Transformed(outer, sign, t, scale)
