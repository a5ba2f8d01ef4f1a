"""Wavelets: the curves and their derivatives, the bank, and what training its scales is worth."""

import math

import pytest
import torch

from edgewise.bases import Wavelet, curves, moved
from edgewise.bases.wavelet_curves import CURVES, WIDTHS
from edgewise.errors import InputError
from edgewise.nn import Network
from edgewise.train import LevenbergMarquardt, fit

double = torch.float64
each_kind = pytest.mark.parametrize("kind", CURVES)
FORMULAS = {
    "mexican_hat": lambda u: 2 / (3**0.5 * math.pi**0.25) * (1 - u**2) * torch.exp(-(u**2) / 2),
    "morlet": lambda u: torch.cos(5 * u) * torch.exp(-(u**2) / 2),
    "dog": lambda u: -u * torch.exp(-(u**2) / 2),
    "meyer": lambda u: torch.sin(math.pi * u.abs()) * meyer_window(u.abs()),
    "shannon": lambda u: torch.sinc(u / math.pi) * torch.cos(u / 4) ** 2 * (u.abs() <= 2 * math.pi),
}


def meyer_window(v):
    t = 2 * v - 1
    nu = 35 * t**4 - 84 * t**5 + 70 * t**6 - 20 * t**7
    return torch.where(v <= 0.5, 1.0, torch.where(v < 1, torch.cos(math.pi / 2 * nu), 0.0))


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


def normal(*shape, seed=0):
    return torch.randn(*shape, generator=generator(seed), dtype=double)


@each_kind
def test_values_are_those_of_the_formulas(kind):
    u = torch.linspace(-9, 9, 1801, dtype=double)
    torch.testing.assert_close(CURVES[kind](u, 0), FORMULAS[kind](u), rtol=1e-12, atol=1e-14)


@each_kind
@pytest.mark.parametrize("order", [1, 2, 3])
def test_each_derivative_is_that_of_the_one_before(kind, order):
    u = 1e-9 + torch.cat([torch.linspace(-9, 9, 501, dtype=double), 1e-4 * normal(50)])
    u.requires_grad_()
    (slope,) = torch.autograd.grad(CURVES[kind](u, order - 1).sum(), u)
    given = CURVES[kind](u, order)
    torch.testing.assert_close(slope, given, rtol=0, atol=1e-12 * float(given.abs().max().detach()))


@each_kind
def test_far_away_nothing_is_left(kind):
    u = torch.tensor([1e3, -1e3, 1e30, torch.inf, -torch.inf], dtype=double)
    for dtype in (torch.float32, double):
        for order in range(4):
            assert not CURVES[kind](u.to(dtype), order).any()
    assert CURVES[kind](torch.tensor(torch.nan), 0).isnan()


@pytest.mark.parametrize(("grid", "size"), [(1, 2), (2, 4), (3, 4), (4, 8), (5, 8), (8, 16)])
def test_the_bank_doubles_from_level_to_level(grid, size):
    basis = Wavelet(grid)
    tensors = basis.tensors(2, dtype=double)
    assert basis.size == size and tensors["shift"].shape == (2, size - 1)
    start = 0
    for level in range(basis.levels):
        own = slice(start, start + 2**level)
        scale, shift = tensors["log_scale"][0, own].exp(), tensors["shift"][0, own]
        torch.testing.assert_close(scale, torch.full_like(scale, WIDTHS[basis.kind] / 2**level))
        # even, and as far from the ends as half the way to the next
        gaps = torch.cat([shift, torch.ones(1)]).diff(prepend=-torch.ones(1, dtype=double))
        torch.testing.assert_close(gaps[1:-1], torch.full_like(gaps[1:-1], 2 * gaps[0].item()))
        torch.testing.assert_close(gaps[0], gaps[-1])
        start = own.stop
    assert start == size - 1


@each_kind
def test_functions_are_one_curve_scaled_and_shifted(kind):
    basis = Wavelet(7, kind=kind)
    tensors = basis.tensors(2, dtype=double) | {"shift": normal(2, 7), "log_scale": normal(2, 7)}
    z = normal(30, 2, seed=1)
    values = basis.features(z, tensors)
    assert (values[..., 0] == 1).all()
    u = (z[..., None] - tensors["shift"]) / tensors["log_scale"].exp()
    torch.testing.assert_close(values[..., 1:], FORMULAS[kind](u), rtol=1e-10, atol=1e-13)


@each_kind
@pytest.mark.parametrize("trainable", [True, False])
def test_a_finer_bank_keeps_every_function_to_the_bit(kind, trainable):
    basis = Wavelet(5, kind=kind, trainable=trainable)
    tensors = basis.tensors(2, dtype=double)
    tensors["shift"] += 0.1 * normal(2, 7)
    tensors["log_scale"] += 0.1 * normal(2, 7, seed=1)
    coef, finer = normal(3, 2, 8), basis.resized(20)
    new = basis.refined(tensors, finer)
    longer = moved(basis, tensors, coef, finer, new)
    assert torch.equal(longer[..., :8], coef) and not longer[..., 8:].any()
    x = 2 * normal(50, 2, seed=2)
    assert torch.equal(finer.features(x, new)[..., :8], basis.features(x, tensors))


@each_kind
@pytest.mark.parametrize("trainable", [True, False])
def test_functions_stay_when_a_range_moves_a_little(kind, trainable):
    basis = Wavelet(5, kind=kind, trainable=trainable)
    x = 2 * torch.rand(300, 2, generator=generator(), dtype=double) - 1
    tensors, coef = basis.adapt(x, basis.tensors(2, dtype=double)), normal(3, 2, 8)
    wider = torch.cat([1.1 * x, 1.15 * x + 0.05])
    new = basis.adapt(wider, tensors)
    before = curves(basis.features(wider, tensors), coef)
    after = curves(basis.features(wider, new), moved(basis, tensors, coef, basis, new))
    torch.testing.assert_close(after, before, rtol=0, atol=1e-10)


def test_a_bank_stays_on_its_range_however_it_drifts():
    basis, x = Wavelet(5), 2 * torch.rand(300, 2, generator=generator(), dtype=double) - 1
    start = tensors = basis.adapt(x, basis.tensors(2, dtype=double))
    for step in range(40):
        tensors = basis.adapt(1.05**step * x + 0.05 * step, tensors)
        assert (tensors["shift"][:, 0].abs() <= 0.26).all()
        assert ((tensors["log_scale"] - start["log_scale"])[:, 0].abs() <= 0.26).all()
    new = basis.adapt(100 * x, start)
    assert all(torch.equal(new[name], start[name]) for name in ("shift", "log_scale"))


@each_kind
def test_a_line_is_fitted_closer_with_every_level(kind):
    z = torch.linspace(-1, 1, 801, dtype=double)[:, None]
    errors = []
    for grid in (5, 10, 20):
        basis = Wavelet(grid, kind=kind)
        tensors = basis.tensors(1, dtype=double)
        coef = basis.project(z, z[:, None], tensors)
        fitted = curves(basis.features(z, tensors), coef)[:, 0]
        errors.append(float((fitted - z).abs().max()))
    assert errors[0] < 0.25 and errors == sorted(errors, reverse=True)
    if kind != "meyer":  # which has a kink
        assert errors[2] < 0.05 * errors[0]


def runge(basis, seed):
    x = torch.linspace(-1, 1, 201, dtype=double)[:, None]
    y = 1 / (1 + 25 * x * x)
    model = Network([1, 1], basis, base="zero", generator=generator(seed), dtype=double)
    fitted = fit(model, (x, y), solver=LevenbergMarquardt(steps=60)).model
    return float((fitted(x) - y).detach().abs().max())


def test_trained_scales_and_shifts_fit_closer_than_the_bank():
    assert runge(Wavelet(5, trainable=True), 0) < 0.1 * runge(Wavelet(5), 0)


def test_what_is_not_known_is_refused():
    with pytest.raises(InputError, match="mexican_hat"):
        Wavelet(kind="haar")
    with pytest.raises(InputError, match="trainable"):
        Wavelet(trainable="yes")
