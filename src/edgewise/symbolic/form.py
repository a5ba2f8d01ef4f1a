"""From the form of a function to a network of just that form, its curves free."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeVar

import sympy

from ..errors import InputError
from ..interpret import Node, Structure
from ..nn import Network
from .compile import compile_formula
from .evaluate import symbol
from .parse import parse

Kind = TypeVar("Kind", bound=Network)

# Stands for an unknown curve while the network is laid out; sympy leaves products and sums of it alone.
_CURVE = sympy.sin
# For a constant that is to be found: neither 0 nor 1, which would not show in the layout.
_CONSTANT = sympy.Float(0.5)


def compile_structure(
    found: Structure | Node,
    names: Sequence[str],
    *,
    grid: int = 5,
    k: int = 3,
    network: type[Kind] = Network,  # type: ignore[assignment]
) -> Kind:
    """The network of the inputs ``names`` that has the form ``found`` and is otherwise free.

    Unknown functions of one variable are splines of ``grid`` intervals and degree ``k`` with a random
    start; sums, products and the pairs that act as one are nodes and symbols, whose constants can be
    trained, and so can the output's. Train it, and ``auto_symbolic`` has those few curves to name.
    Raises InputError for a function of several variables that could not be taken apart, and for inputs
    that are not among the names.
    """
    tree = found.tree if isinstance(found, Structure) else found
    expression = _expression(tree)
    unknown = {s.name for s in expression.free_symbols} - set(names)
    if unknown:
        raise InputError(
            f"The structure has the inputs {sorted(unknown)}; the names are {list(names)}."
        )
    model = compile_formula(expression, names, grid=grid, k=k, network=network)
    for layer in model.layers:
        for o, i in (layer.symbolic_code != 0).nonzero().tolist():
            if layer.primitives[int(layer.symbolic_code[o, i]) - 1].name == "sin":
                layer.unfix_symbolic(o, i)
    model.nodes[-1].node_bias.requires_grad_(True)
    return model


def _expression(node: Node) -> sympy.Expr:
    """The tree as a formula in which every unknown curve is a sine."""
    if node.kind == "input":
        return symbol(node.text)
    if node.kind == "function":
        raise InputError(
            f"{node} has a function of several variables, which has no network of its own; train a "
            "dense one, or more rows may tell more of its form."
        )
    parts = [_expression(child) for child in node.children]
    if node.kind == "curve":
        return _CURVE(parts[0])
    if node.kind == "combination":
        pair = parse(node.text.format("u", "v"), ["u", "v"])
        return pair.xreplace({symbol("u"): parts[0], symbol("v"): parts[1]})
    if node.kind == "sum":
        return sympy.Add(*parts)
    return sympy.Mul(*parts) + (_CONSTANT if node.text else 0)
