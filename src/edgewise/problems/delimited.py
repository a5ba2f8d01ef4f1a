"""CSV and TSV files: delimiter, decimal mark, comments, and where each row stands in the file."""

from __future__ import annotations

import csv
import re
from collections.abc import Iterator, Sequence
from itertools import islice
from pathlib import Path

import numpy as np

from edgewise.errors import DataError, FileError
from edgewise.problems.columns import Column, ColumnReader, Fault, parse_number

_CANDIDATES = (",", ";", "\t", "|")
_SAMPLE_ROWS = 50
_BLOCK_ROWS = 8192  # rows held as text at once
_COMMA_NUMBER = re.compile(r"\s*[+-]?(\d*),(\d+)(?:[eE][+-]?\d+)?\s*")
_POINT_NUMBER = re.compile(r"\s*[+-]?\d*\.\d+(?:[eE][+-]?\d+)?\s*")


class DelimitedFile:
    """A text table: one header line, then rows; blank lines and lines starting with # are skipped.

    names: the header's cells, as written. Raises FileError when the file is not such a text, and
    DataError when it has a header only.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        text = _decode(path).replace("\r\n", "\n").replace("\r", "\n")
        kept = [
            (number, line + "\n")  # a newline inside quotes belongs to the cell
            for number, line in enumerate(text.split("\n"), start=1)
            if (bare := line.lstrip(" ")) and bare[0] != "#"
        ]
        if not kept:
            raise FileError(f"{path} is empty; a header line and rows of numbers are expected")
        self._line_numbers = [number for number, _ in kept]
        self._lines = [line for _, line in kept]
        self.delimiter = _sniff(self._lines, path)
        first_rows = list(islice(self._rows(), 2))
        self.names = tuple(name.strip() for name in first_rows[0][1])
        if len(first_rows) == 1:
            raise DataError(f"{path} has a header ({_list(self.names)}) but no rows below it")

    def columns(self, wanted: Sequence[int]) -> list[Column | Fault]:
        """The columns of these indices. Raises DataError for a row of another length."""
        if (numbers := self._all_numbers()) is not None:
            return [Column(self.names[j], numbers[:, j].copy()) for j in wanted]
        places: list[int] = []  # the line on which each data row starts

        def where(row: int) -> str:
            return f"line {places[row]} (data row {row + 1})"

        comma = self._decimal_comma(wanted)
        readers = [ColumnReader(self.names[j], where, comma) for j in wanted]
        rows = islice(self._rows(), 1, None)
        while block := list(islice(rows, _BLOCK_ROWS)):
            for line, cells in block:
                places.append(line)
                if len(cells) != len(self.names):
                    raise DataError(
                        f"{self.path}, {where(len(places) - 1)}: {len(cells)} cells, but the"
                        f" header names {len(self.names)} columns; {self._ragged_remedy(cells)}"
                    )
            by_column = list(zip(*(cells for _, cells in block), strict=True))
            for reader, j in zip(readers, wanted, strict=True):
                reader.feed(by_column[j])
        return [reader.finish() for reader in readers]

    def _ragged_remedy(self, cells: Sequence[str]) -> str:
        """What to do about a row of another length than the header."""
        other = next((d for d in _CANDIDATES if d != self.delimiter and d in cells[0]), None)
        if len(cells) == 1 and other:
            return f"header and rows are divided by {self.delimiter!r} and {other!r}; use one"
        return f"complete the row, or quote a cell that contains {self.delimiter!r}"

    def _all_numbers(self) -> np.ndarray | None:
        """Every cell (N, columns), when all are finite numbers; the common case, made fast."""
        try:
            numbers = np.loadtxt(
                self._lines[1:], delimiter=self.delimiter, comments=None, quotechar='"', ndmin=2
            )
        except ValueError:
            return None  # some cell or row is unusual; the caller looks at each
        fits = numbers.shape[1] == len(self.names) and np.isfinite(numbers).all()
        return numbers if fits else None

    def _rows(self) -> Iterator[tuple[int, list[str]]]:
        """(line in the file, cells) of the header and of every row."""
        # strict: an unclosed quote would otherwise swallow the rest of the file.
        reader = csv.reader(self._lines, delimiter=self.delimiter, strict=True)
        taken = 0
        try:
            for cells in reader:
                yield self._line_numbers[taken], cells
                taken = reader.line_num
        except csv.Error as error:
            line = self._line_numbers[min(taken, len(self._line_numbers) - 1)]
            raise DataError(
                f"{self.path}, line {line}: the quotes cannot be understood ({error}); close each"
                ' quote, and write a quote inside a quoted cell twice ("")'
            ) from error

    def _decimal_comma(self, wanted: Sequence[int]) -> bool:
        """Whether numbers are written 1,5. Raises DataError when 1,234 could be either."""
        if self.delimiter == "," or not any("," in line for line in self._lines[1:]):
            return False
        doubtful = None
        certain = False
        for line, cells in islice(self._rows(), 1, None):
            for j in wanted:
                cell = cells[j] if j < len(cells) else ""
                if _POINT_NUMBER.fullmatch(cell):
                    return False
                if match := _COMMA_NUMBER.fullmatch(cell):
                    whole, decimals = match.groups()
                    # 1,234 may be grouped thousands; 0,234 and 1,23 and 12345,678 may not.
                    grouped = len(decimals) == 3 and 1 <= len(whole) <= 3 and whole[0] != "0"
                    certain = certain or not grouped
                    doubtful = doubtful or (line, j, cell.strip())
        if doubtful and not certain:
            line, j, cell = doubtful
            raise DataError(
                f"{self.path}, line {line}, column {self.names[j]!r}: {cell!r} is"
                f" {cell.replace(',', '.')} or {cell.replace(',', '')}, and nothing in the file"
                " says which; write it with a decimal point, or without the comma"
            )
        return certain


def _decode(path: Path) -> str:
    """The file's text; UTF-8 with or without a byte order mark, or UTF-16 with one."""
    raw = path.read_bytes()
    if raw[:4] == b"PK\x03\x04":
        raise FileError(f"{path} is a zip archive or a spreadsheet; save the table as CSV")
    utf16 = raw[:2] in (b"\xff\xfe", b"\xfe\xff")
    if b"\0" in raw and not utf16:
        raise FileError(f"{path} is not a text file; a CSV, TSV or Parquet table is expected")
    try:
        return raw.decode("utf-16" if utf16 else "utf-8-sig")
    except UnicodeDecodeError as error:
        line = raw.count(b"\n", 0, error.start) + 1
        raise FileError(
            f"{path}, line {line}: the text is not {'UTF-16' if utf16 else 'UTF-8'}; save the"
            " table as CSV in UTF-8"
        ) from error


def _sniff(lines: Sequence[str], path: Path) -> str:
    """The delimiter under which the first rows are as long as the header and hold numbers."""
    best, best_score = "", (0.0, 0.0, 0)
    for delimiter in _CANDIDATES:
        try:
            rows = list(csv.reader(lines[: _SAMPLE_ROWS + 1], delimiter=delimiter))
        except csv.Error:
            continue
        header, body = rows[0], rows[1:]
        if len(header) < 2:
            continue
        even = sum(len(row) == len(header) for row in body) / max(len(body), 1)
        comma = delimiter != ","
        cells = [cell for row in body for cell in row]
        numbers = sum(parse_number(cell, comma) is not None for cell in cells) / max(len(cells), 1)
        if (score := (even, numbers, len(header))) > best_score:
            best, best_score = delimiter, score
    if not best:
        name = lines[0].strip()
        blanks = "; columns divided by blanks are not understood, use commas" * (" " in name)
        raise DataError(
            f"{path} has a single column, named {name!r}; a target and at least one feature are"
            f" expected, divided by comma, semicolon or tab{blanks}"
        )
    return best


def _list(names: Sequence[str]) -> str:
    return ", ".join(names[:20]) + (f" and {len(names) - 20} more" if len(names) > 20 else "")
