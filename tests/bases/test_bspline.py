"""B-splines: what is true of them beyond the laws of every basis."""

from functools import partial

import pytest
import torch

from edgewise.bases import BSpline, make
from edgewise.errors import InputError
from edgewise.kernels.bspline import reference

DEGREES = range(1, 6)
every_degree = pytest.mark.parametrize("degree", DEGREES)
every_spacing = pytest.mark.parametrize("grid_eps", [1.0, 0.02])
double = partial(torch.tensor, dtype=torch.float64)

UNEVEN = double([[0.0, 0.1, 0.4, 0.5, 1.3, 2.0]])
EVEN = torch.linspace(-1, 1, 6, dtype=torch.float64)[None]


def recursion(x, knots, degree):
    """Cox-de Boor over all functions, as textbooks have it: (B,), (n,) -> (B, n-degree-1)."""
    x = x[:, None]
    values = ((knots[:-1] <= x) & (x < knots[1:])).to(x.dtype)
    for q in range(1, degree + 1):
        left = (x - knots[: -q - 1]) / (knots[q:-1] - knots[: -q - 1])
        right = (knots[q + 1 :] - x) / (knots[q + 1 :] - knots[1:-q])
        values = left * values[:, :-1] + right * values[:, 1:]
    return values


def grid_of(grid_eps):
    return EVEN if grid_eps == 1.0 else UNEVEN


def inside(grid, count=200):
    """Points in [t_0, t_G), the knots among them."""
    share = torch.linspace(0, 1, count + 1, dtype=torch.float64)[:-1, None]
    return torch.cat([grid[0, 0] + (grid[0, -1] - grid[0, 0]) * share, grid[0, :-1, None]])


@every_degree
@every_spacing
def test_equals_the_textbook_recursion(degree, grid_eps):
    grid = grid_of(grid_eps)
    x = inside(grid)
    values = BSpline(5, degree, grid_eps=grid_eps).features(x, {"grid": grid})
    expected = recursion(x[:, 0], reference.extend(grid, degree)[0], degree)
    torch.testing.assert_close(values[:, 0], expected, rtol=0, atol=1e-13)


@every_degree
@every_spacing
def test_float32_error_is_at_most_twice_the_textbook_recursions(degree, grid_eps):
    low = grid_of(grid_eps).float()
    basis = BSpline(5, degree, grid_eps=grid_eps)
    x = inside(low.double(), 5000).float().clamp(low[0, 0], low[0, -1])
    x = x[x[:, 0] < low[0, -1]]
    exact = recursion(x[:, 0].double(), reference.extend(low.double(), degree)[0], degree)
    plain = recursion(x[:, 0], reference.extend(low, degree)[0], degree).double()
    ours = basis.features(x, {"grid": low})[:, 0].double()
    assert (ours - exact).abs().max() <= 2 * (plain - exact).abs().max()


@every_degree
@every_spacing
def test_partition_of_unity(degree, grid_eps):
    grid = grid_of(grid_eps)
    x = torch.cat([inside(grid), grid[:, -1:]])
    basis = BSpline(5, degree, grid_eps=grid_eps)
    values = basis.features(x, {"grid": grid})
    assert (values >= -1e-15).all()
    torch.testing.assert_close(values.sum(-1), torch.ones_like(x), rtol=0, atol=1e-14)
    for order in range(1, degree + 1):
        slopes = basis.features(x, {"grid": grid}, order)
        assert slopes.sum(-1).abs().max() <= 1e-13 * slopes.abs().max()


@every_degree
def test_the_closed_form_of_even_knots_equals_the_triangle(degree):
    x = double([[-1.7], [-1.0], [-0.33], [0.0], [0.999], [1.0], [1.2]])
    for order in range(degree + 2):
        closed, triangle = (
            reference.dense(x, EVEN, degree, order, "linear", uniform) for uniform in (True, False)
        )
        torch.testing.assert_close(closed, triangle, rtol=1e-12, atol=1e-11)


@every_degree
@every_spacing
def test_derivatives_are_those_of_the_right_piece_and_of_the_left_at_the_end(degree, grid_eps):
    basis, h = BSpline(7, degree, grid_eps=grid_eps), 1e-10
    for lower, upper in [(-1.0, 1.0), (0.1, 0.8), (-3.3, 40.7)]:
        tensors = basis.adapt(
            torch.linspace(lower, upper, 50, dtype=torch.float64)[:, None] ** 3,
            basis.tensors(1, dtype=torch.float64),
        )
        knots = tensors["grid"].T
        beside = torch.cat([knots[:-1] + h, knots[-1:] - h])
        for order in range(1, degree + 1):
            at, near = (basis.features(x, tensors, order) for x in (knots, beside))
            torch.testing.assert_close(at, near, rtol=0, atol=1e-6 * float(at.abs().max()))


@every_degree
@every_spacing
def test_extrapolation(degree, grid_eps):
    grid = grid_of(grid_eps)
    ends, step = grid[:, [0, -1]].T, double([[-0.7], [1.9]])
    options = {"grid": 5, "degree": degree, "grid_eps": grid_eps}
    linear, zero, clamp = (
        partial(BSpline(extrapolation=name, **options).features, tensors={"grid": grid})
        for name in ("linear", "zero", "clamp")
    )
    far = ends + step
    value, slope = linear(ends), linear(ends, order=1)
    torch.testing.assert_close(linear(far), value + step[..., None] * slope, rtol=1e-12, atol=1e-12)
    torch.testing.assert_close(linear(far, order=1), slope, rtol=0, atol=0)
    torch.testing.assert_close(clamp(far), value, rtol=0, atol=0)
    assert not zero(far).any() and not zero(far, order=1).any()
    assert not clamp(far, order=1).any() and not linear(far, order=2).any()
    near = ends + 1e-9 * step
    torch.testing.assert_close(linear(near), value, rtol=0, atol=1e-6)


def test_beyond_the_last_derivative_all_is_zero():
    basis = BSpline(5, 2)
    x = torch.linspace(-2, 2, 50, dtype=torch.float64)[:, None]
    assert not basis.features(x, basis.tensors(1, dtype=torch.float64), 3).any()


def test_knots_never_come_closer_than_a_hundredth_of_the_mean_spacing():
    basis = BSpline(10, 3, grid_eps=0.0)
    x = torch.zeros(1000, 1, dtype=torch.float64)
    x[:3, 0] = double([1.0, 2.0, 5.0])
    grid = basis.adapt(x, basis.tensors(1, dtype=torch.float64))["grid"]
    assert grid.diff(dim=1).min() >= 0.009 * (grid[0, -1] - grid[0, 0]) / 10


@pytest.mark.parametrize("finer", [10, 15, 7, 3])
def test_refined_knots_subdivide_the_old_ones(finer):
    basis = BSpline(5, 3, grid_eps=0.02)
    new = basis.refined({"grid": UNEVEN}, basis.resized(finer))["grid"]
    assert new.shape == (1, finer + 1) and (new.diff(dim=1) > 0).all()
    assert torch.equal(new[:, [0, -1]], UNEVEN[:, [0, -1]])
    if finer % 5 == 0:
        assert torch.equal(new[:, :: finer // 5], UNEVEN)


@pytest.mark.parametrize(
    "options",
    [
        {"grid": 0},
        {"grid": 2.5},
        {"grid": True},
        {"degree": 0},
        {"degree": 6},
        {"range": (1, 1)},
        {"range": (2, -2)},
        {"range": (0, float("nan"))},
        {"range": (0, float("inf"))},
        {"range": (0,)},
        {"range": 3},
        {"extrapolation": "cubic"},
        {"grid_eps": -0.1},
        {"grid_eps": 1.5},
    ],
    ids=str,
)
def test_options_that_make_no_sense_are_named(options):
    with pytest.raises(InputError, match=next(iter(options))):
        BSpline(**options)


def test_an_unknown_family_is_named_with_the_known_ones():
    with pytest.raises(InputError, match=r"'splines'.*bspline"):
        make("splines")
    with pytest.raises(InputError, match="gridd"):
        make("bspline", gridd=3)
