"""Samples of a function or of the world, checked once at the border.

Shapes: x (N, I), y (N, O), weight (N,).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from edgewise.errors import DataError, InputError, ShapeError
from edgewise.problems.arrays import check_finite, to_tensor, to_weight


@dataclass(frozen=True, eq=False)
class Samples:
    """Rows of inputs and outputs: x (N, I), y (N, O), weight (N,) >= 0, or None for all ones."""

    x: Tensor
    y: Tensor
    weight: Tensor | None = None

    def __len__(self) -> int:
        return self.x.shape[0]

    def rows(self, index: Tensor | slice) -> Samples:
        """The rows of an index (n,) of places or (N,) bool, or of a slice."""
        weight = None if self.weight is None else self.weight[index]
        return Samples(self.x[index], self.y[index], weight)

    def thinned(self, most: int) -> Samples:
        """At most ``most`` rows, every n-th one."""
        return self.rows(slice(None, None, max(1, math.ceil(len(self) / most))))

    def to(self, device: torch.device | str, dtype: torch.dtype) -> Samples:
        weight = None if self.weight is None else self.weight.to(device, dtype)
        return Samples(self.x.to(device, dtype), self.y.to(device, dtype), weight)

    def __repr__(self) -> str:
        weighted = "" if self.weight is None else ", weighted"
        return f"Samples({len(self)} rows, {self.x.shape[1]} -> {self.y.shape[1]}{weighted})"


@dataclass(frozen=True, eq=False)
class Dataset:
    """What a model is fitted on (train), what it is judged on (test), and the columns' names."""

    train: Samples
    test: Samples | None
    input_names: tuple[str, ...]
    output_names: tuple[str, ...]


# --- from a function -------------------------------------------------------------------------


def create_dataset(
    f: Callable[[Tensor], Tensor],
    n_var: int = 2,
    ranges: Any = (-1, 1),
    *,
    train_num: int = 1000,
    test_num: int = 1000,
    seed: int = 0,
    f_mode: str = "col",
    dtype: torch.dtype = torch.float64,
    device: torch.device | str = "cpu",
) -> dict[str, Tensor]:
    """Draw uniform points in a box and label them with f.

    ranges: one pair (low, high) for all variables, or n_var pairs.
    f_mode "col": f takes x (N, n_var), so that a variable is ``x[:, [i]]``, and returns (N, O) or
    (N,); "row": f takes x (n_var, N), so that a variable is ``x[i]``, and returns (N,), (O, N) or
    (N, O). A one-dimensional result is one output, a column.

    Returns the tensors train_input (train_num, n_var), train_label (train_num, O), test_input,
    test_label. The same seed gives the same points on every device; torch's own random state is
    neither read nor changed.

    Raises InputError for arguments that do not fit, ShapeError when f returns another shape, and
    DataError when f is not finite at one of the points.
    """
    for name, count in (("n_var", n_var), ("train_num", train_num), ("test_num", test_num)):
        if isinstance(count, bool) or not isinstance(count, (int, np.integer)) or count < 1:
            raise InputError(f"{name} is {count!r}; a whole number of at least 1 is expected")
    if f_mode not in ("col", "row"):
        raise InputError(f"f_mode is {f_mode!r}; expected 'col' or 'row'")
    if not dtype.is_floating_point:
        raise InputError(f"dtype is {dtype}; a floating-point dtype is expected")
    low, high = _box(ranges, n_var)
    generator = torch.Generator().manual_seed(seed)

    dataset = {}
    for part, count in (("train", train_num), ("test", test_num)):
        unit = torch.rand(count, n_var, generator=generator, dtype=torch.float64)
        x = (low + (high - low) * unit).to(device=device, dtype=dtype)
        dataset[f"{part}_input"] = x
        dataset[f"{part}_label"] = _label(f, x, f_mode)
    return dataset


def _box(ranges: Any, n_var: int) -> tuple[Tensor, Tensor]:
    """The corners (n_var,) of the box; `ranges` is a pair or n_var pairs."""
    expected = f"ranges is {ranges!r}; a pair (low, high) or {n_var} such pairs are expected"
    try:
        box = torch.as_tensor(np.array(ranges, dtype=np.float64))
    except (TypeError, ValueError) as error:
        raise InputError(expected) from error
    if box.shape == (2,):
        box = box.expand(n_var, 2)
    if box.shape != (n_var, 2):
        raise InputError(expected)
    low, high = box[:, 0], box[:, 1]
    if not torch.isfinite(box).all() or not (low < high).all():
        raise InputError(f"ranges is {ranges!r}; each low must be below its high, both finite")
    return low, high


def _label(f: Callable[[Tensor], Tensor], x: Tensor, f_mode: str) -> Tensor:
    """f at the rows of x as (N, O), checked."""
    N = x.shape[0]
    y = f(x if f_mode == "col" else x.T)
    if not isinstance(y, Tensor):
        raise ShapeError(f"f returned {type(y).__name__}; a torch.Tensor of {N} rows is expected")
    if y.is_complex():
        raise ShapeError("f returned complex numbers; return real and imaginary part as columns")
    shape = tuple(y.shape)
    if y.ndim == 1:
        y = y[:, None]
    if f_mode == "row" and y.ndim == 2 and y.shape[0] != N:
        y = y.T
    if y.ndim != 2 or y.shape[0] != N or y.shape[1] == 0:
        raise ShapeError(
            f"f returned shape {shape} for {N} points (f_mode={f_mode!r}); expected ({N},) or"
            f" ({N}, outputs): nothing is broadcast, so a constant must be written for every row"
        )
    y = y.detach().to(x.dtype)
    bad = ~torch.isfinite(y)
    if bad.any():
        row, column = (int(v) for v in bad.nonzero()[0])
        raise DataError(
            f"f is {y[row, column].item()} at x = {x[row].tolist()} (output {column});"
            " choose ranges inside the function's domain"
        )
    return y


# --- from arrays -----------------------------------------------------------------------------


def as_dataset(
    data: Any,
    *,
    input_names: Sequence[str] | None = None,
    output_names: Sequence[str] | None = None,
) -> Dataset:
    """Check data of any accepted form and return it as a Dataset.

    data: a Dataset; a dict with train_input and train_label, and maybe test_input, test_label,
    train_weight, test_weight; or a tuple (x, y) or (x, y, weight). Arrays may be torch, numpy,
    pandas or nested lists; y may be one-dimensional. Whole numbers and booleans become float64;
    floats keep their precision, the wider one where x and y differ. Torch tensors are not copied.
    Names default to a data frame's columns, then to x_1, x_2, ... and y_1, y_2, ...

    Raises ShapeError for a shape or dtype that does not fit and DataError for a cell that is not
    finite, naming column and row (rows of arrays count from 0).
    """
    if isinstance(data, Dataset):
        input_names = data.input_names if input_names is None else input_names
        output_names = data.output_names if output_names is None else output_names
        train = (data.train.x, data.train.y, data.train.weight)
        test = (data.test.x, data.test.y, data.test.weight) if data.test is not None else None
    elif isinstance(data, Mapping):
        train, test = _parts(data)
    elif isinstance(data, (tuple, list)) and len(data) in (2, 3):
        train, test = (data[0], data[1], data[2] if len(data) == 3 else None), None
    else:
        raise InputError(
            f"data is {type(data).__name__}; expected (x, y), (x, y, weight), a dict with"
            " train_input and train_label, or a Dataset"
        )
    input_names = _frame_names(train[0]) if input_names is None else input_names
    output_names = _frame_names(train[1]) if output_names is None else output_names

    first = _samples(*train, "train", input_names, output_names)
    second = _samples(*test, "test", input_names, output_names) if test is not None else None
    if second is not None:
        for letter, ours, theirs in (("x", first.x, second.x), ("y", first.y, second.y)):
            if ours.shape[1] != theirs.shape[1]:
                raise ShapeError(
                    f"train {letter} has {ours.shape[1]} columns and test {letter}"
                    f" {theirs.shape[1]}; they must be the same variables"
                )
    return Dataset(
        first,
        second,
        _names(input_names, first.x.shape[1], "x"),
        _names(output_names, first.y.shape[1], "y"),
    )


def _parts(data: Mapping[str, Any]) -> tuple[tuple[Any, Any, Any], tuple[Any, Any, Any] | None]:
    """(x, y, weight) of train, and of test when it is there."""
    for needed in ("train_input", "train_label"):
        if needed not in data:
            raise InputError(
                f"the data dict has no {needed!r} (it has {sorted(map(str, data))});"
                " expected train_input and train_label, and maybe test_input and test_label"
            )
    if ("test_input" in data) != ("test_label" in data):
        raise InputError("the data dict has only one of test_input and test_label; give both")
    train = (data["train_input"], data["train_label"], data.get("train_weight"))
    if "test_input" not in data:
        return train, None
    return train, (data["test_input"], data["test_label"], data.get("test_weight"))


def _frame_names(values: Any) -> tuple[str, ...] | None:
    """Column names of a data frame or series, read without importing its library."""
    if hasattr(values, "columns"):
        return tuple(str(name) for name in values.columns)
    if hasattr(values, "iloc") and getattr(values, "name", None) is not None:
        return (str(values.name),)
    return None


def _names(names: Sequence[str] | None, count: int, letter: str) -> tuple[str, ...]:
    """The given names, checked, or x_1, ..., x_count."""
    if names is None:
        return tuple(f"{letter}_{i + 1}" for i in range(count))
    names = (names,) if isinstance(names, str) else tuple(names)
    if len(names) != count:
        raise InputError(f"{len(names)} names were given for the {count} columns of {letter}")
    if len(set(names)) != count or not all(isinstance(n, str) and n.strip() for n in names):
        raise InputError(f"the names {names} of {letter} must be different, non-empty texts")
    return names


def _samples(
    x: Any,
    y: Any,
    weight: Any,
    part: str,
    input_names: Sequence[str] | None,
    output_names: Sequence[str] | None,
) -> Samples:
    """One checked part; x and y in one floating dtype on one device."""
    x, y = to_tensor(x, f"{part} x"), to_tensor(y, f"{part} y")
    y = y[:, None] if y.ndim == 1 else y
    for letter, values in (("x", x), ("y", y)):
        if values.ndim != 2 or values.shape[1] == 0:
            raise ShapeError(
                f"{part} {letter} has shape {tuple(values.shape)}; expected (rows, columns) with at"
                " least one column: make a single variable a column by [:, None]"
            )
    if x.shape[0] != y.shape[0]:
        raise ShapeError(f"{part} x has {x.shape[0]} rows and {part} y {y.shape[0]}; give as many")
    if x.shape[0] == 0:
        raise ShapeError(f"{part} x and y have no rows; at least one is needed")
    if x.device != y.device:
        raise ShapeError(f"{part} x is on {x.device} and y on {y.device}; move one of them")
    dtype = torch.promote_types(x.dtype, y.dtype)
    x, y = x.to(dtype), y.to(dtype)
    check_finite(x, _names(input_names, x.shape[1], "x"), f"{part} x")
    check_finite(y, _names(output_names, y.shape[1], "y"), f"{part} y")
    if weight is not None:
        weight = to_weight(weight, x, part)
    return Samples(x, y, weight)
