"""Fourier series: the formula, the period, and curves that do not repeat."""

import math

import pytest
import torch

from edgewise import bases
from edgewise.bases import curves


def expected(t, harmonics):
    m = torch.arange(1, harmonics + 1, dtype=t.dtype)
    waves = torch.stack([torch.cos(m * t), torch.sin(m * t)], dim=-1).flatten(-2)
    return torch.cat([torch.ones_like(t), waves], dim=-1)


@pytest.mark.parametrize("grid", [1, 2, 5, 40])
def test_values_are_cosines_and_sines(grid):
    x = torch.linspace(-9, 9, 301, dtype=torch.float64)[:, None]
    basis = bases.make("fourier", grid=grid, range=(-1.0, 3.0))
    assert basis.size == 2 * (grid // 2 + 1) + 1
    found = basis.features(x, basis.tensors(1, dtype=torch.float64))[:, 0]
    torch.testing.assert_close(
        found, expected(math.pi / 4 * (x - 1), basis.harmonics), rtol=0, atol=1e-12
    )


def test_as_published_the_period_is_two_pi_whatever_the_range():
    x = torch.linspace(-9, 9, 101, dtype=torch.float64)[:, None]
    basis = bases.make("fourier", grid=5, period=2 * math.pi)
    for limits in ([-1.0, 1.0], [0.0, 50.0]):
        tensors = {"limits": torch.tensor([limits], dtype=torch.float64)}
        found = basis.features(x, tensors)[:, 0]
        torch.testing.assert_close(found, expected(x, 3), rtol=0, atol=1e-12)


def test_a_curve_whose_ends_differ_has_no_jump_to_fit():
    x = torch.linspace(-1, 1, 2001, dtype=torch.float64)[:, None]
    errors = {}
    for period in (None, 2.0):
        basis = bases.make("fourier", grid=12, period=period)
        tensors = basis.tensors(1, dtype=torch.float64)
        coef = basis.fit(x, torch.exp(x)[:, None], tensors)
        errors[period] = float(
            (curves(basis.features(x, tensors), coef)[:, 0] - x.exp()).abs().max()
        )
    assert errors[None] < 1e-5 and errors[2.0] > 0.1


def test_many_harmonics_on_half_a_period_still_give_curves_of_usual_size():
    basis = bases.make("fourier", grid=80)
    tensors = basis.tensors(1, dtype=torch.float64)
    points = basis.design_points(tensors)
    c = basis.project(points, torch.exp(points)[:, None], tensors)
    x = torch.linspace(-1, 1, 500, dtype=torch.float64)[:, None]
    error = curves(basis.features(x, tensors), c)[:, 0] - x.exp()
    assert error.abs().max() < 1e-10 and c.abs().max() < 1e3
