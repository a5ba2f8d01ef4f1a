"""Formula: predicts what its source computes, reads well, repeats itself; networks compose."""

import math
import re

import numpy as np
import pandas as pd
import pytest
import sympy
import torch
from formula_trees import NAMES, formulas
from hypothesis import given, settings

from edgewise.errors import DataError, FormulaError, ShapeError
from edgewise.nn.network import Network
from edgewise.symbolic.compose import exact, network_formulas
from edgewise.symbolic.evaluate import evaluate, symbol
from edgewise.symbolic.formula import Constant, Formula
from edgewise.symbolic.primitives import PRIMITIVES, primitive
from edgewise.symbolic.printing import identifiers

x, y = symbol("x"), symbol("y")


def run_source(formula: Formula, X: np.ndarray) -> np.ndarray:
    space: dict = {}
    exec(formula.python(), space)  # noqa: S102 (the source under test)
    return space["formula"](*X.T)


def table(n: int, columns: int, low: float = 0.2, high: float = 2.5) -> np.ndarray:
    return np.random.default_rng(0).uniform(low, high, (n, columns))


@settings(max_examples=150, deadline=None, derandomize=True)
@given(formulas)
def test_source_computes_what_predict_does(expression: sympy.Expr) -> None:
    formula = Formula(expression, NAMES)
    X = table(40, 3)
    ours, theirs = formula.predict(X), run_source(formula, X)
    assert ours.shape == theirs.shape == (40,)
    # Where a value is large, a rounding before it is large too: compare at nearby points.
    moved = np.abs(formula.predict(X * (1 + 1e-9)) - ours) * 1e9
    finite = np.isfinite(ours) & np.isfinite(moved)
    parts = [Formula(p, NAMES).predict(X) for p in sympy.preorder_traversal(expression)]
    scale = np.nanmax(np.where(np.isfinite(parts), np.abs(parts), 0), axis=0) + moved
    assert np.all(np.abs(ours - theirs)[finite] <= 1e-14 * scale[finite] + 1e-300)
    assert not np.isfinite(theirs[np.isnan(ours)]).any() or np.isnan(parts).any()


@pytest.mark.parametrize("name", [*PRIMITIVES, "x^1.37", "x^(-3/2)"])
def test_source_of_every_primitive(name: str) -> None:
    formula = Formula(1.5 * primitive(name).sympy(0.3 * x + 0.11), ("x",))
    X = table(30, 1, 0.2, 2.9) if name != "arccosh" else table(30, 1, 4, 9)
    np.testing.assert_allclose(run_source(formula, X), formula.predict(X), rtol=1e-14)


def test_source_needs_numpy_only_and_takes_odd_names() -> None:
    names = ("period (years)", "lambda", "2nd", "numpy", 'a"""b\\', "%", "a_b", "a b", "ﬁ", "fi")
    formula = Formula(sympy.Add(*(k * symbol(n) for k, n in enumerate(names, 1))), names, 'q"')
    assert re.findall(r"^\s*(?:import|from) .*", formula.python(), re.M) == ["import numpy"]
    X = table(5, len(names))
    np.testing.assert_allclose(run_source(formula, X), formula.predict(X), rtol=1e-14)


def test_identifiers_differ_and_keep_good_names() -> None:
    found = identifiers(["a b", "a_b", "a-b", "class", "x_1"])
    assert found["a_b"] == "a_b" and found["x_1"] == "x_1" and found["class"] == "class_"
    assert len(set(found.values())) == 5


def test_source_takes_whole_numbers_and_scalars() -> None:
    space: dict = {}
    exec(Formula("x^-2", ("x",)).python(), space)  # noqa: S102
    assert space["formula"](2) == 0.25
    assert space["formula"](np.array([1, 2])).tolist() == [1, 0.25]


def test_what_numpy_has_not_is_refused() -> None:
    with pytest.raises(FormulaError, match="numpy has no function"):
        Formula(sympy.Function("mystery")(x), ("x",)).python()


def test_predict_takes_every_kind_of_table() -> None:
    formula = Formula("x - 2*y", ("x", "y"))
    X = table(6, 2)
    expected = X[:, 0] - 2 * X[:, 1]
    frame = pd.DataFrame({"other": "text", "y": X[:, 1], "x": X[:, 0]})
    for given_ in (X, torch.from_numpy(X), X.tolist(), frame):
        result = formula.predict(given_)
        assert isinstance(result, np.ndarray) and result.dtype == np.float64
        np.testing.assert_allclose(result, expected, rtol=1e-15)
    assert formula.predict(np.zeros((0, 2))).shape == (0,)
    assert Formula("3", ("x",)).predict(np.zeros(4)).tolist() == [3.0] * 4
    assert Formula("3", ()).predict(np.zeros((4, 0))).tolist() == [3.0] * 4


@pytest.mark.parametrize("shape", [(5, 1), (5, 3), (5,), (5, 2, 1)])
def test_the_number_of_columns_must_fit(shape: tuple[int, ...]) -> None:
    with pytest.raises(ShapeError, match=r"\(N, 2\)"):
        Formula("x + y", ("x", "y")).predict(np.zeros(shape))


def test_tables_that_do_not_fit() -> None:
    with pytest.raises(DataError, match="'y'"):
        Formula("x + y", ("x", "y")).predict(pd.DataFrame({"x": [1.0]}))
    with pytest.raises(DataError, match="numbers"):
        Formula("x", ("x",)).predict([["a"]])


def test_text_rounds_and_repr_does_not() -> None:
    formula = Formula("2.123456789012345*sin(`t (s)`)^2 + 1e-20*x", ("t (s)", "x"), "force")
    assert str(formula) == "force = 1e-20*x + 2.12346*sin(`t (s)`)^2"
    assert "2.123456789012345" in repr(formula)
    assert formula.text(3).endswith("2.12*sin(`t (s)`)^2")
    assert r"\text{t (s)}" in formula.latex() and r"10^{-20}" in formula.latex()


@settings(max_examples=60, deadline=None, derandomize=True)
@given(formulas)
def test_repr_gives_the_formula_again(expression: sympy.Expr) -> None:
    formula = Formula(expression, NAMES)
    again = eval(repr(formula), {"Formula": Formula})  # noqa: S307 (its own repr)
    X = table(5, 3)
    np.testing.assert_allclose(again.predict(X), formula.predict(X), rtol=1e-9, equal_nan=True)


def test_constants_show_the_digits_that_their_error_leaves() -> None:
    constant = Constant(2.345678, 0.0123)
    assert constant.text == "2.346 ± 0.012"
    assert str(Formula(2.345678 * x, ("x",), constants=(constant,))) == "y = 2.346*x"
    assert Constant(0.5).text == "0.5" and Constant(3.0, 0.0).digits is None
    assert Constant(math.pi, text="π").text == "π"


@pytest.mark.parametrize(
    ("expression", "size"),
    [
        ("x", 1),
        ("sin(x)", 2),
        ("-x", 2),
        ("1/x", 2),
        ("sqrt(x)", 2),
        ("x^2", 3),
        ("x/y", 3),
        ("x - y", 3),
        ("pi*x", 3),
        ("1/(x*y)", 4),
        ("2.5*x + y", 6),
        ("2*x/3", 4),
        ("exp(-x^2)", 5),
    ],
)
def test_complexity_counts_nodes_and_constants(expression: str, size: int) -> None:
    assert Formula(expression, ("x", "y")).complexity == size


def test_names_must_fit() -> None:
    with pytest.raises(FormulaError, match="uses z"):
        Formula(x + symbol("z"), ("x",))
    with pytest.raises(FormulaError, match="one name"):
        Formula(x, ("x", "x"))
    with pytest.raises(FormulaError, match="list"):
        Formula([x], ("x",))  # type: ignore[arg-type]


def symbolic_network(**options: object) -> Network:
    """[2, [1, 1], 2] with every edge a function, and affine nodes."""
    model = Network([2, [2, 2], 2], mult_arity=[[], [2, 3], []], dtype=torch.float64, **options)
    generator = torch.Generator().manual_seed(0)
    names = ["sin", "x^2", "tanh", "exp", "x", "gaussian", "arctan"]
    for layer in model.layers:
        for j in range(layer.out_features):
            for i in range(layer.in_features):
                affine = torch.rand(4, generator=generator, dtype=torch.float64) + 0.1
                name = names[(3 * i + j) % len(names)]
                layer.fix_symbolic(j, i, primitive(name), tuple(affine.tolist()))
    for nodes in model.nodes:
        for parameter in nodes.parameters():
            parameter.data += 0.3 * torch.rand(parameter.shape, generator=generator).double()
    return model


def test_network_formulas_compute_what_the_network_does() -> None:
    model = symbolic_network(input_names=("mass", "t (s)"))
    X = torch.from_numpy(table(50, 2, -1, 1))
    found = network_formulas(model)
    assert {s.name for s in found[0].free_symbols} == {"mass", "t (s)"}
    values = torch.stack([evaluate(f, {"mass": X[:, 0], "t (s)": X[:, 1]}) for f in found], 1)
    torch.testing.assert_close(values, model(X).detach(), rtol=1e-13, atol=1e-13)


def test_names_of_the_inputs() -> None:
    model = symbolic_network()
    assert {s.name for s in network_formulas(model)[0].free_symbols} == {"x_1", "x_2"}
    a = symbol("a", positive=True)
    assert network_formulas(model, [a, "b"])[1].free_symbols == {a, symbol("b")}
    with pytest.raises(FormulaError, match="1 names"):
        network_formulas(model, ["a"])


def test_curves_are_refused_and_named() -> None:
    model = symbolic_network()
    model.layers[1].unfix_symbolic(1, 3)
    with pytest.raises(FormulaError, match=r"\(1, 3, 1\).*auto_symbolic"):
        network_formulas(model)


def test_edges_that_are_off_contribute_nothing() -> None:
    model = Network([2, 1], dtype=torch.float64)
    model.layers[0].mask[:] = 0
    assert network_formulas(model) == [0]
    model.layers[0].fix_symbolic(0, 1, primitive("x^2"), (1.0, 0.0, 2.0, 0.0))
    assert network_formulas(model) == [2 * symbol("x_2") ** 2]
    model.layers[0].fix_symbolic(0, 1, primitive("x^2"), (1.0, 0.0, math.nan, 0.0))
    with pytest.raises(FormulaError, match="refit"):
        network_formulas(model)


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (0.0, sympy.Integer(0)),
        (-0.0, sympy.Integer(0)),
        (-3.0, sympy.Integer(-3)),
        (3.0000000000000004, sympy.Integer(3)),
        (0.25, sympy.Rational(1, 4)),
        (2 / 3, sympy.Rational(2, 3)),
        (-7 / 12, sympy.Rational(-7, 12)),
        (math.pi, sympy.pi),
        (-math.pi / 2, -sympy.pi / 2),
        (2 * math.pi / 3, 2 * sympy.pi / 3),
        (0.1, sympy.Rational(1, 10)),
        (0.6666666666, sympy.Float(0.6666666666)),
        (3.1415926535, sympy.Float(3.1415926535)),
        (1e-17, sympy.Float(1e-17)),
        (1e22, sympy.Float(1e22)),
        (1 / 13, sympy.Float(1 / 13)),
    ],
)
def test_simple_numbers_become_exact(value: float, expected: sympy.Expr) -> None:
    assert exact(value) == expected
    assert float(exact(value)) == pytest.approx(value, rel=1e-15)
