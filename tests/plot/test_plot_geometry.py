"""Laws of the layout: nothing overlaps, nothing leaves the canvas, no line crosses a box."""

import itertools

import pytest
from plot_examples import WIDTHS, network

from edgewise.plot import curves
from edgewise.plot.geometry import blocks, layout, shown_nodes
from edgewise.plot.shapes import Label, Layout, Rect

NAMES = {
    "short": lambda n: f"x_{n}",
    "long": lambda n: f"a_rather_long_name_of_column_{n}",
}


def plan(width: list, arity: object, names: str = "short", **options: object) -> Layout:
    model = network(width, arity)
    levels = [sum(level) for level in model.width]
    return layout(
        model.width,
        model.mult_arity,
        curves.live_edges(model),
        [NAMES[names](n) for n in range(levels[0])],
        [NAMES[names](n) for n in range(levels[-1])],
        **options,
    )


def apart(a: tuple, b: tuple, slack: float = 1e-9) -> bool:
    """Whether two convex polygons (or segments) do not overlap: some edge's normal separates."""
    for corners in (a, b):
        for (x0, y0), (x1, y1) in itertools.pairwise((*corners, corners[0])):
            nx, ny = y1 - y0, x0 - x1
            if nx == ny == 0:
                continue
            first = [nx * x + ny * y for x, y in a]
            second = [nx * x + ny * y for x, y in b]
            if max(first) <= min(second) + slack or max(second) <= min(first) + slack:
                return True
    return False


CASES = [
    pytest.param(width, arity, names, id=f"{name}, {names} names")
    for name, (width, arity) in WIDTHS.items()
    for names in NAMES
]


@pytest.mark.parametrize(("width", "arity", "names"), CASES)
def test_nothing_overlaps(width, arity, names):
    captions = {(0, 0, 0): "sin", (len(width) - 2, 0, 0): "2 exp(x + 1)"}
    found = plan(width, arity, names, captions=captions, title="A title", notes=["a note", "two"])
    shapes = [box.frame.corners for box in found.boxes.values()]
    shapes += [box.caption.corners for box in found.boxes.values() if box.caption]
    places = {(n.x, n.y, n.radius): n for n in (*found.nodes.values(), *found.sums.values())}
    # A plain sum's second place, above the products' factors, is a bend and not drawn.
    drawn = [n for n in places.values() if n in found.sums.values() or n.kind != "sum"]
    shapes += [node.corners for node in drawn]
    shapes += [label.corners for label in found.labels]
    for a, b in itertools.combinations(shapes, 2):
        assert apart(a, b)


@pytest.mark.parametrize(("width", "arity", "names"), CASES)
def test_everything_lies_inside_the_canvas(width, arity, names):
    found = plan(width, arity, names, title="A title", notes=["a note"])
    left, low = found.extent.corners[0]
    right, top = found.extent.corners[2]
    points = [p for box in found.boxes.values() for p in (*box.incoming, *box.outgoing)]
    points += [p for box in found.boxes.values() for p in box.frame.corners]
    points += [p for label in found.labels for p in label.corners]
    points += [p for node in found.nodes.values() for p in node.corners]
    assert all(left < x < right and low < y < top for x, y in points)


@pytest.mark.parametrize(("width", "arity"), WIDTHS.values(), ids=WIDTHS)
def test_no_line_crosses_a_box(width, arity):
    found = plan(width, arity)
    frames = {edge: box.frame for edge, box in found.boxes.items()}
    for edge, box in found.boxes.items():
        for path in (box.incoming, box.outgoing):
            for a, b in itertools.pairwise(path):
                near = [f for e, f in frames.items() if e[0] == edge[0]]
                assert all(apart((a, b), frame.corners) for frame in near)


@pytest.mark.parametrize(("width", "arity"), WIDTHS.values(), ids=WIDTHS)
def test_lines_join_each_box_to_its_own_nodes(width, arity):
    found = plan(width, arity)
    for (l, i, j), box in found.boxes.items():
        start, end = found.nodes[l, i], found.sums[l, j]
        assert box.incoming[0] == (start.x, start.y)
        assert box.outgoing[-1] == (end.x, end.y)
        assert box.incoming[0][1] < box.frame.y < box.outgoing[-1][1]


def test_lines_through_a_gap_keep_apart():
    found = plan([60, 2, 1], 2)
    upright = [
        (a[0], a[1])
        for box in found.boxes.values()
        for path in (box.incoming, box.outgoing)
        for a, b in itertools.pairwise(path[1:-1])
        if a[0] == b[0]
    ]
    assert upright
    assert len({(round(x, 6), round(y, 6)) for x, y in upright}) == len(upright)


def test_blocks_of_products_follow_the_sums():
    assert blocks(2, [2, 3]) == ((0,), (1,), (2, 3), (4, 5, 6))
    assert blocks(0, [2]) == ((0, 1),)


def test_products_stand_above_their_factors():
    found = plan([3, [2, 2], 1], [[], [2, 3], []])
    assert [found.nodes[1, k].kind for k in range(4)] == ["sum", "sum", "product", "product"]
    assert len(found.links[1, 3]) == 3
    factors = [found.sums[0, j] for j in (4, 5, 6)]
    assert all(f.kind == "part" and f.y < found.nodes[1, 3].y for f in factors)


def test_wide_levels_show_only_nodes_with_an_edge():
    made = [blocks(100, ()), blocks(60, ()), blocks(2, ())]
    shown = shown_nodes(made, [(0, 7, 3), (1, 5, 1)])
    assert shown == [[7], [3, 5], [0, 1]]


def test_layout_without_edges_still_shows_inputs_and_outputs():
    found = layout([(2, 0), (1, 0)], [(), ()], [], ["a", "b"], ["y"])
    assert {label.text for label in found.labels} == {"a", "b", "y"}
    assert not found.boxes


def test_tilted_label_turns_about_its_anchor():
    flat = Label("name", 1.0, 2.0, 10.0, 0, "left", "bottom")
    tilted = Label("name", 1.0, 2.0, 10.0, 45, "left", "bottom")
    assert flat.corners[0] == tilted.corners[0] == (1.0, 2.0)
    assert tilted.corners[1][1] > flat.corners[1][1]


def test_apart_tells_touching_from_overlapping():
    square = Rect(0, 0, 1, 1).corners
    assert apart(square, Rect(1, 0, 1, 1).corners)
    assert not apart(square, Rect(0.9, 0.9, 1, 1).corners)
    assert not apart(((-1, 0.5), (2, 0.5)), square)
