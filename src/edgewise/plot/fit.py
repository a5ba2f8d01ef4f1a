"""Pictures of how well a formula fits: calculated against measured values, and residuals."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from edgewise.plot.curves import array
from edgewise.plot.pairs import diagonal, finite, thinned

if TYPE_CHECKING:
    from matplotlib.axes import Axes

Part = tuple[str, np.ndarray, np.ndarray]

POINTS = 1000  # more than this say nothing new to the eye and make large files
_LOG_RATIO = 100.0  # values of one sign that span more are drawn on a logarithmic axis


def agreement(
    parts: Sequence[tuple[str, Any, Any]], target: str = "y", *, ax: Axes | None = None
) -> Axes:
    """Draw calculated against measured values; on the diagonal they are equal.

    parts: (name, measured (N,), calculated (N,)), at most two: rows fitted and rows held out. Rows
    whose value is not finite are left out; of more than 1000 rows every n-th is drawn.
    """
    from edgewise.plot.canvas import axes_or_new

    ax = axes_or_new(ax)
    pairs = _drawn(parts)
    values = [v for _, *pair in pairs for v in pair]
    diagonal(ax, *values)
    _scatter(ax, pairs)
    if _spans_decades(np.concatenate(values)):
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
    pairs = _drawn(parts)
    ax.axhline(0.0, color=GREY, linewidth=0.9, zorder=1)
    _scatter(ax, [(name, p, (y - p) / y if relative else y - p) for name, y, p in pairs])
    if _spans_decades(np.concatenate([p for _, _, p in pairs])):
        ax.set_xscale("log")
    ax.set_xlabel(f"{target}, by the formula", parse_math=False)
    unit = "(measured − formula) / measured" if relative else "measured − formula"
    ax.set_ylabel(unit, parse_math=False)
    return ax


def _drawn(parts: Sequence[tuple[str, Any, Any]]) -> list[Part]:
    return [(name, *thinned(*finite(array(y), array(p)), POINTS)) for name, y, p in parts]


def _scatter(ax: Axes, pairs: Sequence[Part]) -> None:
    from edgewise.plot.canvas import BLUE, DATA

    styles = ((DATA, 5.0), (BLUE, 5.0)) if len(pairs) > 1 else ((BLUE, 5.0),)
    for (name, x, y), (colour, size) in zip(pairs, styles, strict=True):
        ax.plot(x, y, "o", color=colour, markersize=size, markeredgewidth=0, label=name)
    if len(pairs) > 1:
        ax.legend(frameon=False, loc="best", fontsize=9)


def _spans_decades(values: np.ndarray) -> bool:
    return bool(values.size and values.min() > 0 and values.max() > _LOG_RATIO * values.min())
