"""snap_constants finds the special numbers behind a law, and leaves measured ones alone."""

import csv
import math
from pathlib import Path

import pytest
import sympy
import torch
from sympy import Float, Rational, exp, log, pi, sin, sqrt

from edgewise.symbolic.evaluate import evaluate, symbol
from edgewise.symbolic.snap import snap_constants
from edgewise.symbolic.special_numbers import numbers_near

x, y, a = symbol("x"), symbol("y"), symbol("a")
NAMES = ("x", "y")
F = Float

# The law, and what a search may hand over: its form with constants that are a little off.
LAWS = [
    (x * y + sin(2 * x) / 2, F(1.01) * x * y + F(0.52) * sin(F(1.98) * x + F(0.01))),
    (exp(-(x**2) / 2) / sqrt(2 * pi), F(0.41) * exp(-F(0.49) * x ** F(2.03))),
    (3 * x**2 + 2 * x * y - 4, F(3.1) * x ** F(1.97) + F(2.03) * x * y - F(4.2) + F(0.01) * y),
    (x ** Rational(3, 2) / sqrt(y), F(1.01) * x ** F(1.48) * y ** F(-0.52)),
    (1 / (1 + x**2) + log(x + y), 1 / (F(0.98) + x ** F(2.01)) + F(0.99) * log(F(1.01) * x + y)),
    (sin(pi * x) * exp(-y), F(1.03) * sin(F(3.12) * x + F(0.02)) * exp(-F(1.01) * y)),
    (2 * pi * sqrt(x / y), F(6.2) * (x / y) ** F(0.51)),
    (4 * pi * x**3 / 3, F(4.1) * x ** F(3.02)),
    (sqrt(x**2 + y**2), (F(1.02) * x ** F(2.03) + F(0.97) * y ** F(1.99) + F(0.01)) ** F(0.51)),
    (
        x**2 * sin(y) / (1 + x),
        F(1.02) * x ** F(2.03) * sin(F(1.01) * y + F(0.03)) / (F(0.98) + F(1.02) * x),
    ),
]
IDS = [str(law) for law, _ in LAWS]


def rows(seed, n=1000):
    generator = torch.Generator().manual_seed(seed)
    return 0.3 + 2.2 * torch.rand(n, 2, generator=generator, dtype=torch.float64)


def noisy(law, X, level, seed):
    target = evaluate(law, dict(zip(NAMES, X.unbind(1), strict=True)))
    generator = torch.Generator().manual_seed(1000 + seed)
    noise = torch.randn(len(X), generator=generator, dtype=torch.float64)
    return target + level * target.std() * noise


@pytest.mark.parametrize(("law", "start"), LAWS, ids=IDS)
def test_exact_data_give_the_exact_law(law, start):
    X = rows(0)
    found = snap_constants(start, X, noisy(law, X, 0.0, 0), NAMES)
    assert sympy.simplify(found.expression - law) == 0
    assert found.rmse <= 1e-14 * float(evaluate(law, {"x": X[:, 0], "y": X[:, 1]}).abs().max())


def test_laws_are_found_through_one_percent_of_noise():
    found = []
    for seed, (law, start) in enumerate(LAWS):
        X = rows(seed)
        snapped = snap_constants(start, X, noisy(law, X, 0.01, seed), NAMES).expression
        found.append(sympy.simplify(snapped - law) == 0)
    assert sum(found) >= 9


FORMS = [
    lambda p, q, r: p * sin(q * x) + r * y,
    lambda p, q, r: p * exp(-q * x) + r * y,
    lambda p, q, r: p * x / (q + y) + r,
    lambda p, q, r: p * x**q + r * y,
]


def meaningless(seed):
    """Three constants, none within 3% of 1, 2 or 1/2."""
    generator = torch.Generator().manual_seed(seed)
    drawn = (0.2 * 25 ** torch.rand(30, generator=generator, dtype=torch.float64)).tolist()
    return [c for c in drawn if not list(numbers_near(c, 0.03 * c, False, 3.0))][:3]


@pytest.mark.parametrize("level", [1e-4, 0.01])
def test_constants_without_meaning_stay_floats(level):
    changed = 0
    for seed in range(30):
        law = FORMS[seed % 4](*(F(c) for c in meaningless(seed)))
        X = rows(seed, n=200)
        snapped = snap_constants(law, X, noisy(law, X, level, seed), NAMES)
        changed += len(snapped.constants) != 3
    assert changed <= 1


def test_a_poorly_known_constant_is_no_fraction():
    X = rows(3, n=60)
    target = 0.1327 * X[:, 0] + 0.06 * torch.randn(60, generator=torch.Generator().manual_seed(0))
    found = snap_constants(F(0.13) * x, X, target, NAMES)
    assert found.errors is not None and float(found.errors[0]) > 0.003
    assert len(found.constants) == 1


def test_a_known_constant_stays_beside_special_ones():
    X = rows(0)
    law = F(0.7316) * x**2 + y
    found = snap_constants(
        F(0.72) * x ** F(2.02) + F(1.01) * y, X, noisy(law, X, 0.0, 0), NAMES
    ).expression
    assert found.coeff(y) == 1 and float(found.coeff(x**2)) == pytest.approx(0.7316, rel=1e-12)


def test_keplers_third_law_from_the_planets():
    with open(Path(__file__).parents[2] / "examples" / "planets.csv") as file:
        table = list(csv.DictReader(line for line in file if not line.startswith("#")))
    size_name, period_name = (
        next(name for name in table[0] if part in name) for part in ("axis", "period")
    )
    size = torch.tensor([[float(row[size_name])] for row in table], dtype=torch.float64)
    period = torch.tensor([float(row[period_name]) for row in table], dtype=torch.float64)
    start = F(float(period[0] / size[0] ** 1.4)) * a ** F(1.4)
    found = snap_constants(start, size, period, ("a",), weight=1 / period**2).expression
    assert found.as_coeff_Mul()[1] == a ** Rational(3, 2)


def test_superfluous_constants_go():
    X = rows(0)
    target = 3 * torch.sqrt(X[:, 0] + 0.7316)
    found = snap_constants(F(1.9) * sqrt(F(2.0) * x + F(1.4)), X, target, NAMES)
    assert found.rmse < 1e-13
    assert len(found.constants) <= 2


def test_terms_within_the_noise_are_dropped():
    X = rows(0)
    law = F(2.345) * x
    start = law + F(0.01) * sin(F(1.2) * y) + F(0.02)
    found = snap_constants(start, X, noisy(law, X, 0.05, 1), NAMES).expression
    assert not found.has(sin) and found.as_coeff_Add()[0] == 0


@pytest.mark.parametrize("scale", [1e-20, 1e20])
def test_units_do_not_matter(scale):
    X = rows(0)
    target = scale * X[:, 0] ** 1.5 / X[:, 1]
    found = snap_constants(F(1.1 * scale) * x ** F(1.4) * y ** F(-1.1), X, target, NAMES)
    coefficient, rest = found.expression.as_coeff_Mul()
    assert rest == x ** Rational(3, 2) / y
    assert float(coefficient) == pytest.approx(scale, rel=1e-12)


def test_known_noise_decides():
    X = rows(0)
    target = 1.01 * X[:, 0] + X[:, 1]
    start = F(1.02) * x + F(0.99) * y
    assert len(snap_constants(start, X, target, NAMES).constants) == 1
    assert snap_constants(start, X, target, NAMES, noise=0.3).expression == x + y


def test_constants_are_real_where_a_term_leaves_an_exponential_inside_bars():
    X = rows(0)
    target = 3.2123 * (0.6312 * X[:, 0]).exp()
    start = sympy.Abs(F(3.2) * exp(F(0.63) * x) - F(1e-5))
    found = snap_constants(start, X, target, NAMES)
    assert found.rmse < 1e-12 and not found.template.has(sympy.re)


def test_a_formula_that_is_not_finite_comes_back():
    X = rows(0) - 1.0
    assert snap_constants(F(1.1) * log(x), X, X[:, 0], NAMES).rmse == math.inf


def test_numbers_near_hold_their_promise():
    for value in (1.0, -0.5, math.pi / 2, 1 / math.sqrt(2 * math.pi)):
        number, cost = min(numbers_near(value, 1e-12, False, 40.0), key=lambda pair: pair[1])
        assert float(number) == pytest.approx(value, rel=1e-15) and cost < 8
    assert [n for n, _ in numbers_near(1.4999, 1e-3, True, 10.0)] == [Rational(3, 2)]
    assert dict(numbers_near(0.001, 0.01, False, 1.0)) == {sympy.S.Zero: 0.0}
