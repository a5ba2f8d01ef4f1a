"""Formula -> network -> formula: the same function, in as few nodes as it needs."""

import pytest
import sympy
import torch
from formula_trees import NAMES, formulas
from hypothesis import HealthCheck, given, settings

from edgewise import problems
from edgewise.errors import FormulaError
from edgewise.model import KAN
from edgewise.nn import Network
from edgewise.problems.feynman import equations
from edgewise.symbolic import Formula, Primitive, compile_check, compile_formula, network_formulas
from edgewise.symbolic.evaluate import evaluate, symbol
from edgewise.symbolic.parse import parse
from edgewise.symbolic.primitives import PRIMITIVES
from edgewise.symbolic.registry import register


def values(expression, names, x):
    return evaluate(expression, dict(zip(names, x.T, strict=True)))


def outputs(model, x):
    with torch.no_grad():
        return model(x)


def uniform(n, names, low=0.2, high=2.0, seed=0):
    unit = torch.rand(n, len(names), generator=torch.Generator().manual_seed(seed)).double()
    return low + (high - low) * unit


@pytest.mark.parametrize("entry", equations(), ids=lambda entry: entry.id)
def test_every_feynman_equation_and_back(entry):
    model = compile_formula(entry.formula, entry.variables)
    data = problems.load(f"feynman/{entry.id}", n=200).train
    y = values(parse(entry.formula, entry.variables), entry.variables, data.x)
    torch.testing.assert_close(outputs(model, data.x)[:, 0], y, rtol=1e-12, atol=0)
    back = values(network_formulas(model)[0], entry.variables, data.x)
    torch.testing.assert_close(back, y, rtol=1e-12, atol=0)
    # The table's own arithmetic and the parser agree as well.
    torch.testing.assert_close(data.y[:, 0], y, rtol=1e-12, atol=0)


@pytest.mark.parametrize(
    ("text", "width"),
    [
        ("exp(sin(pi*x1) + x2^2)", [(2, 0), (1, 0), (1, 0)]),
        ("x1*x2", [(2, 0), (0, 1)]),
        ("3*x1*x2 + 2", [(2, 0), (0, 1)]),
        ("x1*y1 + x2*y2 + x3*y3", [(6, 0), (0, 3), (1, 0)]),
        ("(sin(x) + y^2)*(z + 1)/w", [(4, 0), (0, 1)]),
        ("exp(-(x - 2)^2/8)", [(1, 0), (1, 0)]),
        ("sin(2*x + 1)/3 - 7", [(1, 0), (1, 0)]),
        ("2^x", [(1, 0), (1, 0)]),
        ("x", [(1, 0), (1, 0)]),
        # one value, though it is written with different factors
        ("sin(x - y) + exp(2*y - 2*x)", [(2, 0), (2, 0), (1, 0)]),
        ("sin(x*y)*cos(3*x*y)", [(2, 0), (0, 1), (0, 1)]),
        # terms and factors that are known early wait in one node
        ("exp(x*y) + z + w^2", [(4, 0), (1, 1), (1, 0)]),
        ("sqrt(x^2 + y^2)*z/w", [(4, 0), (1, 1), (0, 1)]),
        ("sqrt((x + y)^2 + (x - y)^2)*(x + y)", [(2, 0), (2, 0), (2, 0), (0, 1)]),
    ],
)
def test_networks_are_small(text, width):
    model = compile_formula(text)
    assert model.width == width
    assert all(not bool(layer.mask.any()) for layer in model.layers)


# Terms that start at one input, and scales in front of brackets: lost if they overwrite each other.
COLLISIONS = (
    "x + x^2",
    "pi*(x + 1)",
    "x*y + pi",
    "sqrt(2)*(x + 1)*y",
    "x + x^2 + sin(x)",
    "x + x^2 + sin(x^2) + sin(x)^2",
    "sin(x + x^2) + (x + x^2)^2",
    "sqrt(3)*(x + pi*(y + x*y)) - x",
    "pi*(x + 1) - pi*x",
    "(x + x^2)*(y + y^2)",
    "exp(x*y) + exp(-x*y)",
    "x*sin(x)*x^2",
    "(x*y + x + y)^3/(x^2 + x + 1)",
    "x^y + 2^x + x^(1/3) + x^1.37",
    "sec(x) + coth(y)",
    "(x + 1)*(x + 1.0)*exp(x*y)",
    "(x + 1)*(x + 1.0) + exp(x + 1)",
)


@pytest.mark.parametrize("text", COLLISIONS)
def test_no_term_is_lost(text):
    names = ["x", "y"]
    model = compile_formula(text, names)
    x = uniform(100, names)
    y = values(parse(text, names), names, x)
    torch.testing.assert_close(outputs(model, x)[:, 0], y, rtol=1e-12, atol=1e-13)
    back = values(network_formulas(model)[0], names, x)
    torch.testing.assert_close(back, y, rtol=1e-12, atol=1e-12)


@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(formulas)
def test_random_trees(expression):
    try:
        model = compile_formula(expression, NAMES)
    except FormulaError as error:
        # Trees that are nowhere real, or whose numbers overflow, are refused with a reason.
        assert "no real value" in str(error) or "not a finite number" in str(error), error
        return
    x = uniform(64, NAMES, seed=1)
    y, computed = values(expression, NAMES, x), outputs(model, x)[:, 0]
    both = torch.isfinite(y) & torch.isfinite(computed)
    rounding = compile_check.rounding_of(model, x, torch.Generator().manual_seed(0))[:, 0]
    assert ((computed - y).abs() <= 1e-12 * y.abs() + rounding)[both & rounding.isfinite()].all()


def test_several_outputs_keep_their_order_and_share_their_parts():
    texts = ["x*y", "x + y", "5", "exp(x*y)", "x"]
    model = compile_formula(texts, output_names=list("abcde"), network=KAN)
    assert isinstance(model, KAN) and model.output_names == tuple("abcde")
    assert model.input_names == ("x", "y")
    x = uniform(20, "xy")
    expected = torch.stack([values(parse(text), "xy", x) for text in texts], dim=1)
    torch.testing.assert_close(outputs(model, x), expected, rtol=1e-13, atol=0)
    assert model.width[1] == (2, 1), "x*y is computed once"


@pytest.mark.parametrize(("text", "value"), [("3", 3.0), ("-2*pi", -2 * torch.pi), ("0", 0.0)])
def test_numbers_alone_are_a_bias(text, value):
    x = uniform(5, ["x", "y"])
    assert outputs(compile_formula(text, ["x", "y"]), x).flatten().tolist() == [value] * 5
    assert compile_formula(text).width == [(1, 0), (1, 0)]


def test_symbols_are_one_variable_by_name_and_inputs_follow_the_names():
    plain, positive = sympy.Symbol("u"), symbol("u", positive=True)
    model = compile_formula(sympy.sin(plain) + positive**2, [symbol("v"), "u"])
    x = uniform(9, "vu")
    torch.testing.assert_close(outputs(model, x)[:, 0], x[:, 1].sin() + x[:, 1] ** 2)
    assert compile_formula("x_10 + x_2").input_names == ("x_2", "x_10")
    assert compile_formula(Formula("a*b", ("b", "c", "a"))).input_names == ("b", "c", "a")


def test_the_network_takes_its_grid_and_dtype_and_leaves_the_random_state():
    state = torch.random.get_rng_state()
    model = compile_formula("sin(x)*y", grid=7, k=2, dtype=torch.float32)
    assert torch.equal(state, torch.random.get_rng_state())
    assert type(model) is Network and model.dtype == torch.float32
    assert all(layer.basis.grid == 7 and layer.basis.degree == 2 for layer in model.layers)
    x = uniform(9, "xy").float()
    torch.testing.assert_close(outputs(model, x)[:, 0], x[:, 0].sin() * x[:, 1])


def test_users_functions_stand_on_edges():
    record = Primitive(
        "softplus_of_tests",
        torch.nn.functional.softplus,
        torch.sigmoid,
        lambda u: sympy.Function("softplus_of_tests")(u),
        torch.isfinite,
        3,
    )
    register(record)
    try:
        model = compile_formula(record.sympy(2 * symbol("x")) * symbol("y"))
        x = uniform(9, "xy")
        expected = torch.nn.functional.softplus(2 * x[:, 0]) * x[:, 1]
        torch.testing.assert_close(outputs(model, x)[:, 0], expected)
    finally:
        del PRIMITIVES[record.name]


@pytest.mark.parametrize(
    ("formula", "names", "message"),
    [
        (sympy.gamma(symbol("x")), None, "'gamma'.*cannot stand on an edge"),
        ("max(x, y)", None, "'Max'.*cannot stand on an edge"),
        (sympy.Function("g")(symbol("x")) + 1, None, "'g'"),
        ("(0 - 2)^x", None, "base is not positive"),
        ("log(-1 - x^2)", None, "no real value"),
        (sympy.sqrt(-2) * symbol("x"), None, "not a"),
        ("x*y", ["x"], "unknown name 'y'"),
        (symbol("x") * symbol("y"), ["x", "z"], "uses y"),
        ("x", ["x", "x"], "all different"),
        ([], None, "list is empty"),
        (sympy.true, None, "not BooleanTrue"),
    ],
)
def test_what_cannot_be_compiled_is_named(formula, names, message):
    with pytest.raises(FormulaError, match=message):
        compile_formula(formula, names)


def test_formulas_that_are_real_in_few_places_are_checked_where_one_says():
    text = "arcsin(x - 100000)"
    with pytest.raises(FormulaError, match="ranges="):
        compile_formula(text)
    model = compile_formula(text, ranges={"x": (99999.0, 100001.0)})
    assert model.width == [(1, 0), (1, 0)]


def test_a_network_that_differs_is_refused():
    model = compile_formula("sin(x) + y")
    with torch.no_grad():
        model.layers[0].symbolic_affine[0, 0, 0] += 1e-10
    with pytest.raises(FormulaError, match="differs"):
        compile_check.check_network(model, [parse("sin(x) + y")], ["x", "y"], {})
