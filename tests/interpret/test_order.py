"""The order of nodes that shortens the wiring, and which inputs meet in a node."""

import itertools

import pytest
import torch

from edgewise import KAN
from edgewise.errors import InputError
from edgewise.interpret import attribute, feature_interaction, input_scores, untangle, wiring_length
from edgewise.nn.order import permute


def inputs(columns, rows=300):
    unit = torch.rand(rows, columns, generator=torch.Generator().manual_seed(0)).double()
    return 2 * unit - 1


def modules(pairs, seed):
    """A network of `pairs` independent parts, two inputs and two nodes each, its nodes shuffled."""
    n = 2 * pairs
    model = KAN([n, n, pairs, 1], noise_scale=0.5, seed=seed)
    for l, size in ((0, 2), (1, 1)):
        own = torch.arange(n) // 2
        rows = torch.arange(n if l == 0 else pairs) // size
        model.layers[l].mask *= rows[:, None] == own
    generator = torch.Generator().manual_seed(seed)
    for level, count in ((1, n), (2, pairs)):
        model = permute(model, level, torch.randperm(count, generator=generator).tolist())
    return model


@pytest.mark.parametrize("pairs", [2, 6])
@pytest.mark.parametrize("seed", [0, 1])
def test_modules_are_laid_side_by_side(pairs, seed):
    model, x = modules(pairs, seed), inputs(2 * pairs)
    scores = attribute(model, model.trace(x))
    straight = untangle(model, scores)
    again = attribute(straight, straight.trace(x))
    assert wiring_length(straight, again) < wiring_length(model, scores)
    # each node reads neighbours only: the parts stand in the order of their inputs
    first = straight.layers[0].mask.nonzero()
    assert torch.equal(first[:, 0] // 2, first[:, 1] // 2)
    second = straight.layers[1].mask.nonzero()
    assert torch.equal(second[:, 0], second[:, 1] // 2)
    with torch.no_grad():
        torch.testing.assert_close(straight(x), model(x), rtol=1e-12, atol=1e-12)


def test_the_length_is_the_least_of_all_orders_where_all_can_be_tried():
    model, x = KAN([4, [3, 1], 1], noise_scale=0.5, seed=3), inputs(4)
    with torch.no_grad():
        model.layers[0].coef *= torch.rand(5, 4, 1, generator=torch.Generator().manual_seed(1)) ** 4
    lengths = []
    for order in itertools.permutations(range(3)):
        other = permute(model, 1, [*order, 3])
        lengths.append(wiring_length(other, attribute(other, other.trace(x))))
    best = model.auto_swap(data=x)
    found = wiring_length(best, attribute(best, best.trace(x)))
    assert found == pytest.approx(min(lengths)) and found < max(lengths)


def test_scores_of_inputs_for_a_node_are_those_of_a_network_that_ends_there():
    model, x = KAN([3, [2, 1], 2, 1], noise_scale=0.5), inputs(3)
    trace = model.trace(x)
    for level in (1, 2, 3):
        cut = model.clone()
        cut.layers, cut.nodes = cut.layers[:level], cut.nodes[:level]
        scores = input_scores(model, trace, level)
        torch.testing.assert_close(scores.mean(0), attribute(cut, cut.trace(x)).inputs)
    with pytest.raises(InputError, match="Level 0"):
        input_scores(model, trace, 0)


def test_inputs_that_meet_in_a_node():
    model, x = modules(2, 0), inputs(4)
    found = feature_interaction(model, model.trace(x), 1)
    assert set(found) == {(0, 1), (2, 3)}
    nodes = attribute(model, model.trace(x)).nodes[1]
    assert sum(found.values()) == pytest.approx(float(nodes.sum()))
    assert list(found.values()) == sorted(found.values(), reverse=True)
    assert model.feature_interaction(2, data=x).keys() == {(0, 1), (2, 3)}
    assert model.feature_interaction(3, data=x) == {(0, 1, 2, 3): pytest.approx(1.0)}
