"""Polynomial families against SciPy's, and against what is published."""

import math

import numpy as np
import pytest
import scipy.special as sp
import torch
from numpy.polynomial import Polynomial
from scipy.interpolate import BPoly

from edgewise import bases

DEGREE = 12


def bernstein(z):
    c = np.eye(DEGREE + 1)[:, None]
    return BPoly(c, [-1.0, 1.0])(z).T


def table(function):
    return lambda z: np.stack([function(n, z) for n in range(DEGREE + 1)])


KNOWN = {
    bases.make("chebyshev", grid=DEGREE): table(sp.eval_chebyt),
    bases.make("legendre", grid=DEGREE): table(sp.eval_legendre),
    bases.make("jacobi", grid=DEGREE): table(lambda n, z: sp.eval_jacobi(n, 1, 1, z)),
    bases.make("jacobi", grid=DEGREE, a=-0.5, b=-0.5): table(
        lambda n, z: sp.eval_jacobi(n, -0.5, -0.5, z)
    ),
    bases.make("jacobi", grid=DEGREE, a=2.5, b=-0.9): table(
        lambda n, z: sp.eval_jacobi(n, 2.5, -0.9, z)
    ),
    bases.make("gegenbauer", grid=DEGREE): table(sp.eval_chebyu),
    bases.make("gegenbauer", grid=DEGREE, alpha=0.3): table(
        lambda n, z: sp.eval_gegenbauer(n, 0.3, z)
    ),
    bases.make("hermite", grid=DEGREE): table(
        lambda n, z: sp.eval_hermitenorm(n, 3 * z) / math.sqrt(math.factorial(n))
    ),
    bases.make("bernstein", grid=DEGREE): bernstein,
}
every_known = pytest.mark.parametrize("basis", KNOWN, ids=str)


@every_known
def test_values_are_scipys(basis):
    z = torch.linspace(-1, 1, 201, dtype=torch.float64)[:, None]
    found = basis.features(z, basis.tensors(1, dtype=torch.float64))[:, 0]
    expected = torch.from_numpy(KNOWN[basis](z[:, 0].numpy())).T
    torch.testing.assert_close(found, expected, rtol=1e-10, atol=1e-12)


@every_known
def test_derivatives_are_those_of_the_polynomials(basis):
    """Of every order, above the degree too, from coefficients of powers."""
    small = basis.resized(4)
    tensors = small.tensors(1, dtype=torch.float64)
    nodes = np.cos(np.pi * (np.arange(5) + 0.5) / 5)
    values = small.features(torch.from_numpy(nodes)[:, None], tensors)[:, 0].numpy()
    z = np.linspace(-1, 1, 11)
    for n in range(small.size):
        curve = Polynomial.fit(nodes, values[:, n], 4, domain=[-1, 1])
        for order in range(6):
            found = small.features(torch.from_numpy(z)[:, None], tensors, order)[:, 0, n].numpy()
            expected = curve.deriv(order)(z) if order else curve(z)
            np.testing.assert_allclose(found, expected, atol=1e-9 * max(1, abs(expected).max()))


@every_known
def test_limits_scale_the_argument_and_curves_go_on_straight(basis):
    tensors = {"limits": torch.tensor([[2.0, 6.0]], dtype=torch.float64)}
    unit = basis.tensors(1, dtype=torch.float64)
    z = torch.linspace(-1, 1, 33, dtype=torch.float64)[:, None]
    torch.testing.assert_close(basis.features(4 + 2 * z, tensors), basis.features(z, unit))
    slopes = basis.features(6 * torch.ones(1, 1, dtype=torch.float64), tensors, 1)
    ends = basis.features(torch.tensor([[6.0], [9.0]], dtype=torch.float64), tensors)
    torch.testing.assert_close(ends[1] - ends[0], 3 * slopes[0])


def test_high_degrees_stay_accurate():
    z = torch.linspace(-1, 1, 301, dtype=torch.float64)[:, None]
    basis = bases.make("chebyshev", grid=200)
    found = basis.features(z, basis.tensors(1, dtype=torch.float64))[:, 0]
    expected = torch.cos(torch.arange(201) * torch.acos(z))
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-11)


@pytest.mark.parametrize("name", ["chebyshev", "jacobi", "legendre", "gegenbauer", "hermite"])
def test_as_published_z_is_tanh_x_and_slopes_stay_finite(name):
    basis = bases.make(name, squash="tanh")
    tensors = basis.tensors(1)
    x = torch.linspace(-20, 20, 101)[:, None].requires_grad_()
    given = basis.features(x, tensors)
    expected = bases.make(name).features(torch.tanh(x.detach()), tensors)
    torch.testing.assert_close(given, expected, rtol=1e-5, atol=1e-5)
    (slope,) = torch.autograd.grad(given.sum(), x)
    assert slope.isfinite().all() and not slope[:10].any()


def test_bernstein_polynomials_are_a_partition_of_unity_and_never_negative():
    basis = bases.make("bernstein", grid=9)
    z = torch.linspace(-1, 1, 100, dtype=torch.float64)[:, None]
    values = basis.features(z, basis.tensors(1, dtype=torch.float64))
    torch.testing.assert_close(values.sum(-1), torch.ones_like(z))
    assert values.min() >= 0


def test_hermite_polynomials_are_orthonormal_for_a_normal_input():
    basis = bases.make("hermite", grid=8)
    nodes, weights = np.polynomial.hermite_e.hermegauss(40)
    z = torch.from_numpy(nodes / 3)[:, None]
    values = basis.unit(z, {}, 0)[:, 0] * torch.from_numpy(weights / weights.sum()).sqrt()[:, None]
    torch.testing.assert_close(values.T @ values, torch.eye(9, dtype=torch.float64))
