"""Formula: an expression with its variables, to read, to print and to predict with."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import sympy
import torch
from torch import Tensor

from ..errors import DataError, FormulaError, ShapeError
from .compose import network_formulas
from .evaluate import evaluate
from .mathml import mathml
from .parse import parse
from .printing import latex, numpy_source, rounded, text

__all__ = ["Constant", "Formula", "complexity", "network_formulas"]


@dataclass(frozen=True)
class Constant:
    """A number of a formula.

    Attributes:
        value: the float64 that the formula holds.
        error: its standard error, or None where there is none (an exact number).
        text: how it is written, e.g. "2.50 ± 0.03"; made from value and error if empty.
    """

    value: float
    error: float | None = None
    text: str = ""

    def __post_init__(self) -> None:
        if not self.text:
            object.__setattr__(self, "text", self._written())

    @property
    def digits(self) -> int | None:
        """Significant digits that the error leaves (its own first two included), or None."""
        if self.error is None or not 0 < self.error < math.inf or not self.value:
            return None
        size = math.floor(math.log10(abs(self.value))) - math.floor(math.log10(self.error))
        return min(max(size + 2, 1), 17)

    def _written(self) -> str:
        if self.digits is None or self.error is None:
            return f"{self.value:.6g}"
        return f"{self.value:.{self.digits}g} ± {self.error:.2g}"


@dataclass(frozen=True, repr=False)
class Formula:
    """y = expression(variables).

    Attributes:
        expression: sympy expression; text is parsed (`edgewise.symbolic.parse`).
        variables: names of the columns of X, in order; the expression need not use them all.
        output: name of y.
        constants: the fitted numbers with their errors, where they are known.

    Raises:
        FormulaError: the expression uses a name that is not among the variables.
    """

    expression: sympy.Expr
    variables: tuple[str, ...]
    output: str = "y"
    constants: tuple[Constant, ...] = ()

    def __post_init__(self) -> None:
        variables = (self.variables,) if isinstance(self.variables, str) else self.variables
        object.__setattr__(self, "variables", tuple(map(str, variables)))
        object.__setattr__(self, "constants", tuple(self.constants))
        if len(set(self.variables)) < len(self.variables):
            raise FormulaError(f"two variables have one name: {', '.join(self.variables)}")
        if isinstance(self.expression, str):
            object.__setattr__(self, "expression", parse(self.expression, self.variables))
        elif isinstance(self.expression, (int, float)):
            number = sympy.Float if isinstance(self.expression, float) else sympy.Integer
            object.__setattr__(self, "expression", number(self.expression))
        elif not isinstance(self.expression, sympy.Expr):
            raise FormulaError(
                f"a formula is a sympy expression or text, not {type(self.expression).__name__}"
            )
        unknown = sorted({s.name for s in self.expression.free_symbols} - set(self.variables))
        if unknown:
            raise FormulaError(
                f"the formula uses {', '.join(unknown)}, but its variables are "
                f"{', '.join(self.variables) or 'none'}"
            )

    @property
    def sympy(self) -> sympy.Expr:
        """The expression."""
        return self.expression

    @property
    def complexity(self) -> int:
        """Size of the expression: see `complexity`."""
        return complexity(self.expression)

    def text(self, digits: int = 6) -> str:
        """The right-hand side as one writes it, `2.5*sin(x)^2`.

        Floats are rounded to `digits` significant digits, or to those that their error leaves.
        """
        return text(self.expression, self._display(digits))

    def latex(self, digits: int = 6) -> str:
        """The right-hand side in LaTeX, floats rounded as in `text`."""
        return latex(self.expression, self._display(digits))

    def mathml(self, digits: int = 6) -> str:
        """The equation as MathML for web pages, one <math> a term, floats rounded as in `text`."""
        return mathml(self.expression, self._display(digits), self.output)

    def python(self) -> str:
        """Source of a function `formula` of the variables, in their order, that needs numpy only.

        Names that are no identifiers are changed, and listed in its docstring. All digits are
        kept: it gives the values of `predict` to rounding, NaN or infinite outside the domain.
        """
        return numpy_source(self.expression, self.variables, str(self))

    def torch(self, X: Tensor) -> Tensor:
        """The formula's values (...) for X (..., I), differentiable; float64, NaN outside its domain.

        Raises ShapeError: the last axis of X does not hold a column for each variable.
        """
        if X.shape[-1:] != (len(self.variables),):
            raise ShapeError(
                f"X has shape {tuple(X.shape)}, but (..., {len(self.variables)}) is expected: a "
                f"column for each of {', '.join(self.variables)}"
            )
        columns = dict(zip(self.variables, X.unbind(-1), strict=True))
        return evaluate(self.expression, columns or {"": X.new_zeros(X.shape[:-1])})

    def predict(self, X: Any) -> np.ndarray:
        """The formula's values, float64 (N,); NaN outside its domain.

        X: (N, I) numpy array, torch tensor or nested list with a column a variable, in order; or
        a DataFrame, whose columns are found by name. With one variable also (N,).

        Raises:
            ShapeError: the number of columns is not that of the variables.
            DataError: X is not numeric, or a DataFrame lacks a column.
        """
        columns = self._columns(X)
        with torch.no_grad():
            return evaluate(self.expression, columns).numpy()

    def _columns(self, X: Any) -> dict[str, Tensor]:
        if hasattr(X, "columns") and hasattr(X, "loc"):
            missing = [name for name in self.variables if name not in X.columns]
            if missing:
                raise DataError(
                    f"the table has no column {', '.join(map(repr, missing))}; "
                    f"its columns are {', '.join(map(str, X.columns))}"
                )
            X = X[list(self.variables)].to_numpy()
        elif isinstance(X, torch.Tensor):
            X = X.detach().cpu().numpy()
        try:
            x = np.asarray(X, dtype=np.float64)
        except (TypeError, ValueError) as error:
            raise DataError(f"X must hold numbers only: {error}") from error
        if x.ndim == 1 and len(self.variables) == 1:
            x = x[:, None]
        if x.ndim != 2 or x.shape[1] != len(self.variables):
            raise ShapeError(
                f"X has shape {x.shape}, but (N, {len(self.variables)}) is expected: a column for "
                f"each of {', '.join(self.variables)}"
            )
        if not self.variables:
            return {"": torch.zeros(len(x), dtype=torch.float64)}
        values = torch.from_numpy(np.ascontiguousarray(x.T))
        return dict(zip(self.variables, values, strict=True))

    def _display(self, digits: int) -> Any:
        known = {constant.value: constant.digits for constant in self.constants}

        def number(value: float) -> str:
            return rounded(value, min(digits, known.get(value) or digits))

        return number

    def __str__(self) -> str:
        return f"{self.output} = {self.text()}"

    def __repr__(self) -> str:
        shown = f"Formula({text(self.expression, repr)!r}, variables={self.variables!r}"
        if self.output != "y":
            shown += f", output={self.output!r}"
        return shown + (f", constants={self.constants!r})" if self.constants else ")")


def complexity(expression: sympy.Expr) -> int:
    """How much there is to write: one for each node of the tree, and one more for each constant.

    Nodes are counted as on paper: a variable, a number, pi 1 each; each +, -, *, /, power and
    function 1; sqrt(u), 1/u and -u are one node on top of u. Numbers that have to be looked up
    (floats, rationals p/q, whole numbers beyond 10) cost one more than pi, 2 or -1. So x has 1,
    sin(x) 2, x^2 3, x/y 3, 2.5*x + y 6.
    """
    if isinstance(expression, sympy.Integer):
        return 1 if abs(int(expression)) <= 10 else 2
    if isinstance(expression, (sympy.Rational, sympy.Float)):
        return 2
    if not expression.args:
        return 1
    if isinstance(expression, sympy.Pow):
        return _power_size(expression)
    if isinstance(expression, sympy.Mul):
        return _product_size(expression)
    if isinstance(expression, sympy.Add):
        # The minus of a later term is the operator between the two, not a node of its own.
        sizes = [complexity(term) for term in expression.args]
        minus = [term.could_extract_minus_sign() and _is_negated(term) for term in expression.args]
        return sum(sizes) + len(sizes) - 1 - (sum(minus) - all(minus))
    return sum(map(complexity, expression.args)) + max(1, len(expression.args) - 1)


def _is_negated(term: sympy.Expr) -> bool:
    return isinstance(term, sympy.Mul) and term.args[0] is sympy.S.NegativeOne


def _power_size(expression: sympy.Pow) -> int:
    base, exponent = expression.base, expression.exp
    if exponent in (sympy.S.Half, sympy.S.NegativeOne):
        return complexity(base) + 1
    if exponent.is_Number and exponent.is_negative:
        return _power_size_of(base, -exponent) + 1
    return complexity(base) + complexity(exponent) + 1


def _power_size_of(base: sympy.Expr, exponent: sympy.Expr) -> int:
    return complexity(base) if exponent == 1 else complexity(base**exponent)


def _product_size(expression: sympy.Mul) -> int:
    """Factors above and below the line with an operator between two; -u is u and a sign."""
    above, below, signs = [], [], 0
    for factor in expression.args:
        if factor is sympy.S.NegativeOne:
            signs += 1
        elif isinstance(factor, sympy.Pow) and factor.exp.is_Number and factor.exp.is_negative:
            below.append(_power_size_of(factor.base, -factor.exp))
        elif isinstance(factor, sympy.Rational) and abs(factor.p) == 1 and factor.q != 1:
            below.append(complexity(sympy.Integer(factor.q)))
            signs += factor.p < 0
        else:
            above.append(complexity(factor))
    return sum(above) + sum(below) + len(above) + len(below) - (1 if above else 0) + signs
