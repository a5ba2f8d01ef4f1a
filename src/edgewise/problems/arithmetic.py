"""Formulas as data: the value of an arithmetic text on tensors; nothing in it is run."""

from __future__ import annotations

import ast
import math
import operator
from collections.abc import Callable, Mapping

import torch
from torch import Tensor

from edgewise.errors import FormulaError

_FUNCTIONS: dict[str, Callable[[Tensor], Tensor]] = {
    "arcsin": torch.arcsin,
    "cos": torch.cos,
    "exp": torch.exp,
    "ln": torch.log,
    "sin": torch.sin,
    "sqrt": torch.sqrt,
    "tanh": torch.tanh,
}
_CONSTANTS = {"pi": math.pi}
_OPERATIONS: dict[type[ast.operator], Callable[[Tensor, Tensor], Tensor]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
    ast.Pow: operator.pow,
}


def arithmetic(text: str, values: Mapping[str, Tensor]) -> Tensor:
    """The value of ``text`` where each name has its tensor; shapes broadcast, float64 constants.

    Numbers, names, + - * / **, parentheses, pi, and arcsin, cos, exp, ln, sin, sqrt, tanh.
    This serves the tables of equations that come with the library; users' formulas are read by
    ``edgewise.symbolic.parse``.

    Raises FormulaError for anything else in the text.
    """
    try:
        tree = ast.parse(text, mode="eval")
    except SyntaxError as error:
        raise FormulaError(f"{text!r} is not an arithmetic formula: {error.msg}") from error
    return _value(tree.body, values)


def _value(node: ast.expr, values: Mapping[str, Tensor]) -> Tensor:
    if isinstance(node, ast.Constant) and type(node.value) in (int, float):
        return torch.tensor(node.value, dtype=torch.float64)
    if isinstance(node, ast.Name) and node.id in values:
        return values[node.id]
    if isinstance(node, ast.Name) and node.id in _CONSTANTS:
        return torch.tensor(_CONSTANTS[node.id], dtype=torch.float64)
    if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.USub):
        return -_value(node.operand, values)
    if isinstance(node, ast.BinOp) and type(node.op) in _OPERATIONS:
        return _OPERATIONS[type(node.op)](_value(node.left, values), _value(node.right, values))
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and len(node.args) == 1:
        if node.func.id in _FUNCTIONS and not node.keywords:
            return _FUNCTIONS[node.func.id](_value(node.args[0], values))
    raise FormulaError(
        f"{ast.unparse(node)[:80]!r} is not understood; expected numbers, + - * / **, the names "
        f"{', '.join([*values, *_CONSTANTS])}, and {', '.join(_FUNCTIONS)}"
    )
