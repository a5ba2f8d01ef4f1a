"""Attribution against its definition, and the roles of products and outputs."""

import pytest
import torch

from edgewise import KAN
from edgewise.interpret import attribute
from edgewise.symbolic.primitives import primitive


def inputs(columns=2, rows=4000):
    u = torch.rand(rows, columns, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    return 2 * u - 1


def lines(width, slopes, **options):
    """A network of straight edges: slopes[l][o][i] is the slope of edge (l, o, i), 0 for none."""
    model = KAN(width, base_fun="zero", **options)
    for layer, rows in zip(model.layers, slopes, strict=True):
        for o, row in enumerate(rows):
            for i, slope in enumerate(row):
                layer.mask[o, i] = 0.0
                if slope:
                    layer.fix_symbolic(o, i, primitive("x"), (1.0, 0.0, slope, 0.0))
    return model


def by_definition(model, x, eps=0.0):
    """E_oi = S_o A_oi / sigma_o backwards from each output, in plain loops."""
    trace = model.trace(x)
    outputs = trace.output.shape[1]
    edges = [torch.zeros(e.shape[1:], dtype=torch.float64) for e in trace.edges]
    nodes = [torch.zeros(n.shape[1], dtype=torch.float64) for n in (*trace.inputs, trace.output)]
    for y in range(outputs):
        S = torch.zeros(outputs, dtype=torch.float64)
        S[y] = 1.0
        nodes[-1] += S / outputs
        for l in reversed(range(len(model.layers))):
            A, sigma = trace.edges[l].std(0), trace.sums[l].std(0)
            after = torch.zeros(A.shape[1], dtype=torch.float64)
            for o, owner in enumerate(model.nodes[l].owner):
                for i in range(A.shape[1]):
                    score = S[owner] * A[o, i] / sigma[o] if A[o, i] > 0 else 0.0
                    edges[l][o, i] += score / outputs
                    after[i] += score
            S = after
            nodes[l] += S / outputs
    return nodes, edges


@pytest.mark.parametrize(
    ("width", "arity"), [([2, 3, 1], 2), ([2, 3, 2], 2), ([2, [1, 2], [1, 1]], [[], [2, 3], [2]])]
)
def test_scores_are_the_definition(width, arity):
    model, x = KAN(width, mult_arity=arity, noise_scale=0.5), inputs()
    given = attribute(model, model.trace(x))
    nodes, edges = by_definition(model, x)
    for one, other in zip((*given.nodes, *given.edges), (*nodes, *edges), strict=True):
        torch.testing.assert_close(one, other, rtol=1e-9, atol=1e-12)
    assert given.inputs is given.nodes[0]


def test_a_chain_passes_the_whole_score_on():
    model = lines([2, 1, 1], [[[3.0, 4.0]], [[-2.0]]])
    x = inputs()
    scores = attribute(model, model.trace(x))
    assert float(scores.edges[1]) == pytest.approx(1)
    A = torch.tensor([3.0, 4.0], dtype=torch.float64) * x.std(0)
    expected = A / (x @ torch.tensor([3.0, 4.0], dtype=torch.float64)).std()
    torch.testing.assert_close(scores.inputs, expected)


def test_the_factors_of_a_product_inherit_its_score():
    model = lines(
        [3, [0, 1], 1], [[[1.0, 0, 0], [0, 1.0, 0], [0, 0, 5.0]], [[1.0]]], mult_arity=[[], [3], []]
    )
    scores = attribute(model, model.trace(inputs(3)))
    torch.testing.assert_close(scores.inputs, torch.ones(3, dtype=torch.float64))


def test_outputs_are_averaged():
    model = lines([2, 2], [[[1.0, 0], [0, 100.0]]])
    scores = attribute(model, model.trace(inputs()))
    torch.testing.assert_close(scores.nodes[1], torch.full((2,), 0.5, dtype=torch.float64))
    torch.testing.assert_close(scores.inputs, torch.full((2,), 0.5, dtype=torch.float64))


@pytest.mark.parametrize("unit", [1e-8, 1e8])
def test_units_of_the_output_do_not_matter(unit):
    one, other = (lines([2, 1, 1], [[[3.0, 4.0]], [[c]]]) for c in (1.0, unit))
    x = inputs()
    for a, b in zip(
        attribute(one, one.trace(x)).nodes, attribute(other, other.trace(x)).nodes, strict=True
    ):
        torch.testing.assert_close(a, b)


def test_edges_that_cancel_score_above_one():
    model = lines([2, 1], [[[1.0, 1.0]]])
    x = inputs()
    x[:, 1] = -0.9 * x[:, 0]
    assert (attribute(model, model.trace(x)).inputs > 5).all()


@pytest.mark.parametrize("rows", [1, 5])
def test_dead_and_constant_edges_score_nothing_and_all_is_finite(rows):
    model = KAN([2, 3, 1])
    model.layers[1].mask.zero_()
    x = inputs(rows=rows)
    x[:, 1] = 0.5
    scores = attribute(model, model.trace(x))
    assert not scores.inputs.any()
    assert all(values.isfinite().all() for values in (*scores.nodes, *scores.edges))
    alive = KAN([2, 3, 1])
    assert float(attribute(alive, alive.trace(x)).inputs[1]) == 0.0
