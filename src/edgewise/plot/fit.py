"""Pictures of how well a formula fits: calculated against measured values, and residuals."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from edgewise.plot.curves import array

if TYPE_CHECKING:
    from matplotlib.axes import Axes

POINTS = 1000  # more than this say nothing new to the eye and make large files
_LOG_RATIO = 100.0  # values of one sign that span more are drawn on a logarithmic axis


def agreement(
    parts: Sequence[tuple[str, Any, Any]], target: str = "y", *, ax: Axes | None = None
) -> Axes:
    """Draw calculated against measured values; on the diagonal they are equal.

    parts: (name, measured (N,), calculated (N,)), at most two: rows fitted and rows held out. Rows
    whose value is not finite are left out; of more than 1000 rows every n-th is drawn.
    """
    from edgewise.plot.canvas import GREY, axes_or_new

    ax = axes_or_new(ax)
    pairs = [(name, *_thinned(array(y), array(p))) for name, y, p in parts]
    everything = np.concatenate([np.concatenate(pair[1:]) for pair in pairs])
    if everything.size:
        ends = [everything.min(), everything.max()]
        ax.plot(ends, ends, color=GREY, linewidth=0.9, zorder=1)
    _scatter(ax, pairs)
    if _spans_decades(everything):
        ax.set_xscale("log")
        ax.set_yscale("log")
    ax.set_xlabel(f"{target}, measured", parse_math=False)
    ax.set_ylabel(f"{target}, by the formula", parse_math=False)
    return ax


def residuals(
    parts: Sequence[tuple[str, Any, Any]],
    target: str = "y",
    *,
    relative: bool = False,
    ax: Axes | None = None,
) -> Axes:
    """Draw measured minus calculated against calculated values; parts as in `agreement`.

    relative: the difference is divided by the measured value.
    """
    from edgewise.plot.canvas import GREY, axes_or_new

    ax = axes_or_new(ax)
    pairs = [(name, *_thinned(array(y), array(p))) for name, y, p in parts]
    ax.axhline(0.0, color=GREY, linewidth=0.9, zorder=1)
    _scatter(ax, [(name, p, (y - p) / y if relative else y - p) for name, y, p in pairs])
    if _spans_decades(np.concatenate([p for _, _, p in pairs])):
        ax.set_xscale("log")
    ax.set_xlabel(f"{target}, by the formula", parse_math=False)
    unit = "(measured − formula) / measured" if relative else "measured − formula"
    ax.set_ylabel(unit, parse_math=False)
    return ax


def _thinned(y: np.ndarray, p: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    finite = np.isfinite(y) & np.isfinite(p)
    y, p = y[finite], p[finite]
    step = max(1, -(-len(y) // POINTS))
    return y[::step], p[::step]


def _scatter(ax: Axes, pairs: Sequence[tuple[str, np.ndarray, np.ndarray]]) -> None:
    from edgewise.plot.canvas import BLUE, DATA

    styles = ((DATA, 5.0), (BLUE, 5.0)) if len(pairs) > 1 else ((BLUE, 5.0),)
    for (name, x, y), (colour, size) in zip(pairs, styles, strict=True):
        ax.plot(x, y, "o", color=colour, markersize=size, markeredgewidth=0, label=name)
    if len(pairs) > 1:
        ax.legend(frameon=False, loc="best", fontsize=9)


def _spans_decades(values: np.ndarray) -> bool:
    return bool(values.size and values.min() > 0 and values.max() > _LOG_RATIO * values.min())
