"""The problems of symbolic.py: the Feynman equations with variables x0, x1, ..., and their rows."""

from __future__ import annotations

import zlib
from dataclasses import dataclass
from functools import cache

import numpy as np
import torch

from edgewise.errors import FormulaError
from edgewise.problems import feynman
from edgewise.symbolic.evaluate import symbol
from edgewise.symbolic.parse import parse
from edgewise.symbolic.printing import text

Array = np.ndarray

TRAIN_MOST = 10_000
TEST_SHARE = 0.25
FRESH = 1000
# How often rows are drawn to replace those outside the truth's domain.
_AGAIN = 20

# Of rising difficulty: products, sums, square roots, a phase, rational functions, two nested functions.
SHORT = (
    "I.12.1",
    "I.14.4",
    "I.29.4",
    "II.27.18",
    "I.47.23",
    "II.3.24",
    "I.12.11",
    "I.10.7",
    "I.6.2a",
    "I.37.4",
    "I.16.6",
    "III.9.52",
)


@dataclass(frozen=True)
class Problem:
    """y = formula(x0, x1, ...), x_i drawn uniformly from [low[i], high[i]].

    The names say nothing of what the variables are: no method can look the law up.
    """

    name: str
    formula: str
    variables: tuple[str, ...]
    low: tuple[float, ...]
    high: tuple[float, ...]

    @property
    def positive(self) -> tuple[str, ...]:
        """The variables that are positive on their whole range."""
        return tuple(n for n, a in zip(self.variables, self.low, strict=True) if a > 0)

    def __call__(self, x: Array) -> Array:
        """The truth (N,) at x (N, I), float64; NaN or infinite outside its domain."""
        return feynman.equation(self.name)(torch.from_numpy(x)).numpy()


@dataclass(frozen=True, eq=False)
class Rows:
    """Rows to train on, with noise on the target, and to test on, without."""

    train_x: Array
    train_y: Array
    test_x: Array
    test_y: Array


@cache
def problems() -> dict[str, Problem]:
    """name -> problem, in the table's order."""
    return {entry.id: _problem(entry) for entry in feynman.equations()}


def _problem(entry: feynman.Equation) -> Problem:
    variables = tuple(f"x{i}" for i in range(len(entry.variables)))
    given = parse(entry.formula, entry.variables)
    renamed = given.xreplace(
        {symbol(old): symbol(new) for old, new in zip(entry.variables, variables, strict=True)}
    )
    return Problem(entry.id, text(renamed, repr), variables, entry.low, entry.high)


def draw(problem: Problem, noise: float, seed: int, rows: int) -> Rows:
    """``rows`` rows, three in four to train on (at most 10,000), the others to test on.

    The training target is y + N(0, noise RMS(y)); x is the same at every noise. Deterministic in
    problem, noise, seed and rows.
    """
    stream = (seed, zlib.crc32(problem.name.encode()))
    low, high = np.array(problem.low), np.array(problem.high)
    x = _inside(problem, low, high, rows, np.random.default_rng(stream))
    test = round(TEST_SHARE * rows)
    train = min(rows - test, TRAIN_MOST)
    y = problem(x)
    kept = y[test : test + train]
    scale = noise * np.sqrt(np.mean(np.square(kept)))
    added = scale * np.random.default_rng((*stream, 1)).standard_normal(train)
    return Rows(x[test : test + train], kept + added, x[:test], y[:test])


def fresh(problem: Problem, seed: int) -> tuple[Array, Array]:
    """Points (1000, I) where the truth is finite, from ranges half as wide again, and the truth.

    A variable that is positive in the data stays so: sqrt(x y) and sqrt(x) sqrt(y) are one law.
    """
    low, high = np.array(problem.low), np.array(problem.high)
    more = (high - low) / 4
    least = np.where(low > 0, np.maximum(low - more, low / 2), low - more)
    stream = (seed, zlib.crc32(problem.name.encode()), 2)
    x = _inside(problem, least, high + more, FRESH, np.random.default_rng(stream))
    return x, problem(x)


def _inside(
    problem: Problem, low: Array, high: Array, rows: int, generator: np.random.Generator
) -> Array:
    """Uniform rows of the box at which the truth is finite.

    Raises FormulaError where the box holds hardly any.
    """
    parts: list[Array] = []
    for _ in range(_AGAIN):
        x = generator.uniform(low, high, (rows, len(problem.variables)))
        parts.append(x[np.isfinite(problem(x))])
        if sum(map(len, parts)) >= rows:
            return np.concatenate(parts)[:rows]
    raise FormulaError(f"{problem.name} is hardly anywhere finite between {low} and {high}")
