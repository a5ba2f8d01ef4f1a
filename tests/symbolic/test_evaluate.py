"""evaluate: mpmath's values, NaN where there is no real one, derivatives of any order."""

import math

import pytest
import sympy
import torch
from formula_trees import NAMES, formulas
from hypothesis import given, settings
from hypothesis import strategies as st

from edgewise.errors import FormulaError
from edgewise.symbolic.evaluate import evaluate, symbol

x, y = symbol("x"), symbol("y")


def at(expression: sympy.Expr, **values: float) -> float:
    given = {name: torch.tensor(value, dtype=torch.float64) for name, value in values.items()}
    return float(evaluate(expression, given))


@settings(max_examples=150, deadline=None, derandomize=True)
@given(formulas, st.tuples(*[st.sampled_from([0.37, 0.81, 1.29, 2.6])] * 3))
def test_agrees_with_mpmath(expression: sympy.Expr, point: tuple[float, ...]) -> None:
    values = dict(zip(NAMES, point, strict=True))
    places = {symbol(name): sympy.Float(value, 40) for name, value in values.items()}
    parts = [part.subs(places).evalf(40) for part in sympy.preorder_traversal(expression)]
    ours = at(expression, **values)
    if not all(part.is_real and part.is_finite for part in parts):
        return
    # Rounding of the parts, as large as they are, times how much the whole depends on them.
    shifted = [at(expression, **{k: v * (1 + s) for k, v in values.items()}) for s in (1e-9, -1e-9)]
    sensitivity = max(abs(ours - other) for other in shifted) * 1e9
    scale = max(abs(float(part)) for part in parts if abs(part) < 1e150) + sensitivity
    assert abs(ours - float(parts[0])) <= 1e-12 * scale + 1e-300


@pytest.mark.parametrize(
    ("expression", "expected"),
    [
        (sympy.Integer(3), 3.0),
        (sympy.Rational(1, 3), 1 / 3),
        (sympy.pi * x, math.pi * 2),
        (sympy.E + sympy.GoldenRatio, math.e + (1 + 5**0.5) / 2),
        (x**sympy.pi, 2**math.pi),
        (y**x, 9.0),
        (sympy.Max(x, y, 1), 3.0),
        (sympy.Min(x, y), 2.0),
        (sympy.atan2(y, x), math.atan2(3, 2)),
        (
            sympy.sec(x) + sympy.csc(x) + sympy.cot(x),
            1 / math.cos(2) + 1 / math.sin(2) + 1 / math.tan(2),
        ),
        (sympy.sech(x) * sympy.csch(x), 1 / math.cosh(2) / math.sinh(2)),
        (sympy.coth(x), 1 / math.tanh(2)),
        (sympy.cbrt(x), 2 ** (1 / 3)),
        (x**100, 2.0**100),
    ],
)
def test_known_values(expression: sympy.Expr, expected: float) -> None:
    assert at(expression, x=2.0, y=3.0) == pytest.approx(expected, rel=4e-16)


@pytest.mark.parametrize(
    "expression",
    [
        sympy.log(x),
        sympy.sqrt(x),
        x ** sympy.Rational(1, 3),
        x**1.5,
        x**y,
        sympy.asin(x - 2),
        sympy.log(x) ** 2,
        1 / (x + 1),
        sympy.I * x,
        sympy.zoo,
        sympy.sqrt(sympy.Integer(-2)) * x,
    ],
)
def test_no_real_value_is_nan(expression: sympy.Expr) -> None:
    assert math.isnan(at(expression, x=-1.0, y=0.5))


def test_scalar_expressions_fill_the_batch() -> None:
    u = torch.zeros(4, 2, dtype=torch.float64)
    for expression in (sympy.Integer(2), sympy.pi, y):
        assert evaluate(expression, {"x": u, "y": torch.tensor(1.0)}).shape == (4, 2)


def test_float32_comes_in_and_float64_out() -> None:
    assert evaluate(x + 1, {"x": torch.ones(3)}).dtype == torch.float64


def test_derivatives_to_third_order() -> None:
    u = torch.linspace(0.1, 2, 13, dtype=torch.float64, requires_grad=True)
    expression = sympy.exp(-(x**2)) * sympy.sin(3 * x) / sympy.sqrt(1 + x) + sympy.tanh(x) ** 3
    ours = evaluate(expression, {"x": u})
    for _ in range(3):
        expression = sympy.diff(expression, x)
        (ours,) = torch.autograd.grad(ours.sum(), u, create_graph=True)
        torch.testing.assert_close(ours, evaluate(expression, {"x": u}), rtol=1e-11, atol=1e-11)


def test_shared_parts_are_computed_once() -> None:
    expression = x
    for _ in range(60):
        expression = sympy.sin(expression) + sympy.cos(expression)
    assert math.isfinite(at(expression, x=0.3))


@pytest.mark.parametrize(
    ("expression", "words"),
    [
        (x + symbol("z"), "'z'.*given: x, y"),
        (sympy.gamma(x), "gamma.*add_symbolic"),
        (sympy.Function("mystery")(x), "mystery"),
        ("x + 1", "parse"),
    ],
)
def test_what_is_unknown_is_named(expression: object, words: str) -> None:
    with pytest.raises(FormulaError, match=words):
        at(expression, x=1.0, y=1.0)


def test_symbols_are_real_or_positive() -> None:
    assert symbol("a").is_real and symbol("a").is_positive is None
    assert sympy.sqrt(symbol("a", positive=True) ** 2) == symbol("a", positive=True)
