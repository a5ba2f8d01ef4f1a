"""What the command prints: what was read, the front, the pick in words, the files written."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import typer
from rich.console import Console, Group
from rich.padding import Padding
from rich.table import Table as Grid
from rich.text import Text

from edgewise.cli.text import printable
from edgewise.symbolic.front import shown_r2

_Row = tuple[tuple[str, ...], str, str]  # figures, formula, style
_ROOM = 28  # a formula gets a column of its own if at least this wide


def reading(table: Any) -> None:
    """Rows and columns of the table, and what was left out, on stderr."""
    names = ", ".join(table.feature_names)
    rows, columns = table.x.shape
    lines = [
        f"{table.path}: {_count(rows, 'row')}; {table.target_name} explained by"
        f" {_count(columns, 'column')}: {names}"
    ]
    lines += [f"left out: column {name} ({why})" for name, why in table.ignored]
    console = Console(stderr=True, highlight=False)
    for line in lines:
        console.print(Text(printable(line)), soft_wrap=not console.is_terminal)


def result(found: Any) -> None:
    """The front and the pick on stdout: laid out in a terminal, one line a formula elsewhere."""
    console = Console(highlight=False)
    if not console.is_terminal:
        typer.echo(printable(str(found)) + "\n")
    else:
        console.print(_front(found, console.width))
        console.print()
    _labelled(_words(found))


def written(folder: Path, files: Sequence[Path], missing: Sequence[str]) -> None:
    """Which files there are now, and which could not be made of this formula."""
    lines = [("written", f"{folder}: {', '.join(file.name for file in files)}")]
    _labelled([*lines, *(("not written", reason) for reason in missing)])


def _labelled(lines: Sequence[tuple[str, str]]) -> None:
    """Labels in a column; in a terminal their texts wrap beside them."""
    console = Console(highlight=False)
    if not console.is_terminal:
        for label, text in lines:
            typer.echo(printable(f"{label:<16}{text}"))
        return
    grid = Grid.grid(padding=(0, 2, 0, 0))
    grid.add_column(no_wrap=True, style="bold", width=14)
    grid.add_column(overflow="fold")
    for label, text in lines:
        grid.add_row(label, Text(printable(text)))
    console.print(grid)


def _front(found: Any, width: int) -> Any:
    """The Pareto table; where formulas would get too little room, each stands below its figures."""
    heading = "relative error" if found.relative else "held-out error"
    rows = []
    for row, candidate in enumerate(found.front):
        figures = (
            ">>>>" if row == found.pick else "",
            str(candidate.complexity),
            f"{candidate.error:.4g}",
            shown_r2(candidate.r2),
        )
        style = "bold green" if row == found.pick else ""
        rows.append((figures, printable(str(candidate.formula)), style))
    bare = _grid(rows, heading, formulas=False)
    taken = Console(width=max(width, 200)).measure(bare).maximum
    if width - taken < _ROOM:
        return _stacked(rows, heading)
    return _grid(rows, heading, formulas=True)


def _grid(rows: Sequence[_Row], error: str, formulas: bool) -> Grid:
    grid = Grid(box=None, pad_edge=False, padding=(0, 3, 0, 0), header_style="bold")
    grid.add_column("", no_wrap=True)
    for heading in ("complexity", error, "R2"):
        grid.add_column(heading, justify="right", no_wrap=True)
    if formulas:
        grid.add_column("formula", overflow="fold")
    for figures, formula, style in rows:
        grid.add_row(*figures, *([Text(formula)] if formulas else []), style=style)
    return grid


def _stacked(rows: Sequence[_Row], heading: str) -> Group:
    parts: list[Any] = []
    for (mark, complexity, error, r2), formula, style in rows:
        figures = f"{mark:4} complexity {complexity}, {heading} {error}, R2 {r2}"
        below = Text(formula, style=style, overflow="fold")
        parts += [Text(figures, style=style), Padding(below, (0, 0, 0, 5))]
    return Group(*parts)


def _words(found: Any) -> list[tuple[str, str]]:
    """(label, text) of what there is to say about the pick."""
    best = found.front[found.pick]
    rows, unseen = len(found.held_out), found.unseen
    lines = [
        ("formula", str(best.formula)),
        (
            "held-out error" if unseen else "error",
            f"{best.rmse:.4g} in the unit of {found.target}: root mean square over"
            f" {_count(rows, 'row')}{' that the fit did not see' if unseen else ' of the fit'}",
        ),
        ("R2", f"{shown_r2(best.r2)} (1: exact; 0: no better than the mean)"),
    ]
    constants = [constant.text for constant in best.formula.constants]
    if constants:
        lines.append(("constants", "; ".join(constants) + " (value ± standard error)"))
    if found.relative:
        lines.insert(2, ("relative error", f"{best.error:.4g} of the value, in the same way"))
    lines.append(("search", f"{found.seconds:.1f} s, {_STATUS.get(found.status, found.status)}"))
    lines += [("note", note) for note in found.notes]
    return lines


_STATUS = {
    "finished": "finished",
    "time limit": "stopped by the time limit; a longer one may find more",
    "interrupted": "interrupted; the best so far is shown",
}


def _count(number: int, noun: str) -> str:
    return f"{number:,} {noun}" + ("" if number == 1 else "s")
