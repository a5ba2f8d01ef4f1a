"""What fits make small: weights, curvature, the prior of smoothness, and penalties."""

from itertools import pairwise

import pytest
import torch
from train_examples import generator, parameters_of, small_model, smooth_data

from edgewise import train
from edgewise.bases import BSpline
from edgewise.errors import InputError
from edgewise.nn import Network
from edgewise.nn.jacobian import jacobian, layout, pack, unpack
from edgewise.problems.dataset import Samples
from edgewise.train import (
    LBFGS,
    Adam,
    CrossEntropy,
    EdgeSparsity,
    LevenbergMarquardt,
    MeanSquare,
    Objective,
)
from edgewise.train.objective import SecondOrder, effective_count

COUNTS = [0, 1, 3, 2, 1, 1]


def weighted_and_repeated(rows=60):
    """The same data as weights and as repeated rows."""
    data = smooth_data(rows=rows)
    x, y = data["train_input"], data["train_label"]
    counts = torch.tensor(COUNTS * (rows // len(COUNTS)))
    return (x, y, counts), (x.repeat_interleave(counts, 0), y.repeat_interleave(counts, 0))


@pytest.mark.parametrize("solver", [LevenbergMarquardt(8, smoothness=0.0), LBFGS(8), Adam(20)])
def test_weights_are_repeated_rows(solver):
    if not isinstance(solver, LevenbergMarquardt):  # knots follow distinct samples only
        solver = type(solver)(solver.steps, grids=train.GridUpdates(0))
    weighted, repeated = weighted_and_repeated()
    one, two = (train.fit(small_model(), data, solver=solver) for data in (weighted, repeated))
    torch.testing.assert_close(
        parameters_of(one.model), parameters_of(two.model), rtol=1e-9, atol=1e-9
    )
    assert one.history.train_loss == pytest.approx(two.history.train_loss, rel=1e-9)


def test_rows_of_weight_zero_are_absent_and_the_size_of_weights_does_not_matter():
    (x, y, counts), _ = weighted_and_repeated()
    some = counts > 0
    solver = LevenbergMarquardt(8, grids=train.GridUpdates(2, 4))
    fits = [
        train.fit(small_model(), data, solver=solver).model
        for data in (
            (x, y, counts),
            (x[some], y[some], counts[some]),
            (x, y, 1e-7 * counts.double()),
        )
    ]
    for other in fits[1:]:
        torch.testing.assert_close(
            parameters_of(other), parameters_of(fits[0]), rtol=1e-7, atol=1e-7
        )


def test_the_effective_count_is_that_of_equal_weights():
    x = torch.zeros(10, 1)
    assert effective_count(Samples(x, x)) == pytest.approx(10)
    assert effective_count(Samples(x, x, torch.full((10,), 0.3))) == pytest.approx(10)
    assert effective_count(Samples(x, x, torch.eye(10)[0])) == pytest.approx(1)


# --- second order ----------------------------------------------------------------------------


def samples_for(loss, outputs=2, rows=15):
    x = torch.rand(rows, 2, generator=generator(), dtype=torch.float64) * 2 - 1
    y = torch.randn(rows, outputs, generator=generator(1), dtype=torch.float64)
    if isinstance(loss, CrossEntropy):
        y = y.softmax(1)
    return Samples(x, y, torch.rand(rows, generator=generator(2), dtype=torch.float64))


@pytest.mark.filterwarnings("ignore:.torch.jit.script:DeprecationWarning")  # hessian's own
@pytest.mark.parametrize("loss", [MeanSquare(), CrossEntropy()], ids=lambda loss: loss.name)
def test_gradient_and_curvature_of_the_losses(loss):
    data = samples_for(loss)
    y = torch.randn(15, 2, generator=generator(3), dtype=torch.float64)
    share = data.weight / data.weight.sum()
    r, A = loss.residual(y, data.y, share)
    expected = torch.func.grad(lambda y: loss(y, data.y, share))(y)
    torch.testing.assert_close(torch.einsum("bry,br->by", A, r), expected)
    hessian = torch.func.hessian(lambda y: loss(y, data.y, share))(y)
    torch.testing.assert_close(A.mT @ A, torch.stack([hessian[b, :, b] for b in range(15)]))


def test_a_class_of_no_weight_has_its_gradient_and_no_curvature():
    y = torch.tensor([[0.0, 2000.0], [0.0, -2000.0]], dtype=torch.float64)
    t = torch.tensor([[1.0, 0.0], [1.0, 0.0]], dtype=torch.float64)
    r, A = CrossEntropy().residual(y, t, torch.ones(2, dtype=torch.float64))
    expected = torch.tensor([[-1.0, 1.0], [0.0, 0.0]], dtype=torch.float64)
    torch.testing.assert_close(torch.einsum("bry,br->by", A, r), expected)
    torch.testing.assert_close(A.mT @ A, torch.zeros(2, 2, 2, dtype=torch.float64))


@pytest.mark.filterwarnings("ignore:.torch.jit.script:DeprecationWarning")  # hessian's own
@pytest.mark.parametrize("grid", [3, 20])  # few parameters, and enough for LAPACK
@pytest.mark.parametrize("loss", [MeanSquare(), CrossEntropy()], ids=lambda loss: loss.name)
def test_the_normal_equations_are_those_of_the_dense_jacobian(loss, grid):
    model, data = small_model((2, 3, 2), grid=grid), samples_for(loss, rows=200)
    model.layers[0].mask[1, 0] = 0.0
    at = layout(model)
    function = SecondOrder(model, at, Objective(loss), data, prior=0.0)
    _, H, g = function.linearise(pack(model, at))
    y, J = jacobian(model, at, data.x)
    share = data.weight / data.weight.sum()
    slope = torch.func.grad(lambda y: loss(y, data.y, share))(y)
    torch.testing.assert_close(g, torch.einsum("byp,by->p", J, slope), rtol=1e-12, atol=1e-15)
    hessian = torch.func.hessian(lambda y: loss(y, data.y, share))(y)
    curvature = torch.stack([hessian[b, :, b] for b in range(len(y))])
    expected = torch.einsum("byp,byz,bzq->pq", J, curvature, J)
    torch.testing.assert_close(H, expected, rtol=1e-12, atol=1e-15)


@pytest.mark.parametrize(
    "penalty", [None, EdgeSparsity(0.03, entropy=0.0)], ids=["plain", "sparse"]
)
@pytest.mark.parametrize("loss", [MeanSquare(), CrossEntropy()], ids=lambda loss: loss.name)
def test_the_linearisation_is_that_of_its_value(loss, penalty):
    model, data = small_model((2, 2, 2)), samples_for(loss)
    at = layout(model)
    function = SecondOrder(model, at, Objective(loss, penalty), data)
    theta = pack(model, at)
    value, H, g = function.linearise(theta)
    assert function.value(theta) == pytest.approx(value, rel=1e-12)
    torch.testing.assert_close(H, H.T)
    assert torch.linalg.eigvalsh(H).min() > -1e-10
    numeric = torch.zeros_like(g)
    for n, e in enumerate(1e-6 * torch.eye(len(theta), dtype=theta.dtype)):
        numeric[n] = (function.value(theta + e) - function.value(theta - e)) / 2e-6
    torch.testing.assert_close(g, numeric, rtol=1e-5, atol=1e-7)


def test_rows_in_blocks_make_the_same_sums(monkeypatch):
    model, data = small_model((2, 2, 2)), samples_for(MeanSquare())
    at = layout(model)
    theta = pack(model, at)
    whole, parts = (SecondOrder(model, at, Objective(MeanSquare()), data) for _ in range(2))
    expected = whole.linearise(theta)
    monkeypatch.setattr("edgewise.train.objective._BLOCK", 4 * at.size * 2)
    for one, other in zip(parts.linearise(theta), expected, strict=True):
        torch.testing.assert_close(torch.as_tensor(one), torch.as_tensor(other))


def test_the_penalty_majorises_and_never_rises_along_the_steps():
    # one layer: the edges' norms do not move with the inputs of later layers
    model = Network([2, 1], BSpline(6), generator=generator(), dtype=torch.float64)
    data = samples_for(MeanSquare(), outputs=1, rows=40)
    data = Samples(data.x, data.y)
    penalty = EdgeSparsity(0.05, entropy=0.0)
    objective = Objective(MeanSquare(), penalty)
    at = layout(model)
    theta = pack(model, at)
    function = SecondOrder(model, at, objective, data, prior=0.0)

    def exact(theta):
        unpack(model, at, theta)
        return float(objective(model, data).detach())

    _, _, g = function.linearise(theta)
    unpack(model, at, theta)
    gradient = torch.autograd.grad(objective(model, data), [model.layers[0].coef])[0]
    torch.testing.assert_close(g.view(2, -1)[:, :-1], gradient[0])

    norms, block = function._norms[0], theta.view(2, -1)
    H, slope = norms.curvature(block)
    for seed in range(20):
        step = torch.randn(block.shape, generator=generator(seed), dtype=torch.float64)
        bound = norms.value(block) + float((slope * step).sum())
        bound += 0.5 * float(torch.einsum("ef,efg,eg->", step, H, step))
        assert norms.value(block + step) <= bound + 1e-12

    losses = [exact(theta)]
    for _ in range(12):
        theta = train.solvers.minimise(function.linearise, function.value, theta, steps=1).theta
        losses.append(exact(theta))
    assert all(b <= a + 1e-9 for a, b in pairwise(losses))
    assert losses[-1] < losses[0]


def test_sparse_fits_switch_useless_edges_off():
    x = torch.rand(100, 3, generator=generator(), dtype=torch.float64) * 2 - 1
    y = torch.sin(3 * x[:, [1]])
    solver, penalty = LevenbergMarquardt(60), EdgeSparsity(1e-2)
    model = train.fit(small_model((3, 1)), (x, y), solver=solver, penalty=penalty).model
    spread = model.trace(x).edges[0].std(0)[0]
    assert spread[1] > 0.6 and spread[0] < 1e-3 and spread[2] < 1e-3


# --- penalties -------------------------------------------------------------------------------


def by_hand(model, x, penalty):
    """R of the docstring of ``penalties`` from the values of all edges."""
    trace, total = model.trace(x), 0.0
    for l, layer in enumerate(model.layers):
        v = trace.edges[l].std(0)
        if l > 0:
            v = v / (trace.inputs[l].std(0) + 0.01)
        R = penalty.l1 * v.sum()
        for dim in (0, 1):
            p = v / (v.sum(dim, keepdim=True) + 1)
            R = R - penalty.entropy * (p * (p + 1e-4).log2()).sum(dim).mean()
        c = layer.coef.detach()
        R = R + penalty.coef * c.abs().sum() / layer.out_features
        R = R + penalty.coefdiff * (c[..., 1:] - c[..., :-1]).abs().sum() / layer.out_features
        total += penalty.strength * float(R)
    return total


@pytest.mark.parametrize(
    "penalty",
    [
        EdgeSparsity(0.1),
        EdgeSparsity(2.0, l1=0.0),
        EdgeSparsity(1.0, entropy=0.0),
        EdgeSparsity(0.5, l1=0.0, entropy=0.0, coef=1.0),
        EdgeSparsity(0.5, l1=0.3, entropy=0.7, coef=0.2, coefdiff=1.0),
    ],
    ids=str,
)
def test_penalties_are_their_formula_and_have_its_gradient(penalty):
    model, x = small_model((2, 3, 2)), smooth_data(rows=30)["train_input"]
    assert float(penalty(model, x).detach()) == pytest.approx(by_hand(model, x, penalty), rel=1e-9)
    penalty(model, x).backward()
    for l in (0, 1):
        coef = model.layers[l].coef
        numeric, e = [], 1e-6
        for index in ((0, 0, 2), (1, 1, 4)):
            values = []
            for sign in (1, -1):
                with torch.no_grad():
                    coef[index] += sign * e
                    values.append(float(penalty(model, x)))
                    coef[index] -= sign * e
            numeric.append((values[0] - values[1]) / (2 * e))
        given = [float(coef.grad[index]) for index in ((0, 0, 2), (1, 1, 4))]
        assert given == pytest.approx(numeric, rel=1e-4, abs=1e-8)


def test_dead_edges_cost_nothing_and_flat_ones_have_a_finite_gradient():
    model, x = small_model((2, 3, 1)), smooth_data(rows=30)["train_input"]
    for layer in model.layers:
        layer.mask.zero_()
    penalty = EdgeSparsity(1.0)
    value = penalty(model, x)
    value.backward()
    assert abs(float(value.detach())) < 1e-9
    assert all(p.grad is None or p.grad.isfinite().all() for p in model.parameters())


@pytest.mark.parametrize("unit", [1e-6, 1e4])
def test_the_unit_of_an_input_does_not_matter(unit):
    model = Network([2, 2, 1], base="zero", generator=generator(), dtype=torch.float64)
    x = smooth_data(rows=30)["train_input"]
    other = model.clone()
    layer = other.layers[0]
    layer.grid[1] *= unit
    scaled = x * x.new_tensor([1.0, unit])
    torch.testing.assert_close(other(scaled), model(x))
    penalty = EdgeSparsity(1.0)
    torch.testing.assert_close(penalty(other, scaled), penalty(model, x))


@pytest.mark.parametrize("name", ["strength", "l1", "entropy", "coef", "coefdiff"])
@pytest.mark.parametrize("value", [-1.0, float("nan")])
def test_strengths_are_not_negative(name, value):
    with pytest.raises(InputError, match=name):
        EdgeSparsity(**{"strength": 1.0, name: value})
