"""What trees are made of: their functions, and the leaves with constants from a table inside."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import sympy
import torch
from sympy import Expr, Float
from torch import Tensor

from edgewise.symbolic.evaluate import symbol
from edgewise.symbolic.primitives import PRIMITIVES, Primitive

# What physics writes on one node, and what it writes more rarely.
_COMMON = ("sqrt", "x^2", "1/x", "exp", "log", "sin", "cos")
_RARE = ("x^3", "tan", "tanh", "arcsin", "arctan")
_BENT = frozenset({"exp", "log", "sin", "cos", "tan", "tanh", "arcsin", "arctan", "arccos"})

# Steps of a in sin(a u), exp(-a u): pi and its parts, and a geometric row for a later polish.
_SCALES = (
    sympy.Rational(1, 2), sympy.Integer(2), sympy.Integer(3), sympy.pi, 2 * sympy.pi, sympy.pi / 2,
    Float(0.1), Float(0.2), Float(0.33), Float(0.7), Float(1.4), Float(4.5), Float(9.5),
)  # fmt: skip


@dataclass(frozen=True)
class Function:
    """A unary function of the trees: x -> values, expression -> expression."""

    name: str
    torch: Callable[[Tensor], Tensor]
    sympy: Callable[[Expr], Expr]
    cost: int
    bent: bool


@dataclass(frozen=True)
class Leaf:
    """u, or f(a u); sympy builds it only when it is written."""

    argument: Expr
    scale: Expr | None = None
    function: Function | None = None

    def expression(self) -> Expr:
        if self.function is None or self.scale is None:
            return self.argument
        return self.function.sympy(self.scale * self.argument)


def functions(lib: Sequence[Primitive] | None) -> list[Function]:
    """The functions of trees: the usual ones, or those of ``lib``; exp comes with exp(-u)."""
    if lib is None:
        chosen = [PRIMITIVES[name] for name in _COMMON + _RARE]
    else:
        chosen = [p for p in lib if p.name not in ("0", "x")]
    found = []
    for p in chosen:
        cost = 1 if p.name in _COMMON else 2
        bent = p.name in _BENT or p.name not in PRIMITIVES
        found.append(Function(p.name, p.torch, p.sympy, cost, bent))
        if p.name == "exp":
            found.append(
                Function("exp(-x)", lambda u: torch.exp(-u), lambda e: sympy.exp(-e), cost, True)
            )
    return found


def seeds(
    x: Tensor, names: Sequence[str], functions: Sequence[Function]
) -> dict[int, list[tuple[Leaf, Tensor, bool]]]:
    """Leaves by cost: columns, 1, 2, 3; functions of a u with a of a table, u a short argument.

    Each with its values (P,) and whether a transcendental function is inside.
    """
    P = len(x)
    columns = [(symbol(n), x[:, i]) for i, n in enumerate(names)]
    whole = [(sympy.Integer(k), x.new_full((P,), float(k))) for k in (1, 2, 3)]
    seeds = {1: [(Leaf(e), v, False) for e, v in (*columns, *whole)]}
    arguments = [(e, v, 3) for e, v in columns] + [(e**2, v * v, 4) for e, v in columns]
    for i, (e, v) in enumerate(columns):
        for other, w in columns[i + 1 :]:
            arguments += [(e * other, v * w, 4), (e - other, v - w, 4), (e / other, v / w, 4)]
            arguments += [(e + other, v + w, 4), (other / e, w / v, 4)]
    scales = [(a, float(a)) for a in _SCALES]
    curved = [f for f in functions if f.name in ("exp", "exp(-x)", "sin", "cos", "tanh")]
    for f in curved:
        for e, v, cost in arguments:
            for a, size in scales:
                seed = (Leaf(e, a, f), f.torch(size * v), True)
                seeds.setdefault(cost + (f.name == "tanh"), []).append(seed)
    return seeds
