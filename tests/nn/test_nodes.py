"""Sums and products of any arities, and their sensitivities."""

import pytest
import torch
from nn_examples import normal

from edgewise.errors import InputError
from edgewise.nn import Nodes

KINDS = [(2, ()), (0, (2,)), (1, (2, 2)), (2, (3, 2, 4)), (0, (5,))]


def nodes_of(n_sum, arities):
    nodes = Nodes(n_sum, arities, trainable=True, dtype=torch.float64)
    with torch.no_grad():
        for seed, parameter in enumerate(nodes.parameters()):
            parameter.copy_(normal(*parameter.shape, seed=seed))
    return nodes


@pytest.mark.parametrize(("n_sum", "arities"), KINDS)
@pytest.mark.parametrize("lead", [(7,), (2, 3), (), (0,)])
def test_nodes_are_sums_then_products_of_blocks(n_sum, arities, lead):
    nodes, s = nodes_of(n_sum, arities), normal(*lead, n_sum + sum(arities), seed=9)
    u = nodes.sum_scale * s + nodes.sum_bias
    expected, at = [u[..., n] for n in range(n_sum)], n_sum
    for arity in arities:
        product = torch.ones(lead, dtype=torch.float64)
        for n in range(at, at + arity):
            product = product * u[..., n]
        expected.append(product)
        at += arity
    expected = nodes.node_scale * torch.stack(expected, -1) + nodes.node_bias
    torch.testing.assert_close(nodes(s), expected)
    assert nodes(s).shape[-1] == nodes.out_features == len(nodes.arities) + nodes.n_sum
    assert s.shape[-1] == nodes.in_features == len(nodes.owner)


def test_owners_are_consecutive():
    assert nodes_of(2, (3, 2)).owner == [0, 1, 2, 2, 2, 3, 3]


@pytest.mark.parametrize(("n_sum", "arities"), KINDS)
@pytest.mark.parametrize("zero", [None, "s", "sum_scale"])
def test_pull_back_is_the_chain_rule(n_sum, arities, zero):
    nodes, s = nodes_of(n_sum, arities), normal(6, n_sum + sum(arities), seed=9)
    if zero == "s":
        s[:, -1] = 0.0  # a factor that is 0 must not lose its own derivative
        nodes.sum_bias.data.zero_()
    if zero == "sum_scale":
        nodes.sum_scale.data[-1] = 0.0
    S = normal(6, 3, nodes.out_features, seed=4)
    s.requires_grad_()
    y = nodes(s)
    expected = torch.stack(
        [torch.autograd.grad(y, s, S[:, n], retain_graph=True)[0] for n in range(3)], 1
    )
    torch.testing.assert_close(nodes.pull_back(s, S), expected)


def test_the_start_is_the_identity_and_is_held():
    nodes = Nodes(3, (), dtype=torch.float64)
    s = normal(5, 3)
    assert torch.equal(nodes(s), s)
    assert not any(p.requires_grad for p in nodes.parameters())


@pytest.mark.parametrize(
    ("n_sum", "arities", "words"),
    [
        (0, (), "width 0"),
        (-1, (2,), "n_sum is -1"),
        (1, (1,), "mult_arity is 1"),
        (1, (2.0,), "2.0"),
    ],
)
def test_nodes_that_make_no_sense(n_sum, arities, words):
    with pytest.raises(InputError, match=words):
        Nodes(n_sum, arities)
