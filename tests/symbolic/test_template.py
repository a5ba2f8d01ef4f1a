"""Templates: how they are read, solved for a part, and fitted from many starts."""

import math

import pytest
import sympy
import torch

from edgewise.errors import FormulaError
from edgewise.symbolic.evaluate import evaluate, symbol
from edgewise.symbolic.template import TARGET, inverse, read_template
from edgewise.symbolic.template_fit import fit_constants
from edgewise.symbolic.template_model import Projection

GENERATOR = torch.Generator().manual_seed(1)
X = 0.3 + 2 * torch.rand(300, 2, generator=GENERATOR, dtype=torch.float64)
COLUMNS = {"x": X[:, 0], "t": X[:, 1]}


def test_names_that_are_no_columns_are_constants() -> None:
    template = read_template("a*sin(b*x) + 2.5*t + pi", ["x", "t"])
    assert [c.name for c in template.constants] == ["a", "b"]
    assert not template.parts
    assert not template.expression.atoms(sympy.Float)
    assert template.as_written(template.expression).atoms(sympy.Float) == {sympy.Float(2.5)}


def test_a_column_may_have_any_name() -> None:
    template = read_template("k*e + `a b`", ["e", "a b"])
    assert [c.name for c in template.constants] == ["k"]


def test_parts_are_functions_of_columns() -> None:
    template = read_template("f(x)*exp(-b*t) + g_2(t, x) + f(x)^2", ["x", "t"])
    assert {(p.name, p.columns) for p in template.parts} == {("f", ("x",)), ("g_2", ("t", "x"))}


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("sin(x) + t", "nothing to fit"),
        ("a*sinn(x)", "unknown function 'sinn'"),
        ("f(z)", "z is not a column"),
        ("f(2*x)", "is not a column"),
        ("f(x) + f(t)", "same columns"),
        ("f(x, x)", "same columns"),
        ("f(k)", "never changes"),
        ("a*lenght", "did you mean 'length'"),
        ("a*(x", r"'\)'"),
        ("t(x) + 1", "a column and an unknown part"),
    ],
)
def test_what_is_not_understood_is_said(text: str, said: str) -> None:
    with pytest.raises(FormulaError, match=said):
        read_template(text, ["x", "t", "k", "length"], ["k"])


@pytest.mark.parametrize(
    "text",
    ["f(x)*exp(-a*t) + t", "sqrt(f(x) + t)", "exp(a*f(x))/t", "log(1 + f(x)^2)", "2^f(x)",
     "tanh(f(x)*t)", "1/(a + t*f(x))", "f(x)*t - a*f(x)"],
)  # fmt: skip
def test_the_inverse_gives_the_part_back(text: str) -> None:
    template = read_template(text, ["x", "t"])
    (part,) = template.parts
    values = {**COLUMNS, "a": torch.tensor(0.7, dtype=torch.float64), part.symbol.name: X[:, 0] / 3}
    target = evaluate(template.expression, values)
    solved = evaluate(inverse(template.expression, part.symbol), {**values, TARGET.name: target})
    assert torch.allclose(solved, X[:, 0] / 3, rtol=1e-9)


@pytest.mark.parametrize(
    ("text", "said"),
    [("abs(f(x))", "no inverse"), ("f(x) + exp(f(x))", "more than once"),
     ("f(x)*g(t)", "multiply each other"), ("exp(f(x) + g(t))", "multiply each other")],
)  # fmt: skip
def test_parts_that_cannot_be_told_apart(text: str, said: str) -> None:
    with pytest.raises(FormulaError, match=said):
        Projection(read_template(text, ["x", "t"]), COLUMNS, X[:, 0], None)


# A law, and how its constants grow when the unit of x shrinks and that of t grows.
LAWS = {
    "a*sin(b*x + c) + d": {"b": -1},
    "a*exp(-b*t) + c*x": {"b": 1, "c": -1},
    "a*x^b*t^c": {},
    "a/(1 + exp(-b*(x - c)))": {"b": -1, "c": 1},
    "log(a + b*x)": {"b": -1},
    "sqrt(a*x^2 + b*t)": {"a": -2, "b": 1},
}


@pytest.mark.parametrize("scale", [1.0, 1e-6, 1e6])
@pytest.mark.parametrize("text", LAWS)
def test_constants_of_any_size_are_found_in_any_units(text: str, scale: float) -> None:
    columns = {"x": COLUMNS["x"] * scale, "t": COLUMNS["t"] / scale}
    template = read_template(text, ["x", "t"])
    for seed in range(3):
        drawn = 0.5 + torch.rand(len(template.constants), generator=GENERATOR, dtype=torch.float64)
        truth = {
            c.name: value * scale ** LAWS[text].get(c.name, 0)
            for c, value in zip(template.constants, drawn, strict=True)
        }
        y = evaluate(template.expression, {**columns, **truth})
        best = fit_constants(Projection(template, columns, y, None), seed, lambda: False)[0]
        assert best.error < 1e-6


def test_the_simplest_of_equal_constants_is_taken() -> None:
    y = 2.3 * torch.sin(3.1 * COLUMNS["x"] + 0.7)
    projection = Projection(read_template("a*sin(b*x + c)", ["x", "t"]), COLUMNS, y, None)
    numbers = projection.numbers(fit_constants(projection, 0, lambda: False)[0])
    found = {s.name: value for s, value in numbers.items()}
    for name, value in (("a", 2.3), ("b", 3.1), ("c", 0.7)):
        assert math.isclose(found[name], value, rel_tol=1e-5)


def test_a_part_is_replaced_by_what_the_template_says_it_is() -> None:
    template = read_template("f(x)*exp(-b*t)", ["x", "t"])
    shape = COLUMNS["x"].square() - 3
    y = shape * torch.exp(-0.4 * COLUMNS["t"])
    projection = Projection(template, COLUMNS, y, None)
    best = fit_constants(projection, 0, lambda: False)[0]
    found, slope = projection.part_values(template.parts[0], best, COLUMNS, y)
    assert torch.allclose(found, shape, rtol=1e-5)
    assert torch.allclose(slope, torch.exp(-0.4 * COLUMNS["t"]), rtol=1e-5)
    assert projection.numbers(best)[symbol("b")] == pytest.approx(0.4, rel=1e-6)
