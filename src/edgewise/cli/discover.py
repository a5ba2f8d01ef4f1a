"""`edgewise discover`: from a table file to a formula, on the screen and in a folder."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Annotated

import typer

from edgewise.cli.failures import INTERRUPTED, plain_failures
from edgewise.cli.values import settings, split, start_from, unit_of


def discover(
    table: Annotated[
        Path,
        typer.Argument(
            metavar="TABLE",
            help="The table: CSV, TSV or Parquet, with the columns' names in its first line.",
        ),
    ],
    target: Annotated[
        str | None,
        typer.Option(
            "--target", "-t", metavar="COLUMN", help="The column to explain.", show_default=False
        ),
    ] = None,
    features: Annotated[
        list[str] | None,
        typer.Option(
            "--features",
            "-f",
            metavar="COLUMNS",
            help="The columns to explain it by, separated by commas; may be given more than once."
            " Without it: every other column that holds numbers.",
            show_default=False,
        ),
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option(
            "--out",
            "-o",
            metavar="FOLDER",
            help="Write formula, front, model, pictures and report into this folder; files of the"
            " same names are replaced, others stay.",
            show_default=False,
        ),
    ] = None,
    time_limit: Annotated[
        float, typer.Option("--time-limit", metavar="SECONDS", help="Search for at most this long.")
    ] = 60.0,
    seed: Annotated[
        int,
        typer.Option(
            "--seed",
            min=0,
            max=2**63 - 1,
            metavar="NUMBER",
            help="Where chance begins: the same seed searches in the same way.",
        ),
    ] = 0,
    jobs: Annotated[
        int,
        typer.Option(
            "--jobs", "-j", min=1, metavar="NUMBER", help="Processes that search at once."
        ),
    ] = 1,
    primitives: Annotated[
        list[str] | None,
        typer.Option(
            "--primitives",
            metavar="NAMES",
            help="The functions allowed in the formula, separated by commas, e.g. x,x^2,sin,exp."
            " Without it: the whole library.",
            show_default=False,
        ),
    ] = None,
    forbid: Annotated[
        list[str] | None,
        typer.Option(
            "--forbid",
            metavar="NESTINGS",
            help="Nestings that no formula may hold, separated by commas, e.g. sin(exp),exp(exp): no"
            " exp anywhere under a sin. A name alone, e.g. tan, forbids that function.",
            show_default=False,
        ),
    ] = None,
    stop_at: Annotated[
        float,
        typer.Option(
            "--stop-at",
            min=0.0,
            metavar="ERROR",
            help="Stop at this held-out error, relative to the target's spread, e.g. 0.01.",
        ),
    ] = 0.0,
    template: Annotated[
        str | None,
        typer.Option(
            "--template",
            metavar="FORMULA",
            help="The form, where it is known in part, e.g. 'a*sin(b*x) + c' or 'f(x)*exp(-b*t)': names"
            " that are no columns are fitted, f(x) is a part to find.",
            show_default=False,
        ),
    ] = None,
    start: Annotated[
        list[str] | None,
        typer.Option(
            "--start",
            metavar="FORMULA",
            help="Begin with this formula, fitted to the table, or with those of a file that --save"
            " wrote; may be given more than once.",
            show_default=False,
        ),
    ] = None,
    unit: Annotated[
        list[str] | None,
        typer.Option(
            "--unit",
            metavar="NAME=UNIT",
            help="The unit of a column, e.g. v=m/s, or angle= for a pure number; with one every column"
            " and the target need theirs.",
            show_default=False,
        ),
    ] = None,
    save: Annotated[
        Path | None,
        typer.Option(
            "--save",
            metavar="FILE",
            help="Save the whole result to this file, for --start and Discovery.load.",
            show_default=False,
        ),
    ] = None,
    quiet: Annotated[
        bool, typer.Option("--quiet", "-q", help="Print the result only, no progress.")
    ] = False,
    debug: Annotated[
        bool, typer.Option("--debug", help="On a failure, show Python's traceback.")
    ] = False,
) -> None:
    """Find the formula behind a table.

    Prints formulas from simple to precise, each with its error on rows that were kept out of the
    fit, and marks the one that explains most with least. Ctrl-C stops the search and shows the best
    formula so far.

    \b
    Examples:
      edgewise discover planets.csv --target period_years
      edgewise discover planets.csv -t period_years -f semi_major_axis_au --out found
      edgewise discover swing.csv -t x --template "a*exp(-b*t)*sin(c*t + d)"

    Exit codes: 0 a formula was found; 2 the table or an option does not fit, and the message says
    where; 130 stopped by Ctrl-C; 1 the program itself failed.
    """
    if not (math.isfinite(time_limit) and time_limit > 0):
        raise typer.BadParameter(f"{time_limit:g} is not a time; give seconds, e.g. 60")
    with plain_failures(debug):
        status = _discover(
            table,
            target,
            split(features),
            (out, save),
            {
                "time_limit": time_limit,
                "stop_at": stop_at,
                "seed": seed,
                "jobs": jobs,
                "lib": split(primitives),
                "forbid": split(forbid),
                "template": template,
                "start": None if start is None else [start_from(value) for value in start],
                "units": None if unit is None else dict(unit_of(value) for value in unit),
            },
            quiet,
        )
    if status == "interrupted":
        raise typer.Exit(INTERRUPTED)


def _discover(
    path: Path,
    target: str | None,
    features: list[str] | None,
    places: tuple[Path | None, Path | None],
    options: dict,
    quiet: bool,
) -> str:
    """Read, search, show, write; returns the search's status."""
    from edgewise import recipes
    from edgewise.cli import outputs, show
    from edgewise.cli.progress import Progress
    from edgewise.problems.table import read_table
    from edgewise.symbolic import primitive

    for name in options["lib"] or ():
        primitive(name)
    out, save = places
    table = read_table(path, target, features)
    if out is not None:
        outputs.prepare(out)
    if save is not None:
        outputs.check_place(save)
    if not quiet:
        show.reading(table)
    with Progress(options["time_limit"], quiet) as progress:
        found = recipes.discover(
            table.x,
            table.y,
            list(table.feature_names),
            target=table.target_name,
            progress=progress,
            **options,
        )
    if not found.front:
        raise KeyboardInterrupt  # stopped before the first formula
    show.result(found)
    if save is not None:
        found.save(save)
    if out is not None:
        show.written(out, *outputs.write(found, out, table, settings(options)))
    return found.status
