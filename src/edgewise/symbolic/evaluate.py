"""The value of a sympy expression by torch operations, differentiable to any order."""

from collections.abc import Mapping
from fractions import Fraction
from functools import reduce

import sympy
import torch
from torch import Tensor

from ..errors import FormulaError
from .primitives import PRIMITIVES, Primitive, power

# sympy's name of a function -> the record whose torch function computes it, so that a formula and
# the network it came from are the same function to the last bit and have the same domain.
_RECORDS = {
    "exp": "exp",
    "log": "log",
    "Abs": "abs",
    "sign": "sgn",
    "sin": "sin",
    "cos": "cos",
    "tan": "tan",
    "asin": "arcsin",
    "acos": "arccos",
    "atan": "arctan",
    "sinh": "sinh",
    "cosh": "cosh",
    "tanh": "tanh",
    "asinh": "arcsinh",
    "acosh": "arccosh",
    "atanh": "arctanh",
}
# Simplification introduces these; each is one over a function of the table.
RECIPROCALS = {
    "sec": "cos",
    "csc": "sin",
    "cot": "tan",
    "sech": "cosh",
    "csch": "sinh",
    "coth": "tanh",
}
_OPERATIONS = {"Max": torch.maximum, "Min": torch.minimum, "atan2": torch.atan2}


def symbol(name: str, positive: bool = False) -> sympy.Symbol:
    """The variable of that name: real, or positive where the data are positive."""
    return sympy.Symbol(name, positive=True) if positive else sympy.Symbol(name, real=True)


def evaluate(expression: sympy.Expr, values: Mapping[str, Tensor]) -> Tensor:
    """The expression's value where each symbol has the value of its name.

    Args:
        expression: made of numbers, symbols, +, *, powers, and the functions of PRIMITIVES.
        values: name -> tensor (...); shapes broadcast; computed in float64.

    Returns:
        float64 tensor of the broadcast shape of all values; NaN where a part of the expression
        leaves its real domain (division by 0, logarithm of a negative number, ...).

    Raises:
        FormulaError: a symbol has no value, or a function is not known.
    """
    if not isinstance(expression, sympy.Basic):
        raise FormulaError(
            f"a sympy expression is expected, but a {type(expression).__name__} came; "
            "read text with edgewise.symbolic.parse first"
        )
    given = {name: torch.as_tensor(value).to(torch.float64) for name, value in values.items()}
    shape = torch.broadcast_shapes(*(value.shape for value in given.values()))
    device = next((value.device for value in given.values()), None)
    result = _Walk(given, device).value(expression)
    return result if result.shape == shape else result.expand(shape).clone()


class _Walk:
    """One evaluation; `done` keeps the value of every subexpression, shared ones once."""

    def __init__(self, given: Mapping[str, Tensor], device: torch.device | None) -> None:
        self.given = given
        self.device = device
        self.done: dict[sympy.Basic, Tensor] = {}

    def value(self, node: sympy.Basic) -> Tensor:
        if node not in self.done:
            self.done[node] = self._compute(node)
        return self.done[node]

    def _compute(self, node: sympy.Basic) -> Tensor:
        if isinstance(node, sympy.Symbol):
            return self._symbol(node)
        if not node.args:
            return torch.tensor(number(node), dtype=torch.float64, device=self.device)
        if isinstance(node, sympy.Add):
            return reduce(torch.add, map(self.value, node.args))
        if isinstance(node, sympy.Mul):
            return reduce(torch.mul, map(self.value, node.args))
        if isinstance(node, sympy.Pow):
            return self._power(node.base, node.exp)
        return self._function(node)

    def _symbol(self, node: sympy.Symbol) -> Tensor:
        if node.name not in self.given:
            known = ", ".join(self.given) or "none"
            raise FormulaError(f"no value is given for the variable {node.name!r}; given: {known}")
        return self.given[node.name]

    def _power(self, base: sympy.Expr, exponent: sympy.Expr) -> Tensor:
        if isinstance(exponent, sympy.Rational):
            return power(Fraction(exponent.p, exponent.q)).torch(self.value(base))
        if exponent.is_number:
            size = float(self.value(exponent))
            if size == size and abs(size) != float("inf"):
                return power(size).torch(self.value(base))
        b, e = self.value(base), self.value(exponent)
        return torch.pow(b, e).masked_fill((b == 0) & (e < 0), float("nan"))

    def _function(self, node: sympy.Basic) -> Tensor:
        head = node.func.__name__
        if head in RECIPROCALS:
            below = PRIMITIVES[RECIPROCALS[head]].torch(self.value(node.args[0]))
            return power(Fraction(-1)).torch(below)
        if head in _OPERATIONS:
            return reduce(_OPERATIONS[head], torch.broadcast_tensors(*map(self.value, node.args)))
        found = record_of(node)
        if found is not None:
            record, argument = found
            return record.torch(self.value(argument))
        raise FormulaError(
            f"the function {head!r} in {str(node)[:80]!r} is not known; known are "
            f"{', '.join(sorted(_RECORDS))}; register others with edgewise.symbolic.add_symbolic"
        )


def number(node: sympy.Basic) -> float:
    """The float64 nearest to a sympy number; NaN for what is not real."""
    if isinstance(node, sympy.Rational):
        try:
            return node.p / node.q
        except OverflowError:
            return float("inf") if node.p > 0 else float("-inf")
    if isinstance(node, (sympy.Float, sympy.NumberSymbol)):
        return float(node)
    if node in (sympy.oo, -sympy.oo):
        return float(node)
    if node in (sympy.zoo, sympy.nan, sympy.I):
        return float("nan")
    raise FormulaError(f"{str(node)[:80]!r} ({type(node).__name__}) is not a real number")


def record_of(node: sympy.Basic) -> tuple[Primitive, sympy.Basic] | None:
    """The record whose function a node f(u) is, and the argument u; None if there is none."""
    head = node.func.__name__
    by_name = PRIMITIVES.get(_RECORDS.get(head, head))
    if by_name is not None and len(node.args) == 1:
        return by_name, node.args[0]
    for record in PRIMITIVES.values():
        for argument in filter(lambda part: isinstance(part, sympy.Expr), node.args):
            # A record may build a function of several arguments, as besselj(0, u).
            if record.name not in ("x", "0") and record.sympy(argument) == node:
                return record, argument
    return None
