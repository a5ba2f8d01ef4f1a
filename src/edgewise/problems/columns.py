"""One column of a table file: its numbers, or the reason why it has none."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np

# What spreadsheets and programs write where a value is missing.
MISSING = frozenset({"", "nan", "na", "n/a", "#n/a", "null", "none", "nil", "-", "--", "?"})


@dataclass(frozen=True, eq=False)
class Column:
    """A column of numbers: values (N,) float64, all finite."""

    name: str
    values: np.ndarray


@dataclass(frozen=True)
class Fault:
    """A column that cannot be used, and its first bad cell.

    where: "line 7 (data row 5)"; what: "the cell is empty"; text_only: no cell of the column is a
    number and at least one is text, so that it is a label and not a damaged measurement.
    """

    name: str
    where: str
    what: str
    text_only: bool = False


@dataclass
class ColumnReader:
    """Turns the texts of one column into numbers, block by block.

    ``where(row)`` names the place of a data row, counted from 0. ``decimal_comma`` reads "1,5" as
    1.5.
    """

    name: str
    where: Callable[[int], str]
    decimal_comma: bool = False
    _blocks: list[np.ndarray] = field(default_factory=list)
    _rows: int = 0
    _numbers: bool = False
    _bad: tuple[int, str] | None = None  # the first cell that is no finite number
    _text: tuple[int, str] | None = None  # the first cell that is text

    def feed(self, cells: Sequence[str]) -> None:
        """Read the next cells; the first that is no finite number is remembered."""
        block = None if self._bad else self._fast(cells)
        if block is None:
            self._slow(cells)
        else:
            self._numbers = True
            self._blocks.append(block)
        self._rows += len(cells)

    def finish(self) -> Column | Fault:
        """The column of everything that was fed."""
        if self._bad is None:
            return Column(self.name, np.concatenate(self._blocks))
        if self._text is not None and not self._numbers:
            row, cell = self._text
            what = f"the column holds text, here {_shown(cell)}"
            return Fault(self.name, self.where(row), what, text_only=True)
        row, cell = self._bad
        return Fault(self.name, self.where(row), _describe(cell))

    def _fast(self, cells: Sequence[str]) -> np.ndarray | None:
        """All cells at once, or None when one of them needs a closer look."""
        if self.decimal_comma:
            cells = [cell.replace(",", ".") for cell in cells]
        try:
            block = np.fromiter(map(float, cells), dtype=np.float64, count=len(cells))
        except ValueError:
            return None
        # float() reads "1_000" as a thousand; in a data file it is an identifier.
        return block if np.isfinite(block).all() and "_" not in "".join(cells) else None

    def _slow(self, cells: Sequence[str]) -> None:
        """Cell by cell: find the first bad one, and whether there are numbers and texts at all."""
        for row, cell in enumerate(cells, start=self._rows):
            number = parse_number(cell, self.decimal_comma)
            if number is not None and np.isfinite(number):
                self._numbers = True
                continue
            if self._bad is None:
                self._bad = (row, cell)
            if self._text is None and number is None and not is_missing(cell):
                self._text = (row, cell)


def parse_number(cell: str, decimal_comma: bool = False) -> float | None:
    """The number that a cell holds (NaN and infinities too), or None for text."""
    if decimal_comma:
        cell = cell.replace(",", ".")
    try:
        return None if "_" in cell else float(cell)
    except ValueError:
        return None


def is_missing(cell: str) -> bool:
    """Whether the cell is empty or a word for "no value"."""
    return cell.strip().lower() in MISSING


def _describe(cell: str) -> str:
    """What is wrong with a cell."""
    if not cell.strip():
        return "the cell is empty"
    if is_missing(cell):
        return f"the cell holds {_shown(cell)}, a missing value"
    if parse_number(cell.replace(",", ".")) is None:
        return f"the cell holds {_shown(cell)}, which is not a number"
    if "," in cell:
        return f"the cell holds {_shown(cell)}; write decimals with a point and thousands unmarked"
    return f"the cell holds {_shown(cell)}, which is not finite"


def _shown(cell: str) -> str:
    return repr(cell if len(cell) <= 40 else cell[:37] + "...")
