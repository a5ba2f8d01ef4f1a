"""A progress bar for fits, on the error stream; rich is loaded only when one is wanted."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from edgewise.train.history import History


@contextmanager
def bar(wanted: bool, steps: int | None) -> Iterator[Callable[[History], None] | None]:
    """Yield a function that shows the newest row of a history, or None."""
    if not wanted:
        yield None
        return
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

    columns = [TextColumn("{task.description}"), BarColumn(), TimeElapsedColumn()]
    with Progress(*columns, console=Console(stderr=True), transient=False) as shown:
        task = shown.add_task("fit", total=steps)

        def advance(history: History) -> None:
            test, penalty = history.test_loss[-1], history.penalty[-1]
            text = f"train {history.loss_name} {history.train_loss[-1]:.2e}"
            text += "" if test is None else f"  test {test:.2e}"
            text += "" if not history.accuracy else f"  accuracy {history.accuracy}"
            text += f"  penalty {penalty:.2e}" if penalty else ""
            shown.update(task, completed=len(history), description=text)

        yield advance
