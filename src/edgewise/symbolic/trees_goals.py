"""What a tree has to be for a target to come out: goals z with c e + d = z.

A form y = T^-1(U^-1(c e2 + d) op e1) holds where z = U(T(y) op' e1) is affine in e2, so for each tree
e1 of a bank and each pair of invertible maps T, U the second tree is looked up, not tried. Errors are
measured in y: a row of z weighs (dy/dz)^2 times what the row weighs.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch
from sympy import Expr
from torch import Tensor

from edgewise.symbolic.outer import (
    ARCSIN,
    ARCTANH,
    COS,
    EXP,
    IDENTITY,
    INVERSE,
    INVERSE_SQUARE,
    LOG,
    MINUS_LOG,
    MINUS_SQUARE,
    ROOT,
    SIN,
    SQUARE,
    TAN,
    Outer,
)

SINGLE = (
    IDENTITY, INVERSE, SQUARE, MINUS_SQUARE, INVERSE_SQUARE, ROOT, LOG, MINUS_LOG, EXP, ARCSIN,
    SIN, COS, TAN, ARCTANH,
)  # fmt: skip
_INSIDE = (IDENTITY, INVERSE, SQUARE, LOG, ROOT, ARCSIN, INVERSE_SQUARE, EXP)

# (T, op, inner maps U): which forms are looked up. v = T(y) op e1, y = T^-1(U^-1(c e2 + d) op^-1 e1).
_PLAN: tuple[tuple[Outer, str, tuple[Outer, ...]], ...] = (
    (IDENTITY, "*", _INSIDE),
    (IDENTITY, "/", _INSIDE),
    (IDENTITY, "-", (IDENTITY, INVERSE, SQUARE, LOG, MINUS_SQUARE)),
    (IDENTITY, "+", (IDENTITY, INVERSE, SQUARE, LOG)),
    *((T, op, (IDENTITY, INVERSE)) for T in (SQUARE, MINUS_SQUARE, LOG, SIN, COS, TAN, EXP)
      for op in "*/"),
    *((T, op, (IDENTITY, SQUARE) if T is INVERSE else (IDENTITY,))
      for T in (INVERSE, SQUARE, LOG, SIN, TAN, EXP) for op in "-+"),
)  # fmt: skip
_CORE = ((IDENTITY, "*", (IDENTITY, INVERSE)), (IDENTITY, "/", (IDENTITY, INVERSE)))


@dataclass(frozen=True)
class Form:
    """y = outer^-1(undo(inner^-1(. ), e1)); op "" has no e1."""

    outer: Outer
    op: str = ""
    inner: Outer = IDENTITY

    @property
    def maps(self) -> int:
        """How many maps it writes."""
        return (self.outer is not IDENTITY) + (self.inner is not IDENTITY)

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
