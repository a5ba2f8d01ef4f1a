"""Statistics of edges from moments, against the edges' own samples."""

import copy

import pytest
import torch
from nn_examples import generator, layer_of_all_kinds, normal

from edgewise.bases import BSpline
from edgewise.nn import KANLayer
from edgewise.nn.edges import edge_std, edge_variance, feature_covariance


@pytest.mark.parametrize("rows", [1, 2, 200])
def test_variance_is_that_of_the_samples(rows):
    layer, x = layer_of_all_kinds(), normal(rows, 3)
    layer.mask[2, 0] = 1.0  # a spline and a symbol on one edge
    expected = layer.edges(x).var(0, correction=int(rows > 1))
    torch.testing.assert_close(edge_variance(layer, x), expected, rtol=1e-10, atol=1e-14)


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
def test_small_variances_keep_their_digits(dtype):
    layer = KANLayer(2, 3, BSpline(5, 3), generator=generator(), dtype=torch.float64).to(dtype)
    x = (0.4 + 3e-5 * normal(2000, 2)).to(dtype)
    exact = copy.deepcopy(layer).double().edges(x.double()).var(0)
    assert (exact < 1e-9).all()
    variance = edge_variance(layer, x)
    assert variance.dtype == torch.float64 and (variance >= 0).all()
    # float32 features are rounded at 1e-7 of 1, so single numbers of 1e-5 at 1e-2
    tolerance = (
        {"rtol": 1e-6, "atol": 0} if dtype == torch.float64 else {"rtol": 5e-2, "atol": 1e-14}
    )
    torch.testing.assert_close(variance, exact, **tolerance)


def test_gradients_are_those_of_the_samples_and_finite_where_flat():
    layer, x = layer_of_all_kinds(), normal(50, 3)
    weight = normal(4, 3, seed=8)
    given = torch.autograd.grad((edge_variance(layer, x) * weight).sum(), list(layer.parameters()))
    expected = torch.autograd.grad((layer.edges(x).var(0) * weight).sum(), list(layer.parameters()))
    for one, other in zip(given, expected, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-9, atol=1e-12)
    layer.coef.data.zero_()
    layer.scale_base.data.zero_()
    flat = torch.autograd.grad(edge_std(layer, x).sum(), [layer.coef, layer.scale_base])
    assert all(gradient.isfinite().all() for gradient in flat)


def test_covariance_is_symmetric_and_positive():
    V = feature_covariance(layer_of_all_kinds().features(normal(100, 3)))
    assert V.shape == (3, 8, 8) and V.dtype == torch.float64
    torch.testing.assert_close(V, V.mT)
    assert torch.linalg.eigvalsh(V).min() > -1e-12
