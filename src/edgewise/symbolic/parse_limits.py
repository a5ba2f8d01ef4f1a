"""Limits that keep sympy's exact arithmetic from growing without end on hostile formulas."""

import sympy

EXPONENT = 1000
BITS = 4096
_NOT_NUMBERS = (sympy.zoo, sympy.nan, sympy.oo, -sympy.oo)


class Limit(Exception):  # noqa: N818 (the parser turns it into a FormulaError with a position)
    """A number would become too large, or is not real."""


def check_power(base: sympy.Expr, exponent: sympy.Expr) -> None:
    """Refuse what sympy would compute for long, such as 9^9^9, and roots of negative numbers."""
    if base.is_zero and exponent.is_negative:
        raise Limit("division by zero")
    if exponent.is_number:
        size = abs(float(exponent))
        if base.is_number and base.is_negative and not (exponent.is_integer or exponent.is_Float):
            raise Limit("a root of a negative number is not real")
    else:
        # sympy splits 9^(1000000000 + x) into factors, and multiplies (2^(1000000000 x))^(1/x).
        size = max(_coefficient(term) for term in sympy.Add.make_args(exponent))
    if not size <= EXPONENT:
        raise Limit(f"exponents beyond {EXPONENT} are not computed")
    for factor in sympy.Mul.make_args(base):
        if isinstance(factor, sympy.Pow) and _coefficient(factor.exp) * size > EXPONENT:
            raise Limit(f"exponents beyond {EXPONENT} are not computed")
        if factor.is_Rational:
            bits = max(abs(factor.p), factor.q).bit_length()
            if bits > 1 and bits * size > BITS:
                raise Limit(f"a number with more than {BITS} bits is not computed")


def _coefficient(term: sympy.Expr) -> float:
    """|q| of a term q * symbols; 1 where nothing is in front."""
    return abs(float(term.as_coeff_Mul()[0]))


def check_exp(argument: sympy.Expr) -> None:
    """Refuse exp(1000000000*log(2)), which sympy would write out as a power of 2."""
    for term in sympy.Add.make_args(argument):
        factors = sympy.Mul.make_args(term)
        if any(isinstance(factor, sympy.log) for factor in factors):
            for factor in factors:
                if factor.is_Number and abs(factor) > EXPONENT:
                    raise Limit(f"exponents beyond {EXPONENT} are not computed")


def check_result(value: sympy.Expr) -> sympy.Expr:
    """The value, if it is finite and real as far as sympy sees."""
    if value in _NOT_NUMBERS:
        raise Limit("the value here is not a finite number")
    if value.is_Rational and max(abs(value.p), value.q).bit_length() > BITS:
        raise Limit(f"a number with more than {BITS} bits is not computed")
    if value.is_Float and not (value == 0 or 1e-320 < abs(float(value)) < 1.7e308):
        raise Limit("the value here is beyond the range of float64")
    parts = (value, *value.args, *(inner for part in value.args for inner in part.args))
    if sympy.I in parts:
        raise Limit("the value here is not real")
    return value
