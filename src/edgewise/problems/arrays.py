"""From what users bring (numpy, pandas, lists, torch) to checked tensors."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from edgewise.errors import DataError, ShapeError


def _from_array(values: Any, what: str) -> Tensor:
    """A tensor from anything that numpy reads as numbers; shares memory where it safely can."""
    try:
        array = np.asarray(values)
    except (TypeError, ValueError) as error:
        raise ShapeError(f"{what} is not a table of numbers: {error}") from error
    if array.dtype == object:
        # Frames of mixed number types arrive as objects; None becomes NaN, text must not pass.
        try:
            if any(isinstance(value, (str, bytes)) for value in array.flat):
                raise TypeError("it holds text")
            array = array.astype(np.float64)
        except (TypeError, ValueError) as error:
            raise ShapeError(f"{what} is not a table of numbers: {error}") from error
    if array.dtype.kind == "c":
        raise ShapeError(f"{what} is complex; give real and imaginary part as two columns")
    if array.dtype.kind not in "fiub":
        raise ShapeError(f"{what} has dtype {array.dtype}; numbers are expected, not text or dates")
    if array.dtype.kind in "iub" or (array.dtype.itemsize > 8 and array.dtype.kind == "f"):
        array = array.astype(np.float64)
    if not array.dtype.isnative:
        array = array.astype(array.dtype.newbyteorder("="))
    # torch warns of arrays that it could write to by accident, and knows no negative strides.
    shareable = array.flags.writeable and all(stride >= 0 for stride in array.strides)
    return torch.from_numpy(array if shareable else array.copy())


def to_tensor(values: Any, what: str) -> Tensor:
    """A real floating tensor, without gradient history; whole numbers become float64."""
    if not isinstance(values, Tensor):
        values = _from_array(values, what)
    if values.is_complex():
        raise ShapeError(f"{what} is complex; give real and imaginary part as two columns")
    if values.layout is not torch.strided:
        raise ShapeError(f"{what} is a sparse tensor; convert it by .to_dense()")
    return values.detach() if values.is_floating_point() else values.detach().to(torch.float64)


def to_weight(weight: Any, x: Tensor, part: str) -> Tensor:
    """Weights (N,) in the dtype and on the device of x: finite, not negative, not all zero."""
    weight = to_tensor(weight, f"{part} weight")
    if weight.shape != (x.shape[0],):
        raise ShapeError(
            f"{part} weight has shape {tuple(weight.shape)}; expected ({x.shape[0]},), one a row"
        )
    weight = weight.to(dtype=x.dtype, device=x.device)
    bad = ~(torch.isfinite(weight) & (weight >= 0))
    if bad.any():
        row = int(bad.nonzero()[0])
        raise DataError(
            f"{part} weight of row {row} is {weight[row].item()}; weights are finite and >= 0"
        )
    if not (weight > 0).any():
        raise DataError(f"every {part} weight is zero; at least one row must count")
    return weight


def check_finite(values: Tensor, names: Sequence[str], what: str) -> None:
    """Raise DataError at the first cell that is NaN or infinite."""
    bad = ~torch.isfinite(values)
    if not bad.any():
        return
    row, column = (int(v) for v in bad.nonzero()[0])
    raise DataError(
        f"{what}, column {names[column]!r} (index {column}), row {row} (counted from 0) is"
        f" {values[row, column].item()}; {int(bad.sum())} such cells: remove the rows or fill them"
    )
