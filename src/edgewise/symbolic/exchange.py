"""Expressions as plain lists for files, node by node: what is read back is the very same tree.

Text would not do: parsing it orders and merges terms anew, and the last bit of a value may change.
"""

from __future__ import annotations

from typing import Any

import sympy
from sympy import Expr

from edgewise.errors import FormulaError
from edgewise.symbolic.evaluate import RECIPROCALS, record_of, symbol
from edgewise.symbolic.primitives import primitive

_NUMBERS = {"pi": sympy.pi, "e": sympy.E}
_HEADS = {
    name: getattr(sympy, name)
    for name in (
        "Add Mul Pow exp log Abs sign sin cos tan asin acos atan sinh cosh tanh asinh acosh atanh "
        "Max Min atan2"
    ).split()
} | {name: getattr(sympy, name) for name in RECIPROCALS}
# evaluate=False is no argument of these; their arguments come in their own order.
_ORDERED = ("Max", "Min")
_DEPTH = 200


def to_list(expression: Expr) -> list[Any]:
    """[head, arguments ...], made of text and lists only; floats in hexadecimal.

    Raises FormulaError: a part is neither arithmetic nor a function of the library.
    """
    if isinstance(expression, sympy.Symbol):
        return ["symbol", expression.name, *(["positive"] if expression.is_positive else [])]
    if isinstance(expression, sympy.Float):
        return ["float", float(expression).hex()]
    if isinstance(expression, sympy.Rational):
        return ["rational", str(expression.p), str(expression.q)]
    for name, number in _NUMBERS.items():
        if expression == number:
            return ["number", name]
    head = expression.func.__name__
    if _HEADS.get(head) is expression.func:
        return [head, *map(to_list, expression.args)]
    found = record_of(expression)
    if found is None:
        raise FormulaError(
            f"{str(expression)[:80]!r} cannot be saved: {head} is not in the library"
        )
    record, argument = found
    return ["primitive", record.name, to_list(argument)]


def from_list(tree: Any, depth: int = 0) -> Expr:
    """The expression that `to_list` wrote.

    Raises FormulaError: the list is none of its; InputError: a function is not registered here.
    """
    if not isinstance(tree, list) or not tree or not isinstance(tree[0], str) or depth > _DEPTH:
        raise FormulaError(f"{str(tree)[:80]!r} is no part of a formula")
    head, *rest = tree
    if head in ("symbol", "float", "rational", "number", "primitive"):
        return _leaf(head, rest, depth)
    if head not in _HEADS:
        raise FormulaError(f"the formula holds {head[:40]!r}, which is no function known here")
    arguments = [from_list(part, depth + 1) for part in rest]
    if head in _ORDERED:
        return _HEADS[head](*arguments)
    return _HEADS[head](*arguments, evaluate=False)


def _leaf(kind: str, rest: list[Any], depth: int) -> Expr:
    try:
        if kind == "symbol":
            return symbol(rest[0], positive=rest[1:] == ["positive"])
        if kind == "float":
            return sympy.Float(float.fromhex(rest[0]))
        if kind == "rational":
            return sympy.Rational(int(rest[0]), int(rest[1]))
        if kind == "number":
            return _NUMBERS[rest[0]]
        name, argument = rest
    except (IndexError, KeyError, TypeError, ValueError) as error:
        raise FormulaError(f"{str([kind, *rest])[:80]!r} is no part of a formula") from error
    return primitive(name).sympy(from_list(argument, depth + 1))
