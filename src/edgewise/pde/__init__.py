"""Differential equations: problems on boxes, solved by networks whose derivatives are exact."""

from edgewise.pde.domain import Box, Points, Union
from edgewise.pde.field import Field
from edgewise.pde.march import Marched, march
from edgewise.pde.points import Collocation
from edgewise.pde.problem import Ansatz, Condition, Problem
from edgewise.pde.solution import Solution
from edgewise.pde.solve import solve

__all__ = [
    "Ansatz",
    "Box",
    "Collocation",
    "Condition",
    "Field",
    "Marched",
    "Points",
    "Problem",
    "Solution",
    "Union",
    "march",
    "solve",
]
