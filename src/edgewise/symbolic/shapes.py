"""Formulas found through small networks: fit splines, prune, make the edges symbolic.

A shape is a width and what is done to inputs and target first. The formula is unfolded into the
user's units exactly: ranges go into the a and b of the first edges, the target's scale into c and d
of the last.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import sympy
import torch
from sympy import Expr
from torch import Tensor

from edgewise import interpret, train
from edgewise.errors import EdgewiseError
from edgewise.nn import Network
from edgewise.problems.dataset import Samples
from edgewise.symbolic.canonical import canonicalise
from edgewise.symbolic.compose import network_formulas
from edgewise.symbolic.evaluate import symbol
from edgewise.symbolic.finish import Rows
from edgewise.symbolic.joint import auto_symbolic, spline_edges
from edgewise.symbolic.primitives import Primitive

_FIT_ROWS = 3000
# A pruned network is taken if its held-out error is at most this much larger.
_PRUNED_MAY_COST = 1.5
_EDGES_MAX = 24


@dataclass(frozen=True)
class Shape:
    """width as KAN takes it, ["log" | "identity"] for inputs and target, and a seed."""

    width: tuple[int | tuple[int, int], ...]
    mult_arity: tuple[tuple[int, ...], ...] | int = 2
    log_inputs: bool = False
    log_target: bool = False
    seed: int = 0

    def __str__(self) -> str:
        shown = ",".join(str(list(w)) if isinstance(w, tuple) else str(w) for w in self.width)
        inside = "log x" if self.log_inputs else "x"
        outside = "log y" if self.log_target else "y"
        return f"{outside} = KAN [{shown}] of {inside}"


@dataclass(frozen=True, eq=False)
class FittedShape:
    """A trained network of a shape and its held-out error relative to the target's spread."""

    shape: Shape
    model: Network
    data: Samples
    error: float
    middle: Tensor
    half: Tensor

    @property
    def edges(self) -> int:
        return len(spline_edges(self.model))


def shapes(rows: Rows, seed: int) -> list[Shape]:
    """The shapes worth trying for these rows, the simplest and most often right first."""
    n = rows.train.x.shape[1]
    x, y = rows.train.x, rows.train.y
    found = []
    if n == 1:
        found += [Shape((1, 1)), Shape((1, 1, 1)), Shape((1, 2, 1)), Shape((1, (0, 1), 1))]
    else:
        found += [Shape((n, 1, 1)), Shape((n, 1))]
        arities = ((), (n,), ())
        if n <= 6:
            found.append(Shape((n, (0, 1), 1), arities if n > 2 else 2))
        found += [Shape((n, 2, 1)), Shape((n, (1, 1), 1)), Shape((n, 2, 1, 1))]
    wide = bool((x > 0).all()) and bool((x.amax(0) / x.amin(0) > 10).any())
    if wide:
        log_y = bool((y > 0).all())
        found.insert(1, Shape((n, 1, 1) if n > 1 else (1, 1), 2, True, log_y))
    return [Shape(s.width, s.mult_arity, s.log_inputs, s.log_target, seed) for s in found]


def fit_shape(rows: Rows, shape: Shape, deadline: float, seconds: float) -> FittedShape | None:
    """Train a network of the shape within the seconds given; None where it cannot be trained."""
    few = rows.train.thinned(_FIT_ROWS)
    x, y = _ends(few, shape)
    middle, half = (x.amax(0) + x.amin(0)) / 2, (x.amax(0) - x.amin(0)) / 2
    data = Samples((x - middle) / half, y, None if shape.log_target else rows.weight(few))
    edges = sum(
        _size(a) * _sums(b, shape) for a, b in zip(shape.width, shape.width[1:], strict=False)
    )
    if edges * 8 > len(few) and len(few) < 200:
        grid = max(1, min(5, len(few) // max(2 * edges, 1) - 3))
        if grid < 2:
            return None  # fewer rows than parameters: no shape that could be trusted
    else:
        grid = 5
    model = _network(shape, grid)
    limit = max(min(seconds, deadline - time.monotonic()), 0.0)
    try:
        # finer grids are kept only where held-out rows gain: a precise curve tells primitives apart
        finer = (grid, 2 * grid, 4 * grid) if len(few) > 40 * grid * edges / 5 else (grid,)
        solver = train.Auto(steps=160, restarts=2, grids=finer, warm_up=200, seed=shape.seed)
        fitted = train.fit(model, (data.x, data.y, data.weight), solver=solver, time_limit=limit)
    except EdgewiseError:
        return None  # this shape has no finite fit; the others go on
    held = _held_out(rows, shape, middle, half)
    return FittedShape(shape, fitted.model, data, _relative(fitted.model, held), middle, half)


def pruned(fitted: FittedShape, rows: Rows, deadline: float) -> FittedShape:
    """Without the edges that the held-out rows do not miss, trained on."""
    if time.monotonic() > deadline:
        return fitted
    trace = fitted.model.trace(fitted.data.x)
    try:
        smaller = interpret.prune(fitted.model, trace, node_th=1e-2, edge_th=1e-2)
    except EdgewiseError:
        return fitted
    if len(spline_edges(smaller)) == fitted.edges:
        return fitted
    data = fitted.data
    solver = train.Auto(steps=60, cold=False)
    limit = max(deadline - time.monotonic(), 0.3)
    again = train.fit(smaller, (data.x, data.y, data.weight), solver=solver, time_limit=limit).model
    error = _relative(again, _held_out(rows, fitted.shape, fitted.middle, fitted.half))
    if error > _PRUNED_MAY_COST * fitted.error + 1e-9:
        return fitted
    return FittedShape(fitted.shape, again, data, error, fitted.middle, fitted.half)


def formulas(
    fitted: FittedShape,
    rows: Rows,
    lib: Sequence[str | Primitive] | None,
    deadline: float,
    progress: Callable[[str], None] | None = None,
) -> list[Expr]:
    """Rough formulas of a fitted shape, in the user's units, best first."""
    if fitted.edges > _EDGES_MAX:
        return []
    found = auto_symbolic(
        fitted.model, fitted.data, lib, snap=False, deadline=deadline, progress=progress
    )
    return [_unfolded(found.model, fitted, rows)]


@torch.no_grad()
def _unfolded(model: Network, fitted: FittedShape, rows: Rows) -> Expr:
    """The formula in the user's columns."""
    first = model.layers[0]
    a, b = first.symbolic_affine[..., 0], first.symbolic_affine[..., 1]
    first.symbolic_affine[..., 1] = b - a * fitted.middle / fitted.half
    first.symbolic_affine[..., 0] = a / fitted.half
    canonicalise(model)
    symbols = [symbol(name) for name in rows.names]
    expression = network_formulas(model, symbols)[0]
    if fitted.shape.log_inputs:
        expression = expression.xreplace({s: sympy.log(s) for s in symbols})
    return sympy.exp(expression) if fitted.shape.log_target else expression


def _ends(samples: Samples, shape: Shape) -> tuple[Tensor, Tensor]:
    x = samples.x.log() if shape.log_inputs else samples.x
    y = samples.y.log() if shape.log_target else samples.y
    return x, y


def _held_out(rows: Rows, shape: Shape, middle: Tensor, half: Tensor) -> Samples:
    few = rows.held_out.thinned(_FIT_ROWS)
    x, y = _ends(few, shape)
    return Samples((x - middle) / half, y)


@torch.no_grad()
def _relative(model: Network, data: Samples) -> float:
    spread = float((data.y - data.y.mean()).square().mean().sqrt()) or 1.0
    error = float((model(data.x) - data.y).square().mean().sqrt()) / spread
    return error if math.isfinite(error) else math.inf


def _network(shape: Shape, grid: int) -> Network:
    from edgewise.bases import BSpline

    generator = torch.Generator().manual_seed(shape.seed)
    width = [list(w) if isinstance(w, tuple) else w for w in shape.width]
    arity = shape.mult_arity
    return Network(
        width,
        BSpline(grid),
        mult_arity=arity if isinstance(arity, int) else [list(a) for a in arity],
        generator=generator,
        dtype=torch.float64,
    )


def _size(entry: int | tuple[int, int]) -> int:
    return entry if isinstance(entry, int) else sum(entry)


def _sums(entry: int | tuple[int, int], shape: Shape) -> int:
    if isinstance(entry, int):
        return entry
    if isinstance(shape.mult_arity, int):
        return entry[0] + shape.mult_arity * entry[1]
    return entry[0] + sum(a for arities in shape.mult_arity for a in arities)
