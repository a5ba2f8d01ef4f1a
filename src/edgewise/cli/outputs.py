"""The files that `edgewise discover --out FOLDER` leaves, each there whole or not at all."""

from __future__ import annotations

import csv
import io
import os
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import edgewise
import edgewise.plot.fit as pictures
from edgewise.errors import EdgewiseError, FileError
from edgewise.io.durable import write_whole
from edgewise.io.report import latex_equation, write_report
from edgewise.io.report_figures import fit_parts, network_figure
from edgewise.io.svg import any_script, svg


def prepare(folder: Path) -> None:
    """Make the folder, or raise FileError before any time is spent on a search."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        reason = "a file of that name is in the way" if folder.exists() else error.strerror
        raise FileError(
            f"the folder {folder} cannot be made: {reason}; name another with --out"
        ) from error
    if not os.access(folder, os.W_OK | os.X_OK):
        raise FileError(f"the folder {folder} may not be written to; name another with --out")


def check_place(file: Path) -> None:
    """Raise FileError, before any time is spent on a search, if no such file can be written."""
    if file.is_dir() or not file.absolute().parent.is_dir():
        reason = "that is a folder" if file.is_dir() else "its folder does not exist"
        raise FileError(f"{file} cannot be written: {reason}; name another with --save")


def write(
    found: Any, folder: Path, table: Any, settings: Mapping[str, Any]
) -> tuple[list[Path], list[str]]:
    """Write every output into the folder; returns the paths, and "name: why" of what has none.

    table: the table that was read; settings: what else a report should say about the run.
    Files of other names stay. Raises FileError when a file cannot be written; those before it stay.
    """
    left_out = [f"column {name} was left out: {why}" for name, why in table.ignored]
    reported = replace(found, notes=(*found.notes, *left_out))
    writers: dict[str, Callable[[Path], object]] = {
        "formula.txt": lambda path: write_whole(path, _formula_text(found.best).encode()),
        "formula.tex": lambda path: write_whole(path, f"{latex_equation(found.best)}\n".encode()),
        "front.csv": lambda path: write_whole(path, _front(found).encode()),
        "model.safetensors": lambda path: edgewise.save(found.model, path),
        "network.svg": lambda path: write_whole(path, _network(found)),
        "predicted.svg": lambda path: write_whole(path, _predicted(found)),
        "report.html": lambda path: write_report(
            reported, path, {"table": table.path.name, **settings}
        ),
    }
    written, missing = [], []
    for name, writer in writers.items():
        try:
            writer(folder / name)
        except FileError:
            raise
        except EdgewiseError as error:  # e.g. a formula that no network computes
            missing.append(f"{name}: {error}")
        else:
            written.append(folder / name)
    return written, missing


def _formula_text(formula: Any) -> str:
    """Rounded for reading, then with all digits, then as Python."""
    exact = replace(formula, constants=()).text(17)
    return f"{formula}\n\nall digits: {exact}\n\n{formula.python()}"


def _front(found: Any) -> str:
    text = io.StringIO(newline="")
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(
        ["pick", "complexity", "held_out_rmse", "held_out_r2", "fit_error", "formula", "found_by"]
    )
    for row, c in enumerate(found.front):
        mark = "yes" if row == found.pick else ""
        formula = replace(c.formula, constants=())
        written = f"{formula.output} = {formula.text(17)}"
        writer.writerow([mark, c.complexity, c.rmse, c.r2, c.train_error, written, c.origin])
    return text.getvalue()


def _network(found: Any) -> bytes:
    with any_script():
        return svg(network_figure(found)).encode()


def _predicted(found: Any) -> bytes:
    with any_script():
        return svg(pictures.agreement(fit_parts(found), found.target).figure).encode()
