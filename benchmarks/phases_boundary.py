"""From a classifier to the formula of its boundary, by the training rows alone.

Points of the boundary are found between rows of different classes; `discover` looks for formulas of one
input by the others there. The points carry the network's own errors, which a search takes for signal.
So each formula of the front is judged as a classifier: the simplest is taken whose accuracy on the
training rows is within one standard error of the best one's (L. Breiman and others, *Classification and
Regression Trees*, 1984). Then constants become simple fractions where no fewer rows are right.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from fractions import Fraction

import numpy as np
import sympy
import torch
from sympy import Expr
from torch import Tensor

import edgewise
from edgewise import KAN
from phases_tasks import Task

_HALVINGS = 40


def boundary(model: KAN, x: Tensor, y: Tensor) -> Tensor:
    """Points (P, I) where the likelier class changes, by bisection between rows (B, I).

    From each row that is classed rightly the way leads to the nearest such row of the other class, in
    units of the inputs' standard deviations: so every point has rows of both classes beside it.
    """
    found = model.predict_class(x)
    zero, one = (x[(found == label) & (y == label)] for label in (0, 1))
    away = torch.cdist(zero / x.std(0), one / x.std(0))
    a = torch.cat([zero, zero[away.argmin(0)]])
    b = torch.cat([one[away.argmin(1)], one])
    for _ in range(_HALVINGS):
        middle = (a + b) / 2
        before = (model.predict_class(middle) == 0)[:, None]
        a, b = torch.where(before, middle, a), torch.where(before, b, middle)
    return (a + b) / 2


@dataclass(frozen=True)
class Edge:
    """A boundary: the input ``axis`` as an expression in the others, and whether class 1 lies above."""

    task: Task
    expression: Expr
    above: bool = True

    def classes(self, x: Tensor) -> Tensor:
        """x (B, I) -> (B,) 0 or 1."""
        names = [sympy.Symbol(name) for name in self.task.names]
        plain = {s: sympy.Symbol(s.name) for s in self.expression.free_symbols}
        function = sympy.lambdify(names, self.expression.xreplace(plain), "numpy")
        with np.errstate(all="ignore"):  # what is not finite is the classes' to punish
            edge = torch.as_tensor(function(*x.numpy().T), dtype=x.dtype)
        return ((x[:, self.task.axis] > edge) == self.above).long()

    def right(self) -> float:
        """The share of training rows that are classed rightly."""
        return float((self.classes(self.task.x) == self.task.y).double().mean())

    def __str__(self) -> str:
        return f"{self.task.names[self.task.axis]} = {self.expression}"


def fitting_edge(task: Task, expression: Expr) -> Edge:
    """Which class lies above is the labels' to say."""
    return max((Edge(task, expression), Edge(task, expression, False)), key=Edge.right)


def search(task: Task, points: Tensor, seed: int, seconds: float) -> tuple[Edge, Edge]:
    """The formula chosen from the front of the points' formulas, and the same with simple constants."""
    others = [i for i in range(len(task.names)) if i != task.axis]
    found = edgewise.discover(
        points[:, others],
        points[:, task.axis],
        [task.names[i] for i in others],
        target=task.names[task.axis],
        time_limit=seconds,
        seed=seed,
    )
    front = [fitting_edge(task, found.formula(row).sympy) for row in range(len(found.front))]
    best = max(edge.right() for edge in front)
    enough = best - (best * (1 - best) / len(task.x)) ** 0.5
    chosen = next(edge for edge in front if edge.right() >= enough)
    return chosen, with_simple_constants(chosen)


def with_simple_constants(edge: Edge) -> Edge:
    """Floats the nearest fractions of denominators up to 4, all at once or else each by itself, where
    no fewer training rows are classed rightly."""
    floats = sorted(edge.expression.atoms(sympy.Float), key=lambda value: abs(float(value)))
    near = {v: sympy.Rational(Fraction(float(v)).limit_denominator(4)) for v in floats}
    for some in (floats, *([value] for value in floats)):
        simpler = edge.expression.xreplace({value: near[value] for value in some})
        if replace(edge, expression=simpler).right() >= edge.right():
            edge = replace(edge, expression=simpler)
    return edge
