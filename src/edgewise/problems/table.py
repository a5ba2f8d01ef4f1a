"""Table files (CSV, TSV, Parquet) as numbers, or an error that names the cell and the remedy.

Rows are named as an editor shows them, "line 7 (data row 5)": the line in the file counts from 1
and includes header and comments, the data row counts from 1 below the header. Parquet files have
no lines; there "data row 5" stands alone.
"""

from __future__ import annotations

import difflib
from collections.abc import Sequence
from dataclasses import dataclass
from os import PathLike
from pathlib import Path

import numpy as np

from edgewise.errors import DataError, FileError
from edgewise.problems.columns import Column, Fault, parse_number
from edgewise.problems.delimited import DelimitedFile
from edgewise.problems.parquet import ParquetFile

_TEXT_SUFFIXES = (".csv", ".tsv", ".tab", ".txt", ".dat")


@dataclass(frozen=True, eq=False)
class Table:
    """Features and target of a file, every row of it.

    x (N, I) and y (N,): float64, all finite. feature_names and target_name: as in the header.
    path: where it was read. ignored: (name, reason) of each column that was left out because it
    holds text.
    """

    x: np.ndarray
    y: np.ndarray
    feature_names: tuple[str, ...]
    target_name: str
    path: Path
    ignored: tuple[tuple[str, str], ...] = ()


def read_table(
    path: str | PathLike[str],
    target: str | None = None,
    features: Sequence[str] | None = None,
) -> Table:
    """Read a CSV, TSV or Parquet table.

    target: the column to explain. features: the columns to explain it by, in this order; None
    takes every other column except those that hold nothing but text.

    Text files have one header line; lines starting with # and blank lines are skipped. The
    delimiter (comma, semicolon, tab or bar) is found from the first rows; decimal commas are
    understood where the delimiter is another character.

    Raises FileError when the file is missing, empty or damaged; DataError when a name or a cell
    does not fit; MissingDependencyError when Parquet is asked for without pyarrow.
    """
    path = Path(path)
    source = _open(path)
    names = source.names
    _check_names(names, path)
    target, chosen = _choose(names, target, features, path)

    index = {name: j for j, name in enumerate(names)}
    columns = source.columns([index[name] for name in (target, *chosen)])
    y = _target(columns[0], path)
    used, ignored = _features(columns[1:], features is not None, path)
    if not used:
        raise DataError(
            f"{path} has no numeric column besides the target {target!r}; at least one feature"
            f" is needed (left out: {', '.join(name for name, _ in ignored)})"
        )
    return Table(
        x=np.column_stack([column.values for column in used]),
        y=y,
        feature_names=tuple(column.name for column in used),
        target_name=target,
        path=path,
        ignored=ignored,
    )


def _open(path: Path) -> DelimitedFile | ParquetFile:
    """The reader for the file's kind, by its first bytes or its name."""
    try:
        with path.open("rb") as stream:
            start = stream.read(4)
    except FileNotFoundError as error:
        raise FileError(f"there is no file {path}{_similar_file(path)}") from error
    except IsADirectoryError as error:
        raise FileError(f"{path} is a folder; name the table file in it") from error
    except OSError as error:
        raise FileError(f"{path} cannot be read: {error.strerror}") from error
    if not start:
        raise FileError(f"{path} is empty; a header line and rows of numbers are expected")
    suffix = path.suffix.lower()
    if suffix in (".parquet", ".pq") or (start == b"PAR1" and suffix not in _TEXT_SUFFIXES):
        return ParquetFile(path)
    return DelimitedFile(path)


def _similar_file(path: Path) -> str:
    """ "; did you mean ...?" when the folder holds a file of nearly the same name."""
    folder = path.parent
    files = [entry.name for entry in folder.iterdir()] if folder.is_dir() else []
    near = difflib.get_close_matches(path.name, files, n=1)
    return f"; did you mean {folder / near[0]}?" if near else ""


def _check_names(names: Sequence[str], path: Path) -> None:
    """Raise DataError for a name that occurs twice."""
    first: dict[str, int] = {}
    for position, name in enumerate(names, start=1):
        if name and name in first:
            raise DataError(
                f"{path}: columns {first[name]} and {position} are both named {name!r}; rename one"
            )
        first.setdefault(name, position)


def _choose(
    names: Sequence[str], target: str | None, features: Sequence[str] | None, path: Path
) -> tuple[str, tuple[str, ...]]:
    """The target's name and the features' names, all of them in the file."""
    if target is None:
        raise DataError(f"{path}: no target was named; its columns are {_listing(names)}")
    _check_known(target, names, "target", path)
    if features is None:
        if "" in names:
            raise DataError(
                f"{path}: column {list(names).index('') + 1} has no name in the header; name it or"
                " remove it, or choose the others by features (--features)"
            )
        return target, tuple(name for name in names if name != target)
    features = (features,) if isinstance(features, str) else tuple(features)
    if not features:
        raise DataError(f"{path}: no features were named; its columns are {_listing(names)}")
    seen: set[str] = set()
    for name in features:
        _check_known(name, names, "feature", path)
        if name in seen:
            raise DataError(f"{path}: feature {name!r} is named twice; name it once")
        seen.add(name)
    if target in features:
        raise DataError(
            f"{path}: the target {target!r} is among the features and would explain itself; leave"
            " it out of the features"
        )
    return target, features


def _check_known(name: str, names: Sequence[str], role: str, path: Path) -> None:
    if name and name in names:
        return
    near = difflib.get_close_matches(name.lower(), [n.lower() for n in names], n=1, cutoff=0.5)
    meant = next((n for n in names if near and n.lower() == near[0]), None)
    hint = f" (did you mean {meant!r}?)" if meant else ""
    if all(parse_number(n) is not None for n in names):
        hint = ": the first line holds numbers where the columns' names are expected"
    raise DataError(f"{path} has no {role} column {name!r}{hint}; it has {_listing(names)}")


def _listing(names: Sequence[str]) -> str:
    shown = ", ".join(repr(name) for name in names[:20])
    return shown + (f" and {len(names) - 20} more" if len(names) > 20 else "")


def _target(column: Column | Fault, path: Path) -> np.ndarray:
    """The target's values; raises DataError when a cell is no finite number."""
    if isinstance(column, Column):
        return column.values
    remedy = "choose a numeric target" if column.text_only else "correct the cell or remove the row"
    raise DataError(f"{path}, {column.where}, column {column.name!r}: {column.what}; {remedy}")


def _features(
    columns: Sequence[Column | Fault], asked: bool, path: Path
) -> tuple[list[Column], tuple[tuple[str, str], ...]]:
    """The numeric columns, and (name, reason) of the text columns that nobody asked for."""
    used: list[Column] = []
    ignored: list[tuple[str, str]] = []
    for column in columns:
        if isinstance(column, Column):
            used.append(column)
        elif column.text_only and not asked:
            ignored.append((column.name, column.what))
        else:
            raise DataError(
                f"{path}, {column.where}, column {column.name!r}: {column.what};"
                f" {'' if column.text_only else 'correct the cell, remove the row, or '}leave the"
                " column out by naming the others as features (--features)"
            )
    return used, tuple(ignored)
