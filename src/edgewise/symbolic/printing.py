"""How formulas are written out: for people, exactly, as LaTeX, and as numpy source."""

import keyword
import math
import re
import unicodedata
from collections.abc import Callable, Mapping, Sequence

import sympy
from sympy.printing.latex import LatexPrinter
from sympy.printing.numpy import NumPyPrinter
from sympy.printing.str import StrPrinter

from ..errors import FormulaError

# A printed Float: (its value) -> text.
Digits = Callable[[float], str]


def rounded(value: float, digits: int) -> str:
    """The value to so many significant digits, with a point, so that it reads as a measured one."""
    text = f"{value:.{digits}g}"
    return text if re.search("[.eni]", text) else text + ".0"


class TextPrinter(StrPrinter):
    """Text that `parse` reads back: names that are no identifiers stand in backquotes."""

    def __init__(self, number: Digits) -> None:
        super().__init__()
        self.number = number

    def _print_Symbol(self, expr: sympy.Symbol) -> str:  # noqa: N802 (sympy's hook)
        return expr.name if expr.name.isidentifier() else f"`{expr.name}`"

    def _print_Float(self, expr: sympy.Float) -> str:  # noqa: N802
        return self.number(float(expr))


def text(expression: sympy.Expr, number: Digits) -> str:
    """The expression with ^ for powers; text between backquotes is a name and stays."""
    parts = TextPrinter(number).doprint(expression).split("`")
    parts[::2] = [part.replace("**", "^") for part in parts[::2]]
    return "`".join(parts)


class _Latex(LatexPrinter):
    def __init__(self, number: Digits) -> None:
        super().__init__()
        self.number = number

    def _print_Symbol(self, expr: sympy.Symbol, style: str = "plain") -> str:  # noqa: N802
        if expr.name.isidentifier():
            return super()._print_Symbol(expr, style)
        escaped = re.sub(r"([#$%&_{}])", r"\\\1", re.sub(r"[\\^~]", " ", expr.name))
        return rf"\text{{{escaped}}}"

    def _print_Float(self, expr: sympy.Float) -> str:  # noqa: N802
        mantissa, _, exponent = self.number(float(expr)).partition("e")
        return rf"{mantissa} \cdot 10^{{{int(exponent)}}}" if exponent else mantissa


def latex(expression: sympy.Expr, number: Digits) -> str:
    return _Latex(number).doprint(expression)


class _NumPy(NumPyPrinter):
    def __init__(self, identifiers: Mapping[str, str]) -> None:
        super().__init__({"fully_qualified_modules": True})
        self.identifiers = identifiers

    def _print_Symbol(self, expr: sympy.Symbol) -> str:  # noqa: N802
        return self.identifiers[expr.name]

    def _print_Float(self, expr: sympy.Float) -> str:  # noqa: N802
        value = float(expr)
        return repr(value) if math.isfinite(value) else "numpy.nan"

    def _extreme(self, name: str, expr: sympy.Expr) -> str:
        first, *rest = (self._print(arg) for arg in expr.args)
        for other in rest:
            first = f"numpy.{name}({first}, {other})"
        return first

    def _print_Max(self, expr: sympy.Expr) -> str:  # noqa: N802
        return self._extreme("maximum", expr)

    def _print_Min(self, expr: sympy.Expr) -> str:  # noqa: N802
        return self._extreme("minimum", expr)

    def _inverse(self, name: str, expr: sympy.Expr) -> str:
        return f"(1/numpy.{name}({self._print(expr.args[0])}))"

    def _print_sec(self, expr: sympy.Expr) -> str:
        return self._inverse("cos", expr)

    def _print_csc(self, expr: sympy.Expr) -> str:
        return self._inverse("sin", expr)

    def _print_cot(self, expr: sympy.Expr) -> str:
        return self._inverse("tan", expr)

    def _print_sech(self, expr: sympy.Expr) -> str:
        return self._inverse("cosh", expr)

    def _print_csch(self, expr: sympy.Expr) -> str:
        return self._inverse("sinh", expr)

    def _print_coth(self, expr: sympy.Expr) -> str:
        return self._inverse("tanh", expr)

    def _nan(self, expr: sympy.Expr) -> str:
        return "numpy.nan"

    # What is not real has no value here, as in `evaluate`.
    _print_ImaginaryUnit = _print_ComplexInfinity = _print_NaN = _nan  # noqa: N815

    def _print_Function(self, expr: sympy.Expr) -> str:  # noqa: N802
        raise FormulaError(
            f"numpy has no function {expr.func.__name__!r}, which {str(expr)[:60]!r} uses; "
            "write that part by hand, or use Formula.predict"
        )

    emptyPrinter = _print_not_supported = _print_Function  # noqa: N815


def numpy_source(expression: sympy.Expr, variables: Sequence[str], summary: str) -> str:
    """Source of `def formula(...)` that imports numpy and nothing else."""
    names = identifiers(variables)
    body = _NumPy(names).doprint(expression)
    lines = ["import numpy", "", "", f"def formula({', '.join(names.values())}):"]
    renamed = [f"    {new}: {old}" for old, new in names.items() if new != old]
    lines.append(f'    """{_quoted(summary)}')
    if renamed:
        lines += ["", *map(_quoted, renamed), '    """']
    else:
        lines[-1] += '"""'
    for name in names.values():
        lines.append(f"    {name} = numpy.asarray({name}, dtype=float)")
    if not expression.free_symbols and names:
        body = f"{body} + numpy.zeros_like({next(iter(names.values()))})"
    lines += ['    with numpy.errstate(all="ignore"):', f"        return {body}", ""]
    return "\n".join(lines)


def _quoted(line: str) -> str:
    """Safe inside a docstring, whatever the users' names hold."""
    return line.replace("\\", "\\\\").replace('"', "'").replace("\n", " ").replace("\r", " ")


def identifiers(variables: Sequence[str]) -> dict[str, str]:
    """Variable -> a Python identifier like it; all different."""
    taken = {"numpy", "formula"}
    names = {}
    for variable in variables:
        # Python reads identifiers in this normal form, so that two could become one.
        name = unicodedata.normalize("NFKC", variable)
        if not name.isidentifier():
            name = re.sub(r"\W+", "_", name).strip("_")
        if not name.isidentifier() or keyword.iskeyword(name):
            name = f"v_{name}" if name and not keyword.iskeyword(name) else f"{name}_"
        base, k = name if name.isidentifier() else "v", 2
        name = base
        while name in taken or (name != variable and name in variables):
            name, k = f"{base}_{k}", k + 1
        taken.add(name)
        names[variable] = name
    return names
