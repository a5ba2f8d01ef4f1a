"""Trained shapes of a basis: parameters of the layer that every verb and solver knows."""

import pytest
import torch
from nn_examples import Sine, generator, normal
from torch import nn

from edgewise import interpret
from edgewise.bases import Rational, Wavelet
from edgewise.io import load, save
from edgewise.nn import KANLayer, Network
from edgewise.nn.jacobian import jacobian, layout, pack, unpack
from edgewise.train import LBFGS, Adam, LevenbergMarquardt, fit, refine, update_grids

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
    x = 1.2 * normal(5, 3)  # beyond the range too
    at = layout(model)
    y, J = jacobian(model, at, x)
    torch.testing.assert_close(y, model(x).detach())
    every = [shape for layer in model.layers for shape in layer.shapes.values()]
    rows = [torch.autograd.grad(v, every, retain_graph=True) for v in model(x).flatten()]
    for own, layer in zip(at.layers, model.layers, strict=True):
        start = own.start + len(own.splines[0]) * (basis.size + 1) + 4 * len(own.symbols[0])
        found = J[..., start : own.stop].flatten(0, 1)
        places = [
            n for n, shape in enumerate(every) if any(shape is s for s in layer.shapes.values())
        ]
        expected = [torch.cat([row[n][own.shaped].flatten() for n in places]) for row in rows]
        torch.testing.assert_close(found, torch.stack(expected), rtol=1e-10, atol=1e-12)


@each_basis
def test_theta_holds_the_shapes_of_the_inputs_that_splines_read(basis):
    model = network(basis)
    at = layout(model)
    theta, before = pack(model, at), {n: p.detach().clone() for n, p in model.named_parameters()}
    unpack(model, at, theta + 1.0)
    for layer, start in zip(model.layers, ("layers.0.", "layers.1."), strict=True):
        for name, shape in layer.shapes.items():
            moved = (shape != before[start + name]).all(1)
            assert torch.equal(moved, (layer.mask != 0).any(0))
    unpack(model, at, theta)
    assert all(torch.equal(before[name], p) for name, p in model.named_parameters())
    assert model.n_parameters == at.size + sum(int((l.mask != 0).sum()) for l in model.layers)


def test_shapes_that_are_held_stay():
    model = network(Rational())
    free = layout(model).size
    model.layers[0].denominator.requires_grad_(False)
    assert layout(model).size == free - 2 * 3 and len(model.layers[1].shapes) == 1
    before = model.layers[0].denominator.clone()
    fitted = fit(model, (normal(40, 3), normal(40, 2)), solver=LevenbergMarquardt(steps=3)).model
    assert torch.equal(fitted.layers[0].denominator, before)
    assert not torch.equal(fitted.layers[1].denominator, model.layers[1].denominator)


@each_basis
@pytest.mark.parametrize("solver", [LevenbergMarquardt(3), LBFGS(3), Adam(3)], ids=lambda s: s.name)
def test_every_solver_trains_shapes_and_leaves_the_given_model(basis, solver):
    model = Network([2, 1], basis, noise=0.5, generator=generator(), dtype=torch.float64)
    state = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    x = normal(60, 2).tanh()
    fitted = fit(model, (x, torch.sin(4 * x.sum(1, keepdim=True))), solver=solver).model
    for name in basis.shape_names:
        assert not torch.equal(getattr(fitted.layers[0], name), state[f"layers.0.{name}"])
    assert all(torch.equal(state[name], tensor) for name, tensor in model.state_dict().items())


@each_basis
def test_a_clone_a_refinement_and_a_pruned_network_keep_the_shapes(basis):
    model, x = network(basis), normal(60, 3)
    copy = model.clone()
    for own, other in zip(model.parameters(), copy.parameters(), strict=True):
        assert torch.equal(own, other) and own.data_ptr() != other.data_ptr()
    finer, change = refine(model, 11)
    torch.testing.assert_close(finer(x), model(x), rtol=1e-9, atol=1e-9)
    assert change < 1e-9 and all(
        isinstance(s, nn.Parameter) for s in finer.layers[0].shapes.values()
    )
    smaller, kept = interpret.prune_inputs(model, model.trace(x), keep=[0, 1])
    for name, shape in smaller.layers[0].shapes.items():
        assert torch.equal(shape, getattr(model.layers[0], name)[kept])
        assert isinstance(shape, nn.Parameter) and shape.requires_grad
    torch.testing.assert_close(smaller(x[:, kept]), model(x))


@each_basis
def test_the_start_can_be_drawn_anew(basis):
    model = network(basis)
    model.layers[0].reset_parameters(generator=generator())
    first = basis.tensors(3, dtype=torch.float64)
    assert all(torch.equal(s, first[name]) for name, s in model.layers[0].shapes.items())


@each_basis
def test_files_hold_shapes_to_the_bit(basis, tmp_path):
    model = network(basis)
    model.layers[0].unfix_symbolic(1, 0)
    model.layers[0].primitives = ()
    update_grids(model, normal(60, 3))
    again = load(save(model, tmp_path / "model"))
    state = again.state_dict()
    assert all(torch.equal(state[name], tensor) for name, tensor in model.state_dict().items())
    assert again.layers[0].basis == basis
    flags = [(name, p.requires_grad) for name, p in model.named_parameters()]
    assert [(name, p.requires_grad) for name, p in again.named_parameters()] == flags


@each_basis
def test_roughness_is_that_of_the_functions_as_they_are(basis):
    start = basis.tensors(2, dtype=torch.float64)
    R = basis.roughness(dtype=torch.float64)
    torch.testing.assert_close(basis.roughness_of(start), R.expand(2, -1, -1))
    unit = R.diagonal().max() / basis.bending(start)[0].diagonal().max()
    moved = {name: t + 0.2 * normal(*t.shape) for name, t in start.items() if name != "limits"}
    z = torch.linspace(-1, 1, 4001, dtype=torch.float64)[:, None].expand(-1, 2)
    bends = basis.unit(z, moved, 2)
    summed = torch.einsum("bik,bil->ikl", bends, bends) * (2 / 4001) * unit
    found = basis.roughness_of(start | moved)
    torch.testing.assert_close(found, summed, rtol=0, atol=2e-3 * float(summed.abs().max()))


def test_wavelets_that_coincide_are_fitted_with_moderate_coefficients():
    basis = Wavelet(5, trainable=True)
    tensors = basis.tensors(1, dtype=torch.float64)
    tensors["shift"][:, 4] = tensors["shift"][:, 3] + 1e-6
    tensors["log_scale"][:, 4] = tensors["log_scale"][:, 3]
    tensors["shift"][:, 6] = 50.0  # nothing of it is left on the range
    points = basis.design_points(tensors)
    coef = basis.project(points, torch.sin(3 * points)[:, None], tensors)
    assert coef.isfinite().all() and coef.abs().max() < 1e4
