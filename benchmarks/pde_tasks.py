"""What benchmarks/pde.py compares: each equation with its reference, its steps and what is asked for."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import torch
from torch import Tensor

import pde_problems as problems
import pde_references as exact
from edgewise.pde import Box
from pde_problems import Found


@dataclass(frozen=True)
class Task:
    """solve(seed, steps) -> Found; points (n, d) and the truth (n, Y) there; aim: the relative L2 asked
    for, None for none."""

    name: str
    shape: str
    solve: Callable[[int, int], Found]
    truth: Callable[[], tuple[Tensor, Tensor]]
    steps: int
    aim: float | None = None


def lattice(box: Box, n: int) -> Tensor:
    """n equal steps a coordinate, ends included: (n^d, d)."""
    axes = [torch.linspace(*ends, n, dtype=torch.float64) for ends in box.ranges.values()]
    return torch.cartesian_prod(*axes).reshape(-1, len(axes))


def known(function: Callable[[Tensor], Tensor], points: Tensor) -> tuple[Tensor, Tensor]:
    value = function(points)
    return points, value if value.ndim == 2 else value[:, None]


def half_period() -> tuple[Tensor, Tensor]:
    p, u = exact.allen_cahn()
    half = p[:, 1] >= 0
    return p[half], u[half, None]


def later(box: Box) -> Callable[[], tuple[Tensor, Tensor]]:
    """Burgers's solution for t > 0: its integrals have no limit of their own at 0."""

    def truth() -> tuple[Tensor, Tensor]:
        p = lattice(box, 201)
        return known(exact.burgers, p[p[:, 0] > 0])

    return truth


def decayed(p: Tensor) -> Tensor:
    return exact.modes(p, problems.TRUE_NUMBERS["D"], problems.TRUE_NUMBERS["k"])


def at(box: Box, function: Callable[[Tensor], Tensor], n: int = 101) -> Callable:
    """The truth of a task: a known function on a lattice."""
    return lambda: known(function, lattice(box, n))


def heated(p: Tensor) -> Tensor:
    return exact.modes(p, 0.1)


def row(
    name: str,
    shape: str,
    solve: Callable[..., Found],
    truth: Callable[[], tuple[Tensor, Tensor]],
    steps: int,
    aim: float | None = None,
    **options: object,
) -> Task:
    return Task(name, shape, partial(solve, **options), truth, steps, aim)


ONE, STRETCHES = "[2,[0,2],1]", "6 x [2,[0,3],1]"
SQUARE, STRIP, WHOLE = problems.SQUARE, problems.STRIP, problems.WHOLE
LOTKA = at(problems.TIME, exact.lotka_volterra, 601)

# Poisson's aim is a mean square of 1e-10: that of its solution is about 1/4. The front of Burgers' equation
# on the whole interval is free to move, so that it takes more knots, points and steps.
TASKS = (
    row("poisson", ONE, problems.poisson, at(SQUARE, exact.poisson), 40, 2e-5),
    row("helmholtz", ONE, problems.helmholtz, at(SQUARE, exact.helmholtz), 40, 1e-4),
    row("heat", ONE, problems.heat, at(STRIP, heated), 30),
    row("burgers", STRETCHES, problems.burgers, later(STRIP), 40, 5e-3),
    row(
        *("burgers-whole", "7 x [2,[0,3],1]", problems.burgers, later(WHOLE), 60, 5e-3),
        box=WHOLE,
        adaptive=0.6,
        knots=(48, 5),
        points=(2500, 400),
        weight=1000.0,
        every=15,
        ends=(0, 0.2, 0.28, 0.33, 0.38, 0.45, 0.6, 1.0),
    ),
    row("allen-cahn", "10 x [2,[0,3],1]", problems.allen_cahn, half_period, 30, 5e-3),
    row("inverse", ONE, problems.inverse, at(STRIP, decayed), 40),
    row("lotka-volterra", "12 x [1,2]", problems.lotka_volterra, LOTKA, 30),
)

# What adaptive points and knots are worth: "burgers" without some of it.
VARIANTS = tuple(
    row(f"burgers-{name}", STRETCHES, problems.burgers, later(STRIP), 40, **options)
    for name, options in (
        ("even-knots", {"grid_eps": 1.0}),
        ("even-points", {"adaptive": 0.0}),
        ("even", {"grid_eps": 1.0, "adaptive": 0.0}),
        ("attention", {"adaptive": 0.0, "attention": 0.1}),
    )
)
