"""Group fits find the exponents of laws y = prod x^q S(prod x^p), and their fractions."""

from __future__ import annotations

from fractions import Fraction

import pytest
import torch
from torch import Tensor

from edgewise.symbolic.exponents import Groups, rounded
from edgewise.symbolic.group_search import no_group, one_group, two_groups
from edgewise.symbolic.groups import bspline, fitted, misfit, precision, relative, tabulate

CURVES = {
    "exp": lambda z: torch.exp(-0.3 * z),
    "saturating": lambda z: z / (1 + z),
    "oscillating": lambda z: 2 + torch.sin(z),
    "changing sign": lambda z: 1 - z,
    "logarithm": lambda z: torch.log(1 + 2 * z),
    "root": lambda z: torch.sqrt(1 + z**2),
}


def rows(n: int, seed: int, count: int = 2000) -> Tensor:
    draw = torch.Generator().manual_seed(seed)
    return 1 + 2 * torch.rand(count, n, generator=draw, dtype=torch.float64)


def powers(x: Tensor, exponents: list[float]) -> Tensor:
    return (x ** torch.tensor(exponents, dtype=torch.float64)).prod(1)


def same_groups(found: Groups, q: list[float], p: list[float]) -> bool:
    """Equal up to powers of the group, which S can take over."""
    a, b = (torch.tensor([float(e) for e in row], dtype=torch.float64) for row in (found.p[0], p))
    pivot = int(b.abs().argmax())
    if not torch.allclose(a * b[pivot], b * a[pivot]):
        return False
    rest = torch.tensor([float(e) for e in found.q], dtype=torch.float64) - torch.tensor(q)
    return torch.allclose(rest, b * (rest[pivot] / b[pivot]))


@pytest.mark.parametrize("grid", [1, 4, 9])
def test_splines_sum_to_one_and_have_the_slope_of_autograd(grid):
    w = torch.linspace(-1, 3, 57, dtype=torch.float64).requires_grad_()
    value, slope = bspline(w, grid, orders=(0, 1))
    assert torch.allclose(value.sum(1), torch.ones_like(w), atol=1e-14)
    for k in range(grid + 3):
        (expected,) = torch.autograd.grad(value[:, k].sum(), w, retain_graph=True)
        # the ends of the range move with its first and last sample
        assert torch.allclose(slope[1:-1, k], expected[1:-1], atol=1e-12)


@pytest.mark.parametrize("seed", range(4))
def test_a_monomial_has_no_group(seed):
    x = rows(4, seed)
    q = [[1, -2, 0, 0.5], [2, 2, -1, -3], [0, 0, 1, 0], [1.37, -1, 0, 1]][seed]
    fit = no_group(tabulate(x, -3 * powers(x, q)))
    assert fit.error < 1e-10
    (found,) = rounded(tabulate(x, -3 * powers(x, q)), fit, most=1)
    assert [float(e) for e in found.q] == pytest.approx(q, abs=1e-9)


@pytest.mark.parametrize("curve", CURVES)
@pytest.mark.parametrize("seed", range(2))
def test_one_group_and_its_fractions_are_found(curve, seed):
    x = rows(4, seed)
    q, p = [([1, 0, 2, 0], [0, 1, -1, 0]), ([0, 0.5, -1, 0], [1, 1, 0, -2])][seed]
    y = powers(x, q) * CURVES[curve](powers(x, p))
    table = tabulate(x, y)
    fit = one_group(table.first(1000), lambda: False)
    (found,) = rounded(table, fit, most=1)
    assert all(isinstance(e, Fraction) for e in (*found.q, *found.p[0]))
    assert same_groups(found, q, p)


@pytest.mark.parametrize("noise", [0.01, 0.1])
def test_noise_does_not_hide_a_group(noise):
    x = rows(4, 5, 8000)
    y = x[:, 0] * torch.exp(-x[:, 1] * x[:, 2] / x[:, 3])
    draw = torch.Generator().manual_seed(1)
    y = y + noise * y.square().mean().sqrt() * torch.randn(
        len(y), generator=draw, dtype=torch.float64
    )
    table = tabulate(x, y, relative(y, share=1.0))
    fit = one_group(table, lambda: False)
    (found,) = rounded(table, fit, most=1)
    assert same_groups(found, [1, 0, 0, 0], [0, 1, 1, -1])


def test_standard_errors_are_those_of_noise_that_does_not_grow_with_the_target():
    x = 9 * rows(1, 6, 600) - 8
    truth = x[:, 0] ** 2
    draw, squares = torch.Generator().manual_seed(0), []
    for _ in range(400):
        y = truth + 5 * torch.randn(len(x), generator=draw, dtype=torch.float64)
        table = tabulate(x, y, relative(truth))
        fit = no_group(table)
        squares.append(float((fit.q[0] - 2).square() * precision(table, fit)[0, 0]))
    # a mean of 400 squares of unit variance: 1 +- 0.07
    assert 0.75 < sum(squares) / len(squares) < 1.25


def test_fitted_values_are_those_of_the_law():
    x = rows(3, 8)
    y = x[:, 0] * torch.cos(x[:, 1] * x[:, 2])
    table = tabulate(x, y)
    fit = one_group(table, lambda: False)
    assert float((fitted(table, fit) - y).abs().max()) < 1e-2 * float(y.abs().max())


def test_two_groups_span_what_the_law_depends_on():
    x = rows(4, 3, 3000)
    y = x[:, 0] * (torch.sin(x[:, 1] / x[:, 2]) + x[:, 3] / x[:, 2])
    table = tabulate(x, y)
    one = one_group(table.first(1000), lambda: False)
    fit = two_groups(table.first(1000), one, lambda: False)
    found = list(rounded(table, fit))
    assert found
    for groups in found:
        span = torch.tensor([[float(e) for e in row] for row in groups.p], dtype=torch.float64)
        # both groups keep their value when the last three columns change by one factor
        assert torch.allclose(
            span @ torch.tensor([0.0, 1.0, 1.0, 1.0]).double(), torch.zeros(2).double()
        )
        assert groups.q[0] == 1


def test_columns_of_both_signs_keep_their_sign_in_odd_powers():
    draw = torch.Generator().manual_seed(0)
    x = torch.rand(2000, 3, generator=draw, dtype=torch.float64) * 4 - 2
    x[:, 2] += 3
    y = x[:, 0] * x[:, 2] * torch.exp(-(x[:, 1] ** 2))
    table = tabulate(x, y)
    assert table.odd.tolist() == [True, False, False]
    fit = one_group(table, lambda: False)
    (found,) = rounded(table, fit, most=1)
    assert found.q[0] == 1 and found.signed[0]
    factor, z = found.factor(x), found.columns(x)
    assert torch.allclose(y / factor, torch.exp(-(x[:, 1] ** 2)))
    assert z.shape == (2000, 1)


def test_the_misfit_is_that_of_the_fit():
    x = rows(3, 7)
    table = tabulate(x, x[:, 0] * torch.cos(x[:, 1] * x[:, 2]))
    fit = one_group(table, lambda: False)
    again = misfit(table, fit.axes, fit.q, fit.p, fit.grid) ** 0.5 / table.size
    assert again == pytest.approx(fit.error, rel=1e-6)
