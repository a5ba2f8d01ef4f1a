"""What is seen on stderr while a search runs: a moving status in a terminal, else plain lines."""

from __future__ import annotations

import time
from types import TracebackType
from typing import Any

import typer
from rich.console import Console, Group
from rich.live import Live
from rich.spinner import Spinner
from rich.text import Text

from edgewise.cli.text import printable
from edgewise.symbolic.front import shown_r2

_PAUSE = 1.0  # seconds between two plain lines about the same stage


class Progress:
    """Callback for ``recipes.discover``: progress(stage, best candidate or None, seconds).

    Used as a context manager; says nothing when quiet.
    """

    def __init__(self, time_limit: float, quiet: bool = False) -> None:
        self._limit = time_limit
        self._quiet = quiet
        self._start = time.monotonic()
        self._stage = ""
        self._best: Any = None
        self._formula = ""
        self._last_line = -_PAUSE
        self._said = ("", "")
        console = Console(stderr=True, highlight=False)
        self._live: Live | None = None
        if console.is_terminal and not quiet:
            self._spinner = Spinner("dots")
            self._live = Live(
                console=console, transient=True, refresh_per_second=8, get_renderable=self._picture
            )

    def __enter__(self) -> Progress:
        if self._live:
            self._live.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if self._live:
            self._live.stop()

    def __call__(self, stage: str, best: Any, seconds: float) -> None:
        self._stage = printable(stage)
        if best is not self._best and best is not None:
            self._best = best
            r2 = shown_r2(best.r2)
            self._formula = printable(f"{best.formula}   (R2 {r2} on rows kept out)")
        if not self._live and not self._quiet:
            self._line(seconds)

    def _line(self, seconds: float) -> None:
        """A line when there is something new, and not too many of them."""
        news = (self._stage, self._formula)
        same_stage = news[0] == self._said[0]
        if news == self._said or (same_stage and seconds - self._last_line < _PAUSE):
            return
        best = f"; best so far: {self._formula}" if self._formula != self._said[1] else ""
        typer.echo(f"{seconds:6.1f} s  {self._stage}{best}", err=True)
        self._said, self._last_line = news, seconds

    def _picture(self) -> Group:
        seconds = time.monotonic() - self._start
        status = f"{seconds:.0f} s of {self._limit:g} s   {self._stage or 'starting'}"
        self._spinner.update(text=Text(status))
        best = Text("best so far   ", style="dim")
        best.append(self._formula, style="not dim")
        hint = Text("Ctrl-C stops and shows the best so far", style="dim")
        return Group(self._spinner, best, hint) if self._formula else Group(self._spinner, hint)
