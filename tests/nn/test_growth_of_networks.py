"""Larger networks, perturbed ones, and other orders: what stays is the function."""

import pytest
import torch

from edgewise import KAN, compile_formula, problems
from edgewise.errors import InputError
from edgewise.nn.order import permute
from edgewise.problems.feynman import equations

GROWTH = [
    ([2, 3, 1], [2, 5, 1], 2),
    ([2, 3, 1], [2, 3, 1, 1], 2),
    ([2, 3, 2], [2, [4, 2], [3, 1], 2, 2], 3),
    ([2, [1, 2], [1, 1]], [2, [2, 3], [1, 1]], 2),
    ([2, [1, 2], [1, 1]], [2, [1, 2], [2, 1], [2, 1], 2], 2),
]


def inputs(columns=2, rows=60, seed=0):
    unit = torch.rand(rows, columns, generator=torch.Generator().manual_seed(seed)).double()
    return 4 * unit - 2


def outputs(model, x):
    with torch.no_grad():
        return model(x)


def independent(one, other):
    places = {t.data_ptr() for t in one.state_dict().values() if t.numel()}
    return places.isdisjoint(t.data_ptr() for t in other.state_dict().values() if t.numel())


@pytest.mark.parametrize(("width", "larger", "arity"), GROWTH, ids=str)
def test_a_larger_network_computes_the_same(width, larger, arity):
    own = [[], [2, 3], [2]] if isinstance(width[1], list) else 2
    model = KAN(width, noise_scale=0.5, mult_arity=own, seed=1)
    with torch.no_grad():
        model.nodes[0].sum_scale += torch.arange(model.nodes[0].in_features)
        model.nodes[0].node_bias += 0.3
    x = inputs()
    grown = model.expand(larger, arity, data=x)
    wanted = [tuple(n) if isinstance(n, list) else (n, 0) for n in larger]
    assert grown.width == wanted and independent(model, grown)
    assert all(
        a == b[: len(a)] for a, b in zip(model.mult_arity[:-1], grown.mult_arity, strict=False)
    )
    torch.testing.assert_close(outputs(grown, x), outputs(model, x), rtol=1e-14, atol=1e-14)
    # also beyond the ranges
    torch.testing.assert_close(outputs(grown, 9 * x), outputs(model, 9 * x), rtol=1e-13, atol=1e-13)


def test_all_that_is_new_can_be_trained():
    x = inputs(rows=100)
    y = torch.sin(2 * x[:, [0]] * x[:, [1]]) + x[:, [0]]
    model = KAN([2, 1, 1], seed=1)
    model.fit((x, y), "LM", steps=10)
    grown = model.expand([2, [3, 1], 2, 1])
    assert not torch.equal(
        grown.layers[1].grid[3], grown.layers[1].grid[2]
    )  # ranges follow the data
    before = float((outputs(grown, x) - y).square().mean())
    start = [p.detach().clone() for p in grown.layers[2].parameters()]
    grown.fit((x, y), "LM", steps=25)
    assert float((outputs(grown, x) - y).square().mean()) < 0.1 * before
    assert any(
        not torch.equal(a, b) for a, b in zip(start, grown.layers[2].parameters(), strict=True)
    )


@pytest.mark.parametrize(
    ("width", "words"),
    [
        ([2, 3], "only grow"),
        ([2, 2, 1], "only grow"),
        ([3, 3, 1], "must stay"),
        ([2, 3, 2], "must stay"),
        ([2, 3, 3, 2], "must stay"),
        ([2, 3, [0, 1]], "must stay"),
    ],
)
def test_a_network_only_grows(width, words):
    with pytest.raises(InputError, match=words):
        KAN([2, 3, 1]).expand(width)


@pytest.mark.parametrize("entry", equations()[::33], ids=lambda entry: entry.id)
def test_a_formula_grows_and_is_retrained(entry):
    """Formula -> network -> wider and deeper, perturbed -> trained to fit what the formula gives."""
    data = problems.load(f"feynman/{entry.id}", n=60).train
    model = compile_formula(entry.formula, entry.variables)
    width = [list(pair) for pair in model.width]
    width[-2][0] += len(width) > 2
    grown = model.expand([*width[:-1], sum(width[-1]) + (len(width) > 2), 1], data=data.x)
    torch.testing.assert_close(outputs(grown, data.x), data.y, rtol=1e-12, atol=0)
    moved = grown.perturb(1e-3, seed=4, data=data.x)
    spread = float((data.y - data.y.mean()).square().mean().sqrt())
    off = float((outputs(moved, data.x) - data.y).square().mean().sqrt()) / spread
    assert off > 1e-5
    moved.fit((data.x, data.y), "LM", steps=6, update_grid=False)
    left = float((outputs(moved, data.x) - data.y).square().mean().sqrt()) / spread
    assert left < 0.1 * off


def test_a_perturbation_of_nothing_frees_the_curves():
    model = compile_formula("exp(sin(pi*x1) + x2^2)")
    x = inputs()
    for edges, count in (("all", 3), ("live", 3), ("off", 0)):
        freed = model.perturb(0.0, edges, data=x)
        assert sum(int(layer.mask.sum()) for layer in freed.layers) == count
        assert torch.equal(outputs(freed, x), outputs(model, x))
        assert independent(model, freed)
    sparse = compile_formula("x1 + sin(x2*x1)")
    edges_off = sum(int((~layer.live).sum()) for layer in sparse.layers)
    assert edges_off > 0
    opened = sparse.perturb(0.1, "off", seed=2)
    assert sum(int(layer.mask.sum()) for layer in opened.layers) == edges_off
    assert not torch.allclose(outputs(opened, x), outputs(sparse, x))


@pytest.mark.parametrize("wrong", [{"edges": "some"}, {"magnitude": -1.0}])
def test_perturbations_must_make_sense(wrong):
    with pytest.raises(InputError, match=next(iter(wrong))):
        KAN([2, 1]).perturb(**wrong)


def test_swapped_nodes_compute_the_same():
    model = KAN([2, [3, 2], 2, 1], mult_arity=[[], [2, 3], [], []], noise_scale=0.5)
    with torch.no_grad():
        model.nodes[0].sum_bias += torch.arange(8)
        model.nodes[0].node_scale += torch.arange(5)
    model.fix_symbolic(0, 1, 0, "sin", (1.0, 0.5, 2.0, 0.1))
    x = inputs()
    for level, i, j in ((1, 0, 2), (1, 3, 4), (2, 0, 1)):
        swapped = model.swap(level, i, j)
        torch.testing.assert_close(outputs(swapped, x), outputs(model, x), rtol=1e-13, atol=1e-13)
        values, before = swapped.trace(x).inputs[level], model.trace(x).inputs[level]
        assert torch.equal(values[:, i], before[:, j]) and torch.equal(values[:, j], before[:, i])
        assert independent(model, swapped)
        back = swapped.swap(level, i, j)
        assert all(
            torch.equal(a, b) for a, b in zip(back.parameters(), model.parameters(), strict=True)
        )
    assert model.swap(1, 3, 4).mult_arity[1] == (3, 2)


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda model: model.swap(0, 0, 1), "hidden levels"),
        (lambda model: model.swap(2, 0, 0), "hidden levels"),
        (lambda model: model.swap(1, 0, 3), "sums and products"),
        (lambda model: model.swap(1, 0, 5), "it has 4"),
        (lambda model: model.swap(7, 0, 0), "it has 0"),
        (lambda model: permute(model, 1, [0, 0, 1, 2]), "no permutation"),
    ],
)
def test_swaps_must_make_sense(call, words):
    with pytest.raises(InputError, match=words):
        call(KAN([2, [3, 1], 1]))
