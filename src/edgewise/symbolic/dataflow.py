"""An expression as a graph of values, each made of the edges, sums and products of a network.

A value is a sympy expression that some node of the network is to hold. Around it everything affine
is kept as numbers, so that 2*x*y + 1 and 3*x*y share the value x*y.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction

import sympy
import torch

from ..errors import FormulaError
from .evaluate import RECIPROCALS, evaluate, record_of
from .primitives import PRIMITIVES, Primitive, power

IDENTITY = power(1)


@dataclass(frozen=True)
class Term:
    """An edge's c f(a w + b), where w is the value ``child``."""

    record: Primitive
    a: float
    b: float
    c: float
    child: sympy.Expr

    @property
    def function(self) -> tuple[sympy.Expr, str, float, float]:
        """What two edges must have in common to be one edge."""
        return self.child, self.record.name, self.a, self.b


@dataclass(frozen=True)
class Row:
    """A sum over edges and a constant."""

    terms: tuple[Term, ...]
    constant: float = 0.0

    @property
    def children(self) -> Counter[sympy.Expr]:
        """The values that the row reads, with how many of its edges read each."""
        return Counter(term.child for term in self.terms)

    def scaled(self, scale: float) -> Row:
        terms = (replace(term, c=scale * term.c) for term in self.terms)
        return Row(tuple(terms), scale * self.constant)

    def shifted(self, constant: float) -> Row:
        return replace(self, constant=self.constant + constant)


@dataclass(frozen=True)
class Affine:
    """scale * value + constant; value None is a constant alone."""

    scale: float
    value: sympy.Expr | None
    constant: float


def identity(value: sympy.Expr, scale: float = 1.0, constant: float = 0.0) -> Row:
    """The row scale * value + constant."""
    return Row((Term(IDENTITY, 1.0, 0.0, scale, value),), constant)


class Graph:
    """The values that expressions are made of.

    rows[value]: one row for a sum, the factors for a product; symbols have none.
    depth[value]: the first level of a network that can hold it; symbols have 0.
    """

    def __init__(self) -> None:
        self.rows: dict[sympy.Expr, tuple[Row, ...]] = {}
        self.depth: dict[sympy.Expr, int] = {}
        self._done: dict[sympy.Expr, Affine] = {}
        self._named: dict[frozenset[tuple[Row, int]], sympy.Expr] = {}

    def is_product(self, value: sympy.Expr) -> bool:
        return len(self.rows.get(value, ())) > 1

    def affine(self, expression: sympy.Expr) -> Affine:
        """The expression as scale * value + constant; the value is entered into the graph."""
        if expression not in self._done:
            self._done[expression] = self._affine(expression)
        return self._done[expression]

    def _affine(self, expression: sympy.Expr) -> Affine:
        if not expression.free_symbols:
            return Affine(0.0, None, _number(expression))
        if isinstance(expression, sympy.Symbol):
            self.depth[expression] = 0
            return Affine(1.0, expression, 0.0)
        if isinstance(expression, sympy.Add):
            return self._sum(expression)
        if isinstance(expression, sympy.Mul):
            scale, factors = _split(expression)
            if len(factors) == 1:
                inner = self.affine(factors[0])
                return Affine(scale * inner.scale, inner.value, scale * inner.constant)
            return Affine(scale, self._enter(sympy.Mul(*factors), map(self.row, factors)), 0.0)
        return Affine(1.0, self._enter(expression, [self.row(expression)]), 0.0)

    def _sum(self, expression: sympy.Add) -> Affine:
        moving = [term for term in expression.args if term.free_symbols]
        constant = _number(expression - sympy.Add(*moving))
        # A common factor and sign are taken out: x - y and 2*y - 2*x are one value.
        factor, core = sympy.Add(*moving).primitive()
        if core.could_extract_minus_sign():
            factor, core = -factor, -core
        scale, row = _number(factor), self.row(core)
        if not row.terms:
            return Affine(0.0, None, scale * row.constant + constant)
        first = row.terms[0]
        if len(row.terms) == 1 and first.record is IDENTITY:
            return Affine(scale * first.c, first.child, scale * row.constant + constant)
        if len(row.terms) == 1 and not isinstance(core, sympy.Add):
            inner = self.affine(core)
            return Affine(scale * inner.scale, inner.value, scale * inner.constant + constant)
        return Affine(scale, self._enter(core, [row]), constant)

    def _enter(self, value: sympy.Expr, rows: Iterable[Row]) -> sympy.Expr:
        if value not in self.rows:
            self.rows[value] = tuple(rows)
            self.depth[value] = self.depth_of(self.rows[value])
            self._named.setdefault(_factors(self.rows[value]), value)
        return value

    def value_of(self, rows: Sequence[Row]) -> sympy.Expr:
        """The value that is one row, or the product of several; entered under a name of its own if
        no expression has asked for it."""
        known = self._named.get(_factors(rows))
        return self._enter(sympy.Dummy(), rows) if known is None else known

    def depth_of(self, rows: Iterable[Row]) -> int:
        """The first level that can hold rows: one past what they read, and never 0.

        Two edges of one row cannot start at one node, and inputs cannot be doubled: such a row
        needs copies of the input on level 1.
        """
        counts = [row.children for row in rows]
        depth = 1 + max((self.depth[child] for count in counts for child in count), default=0)
        doubled = any(many > 1 for count in counts for many in count.values())
        return 2 if doubled and depth == 1 else depth

    def row(self, expression: sympy.Expr) -> Row:
        """The expression as a sum over edges from values of the graph."""
        if not expression.free_symbols:
            return Row((), _number(expression))
        if isinstance(expression, sympy.Add):
            return _merged(map(self.row, expression.args))
        if isinstance(expression, sympy.Mul):
            scale, factors = _split(expression)
            if len(factors) == 1:
                return self.row(factors[0]).scaled(scale)
        elif not isinstance(expression, sympy.Symbol):
            return self._edge(expression)
        found = self.affine(expression)
        return identity(found.value, found.scale, found.constant)

    def _edge(self, expression: sympy.Expr) -> Row:
        """One function of one argument."""
        record, argument = function_of(expression)
        inner = self.affine(argument)
        a, b, c = inner.scale, inner.constant, 1.0
        value = inner.value
        if value is None:  # the argument's variables cancel
            return Row((), float(record.torch(torch.tensor(b, dtype=torch.float64))))
        if record.name == "exp" and isinstance(value, sympy.Pow) and value.exp == 2 and a < 0:
            # exp(b - |a| u^2) is one edge, a gaussian; u^2 would need a level of its own.
            square = self.affine(value.base)
            if square.value is not None:
                root, c = math.sqrt(-a), math.exp(b)
                record, value = PRIMITIVES["gaussian"], square.value
                a, b = root * square.scale, root * square.constant
        return Row((Term(record, a, b, c, value),))


def function_of(expression: sympy.Expr) -> tuple[Primitive, sympy.Expr]:
    """The primitive and its argument in f(u), u^p, b^u and u^v = exp(v log u).

    Raises FormulaError: no primitive computes it.
    """
    if isinstance(expression, sympy.Pow):
        base, exponent = expression.base, expression.exp
        if isinstance(exponent, sympy.Rational):
            return power(Fraction(exponent.p, exponent.q)), base
        if not exponent.free_symbols:
            return power(_number(exponent)), base
        if not base.free_symbols and not _number(base) > 0:
            raise FormulaError(f"{str(expression)[:80]!r} is not real: its base is not positive")
        return PRIMITIVES["exp"], exponent * sympy.log(base)
    head = expression.func.__name__
    if head in RECIPROCALS:
        return power(-1), PRIMITIVES[RECIPROCALS[head]].sympy(expression.args[0])
    found = record_of(expression)
    if found is None:
        known = ", ".join(name for name in PRIMITIVES if name.isidentifier())
        raise FormulaError(
            f"the function {head!r} in {str(expression)[:80]!r} cannot stand on an edge; "
            f"those that can are {known} and powers; register others with "
            "edgewise.symbolic.add_symbolic"
        )
    return found


def _factors(rows: Iterable[Row]) -> frozenset[tuple[Row, int]]:
    """Rows in any order, each with how often it comes."""
    return frozenset(Counter(rows).items())


def _split(product: sympy.Mul) -> tuple[float, list[sympy.Expr]]:
    """The number in front of a product, and the factors that hold symbols."""
    moving = [factor for factor in product.args if factor.free_symbols]
    fixed = [factor for factor in product.args if not factor.free_symbols]
    return _number(sympy.Mul(*fixed)), moving


def _merged(rows: Iterable[Row]) -> Row:
    """The sum of rows; edges with one function and one start become one."""
    terms: dict[tuple, Term] = {}
    constant = 0.0
    for row in rows:
        constant += row.constant
        for term in row.terms:
            known = terms.get(term.function)
            terms[term.function] = replace(term, c=term.c + known.c) if known else term
    return Row(tuple(term for term in terms.values() if term.c != 0), constant)


def _number(expression: sympy.Expr) -> float:
    value = float(evaluate(expression, {}))
    if not math.isfinite(value):
        raise FormulaError(f"the constant {str(expression)[:80]!r} is {value}, not a finite number")
    return value
