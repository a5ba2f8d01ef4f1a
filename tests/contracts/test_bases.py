"""Laws of every basis: each family of ``bases.FAMILIES`` is held to them, with options below.

Where a law does not hold for a family by its nature, the family stands in a list here.
"""

import json
import math

import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode

from edgewise import bases
from edgewise.bases import BSpline, curves, moved
from edgewise.kernels.residual import RESIDUALS

SPLINES = [
    BSpline(grid=5, degree=degree, extrapolation=extrapolation, grid_eps=grid_eps)
    for degree in range(1, 6)
    for grid_eps in (1.0, 0.02)
    for extrapolation in ("linear", "zero", "clamp")
]
OTHERS = [bases.make(name, grid=5) for name in bases.FAMILIES if name != BSpline.family]
OPTIONS = [
    bases.make("chebyshev", squash="tanh"),
    bases.make("bernstein", squash="tanh"),
    bases.make("jacobi", a=0.5, b=-0.3),
    bases.make("gegenbauer", alpha=2.5),
    bases.make("fourier", period=2 * math.pi),
    bases.make("rbf", width=1.5),
    *(bases.make("wavelet", kind=kind) for kind in ("morlet", "dog", "meyer", "shannon")),
    bases.make("wavelet", trainable=True),
    bases.make("rational", denominator_degree=3),
]
FAMILIES = [*SPLINES, *OTHERS, *OPTIONS]
# whose larger members do not hold the functions of smaller ones
NOT_NESTED = {"rbf", "rswaf"}
WITHOUT_CONSTANTS = {"rbf", "rswaf"}
WITHOUT_LINES = {"rbf", "rswaf", "wavelet", "fourier"}
# that decay or repeat outside the range instead of going on straight
BOUNDED = {"rbf", "rswaf", "wavelet", "fourier"}
# of the fit of a smooth curve by size 32, rms: bumps as wide as their spacing come no closer,
# wavelets come slowly at the ends of the range, and Meyer's has a kink
LEAST_ERROR = {"rbf": 1e-3, "rswaf": 1e-2, "wavelet": 1e-3, "meyer": 0.1}

INPUTS = 3
every_basis = pytest.mark.parametrize("basis", FAMILIES, ids=str)
every_spline = pytest.mark.parametrize("basis", SPLINES, ids=str)
every_other = pytest.mark.parametrize("basis", [*OTHERS, *OPTIONS], ids=str)


def squashed(basis):
    return getattr(basis, "squash", "range") == "tanh"


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


def samples(count=400):
    """(B, 3) of different shapes and units: even, with a long tail, and mostly repeated."""
    u = torch.rand(count, INPUTS, generator=generator(), dtype=torch.float64)
    x = torch.stack([4 * u[:, 0] - 1, 20 * u[:, 1] ** 4, (6 * u[:, 2]).round().clamp(0, 3)], 1)
    return x


def adapted(basis):
    return basis.adapt(samples(), basis.tensors(INPUTS, dtype=torch.float64))


def across(basis, tensors, count=257, beyond=0.0):
    """Points (count, I) over each input's range, widened by the share ``beyond`` on both sides."""
    lower, upper = basis.range_of(tensors)
    share = torch.linspace(-beyond, 1 + beyond, count, dtype=torch.float64)[:, None]
    return lower + (upper - lower) * share


def some_coefficients(basis, outputs=2):
    return torch.randn(outputs, INPUTS, basis.size, generator=generator(1), dtype=torch.float64)


# --- values and derivatives ------------------------------------------------------------------


@every_basis
def test_each_derivative_is_that_of_the_one_before(basis):
    tensors = adapted(basis)
    x = across(basis, tensors, 100, beyond=0.3).requires_grad_()
    for order in range(1, (basis.degree if isinstance(basis, BSpline) else 3) + 1):
        given = basis.features(x, tensors, order)
        before = basis.features(x, tensors, order - 1)
        weight = torch.randn(before.shape, generator=generator(order), dtype=torch.float64)
        (slope,) = torch.autograd.grad((before * weight).sum(), x)
        expected = (given * weight).sum(-1)
        torch.testing.assert_close(
            slope, expected, rtol=1e-9, atol=1e-12 * float(given.detach().abs().max())
        )


@every_basis
def test_the_local_functions_are_all_that_differ_from_zero(basis):
    tensors = adapted(basis)
    ends = torch.stack(basis.range_of(tensors))
    x = torch.cat([across(basis, tensors, 257, beyond=0.3), ends])
    values, first = basis.local(x, tensors)
    B, I, n = values.shape
    columns = first[..., None] + torch.arange(n)
    spread = torch.zeros(B, I, basis.size, dtype=x.dtype).scatter(-1, columns, values)
    torch.testing.assert_close(spread, basis.features(x, tensors), rtol=1e-12, atol=1e-13)
    x[0] = torch.nan
    lost = basis.local(x, tensors)[0][0].isnan()
    assert lost.all() if isinstance(basis, BSpline) else lost.any(-1).all()  # 1 may stay 1


@every_basis
def test_pulling_back_is_the_product_with_the_slopes(basis):
    tensors, coef = adapted(basis), some_coefficients(basis, outputs=4)
    x = across(basis, tensors, 50, beyond=0.3)
    g = torch.randn(50, 4, generator=generator(2), dtype=torch.float64)
    slopes = basis.features(x, tensors, 1)
    expected = torch.einsum("bo,oik,bik->bi", g, coef, slopes)
    pulled = basis.pull(x, tensors, coef, g)
    torch.testing.assert_close(
        pulled, expected, rtol=1e-10, atol=1e-12 * float(expected.abs().max())
    )


@every_basis
def test_gradients_of_both_orders_are_those_of_finite_differences(basis):
    tensors = basis.tensors(2, dtype=torch.float64)
    # inside, near both ends and beyond them; away from the knots, where derivatives jump
    x = torch.tensor([[-1.31, 0.52], [-0.93, 0.07], [0.33, 1.24]], dtype=torch.float64)
    x.requires_grad_()

    def features(x):
        return basis.features(x, tensors)

    assert torch.autograd.gradcheck(features, x)
    assert torch.autograd.gradgradcheck(features, x)


@every_basis
def test_float32_is_as_good_as_a_plain_evaluation(basis):
    tensors = adapted(basis)
    low = {name: tensor.float() for name, tensor in tensors.items()}
    same = {name: tensor.double() for name, tensor in low.items()}
    x = across(basis, same, 2000).float().clamp(*basis.range_of(low))
    exact = basis.features(x.double(), same)
    error = (basis.features(x, low).double() - exact).abs().amax()
    # what rounding x and the knots alone does: half an ulp each, through the slope
    slope = basis.features(x.double(), same, 1).abs()
    size = torch.maximum(x.double().abs(), torch.cat(basis.range_of(same)).abs().max())
    largest = max(float(exact.abs().max()), 1.0)
    rounding = (slope * size[..., None]).max() * 2.0**-23 + basis.size * largest * 2.0**-23
    assert error <= 2 * rounding
    assert basis.features(x, low).dtype == torch.float32


@every_basis
def test_what_is_not_finite_does_not_crash_and_nan_stays(basis):
    tensors = adapted(basis)
    x = across(basis, tensors, 6)
    clean = x.clone()
    x[1] = torch.nan
    x[2], x[3] = torch.inf, -torch.inf
    for order in range(3):
        values = basis.features(x, tensors, order)
        assert values[1].isnan().any(dim=-1).all()
        kept = [0, 4, 5]
        assert torch.equal(values[kept], basis.features(clean, tensors, order)[kept])


@every_basis
@pytest.mark.parametrize("shape", [(0, INPUTS), (4, 0), (0, 0)])
def test_no_rows_and_no_inputs_are_fine(basis, shape):
    tensors = basis.tensors(shape[1], dtype=torch.float64)
    x = torch.zeros(shape, dtype=torch.float64)
    for order in range(3):
        assert basis.features(x, tensors, order).shape == (*shape, basis.size)
    coef = torch.zeros(2, shape[1], basis.size, dtype=torch.float64)
    finer = basis.resized(10)
    assert moved(basis, tensors, coef, finer, basis.refined(tensors, finer)).shape == (
        2,
        shape[1],
        finer.size,
    )


@every_basis
def test_nothing_given_is_changed(basis):
    tensors, x, coef = adapted(basis), samples(), some_coefficients(basis)
    y = torch.randn(len(x), 2, INPUTS, generator=generator(), dtype=torch.float64).transpose(0, 1)
    y = y.transpose(0, 1)
    before = [t.clone() for t in (x, y, coef, *tensors.values())]
    finer = basis.resized(10)
    basis.features(x, tensors, 1)
    basis.adapt(2 * x, tensors)
    basis.fit(x, y, tensors)
    moved(basis, tensors, coef, finer, basis.refined(tensors, finer))
    for old, new in zip(before, (x, y, coef, *tensors.values()), strict=True):
        assert torch.equal(old, new)


@every_basis
def test_far_outside_curves_go_on_straight_or_stay_bounded(basis):
    tensors, coef = adapted(basis), some_coefficients(basis)
    far = torch.tensor([-2e3, -1e3, 1e3, 2e3], dtype=torch.float64)[:, None].expand(-1, INPUTS)
    for order in range(3):
        assert basis.features(far, tensors, order).isfinite().all()
    low = {name: tensor.float() for name, tensor in tensors.items()}
    assert basis.features(far.float(), low).isfinite().all()
    values = curves(basis.features(far, tensors), coef)
    slopes = curves(basis.features(far, tensors, 1), coef)
    if basis.family in BOUNDED or squashed(basis):
        inside = basis.features(across(basis, tensors, 1000, beyond=2.0), tensors)
        largest = torch.einsum("bik,oik->boi", inside.abs().amax(0, keepdim=True), coef.abs())
        assert (values.abs() <= 1.01 * largest).all()
        return
    for pair, distance in ((slice(0, 2), -1e3), (slice(2, 4), 1e3)):
        near, off = (
            (values[pair], slopes[pair]) if distance > 0 else (values[pair].flip(0), slopes[pair])
        )
        torch.testing.assert_close(near[1] - near[0], distance * off[0], rtol=1e-9, atol=1e-6)


# --- a layer's sums --------------------------------------------------------------------------


@every_basis
def test_the_sum_of_a_layer_is_that_of_its_features(basis):
    tensors, coef = adapted(basis), some_coefficients(basis, outputs=4).requires_grad_()
    x = across(basis, tensors, 50, beyond=0.3).requires_grad_()
    scale, scale_base = torch.randn(2, 4, INPUTS, generator=generator(3), dtype=torch.float64)
    mask = torch.ones(4, INPUTS, dtype=torch.float64)
    mask[2, 1] = mask[3, 0] = 0.0
    weights = torch.randn(50, 4, generator=generator(4), dtype=torch.float64)
    curve = torch.einsum(
        "oi,oik,bik->bo",
        scale * mask,
        coef,
        basis.evaluated(x, tensors, 0)
        if hasattr(basis, "evaluated")
        else basis.features(x, tensors),
    )
    expected = curve + RESIDUALS["silu"][0](x) @ (scale_base * mask).T
    found = basis.mix(x, tensors, coef, scale, scale_base, mask, "silu")
    torch.testing.assert_close(found, expected, rtol=1e-10, atol=1e-10)
    for given, true in zip(
        torch.autograd.grad((found * weights).sum(), (x, coef)),
        torch.autograd.grad((expected * weights).sum(), (x, coef)),
        strict=True,
    ):
        torch.testing.assert_close(given, true, rtol=1e-9, atol=1e-11 * float(true.abs().max()))


class Largest(TorchDispatchMode):
    """The elements of the largest tensor that torch makes inside the block."""

    numel = 0

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        result = function(*args, **(kwargs or {}))
        for tensor in result if isinstance(result, tuple | list) else [result]:
            if isinstance(tensor, torch.Tensor):
                self.numel = max(self.numel, tensor.numel())
        return result


@every_basis
def test_no_tensor_has_an_element_for_every_sample_and_edge(basis):
    B, I, O, K = 40, 6, 300, basis.size
    tensors = basis.tensors(I)
    x = torch.rand(B, I, generator=generator()).requires_grad_()
    coef = torch.zeros(O, I, K, requires_grad=True)
    ones = torch.ones(O, I)
    with Largest() as largest:
        basis.mix(x, tensors, coef, ones, ones, ones, "silu").sum().backward()
    assert largest.numel <= max(B * I * (2 * K + 2), 2 * O * I * K)
    assert 2 * largest.numel <= B * I * O


@every_other
@pytest.mark.filterwarnings("ignore:.torch.jit.script:DeprecationWarning")  # torch.func's own
def test_transforms_of_torch_see_the_same_functions(basis):
    tensors = adapted(basis)
    x = across(basis, tensors, 7, beyond=0.3)
    directions = torch.randn(x.shape, generator=generator(5), dtype=torch.float64)

    def features(x):
        return basis.features(x, tensors)

    expected = basis.features(x, tensors, 1) * directions[..., None]
    _, tangent = torch.func.jvp(features, (x,), (directions,))
    torch.testing.assert_close(tangent, expected)
    each = torch.func.vmap(lambda row: features(row[None])[0])(x)
    torch.testing.assert_close(each, features(x))
    jacobian = torch.func.jacrev(lambda x: features(x).sum((0, 2)))(x)
    own = torch.diagonal(jacobian, dim1=0, dim2=2)
    torch.testing.assert_close(own, basis.features(x, tensors, 1).sum(-1))


# --- the space of functions ------------------------------------------------------------------


@every_basis
@pytest.mark.parametrize("times", [1, 2, 3, 10])
def test_refining_by_a_multiple_keeps_every_function(basis, times):
    if basis.family in NOT_NESTED and times > 1:
        pytest.skip("the larger family has other functions")
    tensors, coef = adapted(basis), some_coefficients(basis)
    finer = basis.resized(5 * times)
    new = basis.refined(tensors, finer)
    fine_coef = moved(basis, tensors, coef, finer, new)
    for beyond in (0.0, 0.3):
        x = across(basis, tensors, 301, beyond)
        before = curves(basis.features(x, tensors), coef)
        after = curves(finer.features(x, new), fine_coef)
        # beyond the range the slope at the end counts, which is large where knots are close
        torch.testing.assert_close(
            after, before, rtol=1e-12, atol=1e-12 * float(before.abs().max())
        )


@every_basis
def test_fit_recovers_a_function_of_the_family(basis):
    tensors, coef = adapted(basis), some_coefficients(basis)
    points = basis.design_points(tensors)
    y = curves(basis.features(points, tensors), coef)
    features = basis.features(across(basis, tensors, 600), tensors)
    for fitted, tolerance in (
        (basis.project(points, y, tensors), 1e-12),
        (basis.fit(points, y, tensors), 1e-7),
    ):
        difference = curves(features, fitted) - curves(features, coef)
        assert difference.abs().max() <= tolerance


@every_basis
def test_fit_stays_finite_where_few_or_no_samples_are(basis):
    tensors = adapted(basis)
    lower, upper = basis.range_of(tensors)
    for x in (across(basis, tensors, 600)[:80], (lower + upper)[None] / 2, lower[None] - 1e6):
        for dtype in (torch.float64, torch.float32):
            own = {name: tensor.to(dtype) for name, tensor in tensors.items()}
            y = torch.sin(x.to(dtype))[:, None]
            assert basis.fit(x.to(dtype), y, own).isfinite().all()


@every_spline
def test_error_of_the_best_fit_falls_with_the_order_of_the_spline(basis):
    sizes = [6, 9, 13, 19] if basis.degree > 3 else [8, 16, 32, 64]
    errors = []
    for size in sizes:
        finer = basis.resized(size)
        tensors = finer.tensors(1, dtype=torch.float64)
        x = torch.linspace(-1, 1, 3001, dtype=torch.float64)[:, None]
        y = torch.sin(3 * x + 0.4)
        coef = finer.fit(x, y[:, None], tensors)
        errors.append(float((curves(finer.features(x, tensors), coef)[:, 0] - y).abs().max()))
    logs = torch.tensor([sizes, errors], dtype=torch.float64).log()
    centred = logs - logs.mean(1, keepdim=True)
    slope = float((centred[0] * centred[1]).sum() / centred[0].square().sum())
    assert slope == pytest.approx(-(basis.degree + 1), abs=0.45)


@every_other
def test_error_of_the_best_fit_falls_with_the_size(basis):
    errors = []
    for size in (4, 8, 16, 32):
        finer = basis.resized(size)
        tensors = finer.tensors(1, dtype=torch.float64)
        x = torch.linspace(-1, 1, 3001, dtype=torch.float64)[:, None]
        y = torch.exp(x) * torch.sin(5 * x + 0.4)
        coef = finer.fit(x, y[:, None], tensors)
        rest = curves(finer.features(x, tensors), coef)[:, 0] - y
        errors.append(float(rest.square().mean().sqrt()))
    assert errors[1] < errors[0] and errors[2] < errors[1]
    least = LEAST_ERROR.get(basis.family, 1e-6)
    assert errors[3] <= LEAST_ERROR.get(getattr(basis, "kind", ""), least)


@pytest.mark.parametrize("basis", OTHERS, ids=str)
def test_a_larger_family_comes_close_where_it_does_not_hold_the_smaller(basis):
    tensors, coef = adapted(basis), some_coefficients(basis)
    finer = basis.resized(40)
    new = basis.refined(tensors, finer)
    x = across(basis, tensors, 301)
    before = curves(basis.features(x, tensors), coef)
    after = curves(finer.features(x, new), moved(basis, tensors, coef, finer, new))
    assert (after - before).abs().max() <= 5e-3 * before.abs().max()


@every_basis
def test_constants_and_lines_are_in_the_family(basis):
    if basis.family in WITHOUT_CONSTANTS:
        pytest.skip("bumps are no constants")
    tensors, beyond = basis.tensors(1, dtype=torch.float64), getattr(basis, "extrapolation", "")
    points = basis.design_points(tensors)
    x = across(basis, tensors, 100, beyond=0.0 if beyond in ("zero", "clamp") else 0.3)
    lines = basis.family not in WITHOUT_LINES and not squashed(basis)
    for slope in (0.0, 3.0) if lines else (0.0,):
        c = basis.project(points, slope * points[:, None] - 2.5, tensors)
        curve = curves(basis.features(x, tensors), c)[:, 0]
        torch.testing.assert_close(curve, slope * x - 2.5, rtol=1e-11, atol=1e-12)


@every_basis
def test_roughness_is_zero_for_straight_lines_only(basis):
    R = basis.roughness(dtype=torch.float64)
    assert torch.equal(R, R.T) and torch.linalg.eigvalsh(R).min() > -1e-12
    tensors = basis.tensors(1, dtype=torch.float64)
    points = basis.design_points(tensors)

    def roughness(y):
        c = basis.project(points, y[:, None], tensors)[0, 0]
        return float(c @ R @ c)

    if basis.family not in WITHOUT_LINES and not squashed(basis):
        assert abs(roughness(2 * points - 1)) < 1e-12  # rounding of c squared
    # the units are those of the family's roughest function
    assert roughness(torch.sin(4 * points)) > (1e-2 if isinstance(basis, BSpline) else 1e-4)


# --- following samples -----------------------------------------------------------------------


@every_basis
def test_adapted_ranges_hold_the_samples(basis):
    x = samples()
    lower, upper = basis.range_of(adapted(basis))
    assert (lower <= x.amin(0)).all() and (upper >= x.amax(0)).all()
    assert (upper - lower <= 1.11 * (x.amax(0) - x.amin(0))).all()


@every_basis
@pytest.mark.parametrize("value", [0.0, 0.1, -7e30])
@pytest.mark.parametrize("rows", [1, 50])
def test_an_input_that_never_varies_keeps_its_tensors(basis, value, rows):
    x = samples(60)[:rows].clone()
    x[:, 1] = value
    old = basis.tensors(INPUTS, dtype=torch.float64)
    new = basis.adapt(x, old)
    for name in old:
        assert torch.equal(new[name][1], old[name][1])
        assert new[name].isfinite().all()
    varied = x[:, 0].amax() > x[:, 0].amin()
    assert any(not torch.equal(new[name][0], old[name][0]) for name in old) == bool(varied)


@every_basis
@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
def test_repeated_samples_leave_a_basis_that_can_be_used(basis, dtype):
    x = samples().to(dtype)
    x[:, 0] = 1.0
    x[0, 0], x[1, 0] = 0.0, 1.0 + 1e-6  # two strays
    tensors = basis.adapt(x, basis.tensors(INPUTS, dtype=dtype))
    x.requires_grad_()
    values = basis.features(x, tensors)
    (slope,) = torch.autograd.grad(values.square().sum(), x)
    assert values.isfinite().all() and slope.isfinite().all()


@every_basis
def test_adapting_twice_to_the_same_samples_changes_nothing(basis):
    once = adapted(basis)
    twice = basis.adapt(samples(), once)
    assert all(torch.equal(once[name], twice[name]) for name in once)


# --- as a value ------------------------------------------------------------------------------


@every_basis
def test_goes_through_json_and_compares_by_value(basis):
    again = bases.from_dict(json.loads(json.dumps(basis.to_dict())))
    assert again == basis and hash(again) == hash(basis)
    assert basis.resized(7) != basis and basis.resized(7).resized(5) == basis
    assert bases.make(basis) is basis
