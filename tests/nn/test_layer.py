"""KANLayer against its formula, edge by edge, and as a torch module among others."""

import copy

import pytest
import torch
from nn_examples import Sine, Square, generator, layer_of_all_kinds, normal

from edgewise.bases import BSpline
from edgewise.errors import InputError, ShapeError
from edgewise.nn import KANLayer


def edge_by_edge(layer, x, order=0):
    """phi_oi(x_i) from the docstring's formula, one edge at a time: (B, O, I)."""
    base = {"silu": torch.nn.functional.silu, "identity": lambda u: u, "zero": torch.zeros_like}
    x = x.clone().requires_grad_()
    columns = []
    for o in range(layer.out_features):
        for i in range(layer.in_features):
            u = x[:, i]
            one = {"grid": layer.grid[[i]]}
            B = layer.basis.features(u[:, None], one)[:, 0]
            spline = layer.scale_spline[o, i] * (B @ layer.coef[o, i])
            phi = layer.mask[o, i] * (layer.scale_base[o, i] * base[layer.base](u) + spline)
            if layer.symbolic_code[o, i] > 0:
                a, b, c, d = layer.symbolic_affine[o, i]
                phi = phi + c * layer.primitives[layer.symbolic_code[o, i] - 1].torch(a * u + b) + d
            if order:
                (phi,) = torch.autograd.grad(phi.sum(), x, allow_unused=True)
                phi = torch.zeros_like(u) if phi is None else phi[:, i]
            columns.append(phi.detach())
    return torch.stack(columns, 1).unflatten(1, (layer.out_features, layer.in_features))


@pytest.mark.parametrize("base", ["silu", "identity", "zero"])
@pytest.mark.parametrize("order", [0, 1])
def test_edges_are_the_formula(base, order):
    layer, x = layer_of_all_kinds(base), 1.5 * normal(40, 3)
    expected = edge_by_edge(layer, x, order)
    torch.testing.assert_close(layer.edges(x, order), expected, rtol=1e-12, atol=1e-12)
    if order == 0:
        torch.testing.assert_close(layer(x), expected.sum(-1), rtol=1e-12, atol=1e-12)


def test_a_spline_and_a_symbol_on_one_edge_add():
    layer, x = layer_of_all_kinds(), normal(10, 3)
    layer.mask[0, 1] = 1.0
    torch.testing.assert_close(layer.edges(x), edge_by_edge(layer, x), rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("shape", [(), (1,), (5,), (2, 3), (2, 1, 4), (0,), (3, 0, 2)])
def test_leading_dimensions_of_any_number(shape):
    layer = layer_of_all_kinds()
    x = normal(*shape, 3)
    y = layer(x)
    assert y.shape == (*shape, 4)
    for index in torch.ones(shape).nonzero():
        torch.testing.assert_close(y[tuple(index)], layer(x[tuple(index)]))


@pytest.mark.parametrize("sizes", [(0, 3), (3, 0)])
def test_no_inputs_or_no_outputs(sizes):
    layer = KANLayer(*sizes)
    assert torch.equal(layer(torch.zeros(5, sizes[0])), torch.zeros(5, sizes[1]))


@pytest.mark.parametrize("inner", [torch.float32, torch.float64])
@pytest.mark.parametrize("outer", [torch.float16, torch.float32, torch.float64])
def test_inputs_of_any_float_dtype_are_computed_in_the_layers_own(inner, outer):
    layer = layer_of_all_kinds().to(inner)
    x = normal(7, 3).to(outer)
    assert layer(x).dtype == layer.edges(x).dtype == inner
    torch.testing.assert_close(layer(x), layer(x.to(inner)), rtol=0, atol=0)


def test_dtype_follows_torchs_default_as_linear_does():
    assert KANLayer(2, 3).coef.dtype == torch.nn.Linear(2, 3).weight.dtype
    assert KANLayer(2, 3, dtype=torch.float64)(normal(4, 2)).dtype == torch.float64


def test_float32_is_near_float64():
    layer, x = layer_of_all_kinds(), normal(100, 3)
    exact = layer(x)
    error = (copy.deepcopy(layer).float()(x.float()).double() - exact).abs().max()
    assert error < 1e-5 * exact.abs().max()


@pytest.mark.parametrize(
    ("x", "words"),
    [
        (torch.zeros(5, 2), r"\(5, 2\).*\(\.\.\., 3\)"),
        (torch.zeros(()), r"\(\).*\(\.\.\., 3\)"),
        (torch.zeros(5, 3, dtype=torch.int64), r"int64.*x\.double"),
        (torch.zeros(5, 3, dtype=torch.complex64), "complex64"),
        ([[1.0, 2.0, 3.0]], r"list.*torch\.Tensor"),
    ],
    ids=["columns", "scalar", "integers", "complex", "list"],
)
def test_inputs_that_do_not_fit(x, words):
    layer = layer_of_all_kinds()
    for call in (layer, layer.edges):
        with pytest.raises(ShapeError, match=words):
            call(x)


def test_edges_wants_rows():
    with pytest.raises(ShapeError, match=r"\(B, 3\).*\(2, 5, 3\)"):
        layer_of_all_kinds().edges(normal(2, 5, 3))


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ((-1, 2), "in_features is -1"),
        ((2, 2.0), "out_features is 2.0"),
        ((2, 2, "splines"), "splines"),
    ],
)
def test_layers_that_make_no_sense(arguments, words):
    with pytest.raises(InputError, match=words):
        KANLayer(*arguments)
    with pytest.raises(InputError, match="gelu"):
        KANLayer(2, 2, base="gelu")


# --- masks and symbols -----------------------------------------------------------------------


def test_masked_edges_give_nothing_and_learn_nothing():
    layer, x = layer_of_all_kinds(), normal(20, 3)
    layer(x).square().sum().backward()
    assert not layer.edges(x)[:, 1, 2].any()
    for gradient in (layer.coef.grad, layer.scale_base.grad, layer.scale_spline.grad):
        assert not gradient[1, 2].any()
    assert not layer.live[1, 2] and layer.live.sum() == 11
    assert layer.symbolic.nonzero().tolist() == [[0, 1], [2, 0], [3, 2]]


def test_fixing_replaces_the_spline_and_unfixing_brings_it_back():
    layer, x = layer_of_all_kinds(), normal(20, 3)
    before = layer.edges(x)
    layer.fix_symbolic(1, 0, Square(), (2.0, 1.0, 0.5, -0.25))
    expected = 0.5 * (2 * x[:, 0] + 1) ** 2 - 0.25
    torch.testing.assert_close(layer.edges(x)[:, 1, 0], expected)
    assert [p.name for p in layer.primitives] == ["sin", "x^2"]
    layer.fix_symbolic(1, 0, Sine(), (1.0, 0.0, 1.0, 0.0))  # another in its place
    torch.testing.assert_close(layer.edges(x)[:, 1, 0], x[:, 0].sin())
    layer.unfix_symbolic(1, 0)
    torch.testing.assert_close(layer.edges(x), before, rtol=0, atol=0)
    layer.unfix_symbolic(1, 2)  # dead, not symbolic
    assert not layer.live[1, 2]


def test_symbolic_edges_are_trained():
    layer, x = layer_of_all_kinds(), normal(20, 3)
    layer(x).square().sum().backward()
    used = layer.symbolic_affine.grad.abs().sum(-1) > 0
    assert torch.equal(used, layer.symbolic_code > 0)


# --- as a torch module -----------------------------------------------------------------------


def test_copies_are_independent():
    layer, x = layer_of_all_kinds(), normal(20, 3)
    other = copy.deepcopy(layer)
    assert torch.equal(other(x), layer(x))
    own = {t.data_ptr() for t in (*layer.parameters(), *layer.buffers())}
    assert own.isdisjoint(t.data_ptr() for t in (*other.parameters(), *other.buffers()))
    before = layer(x)
    other.unfix_symbolic(0, 1)
    other.coef.data.zero_()
    assert torch.equal(layer(x), before)


def test_state_dict_holds_the_function():
    layer, x = layer_of_all_kinds(), normal(20, 3)
    other = KANLayer(3, 4, layer.basis, dtype=torch.float64)
    other.primitives = layer.primitives
    other.load_state_dict({name: tensor.clone() for name, tensor in layer.state_dict().items()})
    assert torch.equal(other(x), layer(x))


def test_a_state_with_symbols_needs_their_functions():
    layer = layer_of_all_kinds()
    other = KANLayer(3, 4, layer.basis, dtype=torch.float64)
    with pytest.raises(InputError, match=r"2 functions.*primitives"):
        other.load_state_dict(layer.state_dict())


def test_the_start_is_the_papers_and_can_be_repeated():
    layers = [KANLayer(30, 20, generator=generator(seed)) for seed in (1, 1, 2)]
    assert torch.equal(layers[0].coef, layers[1].coef)
    assert not torch.equal(layers[0].coef, layers[2].coef)
    assert float(layers[0].coef.detach().std()) == pytest.approx(0.1, rel=0.05)
    assert float(layers[0].scale_base.detach().std()) == pytest.approx((2 / 50) ** 0.5, rel=0.1)
    assert (layers[0].scale_spline == 1).all()


def test_forward_leaves_nothing_behind():
    layer = layer_of_all_kinds()
    before = {name: copy.deepcopy(value) for name, value in vars(layer).items()}
    layer(normal(20, 3))
    layer.edges(normal(20, 3))
    assert vars(layer).keys() == before.keys()
    for group in ("_parameters", "_buffers"):
        for name, tensor in before[group].items():
            assert torch.equal(getattr(layer, name), tensor)


@pytest.mark.parametrize("grid_eps", [1.0, 0.5])
@pytest.mark.filterwarnings("ignore:torch.searchsorted")  # a hint on speed, given under vmap
@pytest.mark.filterwarnings("ignore:.torch.jit.script:DeprecationWarning")  # jacfwd's own
def test_torch_func_goes_through(grid_eps):
    layer, x = layer_of_all_kinds(grid_eps=grid_eps), normal(6, 3)
    rows = torch.func.vmap(layer)(x[:, None])[:, 0]
    torch.testing.assert_close(rows, layer(x))
    reverse = torch.func.vmap(torch.func.jacrev(layer))(x)
    forward = torch.func.vmap(torch.func.jacfwd(layer))(x)
    torch.testing.assert_close(reverse, layer.edges(x, 1))
    torch.testing.assert_close(forward, reverse)

    parameters = dict(layer.named_parameters())

    def loss(parameters):
        return torch.func.functional_call(layer, parameters, (x,)).square().sum()

    given = torch.func.grad(loss)(parameters)
    layer(x).square().sum().backward()
    for name, parameter in layer.named_parameters():
        torch.testing.assert_close(given[name], parameter.grad)


def test_second_derivatives_of_a_layer_are_exact():
    layer = KANLayer(2, 1, BSpline(4, 4), generator=generator(), dtype=torch.float64)
    assert torch.autograd.gradgradcheck(layer, 0.7 * normal(3, 2).requires_grad_())


def test_export_gives_the_same_function():
    layer, x = layer_of_all_kinds().float(), normal(8, 3).float()
    program = torch.export.export(layer, (x,))
    torch.testing.assert_close(program.module()(2 * x), layer(2 * x))


def test_trains_inside_sequential_with_a_linear():
    torch_model = torch.nn.Sequential(KANLayer(3, 4), torch.nn.Linear(4, 2), KANLayer(2, 1))
    optimiser = torch.optim.SGD(torch_model.parameters(), lr=1e-2)
    x = normal(50, 3).float()
    losses = []
    for _ in range(5):
        optimiser.zero_grad()
        loss = (torch_model(x) - x[:, :1]).square().mean()
        loss.backward()
        optimiser.step()
        losses.append(float(loss.detach()))
    assert losses[-1] < losses[0]
