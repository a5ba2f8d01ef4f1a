"""Rewritings of an expression, each a function expression -> expression, and its written length.

A rule may presume what holds on the data only (arguments of logarithms are positive, ...): who
applies it compares the values before and after.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator

import sympy
from sympy import Add, Expr, Float, Integer, Mul, Pow, Rational
from torch import Tensor

_WAVES = (sympy.sin, sympy.cos)
_SUM_LAWS = (sympy.tanh, sympy.sinh, sympy.cosh, sympy.sin, sympy.cos, sympy.tan)
_SHORT = (sympy.exp, sympy.log, sympy.sin, sympy.cos, sympy.Abs)
_INVERSE = (sympy.asin, sympy.acos, sympy.atan, sympy.asinh, sympy.acosh, sympy.atanh)
_SIMPLE_DENOMINATORS = (1, 2, 3, 4)


def length(expression: Expr) -> int:
    """How long the expression is to write: symbols and numbers, operations, functions.

    A root costs as much as a minus sign; a float with its digits counts more than a small whole
    number, and a rarer function more than exp or sin.
    """
    e = expression
    if isinstance(e, Float):
        return 2
    if isinstance(e, Rational):
        digits = len(str(abs(e.p))) + (len(str(e.q)) if e.q != 1 else 0)
        return 1 + digits // 3 + (e.q != 1)
    if not e.args:
        return 1
    if isinstance(e, Add):
        # 2 x y^2 + 2 x + 1 reads better than 2 x (y^2 + 1) + 1: brackets in a sum cost 3.
        brackets = sum(any(isinstance(f, Add) for f in t.args) for t in e.args if t.is_Mul)
        return sum(length(_unsigned(term)) for term in e.args) + len(e.args) - 1 + 3 * brackets
    if isinstance(e, Mul):
        above: list[Expr] = []
        below: list[Expr] = []
        for factor in e.args:
            inverse = isinstance(factor, Pow) and factor.exp.is_number and factor.exp < 0
            (below if inverse else above).append(1 / factor if inverse else factor)
        sign: int = int(-1 in e.args)  # a float's own sign costs nothing
        above = [factor for factor in above if factor != -1] or [Integer(1)]
        brackets = int(len(below) > 1)
        return sign + brackets + sum(map(length, above + below)) + len(above + below) - 1
    if isinstance(e, Pow) and e.base != sympy.E:
        if e.exp == Rational(1, 2):
            return 1 + length(e.base)
        if e.exp.is_number and e.exp < 0:
            return 2 + length(1 / e)
        return 1 + length(e.base) + length(e.exp)
    weight = 2 if isinstance(e, _SHORT) else 4 if isinstance(e, _INVERSE) else 3
    return weight + len(e.args) - 1 + sum(map(length, e.args))


def _unsigned(term: Expr) -> Expr:
    return -term if term.could_extract_minus_sign() and isinstance(term, (Mul, Float)) else term


def bottom_up(expression: Expr, rule: Callable[[Expr], Expr]) -> Expr:
    """rule applied to every subexpression, the innermost first."""
    if expression.args:
        args = [bottom_up(arg, rule) for arg in expression.args]
        if any(new is not old for new, old in zip(args, expression.args, strict=True)):
            expression = expression.func(*args)
    return rule(expression)


def to_float(number: Expr) -> Expr:
    """The Float nearest to a number, or the number itself where it is not real and finite."""
    value = complex(number.evalf(20))
    if value.imag or not math.isfinite(value.real):
        return number
    return Float(value.real)


def fold(expression: Expr) -> Expr:
    """Numbers that contain a float become one float; exact numbers stay exact.

    A factor 1.0 goes, and an exponent that is a float of a simple value becomes exact: x**2.0 is
    x**2. Other floats stay free to be fitted.
    """

    def rule(e: Expr) -> Expr:
        if isinstance(e, Float):
            nearest = round(max(-1.0, min(1.0, float(e))))
            return Integer(nearest) if abs(float(e) - nearest) <= 4e-16 * abs(nearest) else e
        if not e.has(Float):
            return e
        if e.is_number:
            return to_float(e)
        if isinstance(e, (Add, Mul)):
            numbers = [arg for arg in e.args if arg.is_number]
            if len(numbers) > 1:
                rest = [arg for arg in e.args if not arg.is_number]
                return e.func(rule(to_float(e.func(*numbers))), *rest)
        if isinstance(e, Pow) and isinstance(e.exp, Float):
            return e.base ** exact_if_simple(e.exp)
        return e

    return bottom_up(expression, rule)


def exact_if_simple(number: Expr) -> Expr:
    """The float as a fraction with a denominator up to 4 where it is one to rounding."""
    for q in _SIMPLE_DENOMINATORS:
        p = round(float(number) * q)
        if abs(p) <= 12 * q and abs(float(number) * q - p) <= 4e-15 * max(abs(p), 1):
            return Rational(p, q)
    return number


def without_negligible(expression: Expr, values: Callable[[Expr], Tensor]) -> Expr:
    """Sums without the terms that are lost in rounding, as 3e-17 in x + 3e-17."""

    def rule(e: Expr) -> Expr:
        if not isinstance(e, Add) or not e.has(Float):
            return e
        largest = values(e).abs().nan_to_num(nan=0.0).max()
        kept = [t for t in e.args if not float(values(t).abs().max()) <= 1e-13 * float(largest)]
        return Add(*kept)

    return bottom_up(expression, rule)


def without_abs(expression: Expr) -> Iterator[Expr]:
    """Each |u| as u and as -u: right where u has one sign on the rows, or stands in an even function."""
    for size in sorted(expression.atoms(sympy.Abs), key=str):
        for inner in (size.args[0], -size.args[0]):
            yield expression.xreplace({size: inner})


def exp_of_logs(expression: Expr) -> Expr:
    """exp(k log u + v + 0.3) -> 1.35 u^k exp(v), and sqrt(exp(u)) -> exp(u/2)."""

    def rule(e: Expr) -> Expr:
        if isinstance(e, Pow) and isinstance(e.base, sympy.exp) and e.base.args[0].is_real:
            e = sympy.exp(e.exp * e.base.args[0])
        if not isinstance(e, sympy.exp):
            return e
        outside: list[Expr] = []
        inside: list[Expr] = []
        for term in Add.make_args(sympy.expand(e.args[0], deep=False)):
            logs = [f for f in Mul.make_args(term) if isinstance(f, sympy.log)]
            if len(logs) == 1:
                outside.append(logs[0].args[0] ** exact_exponent(term / logs[0]))
            elif term.is_number and term.has(Float):
                outside.append(to_float(sympy.exp(term)))
            else:
                inside.append(term)
        return Mul(*outside, sympy.exp(Add(*inside))) if outside else e

    return bottom_up(expression, rule)


def exact_exponent(exponent: Expr) -> Expr:
    exponent = fold(exponent)
    return exact_if_simple(exponent) if isinstance(exponent, Float) else exponent


def sum_laws(expression: Expr) -> Expr:
    """tanh(atanh u + atanh v) -> (u + v)/(1 + u v), and its kin for sin, cos, tan, sinh, cosh."""

    def rule(e: Expr) -> Expr:
        if isinstance(e, _SUM_LAWS) and e.args[0].atoms(sympy.Function):
            return sympy.together(sympy.expand_trig(e))
        return e

    return bottom_up(expression, rule)


def phases(expression: Expr) -> Expr:
    """sin(u + c) with a float c: c brought to [-pi/2, pi/2] by whole and half turns."""

    def rule(e: Expr) -> Expr:
        if not isinstance(e, _WAVES) or not isinstance(e.args[0], Add):
            return e
        phase = sum((t for t in e.args[0].args if isinstance(t, Float)), Integer(0))
        if phase == 0 or abs(float(phase)) <= math.pi / 2:
            return e
        half_turns = round(float(phase) / math.pi)
        rest = float(phase) - half_turns * math.pi
        return (-1) ** half_turns * e.func(e.args[0] - phase + Float(rest))

    return bottom_up(expression, rule)


def pull_factors(expression: Expr) -> Expr:
    """(2.0 x + 3.0)^p -> 2.0^p (x + 1.5)^p where a product can take the number up."""

    def monic(e: Expr) -> tuple[Expr, Expr]:
        """number, rest with number * rest = e and one term of the sum without a coefficient."""
        if not isinstance(e, Add):
            return Integer(1), e
        parts = [term.as_coeff_Mul() for term in e.args]
        floats = [c for c, _ in parts if isinstance(c, Float)]
        if not floats or any(abs(c) == 1 for c, _ in parts):
            return Integer(1), e
        lead = next((c for c, rest in parts if isinstance(c, Float) and rest != 1), floats[0])
        # Rationals are exact knowledge: they are not divided into floats.
        if any(not isinstance(c, Float) for c, _ in parts):
            return Integer(1), e
        return lead, Add(*(fold(c / lead) * rest for c, rest in parts))

    def rule(e: Expr) -> Expr:
        if not isinstance(e, Mul):
            return e
        numbers, factors = [Integer(1)], []
        for factor in e.args:
            base, exponent = factor.as_base_exp()
            number, rest = monic(base) if base != sympy.E else (Integer(1), base)
            if number == 1 or not (exponent.is_integer or (exponent.is_number and number > 0)):
                factors.append(factor)
                continue
            numbers.append(number**exponent)
            factors.append(rest**exponent)
        return Mul(fold(Mul(*numbers)), *factors, evaluate=True)

    return fold(bottom_up(expression, rule))


def logs_apart(expression: Expr) -> Expr:
    """log(u^k v) -> k log u + log v, presuming u, v > 0."""
    return sympy.expand_log(expression, force=True)


def logs_together(expression: Expr) -> Expr:
    """k log u + log v -> log(u^k v), presuming u, v > 0."""
    return sympy.logcombine(expression, force=True)


def powers(expression: Expr) -> Expr:
    """u^a u^b -> u^(a + b), (u^a)^b -> u^(a b), presuming u > 0."""
    return sympy.powsimp(sympy.powdenest(expression, force=True), force=True)


def collected(expression: Expr) -> Expr:
    """Expanded, and ordered by the powers of one variable after the other."""
    expanded = sympy.expand(expression)
    variables = sorted(expression.free_symbols, key=str)
    options = [sympy.collect(expanded, variable) for variable in variables[:6]]
    return min([expanded, *options], key=length)


def trigonometric(expression: Expr) -> Expr:
    if not expression.atoms(sympy.functions.elementary.trigonometric.TrigonometricFunction):
        return expression
    return sympy.trigsimp(expression)
