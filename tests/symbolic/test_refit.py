"""refit finds the least-squares constants in any units, with the errors of the textbook."""

import math

import numpy as np
import pytest
import sympy
import torch
from sympy import Float, Rational, cos, exp, log, sin, sqrt

from edgewise.errors import ShapeError
from edgewise.symbolic.evaluate import evaluate, symbol
from edgewise.symbolic.refit import refit

x, y = symbol("x"), symbol("y")
NAMES = ("x", "y")
F = Float


def rows(n=400, low=0.3, high=2.5, seed=0):
    generator = torch.Generator().manual_seed(seed)
    return low + (high - low) * torch.rand(n, 2, generator=generator, dtype=torch.float64)


def values(expression, X):
    return evaluate(expression, dict(zip(NAMES, X.unbind(1), strict=True)))


def noise(n, seed=1):
    return torch.randn(n, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


LAWS = [
    (F(1.7) * exp(F(-0.4) * x * y) + F(0.2), F(1.0) * exp(F(-0.1) * x * y) + F(0.0001)),
    (F(2.3) * x ** F(1.37) / sqrt(y), F(1.0) * x ** F(1.1) / sqrt(y)),
    (
        F(0.8) * sin(F(3.1) * x + F(0.7)) + F(1.3) * y,
        F(1.1) * sin(F(3.0) * x + F(0.4)) + F(1.0) * y,
    ),
    (
        F(1.1) / (F(0.6) + x**2) + log(x + F(0.9) * y),
        F(2.0) / (F(0.3) + x**2) + log(x + F(1.5) * y),
    ),
    (F(3.0e30) * x * y + F(2e30), F(1e30) * x * y + F(1e29)),
    (F(6.67e-11) * x / y**2, F(1e-10) * x / y**2),
    (F(1e-11) * exp(F(3e1) * x / (x + y)), F(3e-11) * exp(F(2e1) * x / (x + y))),
]


@pytest.mark.parametrize(("truth", "start"), LAWS, ids=str)
def test_true_constants_come_back_to_rounding(truth, start):
    X = rows()
    target = values(truth, X)
    found = refit(start, X, target, NAMES)
    assert found.rmse <= 1e-13 * float(target.square().mean().sqrt())
    torch.testing.assert_close(values(found.expression, X), target, rtol=1e-11, atol=0)
    assert found.expression.free_symbols <= {x, y}
    torch.testing.assert_close(found.residual, target - values(found.expression, X), rtol=0, atol=0)


def test_errors_are_those_of_linear_regression():
    X = rows(50)
    target = 2 + 3 * X[:, 0] - X[:, 1] + 0.1 * noise(50)
    found = refit(F(1.1) + F(1.2) * x + F(1.3) * y, X, target, NAMES)
    A = np.column_stack([np.ones(50), X.numpy()])
    solution, ssr, *_ = np.linalg.lstsq(A, target.numpy(), rcond=None)
    expected = np.sqrt(np.diag(ssr[0] / 47 * np.linalg.inv(A.T @ A)))
    order = [int(np.argmin(np.abs(solution - float(v)))) for v in found.values]
    np.testing.assert_allclose(found.values, solution[order], rtol=1e-10)
    np.testing.assert_allclose(found.errors, expected[order], rtol=1e-8)
    assert found.rmse == pytest.approx(math.sqrt(ssr[0] / 50))


def test_about_two_of_three_errors_cover_the_truth():
    X, hits = rows(100), 0
    truth = F(1.7) * exp(F(-0.4) * x)
    for seed in range(20):
        target = values(truth, X) + 0.05 * noise(100, seed)
        found = refit(truth, X, target, NAMES)
        order = found.values.abs().argsort()
        deviation = found.values.abs()[order] - torch.tensor([0.4, 1.7])
        hits += int((deviation.abs() < found.errors[order]).sum())
    assert 18 <= hits <= 36  # 27.3 expected of 40


def test_exact_numbers_stay_and_frozen_floats_too():
    X = rows()
    given = Rational(1, 3) * x + sympy.pi * F(1.5) * y**2 + F(9.81)
    found = refit(given, X, values(given, X) + 1, NAMES, frozen=[9.81])
    assert found.values.shape == (1,) and F(9.81) in found.expression.atoms(F)
    assert found.expression.coeff(x) == Rational(1, 3)


def test_weights_count_rows():
    X = rows(60)
    target = 2 * X[:, 0] + noise(60)
    weight = torch.arange(60) % 3 + 0.0
    repeated = torch.repeat_interleave(torch.arange(60), weight.long())
    weighed = refit(F(1.0) * x + F(0.5), X, target, NAMES, weight=weight)
    copied = refit(F(1.0) * x + F(0.5), X[repeated], target[repeated], NAMES)
    torch.testing.assert_close(weighed.values, copied.values, rtol=1e-9, atol=0)
    assert weighed.rmse == pytest.approx(copied.rmse)


def test_redundant_constants_fit_and_have_no_errors():
    X = rows()
    target = 3 * torch.sqrt(X[:, 0] + 0.7) + 0.01 * noise(400)
    found = refit(F(1.1) * sqrt(F(0.3) * x + F(0.2)), X, target, NAMES)
    assert found.errors is None and found.rmse < 0.0105


def test_no_errors_without_spare_rows():
    X = rows(2)
    found = refit(F(1.1) * x + F(0.3), X, X[:, 0] * 2 + 1, NAMES)
    assert found.errors is None and found.rmse < 1e-13


def test_a_number_written_twice_is_one_constant():
    c = F(0.123456789012)
    X = rows()
    truth = exp(-F(0.3) * x) + cos(F(0.3) * x)
    found = refit(exp(-c * x) + cos(c * x), X, values(truth, X), NAMES)
    assert found.values.tolist() == pytest.approx([0.3])


def test_a_power_of_a_negative_base_keeps_its_exponent():
    X = rows(low=-1, high=1)
    found = refit(F(1.5) * x ** F(2.0), X, 2 * X[:, 0] ** 2, NAMES)
    assert found.values.tolist() == pytest.approx([2.0])


def test_a_formula_without_floats_is_only_judged():
    X = rows()
    found = refit(x + y, X, X.sum(1) + 1, NAMES)
    assert found.values.shape == (0,) and found.errors is None
    assert found.rmse == pytest.approx(1.0)
    constant = refit(F(0.5), X, X.sum(1), NAMES)
    assert float(constant.expression) == pytest.approx(float(X.sum(1).mean()))


def test_a_formula_that_is_not_finite_has_infinite_error():
    X = rows(low=-1, high=1)
    assert refit(F(1.5) * log(x), X, X[:, 0], NAMES).rmse == math.inf


def test_shapes_are_checked():
    with pytest.raises(ShapeError, match=r"\(400, 2\)"):
        refit(F(1.0) * x, rows(), torch.zeros(400), ("x",))
    with pytest.raises(ShapeError, match="weight"):
        refit(F(1.0) * x, rows(), torch.zeros(400), NAMES, weight=torch.ones(3))
