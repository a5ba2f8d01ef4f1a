"""Random formulas for the tests, by hypothesis."""

import sympy
from hypothesis import strategies as st

from edgewise.symbolic.evaluate import symbol

NAMES = ("x", "y", "period (years)")
_UNARY = (
    sympy.sin,
    sympy.cos,
    sympy.tan,
    sympy.exp,
    sympy.log,
    sympy.sqrt,
    sympy.tanh,
    sympy.atan,
    sympy.asin,
    sympy.acosh,
    sympy.Abs,
    sympy.sign,
    sympy.cbrt,
)
_leaves = st.one_of(
    st.sampled_from([symbol(name) for name in NAMES]),
    st.sampled_from([sympy.pi, sympy.E]),
    st.integers(-9, 9).map(sympy.Integer),
    st.fractions(-3, 3, max_denominator=7).map(
        lambda q: sympy.Rational(q.numerator, q.denominator)
    ),
    st.floats(0.01, 100, allow_subnormal=False).map(sympy.Float),
)


def _grow(inner: st.SearchStrategy) -> st.SearchStrategy:
    power = st.sampled_from([-3, -2, -1, 2, 3, sympy.Rational(2, 3), sympy.Float(1.37)])
    return st.one_of(
        st.builds(lambda f, u: f(u), st.sampled_from(_UNARY), inner),
        st.builds(sympy.Add, inner, inner),
        st.builds(sympy.Mul, inner, inner),
        st.builds(sympy.Pow, inner, power),
    )


def _real(expression: sympy.Expr) -> bool:
    parts = set(sympy.preorder_traversal(expression))
    if parts & {sympy.I, sympy.zoo, sympy.nan, sympy.oo, -sympy.oo}:
        return False
    # What stands for a complex number, or is no float64, has no text either.
    for part in parts:
        if part.is_number and not part.is_Symbol:
            value = part.evalf()
            if not value.is_Float and not value.is_Rational:
                return False
            if value != 0 and not 1e-100 < abs(value) < 1e100:
                return False
    return True


formulas = st.recursive(_leaves, _grow, max_leaves=8).filter(_real)
