"""The picture of a structure: every node once, joined to its children."""

import pytest
from matplotlib.figure import Figure
from plot_examples import rendered

from edgewise import plot
from edgewise.interpret import Node, Structure


def leaf(name):
    return Node("input", name)


PAIR = Node("combination", "{0} - {1}", (leaf("alpha"), leaf("x_2")))
TREE = Node(
    "product",
    "3.5",
    (
        Node("curve", "", (PAIR,)),
        Node("sum", "", (Node("curve", "", (leaf("u"),)), Node("function", "", (leaf("v"), leaf("w"))))),
    ),
)  # fmt: skip


@pytest.mark.parametrize("tree", [TREE, leaf("alone"), Structure(TREE, (), 0.1)])
def test_every_node_is_drawn_and_joined(tree):
    fig = plot.tree(tree)
    assert isinstance(fig, Figure) and rendered(fig, "svg")
    root = tree.tree if isinstance(tree, Structure) else tree
    texts = [text.get_text() for text in fig.axes[0].texts]
    count = len(root.lines())
    assert len(texts) == count and len(fig.axes[0].get_lines()) == count - 1
    if root is TREE:
        assert sorted(texts) == sorted(
            ["× + 3.5", "f", "alpha − x_2", "alpha", "$x_{2}$", "+", "f", "u", "f", "v", "w"]
        )


def test_leaves_do_not_touch():
    fig = plot.tree(TREE)
    ax = fig.axes[0]
    fig.canvas.draw()
    boxes = [text.get_window_extent() for text in ax.texts]
    for n, one in enumerate(boxes):
        assert not any(one.overlaps(other) for other in boxes[:n])
        assert fig.bbox.contains(one.x0, one.y0) and fig.bbox.contains(one.x1, one.y1)
