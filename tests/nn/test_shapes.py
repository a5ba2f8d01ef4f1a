"""Trained shapes of a basis: parameters of the layer that every verb and solver knows."""

import pytest
import torch
from nn_examples import Sine, generator, normal

from edgewise import interpret
from edgewise.bases.rational import Rational
from edgewise.bases.wavelet import Wavelet
from edgewise.nn import KANLayer, Network
from edgewise.nn.jacobian import jacobian, layout, pack, unpack
from edgewise.train import refine, update_grids

BASES = [Rational(), Rational(4, denominator_degree=3), Wavelet(3, trainable=True)]
each_basis = pytest.mark.parametrize("basis", BASES, ids=str)


def network(basis, width=(3, 2, 2), seed=0):
    """A network with shapes away from their start, a dead input, symbols and masked edges."""
    made = Network(list(width), basis, noise=0.5, generator=generator(seed), dtype=torch.float64)
    with torch.no_grad():
        for layer in made.layers:
            for n, shape in enumerate(layer.shapes.values()):
                shape.add_(0.2 * normal(*shape.shape, seed=seed + n))
    made.layers[0].switch_off((slice(None), 2))
    made.layers[0].fix_symbolic(1, 0, Sine(), (1.2, 0.3, 0.9, -0.1))
    made.layers[1].scale_spline.data.mul_(1.3)
    return made


@each_basis
def test_shapes_are_parameters_and_the_rest_is_not(basis):
    layer = KANLayer(3, 2, basis)
    named = dict(layer.named_parameters())
    assert set(layer.shapes) == set(basis.shape_names) <= set(named)
    assert "limits" not in named and "limits" in dict(layer.named_buffers())
    assert all(
        shape.shape[0] == 3 and shape.dtype == torch.float32 for shape in layer.shapes.values()
    )
    assert KANLayer(3, 2, Wavelet(3)).shapes == {}


@each_basis
def test_every_shape_has_a_gradient_at_the_start(basis):
    layer = KANLayer(2, 3, basis, dtype=torch.float64, generator=generator())
    layer(0.9 * normal(50, 2).tanh()).square().sum().backward()
    for shape in layer.shapes.values():
        assert (shape.grad.abs() > 1e-6).all()


@each_basis
def test_the_jacobian_of_shapes_is_that_of_autograd(basis):
    model = network(basis)
    x = 1.2 * normal(9, 3)  # beyond the range too
    at = layout(model)
    theta = pack(model, at)
    y, J = jacobian(model, at, x)
    torch.testing.assert_close(y, model(x).detach())
    state = model.state_dict()
    column = 0
    for layer, own in zip(model.layers, at.layers, strict=True):
        column = own.start + len(own.splines[0]) * (basis.size + 1) + 4 * len(own.symbols[0])
        for name, shape in layer.shapes.items():
            for i in own.shaped.tolist():
                for p in range(shape.shape[1]):
                    expected = torch.stack(
                        [
                            torch.stack(
                                [
                                    torch.autograd.grad(value, shape, retain_graph=True)[0][i, p]
                                    for value in row
                                ]
                            )
                            for row in model(x)
                        ]
                    )
                    torch.testing.assert_close(J[..., column], expected, rtol=1e-10, atol=1e-12)
                    column += 1
        assert column == own.stop
    assert torch.equal(pack(model, at), theta)
    assert all(torch.equal(state[name], value) for name, value in model.state_dict().items())
