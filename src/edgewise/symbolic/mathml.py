"""Formulas as MathML, which browsers draw by themselves."""

from __future__ import annotations

import html
import re
from collections.abc import Sequence

import sympy

from .printing import Digits

_GREEK = dict(
    zip(
        "alpha beta gamma delta epsilon zeta eta theta iota kappa lambda mu nu xi omicron pi rho"
        " sigma tau upsilon phi chi psi omega".split(),
        "αβγδεζηθικλμνξοπρστυφχψω",
        strict=True,
    )
)
_INVISIBLE_TIMES, _APPLY = "<mo>&#x2062;</mo>", "<mo>&#x2061;</mo>"


def mathml(expression: sympy.Expr, number: Digits, output: str) -> str:
    """output = expression as <math> elements, one a term, so that a long sum can break its line.

    number: writes the floats. Names are escaped: they may hold anything.
    """
    printer = _Printer(number)
    parts = [f"{name(output)}<mo>=</mo>"]
    terms = expression.as_ordered_terms() if expression.is_Add else [expression]
    for position, term in enumerate(terms):
        parts.append(printer.term(term, first=position == 0))
    # The first term stays with the equals sign.
    parts[:2] = ["".join(parts[:2])]
    return "\n".join(
        f'<math xmlns="http://www.w3.org/1998/Math/MathML"><mstyle displaystyle="true">{part}'
        "</mstyle></math>"
        for part in parts
    )


def name(text: str) -> str:
    """A variable: one letter with an index as x₁, Greek letters, anything else upright as it is."""
    found = re.fullmatch(r"([A-Za-z]|" + "|".join(_GREEK) + r")(?:_?(\d+))?", text)
    if not found:
        return f'<mi mathvariant="normal">{html.escape(text)}</mi>'
    letter, index = _GREEK.get(found[1], found[1]), found[2]
    return f"<msub><mi>{letter}</mi><mn>{index}</mn></msub>" if index else f"<mi>{letter}</mi>"


class _Printer:
    """Writes one expression; every method returns balanced MathML."""

    def __init__(self, number: Digits) -> None:
        self.number = number

    def term(self, e: sympy.Expr, first: bool) -> str:
        """A term of a sum with its sign in front."""
        negative = _is_negative(e)
        sign = ("<mo>&#x2212;</mo>" if negative else "") if first else _sign(negative)
        body = self.show(-e if negative else e)
        return sign + (_fenced(body) if e.is_Add else body)

    def show(self, e: sympy.Expr) -> str:
        if isinstance(e, sympy.Symbol):
            return name(e.name)
        if e is sympy.pi or e is sympy.E:
            return "<mi>&#x3C0;</mi>" if e is sympy.pi else "<mi>e</mi>"
        if e.is_Number:
            return self.constant(e)
        if e.is_Add:
            terms = enumerate(e.as_ordered_terms())
            return _row(*(self.term(t, first=k == 0) for k, t in terms))
        if e.is_Mul:
            return self.product(e)
        if e.is_Pow:
            return self.power(e.base, e.exp)
        return self.function(e)

    def constant(self, e: sympy.Expr) -> str:
        if _is_negative(e):
            return _row("<mo>&#x2212;</mo>", self.constant(-e))
        if isinstance(e, sympy.Float):
            mantissa, _, exponent = self.number(float(e)).partition("e")
            if not exponent:
                return f"<mn>{mantissa}</mn>"
            power = self.constant(sympy.Integer(int(exponent)))
            ten = f"<msup><mn>10</mn><mrow>{power}</mrow></msup>"
            return _row(f"<mn>{mantissa}</mn><mo>&#xD7;</mo>{ten}")
        if isinstance(e, sympy.Rational) and e.q != 1:
            return f"<mfrac><mn>{e.p}</mn><mn>{e.q}</mn></mfrac>"
        return f"<mn>{html.escape(str(e))}</mn>"

    def product(self, e: sympy.Expr) -> str:
        """Factors above and below one line."""
        if _is_negative(e):
            return _row("<mo>&#x2212;</mo>", self.show(-e))
        above: list[sympy.Expr] = []
        below: list[sympy.Expr] = []
        for factor in e.as_ordered_factors():
            if factor.is_Pow and _is_negative(factor.exp):
                below.append(factor.base**-factor.exp)
            elif isinstance(factor, sympy.Rational) and factor.q != 1:
                above += [sympy.Integer(factor.p)] if factor.p != 1 else []
                below.append(sympy.Integer(factor.q))
            else:
                above.append(factor)
        if not below:
            return self.factors(above)
        return f"<mfrac>{self.factors(above)}{self.factors(below)}</mfrac>"

    def factors(self, factors: Sequence[sympy.Expr]) -> str:
        if len(factors) < 2:
            return _row(self.show(factors[0]) if factors else "<mn>1</mn>")
        shown = [_fenced(self.show(f)) if f.is_Add else self.show(f) for f in factors]
        written = shown[0]
        for left, right, body in zip(factors, factors[1:], shown[1:], strict=False):
            joined = left.is_Number and _may_follow_a_number(right)
            written += (_INVISIBLE_TIMES if joined else "<mo>&#x22C5;</mo>") + body
        return _row(written)

    def power(self, base: sympy.Expr, exponent: sympy.Expr) -> str:
        if _is_negative(exponent):
            return f"<mfrac><mn>1</mn>{_row(self.show(base**-exponent))}</mfrac>"
        if isinstance(exponent, sympy.Rational) and exponent.p == 1:
            body = _row(self.show(base))
            if exponent.q == 2:
                return f"<msqrt>{body}</msqrt>"
            return f"<mroot>{body}<mn>{exponent.q}</mn></mroot>"
        raised = _row(self.show(exponent))
        if isinstance(exponent, sympy.Rational) and exponent.q != 1:  # a fraction would be tiny
            raised = _row(f"<mn>{exponent.p}</mn><mo>/</mo><mn>{exponent.q}</mn>")
        named = base.is_Function and not isinstance(base, (sympy.exp, sympy.Abs))
        if named and exponent.is_Integer:  # sin²(x)
            return self.function(base, raised)
        atom = base.is_Symbol or base is sympy.pi or base is sympy.E
        atom = atom or (base.is_Integer and not _is_negative(base))
        body = self.show(base) if atom else _fenced(self.show(base))
        return f"<msup>{_row(body)}{raised}</msup>"

    def function(self, e: sympy.Expr, raised: str = "") -> str:
        inside = [self.show(argument) for argument in e.args]
        # A fraction up there would be too small to read.
        if isinstance(e, sympy.exp) and "<mfrac>" not in inside[0] and len(inside[0]) < 300:
            return f"<msup><mi>e</mi>{_row(inside[0])}</msup>"
        if isinstance(e, sympy.Abs):
            return _row("<mo>|</mo>", inside[0], "<mo>|</mo>")
        head = f"<mi>{html.escape(e.func.__name__.lower())}</mi>"
        head = f"<msup>{head}{raised}</msup>" if raised else head
        return _row(head, _APPLY, _fenced("<mo>,</mo>".join(inside)))


def _is_negative(e: sympy.Expr) -> bool:
    return bool(e.as_coeff_Mul()[0].is_negative) if not e.is_Add else False


def _may_follow_a_number(e: sympy.Expr) -> bool:
    """Not another number, and no name of several letters, which would look like one word."""
    if e.is_Pow:
        e = e.base
    return not e.is_Number and not (e.is_Symbol and "normal" in name(e.name))


def _sign(negative: bool) -> str:
    return "<mo>&#x2212;</mo>" if negative else "<mo>+</mo>"


def _row(*parts: str) -> str:
    return f"<mrow>{''.join(parts)}</mrow>"


def _fenced(body: str) -> str:
    return _row("<mo>(</mo>", body, "<mo>)</mo>")
