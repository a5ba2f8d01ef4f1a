"""Networks: forward and trace agree, clones are independent, widths are checked."""

import copy

import pytest
import torch
from nn_examples import generator, network_of_all_kinds, normal

from edgewise.bases import BSpline
from edgewise.errors import InputError, ShapeError
from edgewise.nn import Network


def test_forward_is_the_traces_output_and_the_trace_is_consistent():
    network, x = network_of_all_kinds(), normal(30, 2)
    trace = network.trace(x)
    torch.testing.assert_close(network(x), trace.output, rtol=1e-13, atol=1e-13)
    assert torch.equal(trace.inputs[0], x)
    after = [*trace.inputs[1:], trace.output]
    for l, (layer, nodes) in enumerate(zip(network.layers, network.nodes, strict=True)):
        torch.testing.assert_close(trace.edges[l], layer.edges(trace.inputs[l]))
        torch.testing.assert_close(trace.sums[l], trace.edges[l].sum(-1))
        torch.testing.assert_close(after[l], nodes(trace.sums[l]))
    assert not trace.output.requires_grad


def everything(module):
    """All that the modules of a network hold, in comparable form."""
    held = {}
    for name, part in module.named_modules():
        for key, value in vars(part).items():
            if key in ("_parameters", "_buffers"):
                for inner, tensor in value.items():
                    held[name, key, inner] = None if tensor is None else tensor.detach().clone()
            elif key != "_modules":
                held[name, key] = copy.copy(value)
    return held


@pytest.mark.parametrize("call", ["__call__", "trace"])
def test_running_leaves_nothing_on_the_modules(call):
    network = network_of_all_kinds()
    before = everything(network)
    getattr(network, call)(normal(30, 2))
    after = everything(network)
    assert before.keys() == after.keys()
    for key, value in before.items():
        assert torch.equal(value, after[key]) if torch.is_tensor(value) else value == after[key]


def test_a_clone_shares_no_storage_and_keeps_the_function():
    network, x = network_of_all_kinds(), normal(30, 2)
    clone = network.clone()
    before = network(x)
    assert torch.equal(clone(x), before)
    own = {t.data_ptr() for t in (*network.parameters(), *network.buffers())}
    assert own.isdisjoint(t.data_ptr() for t in (*clone.parameters(), *clone.buffers()))
    with torch.no_grad():
        for tensor in (*clone.parameters(), *clone.buffers()):
            tensor.zero_()
    clone.layers[0].primitives = ()
    assert torch.equal(network(x), before)


@pytest.mark.parametrize("shape", [(), (5,), (2, 3), (0,)])
def test_leading_dimensions(shape):
    network = network_of_all_kinds()
    x = normal(*shape, 2)
    assert network(x).shape == (*shape, 2)
    torch.testing.assert_close(network(x).reshape(-1, 2), network(x.reshape(-1, 2)))


@pytest.mark.parametrize("dtype", [torch.float32, torch.float16])
def test_any_float_dtype_comes_in_and_its_own_goes_out(dtype):
    network, x = network_of_all_kinds(), normal(6, 2).to(dtype)
    assert network(x).dtype == network.trace(x).output.dtype == network.dtype == torch.float64
    assert torch.equal(network(x), network(x.double()))


def test_inputs_that_do_not_fit():
    network = network_of_all_kinds()
    with pytest.raises(ShapeError, match=r"\(5, 3\).*\(\.\.\., 2\)"):
        network(torch.zeros(5, 3))
    with pytest.raises(ShapeError, match="int64"):
        network(torch.zeros(5, 2, dtype=torch.int64))
    with pytest.raises(ShapeError, match="ndarray"):
        network(torch.zeros(5, 2).numpy())
    with pytest.raises(ShapeError, match=r"\(B, I\).*\(1, 5, 2\)"):
        network.trace(torch.zeros(1, 5, 2))


@pytest.mark.parametrize(("N", "L", "G", "k"), [(3, 2, 5, 3), (5, 1, 10, 2), (2, 4, 3, 1)])
def test_the_number_of_parameters_is_the_papers(N, L, G, k):
    network = Network([N] * (L + 1), BSpline(G, k))
    scales = 2 * N * N * L  # w_b and w_s
    assert network.n_parameters == N * N * L * (G + k) + scales
    network.layers[0].mask[0, 0] = 0.0
    assert network.n_parameters == (N * N * L - 1) * (G + k + 2)


def test_width_and_arity_are_told_as_they_were_given():
    network = network_of_all_kinds()
    assert network.width == [(2, 0), (2, 2), (1, 1)]
    assert network.mult_arity == [(), (2, 3), (2,)]
    assert [layer.out_features for layer in network.layers] == [7, 3]
    assert Network([2, [0, 1]], mult_arity=4).layers[0].out_features == 4


def test_a_width_given_is_not_changed():
    width = [2, [1, 1], 1]
    Network(width)
    assert width == [2, [1, 1], 1]


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"width": 3}, "width is 3"),
        ({"width": [3]}, "at least inputs and outputs"),
        ({"width": [2, "5", 1]}, r"width\[1\] is '5'"),
        ({"width": [2, 5.0, 1]}, r"width\[1\] is 5.0"),
        ({"width": [2, -5, 1]}, r"width\[1\] is -5"),
        ({"width": [2, [1, 2, 3], 1]}, r"width\[1\]"),
        ({"width": [2, 0, 1]}, r"width\[1\] is 0"),
        ({"width": [2, True, 1]}, r"width\[1\] is True"),
        ({"width": [0, 1]}, r"width\[0\]"),
        ({"width": [[1, 1], 1]}, "inputs cannot be products"),
        ({"width": [2, [1, 1], 1], "mult_arity": [[], [2, 2], []]}, r"mult_arity\[1\]"),
        ({"width": [2, [1, 1], 1], "mult_arity": 1}, "mult_arity is 1"),
        ({"width": [2, [1, 1], 1], "mult_arity": [2, 2, 2]}, r"mult_arity\[0\]"),
        ({"width": [2, 1], "basis": [BSpline(), BSpline()]}, "2 bases.*1 layers"),
        ({"width": [2, 1], "input_names": ["a"]}, "input_names has 1"),
        ({"width": [2, 1], "output_names": ["a", "b"]}, "output_names has 2"),
        ({"width": [2, 1], "base": "relu"}, "relu"),
    ],
    ids=str,
)
def test_networks_that_make_no_sense(arguments, words):
    with pytest.raises(InputError, match=words):
        Network(**arguments)


def test_state_dict_holds_the_function():
    network, x = network_of_all_kinds(), normal(10, 2)
    other = network_of_all_kinds()
    for parameter in other.parameters():
        parameter.data.normal_(generator=generator(77))
    other.load_state_dict(network.state_dict())
    assert torch.equal(other(x), network(x))
