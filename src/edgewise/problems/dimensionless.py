"""Twenty-seven Feynman equations without units, on which KANs were first measured.

The formulas are those of Liu et al., *KAN* (2024), table 2, which does not state its ranges. Those in the
table beside this file are this library's own: angles run over a full turn, other variables over a factor
of three at least (most from 1 to 5, as in the AI Feynman database), inside the formula's domain.
"""

from __future__ import annotations

from functools import cache

import torch

from edgewise.problems.arithmetic import arithmetic
from edgewise.problems.dataset import Dataset
from edgewise.problems.feynman import Equation, draw, pick, table

_NO_UNIT = (0.0,) * 5


@cache
def equations() -> tuple[Equation, ...]:
    """All equations, in the order of the paper's table."""
    return tuple(map(_equation, table("dimensionless_equations.csv")))


def equation(id: str) -> Equation:
    """The equation of that id.

    Raises InputError: there is none; the message lists the nearest ids.
    """
    return pick(equations(), id, "dimensionless Feynman equation")


def dataset(id: str, n: int, *, n_test: int | None = None, seed: int = 0) -> Dataset:
    """n rows to train on and n_test (n if None) to test on, drawn from the equation's ranges."""
    return draw(equation(id), n, n_test=n_test, seed=seed)


def _equation(row: dict[str, str]) -> Equation:
    variables = tuple(row["variables"].split(";"))
    return Equation(
        id=row["id"],
        formula=row["formula"],
        variables=variables,
        low=_numbers(row["low"]),
        high=_numbers(row["high"]),
        units=(_NO_UNIT,) * len(variables),
        output="f",
        output_units=_NO_UNIT,
    )


def _numbers(text: str) -> tuple[float, ...]:
    """Numbers such as 2*pi, between semicolons."""
    return tuple(float(torch.as_tensor(arithmetic(word, {}))) for word in text.split(";"))
