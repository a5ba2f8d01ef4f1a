"""Smaller networks that do the same: what goes, what stays, and what its constants become."""

import pytest
import torch

from edgewise import KAN
from edgewise.errors import InputError
from edgewise.interpret import attribute, prune, prune_edges, prune_inputs, remove_edges, select
from edgewise.symbolic.primitives import primitive

WIDTHS = [
    ([2, 4, 1], 2),
    ([3, 4, 3, 2], 2),
    ([2, [2, 2], [1, 1]], [[], [2, 3], [2]]),
]
every_width = pytest.mark.parametrize(("width", "arity"), WIDTHS, ids=str)


def inputs(columns=2, rows=500):
    u = torch.rand(rows, columns, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    return 2 * u - 1


def model_of(width, arity=2, **options):
    model = KAN(width, mult_arity=arity, noise_scale=0.5, **options)
    # uneven importance, so that thresholds find something to take
    generator = torch.Generator().manual_seed(3)
    with torch.no_grad():
        for layer in model.layers:
            weight = torch.rand(layer.mask.shape, generator=generator, dtype=torch.float64) ** 4
            layer.coef *= weight[..., None]
            layer.scale_base *= weight
    return model


def state_of(model):
    return {name: tensor.clone() for name, tensor in model.state_dict().items()}


@every_width
@pytest.mark.parametrize(("node_th", "edge_th"), [(0.05, 0.1), (0.2, 0.2), (0.0, 0.3)])
def test_pruning_keeps_the_mean_and_gives_a_smaller_independent_model(
    width, arity, node_th, edge_th
):
    model, x = model_of(width, arity), inputs(width[0])
    before, state = model(x).detach(), state_of(model)
    smaller = prune(model, model.trace(x), node_th=node_th, edge_th=edge_th)
    assert type(smaller) is KAN and smaller.n_parameters < model.n_parameters
    torch.testing.assert_close(smaller(x).mean(0).detach(), before.mean(0), rtol=1e-12, atol=1e-12)
    assert smaller.width[0] == model.width[0]
    assert smaller.nodes[-1].out_features == model.nodes[-1].out_features
    own = {t.data_ptr() for t in model.state_dict().values()}
    assert own.isdisjoint(t.data_ptr() for t in smaller.state_dict().values() if t.numel())
    with torch.no_grad():
        for tensor in smaller.state_dict().values():
            tensor.zero_()
    assert all(torch.equal(tensor, state[name]) for name, tensor in model.state_dict().items())
    assert torch.equal(model(x), before)


@every_width
def test_a_pruned_model_can_be_pruned_traced_and_trained(width, arity):
    model, x = model_of(width, arity), inputs(width[0])
    once = prune(model, model.trace(x), node_th=0.05, edge_th=0.1)
    again = prune(once, once.trace(x), node_th=0.05, edge_th=0.1)
    assert again.n_parameters <= once.n_parameters
    y = model(x).detach()
    history = again.fit((x, y), opt="LM", steps=5)
    assert history.train_loss[-1] <= float((once(x) - y).square().mean().sqrt().detach()) * 3


@every_width
def test_pruning_nothing_keeps_the_function(width, arity):
    model, x = model_of(width, arity), inputs(width[0])
    same = prune(model, model.trace(x), node_th=0.0, edge_th=0.0)
    assert same.width == model.width and same.mult_arity == model.mult_arity
    torch.testing.assert_close(same(2 * x), model(2 * x), rtol=1e-12, atol=1e-12)


def test_what_survives_scores_above_the_thresholds_and_keeps_its_curve():
    model, x = model_of([2, 4, 1]), inputs()
    trace = model.trace(x)
    scores = attribute(model, trace)
    smaller = prune_edges(model, trace, scores, edge_th=0.1)
    for l in (0, 1):
        kept = scores.edges[l] >= 0.1
        assert torch.equal(smaller.layers[l].live, kept)
    edges = smaller.layers[0].edges(x)
    kept = smaller.layers[0].live
    torch.testing.assert_close(edges[:, kept], trace.edges[0][:, kept])
    assert not edges[:, ~kept].any()


def test_dead_ends_are_taken_out_with_all_that_led_there():
    model, x = model_of([2, 3, 3, 1]), inputs()
    model.layers[2].mask[0, 1] = 0.0  # nothing leaves node 1 of level 2
    model.layers[1].mask[:, 0] = 0.0  # nothing leaves node 0 of level 1
    model.layers[0].mask[2, :] = 0.0  # nothing enters node 2 of level 1
    with torch.no_grad():
        model.nodes[0].sum_bias[2] = 0.7  # but it is not zero
    before = model(x).detach()
    smaller = prune(model, model.trace(x), node_th=0.0, edge_th=0.0)
    assert smaller.width == [(2, 0), (1, 0), (2, 0), (1, 0)]
    torch.testing.assert_close(smaller(x).detach(), before, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("width", [[2, 1], [2, 3, 1]])
def test_removing_everything_is_refused(width):
    model, x = model_of(width), inputs()
    for call in (prune, prune_edges):
        with pytest.raises(InputError, match=r"edge_th 1000000\.0.*smaller threshold"):
            call(model, model.trace(x), edge_th=1e6)


def test_cutting_all_paths_is_refused_though_edges_are_left():
    model, x = model_of([2, 2, 1]), inputs()
    scores = attribute(model, model.trace(x))
    with torch.no_grad():
        model.layers[1].coef *= 1e-9
        model.layers[1].scale_base *= 1e-9
    scores.edges[1].zero_()
    with pytest.raises(InputError, match="no output would depend on an input"):
        prune_edges(model, model.trace(x), scores, edge_th=1e-6)


def test_a_level_keeps_its_best_node():
    model, x = model_of([2, 4, 1]), inputs()
    scores = attribute(model, model.trace(x))
    smaller = prune(model, model.trace(x), node_th=1e6, edge_th=0.0)
    assert smaller.width == [(2, 0), (1, 0), (1, 0)]
    best = int(scores.nodes[1].argmax())
    assert torch.equal(smaller.layers[0].coef[0], model.layers[0].coef[best])


# --- products --------------------------------------------------------------------------------


def product_of_lines():
    """y = (x1 + 2) (x2 + 3) (x3 + 4) beside a sum node x1, added."""
    model = KAN([3, [1, 1], 1], mult_arity=[[], [3], []], base_fun="zero")
    line = primitive("x")
    for layer in model.layers:
        layer.mask.zero_()
    model.layers[0].fix_symbolic(0, 0, line, (1.0, 0.0, 1.0, 0.0))
    for n in range(3):
        model.layers[0].fix_symbolic(1 + n, n, line, (1.0, 0.0, 1.0, 2.0 + n))
    for n in range(2):
        model.layers[1].fix_symbolic(0, n, line, (1.0, 0.0, 1.0, 0.0))
    return model


def test_a_factor_without_edges_is_a_constant_factor():
    model, x = product_of_lines(), inputs(3)
    torch.testing.assert_close(
        model(x)[:, 0], x[:, 0] + (x[:, 0] + 2) * (x[:, 1] + 3) * (x[:, 2] + 4)
    )
    trace = model.trace(x)
    edges = torch.zeros(4, 3, dtype=torch.bool)
    edges[2, 1] = True
    remove_edges(model, 0, edges, trace)
    constant = (x[:, 1] + 3).mean()
    expected = x[:, 0] + (x[:, 0] + 2) * constant * (x[:, 2] + 4)
    torch.testing.assert_close(model(x)[:, 0], expected)
    swept = prune(model, model.trace(x), node_th=0.0, edge_th=0.0)
    assert swept.mult_arity == [(), (3,), ()]
    torch.testing.assert_close(swept(x)[:, 0], expected)


@pytest.mark.parametrize(
    ("keep", "width", "arities"),
    [
        ([0, 1, 1], [(2, 0), (0, 2), (1, 0)], (2, 3)),
        ([1, 0, 1], [(2, 0), (1, 1), (1, 0)], (3,)),
        ([1, 1, 0], [(2, 0), (1, 1), (1, 0)], (2,)),
        ([0, 0, 1], [(2, 0), (0, 1), (1, 0)], (3,)),
    ],
)
def test_products_of_mixed_arity_go_and_stay_as_a_whole(keep, width, arities):
    model, x = model_of([2, [1, 2], 1], [[], [2, 3], []]), inputs()
    keep = torch.tensor(keep, dtype=torch.bool)
    smaller = select(model, model.trace(x), [keep])
    assert smaller.width == width and smaller.mult_arity[1] == arities
    kept = model.trace(x).edges[1][:, :, keep].sum(-1)
    gone = model.trace(x).edges[1][:, :, ~keep].mean(0).sum(-1)
    torch.testing.assert_close(smaller(x).detach(), kept + gone, rtol=1e-12, atol=1e-12)


# --- inputs ----------------------------------------------------------------------------------


def test_inputs_that_do_not_matter_go():
    model, x = KAN([3, 3, 1], input_names=["a", "b", "c"]), inputs(3)
    with torch.no_grad():
        model.layers[0].coef[:, 1] *= 1e-5
        model.layers[0].scale_base[:, 1] *= 1e-5
    smaller, kept = prune_inputs(model, model.trace(x))
    assert kept == [0, 2] and smaller.input_names == ("a", "c")
    assert smaller.layers[0].in_features == 2
    change = smaller(x[:, kept]) - model(x)
    assert change.abs().max() < 1e-3 and abs(float(change.detach().mean())) < 1e-14
    chosen, kept = prune_inputs(model, model.trace(x), keep=[2])
    assert kept == [2] and chosen.input_names == ("c",)
    means = chosen(x[:, [2]]).mean() - model(x).mean()
    assert abs(float(means.detach())) < 1e-12
    assert model.layers[0].in_features == 3 and bool(model.layers[0].live.all())


@pytest.mark.parametrize("keep", [[], [3], [-1], [0, 0], [1.0]])
def test_inputs_to_keep_must_make_sense(keep):
    model, x = KAN([3, 1]), inputs(3)
    with pytest.raises(InputError, match="Inputs"):
        prune_inputs(model, model.trace(x), keep=keep)


def test_no_input_above_the_threshold_is_refused():
    model, x = KAN([3, 1]), inputs(3)
    with pytest.raises(InputError, match=r"Inputs \[\]"):
        prune_inputs(model, model.trace(x), threshold=1e6)
