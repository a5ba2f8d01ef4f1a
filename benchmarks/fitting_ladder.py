"""From rows to a network: a ladder of shapes, the same for every function, climbed by held-out error.

A fifth of the training rows is held out. Shapes are started on few intervals; then always the network is
refined whose held-out error times the cost of a step, the square of its parameters, is least. One that
gains nothing is left as it was. Where that ends badly, the rest of the ladder is tried, and then sums of
products of curves. The best is fitted to all training rows in the end. Test rows are never looked at.
"""

from __future__ import annotations

import math
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch

from edgewise import KAN, train
from edgewise.errors import FitError
from edgewise.problems import Samples

# A finer grid must divide the held-out error by so much to count as a gain, and by so much if the shape
# is to count as the function's own: splines' errors fall by 16 for half the spacing.
GAIN, SPLINES = 1.25, 6.0


@dataclass(frozen=True)
class Plan:
    """grids: intervals passed through. starts: seeds a shape, compared on the first grid with ``rows``.
    goal: the held-out error, in the target's standard deviations, that is small enough. seconds: of the
    processor, after which nothing new is begun. most: parameters, as a share of the rows. first: shapes
    that are refined before others are started, while they gain as splines do. poor: the held-out error,
    in the same unit, above which there is a second ascent, with more seconds and parameters."""

    grids: tuple[int, ...] = (5, 10, 20, 40, 80)
    starts: int = 2
    rows: int = 1000
    goal: float = 5e-7
    seconds: float = 25.0
    most: float = 0.15
    first: int = 2
    poor: float = 1e-4
    second: tuple[float, float] = (40.0, 0.2)


@dataclass(frozen=True)
class Shape:
    """width: (s, p) is s sums and p products of two. last: the last layer's intervals, whatever the others
    have; None as the others."""

    width: tuple[int | tuple[int, int], ...]
    last: int | None = None

    def grids(self, grid: int) -> list[int]:
        return [grid] * (len(self.width) - 2) + [self.last or grid]


@dataclass(frozen=True)
class Climber:
    """A network on its way; level: of its grid; rate: what the last grid divided the error by."""

    shape: Shape
    start: int
    level: int
    model: KAN
    error: float
    rate: float = math.inf

    @property
    def price(self) -> float:
        return self.error * self.model.n_parameters**2


def ladder(n: int) -> list[Shape]:
    """The shapes tried for n inputs, narrow ones first."""
    widths = [
        (n, 1, 1),
        (n, (1, 1), 1),
        (n, n, 1, 1),
        (n, 2, (1, 1), 1),
        (n, n, (0, 2), 1),
        (n, (0, 4), 1),
        (n, n, 2, 1, 1),
        (n, n, (1, 1), 1, 1),
        (n, (0, 6), 1),
    ]
    return [Shape(width) for width in widths]


def sums_of_products(n: int) -> list[Shape]:
    """Where a function is steep in a corner of its box, hidden values there are rare, and a last curve of
    many pieces is whatever it likes: here it is one cubic."""
    return [Shape((n, (0, p), 1), last=1) for p in (6, 8, 4)]


def climb(rows: Samples, seed: int, plan: Plan) -> tuple[KAN, list[dict]]:
    """The chosen network, fitted to all rows, and a line for every stage on the way."""
    ascent, n = Ascent(rows, seed, plan), rows.x.shape[1]
    untried = ascent.climb(ladder(n), plan.first)
    if ascent.poor:
        ascent.go_on(*plan.second)
        ascent.climb(untried + sums_of_products(n))
    return ascent.finished()


class Ascent:
    """The networks on their way, the best so far, and a line for every stage."""

    def __init__(self, rows: Samples, seed: int, plan: Plan) -> None:
        order = torch.randperm(len(rows), generator=torch.Generator().manual_seed(seed))
        self.all, self.seed, self.plan = rows, seed, plan
        self.held = rows.rows(order[: len(rows) // 5])
        self.rows = rows.rows(order[len(rows) // 5 :])
        self.goal = plan.goal * float(rows.y.std())
        self.most, self.until = plan.most, plan.seconds
        self.going: list[Climber] = []
        self.best: Climber | None = None
        self.lines: list[dict] = []
        self._begin = time.process_time()

    @property
    def seconds(self) -> float:
        return time.process_time() - self._begin

    @property
    def over(self) -> bool:
        reached = self.best is not None and self.best.error <= self.goal
        return reached or self.seconds > self.until

    @property
    def poor(self) -> bool:
        spread = self.goal / self.plan.goal
        return self.best is None or self.best.error > self.plan.poor * spread

    @property
    def next(self) -> Climber | None:
        return min(self.going, key=lambda one: one.price, default=None)

    def climb(self, shapes: Sequence[Shape], first: int = 0) -> list[Shape]:
        """Start every shape and refine what promises most until it is over; the shapes not started."""
        left = list(shapes)
        while left and not self.over:
            one, alone = self.start(left.pop(0)), len(shapes) - len(left) <= first
            while one and alone and one.rate > SPLINES and not self.over:
                one = self.refine(one)
        while not self.over and (one := self.next) is not None:
            self.refine(one)
        return left

    def go_on(self, seconds: float, most: float) -> None:
        """For so many seconds more, with new networks only."""
        self.going, self.most, self.until = [], most, self.seconds + seconds

    def start(self, shape: Shape) -> Climber | None:
        """Adam, then second order, on the coarsest grid: the best of a few starts."""
        few = self.rows.rows(slice(self.plan.rows))
        found = []
        for start in range(self.plan.starts):
            grids = shape.grids(self.plan.grids[0])
            model = KAN(shape.width, grid=grids, seed=self.seed + 100 * start)
            adam = train.Adam(150, lr=2e-2, grids=train.GridUpdates(5, 100))
            second = train.LevenbergMarquardt(60, tolerance=1e-4, grids=train.GridUpdates(3, 45))
            try:
                model = train.fit(model, (few.x, few.y), solver=adam).model
                model = train.fit(model, (few.x, few.y), solver=second).model
            except FitError:
                continue
            found.append(Climber(shape, start, 0, model, rmse(model, self.held)))
            self._note("start", found[-1])
        one = min(found, key=lambda one: one.error, default=None)
        if one is not None:
            self._keep(one)
        return one

    def refine(self, one: Climber) -> Climber | None:
        """The network on the next grid; None where there is none, or nothing is gained by it."""
        self.going.remove(one)
        level = one.level + 1
        if level == len(self.plan.grids):
            return None
        finer, _ = train.refine(one.model, one.shape.grids(self.plan.grids[level]))
        if finer.n_parameters > self.most * len(self.all):
            return None
        finer = polished(finer, self.rows, rounds=min(level, 2))
        error = rmse(finer, self.held)
        better = replace(one, level=level, model=finer, error=error, rate=one.error / error)
        self._note("grid", better)
        if better.rate < GAIN:
            return None
        self._keep(better)
        return better

    def finished(self) -> tuple[KAN, list[dict]]:
        if self.best is None:
            raise FitError("No shape could be fitted to these rows.")
        model = polished(self.best.model, self.all, rounds=1)
        self._note("all rows", self.best)
        return model, self.lines

    def _keep(self, one: Climber) -> None:
        self.going.append(one)
        if self.best is None or one.error < self.best.error:
            self.best = one

    def _note(self, stage: str, one: Climber) -> None:
        self.lines.append(
            {
                "stage": stage,
                "width": one.shape.width,
                "last": one.shape.last,
                "start": one.start,
                "grid": self.plan.grids[one.level],
                "parameters": one.model.n_parameters,
                "held_out": one.error,
                "seconds": round(self.seconds, 2),
            }
        )


def polished(model: KAN, rows: Samples, rounds: int) -> KAN:
    """Second order, with grids that follow the activations before each round."""
    for _ in range(rounds):
        model = model.clone()
        train.update_grids(model, rows.x, room=True)
        solver = train.LevenbergMarquardt(30, 1e-4, 1e-4)
        model = train.fit(model, (rows.x, rows.y), solver=solver).model
    return model


@torch.no_grad()
def rmse(model: KAN, rows: Samples) -> float:
    return float((model(rows.x) - rows.y).square().mean().sqrt())
