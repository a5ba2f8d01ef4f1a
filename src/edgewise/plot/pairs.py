"""Pairs of values that should be equal: which are drawn, and the diagonal on which they are."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from matplotlib.axes import Axes


def finite(y: np.ndarray, p: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The pairs of which both values are finite."""
    kept = np.isfinite(y) & np.isfinite(p)
    return y[kept], p[kept]


def thinned(y: np.ndarray, p: np.ndarray, most: int) -> tuple[np.ndarray, np.ndarray]:
    """At most ``most`` pairs, every n-th one."""
    step = max(1, -(-len(y) // most))
    return y[::step], p[::step]


def diagonal(ax: Axes, *values: np.ndarray) -> None:
    """Draw the line of equal values over the range of all values; nothing where there are none."""
    from edgewise.plot.canvas import GREY

    everything = np.concatenate(values)
    if everything.size:
        ends = [everything.min(), everything.max()]
        ax.plot(ends, ends, color=GREY, linewidth=0.9, zorder=1, gid="diagonal")
