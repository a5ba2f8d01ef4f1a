"""Rational functions: values, what the family holds, moving ranges, and what a trained denominator
is worth."""

import pytest
import torch

from edgewise.bases import Chebyshev, Rational, curves, moved
from edgewise.errors import InputError
from edgewise.nn import Network
from edgewise.train import LevenbergMarquardt, fit

double = torch.float64


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


def normal(*shape, seed=0):
    return torch.randn(*shape, generator=generator(seed), dtype=double)


def tensors_of(basis, inputs=3, size=1.0):
    """The basis's tensors with denominators drawn at random."""
    made = basis.tensors(inputs, dtype=double)
    return made | {"denominator": size * normal(inputs, basis.denominator_degree + 1)}


def inside(count=200, inputs=3):
    return 2 * torch.rand(count, inputs, generator=generator(), dtype=double) - 1


@pytest.mark.parametrize("basis", [Rational(), Rational(4, denominator_degree=3)], ids=str)
def test_values_are_the_quotients(basis):
    tensors, z = tensors_of(basis), inside()
    powers = z[..., None] ** torch.arange(basis.denominator_degree + 1)
    Q = 1 + (powers * tensors["denominator"]).sum(-1) ** 2
    T = torch.cos(torch.arange(basis.size) * torch.acos(z)[..., None])
    torch.testing.assert_close(basis.features(z, tensors), T / Q[..., None])


def test_constants_and_lines_are_held_whatever_the_denominator():
    basis = Rational(5, denominator_degree=2)
    for seed in range(5):
        shape = 3.0 * normal(3, 3, seed=seed)
        tensors = basis.tensors(3, dtype=double) | {"denominator": shape}
        points, x = basis.design_points(tensors), inside()
        for curve in (torch.ones_like, lambda x: 2 * x - 1):
            coef = basis.project(points, curve(points)[:, None], tensors)
            held = curves(basis.features(x, tensors), coef)[:, 0]
            torch.testing.assert_close(held, curve(x), rtol=0, atol=1e-10)


def test_functions_stay_when_a_range_shrinks_a_little():
    basis, x = Rational(), inside()
    tensors, coef = tensors_of(basis), normal(2, 3, basis.size, seed=1)
    near = x * torch.tensor([0.95, 0.7, 0.6], dtype=double) + torch.tensor([0.02, -0.2, 0.3])
    new = basis.adapt(near, tensors)
    assert not torch.equal(new["denominator"], tensors["denominator"])
    before = curves(basis.features(near, tensors), coef)
    after = curves(basis.features(near, new), moved(basis, tensors, coef, basis, new))
    torch.testing.assert_close(after, before, rtol=0, atol=1e-11 * float(before.abs().max()))


def test_denominators_go_along_to_a_range_that_is_new():
    tensors = tensors_of(Rational())
    for x in (100 * inside(), inside() + 3):
        new = Rational().adapt(x, tensors)
        assert torch.equal(new["denominator"], tensors["denominator"])
        assert not torch.equal(new["limits"], tensors["limits"])


def test_a_larger_numerator_keeps_every_function_to_the_bit():
    basis, tensors, coef = Rational(), tensors_of(Rational()), normal(2, 3, 6)
    larger = basis.resized(12)
    new = basis.refined(tensors, larger)
    longer = moved(basis, tensors, coef, larger, new)
    assert torch.equal(longer[..., :6], coef) and not longer[..., 6:].any()
    x = 2 * inside()
    before, after = (
        curves(family.features(x, own), c)
        for family, own, c in ((basis, tensors, coef), (larger, new, longer))
    )
    torch.testing.assert_close(after, before, rtol=1e-13, atol=1e-13)


def test_it_is_straight_and_finite_far_outside():
    basis, tensors = Rational(), tensors_of(Rational())
    x = torch.tensor([[1e3], [2e3], [3e3]], dtype=double).repeat(1, 3)
    values = basis.features(torch.cat([x, -x]), tensors).unflatten(0, (2, 3))
    torch.testing.assert_close(values.diff(dim=1)[:, 0], values.diff(dim=1)[:, 1])
    assert values.isfinite().all()


def runge(basis, seed):
    """The largest error of a fit to 1 / (1 + 25 x^2) with one edge of the family."""
    x = torch.linspace(-1, 1, 201, dtype=double)[:, None]
    y = 1 / (1 + 25 * x * x)
    model = Network([1, 1], basis, base="zero", generator=generator(seed), dtype=double)
    fitted = fit(model, (x, y), solver=LevenbergMarquardt(steps=100)).model
    return float((fitted(x) - y).detach().abs().max())


@pytest.mark.parametrize("seed", range(3))
def test_runges_function_is_found_with_six_functions(seed):
    assert runge(Rational(5), seed) < 1e-10
    assert runge(Chebyshev(5), seed) > 0.2 and runge(Chebyshev(20), seed) > 1e-3


def test_denominators_without_a_degree_are_refused():
    for degree in (0, 9, 1.5):
        with pytest.raises(InputError, match="denominator_degree"):
            Rational(denominator_degree=degree)
