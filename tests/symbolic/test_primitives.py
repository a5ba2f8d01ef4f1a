"""Laws of every primitive, and of the users' own."""

import copy
import math
import pickle
import subprocess
import sys

import pytest
import sympy
import torch

from edgewise.errors import InputError
from edgewise.symbolic.evaluate import evaluate, symbol
from edgewise.symbolic.primitives import (
    ALIASES,
    EVEN,
    ODD,
    PRIMITIVES,
    Primitive,
    power,
    primitive,
    scale_free,
)
from edgewise.symbolic.registry import add_symbolic, register

BUILT = ["x^1.37", "x^(-3/2)", "x^-0.25", "1/x^7", "x^6", "x^(5/4)"]
ALL = [*PRIMITIVES.values(), *map(primitive, BUILT)]
PYKAN = (
    "x x^2 x^3 x^4 x^5 1/x 1/x^2 1/x^3 1/x^4 1/x^5 sqrt x^0.5 x^1.5 1/sqrt(x) 1/x^0.5 exp log abs "
    "sin cos tan tanh sgn arcsin arccos arctan arctanh 0 gaussian"
).split()
every = pytest.mark.parametrize("record", ALL, ids=lambda record: record.name)


def points() -> torch.Tensor:
    u = torch.linspace(-4, 4, 161, dtype=torch.float64)
    return torch.cat([u, u + 0.0123, torch.tensor([1e-9, -1e-9, 25.0, -25.0])])


@every
def test_values_are_finite_exactly_on_the_domain(record: Primitive) -> None:
    u = points()
    value = record.torch(u)
    assert torch.equal(record.domain(u), torch.isfinite(value))
    assert torch.isnan(value[~record.domain(u)]).all()
    assert record.domain(u).any()
    assert torch.isnan(record.torch(torch.tensor([math.nan], dtype=torch.float64))).all()


@every
def test_derivative_is_that_of_autograd(record: Primitive) -> None:
    u = points().requires_grad_()
    (autograd,) = torch.autograd.grad(record.torch(u).sum(), u)
    slope, inside = record.derivative(u).detach(), record.domain(u)
    assert torch.isnan(slope[~inside]).all()
    torch.testing.assert_close(slope[inside], autograd[inside], rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("name", sorted(ODD | EVEN))
def test_odd_and_even_functions_are(name: str) -> None:
    f, u = primitive(name).torch, points()
    sign = 1 if name in EVEN else -1
    torch.testing.assert_close(f(-u), sign * f(u), rtol=1e-13, atol=0, equal_nan=True)


@every
def test_a_scale_goes_into_factor_or_constant_where_it_is_said_to(record: Primitive) -> None:
    u = points()
    u = u[record.domain(u) & record.domain(2 * u) & (u != 0)]
    f, doubled = record.torch(u), record.torch(2 * u)
    ratio, shift = doubled / f, doubled - f
    settled = any(bool((v - v[0]).abs().max() <= 1e-9 * v[0].abs()) for v in (ratio, shift))
    assert settled == scale_free(record) or record.name == "0"


@every
def test_second_derivatives_agree(record: Primitive) -> None:
    u = points()
    u = u[record.domain(u) & (u.abs() > 1e-3) & ((u.abs() - 1).abs() > 1e-3)].requires_grad_()
    (first,) = torch.autograd.grad(record.torch(u).sum(), u, create_graph=True)
    twice = torch.autograd.grad(first.sum(), u, allow_unused=True)[0] if first.grad_fn else None
    slope = record.derivative(u)
    ours = torch.autograd.grad(slope.sum(), u, allow_unused=True)[0] if slope.grad_fn else None
    zero = torch.zeros_like(u)
    torch.testing.assert_close(
        zero if ours is None else ours, zero if twice is None else twice, rtol=1e-9, atol=1e-9
    )


@every
def test_torch_computes_what_sympy_says(record: Primitive) -> None:
    t = symbol("t")
    expression = record.sympy(t)
    for value in (-2.6, -0.7, 0.3, 0.9, 1.7, 3.1):
        u = torch.tensor(value, dtype=torch.float64)
        exact = expression.subs(t, sympy.Float(value, 30)).evalf(30)
        if record.domain(u):
            assert float(record.torch(u)) == pytest.approx(float(exact), rel=2e-14)
        else:
            assert not exact.is_real


@every
def test_evaluating_the_sympy_form_gives_the_same_bits(record: Primitive) -> None:
    u = points()
    again = evaluate(record.sympy(symbol("t")), {"t": u})
    inside = record.domain(u)
    if record.name == "gaussian":
        torch.testing.assert_close(again, record.torch(u), rtol=1e-15, atol=0)
    else:
        assert torch.equal(again[inside], record.torch(u)[inside])
        assert record.name == "0" or torch.isnan(again[~inside]).all()


@every
def test_copies_and_pickles(record: Primitive) -> None:
    assert copy.deepcopy(record) is record
    assert pickle.loads(pickle.dumps(record)) is record  # noqa: S301 (its own bytes)


@every
def test_float32_stays_float32(record: Primitive) -> None:
    u = torch.tensor([0.3, 0.6])
    assert record.torch(u).dtype == torch.float32
    assert record.derivative(u).dtype == torch.float32


@every
def test_cost_is_positive_but_for_zero(record: Primitive) -> None:
    assert record.cost > 0 or record.name == "0"


def test_all_of_pykan_is_there() -> None:
    assert len(PYKAN) == 29
    for name in PYKAN:
        assert primitive(name).name == ALIASES.get(name, name)


@pytest.mark.parametrize(
    ("name", "same"),
    [
        ("x^0.5", "sqrt"),
        ("1/x^0.5", "1/sqrt(x)"),
        ("x^(1/2)", "sqrt"),
        ("x^-1", "1/x"),
        ("x^(3/2)", "x^1.5"),
        ("x^2.0", "x^2"),
        ("x**3", "x^3"),
        ("x^(4/6)", "x^(2/3)"),
        ("1/x^1.5", "x^(-3/2)"),
    ],
)
def test_one_function_has_one_record(name: str, same: str) -> None:
    assert primitive(name) is primitive(same)


def test_exponents_are_kept_exactly() -> None:
    t = symbol("t")
    assert primitive("x^(2/7)").sympy(t) == t ** sympy.Rational(2, 7)
    assert primitive("x^1.37").sympy(t).exp == sympy.Float(1.37)
    assert power(-3).sympy(t) == t**-3


@pytest.mark.parametrize("name", ["sine", "x^0", "x^", "x^(1/0)", "x^nan", "x^9**9", "", "x^1e999"])
def test_unknown_names_are_refused(name: str) -> None:
    with pytest.raises(InputError):
        primitive(name)


def test_the_nearest_names_are_listed() -> None:
    with pytest.raises(InputError, match="arctanh"):
        primitive("arctanhh")


@pytest.fixture
def table():
    before = dict(PRIMITIVES)
    yield
    PRIMITIVES.clear()
    PRIMITIVES.update(before)


@pytest.mark.usefixtures("table")
class TestOwnPrimitives:
    def test_derivative_by_autograd(self) -> None:
        record = add_symbolic("softplus", torch.nn.functional.softplus, lambda u: _softplus(u))
        u = torch.linspace(-2, 2, 9, dtype=torch.float64)
        assert primitive("softplus") is record
        torch.testing.assert_close(record.derivative(u), torch.sigmoid(u))
        v = u.clone().requires_grad_()
        (second,) = torch.autograd.grad(record.derivative(v).sum(), v)
        s = torch.sigmoid(u)
        torch.testing.assert_close(second, s * (1 - s))

    def test_function_that_torch_cannot_differentiate(self) -> None:
        bessel = torch.special
        record = add_symbolic(
            "J0",
            bessel.bessel_j0,
            lambda u: sympy.besselj(0, u),
            derivative=lambda u: -bessel.bessel_j1(u),
        )
        u = torch.linspace(-2, 2, 9, dtype=torch.float64, requires_grad=True)
        (slope,) = torch.autograd.grad(record.torch(u).sum(), u)
        torch.testing.assert_close(slope, -bessel.bessel_j1(u.detach()))
        t = symbol("t")
        value = evaluate(3 * sympy.besselj(0, 2 * t), {"t": u.detach()})
        torch.testing.assert_close(value, 3 * bessel.bessel_j0(2 * u.detach()))

    def test_undefined_sympy_function_is_found_by_name(self) -> None:
        add_symbolic("wave", lambda u: torch.sin(u) * u, sympy.Function("wave"))
        u = torch.linspace(-2, 2, 9, dtype=torch.float64)
        value = evaluate(sympy.Function("wave")(symbol("t")) + 1, {"t": u})
        torch.testing.assert_close(value, u * torch.sin(u) + 1)

    def test_domain_masks(self) -> None:
        record = add_symbolic(
            "half",
            lambda u: u**2,
            lambda u: u**2,
            domain=lambda u: u > 0,
            derivative=lambda u: 2 * u,
        )
        u = torch.tensor([-1.0, 1.0], dtype=torch.float64)
        assert torch.isnan(record.torch(u)).tolist() == [True, False]
        assert torch.isnan(record.derivative(u)).tolist() == [True, False]

    def test_taken_names(self) -> None:
        with pytest.raises(InputError, match="replace=True"):
            register(PRIMITIVES["sin"])
        assert register(PRIMITIVES["sin"], replace=True) is PRIMITIVES["sin"]
        for name in ("ln", "x^2.2"):
            with pytest.raises(InputError):
                add_symbolic(name, torch.sin, sympy.sin)

    @pytest.mark.parametrize(
        ("options", "words"),
        [
            ({"derivative": torch.sin}, "autograd"),
            ({"sympy_function": sympy.cos}, "sympy"),
            ({"sympy_function": lambda u: 3}, "expression"),
            ({"torch_function": lambda u: u.sum()}, "elementwise"),
            ({"torch_function": lambda u: u.cumsum(0)}, "elementwise"),
            ({"torch_function": lambda u: torch.sin(u).detach()}, "differences"),
            ({"torch_function": lambda u: u / 0}, "finite"),
            ({"cost": 0}, "positive"),
            ({"cost": math.nan}, "positive"),
        ],
    )
    def test_wrong_records_are_refused(self, options: dict, words: str) -> None:
        given = {"torch_function": torch.sin, "sympy_function": sympy.sin} | options
        with pytest.raises(InputError, match=words):
            add_symbolic("mine", **given)
        assert "mine" not in PRIMITIVES

    @pytest.mark.parametrize("record", list(PRIMITIVES.values())[:-1], ids=lambda r: r.name)
    def test_the_library_passes_its_own_check(self, record: Primitive) -> None:
        register(record, replace=True)


def _softplus(u: sympy.Expr) -> sympy.Expr:
    return sympy.log(1 + sympy.exp(u))


def test_primitives_do_not_load_sympy() -> None:
    code = "import edgewise.symbolic.primitives, sys; sys.exit('sympy' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
