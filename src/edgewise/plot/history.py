"""The course of a fit: losses and penalty against steps, and what happened on the way."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from edgewise.errors import InputError
from edgewise.plot.curves import array
from edgewise.plot.text import shorten

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from edgewise.train.history import History

_NOTES = 12  # more events than this are marked but not named


def history(history: History, ax: Axes | None = None) -> Axes:
    """Draw a fit's losses by their true name, on a logarithmic scale.

    history: as ``fit`` returns it, or anything with ``step``, ``train_loss``, ``test_loss``
    (entries may be None), ``penalty`` and ``events`` as (step, text). The penalty is drawn where
    there is one, dotted; events are thin upright lines with their text.
    Raises InputError for a history without steps.
    """
    from edgewise.plot.canvas import BLUE, GREY, NUMERIC, SYMBOLIC, axes_or_new

    step = array(history.step)
    if not step.size:
        raise InputError("The history holds no steps; fit the model first.")
    ax = axes_or_new(ax)
    name = getattr(history, "loss_name", "loss")
    series: list[tuple[str, np.ndarray, dict[str, Any]]] = [
        (f"train {name}", _floats(history.train_loss), {"color": NUMERIC, "linewidth": 1.6}),
        (f"test {name}", _floats(history.test_loss), {"color": BLUE, "linewidth": 1.6}),
        ("penalty", _floats(history.penalty), {"color": SYMBOLIC, "linewidth": 1.0, "ls": ":"}),
    ]
    series[2][1][series[2][1] == 0] = np.nan
    seen = [s for s in series if np.isfinite(s[1]).any()]
    for label, values, style in seen:
        known = np.isfinite(values)  # where there is none (None), the line goes straight on
        alone = "o" if known.sum() == 1 else None
        ax.plot(step[known], values[known], label=label, marker=alone, **style)
    values = np.concatenate([s[1][np.isfinite(s[1])] for s in seen] or [np.ones(1)])
    # A loss may be 0 or, for a likelihood, below: those have no logarithm.
    ax.set_yscale("log" if (values > 0).all() else "linear")
    _mark_events(ax, list(getattr(history, "events", ())), step, seen[0][1] if seen else step, GREY)
    ax.set_xlabel("step")
    ax.set_ylabel(name, parse_math=False)
    ax.legend(frameon=False, fontsize=9)
    ax.grid(True, axis="y", alpha=0.25, linewidth=0.6)
    return ax


def _floats(values: Sequence[float | None]) -> np.ndarray:
    """None, and what is not finite, become NaN, which is not drawn."""
    y = np.array([np.nan if v is None else float(v) for v in values])
    return np.where(np.isfinite(y), y, np.nan)


def _mark_events(
    ax: Axes, events: list[tuple[int, str]], step: np.ndarray, loss: np.ndarray, colour: str
) -> None:
    """Upright lines with their text at the foot or the head, away from the loss at that step."""
    left, right = ax.get_xlim()
    last = -np.inf
    for when, text in events:
        ax.axvline(when, color=colour, linewidth=0.7, alpha=0.7, zorder=0)
        # Names that would stand on each other are left out.
        if len(events) > _NOTES or when - last < 0.04 * (right - left):
            continue
        last = when
        here = loss[min(int(np.searchsorted(step, when)), len(loss) - 1)]
        high = ax.transAxes.inverted().transform(ax.transData.transform((when, here)))[1] > 0.5
        ax.annotate(
            shorten(text, 28), (when, 0.0 if high else 1.0), xycoords=ax.get_xaxis_transform(),
            xytext=(-2, 3 if high else -3), textcoords="offset points", rotation=90, ha="right",
            va="bottom" if high else "top", fontsize=7, color=colour, parse_math=False,
            annotation_clip=False,
        )  # fmt: skip
    ax.set_xlim(left, right)
