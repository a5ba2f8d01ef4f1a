"""The rivals of symbolic.py: Operon and gplearn, in their own interpreter, nothing of edgewise.

Each takes (x, y, seconds, seed, jobs) and returns a Found, its formulas written with x0, x1, ...
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

Array = np.ndarray


@dataclass(frozen=True, eq=False)
class Found:
    """formula: the pick as text. predict: its values by the method itself. front: all that it
    offers, simplest first, as (complexity, error, formula). notes: how the search went."""

    formula: str
    predict: Callable[[Array], Array]
    front: Sequence[tuple[int, float, str]]
    notes: Sequence[str] = ()


def names(x: Array) -> list[str]:
    return [f"x{i}" for i in range(x.shape[1])]


# --- Operon --------------------------------------------------------------------------------------

# All that the equations need; its default knows arithmetic only.
OPERON_SYMBOLS = "add,sub,mul,div,square,sqrt,exp,log,sin,cos,tanh,asin,constant,variable"
OPERON_DIGITS = 12


def pyoperon(x: Array, y: Array, seconds: float, seed: int, jobs: int) -> Found:
    """The settings that its authors' comparison gives, plus functions; only time ends the search."""
    from pyoperon.sklearn import SymbolicRegressor

    model = SymbolicRegressor(
        allowed_symbols=OPERON_SYMBOLS,
        objectives=["r2", "length"],
        model_selection_criterion="mean_squared_error",
        max_length=20,
        optimizer_iterations=5,
        generations=10**6,
        max_evaluations=10**9,
        max_time=max(1, round(seconds)),
        n_threads=jobs,
        random_state=seed,
    )
    model.fit(x, y)

    def written(tree: object) -> str:
        return model.get_model_string(tree, OPERON_DIGITS, names(x))

    front = [
        (int(one["complexity"]), float(one["mean_squared_error"]) ** 0.5, written(one["tree"]))
        for one in model.pareto_front_
    ]
    return Found(written(model.model_), model.predict, sorted(front))


# --- gplearn -------------------------------------------------------------------------------------

_INFIX = {"add": "+", "sub": "-", "mul": "*", "div": "/"}
# It takes the absolute value before these two.
_PROTECTED = ("log", "sqrt")


def gplearn(x: Array, y: Array, seconds: float, seed: int, jobs: int) -> Found:
    """SRBench's settings, generation after generation until the time is over."""
    from gplearn.genetic import SymbolicRegressor

    until = time.monotonic() + seconds
    model = SymbolicRegressor(
        population_size=1000,
        generations=1,
        tournament_size=20,
        init_depth=(2, 6),
        function_set=("add", "sub", "mul", "div", "log", "sqrt", "sin", "cos"),
        parsimony_coefficient=0.001,
        p_crossover=0.9,
        p_subtree_mutation=0.01,
        p_hoist_mutation=0.01,
        p_point_mutation=0.01,
        p_point_replace=0.05,
        warm_start=True,
        n_jobs=jobs,
        random_state=seed,
    )
    longest = 0.0
    while True:
        started = time.monotonic()
        model.fit(x, y)
        longest = max(longest, time.monotonic() - started)
        exact = model._program.raw_fitness_ <= 1e-12 * float(np.abs(y).mean())
        if exact or time.monotonic() + longest > until:
            break
        model.set_params(generations=model.generations + 1)
    program = model._program
    formula = infix(program.program)
    return Found(formula, model.predict, [(len(program.program), program.raw_fitness_, formula)])


def infix(program: Sequence[object]) -> str:
    """A program of gplearn (prefix order: functions, column numbers, constants) as a formula."""

    def read(at: int) -> tuple[str, int]:
        node = program[at]
        if isinstance(node, (int, np.integer)):
            return f"x{node}", at + 1
        if isinstance(node, (float, np.floating)):
            return f"({float(node)!r})", at + 1
        name, parts = node.name, []
        at += 1
        for _ in range(node.arity):
            part, at = read(at)
            parts.append(part)
        if name in _INFIX:
            return f"({parts[0]} {_INFIX[name]} {parts[1]})", at
        inner = f"abs({parts[0]})" if name in _PROTECTED else parts[0]
        return f"{name}({inner})", at

    return read(0)[0]


METHODS = {"pyoperon": pyoperon, "gplearn": gplearn}
