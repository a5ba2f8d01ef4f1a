"""Pictures of single edges: the curve, the knots, and where the data lie."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np

from edgewise.errors import InputError
from edgewise.plot import curves
from edgewise.plot.text import symbolic_text

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from edgewise.nn import KANLayer, Network, Trace

POINTS = 400
_STRIP = 0.16  # of the axes' height, for the density of the data


def edge(
    model: Network, l: int, i: int, j: int, trace: Trace | None = None, ax: Axes | None = None
) -> Axes:
    """Draw phi_{l,i,j}, from node i of level l to sum j, on ``ax`` or a new figure.

    The curve covers the grid and the data of ``trace``; it is dashed where it extrapolates, beyond
    the grid or the data. Small ticks below mark the knots, the strip at the foot shows how the data
    lie. A symbolic edge is red and has its form in the title.
    Raises InputError when there is no such edge.
    """
    from edgewise.plot.canvas import axes_or_new

    layer = _layer(model, l)
    if not (0 <= i < layer.in_features and 0 <= j < layer.out_features):
        raise InputError(
            f"Edge (l, i, j) = {(l, i, j)} does not exist: layer {l} goes from "
            f"{layer.in_features} nodes to {layer.out_features} sums."
        )
    ax = axes_or_new(ax, 4.6, 3.4)
    _draw(ax, model, (l, i, j), trace)
    ax.set_title(_title(layer, l, i, j), fontsize=11)
    ax.set_xlabel(_input_name(model, l, i), fontsize=10)
    return ax


def edges(
    model: Network,
    l: int,
    trace: Trace | None = None,
    *,
    scores: Any = None,
    max_edges: int = 60,
) -> Figure:
    """All live edges of layer l as small pictures: a column an input, a row a sum.

    With more than ``max_edges`` places, only the strongest edges come, in reading order; strength
    is the score (see ``plot.network``), else how far the curve rises and falls.
    Raises InputError when there is no such layer.
    """
    from edgewise.plot.canvas import new_figure

    layer = _layer(model, l)
    live = [e for e in curves.live_edges(model) if e[0] == l]
    matrix = layer.in_features * layer.out_features <= max_edges
    if matrix:
        rows, columns = layer.out_features, layer.in_features
        places = [(e, (e[2], e[1])) for e in live]
    else:
        chosen = _strongest(model, l, live, trace, scores, max_edges)
        columns = min(8, max(1, len(chosen)))
        rows = max(1, math.ceil(len(chosen) / columns))
        places = [(e, divmod(k, columns)) for k, e in enumerate(chosen)]
    fig = new_figure(max(2.6, 1.7 * columns), max(2.2, 1.5 * rows + 0.4), constrained=True)
    for edge_, (row, column) in places:
        ax = fig.add_subplot(rows, columns, row * columns + column + 1)
        ax.spines[["top", "right"]].set_visible(False)
        _draw(ax, model, edge_, trace)
        ax.set_title(_title(layer, *edge_, short=True), fontsize=8)
        ax.tick_params(labelsize=7)
        ax.locator_params(nbins=3)
        if row == rows - 1 or not matrix:
            ax.set_xlabel(_input_name(model, l, edge_[1]), fontsize=8)
    count = f"{len(places)} of {len(live)}" if len(places) < len(live) else f"{len(live)}"
    fig.suptitle(f"layer {l}: {count} live edges", fontsize=10)
    return fig


def _layer(model: Network, l: int) -> KANLayer:
    if not 0 <= l < len(model.layers):
        raise InputError(f"Layer {l} was asked for; there are {len(model.layers)}, from 0.")
    return curves.layers(model)[l]


def _strongest(
    model: Network, l: int, live: list[Any], trace: Trace | None, scores: Any, count: int
) -> list[Any]:
    found = curves.score_arrays(model, scores)
    if found is None:
        ranges = [
            curves.grid_range(layer) if trace is None else curves.data_range(trace, n)
            for n, layer in enumerate(curves.layers(model))
        ]
        found = curves.spans(model, ranges)
    return sorted(sorted(live, key=lambda e: -found[l][e[2], e[1]])[:count])


def _draw(ax: Axes, model: Network, which: tuple[int, int, int], trace: Trace | None) -> None:
    from edgewise.plot.canvas import DATA, colour_of

    l, i, j = which
    layer = _layer(model, l)
    lower, upper = (float(end[i]) for end in curves.grid_range(layer))
    inner, outer = (lower, upper), (lower, upper)
    sample = None
    if trace is not None:
        first, last = (float(end[i]) for end in curves.data_range(trace, l))
        inner = max(lower, first), min(upper, last)
        outer = min(lower, first), max(upper, last)
        sample = curves.array(trace.inputs[l])[:, i]
    ends = sorted({outer[0], outer[1], *(e for e in inner if outer[0] < e < outer[1])})
    x = np.unique(np.concatenate([np.linspace(*outer, POINTS), ends]))
    # The other inputs stand at their first knot: this edge does not see them.
    points = np.repeat(curves.grid_range(layer)[0][None], len(x), axis=0)
    points[:, i] = x
    y = curves.values(layer, points, [(i, j)])[:, 0]
    colour = colour_of(layer, i, j)
    ax.plot(x, y, color=colour, linewidth=1.0, linestyle=(0, (3, 2)), gid="extrapolated")
    inside = (x >= inner[0]) & (x <= inner[1])
    ax.plot(x[inside], y[inside], color=colour, linewidth=1.6, gid="curve")
    _fit_height(ax, y)
    ax.set_xlim(*outer)
    if sample is not None:
        heights, bounds = np.histogram(sample, bins=40, range=outer)
        ax.stairs(_STRIP * heights / heights.max(), bounds, fill=True, color=DATA, alpha=0.6,
                  transform=ax.get_xaxis_transform(), zorder=0)  # fmt: skip
    knots = curves.knots(layer, i)
    ax.locator_params(axis="x", nbins=6)
    ax.xaxis.remove_overlapping_locs = False  # a knot shows beside a number too
    ax.set_xticks(knots[(knots >= outer[0]) & (knots <= outer[1])], minor=True)
    ax.tick_params(axis="x", which="minor", length=5, direction="in", color="#1a1a1a")


def _fit_height(ax: Axes, y: np.ndarray) -> None:
    """Room for the strip below the curve; a constant gets a scale of its own size."""
    known = y[np.isfinite(y)]
    least, most = (known.min(), known.max()) if known.size else (0.0, 0.0)
    span = most - least
    if span <= 1e-9 * max(abs(least), abs(most)):
        span = max(abs(most), 1.0) * 0.1
    ax.set_ylim(least - (_STRIP + 0.1) * span, most + 0.06 * span)


def _title(layer: KANLayer, l: int, i: int, j: int, short: bool = False) -> str:
    name = rf"$\phi_{{{l},{i},{j}}}$"
    code = int(layer.symbolic_code[j, i])
    if not layer.live[j, i]:
        return f"{name} (off)"
    if code == 0:
        return name
    primitive = layer.primitives[code - 1].name
    form = symbolic_text(primitive, layer.symbolic_affine[j, i].tolist())
    form = primitive if short and len(form) > 16 else form
    return f"{name} = {form}" if "$" not in form else name


def _input_name(model: Network, l: int, i: int) -> str:
    from edgewise.plot.text import display_name

    if l == 0:
        text, mathematics = display_name((model.input_names or {i: f"x_{i + 1}"})[i])
        return text if mathematics else text.replace("$", r"\$")
    return f"node {i} of level {l}"
