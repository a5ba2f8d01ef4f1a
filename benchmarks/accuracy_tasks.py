"""The three tasks of accuracy.py: their data, how edgewise does them, and what is required.

Every function returns rows: dictionaries of what was measured, one a grid or one a run.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

import numpy as np
import torch
from torch import Tensor

from edgewise import KAN, create_dataset
from edgewise.train import History

Data = dict[str, Tensor]
Row = dict

PACKAGES = ("bases", "kernels", "nn", "optim", "problems", "train")


def two(x: Tensor) -> Tensor:
    """exp(sin(pi x_1) + x_2^2)."""
    return torch.exp(torch.sin(math.pi * x[:, [0]]) + x[:, [1]] ** 2)


def four(x: Tensor) -> Tensor:
    """exp((sin(pi (x_1^2 + x_2^2)) + sin(pi (x_3^2 + x_4^2))) / 2)."""
    s = x.square()
    inner = torch.sin(math.pi * (s[:, [0]] + s[:, [1]])) + torch.sin(
        math.pi * (s[:, [2]] + s[:, [3]])
    )
    return torch.exp(inner / 2)


@dataclass(frozen=True)
class Task:
    """name; target and n_var; rows of data; run(data, seed, settings) yields rows.

    settings: what a result depends on besides data and seed. packages: those of edgewise that it
    runs through. passed(rows of one seed) -> whether the requirement holds; needed: how many of
    ten seeds must pass.
    """

    name: str
    title: str
    target: Callable[[Tensor], Tensor]
    n_var: int
    rows: int
    run: Callable[[Data, int, dict], Iterator[Row]]
    passed: Callable[[list[Row], dict], bool]
    requirement: str
    needed: int
    settings: dict = field(default_factory=dict)
    packages: tuple[str, ...] = PACKAGES

    def data(self, seed: int) -> Data:
        return create_dataset(
            self.target, self.n_var, train_num=self.rows, test_num=self.rows, seed=seed
        )


# --- what edgewise does --------------------------------------------------------------------------


def scaling(data: Data, seed: int, settings: dict) -> Iterator[Row]:
    """One network on finer and finer grids, each fitted from the last."""
    model = None
    for grid in settings["grids"]:
        start = time.perf_counter()
        model = KAN([2, 1, 1], grid=grid, seed=seed) if model is None else model.refine(grid)
        history = model.fit(data)
        yield fitted_row(model, data, grid, time.perf_counter() - start, history)


def deep(data: Data, seed: int, settings: dict) -> Iterator[Row]:
    """A cold start on the final grid; what happens between is the library's affair."""
    start = time.perf_counter()
    model = KAN([4, 2, 1, 1], grid=settings["grid"], seed=seed)
    history = model.fit(data, opt="auto")
    yield fitted_row(model, data, settings["grid"], time.perf_counter() - start, history)


def fitted_row(model: KAN, data: Data, grid: int, seconds: float, history: History) -> Row:
    return {
        "grid": grid,
        "rmse": rmse(model, data),
        "train_rmse": rmse(model, data, "train"),
        "seconds": seconds,
        "events": history.events,
    }


def hellokan(data: Data, seed: int, settings: dict) -> Iterator[Row]:
    """From a network that is too wide to the formula."""
    start = time.perf_counter()
    model = KAN([2, 5, 1], seed=seed)
    model.fit(data, lamb=1e-2)
    model = model.prune()
    model.fit()
    refitted = rmse(model, data)
    model.auto_symbolic()
    formula = model.symbolic_formula()
    seconds = time.perf_counter() - start
    yield {
        "rmse": rmse(model, data),
        "refit_rmse": refitted,
        "width": [sum(level) for level in model.width],
        "formula": str(formula),
        "exact": is_target(formula),
        "seconds": seconds,
    }


@torch.no_grad()
def rmse(model: KAN, data: Data, part: str = "test") -> float:
    """Root of the mean square on the rows of ``part``, in numpy and float64."""
    y, target = model(data[f"{part}_input"]).numpy(), data[f"{part}_label"].numpy()
    if y.shape != target.shape:
        raise ValueError(f"The model gave shape {y.shape} for targets of shape {target.shape}.")
    return float(np.sqrt(np.mean((y.astype(np.float64) - target) ** 2)))


def is_target(formula: object) -> bool:
    """Whether the formula is exp(sin(pi x_1) + x_2^2) with exact constants."""
    import sympy

    from edgewise.symbolic.evaluate import symbol

    a, b = symbol("x_1"), symbol("x_2")
    return formula == sympy.exp(sympy.sin(sympy.pi * a) + b**2)


def is_close_to_target(text: str) -> bool:
    """Whether a printed formula is the target once constants are rounded to three decimals, which is
    all that can be asked of a library that leaves them as decimals."""
    import sympy

    from edgewise.errors import FormulaError
    from edgewise.symbolic.evaluate import symbol
    from edgewise.symbolic.parse import parse

    try:
        formula = sympy.expand(parse(text), power_exp=False, power_base=False)
    except FormulaError:
        return False
    a, b = symbol("x_1"), symbol("x_2")
    target = sympy.exp(sympy.sin(sympy.pi.evalf() * a) + b**2)
    return bool(rounded(formula) - rounded(target) == 0)


def rounded(expression):
    """Floats to three decimals; those that are whole become whole numbers."""
    import sympy

    def near(number):
        value = round(float(number), 3)
        return sympy.Integer(int(value)) if value == int(value) else sympy.Float(value)

    return expression.xreplace({n: near(n) for n in expression.atoms(sympy.Float)})


# --- what is required ----------------------------------------------------------------------------


def slope(rows: list[Row]) -> float:
    """Regression slope of log error on log grid; nan below three grids."""
    if len(rows) < 3 or not all(finite(row) for row in rows):
        return math.nan
    grids, errors = (np.log([row[name] for row in rows]) for name in ("grid", "rmse"))
    return float(np.polyfit(grids, errors, 1)[0])


def finite(row: Row) -> bool:
    return row.get("rmse") is not None and math.isfinite(row["rmse"])


def scaling_passed(rows: list[Row], settings: dict) -> bool:
    return (
        [row.get("grid") for row in rows] == list(settings["grids"])
        and finite(rows[-1])
        and rows[-1]["rmse"] <= settings["at_most"]
        and abs(slope(rows) + 4) <= 0.3
    )


def deep_passed(rows: list[Row], settings: dict) -> bool:
    return bool(rows) and finite(rows[-1]) and rows[-1]["rmse"] <= settings["at_most"]


def found(rows: list[Row]) -> bool:
    """The formula from a network pruned to [2, 1, 1], and nothing lost on test rows."""
    if not rows or "formula" not in rows[-1] or not finite(rows[-1]):
        return False
    row = rows[-1]
    right = row["exact"] if "exact" in row else is_close_to_target(row["formula"])
    return right and row["width"] == [2, 1, 1] and row["rmse"] <= 1e-10


def hellokan_passed(rows: list[Row], settings: dict) -> bool:
    """Found, with exact constants."""
    return found(rows) and rows[-1].get("exact", False)


def tasks(short: bool) -> tuple[Task, ...]:
    """The tasks in full, or in the short form that a test can wait for."""
    grids, at_most = ((3, 5, 10, 20), 3e-5) if short else ((3, 5, 10, 20, 50, 100), 5e-8)
    grid, error = (10, 1e-3) if short else (20, 1e-5)
    return (
        Task(
            "scaling",
            "exp(sin(pi x1) + x2^2) on [2,1,1], 3000 rows, grid after grid",
            two,
            2,
            3000,
            scaling,
            scaling_passed,
            f"test RMSE <= {at_most:.0e} at G = {grids[-1]}, slope -4 +- 0.3",
            10,
            {"grids": list(grids), "at_most": at_most},
        ),
        Task(
            "deep",
            "exp((sin pi(x1^2+x2^2) + sin pi(x3^2+x4^2))/2) on [4,2,1,1], 3000 rows",
            four,
            4,
            3000,
            deep,
            deep_passed,
            f"test RMSE <= {error:.0e} at G = {grid}",
            9,
            {"grid": grid, "at_most": error},
        ),
        Task(
            "hellokan",
            "the formula exp(sin(pi x1) + x2^2) from [2,5,1], 1000 rows",
            two,
            2,
            1000,
            hellokan,
            hellokan_passed,
            "pruned to [2,1,1], formula exact, test RMSE <= 1e-10",
            9,
            {},
            (*PACKAGES, "interpret", "symbolic"),
        ),
    )
