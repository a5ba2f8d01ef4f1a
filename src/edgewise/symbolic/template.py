"""Templates: formulas whose form is given in part, such as a*sin(b*x) + c or f(x)*exp(-b*t).

Names that are no columns are constants to fit; f(x), g(x, y) are parts that a search has to find.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

import sympy
from sympy import Expr, Symbol
from sympy.core.function import AppliedUndef

from edgewise.errors import FormulaError
from edgewise.symbolic.evaluate import symbol
from edgewise.symbolic.parse import parse

# The target's value in an inverse; no column can have this name.
TARGET = Symbol("\n target", real=True)

_INVERSES = {
    sympy.exp: sympy.log,
    sympy.log: sympy.exp,
    sympy.sin: sympy.asin,
    sympy.cos: sympy.acos,
    sympy.tan: sympy.atan,
    sympy.asin: sympy.sin,
    sympy.acos: sympy.cos,
    sympy.atan: sympy.tan,
    sympy.sinh: sympy.asinh,
    sympy.tanh: sympy.atanh,
    sympy.asinh: sympy.sinh,
    sympy.acosh: sympy.cosh,
    sympy.atanh: sympy.tanh,
}


@dataclass(frozen=True)
class Part:
    """An unknown function of columns: how it is written, its symbol, the columns' names."""

    name: str
    symbol: Symbol
    columns: tuple[str, ...]


@dataclass(frozen=True)
class Template:
    """expression: with a symbol for each part and each constant. numbers: what the floats that the
    text holds are written as: fractions, which no fit moves."""

    expression: Expr
    constants: tuple[Symbol, ...]
    parts: tuple[Part, ...]
    numbers: Mapping[Expr, Expr]

    def known(self, part: Part, expression: Expr) -> Template:
        """The template with a part filled in."""
        rest = tuple(other for other in self.parts if other != part)
        filled = self.expression.xreplace({part.symbol: expression})
        return replace(self, expression=filled, parts=rest)

    def as_written(self, expression: Expr) -> Expr:
        """The expression with the user's decimals as decimals again."""
        return expression.xreplace(dict(self.numbers))


def read_template(text: str, columns: Sequence[str], constant: Iterable[str] = ()) -> Template:
    """The template that a text means, for the columns of these names.

    constant: the columns that never change, of which no part can be found.

    Raises FormulaError: the text is not understood, nothing in it is left to fit, a name looks like
    a misspelt column, or a part's argument is no column.
    """
    if not isinstance(text, str):
        raise FormulaError(f"template is a {type(text).__name__}; expected a text")
    expression = parse(text, columns, unknown=True)
    written = {
        value: sympy.Rational(str(float(value)))
        for value in expression.atoms(sympy.Float)
        if float(value).is_integer() is False
    }
    whole = {
        value: sympy.Integer(int(value)) for value in expression.atoms(sympy.Float) - {*written}
    }
    parts = _parts(expression, columns, tuple(constant))
    calls = {call: part.symbol for part in parts for call in expression.atoms(AppliedUndef)
             if call.func.__name__ == part.name}  # fmt: skip
    expression = expression.xreplace({**calls, **written, **whole})
    symbols = expression.free_symbols - {part.symbol for part in parts}
    names = sorted({s.name for s in symbols} - set(columns))
    for name in names:
        _refuse_misspelt(name, columns)
    if not names and not parts:
        raise FormulaError(
            f"the template {text!r} has nothing to fit: every name in it is a column; a constant has "
            "a name of its own, and an unknown part is written f(x)"
        )
    numbers = {sign * exact: sign * value for value, exact in written.items() for sign in (1, -1)}
    return Template(expression, tuple(map(symbol, names)), parts, numbers)


def _parts(expression: Expr, columns: Sequence[str], constant: Sequence[str]) -> tuple[Part, ...]:
    found: dict[str, tuple[str, ...]] = {}
    for call in sorted(expression.atoms(AppliedUndef), key=str):
        name = call.func.__name__
        for argument in call.args:
            _check_argument(name, argument, columns, constant)
        arguments = tuple(argument.name for argument in call.args)
        if found.setdefault(name, arguments) != arguments or len(set(arguments)) < len(arguments):
            raise FormulaError(
                f"{name} stands with the arguments ({', '.join(found[name])}) and "
                f"({', '.join(arguments)}); a part has the same columns, each once, wherever it stands"
            )
    if any(name in columns for name in found):
        name = next(name for name in found if name in columns)
        raise FormulaError(f"{name} is a column and an unknown part; call the part otherwise")
    return tuple(
        Part(name, symbol(f"{name}({', '.join(arguments)})\n"), arguments)
        for name, arguments in found.items()
    )


def _check_argument(
    name: str, argument: Expr, columns: Sequence[str], constant: Sequence[str]
) -> None:
    shown = str(argument)[:60]
    if not argument.is_Symbol or argument.name not in columns:
        raise FormulaError(
            f"{name}({shown}): {shown} is not a column; the arguments of an unknown part are "
            f"columns: {', '.join(columns)}"
        )
    if argument.name in constant:
        raise FormulaError(f"{name}({shown}): the column {shown} never changes; leave it out")


def _refuse_misspelt(name: str, columns: Sequence[str]) -> None:
    near = difflib.get_close_matches(name, columns, n=1, cutoff=0.75)
    if len(name) > 3 and near:
        raise FormulaError(
            f"{name!r} in the template is not a column; did you mean {near[0]!r}? A constant to fit "
            "needs a name that is less like a column's"
        )


def second_slope(expression: Expr, u: Symbol, v: Symbol) -> Expr:
    """d^2/du dv, 0 where it is."""
    return sympy.expand(sympy.diff(expression, u, v))


def inverse(expression: Expr, part: Symbol) -> Expr:
    """The part as an expression of `TARGET` and all else, from expression = target.

    On the main branch: the positive root, arcsin in [-pi/2, pi/2].

    Raises FormulaError: the part stands in several places, or under a function without an inverse.
    """
    if second_slope(expression, part, part) == 0:
        return (TARGET - expression.subs(part, 0)) / sympy.diff(expression, part)
    value: Expr = TARGET
    while expression != part:
        inside = [argument for argument in expression.args if argument.has(part)]
        if len(inside) != 1:
            raise FormulaError(
                f"the template cannot be solved for {part.name.strip()}, which stands in it "
                "more than once; write it once"
            )
        (below,) = inside
        if isinstance(expression, (sympy.Add, sympy.Mul)):
            others = expression.func(*(a for a in expression.args if a is not below))
            value = value - others if isinstance(expression, sympy.Add) else value / others
        elif isinstance(expression, sympy.Pow):
            under = below is expression.base
            value = (
                value ** (1 / expression.exp)
                if under
                else sympy.log(value) / sympy.log(expression.base)
            )
        elif expression.func in _INVERSES:
            value = _INVERSES[expression.func](value)
        else:
            raise FormulaError(
                f"the template cannot be solved for {part.name.strip()}: "
                f"{expression.func.__name__} has no inverse"
            )
        expression = below
    return value
