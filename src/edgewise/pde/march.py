"""From one stretch of time to the next, each solved where the one before ended."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Any

import torch
from torch import Tensor

from edgewise.errors import InputError
from edgewise.nn import Network
from edgewise.pde.field import Field
from edgewise.pde.problem import Condition, Problem
from edgewise.pde.solution import Solution
from edgewise.pde.solve import solve


@dataclass(frozen=True)
class Marched:
    """A solution in parts: part k holds where coordinate ``name`` lies in [ends[k], ends[k+1]].

    A part that was cut short, as ``status`` tells, is the last one.
    """

    name: str
    ends: tuple[float, ...]
    parts: tuple[Solution, ...]

    def __call__(self, x: Tensor) -> Tensor:
        """u at x: (n, d) -> (n, Y)."""
        column = self.parts[0].problem.domain.names.index(self.name)
        inner = torch.tensor(self.ends[1:-1], dtype=x.dtype)
        part = torch.bucketize(x[:, column].contiguous(), inner)
        values = [solution(x[part == k]) for k, solution in enumerate(self.parts)]
        u = values[0].new_empty(len(x), values[0].shape[1])
        for k, value in enumerate(values):
            u[part == k] = value
        return u

    @property
    def status(self) -> str:
        """The last part's."""
        return self.parts[-1].status

    @property
    def n_parameters(self) -> int:
        return sum(solution.model.n_parameters for solution in self.parts)


def march(
    model: Network,
    problem: Problem,
    name: str,
    ends: Sequence[float],
    *,
    weight: float = 100.0,
    points: int = 400,
    time_limit: float | None = None,
    **options: Any,
) -> Marched:
    """Solve on [ends[0], ends[1]] of the coordinate, then on the next stretch, and so on.

    Conditions at one value of the coordinate hold in the stretch that has it; every later one begins
    with the values where the last one ended, by a condition of this weight and number of points. Each
    starts from the last one's model and unknown numbers, and a run that is cut short ends there.
    time_limit: seconds for all stretches. options: as ``solve`` takes them. For equations of first order in
    the coordinate; others need a problem a stretch, with conditions on derivatives.
    """
    if len(ends) < 2 or any(a >= b for a, b in pairwise(ends)):
        raise InputError(f"ends is {list(ends)}; expected rising values, two at least.")
    lower, upper = problem.domain.range_of(name)
    if ends[0] < lower or upper < ends[-1]:
        raise InputError(f"ends is {list(ends)}, but {name} goes from {lower} to {upper}.")
    started = time.monotonic()
    parts: list[Solution] = []
    for first, last in pairwise(ends):
        part = problem.within(**{name: (first, last)})
        if parts:
            face = part.domain.at(**{name: first})
            going_on = Condition(face, _continued(parts[-1]), weight, points)
            conditions = (*part.conditions, going_on)
            part = replace(part, conditions=conditions, unknowns=parts[-1].unknowns)
        left = None if time_limit is None else time_limit - (time.monotonic() - started)
        parts.append(solve(parts[-1].model if parts else model, part, time_limit=left, **options))
        if parts[-1].status != "finished":
            break
    return Marched(name, tuple(float(end) for end in ends[: len(parts) + 1]), tuple(parts))


def _continued(before: Solution) -> Any:
    """The equation u = before."""

    def equation(u: Field, x: Tensor) -> tuple[Tensor, ...]:
        return tuple(u[k].value - value for k, value in enumerate(before(x).unbind(1)))

    return equation
