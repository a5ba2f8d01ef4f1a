"""simplify returns the same function, no longer than before, within its time."""

import math
import time

import pytest
import sympy
import torch
from sympy import Float, atanh, cos, exp, log, sin, sqrt, tanh

from edgewise.symbolic import rewrite
from edgewise.symbolic import simplify as module
from edgewise.symbolic.evaluate import evaluate, symbol
from edgewise.symbolic.simplify import simplify

x, y, u, v, a, M = (symbol(name) for name in "x y u v a M".split())
F = Float


@pytest.fixture(scope="module", autouse=True)
def started():
    """Importing sympy in the worker takes a second or two, once."""
    simplify(x + x * y, timeout=60)


EXACT = [
    (exp(log(x) + log(y)), (), x * y),
    (exp(F(0.5) * log(x**2 + y**2)), (), sqrt(x**2 + y**2)),
    (exp(F(0.5) * (log(x ** F(2.0) + y ** F(2.0)))), (), sqrt(x**2 + y**2)),
    (tanh(atanh(u) + atanh(v)), (), (u + v) / (1 + u * v)),
    (1 / (1 / x), (), x),
    (1 / (1 / x + 1 / y), (), x * y / (x + y)),
    (sin(x + sympy.pi / 2), (), cos(x)),
    (sin(x) ** 2 + cos(x) ** 2 + y, (), y + 1),
    (sin(x) * cos(y) + cos(x) * sin(y), (), sin(x + y)),
    (sqrt(x**2 * y**4), ("x", "y"), x * y**2),
    (sqrt(x**2 * y**4), (), y**2 * sympy.Abs(x)),
    (log(x) + log(y) - log(a), ("x", "y", "a"), log(x * y / a)),
    ((x**2 - y**2) / (x - y), (), x + y),
    (F(0.25) * (x + y) ** 2 - F(0.25) * (x - y) ** 2, (), x * y),
    (sympy.Rational(2, 3) * x + x * sympy.pi, ("x",), x * (sympy.pi + sympy.Rational(2, 3))),
]


@pytest.mark.parametrize(("given", "positive", "expected"), EXACT, ids=str)
def test_the_form_that_a_physicist_would_write(given, positive, expected):
    assert simplify(given, positive) == expected


def test_floats_are_folded_and_stay_floats():
    found = simplify(exp(F(1.5) * log(a) - F(0.5) * log(M) + F(0.3)), ("a", "M"))
    coefficient, rest = found.as_coeff_Mul()
    assert rest == a ** sympy.Rational(3, 2) / sqrt(M)
    assert float(coefficient) == pytest.approx(math.exp(0.3), rel=1e-14)
    power = simplify(exp(F(2.3) * log(x) * F(0.87)), ("x",))
    assert power.base == x and float(power.exp) == pytest.approx(2.001, rel=1e-14)


def test_a_float_near_one_is_kept():
    given = F(1.0000001) * x + x**2 * (F(2.0) * y + F(1.0))
    found = simplify(given)
    assert min(abs(float(c) - 1.0000001) for c in found.atoms(Float)) < 1e-12


def test_a_phase_is_brought_near_zero():
    found = simplify(F(2.3) * sin(F(1.7) * x + F(0.4) + 2 * sympy.pi))
    assert rewrite.length(found) == rewrite.length(F(2.3) * sin(F(1.7) * x + F(0.4)))
    turned = simplify(F(2.3) * sin(F(1.7) * x + F(4.4)))
    assert all(abs(float(c)) < 3 for c in turned.atoms(Float))


def test_terms_below_rounding_go():
    given = F(2.0) * (x + F(3e-17)) ** 3 + F(1e-16) * y
    assert simplify(given, samples={"x": [1.0, 2.0], "y": [1.0, 3.0]}) == F(2.0) * x**3
    assert simplify(x + F(1e-9)) == x + F(1e-9)


def test_a_polynomial_is_written_as_a_sum_and_a_product_as_a_product():
    given = 3 * x**3 + 2 * x * y**2 + 2 * x + 4
    assert simplify(given) == given
    assert simplify(a * M * x + a * M * y) == a * M * (x + y)


def test_superfluous_constants_of_a_quotient_go():
    found = simplify((F(2.0) * x + F(3.1)) / (F(4.1) * y + F(5.0)), ("y",))
    assert len(found.atoms(Float)) == 3


def random_expression(generator, depth):
    def pick(n):
        return int(torch.randint(n, (1,), generator=generator))

    if depth == 0 or pick(5) == 0:
        return [x, y, F(round(0.2 + 3 * float(torch.rand(1, generator=generator)), 3))][pick(3)]
    left = random_expression(generator, depth - 1)
    right = random_expression(generator, depth - 1)
    return [
        left + right,
        left - F(1.3) * right,
        left * right,
        left / (1 + right**2),
        sin(left + right),
        exp(-left),
        log(1 + left**2) + log(2 + right**2),
        sqrt(1 + left**2) * right,
    ][pick(8)]


@pytest.mark.parametrize("seed", range(8))
def test_values_stay_and_length_falls(seed):
    generator = torch.Generator().manual_seed(seed)
    given = random_expression(generator, 3)
    points = {n: 0.2 + 2 * torch.rand(300, generator=generator).double() for n in ("x", "y")}
    found = simplify(given, timeout=1.0, samples=points)
    assert rewrite.length(found) <= rewrite.length(given)
    truth = evaluate(given, points)
    torch.testing.assert_close(evaluate(found, points), truth, rtol=1e-8, atol=1e-10)


def test_a_size_goes_where_the_sign_is_known_or_does_not_matter():
    x, y = symbol("x"), symbol("y")
    draw = torch.Generator().manual_seed(0)
    u = torch.rand(2, 200, generator=draw, dtype=torch.float64)
    below = {"x": u[0], "y": 2 + u[1]}
    assert simplify(1 / sympy.Abs(x / y - 1), samples=below) == y / (y - x)
    both = {"x": 2 * u[0] - 1, "y": 2 * u[1] - 1}
    assert simplify(sympy.sin(sympy.Abs(x - y)) ** 2, samples=both) == sympy.sin(x - y) ** 2
    kept = sympy.Abs(x - y) + x
    assert simplify(kept, samples=both) == kept


def test_positive_is_learnt_from_samples_and_not_presumed_without():
    assert simplify(sqrt(x**2), samples={"x": [0.5, 1.0, 2.0]}) == x
    assert simplify(sqrt(x**2), samples={"x": [-0.5, 1.0, 2.0]}) == sympy.Abs(x)


def test_the_time_limit_is_kept_and_the_worker_lives_on():
    hard = (x + y) ** 30 * (a + M) ** 30 * (u + v + x * y) ** 30 + exp(x * y * u * v)
    begin = time.monotonic()
    found = simplify(hard, timeout=1.0)
    assert time.monotonic() - begin < 1.5
    assert rewrite.length(found) <= rewrite.length(hard)
    assert simplify(1 / (1 / x + 1 / y)) == x * y / (x + y)


def test_a_stuck_worker_costs_no_more_than_the_limit(monkeypatch):
    monkeypatch.setattr(module, "_search", time_sink)
    begin = time.monotonic()
    given = 1 / (1 / x + 1 / y)
    assert simplify(given, timeout=0.3) == given
    assert time.monotonic() - begin < 0.8


def time_sink(send, *_):
    time.sleep(30)


def test_functions_that_are_not_elementary_are_left_alone():
    given = exp(log(x) + log(sympy.besselj(0, y)))
    with pytest.raises(Exception, match="besselj"):
        simplify(given)


def test_what_cannot_be_compared_is_returned_as_it_is():
    given = log(-1 - x**2) + log(-2 - x**2)
    assert simplify(given) == given


def test_numbers_alone():
    assert simplify(sympy.Integer(3)) == 3
    assert float(simplify(F(0.3) * sympy.pi)) == pytest.approx(0.3 * math.pi, rel=1e-15)
