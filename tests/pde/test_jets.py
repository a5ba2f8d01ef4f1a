"""A network's jets against autograd, the Jacobian against autograd, and the rules behind them."""

from math import comb

import pytest
import torch

from edgewise import KAN, pde
from edgewise.errors import InputError
from edgewise.kernels.residual import RESIDUALS, slope
from edgewise.nn.jacobian import pack
from edgewise.pde import jets
from edgewise.pde.objective import Residuals
from edgewise.pde.orders import Orders


def points(n=7, d=2, seed=0):
    generator = torch.Generator().manual_seed(seed)
    return 2 * torch.rand(n, d, generator=generator, dtype=torch.float64) - 1


def product_network(**options):
    return KAN([2, [1, 2], 2], grid=4, seed=1, mult_arity=[[], [2, 3], []], **options)


def test_orders_hold_what_is_contained_in_them():
    orders = Orders.of([(1, 0), (0, 0, 1)])
    assert orders.indices == ((), (0,), (1,), (0, 0), (0, 1), (0, 0, 1))
    assert orders.highest == 3 and orders.place((1, 0)) == 4


@pytest.mark.parametrize("n", [1, 2, 3, 4, 5])
def test_chain_rule_counts_partitions(n):
    """In one direction the terms of order k count the Stirling numbers of the second kind."""
    stirling = {0: {0: 1}}
    for row in range(1, n + 1):
        above = stirling[row - 1]
        stirling[row] = {k: k * above.get(k, 0) + above.get(k - 1, 0) for k in range(1, row + 1)}
    terms = Orders.of([(0,) * n]).chain[-1]
    found = {k: sum(count for count, at in terms if len(at) == k) for k in range(1, n + 1)}
    assert found == stirling[n]


def test_product_rule_counts_binomials():
    orders = Orders.of([(0, 0, 0, 0)])
    counts = {(p, q): count for count, m, p, q in orders.leibniz if m == 4}
    assert counts == {(k, 4 - k): comb(4, k) for k in range(5)}


def test_products_back_are_the_transpose():
    orders = Orders.of([(0, 0, 1), (1, 1)])
    a, b, S = (points(5 * len(orders.indices), 3, seed).view(5, -1, 3) for seed in range(3))
    forward = (S * orders.multiply(a, b)).sum()
    torch.testing.assert_close(forward, (orders.multiply_back(S, b) * a).sum())


@pytest.mark.parametrize("name", RESIDUALS)
@pytest.mark.parametrize("order", range(1, 6))
def test_slopes_of_residuals(name, order):
    x = points(20, 1)[:, 0].mul(5).requires_grad_()
    value = slope(name, x, order - 1)
    expected = torch.zeros_like(x)
    if value.requires_grad:
        expected = torch.autograd.grad(value.sum(), x, materialize_grads=True)[0]
    torch.testing.assert_close(slope(name, x, order), expected)


@pytest.mark.parametrize("basis", ["bspline", "chebyshev", "fourier", "wavelet"])
def test_network_jets_equal_nested_autograd(basis):
    """Sums and products of two and three, the residual branch, derivatives up to the third."""
    model = product_network(k=5 if basis == "bspline" else None, basis=basis)
    orders, x = Orders.of([(0, 0, 1), (1, 1)]), points()
    found, _ = jets.run(model, jets.jet_of(lambda p: p, x, orders), orders)
    torch.testing.assert_close(found, jets.jet_of(model, x, orders), rtol=1e-9, atol=1e-9)


def everything():
    """A system with an unknown number, an ansatz and a condition, and a network with products."""
    box = pde.Box(t=(0, 1), x=(-1, 1))
    problem = pde.Problem(
        box,
        lambda u, p: (
            u[0].xx + u[0].value * u[1].t * u.unknown["a"],
            u[1].d("x", "x") * u[0].d("t", "x") - p[:, 0],
        ),
        [pde.Condition(box.at(t=0), lambda u, p: u[0].value.square() - p[:, 1], 2.0, 20)],
        points=30,
        ansatz=pde.Ansatz(
            times=lambda p: p[:, :1] * p[:, 1:].sin(),
            plus=lambda p: p[:, :1].exp(),
            inputs=lambda p: torch.cat([p[:, :1], torch.cos(p[:, 1:])], dim=1),
        ),
        unknowns={"a": 0.3},
    )
    return problem, product_network(k=4)


def placed(problem, model):
    residuals = Residuals(problem, model, problem.unknowns)
    drawn = pde.Collocation().draw(problem, 0)
    residuals.place(drawn, [points(len(x), 1)[:, 0].square() for x in drawn])
    return residuals


def test_gradient_equals_autograd():
    problem, model = everything()
    residuals = placed(problem, model)
    a = torch.tensor([0.3], dtype=torch.float64, requires_grad=True)
    value, _, g = residuals.linearise(residuals.theta(a.detach()))
    loss = residuals.loss(a)
    loss.backward()
    assert value == pytest.approx(loss.item())
    slopes = model.clone()
    for parameter, held in zip(slopes.parameters(), model.parameters(), strict=True):
        parameter.data = torch.zeros_like(held) if held.grad is None else held.grad
    torch.testing.assert_close(g, torch.cat([pack(slopes, residuals.at), a.grad]))


def test_curvature_is_that_of_the_linearised_residuals():
    """H v = J'(J v), where J v is the residuals' change along v."""
    problem, model = everything()
    residuals = placed(problem, model)
    theta = residuals.theta(torch.tensor([0.3], dtype=torch.float64))
    _, H, _ = residuals.linearise(theta)
    v = points(len(theta), 1)[:, 0]

    def left(point):
        unknown, rows = residuals.unpack(point), []
        for term in residuals.terms:
            u, _ = term.placed.run(residuals.model)
            rows.append((2 * term.share).sqrt()[:, None] * residuals.left(term, u, unknown))
        return torch.cat([row.flatten() for row in rows]).detach()

    h = 1e-6
    change = (left(theta + h * v) - left(theta - h * v)) / (2 * h)
    assert float(v @ H @ v) == pytest.approx(float(change @ change), rel=1e-7)


def test_dead_edges_have_no_columns():
    problem, model = everything()
    model.remove_edge(0, 0, 1)
    residuals = placed(problem, model)
    value, H, _ = residuals.linearise(residuals.theta(torch.tensor([0.3], dtype=torch.float64)))
    assert len(H) == residuals.at.size + 1
    assert value == pytest.approx(residuals.loss(torch.tensor([0.3], dtype=torch.float64)).item())


def test_networks_that_cannot_do_it_are_refused():
    problem, _ = everything()
    with pytest.raises(InputError, match="k=3"):
        pde.solve(KAN([2, 2], k=1), problem)
    with pytest.raises(InputError, match="Adam"):
        pde.solve(KAN([2, 2], k=3, affine_trainable=True), problem)
    symbolic = KAN([2, 2], k=3)
    symbolic.fix_symbolic(0, 0, 0, "sin", (1, 0, 1, 0))
    with pytest.raises(InputError, match="symbolic edges"):
        pde.solve(symbolic, problem)
