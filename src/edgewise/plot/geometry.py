"""Where everything in the picture of a network stands, in inches; pure arithmetic, no drawing.

From the bottom to the top: the inputs, and for each layer l a band of boxes, one for every drawn
edge (l, i, j), the sums that they end in, and the products that take blocks of those sums.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from itertools import pairwise

from edgewise.plot.bands import CAPTION, Band, columns
from edgewise.plot.shapes import LINE, TILT, Box, Edge, Label, Layout, Lines, Node, Rect
from edgewise.plot.text import shorten, text_width

MARGIN = 0.16
SPARSE = 48  # a level with more nodes than this shows only those with a drawn edge
LONGEST = 30  # characters of a variable's name


def blocks(n_sum: int, arities: Sequence[int]) -> tuple[tuple[int, ...], ...]:
    """The sums that each node of a level is made of: single ones first, then products' blocks."""
    out: list[tuple[int, ...]] = [(j,) for j in range(n_sum)]
    start = n_sum
    for arity in arities:
        out.append(tuple(range(start, start + arity)))
        start += arity
    return tuple(out)


def shown_nodes(
    made: Sequence[Sequence[tuple[int, ...]]], edges: Iterable[Edge]
) -> list[list[int]]:
    """The nodes drawn at each level: all of a narrow one; of a wide one those with an edge."""
    edges = tuple(edges)
    shown = []
    for level, nodes in enumerate(made):
        starts = {i for l, i, _ in edges if l == level}
        ends = {j for l, _, j in edges if l == level - 1}
        touched = [k for k, block in enumerate(nodes) if k in starts or ends & set(block)]
        shown.append(list(range(len(nodes))) if len(nodes) <= SPARSE else touched or [0])
    return shown


def _content_width(
    n_boxes: Sequence[int], n_nodes: Sequence[int], names: Sequence[Sequence[str]], caption: float
) -> float:
    """Wide enough for the fullest layer, and for level names where that is not too wide."""
    cols = max(columns(n) for n in n_boxes)
    width = min(cols * max(0.7, caption + 0.1), max(7.0, 0.36 * cols))
    width = max(2.8, width, 0.14 * max(n_nodes))
    for row in names:
        level = len(row) * (max(text_width(name, 10) for name in row) + 0.15)
        width = max(width, level) if level <= 8.0 else width
    return width


def _name_labels(names: Mapping[int, str], nodes: Mapping[int, Node], W: float, top: bool
                 ) -> list[Label]:  # fmt: skip
    """Names beside the nodes: level where they fit, else tilted, else tilted and every k-th."""
    places = sorted(nodes[k].x for k in names)
    spacing = min((b - a for a, b in pairwise(places)), default=W)
    side = 1 if top else -1
    widest = max(text_width(text, 10) for text in names.values())
    if widest + 0.1 <= spacing or len(names) == 1:
        size, angle, every = 10.0, 0, 1
        horizontal, vertical = "center", "bottom" if top else "top"
    else:
        size, angle = max(5.5, min(9.0, spacing * TILT * 72 / LINE)), 45
        every = math.ceil(LINE * size / 72 / (spacing * TILT) - 1e-9)
        horizontal, vertical = "left" if top else "right", "center"
    return [
        Label(text, nodes[k].x, nodes[k].y + side * (nodes[k].radius + 0.07),
              size, angle, horizontal, vertical)
        for text, k in zip(names.values(), list(names), strict=True)
        if list(names).index(k) % every == 0
    ]  # fmt: skip


def _level(
    members: Mapping[int, float], made: Sequence[tuple[int, ...]], shown: Sequence[int],
    y: float, W: float, first: bool,
) -> tuple[dict[int, Node], dict[int, Node], dict[int, Lines]]:  # fmt: skip
    """Sums at height y, the nodes made of them (higher where there are products), the links."""
    products = any(len(made[k]) > 1 for k in shown)
    radius = min(0.055, 0.35 * W / len(members))
    upper = y + 0.45 if products else y
    sums: dict[int, Node] = {}
    nodes: dict[int, Node] = {}
    links: dict[int, Lines] = {}
    for k in shown:
        block = made[k]
        x = sum(members[j] for j in block) / len(block)
        alone = len(block) == 1
        kind = "input" if first else "sum" if alone else "part"
        size = 1.6 * radius if products and alone else radius
        sums |= {j: Node(members[j], y, size, kind) for j in block}
        # The line of a plain sum goes straight up past the products before it fans out.
        nodes[k] = Node(x, upper, size if alone else 2 * radius, kind if alone else "product")
        if products:
            links[k] = tuple(((members[j], y), (x, upper)) for j in block)
    return sums, nodes, links


def layout(
    width: Sequence[tuple[int, int]],
    mult_arity: Sequence[Sequence[int]],
    edges: Iterable[Edge],
    input_names: Sequence[str],
    output_names: Sequence[str],
    captions: Mapping[Edge, str] | None = None,
    title: str | None = None,
    notes: Sequence[str] = (),
) -> Layout:
    """Places a network of levels ``width`` = (n_sum, n_mult) with the ``edges`` (l, i, j) drawn."""
    captions, edges = captions or {}, sorted(edges)
    depth = len(width) - 1
    made = [blocks(n, arities) for (n, _), arities in zip(width, mult_arity, strict=True)]
    shown = shown_nodes(made, edges)
    layers = [tuple(e for e in edges if e[0] == l) for l in range(depth)]
    names = [
        {k: shorten(input_names[k], LONGEST) for k in shown[0]},
        {k: shorten(output_names[k], LONGEST) for k in shown[-1]},
    ]
    members = [[j for k in ks for j in made[level][k]] for level, ks in enumerate(shown)]
    W = _content_width(
        [len(layer) for layer in layers],
        [len(level) for level in members],
        [list(row.values()) for row in names],
        max((text_width(text, CAPTION) for text in captions.values()), default=0.0),
    )
    fan = min(max(0.085 * W, 0.42), 1.15)

    y = 0.0
    nodes: dict[tuple[int, int], Node] = {}
    sums: dict[tuple[int, int], Node] = {}
    boxes: dict[Edge, Box] = {}
    links: dict[tuple[int, int], Lines] = {}
    for level in range(depth + 1):
        if level:
            band = Band(layers[level - 1], captions, W, y + fan)
            y += fan + band.height + fan
        spread = {j: (n + 0.5) * W / len(members[level]) for n, j in enumerate(members[level])}
        ends, above, joined = _level(spread, made[level], shown[level], y, W, level == 0)
        if level:
            starts = {k: nodes[level - 1, k] for k in shown[level - 1]}
            boxes |= band.boxes(starts, ends)
            sums |= {(level - 1, j): node for j, node in ends.items()}
        nodes |= {(level, k): node for k, node in above.items()}
        links |= {(level, k): lines for k, lines in joined.items()}
        y = max(node.y for node in above.values())

    labels = _name_labels(names[0], {k: nodes[0, k] for k in shown[0]}, W, top=False)
    labels += _name_labels(names[1], {k: nodes[depth, k] for k in shown[-1]}, W, top=True)
    return _framed(Layout(Rect(0, 0, W, y), nodes, sums, boxes, links, tuple(labels)), title, notes)


def _framed(bare: Layout, title: str | None, notes: Sequence[str]) -> Layout:
    """Adds title and notes, and the canvas that holds everything with a margin around."""
    points = list(bare.extent.corners)
    points += [p for label in bare.labels for p in label.corners]
    points += [p for box in bare.boxes.values() for p in (*box.incoming, *box.outgoing)]
    points += [p for node in bare.nodes.values() for p in node.corners]
    middle = bare.extent.x + bare.extent.w / 2
    low, high = min(p[1] for p in points), max(p[1] for p in points)
    extra = []
    if title:
        extra.append(Label(shorten(title, 120), middle, high + 0.12, 12.0))
    for n, note in enumerate(notes):
        extra.append(Label(note, middle, low - 0.12 - n * LINE * 8 / 72, 8.0, vertical="top"))
    points += [p for label in extra for p in label.corners]
    left, right = min(p[0] for p in points), max(p[0] for p in points)
    low, high = min(p[1] for p in points), max(p[1] for p in points)
    extent = Rect(left - MARGIN, low - MARGIN, right - left + 2 * MARGIN, high - low + 2 * MARGIN)
    return Layout(extent, bare.nodes, bare.sums, bare.boxes, bare.links, (*bare.labels, *extra))
