"""The formulas that a network of symbolic edges computes: one sympy expression an output."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from fractions import Fraction
from typing import TYPE_CHECKING, cast

import sympy
from torch import Tensor

from ..errors import FormulaError
from .evaluate import symbol
from .primitives import Primitive, primitive

if TYPE_CHECKING:
    from ..nn.layer import KANLayer
    from ..nn.network import Network
    from ..nn.nodes import Nodes

# Constant n of [a, b, c, d] on the edge from i to j of layer l.
Place = tuple[int, int, int, int]

_DENOMINATOR = 12
_NUMERATOR = 1000


def network_formulas(
    model: Network,
    names: Sequence[str | sympy.Symbol] | None = None,
    constant: Callable[[Place, float], sympy.Expr] | None = None,
) -> list[sympy.Expr]:
    """Compose the edges c f(a x + b) + d, sums and products of a network into its formulas.

    Constants are the network's own float64 numbers; those that a whole number, a small rational
    or a small rational times pi rounds to are written as such (see `exact`). Edges that are off
    contribute 0.

    Args:
        model: a network whose live edges are all symbolic.
        names: names or symbols of the inputs; None takes model.input_names, or x_1, x_2, ...
        constant: what stands for constant n of [a, b, c, d] of edge (l, i, j), given its place
            (l, i, j, n) and value; None writes its exact number.

    Raises:
        FormulaError: a live edge is still a curve; the message lists the edges (l, i, j).
    """
    _refuse_curves(model)
    x = _inputs(model, names)
    for l, (layer, nodes) in enumerate(_levels(model)):
        x = _nodes(nodes, _sums(l, layer, x, constant or (lambda _, value: exact(value))))
    return x


def _levels(model: Network) -> list[tuple[KANLayer, Nodes]]:
    # ModuleList forgets the class of its members.
    layers = cast("list[KANLayer]", list(model.layers))
    return list(zip(layers, cast("list[Nodes]", list(model.nodes)), strict=True))


def _refuse_curves(model: Network) -> None:
    edges = [
        (l, i, j)
        for l, (layer, _) in enumerate(_levels(model))
        for j, i in layer.mask.nonzero().tolist()
    ]
    if edges:
        shown = ", ".join(map(str, edges[:10])) + (", ..." if len(edges) > 10 else "")
        raise FormulaError(
            f"{len(edges)} live edges are curves without a formula: (l, i, j) = {shown}; "
            "give them functions with model.auto_symbolic() or model.fix_symbolic(l, i, j, name), "
            "or prune them"
        )


def _inputs(model: Network, names: Sequence[str | sympy.Symbol] | None) -> list[sympy.Expr]:
    count = _levels(model)[0][0].in_features
    given = names if names is not None else model.input_names
    if given is None:
        given = [f"x_{i + 1}" for i in range(count)]
    if len(given) != count:
        raise FormulaError(f"{len(given)} names came for a network of {count} inputs")
    return [name if isinstance(name, sympy.Symbol) else symbol(name) for name in given]


def _sums(
    l: int,
    layer: KANLayer,
    x: list[sympy.Expr],
    constant: Callable[[Place, float], sympy.Expr],
) -> list[sympy.Expr]:
    """Each output node's sum over its symbolic edges."""
    terms: list[list[sympy.Expr]] = [[] for _ in range(layer.out_features)]
    for j, i in (layer.symbolic_code != 0).nonzero().tolist():
        function = layer.primitives[int(layer.symbolic_code[j, i]) - 1]
        record = function if isinstance(function, Primitive) else primitive(function.name)
        affine = layer.symbolic_affine[j, i].tolist()
        if not all(map(math.isfinite, affine)):
            raise FormulaError(f"edge (l, i, j) = {(l, i, j)} has the constants {affine}; refit it")
        a, b, c, d = (constant((l, i, j, n), value) for n, value in enumerate(affine))
        terms[j].append(c * record.sympy(a * x[i] + b) + d)
    return [sympy.Add(*sums) for sums in terms]


def _nodes(nodes: Nodes, s: list[sympy.Expr]) -> list[sympy.Expr]:
    u = _affine(nodes.sum_scale, nodes.sum_bias, s)
    values, k = u[: nodes.n_sum], nodes.n_sum
    for arity in nodes.arities:
        values.append(sympy.Mul(*u[k : k + arity]))
        k += arity
    return _affine(nodes.node_scale, nodes.node_bias, values)


def _affine(scale: Tensor, bias: Tensor, values: list[sympy.Expr]) -> list[sympy.Expr]:
    pairs = zip(scale.tolist(), bias.tolist(), values, strict=True)
    return [exact(m) * value + exact(n) for m, n, value in pairs]


def exact(value: float) -> sympy.Expr:
    """The sympy number of a float64: what it rounds from, if that is simple; else itself.

    Simple are whole numbers up to 1000, p/q with q <= 12 and |p| <= 1000, and (p/q) pi with q <= 12
    and |p| <= 24. A value within 1e-15 (relative) of a whole number or of a multiple of pi
    counts; p/q must have this very float64 as its nearest.
    """
    whole = round(value)
    if abs(whole) <= _NUMERATOR and abs(value - whole) <= 1e-15 * abs(value):
        return sympy.Integer(whole)
    ratio = Fraction(value).limit_denominator(_DENOMINATOR)
    if abs(ratio.numerator) <= _NUMERATOR and ratio.numerator / ratio.denominator == value:
        return sympy.Rational(ratio.numerator, ratio.denominator)
    turns = Fraction(value / math.pi).limit_denominator(_DENOMINATOR)
    near = turns.numerator * math.pi / turns.denominator
    if 0 < abs(turns.numerator) <= 24 and abs(value - near) <= 1e-15 * abs(value):
        return sympy.Rational(turns.numerator, turns.denominator) * sympy.pi
    return sympy.Float(value)
