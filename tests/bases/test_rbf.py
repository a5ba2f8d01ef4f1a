"""Bumps: their formulas, their centres, and the published layers."""

import torch

from edgewise import bases


def line(count=101, most=3.0):
    return torch.linspace(-most, most, count, dtype=torch.float64)[:, None]


def test_values_are_the_formulas():
    x = line()
    centres = torch.linspace(-1.4, 1.4, 8, dtype=torch.float64)
    for name, bump in (
        ("rbf", lambda v: torch.exp(-(v**2))),
        ("rswaf", lambda v: 1 - torch.tanh(v) ** 2),
    ):
        for width in (1.0, 0.5, 3.0):
            basis = bases.make(name, grid=5, width=width)
            found = basis.features(x, basis.tensors(1, dtype=torch.float64))[:, 0]
            expected = bump((x - centres) / (0.4 * width))
            torch.testing.assert_close(found, expected, rtol=1e-9, atol=1e-14)


def test_fastkans_grid_is_a_choice_of_the_range():
    basis = bases.make("rbf", grid=5, range=(-10 / 7, 10 / 7))
    u, centres = line(), torch.linspace(-2, 2, 8, dtype=torch.float64)
    expected = torch.exp(-(((u - centres) / (4 / 7)) ** 2))
    found = basis.features(u, basis.tensors(1, dtype=torch.float64))[:, 0]
    torch.testing.assert_close(found, expected, rtol=1e-9, atol=1e-14)


def test_fasterkans_grid_is_a_choice_of_range_and_width():
    # 8 centres 0.2 apart from -1.2 to 0.2, each 2 wide
    basis = bases.make("rswaf", grid=5, range=(-1.0, 0.0), width=10.0)
    u, centres = line(), torch.linspace(-1.2, 0.2, 8, dtype=torch.float64)
    expected = 1 - torch.tanh((u - centres) / 2) ** 2
    found = basis.features(u, basis.tensors(1, dtype=torch.float64))[:, 0]
    torch.testing.assert_close(found, expected, rtol=1e-9, atol=1e-14)


def test_bumps_decay_to_nothing_at_infinity_with_all_derivatives():
    x = torch.tensor([[torch.inf], [-torch.inf], [1e30], [-1e3]])
    for name in ("rbf", "rswaf"):
        basis = bases.make(name)
        for order in range(4):
            assert basis.features(x, basis.tensors(1), order).abs().max() < 1e-12
