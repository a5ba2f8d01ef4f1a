"""An equation, where it holds, and what else the function must do."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from torch import Tensor

from edgewise.bases.base import check_count
from edgewise.errors import InputError
from edgewise.pde.domain import Box, Region
from edgewise.pde.field import Equation

Map = Callable[[Tensor], Tensor]


@dataclass(frozen=True)
class Condition:
    """equation(u, x) = 0 on a region.

    equation: takes a Field and its points x (B, d) and returns one number a point, (B,), or a tuple of
    such. weight: of the mean square of what it leaves. points: how many to draw.
    """

    region: Region
    equation: Equation
    weight: float = 1.0
    points: int = 200

    def __post_init__(self) -> None:
        check_count("points", self.points, 1)
        if not 0.0 < self.weight < math.inf:
            raise InputError(f"weight is {self.weight}; expected a finite number above 0.")


@dataclass(frozen=True)
class Ansatz:
    """u(x) = plus(x) + times(x) N(inputs(x)), with N the network.

    A ``times`` that is 0 on a face makes u = plus there, exactly. ``inputs`` such as cos(pi x) and
    sin(pi x) make u periodic. Each takes x (B, d) row by row; plus and times give (B, Y), or (B, 1)
    for all outputs. What is left out is 0, 1 and x.
    """

    times: Map | None = None
    plus: Map | None = None
    inputs: Map | None = None


@dataclass(frozen=True)
class Problem:
    """The equation on the domain, with conditions, all to hold in the sense of least squares.

    ::

        loss = mean of equation(u)^2 + sum of weight * mean of condition(u)^2

    points: of the domain, for the equation. unknowns: numbers that are sought with u, by name, with the
    values to start from; equations read them as ``u.unknown["name"]``.
    """

    domain: Box
    equation: Equation
    conditions: Sequence[Condition] = ()
    points: int = 2000
    ansatz: Ansatz = Ansatz()
    unknowns: Mapping[str, float] = field(default_factory=dict)

    def __post_init__(self) -> None:
        check_count("points", self.points, 1)
        for condition in self.conditions:
            if condition.region.names != self.domain.names:
                raise InputError(
                    f"A condition's region has the coordinates {condition.region.names}, the domain "
                    f"{self.domain.names}; they need the same in the same order."
                )

    @property
    def terms(self) -> tuple[Condition, ...]:
        """The equation itself, and the conditions."""
        return (Condition(self.domain, self.equation, 1.0, self.points), *self.conditions)

    def within(self, **ranges: tuple[float, float]) -> Problem:
        """The same on a part of the domain, without the conditions that lie outside:
        problem.within(t=(0, 0.5))."""
        domain = self.domain.within(**ranges)
        if domain is None:
            raise InputError(f"{ranges} lies outside the domain, {self.domain}.")
        kept = tuple(
            replace(condition, region=region)
            for condition in self.conditions
            if (region := condition.region.within(**ranges)) is not None
        )
        return replace(self, domain=domain, conditions=kept)
