"""The command `edgewise`: its subcommands, one file each."""

from __future__ import annotations

import sys
from typing import Annotated

import typer

from edgewise.cli.discover import discover
from edgewise.cli.failures import INTERRUPTED
from edgewise.cli.info import info, version

app = typer.Typer(
    name="edgewise",
    help="Find the formula behind a table, by Kolmogorov-Arnold networks.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
)
app.command()(discover)
app.command()(info)


def _print_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"edgewise {version()}")
        raise typer.Exit


@app.callback()
def options(
    version: Annotated[
        bool,
        typer.Option(
            "--version", callback=_print_version, is_eager=True, help="Print the version and stop."
        ),
    ] = False,
) -> None:
    """Find the formula behind a table, by Kolmogorov-Arnold networks.

    \b
    Example:
      edgewise discover planets.csv --target period_years --out found
    """


def run() -> None:
    """Entry point of the command."""
    try:
        app()
    except KeyboardInterrupt:
        sys.exit(INTERRUPTED)
