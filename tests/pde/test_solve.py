"""Equations with known solutions are solved, and their errors fall as splines allow."""

from math import pi

import pytest
import torch

from edgewise import KAN, pde
from edgewise.errors import FitError, InputError, ShapeError
from edgewise.train import LBFGS, Adam, GridUpdates, LevenbergMarquardt

LINE = pde.Box(x=(0, 1))
# u'' = -pi^2 sin(pi x), u(0) = u(1) = 0
POISSON = pde.Problem(
    LINE,
    lambda u, p: u.xx + pi**2 * torch.sin(pi * p[:, 0]),
    [pde.Condition(LINE.boundary(), lambda u, p: u.value, weight=100.0)],
    points=200,
)


def grid(n=301):
    return torch.linspace(0, 1, n, dtype=torch.float64)[:, None]


def error(solution, exact):
    return float((solution(grid()) - exact(grid())).abs().max())


def test_a_spline_solves_poisson_at_the_rate_of_its_degree():
    """One edge is a spline: the second derivative's error falls as G^-(k-1), u's at least so."""
    errors = []
    for size in (4, 8, 16):
        model = KAN([1, 1], grid=size, k=4, base_fun="zero")
        solved = pde.solve(model, POISSON, solver=LevenbergMarquardt(10))
        errors.append(error(solved, lambda x: torch.sin(pi * x)))
    rates = torch.tensor(errors, dtype=torch.float64).log2().diff()
    assert float(rates.mean()) < -2.9 and errors[-1] < 1e-5


def test_derivatives_of_a_solution():
    solved = pde.solve(KAN([1, 1], grid=20, k=5), POISSON, solver=LevenbergMarquardt(20))
    u = solved.field(grid(), "xx")
    torch.testing.assert_close(u.value, torch.sin(pi * grid()[:, 0]), atol=1e-6, rtol=0)
    torch.testing.assert_close(u.x, pi * torch.cos(pi * grid()[:, 0]), atol=1e-5, rtol=0)
    torch.testing.assert_close(u.xx, -(pi**2) * u.value, atol=1e-3, rtol=0)


def test_an_ansatz_keeps_conditions_exactly():
    hard = pde.Problem(
        LINE,
        POISSON.equation,
        points=100,
        ansatz=pde.Ansatz(times=lambda p: p * (1 - p), plus=lambda p: 2 * p),
    )
    solved = pde.solve(KAN([1, 1], grid=8, k=5), hard, solver=LevenbergMarquardt(15))
    assert solved(torch.tensor([[0.0], [1.0]])).flatten().tolist() == [0.0, 2.0]
    assert error(solved, lambda x: torch.sin(pi * x) + 2 * x) < 1e-5


def test_inputs_make_a_periodic_solution():
    around = pde.Problem(
        pde.Box(x=(0, 2)),
        lambda u, p: u.xx - u.value + (1 + pi**2) * torch.sin(pi * p[:, 0]),
        points=100,
        ansatz=pde.Ansatz(inputs=lambda p: torch.cat([torch.cos(pi * p), torch.sin(pi * p)], 1)),
    )
    solved = pde.solve(KAN([2, 1], grid=6, k=5), around, solver=LevenbergMarquardt(15))
    u = solved.field(torch.tensor([[0.0], [2.0]]), "x")
    torch.testing.assert_close(u.x[0], u.x[1], rtol=1e-12, atol=1e-12)
    assert error(solved, lambda x: torch.sin(pi * x)) < 1e-5


def decay(a, **others):
    """u' = -a u, u(0) = 1."""
    return pde.Problem(
        LINE,
        lambda u, p: u.x + u.unknown["a"] * u.value if a is None else u.x + a * u.value,
        others.pop("conditions", [pde.Condition(LINE.at(x=0), lambda u, p: u.value - 1)]),
        points=100,
        **others,
    )


def test_an_unknown_number_is_found_from_data():
    x = grid(21)
    data = pde.Points(("x",), x, torch.exp(-1.7 * x))
    problem = decay(
        None,
        conditions=[pde.Condition(data, lambda u, p: u.value - p[:, -1], weight=10.0)],
        unknowns={"a": 0.5},
    )
    solved = pde.solve(KAN([1, 1], grid=10), problem, solver=LevenbergMarquardt(60))
    assert solved.unknowns["a"] == pytest.approx(1.7, abs=1e-4)
    assert solved.history["a"][-1] == solved.unknowns["a"]


def test_a_system_of_two_functions():
    turning = pde.Problem(
        LINE,
        lambda u, p: (u[0].x - 2 * u[1].value, u[1].x + 2 * u[0].value),
        [pde.Condition(LINE.at(x=0), lambda u, p: (u[0].value, u[1].value - 1))],
        points=100,
    )
    solved = pde.solve(KAN([1, 2], grid=10, k=5), turning, solver=LevenbergMarquardt(30))
    assert error(solved, lambda x: torch.cat([torch.sin(2 * x), torch.cos(2 * x)], 1)) < 1e-6


def test_marching_goes_on_from_a_solution():
    few = LevenbergMarquardt(20)
    start = pde.solve(KAN([1, 1], grid=10), decay(3.0).within(x=(0, 0.5)), solver=few)
    early = grid()[grid()[:, 0] <= 0.5]
    assert float((start(early) - torch.exp(-3 * early)).abs().max()) < 1e-4
    solved = pde.solve(start, decay(3.0), solver=few, grids=(10, 20))
    assert error(solved, lambda x: torch.exp(-3 * x)) < 1e-4
    assert solved.model.layers[0].basis.grid == 20 and start.model.layers[0].basis.grid == 10


def test_adam_goes_down_too():
    first = pde.solve(KAN([1, 1], grid=4), decay(1.0), solver=Adam(1, grids=GridUpdates(0)))
    last = pde.solve(
        KAN([1, 1], grid=4), decay(1.0), solver=Adam(100, lr=0.05, grids=GridUpdates(0))
    )
    assert last.loss < 0.1 * first.loss and len(last.history) == 100


STEEP = pde.Problem(
    LINE,
    lambda u, p: u.x - torch.exp(-(((p[:, 0] - 0.7) / 0.02) ** 2)),
    [pde.Condition(LINE.at(x=0), lambda u, p: u.value)],
    points=400,
)


def test_adaptive_points_gather_where_the_residual_is():
    drawn = pde.Collocation(every=5, adaptive=0.5).draw(
        STEEP, 1, lambda condition, x: ((x[:, 0] - 0.7).abs() < 0.05).double()
    )
    near = ((drawn[0][:, 0] - 0.7).abs() < 0.05).double().mean()
    assert len(drawn[0]) == 400 and 0.25 < float(near) < 0.45  # a tenth, if spread evenly


def test_attention_weighs_what_stays_large():
    collocation = pde.Collocation(every=5, attention=0.1)
    size, weights = torch.tensor([1.0, 1.0, 1.0, 9.0]), [None]
    for _ in range(50):
        weights = collocation.weights(weights, [size])
    assert float(weights[0].mean()) == pytest.approx(1.0)
    assert bool((weights[0][:3] < weights[0][3]).all())
    few = LevenbergMarquardt(20)
    solved = pde.solve(KAN([1, 1], grid=40), STEEP, solver=few, collocation=collocation)
    assert solved.loss < 1e-2


def interrupt(model, history):
    if len(history) == 5:
        raise KeyboardInterrupt


def test_an_interrupted_run_keeps_its_last_step():
    for solver in (LevenbergMarquardt(9), Adam(9, grids=GridUpdates(0))):
        ended = pde.solve(KAN([1, 1]), POISSON, solver=solver, callbacks=[interrupt], grids=(5, 9))
        assert ended.status == "interrupted" and len(ended.history) == 5
        assert ended.model.layers[0].basis.grid == 5
        assert ended.loss == pytest.approx(ended.history["train_loss"][-1] ** 2)


def test_a_run_can_be_ended_and_is_repeatable():
    model, few = KAN([1, 1], seed=3), LevenbergMarquardt(10)
    before = model.layers[0].coef.detach().clone()
    ended = pde.solve(model, POISSON, callbacks=[lambda _, history: len(history) == 3])
    assert ended.status == "callback" and len(ended.history) == 3
    assert pde.solve(model, POISSON, time_limit=0).status == "time limit"
    a, b = (pde.solve(model, POISSON, solver=few)(grid()) for _ in range(2))
    assert torch.equal(a, b) and torch.equal(before, model.layers[0].coef)


def test_what_cannot_be_solved_is_said():
    with pytest.raises(InputError, match="LBFGS"):
        pde.solve(KAN([1, 1]), POISSON, solver=LBFGS())
    with pytest.raises(InputError, match="no batch"):
        pde.solve(KAN([1, 1]), POISSON, solver=Adam(batch=10))
    infinite = pde.Problem(LINE, lambda u, p: u.x / (0 * u.value), points=10)
    with pytest.raises(FitError, match="not finite"):
        pde.solve(KAN([1, 1]), infinite)
    with pytest.raises(InputError, match="one number a point"):
        pde.solve(KAN([1, 1]), pde.Problem(LINE, lambda u, p: 0.0))
    with pytest.raises(AttributeError, match="no 'tt'"):
        pde.solve(KAN([1, 1]), pde.Problem(LINE, lambda u, p: u.tt))
    with pytest.raises(InputError, match="which, as u"):
        pde.solve(KAN([1, 2]), POISSON)
    with pytest.raises(InputError, match="points is 0"):
        pde.Problem(LINE, lambda u, p: u.x, points=0)
    with pytest.raises(InputError, match="weight is"):
        pde.Condition(LINE, lambda u, p: u.x, weight=-1.0)
    with pytest.raises(InputError, match="every=20"):
        pde.Collocation(adaptive=0.5)


def test_a_model_in_float32_stays_in_it():
    solved = pde.solve(
        KAN([1, 1], grid=6, dtype=torch.float32), decay(1.0), solver=LevenbergMarquardt(10)
    )
    assert solved(grid()).dtype == torch.float32
    assert error(solved, lambda x: torch.exp(-x)) < 1e-3


def test_maps_and_derivatives_that_make_no_sense_are_told():
    line = pde.Box(x=(0, 1))
    flat = pde.Problem(
        line, lambda u, p: u.x, ansatz=pde.Ansatz(times=lambda p: p[:, 0]), points=20
    )
    with pytest.raises(ShapeError, match="for a single column"):
        pde.solve(KAN([1, 1]), flat, solver=LevenbergMarquardt(1))
    solution = pde.solve(
        KAN([1, 1]), pde.Problem(line, lambda u, p: u.x, points=20), solver=LevenbergMarquardt(1)
    )
    with pytest.raises(InputError, match="'z' is no derivative"):
        solution.field(line.sample(3), "z")
