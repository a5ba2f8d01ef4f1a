"""What families on a range share: the map, its ends, the path without a tape, options and errors."""

import pytest
import torch

from edgewise import bases
from edgewise.bases import moved
from edgewise.bases.horner import polynomial
from edgewise.bases.squash import tanh_factors
from edgewise.errors import InputError
from edgewise.nn import KANLayer

RANGED = [name for name, family in bases.FAMILIES.items() if issubclass(family, bases.Ranged)]
every_family = pytest.mark.parametrize("name", RANGED)


@pytest.mark.parametrize("limits", [(1e6, 1e6 + 1), (0.1, 0.3), (-7.7, 1e-3)])
@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
def test_the_ends_are_exactly_minus_one_and_one(limits, dtype):
    basis = bases.make("chebyshev")
    tensors = {"limits": torch.tensor([limits], dtype=dtype)}
    ends = tensors["limits"].T
    z, _ = basis.placed(ends, tensors)
    assert torch.equal(z, torch.tensor([[-1.0], [1.0]], dtype=dtype))


@every_family
def test_gradients_without_a_tape_are_those_with_one(name):
    basis = bases.make(name, grid=6)
    tensors = basis.tensors(3, dtype=torch.float64)
    x = torch.linspace(-1.4, 1.4, 60, dtype=torch.float64).view(20, 3).requires_grad_()
    for order in range(3):
        found, plain = basis.features(x, tensors, order), basis.evaluated(x, tensors, order)
        assert torch.equal(found, plain)
        weight = torch.linspace(-1, 2, found.numel(), dtype=torch.float64).view(found.shape)
        given = torch.autograd.grad((weight * found).sum(), x, create_graph=True)[0]
        true = torch.autograd.grad((weight * plain).sum(), x, create_graph=True)[0]
        scale = max(float(true.detach().abs().max()), 1.0)
        torch.testing.assert_close(given, true, rtol=1e-9, atol=1e-12 * scale)
        second = torch.autograd.grad(given.square().sum(), x)[0]
        expected = torch.autograd.grad(true.square().sum(), x)[0]
        scale = max(float(expected.abs().max()), 1.0)
        torch.testing.assert_close(second, expected, rtol=1e-9, atol=1e-12 * scale)


@every_family
@pytest.mark.filterwarnings("ignore:.torch.jit.script:DeprecationWarning")  # torch.func's own
def test_many_gradients_at_once_are_those_one_by_one(name):
    """Transforms of torch then meet a backward pass whose forward pass they have not seen."""
    layer = KANLayer(3, 2, bases.make(name, grid=4), dtype=torch.float64)
    x = torch.linspace(-1.2, 1.2, 12, dtype=torch.float64).view(4, 3)
    of = torch.autograd.functional
    given, true = (of.jacobian(layer, x, vectorize=v) for v in (True, False))
    torch.testing.assert_close(given, true)
    given, true = (
        of.hessian(lambda x: layer(x).square().sum(), x, vectorize=v) for v in (True, False)
    )
    torch.testing.assert_close(given, true)


@pytest.mark.slow
@every_family
def test_a_layer_compiles_without_breaks(name):
    torch._dynamo.reset()
    layer = KANLayer(3, 2, bases.make(name, grid=4), dtype=torch.float64)
    x = torch.linspace(-1.2, 1.2, 30, dtype=torch.float64).view(10, 3).requires_grad_()
    compiled = torch.compile(layer, backend="aot_eager", fullgraph=True)
    y, expected = compiled(x), layer(x)
    torch.testing.assert_close(y, expected)
    (given,) = torch.autograd.grad(y.square().sum(), x)
    (true,) = torch.autograd.grad(expected.square().sum(), x)
    torch.testing.assert_close(given, true)


def test_limits_that_are_learnt_have_gradients():
    basis = bases.make("legendre")
    limits = torch.tensor([[-1.0, 2.0]], dtype=torch.float64, requires_grad=True)
    x = torch.tensor([[0.3], [1.1]], dtype=torch.float64)
    assert torch.autograd.gradcheck(lambda t: basis.features(x, {"limits": t}), limits)


def test_a_move_to_other_limits_or_options_is_fitted_and_not_copied():
    small, large = bases.make("legendre", grid=3), bases.make("legendre", grid=6)
    tensors = small.tensors(1, dtype=torch.float64)
    coef = torch.tensor([[[0.3, -1.0, 2.0, 0.5]]], dtype=torch.float64)
    kept = moved(small, tensors, coef, large, tensors)
    assert torch.equal(kept[..., :4], coef) and not kept[..., 4:].any()
    inner = {"limits": tensors["limits"] / 2}
    x = torch.linspace(-0.5, 0.5, 20, dtype=torch.float64)[:, None]
    for target, new in ((large, inner), (bases.make("chebyshev", grid=6), tensors)):
        fitted = moved(small, tensors, coef, target, new)
        before, after = (
            small.features(x, tensors) @ coef[0, 0],
            target.features(x, new) @ fitted[0, 0],
        )
        torch.testing.assert_close(after, before)


@pytest.mark.parametrize("order", range(1, 6))
def test_derivatives_through_tanh_are_those_of_autograd(order):
    x = torch.linspace(-3, 3, 31, dtype=torch.float64, requires_grad=True)
    slope = torch.sin(2 * torch.tanh(x))
    for _ in range(order):
        (slope,) = torch.autograd.grad(slope.sum(), x, create_graph=True)
    z = torch.tanh(x)
    waves = [2.0**j * torch.sin(2 * z + j * torch.pi / 2) for j in range(order + 1)]
    found = sum(polynomial(p, z) * f for p, f in zip(tanh_factors(order), waves, strict=True))
    torch.testing.assert_close(found, slope, rtol=1e-8, atol=1e-8)


@pytest.mark.parametrize(
    ("name", "options", "said"),
    [
        ("chebyshev", {"grid": 0}, "grid is 0"),
        ("chebyshev", {"range": (1, 1)}, "lower < upper"),
        ("chebyshev", {"squash": "sigmoid"}, "'range' or 'tanh'"),
        ("jacobi", {"a": -1.0}, "a is -1.0"),
        ("gegenbauer", {"alpha": 0.0}, "alpha is 0.0"),
        ("fourier", {"period": 0.0}, "period is 0.0"),
        ("rbf", {"width": 0.0}, "width is 0.0"),
        ("chebyshev", {"degree": 3}, "no options"),
    ],
)
def test_options_that_mean_nothing_are_refused(name, options, said):
    with pytest.raises(InputError, match=said):
        bases.make(name, **options)
