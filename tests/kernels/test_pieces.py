"""The table of local polynomials is the reference's basis, class by class."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from edgewise.kernels.bspline.pieces import even_pieces, pieces
from edgewise.kernels.bspline.reference import dense, intervals

RULES = ("linear", "zero", "clamp")
DEGREES = range(1, 6)


def knots(uniform: bool, I: int = 3, G: int = 5) -> Tensor:
    width = torch.ones(I, G, dtype=torch.float64)
    if not uniform:
        width = torch.rand(
            width.shape, generator=torch.Generator().manual_seed(1), dtype=width.dtype
        )
        width = 0.2 + width
    start = torch.arange(I, dtype=torch.float64)[:, None] - 1.5
    return torch.cat([start, start + 0.3 * width.cumsum(1)], dim=1)


def points(grid: Tensor) -> Tensor:
    """Every knot, points between them, and points far and near outside: (B, I)."""
    between = torch.linspace(-0.7, 1.7, 83, dtype=grid.dtype)[:, None]
    return torch.cat([grid.T, grid[:, 0] + between * (grid[:, -1] - grid[:, 0])])


def evaluated(table: Tensor, x: Tensor, grid: Tensor, even: bool) -> Tensor:
    """The dense basis (B, I, K) from tables (I, C, k+1, k+1), as the pieces' docstring says."""
    G, N, (B, I) = grid.shape[1] - 1, table.shape[-1], x.shape
    m = intervals(x, grid)
    left, right = x < grid[:, 0], x > grid[:, -1]
    start, stop = grid.T.gather(0, m), grid.T.gather(0, m + 1)
    h = (grid[:, -1] - grid[:, 0]) / G
    t = (x - start) / (stop - start) - 0.5
    t = torch.where(left, (x - grid[:, 0]) / h, torch.where(right, (x - grid[:, -1]) / h, t))
    piece = torch.where(left, 0, torch.where(right, 2 if even else G + 1, 1 if even else m + 1))
    powers = t[..., None] ** torch.arange(N)
    values = torch.einsum("bip,bipn->bin", powers, table[torch.arange(I), piece])
    return x.new_zeros(B, I, G + N - 1).scatter(-1, m[..., None] + torch.arange(N), values)


@pytest.mark.parametrize("rule", RULES)
@pytest.mark.parametrize("uniform", [True, False])
def test_the_table_gives_the_reference(uniform, rule):
    grid = knots(uniform)
    x = points(grid)
    for degree in DEGREES:
        for order in range(degree + 2):
            expected = dense(x, grid, degree, order, rule, uniform)
            found = evaluated(pieces(grid, degree, order, rule), x, grid, even=False)
            scale = expected.abs().max().clamp(min=1)
            torch.testing.assert_close(found / scale, expected / scale, rtol=1e-11, atol=1e-12)


@pytest.mark.parametrize("rule", RULES)
def test_one_table_in_units_of_h_serves_even_knots(rule):
    grid = knots(uniform=True)
    x = points(grid)
    for degree in DEGREES:
        for order in range(degree + 2):
            expected = dense(x, grid, degree, order, rule, uniform=True)
            table = even_pieces(degree, order, rule, torch.float64, torch.device("cpu"))
            table = table.expand(grid.shape[0], -1, -1, -1) / 0.3**order
            found = evaluated(table, x, grid, even=True)
            scale = expected.abs().max().clamp(min=1)
            torch.testing.assert_close(found / scale, expected / scale, rtol=1e-11, atol=1e-12)


@pytest.mark.parametrize("degree", DEGREES)
def test_the_functions_sum_to_one_and_their_derivatives_to_nothing(degree):
    grid = knots(uniform=False)
    total = pieces(grid, degree, 0, "linear").sum(-1)  # polynomials [class, power]
    one = torch.zeros_like(total)
    one[..., 0] = 1
    torch.testing.assert_close(total, one, rtol=0, atol=1e-13)
    for order in range(1, degree + 2):
        table = pieces(grid, degree, order, "linear")
        total = table.sum(-1) / table.abs().max().clamp(min=1)
        torch.testing.assert_close(total, torch.zeros_like(total), rtol=0, atol=1e-13)


@pytest.mark.parametrize("rule", ["linear", "clamp"])
def test_value_and_slope_meet_at_the_ends(rule):
    grid = knots(uniform=False)
    table = pieces(grid, 3, 0, rule)
    halves = 0.5 ** torch.arange(4, dtype=torch.float64)
    torch.testing.assert_close(table[:, 0, 0], (halves * (-1) ** torch.arange(4)) @ table[:, 1])
    torch.testing.assert_close(table[:, -1, 0], halves @ table[:, -2])


def test_single_precision_knots_give_a_double_table():
    grid = knots(uniform=False).float()
    assert pieces(grid, 3, 1, "linear").equal(pieces(grid.double(), 3, 1, "linear"))


def test_no_inputs():
    assert pieces(torch.zeros(0, 6), 3, 0, "linear").shape == (0, 7, 4, 4)


def test_what_is_held_can_be_used_in_training():
    with torch.inference_mode():
        table = even_pieces(4, 1, "zero", torch.float32, torch.device("cpu"))
    assert table.dtype == torch.float32 and not table.is_inference()
