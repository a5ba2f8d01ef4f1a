"""discover with a template: constants with their errors, unknown parts found, numbers kept."""

import numpy as np
import pytest
import sympy

import edgewise
from edgewise.errors import DataError, FormulaError

RNG = np.random.default_rng(0)
X = np.column_stack([RNG.uniform(0.2, 5, 300), RNG.uniform(0.1, 4, 300), RNG.uniform(1, 3, 300)])
x, t, z = X.T
NAMES = ["x", "t", "z"]


@pytest.mark.parametrize(
    ("template", "y"),
    [
        ("a*sin(b*x) + c", 2.3 * np.sin(7.1 * x) - 1.2),
        ("f(x)*exp(-b*t)", np.sin(2 * x) * np.exp(-0.37 * t)),
        ("sqrt(f(x, t)) + z", np.sqrt(x * t + 1.5) + z),
        ("f(x) + g(t)*z", x**2 + z / t),
        ("exp(f(x) - k*t)", np.exp(np.log(x + 1) - 0.8 * t)),
    ],
)
def test_the_rest_of_a_law_is_found(template: str, y: np.ndarray) -> None:
    found = edgewise.discover(X, y, NAMES, template=template, time_limit=30)
    assert found.front[found.pick].r2 > 1 - 1e-12
    assert found.status == "finished"


def test_constants_come_with_their_errors_and_numbers_stay() -> None:
    y = 9.8 * t**2 / 2 - 3.04 * t + 2.1 + 0.1 * RNG.normal(size=len(t))
    found = edgewise.discover(X, y, NAMES, template="9.8*t^2/2 + v*t + h", time_limit=10)
    s = sympy.Symbol("t", real=True)
    for candidate in found.front:
        assert sympy.diff(candidate.formula.sympy, s, 2) == sympy.Float(9.8)
    (note,) = (n for n in found.notes if "constants of the template" in n)
    assert "v = -3.0" in note and "h = 2." in note and "±" in note


def test_the_library_is_for_the_parts() -> None:
    y = (x**2 - 2.2 * x) * np.exp(-0.3 * t)
    options = {"template": "f(x)*exp(-b*t)", "time_limit": 20}
    found = edgewise.discover(X, y, NAMES, lib=["x", "x^2"], **options)
    assert not any(c.formula.sympy.has(sympy.sin, sympy.log) for c in found.front)
    assert found.front[found.pick].r2 > 1 - 1e-9
    assert found.best.sympy.has(sympy.exp)


@pytest.mark.parametrize(
    ("template", "error", "said"),
    [
        ("sin(x)", FormulaError, "nothing to fit"),
        ("f(y)", FormulaError, "y is not a column"),
        ("f(x)*g(t)", FormulaError, "multiply each other"),
        ("log(-x^2 - a^2)", DataError, "no finite value"),
        ("exp(f(x))", DataError, "on .* rows no value of f"),
    ],
)
def test_templates_that_do_not_fit_say_why(template: str, error: type, said: str) -> None:
    with pytest.raises(error, match=said):
        edgewise.discover(X, np.sin(3 * x), NAMES, template=template, time_limit=10)
