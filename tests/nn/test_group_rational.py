"""KAT's rational activations: the formula, its gradients, starts and variances."""

import math

import pytest
import torch
from nn_examples import generator, normal
from torch import nn
from torch.nn import functional

from edgewise.errors import InputError, ShapeError
from edgewise.nn.rational import GRKAN, STARTS, GroupRational, fitted, gain

each_start = pytest.mark.parametrize("start", STARTS)
ACTIVATIONS = {"identity": lambda x: x, "gelu": functional.gelu, "swish": functional.silu}


def drawn(channels=6, groups=3):
    """An activation with coefficients of every sign."""
    layer = GroupRational(channels, groups, dtype=torch.float64)
    with torch.no_grad():
        layer.numerator.copy_(normal(groups, 6, seed=1))
        layer.denominator.copy_(normal(groups, 4, seed=2))
    return layer


def test_it_is_the_formula_with_one_set_of_coefficients_a_group():
    layer, x = drawn(), 2 * normal(5, 6)
    y = layer(x)
    for channel in range(6):
        a, b = (p[channel // 2] for p in (layer.numerator, layer.denominator))
        u = x[:, channel]
        above = sum(a[m] * u**m for m in range(6))
        below = 1 + sum(b[m - 1].abs() * u.abs() ** m for m in range(1, 5))
        torch.testing.assert_close(y[:, channel], above / below)


def test_gradients_are_those_of_the_paper_and_of_finite_differences():
    layer, x = drawn(2, 1), normal(7, 2).requires_grad_()
    a, b = layer.numerator, layer.denominator

    def run(x, a, b):
        return torch.func.functional_call(layer, {"numerator": a, "denominator": b}, (x,))

    assert torch.autograd.gradcheck(run, (x, a, b))
    y, u = layer(x), x.detach()
    Q = 1 + sum(b[0, m - 1].detach().abs() * u.abs() ** m for m in range(1, 5))
    slopes_a, slopes_b = torch.autograd.grad(y.sum(), (a, b))
    expected_a = torch.stack([(u**m / Q).sum() for m in range(6)])
    expected_b = torch.stack(
        [-(y.detach() / Q * b[0, m - 1].sign() * u.abs() ** m).sum() for m in range(1, 5)]
    )
    torch.testing.assert_close(slopes_a[0], expected_a)
    torch.testing.assert_close(slopes_b[0], expected_b.detach())


@each_start
def test_a_start_imitates_its_activation(start):
    layer = GroupRational(8, 4, start, dtype=torch.float64)
    x = torch.linspace(-3, 3, 601, dtype=torch.float64)[:, None].repeat(1, 8)
    error = (layer(x) - ACTIVATIONS[start](x)).abs().max()
    assert error < {"identity": 1e-15, "gelu": 5e-3, "swish": 1e-5}[start]
    if start == "identity":
        assert torch.equal(layer(100 * x), 100 * x)


@each_start
def test_a_start_is_the_best_fit_nearby(start):
    """The gradient of the squared error vanishes, but where a b is at its bound, 0."""
    layer = GroupRational(1, 1, start, dtype=torch.float64)
    x = torch.linspace(-3, 3, 601, dtype=torch.float64)[:, None]
    (layer(x) - ACTIVATIONS[start](x)).square().mean().backward()
    assert (layer.numerator.grad.abs() < 1e-8).all()
    free = layer.denominator > 1e-6
    assert (layer.denominator.grad[free].abs() < 1e-8).all()
    assert (layer.denominator.grad[~free] > -1e-8).all()


def test_every_coefficient_can_leave_its_start():
    layer = GroupRational(4, 2, dtype=torch.float64)
    layer(normal(50, 4)).square().sum().backward()
    assert (layer.numerator.grad != 0).all() and (layer.denominator.grad != 0).all()


@each_start
def test_the_layer_keeps_the_variance_at_its_start(start):
    """Over inputs, and over the weights drawn: within the noise of 256 outputs."""
    layer = GRKAN(512, 256, start=start, generator=generator(), dtype=torch.float64)
    y = layer(normal(400, 512, seed=1)).detach()
    assert float(y.square().mean()) == pytest.approx(1.0, abs=4 * math.sqrt(2 / 256))
    samples = ACTIVATIONS[start](normal(400_000, seed=5))
    assert gain(start) ** 2 == pytest.approx(1 / float(samples.square().mean()), rel=0.01)


def test_half_precision_is_that_of_its_input():
    layer = GroupRational(8, 2, "swish")
    x = 30 * torch.randn(100, 8, generator=generator())
    for dtype in (torch.bfloat16, torch.float16):
        low, exact = layer(x.to(dtype)), layer(x.to(dtype).float())
        assert low.dtype == dtype and torch.equal(low, exact.to(dtype))
    with torch.autocast("cpu", torch.bfloat16):
        assert torch.equal(layer(x), layer(x))


def test_shapes_dtypes_and_errors():
    layer = GRKAN(8, 5, groups=4, bias=False)
    assert layer(torch.zeros(2, 3, 8)).shape == (2, 3, 5) and layer[1].bias is None
    assert GroupRational(8)(torch.zeros(0, 8)).shape == (0, 8)
    assert {p.dtype for p in GRKAN(8, 2).parameters()} == {torch.float32}
    with pytest.raises(InputError, match="3 groups"):
        GroupRational(8, 3)
    with pytest.raises(InputError, match="gelu"):
        GroupRational(8, start="relu")
    with pytest.raises(ShapeError, match=r"\(\.\.\., 8\)"):
        GroupRational(8)(torch.zeros(2, 7))
    assert all(len(row) == n for row, n in zip(fitted("gelu"), (6, 4), strict=True))


def test_a_transformers_mlp_learns():
    torch.manual_seed(0)
    model = nn.Sequential(GRKAN(8, 32), GRKAN(32, 8, start="gelu"))
    x = torch.randn(128, 8, generator=generator())
    y = torch.sin(2 * x)
    optimiser, losses = torch.optim.Adam(model.parameters(), lr=1e-2), []
    for _ in range(150):
        optimiser.zero_grad()
        loss = (model(x) - y).square().mean()
        loss.backward()
        optimiser.step()
        losses.append(float(loss.detach()))
    assert losses[-1] < 0.1 * losses[0]
