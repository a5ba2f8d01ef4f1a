"""The Feynman equations: formulas of physics with the ranges on which they are sampled.

The table beside this file holds 100 equations of the AI Feynman database (S.-M. Udrescu and
M. Tegmark, *AI Feynman: a physics-inspired method for symbolic regression*, 2020), with the
corrections of formulas, ranges and units that PhySO's copy (MIT licence) keeps.
"""

from __future__ import annotations

import csv
import difflib
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from importlib import resources

import torch
from torch import Tensor

from edgewise.errors import InputError, ShapeError
from edgewise.problems.arithmetic import arithmetic
from edgewise.problems.dataset import Dataset, as_dataset, create_dataset

Units = tuple[float, ...]


@dataclass(frozen=True)
class Equation:
    """output = formula(variables), variable v drawn uniformly from [low[v], high[v]].

    id: volume, chapter and number in the Feynman Lectures, e.g. "I.6.2". units, output_units:
    the exponents of (m, s, kg, K, V), a tuple for each variable and one for the output.
    """

    id: str
    formula: str
    variables: tuple[str, ...]
    low: tuple[float, ...]
    high: tuple[float, ...]
    units: tuple[Units, ...]
    output: str
    output_units: Units

    def __call__(self, x: Tensor) -> Tensor:
        """The formula's values (N,) at x (N, I), columns in the order of ``variables``."""
        if x.ndim != 2 or x.shape[1] != len(self.variables):
            raise ShapeError(
                f"x has shape {tuple(x.shape)}; expected (N, {len(self.variables)}), a column for "
                f"each of {', '.join(self.variables)}"
            )
        return arithmetic(self.formula, dict(zip(self.variables, x.T, strict=True)))


@cache
def equations() -> tuple[Equation, ...]:
    """All equations, in the order of the table."""
    return tuple(map(_equation, table("feynman_equations.csv")))


def table(file: str) -> Iterator[dict[str, str]]:
    """The lines of a table beside this file."""
    text = resources.files("edgewise.problems").joinpath(file).read_text(encoding="utf-8")
    return csv.DictReader(text.splitlines())


def equation(id: str) -> Equation:
    """The equation of that id.

    Raises InputError: there is none; the message lists the nearest ids.
    """
    return pick(equations(), id, "Feynman equation")


def pick(entries: Sequence[Equation], id: str, kind: str) -> Equation:
    """The entry of that id, or an InputError that lists the nearest ids."""
    found = {entry.id: entry for entry in entries}
    if id not in found:
        near = difflib.get_close_matches(id, list(found), n=5, cutoff=0.5)
        hint = f"nearest: {', '.join(near)}" if near else f"there are {', '.join(found)}"
        raise InputError(f"no {kind} is called {id[:40]!r}; {hint}")
    return found[id]


def dataset(id: str, n: int, *, n_test: int | None = None, seed: int = 0) -> Dataset:
    """n rows to train on and n_test (n if None) to test on, drawn from the equation's ranges."""
    return draw(equation(id), n, n_test=n_test, seed=seed)


def draw(entry: Equation, n: int, *, n_test: int | None = None, seed: int = 0) -> Dataset:
    """As ``dataset``, of an equation at hand."""
    rows = create_dataset(
        entry,
        len(entry.variables),
        list(zip(entry.low, entry.high, strict=True)),
        train_num=n,
        test_num=n if n_test is None else n_test,
        seed=seed,
        dtype=torch.float64,
    )
    return as_dataset(rows, input_names=entry.variables, output_names=(entry.output,))


def _equation(row: dict[str, str]) -> Equation:
    variables = tuple(row["variables"].split(";"))
    units = json.loads(row["units"])
    return Equation(
        id=row["id"],
        formula=row["formula"],
        variables=variables,
        low=tuple(map(float, row["low"].split(";"))),
        high=tuple(map(float, row["high"].split(";"))),
        units=tuple(tuple(units[name]) for name in variables),
        output=row["output"],
        output_units=tuple(json.loads(row["output_units"])),
    )
