"""Auxiliary variables: input columns computed from the others."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any, TypeAlias

import sympy
import torch
from torch import Tensor

from ..errors import InputError
from ..problems.dataset import Dataset, Samples, as_dataset
from .evaluate import evaluate
from .parse import parse

Column: TypeAlias = str | sympy.Expr | Callable[[Tensor], Tensor]


def augment(data: Any, columns: Mapping[str, Column], *, keep: bool = True) -> Dataset:
    """The data with more input columns, computed from those that are there.

    data: whatever ``KAN.fit`` takes. columns: name -> a formula in the inputs' names (text or sympy),
    or a function of x (N, I) that gives (N,) or (N, 1); a formula may use the columns before it.
    keep=False leaves out the columns of ``data`` itself. The names of unnamed inputs are x_1, x_2, ...
    In train and test rows alike. Raises InputError for a name that is taken, FormulaError for a
    formula that is not understood, DataError for a column that is not finite.
    """
    data = as_dataset(data)
    names = [*data.input_names, *columns]
    if len(set(names)) < len(names):
        raise InputError(
            f"The inputs would be called {names}; each name can stand there only once."
        )
    first = 0 if keep else len(data.input_names)

    def widened(samples: Samples) -> Samples:
        x = samples.x
        for n, column in enumerate(columns.values(), start=len(data.input_names)):
            x = torch.cat([x, _values(column, x, samples.x, names[:n])], dim=1)
        return replace(samples, x=x[:, first:])

    test = None if data.test is None else widened(data.test)
    made = replace(data, train=widened(data.train), test=test, input_names=tuple(names[first:]))
    return as_dataset(made)


def _values(column: Column, x: Tensor, given: Tensor, names: list[str]) -> Tensor:
    """One column (N, 1): a function sees the given inputs, a formula all columns so far."""
    if callable(column) and not isinstance(column, sympy.Basic):
        values = column(given)
        if not isinstance(values, Tensor) or values.shape not in ((len(x),), (len(x), 1)):
            raise InputError(f"A column's function must give a tensor of {len(x)} rows, one a row.")
        return values.reshape(-1, 1).to(x)
    expression = parse(column, names) if isinstance(column, str) else column
    known = dict(zip(names, x.T, strict=True))
    return evaluate(expression, known).to(x).expand(len(x))[:, None]
