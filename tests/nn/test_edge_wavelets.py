"""Wav-KAN's layer: its formula, its gradients, and blocks that change nothing but the memory."""

import pytest
import torch
from nn_examples import generator, normal
from torch import nn

from edgewise.bases.wavelet_curves import CURVES
from edgewise.errors import InputError, ShapeError
from edgewise.nn import wavelet
from edgewise.nn.wavelet import EdgeWavelets

each_kind = pytest.mark.parametrize("kind", CURVES)


def layer_of(kind="mexican_hat", I=3, O=4):
    layer = EdgeWavelets(I, O, kind, generator=generator(), dtype=torch.float64)
    with torch.no_grad():
        for seed, parameter in enumerate((layer.log_scale, layer.shift)):
            parameter.copy_(0.3 * normal(O, I, seed=seed))
    return layer


@each_kind
def test_it_is_the_formula(kind):
    layer, x = layer_of(kind), normal(6, 3, seed=2)
    y = layer(x)
    for b in range(6):
        for o in range(4):
            edges = [
                layer.weight[o, i]
                * CURVES[kind]((x[b, i] - layer.shift[o, i]) / layer.log_scale[o, i].exp(), 0)
                for i in range(3)
            ]
            torch.testing.assert_close(y[b, o], sum(edges))


@each_kind
def test_gradients_are_those_of_finite_differences(kind):
    layer, x = layer_of(kind, 2, 2), normal(3, 2, seed=3).requires_grad_()
    parameters = dict(layer.named_parameters())

    def run(x, *values):
        return torch.func.functional_call(layer, dict(zip(parameters, values, strict=True)), (x,))

    assert torch.autograd.gradcheck(run, (x, *parameters.values()))


@pytest.mark.parametrize("block", [12, 30, 1])
def test_blocks_change_neither_values_nor_gradients(monkeypatch, block):
    layer, x = layer_of(), normal(11, 3, seed=4).requires_grad_()
    inputs = (x, *layer.parameters())
    whole = layer(x)
    slopes = torch.autograd.grad(whole.square().sum(), inputs)
    monkeypatch.setattr(wavelet, "_BLOCK", block)
    parts = layer(x)
    torch.testing.assert_close(parts, whole)
    for one, other in zip(torch.autograd.grad(parts.square().sum(), inputs), slopes, strict=True):
        torch.testing.assert_close(one, other)
    with torch.no_grad():
        torch.testing.assert_close(layer(x), whole)


def test_what_is_kept_for_the_way_back_does_not_grow_with_the_edges(monkeypatch):
    monkeypatch.setattr(wavelet, "_BLOCK", 1000)
    layer, x = layer_of(I=20, O=30), normal(64, 20)
    kept = {}

    def note(tensor):
        kept[tensor.untyped_storage().data_ptr()] = tensor.untyped_storage().nbytes() // 8
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(note, lambda tensor: tensor):
        layer(x).sum()
    assert sum(kept.values()) < 64 * 20 * 30 / 4


def test_leading_dimensions_and_dtypes_are_those_of_a_linear_layer():
    layer = EdgeWavelets(3, 4)
    assert layer(torch.randn(2, 5, 3, generator=generator())).shape == (2, 5, 4)
    assert layer(torch.zeros(3)).shape == (4,) and layer(torch.zeros(0, 3)).shape == (0, 4)
    assert {p.dtype for p in layer.parameters()} == {torch.float32}
    assert layer(normal(2, 3)).dtype == torch.float32
    with pytest.raises(ShapeError):
        layer(torch.zeros(2, 4))
    with pytest.raises(InputError, match="morlet"):
        EdgeWavelets(3, 4, "haar")


def test_it_learns_behind_a_batch_norm():
    torch.manual_seed(0)
    model = nn.Sequential(EdgeWavelets(2, 16), nn.BatchNorm1d(16), EdgeWavelets(16, 1)).double()
    x = 2 * torch.rand(256, 2, generator=generator(), dtype=torch.float64) - 1
    y = torch.sin(3 * x[:, :1]) * x[:, 1:]
    optimiser, losses = torch.optim.Adam(model.parameters(), lr=1e-2), []
    for _ in range(150):
        optimiser.zero_grad()
        loss = (model(x) - y).square().mean()
        loss.backward()
        optimiser.step()
        losses.append(float(loss.detach()))
    assert losses[-1] < 0.1 * losses[0] and losses[-1] < 0.05 * float(y.var())
