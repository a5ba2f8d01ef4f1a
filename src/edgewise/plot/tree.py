"""The picture of a function's structure: a tree with the inputs at the foot."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from edgewise.plot.text import display_name, text_width

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from edgewise.interpret import Node, Structure

_GAP, _STEP = 0.35, 0.75  # inches between leaves, and between levels
_SIZE = 11.0


@dataclass(frozen=True)
class _Placed:
    """A node with its label, centre (inches from the left, levels from the top) and what is below."""

    label: str
    kind: str
    x: float
    level: int
    children: tuple[_Placed, ...]


def tree(found: Structure | Node) -> Figure:
    """Draw what ``KAN.structure`` found: + and x for sums and products, f for unknown functions.

    Functions of one variable are white circles, functions of several that could not be taken apart are
    red; pairs that act as one, such as x - y, stand in boxes, and so do the inputs at the foot.
    """
    from edgewise.interpret import Structure
    from edgewise.plot.canvas import new_figure

    root = found.tree if isinstance(found, Structure) else found
    placed, width = _place(root, 0.0, 0)
    depth = _depth(placed)
    W, H = max(width, 1.2) + 0.5, depth * _STEP + 0.75
    fig = new_figure(W, H)
    ax = fig.add_axes((0, 0, 1, 1))
    ax.set_xlim(-0.25 - max(0.0, 1.2 - width) / 2, W - 0.25 - max(0.0, 1.2 - width) / 2)
    ax.set_ylim(-(depth * _STEP) - 0.375, 0.375)
    ax.set_axis_off()
    _draw(ax, placed)
    return fig


def _place(node: Node, left: float, level: int) -> tuple[_Placed, float]:
    """The node's subtree from ``left`` on, and where it ends."""
    label = _label(node)
    least = max(0.3, text_width(label, _SIZE) + 0.2)
    children: list[_Placed] = []
    right = left
    for child in node.children:
        below, right = _place(child, right + (_GAP if children else 0.0), level + 1)
        children.append(below)
    if not children:
        return _Placed(label, node.kind, left + least / 2, level, ()), left + least
    x = (children[0].x + children[-1].x) / 2
    return _Placed(label, node.kind, x, level, tuple(children)), max(right, x + least / 2)


def _label(node: Node) -> str:
    if node.kind == "input":
        return display_name(node.text)[0]
    if node.kind == "combination":
        names = [child.text if child.kind == "input" else "(.)" for child in node.children]
        return node.text.format(*names).replace("*", " · ").replace("-", "\u2212")
    if node.kind == "product":
        return f"× + {node.text}" if node.text else "×"
    return {"sum": "+"}.get(node.kind, "f")


def _depth(placed: _Placed) -> int:
    return max([placed.level, *(_depth(child) for child in placed.children)])


def _draw(ax: Axes, placed: _Placed) -> None:
    from edgewise.plot.canvas import GREY, NUMERIC, SYMBOLIC

    y = -placed.level * _STEP
    for child in placed.children:
        ax.plot([placed.x, child.x], [y, -child.level * _STEP], color=GREY, lw=1.0, zorder=1)
        _draw(ax, child)
    colour = SYMBOLIC if placed.kind == "function" else NUMERIC
    square = placed.kind in ("input", "combination") or len(placed.label) > 1
    box = {
        "boxstyle": "round,pad=0.25" if square else "circle,pad=0.25",
        "facecolor": "#eef2f7" if placed.kind == "input" else "white",
        "edgecolor": colour,
        "linewidth": 0.9,
    }
    style = "italic" if placed.label == "f" else "normal"
    ax.text(
        placed.x, y, placed.label, ha="center", va="center", fontsize=_SIZE, style=style,
        color=colour, bbox=box, zorder=2,
    )  # fmt: skip
