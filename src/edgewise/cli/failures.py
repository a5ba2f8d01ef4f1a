"""What users see when something does not work: one paragraph and an exit code, no traceback."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import typer

from edgewise.errors import EdgewiseError

UNEXPECTED, REFUSED, INTERRUPTED = 1, 2, 130


def _say(message: str) -> None:
    """A paragraph on stderr; a terminal breaks it between words."""
    from rich.console import Console
    from rich.text import Text

    from edgewise.cli.text import printable

    console = Console(stderr=True, highlight=False)
    console.print(Text(printable(message)), soft_wrap=not console.is_terminal)


@contextmanager
def plain_failures(debug: bool) -> Iterator[None]:
    """Turn exceptions into a message on stderr and an exit code.

    What edgewise raises on purpose: 2. Ctrl-C: 130. Anything else: 1. With debug, what is not
    Ctrl-C passes through and Python shows where it came from.
    """
    try:
        yield
    except KeyboardInterrupt:
        _say("Stopped by Ctrl-C; there is nothing more to show.")
        raise typer.Exit(INTERRUPTED) from None
    except (typer.Exit, typer.Abort, BrokenPipeError):
        raise
    except EdgewiseError as error:
        if debug:
            raise
        _say(f"error: {' '.join(str(error).split())}")
        raise typer.Exit(REFUSED) from None
    except Exception as error:
        if debug:
            raise
        _say(
            f"error: edgewise itself failed ({type(error).__name__}: {error}). This is a fault of"
            " the program, not of your data; the same command with --debug shows where."
        )
        raise typer.Exit(UNEXPECTED) from None
