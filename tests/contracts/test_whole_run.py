"""One word chooses the family: the whole run from data to formula goes the same way for all."""

import matplotlib.pyplot as plt
import pytest
import torch

import edgewise
from edgewise import KAN, bases, train
from edgewise.bases import BSpline, Chebyshev
from edgewise.errors import InputError
from edgewise.nn import KANLayer
from edgewise.symbolic.evaluate import evaluate

every_family = pytest.mark.parametrize("family", bases.FAMILIES)


@pytest.fixture(scope="module")
def data():
    draw = torch.Generator().manual_seed(0)
    x = 2 * torch.rand(300, 2, generator=draw, dtype=torch.float64) - 1
    return x, torch.exp(torch.sin(torch.pi * x[:, :1]) + x[:, 1:] ** 2)


@every_family
def test_the_whole_run(family, data, tmp_path):
    x, y = data
    model = KAN([2, 5, 1], basis=family, seed=1)
    history = model.fit((x, y), steps=20, restarts=1, lamb=1e-2)
    assert history["train_loss"][-1] < 0.5 * float(y.std())
    small = model.prune()
    assert small.n_parameters < model.n_parameters
    refined, change = train.refine(small, 10)
    assert refined.layers[0].basis.size > small.layers[0].basis.size and change < 0.02
    history = refined.fit((x, y), steps=15, restarts=1)
    assert history["train_loss"][-1] < 0.15 * float(y.std())
    plt.close(refined.plot())
    path = edgewise.save(refined, tmp_path / "model.edgewise")
    assert torch.equal(edgewise.load(path)(x), refined(x))
    refined.auto_symbolic(lib=["x", "x^2", "sin", "exp"], beam=1)
    formula = refined.symbolic_formula()
    values = evaluate(formula, {"x_1": x[:, 0], "x_2": x[:, 1]})
    torch.testing.assert_close(values, refined(x)[:, 0], rtol=1e-10, atol=1e-10)


@every_family
def test_a_layer_by_the_familys_name_trains(family):
    layer = KANLayer(3, 4, family, generator=torch.Generator().manual_seed(0))
    x = torch.randn(5, 3, generator=torch.Generator().manual_seed(1)).requires_grad_()
    layer(x).square().sum().backward()
    assert x.grad is not None and all(
        p.grad is not None and bool(p.grad.isfinite().all())
        for name, p in layer.named_parameters()
        if name != "symbolic_affine"
    )


@every_family
def test_the_grid_is_the_size_of_every_family(family):
    sizes = [KAN([1, 1], grid, basis=family).layers[0].basis.size for grid in (4, 9, 20)]
    assert sizes == sorted(set(sizes))


def test_layers_may_differ():
    model = KAN([2, 3, 1], grid=[4, 6], basis=["fourier", Chebyshev.family])
    assert [layer.basis.family for layer in model.layers] == ["fourier", "chebyshev"]
    assert [layer.basis.grid for layer in model.layers] == [4, 6]


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"basis": "splines"}, "expected one of"),
        ({"basis": "rbf", "k": 4}, "k=4 is a degree of splines; the size of 'rbf' is grid"),
        ({"basis": "rbf", "grid_eps": 0.5}, "no options"),
        ({"basis": BSpline(3), "grid": 7}, "has its own grid"),
        ({"basis": ["rbf"]}, "1 bases and 2 grids came for 2 layers"),
        ({"grid": [5]}, "2 bases and 1 grids came for 2 layers"),
    ],
)
def test_what_does_not_fit_is_said(options, said):
    with pytest.raises(InputError, match=said.replace("(", r"\(")):
        KAN([2, 2, 1], **options)
