"""The prior of smoothness: scale-free, of the gradient it says, and a curve's end goes on with it."""

import pytest
import torch
from train_examples import generator

from edgewise import train
from edgewise.bases import BSpline
from edgewise.nn import Network
from edgewise.train.smoothness import Bends

F64 = {"dtype": torch.float64}


def weights(edges=3, size=12):
    return torch.randn(edges, size + 1, generator=generator(), **F64)


def logarithm(c, basis):
    """E log(sum c'Rc / sum c'Vc) over the E edges."""
    rough = c.diff(n=basis.degree + 2, dim=1).square().sum() / 4
    return len(c) * (rough / (c - c.mean(1, keepdim=True)).square().sum()).log()


def test_its_gradient_is_that_of_the_relative_roughness():
    basis, block = BSpline(9, 3), weights()
    prior = Bends(basis, 0.01, **F64)
    prior.fix(block, 1e-6)
    c = block[:, :-1].clone().requires_grad_()
    expected = 0.2 * 0.01 * 1e-6 * torch.autograd.grad(logarithm(c, basis), c)[0]
    slope = prior.curvature(block)[1]
    torch.testing.assert_close(slope[:, :-1], expected, rtol=1e-5, atol=0.0)
    assert bool((slope[:, -1] == 0).all())


def test_the_curvature_is_that_of_its_value():
    prior, block = Bends(BSpline(9, 3), 0.01, **F64), weights()
    prior.fix(block, 1e-3)
    curvature, slope = prior.curvature(block)
    step = 0.3 * torch.randn(block.shape, generator=generator(1), **F64)
    quadratic = (slope * step).sum() + ((step @ curvature) * step).sum() / 2
    assert prior.value(block + step) - prior.value(block) == pytest.approx(float(quadratic))
    assert torch.linalg.eigvalsh(curvature).min() > -1e-12
    assert prior.value(block) == pytest.approx(0.2 * 3 * 0.01 * 1e-3)  # three curves


def test_neither_units_nor_offsets_matter():
    """What is asked of curves a c + b is a times what is asked of c."""
    block, values = weights(), []
    for scale, offset in ((1.0, 0.0), (1e3, -50.0), (1e-4, 2.0)):
        prior, moved = Bends(BSpline(9, 3), 0.01, **F64), scale * block + offset
        prior.fix(moved, 1e-4)
        values.append(scale * prior.curvature(moved)[1][:, :-1])
    for other in values[1:]:
        torch.testing.assert_close(other, values[0], rtol=1e-6, atol=1e-15)


def test_a_polynomial_of_the_next_degree_is_smooth():
    basis = BSpline(9, 3)
    tensors = basis.tensors(1, **F64)
    points = basis.design_points(tensors)
    c = basis.project(points, points[:, None] ** 3 - points[:, None], tensors)[:, 0]
    prior = Bends(basis, 1.0, **F64)
    assert float(prior._rough(c)) < 1e-24


@pytest.mark.parametrize("grid", [20, 50])
def test_an_unseen_end_goes_on_to_the_order_of_the_differences(grid):
    """Of exp on [-1, 1], samples end one interval early: the last coefficient has none."""
    seen = 1.0 - 2.0 / grid
    x = torch.rand(1500, 1, generator=generator(), **F64) * (1 + seen) - 1
    model = Network([1, 1], BSpline(grid), base="zero", generator=generator(1), **F64)
    beyond = torch.linspace(seen, 1.0, 50, **F64)[:, None]
    fitted = train.fit(model, (x, x.exp()), solver=train.LevenbergMarquardt(60)).model
    with torch.no_grad():
        inside = float((fitted(x) - x.exp()).abs().max())
        outside = float((fitted(beyond) - beyond.exp()).abs().max())
    assert inside < 1.0 / grid**4 and outside < 5 * (2.0 / grid) ** 5


def test_a_grid_covers_its_samples_until_one_lies_outside():
    x = torch.rand(40, 2, generator=generator(), **F64)
    model = Network([2, 2, 1], generator=generator(1), **F64)
    train.update_grids(model, x)
    assert train.covers(model, x)
    assert not train.covers(model, torch.cat([x, torch.tensor([[0.5, 1.5]], **F64)]))
    with torch.no_grad():
        model.layers[0].coef *= 3.0  # now hidden values leave the second layer's range
    assert not train.covers(model, x)
    model.layers[1].switch_off(torch.ones(1, 2, dtype=torch.bool))
    assert train.covers(model, x)


def test_curves_that_are_all_constant_are_free_to_bend():
    """Without differences to compare with there is no prior, rather than an endless one."""
    prior = Bends(BSpline(5), 0.1, dtype=torch.float64)
    block = torch.zeros(3, BSpline(5).size + 1, dtype=torch.float64)
    prior.fix(block, 0.5)
    curvature, slope = prior.curvature(block)
    assert not curvature.any() and not slope.any()
    assert prior.value(block + torch.arange(9)) == 0.0
