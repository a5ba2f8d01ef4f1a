"""One fit for every family: its sizes, its ranges and its prior are the family's own."""

import pytest
import torch
from train_examples import generator, smooth

from edgewise import KAN, bases, train
from edgewise.problems.dataset import Samples
from edgewise.train import LBFGS, Adam, Auto, GridUpdates, LevenbergMarquardt

double = torch.float64
every_family = pytest.mark.parametrize("family", sorted(bases.FAMILIES))


def sums(rows=150):
    """A sum of a function of each input, which one layer can hold."""
    x = 1 + 2 * torch.rand(rows, 2, generator=generator(4), dtype=double)
    return x, torch.sin(2 * x[:, [0]]) + x[:, [1]].square()


def rms(model, x, y):
    return float((model(x) - y).square().mean().sqrt().detach())


@every_family
@pytest.mark.parametrize("grid", [4, 12])
def test_one_layer_comes_to_the_least_squares_fit(family, grid):
    """The prior of smoothness must not keep a family from what its functions can do."""
    x, y = sums()
    model = KAN([2, 1], basis=bases.make(family, grid=grid), seed=0, base_fun="zero")
    train.update_grids(model, x)
    fitted = train.fit(model, (x, y), solver=LevenbergMarquardt(40)).model
    A = fitted.layers[0].features(x).detach().flatten(1)
    best = A @ torch.linalg.lstsq(A, y, driver="gelsd").solution
    assert rms(fitted, x, y) <= 1.1 * float((best - y).square().mean().sqrt()) + 1e-9


@every_family
@pytest.mark.parametrize(
    "solver", [LBFGS(40, grids=GridUpdates(2, 10)), Adam(40), Auto(4, restarts=1, warm_up=20)]
)
def test_every_solver_fits_every_family(family, solver):
    x = 1.5 * torch.rand(50, 2, generator=generator(1), dtype=double)
    y = smooth(x)
    model = KAN([2, 2, 1], basis=bases.make(family, grid=4), seed=1)
    fitted = train.fit(model, (x, y), solver=solver)
    assert rms(fitted.model, x, y) < 0.5 * float(y.std())
    kept = [layer.basis for layer in fitted.model.layers]
    assert kept == [layer.basis for layer in model.layers]


@every_family
def test_auto_passes_through_the_sizes_asked_for(family):
    x, y = sums(60)
    model = KAN([2, 1], basis=bases.make(family, grid=3), seed=0)
    fitted = train.fit(model, (x, y), solver=Auto(10, 1, grids=(3, 6), warm_up=20))
    assert fitted.model.layers[0].basis in [model.layers[0].basis.resized(g) for g in (3, 6)]
    notes = [text for _, text in fitted.history.events]
    assert "grid refined to 6" in notes


@every_family
def test_ranges_follow_the_inputs_and_curves_stay(family):
    x, y = sums()
    data = Samples(x, y)
    model = KAN([2, 3, 1], basis=bases.make(family, grid=10), seed=0)
    train.update_grids(model, data.x)
    before = model(x).detach()
    train.update_grids(model, data.x)
    lower, upper = model.layers[0].basis.range_of(model.layers[0].basis_tensors)
    assert bool((lower <= x.amin(0)).all() and (upper >= x.amax(0)).all())
    assert bool((lower >= x.amin(0) - 0.2).all() and (upper <= x.amax(0) + 0.2).all())
    assert (model(x).detach() - before).abs().max() <= 1e-3 * before.std()
