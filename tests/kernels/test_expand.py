"""The functions side by side for very many samples: the kernel's way against the plain one."""

import pytest
import torch

from edgewise.bases import BSpline
from edgewise.kernels.bspline import ops, plain


def samples(rows, inputs, seed=0):
    draw = torch.Generator().manual_seed(seed)
    return 2 * torch.randn(rows, inputs, dtype=torch.float64, generator=draw)


@pytest.mark.parametrize("extrapolation", ["linear", "zero", "clamp"])
@pytest.mark.parametrize("degree", [1, 2, 3, 5])
@pytest.mark.parametrize("grid_eps", [1.0, 0.5])
def test_values_are_those_of_the_definition(degree, grid_eps, extrapolation):
    basis = BSpline(4, degree, extrapolation=extrapolation, grid_eps=grid_eps)
    x = samples(60, 3) * torch.tensor([0.1, 1.0, 30.0])
    tensors = basis.adapt(x[:20], basis.tensors(3, dtype=torch.float64))
    x = torch.cat([x, tensors["grid"][:, [0, -1]].T])
    expected = plain.features(x, tensors["grid"], 0, basis.spline)
    torch.testing.assert_close(basis.expand(x, tensors), expected, rtol=1e-12, atol=1e-12)
    x[1, 1] = torch.nan
    lost = basis.expand(x, tensors).isnan().any(-1)
    assert bool(lost[1, 1]) and int(lost.sum()) == 1
    assert basis.expand(x[:0], tensors).shape == (0, 3, basis.size)


def test_derivatives_of_both_orders():
    basis = BSpline(3, 3)
    grid = basis.adapt(samples(9, 2), basis.tensors(2, dtype=torch.float64))["grid"]
    x = samples(5, 2, seed=1).requires_grad_()

    def expanded(x):
        return ops.features(x, grid, basis.spline)

    assert torch.autograd.gradcheck(expanded, x)
    assert torch.autograd.gradgradcheck(expanded, x)


def test_single_precision_is_as_good_as_the_definition_there():
    basis = BSpline(5, 3)
    x = samples(500, 2).float()
    tensors = basis.adapt(x, basis.tensors(2, dtype=torch.float32))
    true = plain.features(x.double(), tensors["grid"].double(), 0, basis.spline)
    own = (plain.features(x, tensors["grid"], 0, basis.spline) - true).abs().max()
    eps = torch.finfo(torch.float32).eps
    assert (basis.expand(x, tensors) - true).abs().max() <= 2 * own + 4 * eps
