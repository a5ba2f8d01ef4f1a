"""Which value of a graph stands on which level of a network, and what carries it on."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import sympy

from .dataflow import Affine, Graph, Row, identity


@dataclass(frozen=True)
class Place:
    """One node: the value it holds, its row, or the rows of its factors; bias is added last."""

    value: sympy.Expr | None
    rows: tuple[Row, ...]
    bias: float = 0.0

    @property
    def is_product(self) -> bool:
        return len(self.rows) > 1


def schedule(graph: Graph, outputs: Sequence[Affine]) -> list[list[Place]]:
    """The nodes of levels 1, 2, ..., sums before products on each, the last level the outputs.

    From the last level down, a value that is wanted is either computed there or carried there from
    the level below by an identity edge, whichever asks for fewer nodes below. What one row reads
    twice gets two nodes.
    """
    depth = max([1, *(graph.depth[o.value] for o in outputs if o.value is not None)])
    if _unordered(graph, outputs, depth):
        depth += 1
    levels = []
    wanted = list(outputs)
    for level in range(depth, 0, -1):
        places, wanted = _level(graph, wanted, level, last=level == depth)
        levels.append(places)
    return levels[::-1]


def _unordered(graph: Graph, outputs: Sequence[Affine], depth: int) -> bool:
    """Whether an output that must be a product comes before a sum: nodes put sums first, so one
    more level of identity edges keeps the order that was asked for."""
    products = [
        o.value is not None and graph.is_product(o.value) and graph.depth[o.value] == depth
        for o in outputs
    ]
    return products != sorted(products)


def _level(
    graph: Graph, wanted: Sequence[Affine], level: int, last: bool
) -> tuple[list[Place], list[Affine]]:
    """The nodes that hold the wanted values on a level, and the values wanted on the one below."""
    below: Counter[sympy.Expr] = Counter()
    computed = {n for n, want in enumerate(wanted) if _must(graph, want, level)}
    for n in computed:
        below |= _reads(graph, wanted[n])
    for n, want in enumerate(wanted):
        if n not in computed and want.value is not None:
            carried = Counter([want.value])
            free = graph.depth[want.value] > 0 and not (last and graph.is_product(want.value))
            reads = _reads(graph, want)
            if free and (reads - below).total() < (carried - below).total():
                computed.add(n)
                below |= reads
            else:
                below |= carried
    places = [_place(graph, want, n in computed) for n, want in enumerate(wanted)]
    places.sort(key=lambda place: place.is_product)  # stable: the order is kept otherwise
    return places, [Affine(1.0, value, 0.0) for value in below.elements()]


def _must(graph: Graph, want: Affine, level: int) -> bool:
    return want.value is not None and graph.depth[want.value] == level


def _reads(graph: Graph, want: Affine) -> Counter[sympy.Expr]:
    """How many copies of which values a node reads: those of its rows that read most."""
    reads: Counter[sympy.Expr] = Counter()
    for row in graph.rows.get(want.value, ()):
        reads |= row.children
    return reads


def _place(graph: Graph, want: Affine, computed: bool) -> Place:
    if want.value is None:
        return Place(None, (Row((), want.constant),))
    if not computed:
        return Place(want.value, (identity(want.value, want.scale, want.constant),))
    first, *others = graph.rows[want.value]
    if not others:
        return Place(want.value, (first.scaled(want.scale).shifted(want.constant),))
    return Place(want.value, (first.scaled(want.scale), *others), want.constant)
