"""The layer-by-layer Jacobian against autograd, over every kind of parameter."""

import pytest
import torch
from nn_examples import Sine, generator, network_of_all_kinds, normal

from edgewise.bases import BSpline
from edgewise.nn import Network
from edgewise.nn.jacobian import jacobian, layout, pack, unpack


def of(network, x):
    """(y, J, J by autograd) with J (B, Y, P): derivatives of ``network`` at its packed theta."""
    at = layout(network)
    theta = pack(network, at)
    y, J = jacobian(network, at, x)
    state = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    columns = []
    for direction in torch.eye(len(theta), dtype=theta.dtype):
        # parameters move linearly with theta, so one directional derivative gives one column
        unpack(network, at, theta + direction)
        tangent = {
            name: parameter.detach() - state[name] for name, parameter in network.named_parameters()
        }
        network.load_state_dict(state)
        primal = {name: state[name] for name in tangent}

        def run(parameters):
            return torch.func.functional_call(network, parameters, (x,))

        columns.append(torch.func.jvp(run, (primal,), (tangent,))[1])
    return y, J, torch.stack(columns, -1)


def networks():
    every = network_of_all_kinds()
    fixed = network_of_all_kinds(affine_trainable=False)
    zero = network_of_all_kinds()
    zero.nodes[0].sum_scale.data[1] = 0.0
    plain = Network([3, 4, 2], BSpline(4, 2), generator=generator(), dtype=torch.float64)
    single = Network([1, 1], BSpline(5, 3, grid_eps=0.1), base="zero", dtype=torch.float64)
    symbols = Network([2, 2, 1], generator=generator(), dtype=torch.float64)
    for layer in symbols.layers:
        for o in range(layer.out_features):
            for i in range(layer.in_features):
                layer.fix_symbolic(o, i, Sine(), (1.0 + o, 0.3 * i, 0.7, -0.2))
    both = Network([2, 1], generator=generator(), dtype=torch.float64)
    both.layers[0].fix_symbolic(0, 1, Sine(), (1.5, 0.2, 0.7, 0.1))
    both.layers[0].mask[0, 1] = 1.0
    made = (every, fixed, zero, plain, single, symbols, both)
    return dict(
        zip(("every", "fixed", "zero", "plain", "single", "symbols", "both"), made, strict=True)
    )


@pytest.mark.filterwarnings("ignore:.torch.jit.script:DeprecationWarning")  # jvp's own
@pytest.mark.parametrize("name", networks())
def test_equals_autograd(name):
    network = networks()[name]
    x = 1.2 * normal(9, network.layers[0].in_features)
    y, J, expected = of(network, x)
    torch.testing.assert_close(y, network(x).detach())
    torch.testing.assert_close(J, expected, rtol=1e-11, atol=1e-11)


@pytest.mark.parametrize("name", networks())
def test_pack_and_unpack_are_inverse(name):
    network = networks()[name]
    at = layout(network)
    theta = pack(network, at)
    assert theta.shape == (at.size,) and not theta.requires_grad
    other = torch.randn(theta.shape, generator=generator(5), dtype=theta.dtype)
    unpack(network, at, other)
    assert torch.equal(pack(network, at), other)
    unpack(network, at, theta)
    assert torch.equal(pack(network, at), theta)


def test_masked_edges_and_the_spline_scale_are_held():
    network = network_of_all_kinds()
    at = layout(network)
    before = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    unpack(network, at, pack(network, at) + 1.0)
    after = network.state_dict()
    for l, layer in enumerate(network.layers):
        assert torch.equal(after[f"layers.{l}.scale_spline"], before[f"layers.{l}.scale_spline"])
        changed = (after[f"layers.{l}.coef"] != before[f"layers.{l}.coef"]).all(-1)
        assert torch.equal(changed, layer.mask != 0)
    assert torch.equal(after["layers.0.grid"], before["layers.0.grid"])


def test_no_rows_give_an_empty_jacobian():
    network = network_of_all_kinds()
    at = layout(network)
    y, J = jacobian(network, at, normal(0, 2))
    assert y.shape == (0, 2) and J.shape == (0, 2, at.size)
