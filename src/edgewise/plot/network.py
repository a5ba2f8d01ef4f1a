"""The picture of a whole network: every edge's own curve in a box between its nodes."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from edgewise.errors import InputError
from edgewise.plot import curves
from edgewise.plot.geometry import layout
from edgewise.plot.shapes import Box, Edge, Label, Layout, Node
from edgewise.plot.text import display_name, raised, symbolic_text

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from edgewise.nn import Network, Trace

FAINTEST = 0.12  # below this opacity a curve could not be told from white
_INSET = 0.1  # of a frame's side, left free around the curve


def opacity(score: float, beta: float) -> float:
    """tanh(beta * score), and never so faint that a live edge looks absent."""
    return max(FAINTEST, math.tanh(beta * max(score, 0.0)))


def network(
    model: Network,
    trace: Trace | None = None,
    scores: Any = None,
    *,
    beta: float = 3.0,
    input_names: Sequence[str] | None = None,
    output_names: Sequence[str] | None = None,
    max_edges: int = 200,
    title: str | None = None,
    curve_points: int = 100,
    formulas: bool = False,
) -> Figure:
    """Draw the network: inputs at the bottom, outputs on top, each live edge's curve in a box.

    A curve is drawn over the range of its input: the trace's if there is one, else the grid's; its
    height is its own, so boxes compare shapes and opacity compares importance. Numeric edges are
    black, symbolic ones red with their function's name below, edges with both parts purple.

    trace: from ``model.trace(x)``. scores: an Attribution, or a list of (O, I) arrays a layer;
    opacity is tanh(beta * score); None draws every edge full. max_edges: where there are more, each
    layer shows its strongest (by score, else by how far the curve rises and falls) and a note says
    how many are hidden. formulas: whole c f(a x + b) + d below symbolic edges, not only the name.
    Returns a matplotlib Figure of vectors only. Raises InputError for arguments that do not fit.
    """
    from edgewise.plot.canvas import colour_of

    if max_edges < 1 or curve_points < 2:
        raise InputError(
            f"max_edges is {max_edges} and curve_points {curve_points}; expected >= 1 and >= 2."
        )
    live = curves.live_edges(model)
    by_layer = curves.score_arrays(model, scores)
    if trace is None:
        ranges = [curves.grid_range(layer) for layer in curves.layers(model)]
    else:
        _check_trace(model, trace)
        ranges = [curves.data_range(trace, l) for l in range(len(model.layers))]
    edges = live
    if len(live) > max_edges:
        ranking = by_layer if by_layer is not None else curves.spans(model, ranges)
        edges = curves.strongest(model, live, ranking, max_edges)
    plan = layout(
        model.width,
        model.mult_arity,
        edges,
        _names("input_names", input_names or model.input_names, "x", model.width[0]),
        _names("output_names", output_names or model.output_names, "y", model.width[-1]),
        captions=_captions(model, edges, formulas),
        title=title,
        notes=_notes(model, live, edges),
    )
    lines = _curves(model, edges, ranges, curve_points)
    layers = curves.layers(model)
    return _draw(plan, lines, {
        e: opacity(1.0, np.inf) if by_layer is None else opacity(by_layer[e[0]][e[2], e[1]], beta)
        for e in edges
    }, {e: colour_of(layers[e[0]], e[1], e[2]) for e in edges})  # fmt: skip


def _check_trace(model: Network, trace: Trace) -> None:
    found = [x.shape[-1] for x in trace.inputs]
    wanted = [layer.in_features for layer in curves.layers(model)]
    if found != wanted:
        raise InputError(
            f"The trace has levels of {found} nodes, this model {wanted}; trace this model anew."
        )


def _names(
    argument: str, names: Sequence[str] | None, letter: str, level: tuple[int, int]
) -> list[str]:
    count = sum(level)
    if names is None:
        return [f"{letter}_{n + 1}" for n in range(count)]
    if len(names) != count:
        raise InputError(f"{argument} has {len(names)} names; expected {count}.")
    return [str(name) for name in names]


def _captions(model: Network, edges: Sequence[Edge], formulas: bool) -> dict[Edge, str]:
    """The function's name, or all of its form, for the symbolic edges."""
    captions = {}
    for edge in edges:
        l, i, j = edge
        layer = curves.layers(model)[l]
        if code := int(layer.symbolic_code[j, i]):
            name = layer.primitives[code - 1].name
            affine = layer.symbolic_affine[j, i].tolist()
            captions[edge] = symbolic_text(name, affine) if formulas else raised(name)
    return captions


def _notes(model: Network, live: Sequence[Edge], edges: Sequence[Edge]) -> list[str]:
    """What a reader must know: how much is hidden."""
    notes = []
    if not live:
        notes.append("no live edges")
    if len(edges) < len(live):
        hidden = len(live) - len(edges)
        notes.append(f"the {len(edges):,} strongest of {len(live):,} edges; {hidden:,} hidden")
    return notes


def _curves(
    model: Network,
    edges: Sequence[Edge],
    ranges: Sequence[tuple[np.ndarray, np.ndarray]],
    points: int,
) -> Mapping[Edge, np.ndarray]:
    """Each edge's curve in the unit square: (points, 2); a constant lies at height 1/2."""
    t = np.linspace(0.0, 1.0, points)[:, None]
    lines = {}
    for l, layer in enumerate(curves.layers(model)):
        here = [e for e in edges if e[0] == l]
        if not here:
            continue
        lower, upper = ranges[l]
        y = curves.values(layer, lower + t * (upper - lower), [(e[1], e[2]) for e in here])
        for edge, column in zip(here, y.T, strict=True):
            known = column[np.isfinite(column)]
            least, most = (known.min(), known.max()) if known.size else (0.0, 0.0)
            flat = most - least <= 1e-9 * max(abs(least), abs(most), 1e-300)
            line = 0.0 * column + 0.5 if flat else (column - least) / (most - least)
            # A pole or a step is no steep slope: the line is broken there.
            jump = (np.abs(np.diff(line)) > 0.6) & (column[1:] * column[:-1] < 0)
            breaks = np.flatnonzero(jump) + 1
            lines[edge] = np.insert(np.column_stack([t[:, 0], line]), breaks, np.nan, axis=0)
    return lines


def _draw(
    plan: Layout,
    lines: Mapping[Edge, np.ndarray],
    alphas: Mapping[Edge, float],
    colours: Mapping[Edge, str],
) -> Figure:
    from edgewise.plot.canvas import new_figure

    fig = new_figure(plan.extent.w, plan.extent.h)
    ax = fig.add_axes((0.0, 0.0, 1.0, 1.0))
    ax.set_axis_off()
    ax.set_xlim(plan.extent.x, plan.extent.x + plan.extent.w)
    ax.set_ylim(plan.extent.y, plan.extent.y + plan.extent.h)
    for edge, box in plan.boxes.items():
        _draw_box(ax, edge, box, lines[edge], alphas[edge], colours[edge])
    plain = {line for joined in plan.links.values() for line in joined}
    _segments(ax, list(plain), "#1a1a1a", 1.0, 0.9)
    products = any(node.kind == "product" for node in plan.nodes.values())
    for node in plan.sums.values():
        _draw_node(ax, node, signed=products and node.kind == "sum")
    for node in plan.nodes.values():
        if node.kind in ("input", "product"):
            _draw_node(ax, node, signed=node.kind == "product")
    for label in plan.labels:
        _write(ax, label, *display_name(label.text))
    return fig


def _segments(ax: Axes, paths: Sequence[Any], colour: str, alpha: float, width: float) -> None:
    from matplotlib.collections import LineCollection

    if paths:
        ax.add_collection(
            LineCollection(paths, colors=colour, alpha=alpha, linewidths=width, zorder=1),
            autolim=False,
        )


def _draw_box(ax: Axes, edge: Edge, box: Box, line: np.ndarray, alpha: float, colour: str) -> None:
    from matplotlib.patches import Rectangle

    frame = box.frame
    fine = frame.w < 0.35
    _segments(ax, [box.incoming, box.outgoing], colour, alpha, 0.6 if fine else 0.9)
    ax.add_patch(
        Rectangle((frame.x, frame.y), frame.w, frame.h, facecolor="white", zorder=2,
                  edgecolor=(*_rgb(colour), alpha), linewidth=0.6 if fine else 0.9)
    )  # fmt: skip
    free = 1.0 - 2.0 * _INSET
    at = np.array([frame.x, frame.y]) + frame.w * (_INSET + free * line)
    (artist,) = ax.plot(
        at[:, 0], at[:, 1], color=colour, alpha=alpha, zorder=3,
        linewidth=0.9 if fine else 1.3, solid_capstyle="round", scalex=False, scaley=False,
    )  # fmt: skip
    artist.set_gid("edge-{}-{}-{}".format(*edge))
    if box.caption:
        text = _write(ax, box.caption, box.caption.text, False)
        text.set_color(colour)
        text.set_alpha(max(alpha, 0.5))


def _rgb(colour: str) -> tuple[float, float, float]:
    from matplotlib.colors import to_rgb

    return to_rgb(colour)


def _draw_node(ax: Axes, node: Node, signed: bool) -> None:
    """A dot, or a circle that shows its operation: a cross for products, a plus for sums."""
    from matplotlib.patches import Circle

    ax.add_patch(
        Circle((node.x, node.y), node.radius, facecolor="white" if signed else "#1a1a1a",
               edgecolor="#1a1a1a", linewidth=1.0 if signed else 0.0, zorder=4)
    )  # fmt: skip
    if signed:
        arm = 0.62 * node.radius
        turn = math.pi / 4 if node.kind == "product" else 0.0
        strokes = []
        for angle in (turn, turn + math.pi / 2):
            dx, dy = arm * math.cos(angle), arm * math.sin(angle)
            strokes.append([(node.x - dx, node.y - dy), (node.x + dx, node.y + dy)])
        _segments(ax, strokes, "#1a1a1a", 1.0, 1.1)
        ax.collections[-1].set_zorder(5)


def _write(ax: Axes, label: Label, text: str, mathematics: bool) -> Any:
    from edgewise.plot.canvas import fonts_for

    return ax.text(
        label.x, label.y, text, fontsize=label.size, rotation=label.angle,
        rotation_mode="anchor", ha=label.horizontal, va=label.vertical, zorder=6,
        color="#1a1a1a", parse_math=mathematics, usetex=False, clip_on=False,
        fontfamily=fonts_for(text),
    )  # fmt: skip
