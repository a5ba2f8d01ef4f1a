"""Formula to network: an exact network of symbolic edges, checked against the formula."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, TypeAlias, TypeVar, cast

import sympy
import torch

from ..bases import BSpline
from ..errors import FormulaError
from ..nn import Network
from ..nn.kinds import as_kind
from .compile_check import Ranges, check_network
from .dataflow import Graph, Row
from .evaluate import symbol
from .formula import Formula
from .parse import parse
from .schedule import Place, schedule

if TYPE_CHECKING:
    from ..nn import KANLayer, Nodes

Kind = TypeVar("Kind", bound=Network)
Source: TypeAlias = str | sympy.Expr | Formula


def compile_formula(
    formula: Source | Sequence[Source],
    names: Sequence[str | sympy.Symbol] | None = None,
    *,
    grid: int = 5,
    k: int = 3,
    dtype: torch.dtype = torch.float64,
    output_names: Sequence[str] | None = None,
    ranges: Ranges | None = None,
    network: type[Kind] = Network,  # type: ignore[assignment]
) -> Kind:
    """The network of symbolic edges c f(a x + b) + d that computes a formula, or one an output.

    A sum is a node with an edge a term, a product a multiplication node whose factors are sums, a
    function or a power an edge; inner values that are needed later are carried by identity edges.
    Common parts are computed once. So ``exp(sin(pi*x1) + x2^2)`` has width [2, 1, 1] and ``x1*x2``
    [2, [0, 1]]. All splines are off; ``unfix_symbolic`` switches one on.

    Args:
        formula: text, a sympy expression or a Formula; a list gives one output each.
        names: the inputs in order; None takes the formula's own variables, sorted, and x_1 for a
            formula of numbers only.
        grid, k: intervals and degree of the splines that wait behind the edges.
        dtype: of the network; the check runs in float64.
        output_names: names of the outputs.
        ranges: name -> (low, high), where the network is compared with the formula; needed only for
            a formula that is real nowhere in the usual places, from -10^4 to 10^4.
        network: the class of the model, Network or one built with the same arguments, such as KAN.

    Returns:
        The network, equal to the formula at random points to 1e-12 (relative, and up to the error
        that rounding its constants makes).

    Raises:
        FormulaError: the text is not understood; a variable is not among the names; a function is
            not a primitive (the message names it); a constant is not real; the formula is real at
            no point of the check; or the network differs from it.
    """
    several = isinstance(formula, (list, tuple))
    sources = list(cast(Sequence, formula)) if several else [cast(Source, formula)]
    if not sources:
        raise FormulaError("no formula came: the list is empty")
    if names is None and isinstance(sources[0], Formula):
        names = sources[0].variables
    known = None if names is None else [getattr(name, "name", str(name)) for name in names]
    expressions = [_expression(source, known) for source in sources]
    known = _checked_names(expressions, known)
    graph = Graph()
    # Symbols of one name are one variable, whatever was assumed of them.
    plain = [e.xreplace({s: symbol(s.name) for s in e.free_symbols}) for e in expressions]
    levels = schedule(graph, [graph.affine(expression) for expression in plain])
    model = _assemble(levels, known, grid, k, output_names)
    check_network(model, expressions, known, ranges or {})
    return as_kind(model.to(dtype), network)


def _expression(source: Source, names: Sequence[str] | None) -> sympy.Expr:
    if isinstance(source, str):
        return parse(source, names)
    if isinstance(source, (int, float)):
        return sympy.Float(source) if isinstance(source, float) else sympy.Integer(source)
    expression = source.expression if isinstance(source, Formula) else source
    if not isinstance(expression, sympy.Expr):
        raise FormulaError(
            f"a formula is text, a sympy expression or a Formula, not {type(source).__name__}"
        )
    return expression


def _checked_names(expressions: Sequence[sympy.Expr], names: list[str] | None) -> list[str]:
    used = {s.name for expression in expressions for s in expression.free_symbols}
    if names is None:
        return sorted(used, key=_natural) or ["x_1"]
    if len(set(names)) < len(names) or not names:
        raise FormulaError(f"names are {names}; expected at least one, and all different")
    unknown = sorted(used - set(names), key=_natural)
    if unknown:
        raise FormulaError(
            f"the formula uses {', '.join(unknown)}, but the names are {', '.join(names)}"
        )
    return names


def _natural(name: str) -> list[tuple[bool, int, str]]:
    """x_2 before x_10."""
    return [(p.isdecimal(), int(p) if p.isdecimal() else 0, p) for p in re.split(r"(\d+)", name)]


def _assemble(
    levels: Sequence[Sequence[Place]],
    names: Sequence[str],
    grid: int,
    k: int,
    output_names: Sequence[str] | None,
) -> Network:
    width: list[tuple[int, int]] = [(len(names), 0)]
    arities: list[list[int]] = [[]]
    for places in levels:
        arities.append([len(place.rows) for place in places if place.is_product])
        width.append((len(places) - len(arities[-1]), len(arities[-1])))
    model = Network(
        width,
        BSpline(grid=grid, degree=k),
        mult_arity=arities,
        input_names=names,
        output_names=output_names,
        generator=torch.Generator().manual_seed(0),
        dtype=torch.float64,
    )
    found: dict[sympy.Expr, list[int]] = {symbol(name): [i] for i, name in enumerate(names)}
    for layer, nodes, places in zip(model.layers, model.nodes, levels, strict=True):
        _fill(cast("KANLayer", layer), cast("Nodes", nodes), places, found)
        found = {}
        for index, place in enumerate(places):
            found.setdefault(place.value, []).append(index)
    return model


@torch.no_grad()
def _fill(
    layer: KANLayer, nodes: Nodes, places: Sequence[Place], found: Mapping[sympy.Expr, list[int]]
) -> None:
    """Put the rows of a level on its edges; found: where the values below stand."""
    layer.mask.zero_()
    rows = [row for place in places for row in place.rows]
    for o, row in enumerate(rows):
        _fill_row(layer, nodes, o, row, found)
    nodes.node_bias.copy_(nodes.node_bias.new_tensor([place.bias for place in places]))


def _fill_row(
    layer: KANLayer, nodes: Nodes, o: int, row: Row, found: Mapping[sympy.Expr, list[int]]
) -> None:
    taken: Counter[sympy.Expr] = Counter()
    for n, term in enumerate(row.terms):
        i = found[term.child][taken[term.child]]
        taken[term.child] += 1
        # The row's constant is the first edge's d, where fitting the edges can reach it.
        d = row.constant if n == 0 else 0.0
        layer.fix_symbolic(o, i, term.record, (term.a, term.b, term.c, d))
    if not row.terms:
        nodes.sum_bias[o] = row.constant
