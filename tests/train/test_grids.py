"""Grids that follow the samples, and refinement."""

import pytest
import torch
from train_examples import generator, small_model

from edgewise import train
from edgewise.errors import InputError


def inputs(rows=300):
    return torch.randn(rows, 2, generator=generator(), dtype=torch.float64)


def trained(**options):
    x = inputs()
    y = torch.sin(x[:, [0]]) + x[:, [1]] ** 2 / 4
    solver = train.LevenbergMarquardt(20, grids=train.GridUpdates(2, 10))
    return train.fit(small_model((2, 3, 1), **options), (x, y), solver=solver).model


@pytest.mark.parametrize("grid_eps", [1.0, 0.5, 0.02])
def test_updating_follows_the_samples_and_keeps_the_function_on_them(grid_eps):
    model = trained(grid_eps=grid_eps, grid=8)
    x = inputs()[:200] * 0.9
    before = model(x).detach()
    train.update_grids(model, x)
    change = (model(x).detach() - before).std() / before.std()
    assert change < 0.05
    trace = model.trace(x)
    for layer, entering in zip(model.layers, trace.inputs, strict=True):
        lower, upper = layer.basis.range_of(layer.basis_tensors)
        slack = 0.1 * (
            upper - lower
        )  # deeper inputs move a little once their layer is fitted again
        assert (entering.amin(0) >= lower - slack).all()
        assert (entering.amax(0) <= upper + slack).all()


def test_updating_twice_changes_nothing_more():
    model, x = trained(), inputs()
    train.update_grids(model, x)
    first = model(x).detach()
    for _ in range(3):
        train.update_grids(model, x)
    torch.testing.assert_close(model(x).detach(), first, rtol=0, atol=1e-2 * float(first.std()))


def test_a_dead_input_is_left_alone():
    model, x = trained(), inputs()
    x[:, 1] = 0.3
    grid = model.layers[0].grid[1].clone()
    train.update_grids(model, x)
    assert torch.equal(model.layers[0].grid[1], grid)
    assert model(x).isfinite().all()


@pytest.mark.parametrize("times", [1, 2, 3, 5])
@pytest.mark.parametrize("grid_eps", [1.0, 0.02])
def test_refining_by_a_multiple_is_exact(times, grid_eps):
    model = trained(grid_eps=grid_eps)
    x = 2 * inputs()  # outside the range too
    finer, change = train.refine(model, 4 * times)
    expected = model(x).detach()
    torch.testing.assert_close(
        finer(x).detach(), expected, rtol=1e-11, atol=1e-11 * float(expected.abs().max())
    )
    assert change < 1e-12
    assert {layer.basis.grid for layer in finer.layers} == {4 * times}


def test_refining_otherwise_reports_the_change():
    model = trained()
    finer, change = train.refine(model, 7)
    x = inputs()
    actual = float((finer(x) - model(x)).abs().max().detach())
    assert 1e-6 < change < 0.2
    assert actual < 3 * change * float(
        sum(edges.abs().amax(0).sum() for edges in model.trace(x).edges)
    )
    _, coarser = train.refine(model, 2)
    assert coarser > change


def test_refining_makes_an_independent_model():
    model = trained()
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    finer, _ = train.refine(model, [8, 4])
    assert [layer.basis.grid for layer in finer.layers] == [8, 4]
    with torch.no_grad():
        for tensor in finer.state_dict().values():
            tensor.zero_()
    assert all(torch.equal(tensor, before[name]) for name, tensor in model.state_dict().items())


@pytest.mark.parametrize(
    ("grid", "words"), [(0, "grid is 0"), (2.5, "grid is 2.5"), ([5], "1 grid sizes.*2 layers")]
)
def test_grids_that_make_no_sense(grid, words):
    with pytest.raises(InputError, match=words):
        train.refine(small_model(), grid)
