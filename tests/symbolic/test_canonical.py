"""The canonical form keeps the function and leaves no two constants that trade with each other."""

import pytest
import torch

from edgewise.nn import Network
from edgewise.nn.jacobian import jacobian, layout
from edgewise.symbolic.canonical import canonicalise, free_constants
from edgewise.symbolic.primitives import PRIMITIVES

# name -> (a, b) that keep the function inside its domain on [0.5, 1.5], with awkward signs
EDGES = {
    "x": (-1.3, 0.4),
    "x^2": (-1.7, 0.3),
    "x^3": (-0.8, 0.2),
    "1/x": (-1.1, -0.4),
    "sqrt": (2.0, 0.3),
    "x^1.5": (0.7, 0.2),
    "log": (1.6, 0.5),
    "exp": (-0.9, 0.8),
    "abs": (-1.5, 2.9),
    "sin": (-2.2, 7.1),
    "tanh": (-0.8, 0.3),
    "arctan": (-1.9, 0.1),
    "gaussian": (-0.6, 0.2),
    "cosh": (-0.5, 0.1),
}


def network(first: str, second: str, outer: str) -> Network:
    model = Network([2, 1, 1], dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    for i, name in enumerate((first, second)):
        a, b = EDGES[name]
        model.layers[0].fix_symbolic(0, i, PRIMITIVES[name], (a, b, 0.6 - 0.2 * i, 0.7))
    x = inputs()
    u = model.layers[0](x)
    # the outer function's argument is put into [1, 2], where all are defined
    a = 1.0 / float((u.max() - u.min()).detach())
    b = 1.0 - a * float(u.min().detach())
    model.layers[1].fix_symbolic(0, 0, PRIMITIVES[outer], (a, b, -2.3, 0.9))
    with torch.no_grad():
        model.nodes[0].sum_bias.fill_(0.0)
        model.nodes[1].node_scale.fill_(1.7)
        model.nodes[1].node_bias.fill_(-0.3)
    return model


def inputs() -> torch.Tensor:
    generator = torch.Generator().manual_seed(1)
    return 0.5 + torch.rand(200, 2, generator=generator, dtype=torch.float64)


@pytest.mark.parametrize("outer", sorted(EDGES))
@pytest.mark.parametrize("first", sorted(EDGES))
def test_the_function_stays(first: str, outer: str) -> None:
    model = network(first, "sin", outer)
    x = inputs()
    before = model(x)
    canonicalise(model)
    assert torch.allclose(model(x), before, rtol=1e-9, atol=1e-11)
    assert bool((model.nodes[1].node_scale == 1).all() & (model.nodes[1].node_bias == 0).all())


# |u| of a positive u is u, whose shift cannot be told from the constant behind it
@pytest.mark.parametrize("outer", sorted(set(EDGES) - {"abs"}))
@pytest.mark.parametrize("first", ["x^2", "sin", "log", "exp"])
def test_free_constants_do_not_trade_with_each_other(first: str, outer: str) -> None:
    """The Jacobian in the free constants alone has full rank; that in all constants has not."""
    model = network(first, "tanh", outer)
    canonicalise(model)
    x = inputs()
    _, J = jacobian(model, layout(model), x)
    free = [
        free_constants(model, l, o, i)[n]
        for l, layer in enumerate(model.layers)
        for o, i in (layer.symbolic_code != 0).nonzero().tolist()
        for n in range(4)
    ]
    part = J[:, 0, torch.tensor(free)]
    part = part / part.square().sum(0).sqrt()
    assert int(torch.linalg.matrix_rank(part, rtol=1e-9)) == part.shape[1]
    assert part.shape[1] < J.shape[2]


def test_twice_is_once() -> None:
    model = network("x^2", "exp", "sin")
    canonicalise(model)
    once = [layer.symbolic_affine.detach().clone() for layer in model.layers]
    canonicalise(model)
    for before, layer in zip(once, model.layers, strict=True):
        assert torch.allclose(layer.symbolic_affine, before, rtol=1e-12, atol=1e-14)


def test_products_keep_their_function() -> None:
    model = Network([2, [1, 1], 1], dtype=torch.float64)
    for o in range(3):
        for i, name in enumerate(("sin", "exp")):
            a, b = EDGES[name]
            model.layers[0].fix_symbolic(o, i, PRIMITIVES[name], (a, b, 0.5 + o, 0.1 * o))
    for i, name in enumerate(("x", "tanh")):
        a, b = EDGES[name]
        model.layers[1].fix_symbolic(0, i, PRIMITIVES[name], (a, b, 1.2, 0.4))
    x = inputs()
    before = model(x)
    canonicalise(model)
    assert torch.allclose(model(x), before, rtol=1e-10, atol=1e-12)
