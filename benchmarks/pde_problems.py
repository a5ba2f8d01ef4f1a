"""The equations of benchmarks/pde.py: each with its network and how it is solved."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from math import pi

import torch
from torch import Tensor

import pde_references as exact
from edgewise import KAN, pde
from edgewise.bases import BSpline
from edgewise.pde import Box, Collocation, Condition, Points, Problem
from edgewise.train import GridUpdates, LevenbergMarquardt

SQUARE = Box(x=(-1, 1), y=(-1, 1))
STRIP = Box(t=(0, 1), x=(0, 1))
WHOLE = Box(t=(0, 1), x=(-1, 1))
TIME = Box(t=(0, 12))


@dataclass(frozen=True)
class Found:
    """u: what was found, (n, d) -> (n, Y). unknowns: the numbers found beside it."""

    u: Callable[[Tensor], Tensor]
    parameters: int
    residual: float
    unknowns: Mapping[str, float] = field(default_factory=dict)


def network(shape: list, grids: list[int], k: int, seed: int, grid_eps: float = 1.0) -> KAN:
    """Splines alone, a size a layer; grid_eps: of the first layer, whose knots may follow the points."""
    first, *others = grids
    families = [BSpline(first, k, grid_eps=grid_eps), *(BSpline(grid, k) for grid in others)]
    return KAN(shape, basis=families, base_fun="zero", seed=seed)


def one(solution: pde.Solution) -> Found:
    return Found(solution, solution.model.n_parameters, solution.loss**0.5, solution.unknowns)


def parts(marched: pde.Marched) -> Found:
    worst = max(part.loss for part in marched.parts)
    return Found(marched, marched.n_parameters, worst**0.5)


def lm(steps: int) -> LevenbergMarquardt:
    return LevenbergMarquardt(steps, grids=GridUpdates(3, 20))


def poisson(seed: int, steps: int) -> Found:
    """u_xx + u_yy = f on the square, u = 0 at its edges."""

    def source(p: Tensor) -> Tensor:
        x, y = p.T
        bent = 2 * torch.cos(pi * y**2) - pi * (1 + 4 * y**2) * torch.sin(pi * y**2)
        return pi * torch.sin(pi * x) * bent

    problem = Problem(
        SQUARE,
        lambda u, p: u.xx + u.yy - source(p),
        [Condition(SQUARE.boundary(), lambda u, p: u.value, weight=100.0, points=400)],
        points=1500,
    )
    start = network([2, [0, 2], 1], [6, 5], 5, seed)
    return one(pde.solve(start, problem, solver=lm(steps), grids=([6, 5], [18, 5])))


def helmholtz(seed: int, steps: int) -> Found:
    """u_xx + u_yy + u = f on the square, u = 0 at its edges: four waves in y."""
    problem = Problem(
        SQUARE,
        lambda u, p: u.xx + u.yy + u.value - (1 - 17 * pi**2) * exact.helmholtz(p),
        [Condition(SQUARE.boundary(), lambda u, p: u.value, weight=1000.0, points=400)],
        points=2000,
    )
    start = network([2, [0, 2], 1], [10, 6], 5, seed)
    finer = ([10, 6], [20, 6], [40, 6])
    return one(pde.solve(start, problem, solver=lm(steps), grids=finer))


def heat(seed: int, steps: int) -> Found:
    """u_t = u_xx / 10 on a rod whose ends are kept at 0."""
    problem = Problem(
        STRIP,
        lambda u, p: u.t - 0.1 * u.xx,
        [Condition(STRIP.at(t=0), lambda u, p: u.value - exact.modes(p, 0.1), weight=100.0)],
        points=1500,
        ansatz=pde.Ansatz(times=lambda p: p[:, 1:] * (1 - p[:, 1:])),
    )
    start = network([2, [0, 2], 1], [6, 6], 5, seed)
    return one(pde.solve(start, problem, solver=lm(steps), grids=([6, 6], [12, 6])))


def burgers(
    seed: int,
    steps: int,
    box: Box = STRIP,
    grid_eps: float = 0.2,
    adaptive: float = 0.5,
    attention: float = 0.0,
    knots: tuple[int, int] = (24, 4),
    points: tuple[int, int] = (1500, 300),
    weight: float = 100.0,
    every: int = 10,
    ends: tuple[float, ...] = (0, 0.2, 0.3, 0.4, 0.5, 0.7, 1.0),
) -> Found:
    """u_t + u u_x = (0.01 / pi) u_xx on [-1, 1]: a front forms at x = 0. The solution is odd, so that
    [0, 1] with u = 0 at both ends is the same problem. In stretches of time. knots: intervals in the
    first layer and the splines' degree; points: inside and at the start."""
    grid, degree = knots
    first, last = box.range_of("x")
    problem = Problem(
        box,
        lambda u, p: u.t + u.value * u.x - exact.NU * u.xx,
        [
            Condition(
                box.at(t=0),
                lambda u, p: u.value + torch.sin(pi * p[:, 1]),
                weight=weight,
                points=points[1],
            )
        ],
        points=points[0],
        ansatz=pde.Ansatz(times=lambda p: (p[:, 1:] - first) * (last - p[:, 1:])),
    )
    return parts(
        pde.march(
            network([2, [0, 3], 1], [grid, 8], degree, seed, grid_eps),
            problem,
            "t",
            ends,
            weight=weight,
            solver=lm(steps),
            collocation=Collocation(every, adaptive, attention, seed),
        )
    )


def allen_cahn(seed: int, steps: int) -> Found:
    """u_t = 1e-4 u_xx + 5 u - 5 u^3, of period 2 in x. The solution is even, so that half the period
    with u_x = 0 at both ends is the same problem. In stretches of time."""
    problem = Problem(
        STRIP,
        lambda u, p: u.t - 1e-4 * u.xx - 5 * u.value + 5 * u.value**3,
        [
            Condition(
                STRIP.at(t=0),
                lambda u, p: u.value - p[:, 1] ** 2 * torch.cos(pi * p[:, 1]),
                weight=100.0,
                points=300,
            ),
            Condition(STRIP.boundary("x"), lambda u, p: u.x, weight=0.01, points=40),
        ],
        points=1000,
    )
    return parts(
        pde.march(
            network([2, [0, 3], 1], [24, 10], 4, seed, grid_eps=0.1),
            problem,
            "t",
            tuple(n / 10 for n in range(11)),
            solver=lm(steps),
            collocation=Collocation(every=10, adaptive=0.5, seed=seed),
        )
    )


TRUE_NUMBERS = {"D": 0.1, "k": 0.7}


def inverse(seed: int, steps: int) -> Found:
    """u_t = D u_xx - k u: D and k from 400 measurements with noise of 1 % of the largest value."""
    x = STRIP.sample(400, seed=1000 + seed)
    generator = torch.Generator().manual_seed(seed)
    noise = 0.01 * torch.randn(len(x), generator=generator, dtype=x.dtype)
    measured = exact.modes(x, TRUE_NUMBERS["D"], TRUE_NUMBERS["k"]) + noise
    given = Points(("t", "x"), x, measured)
    found: KAN | pde.Solution = network([2, [0, 2], 1], [6, 6], 5, seed)
    for weight in (
        100.0,
        1.0,
    ):  # first the data, then the equation: its numbers are only guessed yet
        problem = Problem(
            STRIP,
            lambda u, p: u.t - u.unknown["D"] * u.xx + u.unknown["k"] * u.value,
            [Condition(given, lambda u, p: u.value - p[:, -1], weight)],
            points=1000,
            ansatz=pde.Ansatz(times=lambda p: p[:, 1:] * (1 - p[:, 1:])),
            unknowns={"D": 1.0, "k": 0.0},
        )
        found = pde.solve(found, problem, solver=lm(steps))
    return one(found)


def lotka_volterra(seed: int, steps: int) -> Found:
    """Prey and predators through about two cycles: a system of two equations, in stretches."""
    a, b, c, d = exact.RATES
    problem = Problem(
        TIME,
        lambda u, p: (
            u[0].t - a * u[0].value + b * u[0].value * u[1].value,
            u[1].t - d * u[0].value * u[1].value + c * u[1].value,
        ),
        [
            Condition(
                TIME.at(t=0),
                lambda u, p: (u[0].value - exact.FIRST[0], u[1].value - exact.FIRST[1]),
                weight=100.0,
            )
        ],
        points=300,
    )
    start = network([1, 2], [20], 5, seed)
    ends = tuple(range(13))
    return parts(pde.march(start, problem, "t", ends, solver=lm(steps), points=1))
