"""The tasks of kan_vs_mlp.py: formulas, tables, an image and a sequence."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from sklearn import datasets
from sklearn.model_selection import train_test_split
from torch import Tensor

from edgewise.problems import feynman

# Rows to train on and to test on of each formula, and the seed of what is drawn and split.
FORMULA_ROWS = 1000
SEED = 0
LAGS = 16


@dataclass(frozen=True)
class Rows:
    """x (N, n) float32; y (N, 1) float32, or (N,) int64 where it is a class."""

    x: Tensor
    y: Tensor


@dataclass(frozen=True)
class Task:
    """kind: "formula", "table", "image" or "sequence". classes: 0 for a number to predict.

    train, test: 70 % and 30 % of the rows; early, validation: 75 % and 25 % of the training rows. A
    sequence is split by time, the others at random, with as many of each class.
    """

    name: str
    kind: str
    classes: int
    train: Rows
    test: Rows
    early: Rows
    validation: Rows

    @property
    def inputs(self) -> int:
        return self.train.x.shape[1]

    @property
    def outputs(self) -> int:
        return self.classes or 1


def standardised(train: Rows, held: Rows) -> tuple[Rows, Rows]:
    """Both by mean and standard deviation of the first's columns; classes stay as they are."""

    def scaled(of: Tensor, values: Tensor) -> Tensor:
        spread = of.std(0)
        return ((values - of.mean(0)) / torch.where(spread > 0, spread, 1.0)).float()

    def rows(part: Rows) -> Rows:
        y = scaled(train.y, part.y) if part.y.is_floating_point() else part.y
        return Rows(scaled(train.x, part.x), y)

    return rows(train), rows(held)


# --- where the rows come from: x (N, n) float64, y (N,) ------------------------------------------

Arrays = tuple[np.ndarray, np.ndarray]


def sine_in_exp() -> Arrays:
    """exp(sin(pi x) + y^2) on [-1, 1]^2."""
    x = np.random.default_rng(SEED).uniform(-1, 1, (_drawn(), 2))
    return x, np.exp(np.sin(np.pi * x[:, 0]) + x[:, 1] ** 2)


def equation(name: str) -> Callable[[], Arrays]:
    def drawn() -> Arrays:
        rows = feynman.dataset(name, _drawn(), n_test=1, seed=SEED).train
        return rows.x.numpy(), rows.y[:, 0].numpy()

    return drawn


def _drawn() -> int:
    """Rows of which 70 % are FORMULA_ROWS."""
    return round(FORMULA_ROWS / 0.7)


def friedman() -> Arrays:
    """Friedman's first function of 5 of 10 inputs, with noise of standard deviation 1."""
    return datasets.make_friedman1(500, noise=1.0, random_state=SEED)


def mackey_glass() -> Arrays:
    """16 values of the series, 6 time units apart, and the next one."""
    series = delayed(9000)[600::6]
    windows = np.lib.stride_tricks.sliding_window_view(series, LAGS + 1)
    return windows[:, :-1].copy(), windows[:, -1].copy()


def delayed(units: int) -> np.ndarray:
    """x' = 0.2 x_17 / (1 + x_17^10) - 0.1 x at t = 0, 1, .. units, x_17 = x(t - 17); x = 1.2 before 0.

    Runge-Kutta of fourth order with 10 steps a unit; x_17 between two steps is their mean.
    Reference: M. Mackey, L. Glass, *Oscillation and Chaos in Physiological Control Systems* (1977).
    """
    step, lag = 0.1, 170
    x = [1.2] * (lag + 1)

    def slope(value: float, late: float) -> float:
        return 0.2 * late / (1 + late**10) - 0.1 * value

    for _ in range(10 * units):
        now, first, last = x[-1], x[-lag - 1], x[-lag]
        middle = (first + last) / 2
        a = slope(now, first)
        b = slope(now + step / 2 * a, middle)
        c = slope(now + step / 2 * b, middle)
        d = slope(now + step * c, last)
        x.append(now + step / 6 * (a + 2 * b + 2 * c + d))
    return np.array(x[lag::10])


@dataclass(frozen=True)
class Source:
    kind: str
    rows: Callable[[], Arrays]
    classes: int = 0


def _shipped(load: Callable[..., Arrays]) -> Callable[[], Arrays]:
    return lambda: load(return_X_y=True)


# The kinds take turns, so that the first runs of a long comparison already have all of them.
SOURCES = {
    "exp(sin)": Source("formula", sine_in_exp),
    "diabetes": Source("table", _shipped(datasets.load_diabetes)),
    "digits": Source("image", _shipped(datasets.load_digits), 10),
    "Mackey-Glass": Source("sequence", mackey_glass),
    "I.12.11": Source("formula", equation("I.12.11")),
    "wine": Source("table", _shipped(datasets.load_wine), 3),
    "I.29.16": Source("formula", equation("I.29.16")),
    "friedman1": Source("table", friedman),
    "I.6.2": Source("formula", equation("I.6.2")),
    "cancer": Source("table", _shipped(datasets.load_breast_cancer), 2),
    "I.40.1": Source("formula", equation("I.40.1")),
    "iris": Source("table", _shipped(datasets.load_iris), 3),
    "I.9.18": Source("formula", equation("I.9.18")),
}


def task(name: str) -> Task:
    source = SOURCES[name]
    x, y = source.rows()
    target = torch.as_tensor(y).long() if source.classes else torch.as_tensor(y).double()[:, None]
    rows = Rows(torch.as_tensor(x).double(), target)
    train, test = halves(rows, 0.3, source)
    return Task(name, source.kind, source.classes, train, test, *halves(train, 0.25, source))


def halves(rows: Rows, held: float, source: Source) -> tuple[Rows, Rows]:
    """Two parts of the rows, ``held`` of them in the second."""
    N = len(rows.y)
    if source.kind == "sequence":
        first = N - math.ceil(held * N)
        return Rows(rows.x[:first], rows.y[:first]), Rows(rows.x[first:], rows.y[first:])
    classes = rows.y.numpy() if source.classes else None
    parts = train_test_split(np.arange(N), test_size=held, stratify=classes, random_state=SEED)
    first, second = (torch.as_tensor(part) for part in parts)
    return Rows(rows.x[first], rows.y[first]), Rows(rows.x[second], rows.y[second])
