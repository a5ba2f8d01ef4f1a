"""Parquet files, through pyarrow where it is installed."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from edgewise.errors import DataError, FileError, MissingDependencyError
from edgewise.problems.columns import Column, Fault

_PANDAS_INDEX = re.compile(r"__index_level_\d+__")


class ParquetFile:
    """A Parquet table; names: its columns. Raises FileError when it cannot be read."""

    def __init__(self, path: Path) -> None:
        try:
            import pyarrow
            import pyarrow.parquet
        except ImportError as error:
            raise MissingDependencyError(
                f"reading {path} needs pyarrow, which is not installed:"
                ' pip install "edgewise[parquet]"'
            ) from error
        self.path = path
        try:
            table = pyarrow.parquet.ParquetFile(path).read()
        except (pyarrow.ArrowException, OSError, ValueError) as error:
            reason = str(error).split("\n")[0]
            raise FileError(
                f"{path} is not a complete Parquet file ({reason}); write or copy it again"
            ) from error
        # The index that pandas adds is no column of the user's.
        kept = [j for j, n in enumerate(table.column_names) if not _PANDAS_INDEX.fullmatch(n)]
        self._arrays = [table.column(j) for j in kept]
        self.names = tuple(table.column_names[j].strip() for j in kept)
        if not self.names:
            raise DataError(f"{path} has no columns")
        if table.num_rows == 0:
            raise DataError(f"{path} has columns ({', '.join(self.names[:20])}) but no rows")

    def columns(self, wanted: Sequence[int]) -> list[Column | Fault]:
        """The columns of these indices."""
        return [_column(self.names[j], self._arrays[j]) for j in wanted]


def _column(name: str, array: Any) -> Column | Fault:
    """One pyarrow column; numbers, decimals and booleans become float64."""
    from pyarrow import types

    kind = array.type
    if types.is_boolean(kind):
        array = array.cast("int8")
    elif types.is_decimal(kind):
        array = array.cast("float64")
    elif not (types.is_integer(kind) or types.is_floating(kind)):
        return Fault(name, "data row 1", f"the column is of type {kind}", text_only=True)
    if array.null_count:
        row = int(np.flatnonzero(array.is_null().to_numpy())[0])
        return Fault(name, f"data row {row + 1}", "the cell is empty")
    values = array.to_numpy().astype(np.float64)
    bad = np.flatnonzero(~np.isfinite(values))
    if bad.size:
        row = int(bad[0])
        kind_of = "a missing value" if np.isnan(values[row]) else "which is not finite"
        return Fault(name, f"data row {row + 1}", f"the cell holds {values[row]}, {kind_of}")
    return Column(name, values)
