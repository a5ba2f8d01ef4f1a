"""What a tree has to be for a target to come out: goals z with c e + d = z.

A form y = T^-1(U^-1(c e2 + d) op e1) holds where z = U(T(y) op' e1) is affine in e2, so for each tree
e1 of a bank and each pair of invertible maps T, U the second tree is looked up, not tried. Errors are
measured in y: a row of z weighs (dy/dz)^2 times what the row weighs.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import sympy
import torch
from sympy import Expr
from torch import Tensor

_HALF_PI = math.pi / 2


@dataclass(frozen=True)
class Outer:
    """An invertible map: forward v -> z, slope |dz/dv| at v, inverse z -> v and on expressions.

    sound: for v (n, P), the rows of v on which the inverse is the one that was meant.
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


def _positive(v: Tensor) -> Tensor:
    return v.amin(-1) > 0


def _negative(v: Tensor) -> Tensor:
    return v.amax(-1) < 0


def _nonzero(v: Tensor) -> Tensor:
    return v.abs().amin(-1) > 0


def _within(most: float) -> Callable[[Tensor], Tensor]:
    return lambda v: v.abs().amax(-1) < most


def _cosine_range(v: Tensor) -> Tensor:
    return (v.amin(-1) > 0) & (v.amax(-1) < math.pi)


_ID = Outer("", lambda v: v, torch.ones_like, lambda z: z, lambda e: e, _always)
_INVERSE = Outer(
    "1/x", torch.reciprocal, lambda v: v.square().reciprocal(), torch.reciprocal,
    lambda e: 1 / e, _nonzero,
)  # fmt: skip
_SQUARE = Outer(
    "x^2", torch.square, lambda v: 2 * v.abs(), torch.sqrt, sympy.sqrt, _positive, "sqrt"
)
_MINUS_SQUARE = Outer(
    "-x^2", torch.square, lambda v: 2 * v.abs(), lambda z: -torch.sqrt(z),
    lambda e: -sympy.sqrt(e), _negative, "sqrt",
)  # fmt: skip
_INVERSE_SQUARE = Outer(
    "1/x^2", lambda v: v ** (-2.0), lambda v: 2 * v.abs() ** -3.0, torch.rsqrt,
    lambda e: 1 / sympy.sqrt(e), _positive, "sqrt",
)  # fmt: skip
_ROOT = Outer("sqrt", torch.sqrt, lambda v: 0.5 / v.sqrt(), torch.square, lambda e: e**2, _positive)
_LOG = Outer("log", torch.log, torch.reciprocal, torch.exp, sympy.exp, _positive, "exp")
_MINUS_LOG = Outer(
    "log(-x)", lambda v: torch.log(-v), lambda v: -v.reciprocal(), lambda z: -torch.exp(z),
    lambda e: -sympy.exp(e), _negative, "exp",
)  # fmt: skip
_EXP = Outer("exp", torch.exp, torch.exp, torch.log, sympy.log, _within(12.0), "log")
_ARCSIN = Outer(
    "arcsin", torch.arcsin, lambda v: (1 - v * v).clamp_min(1e-9).rsqrt(), torch.sin, sympy.sin,
    _within(1.0), "sin",
)  # fmt: skip
_SIN = Outer(
    "sin", torch.sin, lambda v: torch.cos(v).abs(), torch.arcsin, sympy.asin,
    _within(_HALF_PI), "arcsin",
)  # fmt: skip
_COS = Outer(
    "cos", torch.cos, lambda v: torch.sin(v).abs(), torch.arccos, sympy.acos,
    _cosine_range, "arccos",
)  # fmt: skip
_TAN = Outer(
    "tan", torch.tan, lambda v: torch.cos(v).square().reciprocal(), torch.arctan, sympy.atan,
    _within(_HALF_PI), "arctan",
)  # fmt: skip
_ARCTANH = Outer(
    "arctanh", torch.arctanh, lambda v: (1 - v * v).reciprocal(), torch.tanh, sympy.tanh,
    _within(1.0), "tanh",
)  # fmt: skip

SINGLE = (
    _ID, _INVERSE, _SQUARE, _MINUS_SQUARE, _INVERSE_SQUARE, _ROOT, _LOG, _MINUS_LOG, _EXP, _ARCSIN,
    _SIN, _COS, _TAN, _ARCTANH,
)  # fmt: skip
_INSIDE = (_ID, _INVERSE, _SQUARE, _LOG, _ROOT, _ARCSIN, _INVERSE_SQUARE, _EXP)

# (T, op, inner maps U): which forms are looked up. v = T(y) op e1, y = T^-1(U^-1(c e2 + d) op^-1 e1).
_PLAN: tuple[tuple[Outer, str, tuple[Outer, ...]], ...] = (
    (_ID, "*", _INSIDE),
    (_ID, "/", _INSIDE),
    (_ID, "-", (_ID, _INVERSE, _SQUARE, _LOG, _MINUS_SQUARE)),
    (_ID, "+", (_ID, _INVERSE, _SQUARE, _LOG)),
    *((T, op, (_ID, _INVERSE)) for T in (_SQUARE, _MINUS_SQUARE, _LOG, _SIN, _COS, _TAN, _EXP)
      for op in "*/"),
    *((T, op, (_ID, _SQUARE) if T is _INVERSE else (_ID,))
      for T in (_INVERSE, _SQUARE, _LOG, _SIN, _TAN, _EXP) for op in "-+"),
)  # fmt: skip
_CORE = ((_ID, "*", (_ID, _INVERSE)), (_ID, "/", (_ID, _INVERSE)))


@dataclass(frozen=True)
class Form:
    """y = outer^-1(undo(inner^-1(. ), e1)); op "" has no e1."""

    outer: Outer
    op: str = ""
    inner: Outer = _ID

    def expression(self, affine: Expr, e1: Expr | None) -> Expr:
        """y for c e2 + d and the tree e1."""
        v = self.inner.inverse(affine)
        if e1 is not None:
            v = {"*": v / e1, "/": v * e1, "-": v + e1, "+": v - e1}[self.op]
        return self.outer.inverse(v)

    def value(self, affine: Tensor, e1: Tensor | None) -> Tensor:
        """The same on values; NaN where a map has no inverse."""
        v = self.inner.undo(affine)
        if e1 is not None:
            v = _apply({"*": "/", "/": "*", "-": "+", "+": "-"}[self.op], v, v, e1)[0]
        return self.outer.undo(v)


@dataclass(frozen=True)
class Goals:
    """Rows z (n, P) that c e + d should be, weights (n, P), and the bank's trees e1 (n,) or None."""

    form: Form
    z: Tensor
    weight: Tensor
    trees: Tensor | None


def allowed(outer: Outer, names: frozenset[str] | None) -> bool:
    """Whether the library of primitives holds what the map writes."""
    return names is None or not outer.needs or outer.needs in names


def outers(y: Tensor, names: frozenset[str] | None) -> list[Outer]:
    """The maps of the whole target that are sound on all of its rows y (N,)."""
    return [T for T in SINGLE if bool(T.sound(y[None])) and allowed(T, names)]


def target(T: Outer, y: Tensor, weight: Tensor) -> Goals:
    """T(y) alone, (1, P)."""
    z, w = _mapped(T, y[None], weight[None])
    return Goals(Form(T), z, w, None)


def goal_of(form: Form, y: Tensor, weight: Tensor, e1: Tensor | None) -> tuple[Tensor, Tensor]:
    """z and its weights for one form, y (N,) and the values (N,) of e1."""
    v, w = _mapped(form.outer, y[None], weight[None])
    if e1 is not None:
        v, w = _apply(form.op, v, w, e1[None])
    z, w = _mapped(form.inner, v, w)
    return z[0], w[0]


def _mapped(g: Outer, v: Tensor, weight: Tensor) -> tuple[Tensor, Tensor]:
    """g(v) and the weights of its rows: small slopes of z are large errors of v."""
    slope = g.slope(v).clamp_min(1e-6)
    return g.forward(v), weight / slope.square()


def pair_goals(
    y: Tensor,
    weight: Tensor,
    sound: Sequence[Outer],
    names: frozenset[str] | None,
    values: Tensor,
    trees: Tensor,
    block: int,
    core: int | None = None,
) -> Iterator[Goals]:
    """Goals of all forms with one tree e1 of ``trees``, values (M, P), in blocks of e1.

    From the tree number ``core`` on only products and quotients of y.
    """
    for n, number in enumerate(trees.split(block)):
        e1 = values[number]
        whole = core is None or n * block < core
        for T, op, inners in _PLAN if whole else _CORE:
            if T not in sound:
                continue
            t, w = _mapped(T, y[None], weight[None])
            v, wv = _apply(op, t, w, e1)
            for U in inners:
                if not allowed(U, names):
                    continue
                kept = (U.sound(v) & torch.isfinite(v).all(1)).nonzero()[:, 0]
                if len(kept):
                    z, wz = _mapped(U, v[kept], wv.expand_as(v)[kept])
                    yield Goals(Form(T, op, U), z, wz, number[kept])


def _apply(op: str, t: Tensor, w: Tensor, e1: Tensor) -> tuple[Tensor, Tensor]:
    if op == "*":
        return t * e1, w / e1.square().clamp_min(1e-12)
    if op == "/":
        return t / e1, w * e1.square()
    return (t - e1 if op == "-" else t + e1), w
