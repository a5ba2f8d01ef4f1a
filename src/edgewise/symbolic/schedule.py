"""Which value of a graph stands on which level of a network, and what carries it on."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import reduce
from operator import or_

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
    the level below by an identity edge, whichever asks for fewer nodes below. Terms and factors
    that are known early are gathered in one node; what one row reads twice gets two.
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
    forced = [want.value is not None and graph.depth[want.value] == level for want in wanted]
    below: Counter[sympy.Expr] = Counter()
    for want, must in zip(wanted, forced, strict=True):
        for row in graph.rows[want.value] if must else ():
            below |= Counter(t.child for t in row.terms if graph.depth[t.child] == level - 1)
    places: dict[int, Place] = {}
    for n in sorted(range(len(wanted)), key=lambda n: not forced[n]):
        want = wanted[n]
        carried = Counter() if want.value is None else Counter([want.value])
        rows: tuple[Row, ...] | None = None
        if forced[n]:
            rows, below = _computed(graph, want, level, below)
        elif graph.rows.get(want.value) and not (last and graph.is_product(want.value)):
            rows, reads = _computed(graph, want, level, below)
            if (reads - below).total() < (carried - below).total():
                below = reads
            else:
                rows = None
        if rows is None:
            below |= carried
        places[n] = _place(want, rows)
    # stable: the order that was wanted is kept otherwise
    ordered = sorted((places[n] for n in range(len(wanted))), key=lambda place: place.is_product)
    return ordered, [Affine(1.0, value, 0.0) for value in below.elements()]


def _computed(
    graph: Graph, want: Affine, level: int, below: Counter[sympy.Expr]
) -> tuple[tuple[Row, ...], Counter[sympy.Expr]]:
    """The rows that compute a value on a level, and all that is read below with them."""
    factors = graph.rows[want.value]
    rows = []
    for row in min((factors, _early_product(graph, factors, level)), key=_cost(below)):
        (row,) = min(((row,), (_early_sum(graph, row, level),)), key=_cost(below))
        rows.append(row)
        below = below | row.children
    return tuple(rows), below


def _cost(below: Counter[sympy.Expr]) -> Callable[[tuple[Row, ...]], int]:
    """How many nodes rows ask for that nobody wants yet; the first of equals is the plainest."""

    def cost(rows: tuple[Row, ...]) -> int:
        return (reduce(or_, (row.children for row in rows)) - below).total()

    return cost


def _early_product(graph: Graph, factors: tuple[Row, ...], level: int) -> tuple[Row, ...]:
    """The factors, those that are known early multiplied by one node of the level below."""
    early = [row for row in factors if graph.depth_of([row]) < level]
    if len(early) < 2 or len(early) == len(factors):
        return factors
    later = [row for row in factors if row not in early]
    return (identity(graph.value_of(early)), *later)


def _early_sum(graph: Graph, row: Row, level: int) -> Row:
    """The row, its terms that are known early added up by one node of the level below."""
    early = [term for term in row.terms if graph.depth[term.child] < level - 1]
    if graph.depth_of([Row(tuple(early))]) == level:  # inputs are read once on level 1
        early = list({term.child: term for term in reversed(early)}.values())[::-1]
    if len(early) < 2:
        return row
    later = [term for term in row.terms if term not in early]
    return Row((*identity(graph.value_of([Row(tuple(early))])).terms, *later), row.constant)


def _place(want: Affine, rows: tuple[Row, ...] | None) -> Place:
    """The node of a wanted value, computed by rows or carried on from below."""
    if want.value is None:
        return Place(None, (Row((), want.constant),))
    if rows is None:
        return Place(want.value, (identity(want.value, want.scale, want.constant),))
    first, *others = rows
    if not others:
        return Place(want.value, (first.scaled(want.scale).shifted(want.constant),))
    return Place(want.value, (first.scaled(want.scale), *others), want.constant)
