"""Levenberg-Marquardt on functions whose minima are known."""

import math

import pytest
import torch

from edgewise.optim.levenberg_marquardt import minimise

double = torch.float64


class LeastSquares:
    """|r(theta)|^2 / 2 with J by autograd; counts its calls."""

    def __init__(self, residual):
        self.residual, self.calls = residual, 0

    def loss(self, theta):
        self.calls += 1
        return float(self.residual(theta).square().sum()) / 2

    def linearise(self, theta):
        J = torch.func.jacrev(self.residual)(theta)
        r = self.residual(theta)
        return float(r.square().sum()) / 2, J.T @ J, J.T @ r

    def minimise(self, start, **options):
        return minimise(self.linearise, self.loss, torch.tensor(start, dtype=double), **options)


def rosenbrock(theta):
    return torch.stack([10 * (theta[1] - theta[0] ** 2), 1 - theta[0]])


TIME = torch.linspace(0, 4, 50, dtype=double)


def decay(target):
    return lambda theta: theta[0] * torch.exp(-theta[1] * TIME) + theta[2] - target


def test_rosenbrock():
    result = LeastSquares(rosenbrock).minimise([-1.2, 1.0])
    torch.testing.assert_close(result.theta, torch.ones(2, dtype=double), rtol=0, atol=1e-10)
    assert result.status in ("converged", "stalled") and result.steps < 100


def test_an_exponential_is_recovered_to_rounding():
    truth = torch.tensor([2.5, 1.3, 0.5], dtype=double)
    problem = LeastSquares(decay(decay(0.0)(truth)))
    result = problem.minimise([1.0, 1.0, 0.0])
    torch.testing.assert_close(result.theta, truth, rtol=1e-10, atol=0)


def test_the_gradient_vanishes_where_residuals_do_not():
    noise = 0.1 * torch.randn(50, generator=torch.Generator().manual_seed(0), dtype=double)
    truth = torch.tensor([2.5, 1.3, 0.5], dtype=double)
    problem = LeastSquares(decay(decay(0.0)(truth) + noise))
    result = problem.minimise([1.0, 1.0, 0.0], tolerance=1e-15)
    loss, H, g = problem.linearise(result.theta)
    assert loss == pytest.approx(result.loss) and loss > 0.1
    assert g.abs().max() < 1e-6
    assert torch.linalg.eigvalsh(H).min() > 0


def test_parameters_that_nothing_tells_stay_where_they_are():
    def residual(theta):  # only the sum of the first two counts; the third not at all
        return (theta[0] + theta[1] - 3) * torch.ones(4, dtype=double) + 0 * theta[2]

    result = LeastSquares(residual).minimise([0.0, 1.0, 7.0])
    assert float(result.theta[:2].sum()) == pytest.approx(3, abs=1e-10)
    assert float(result.theta[2]) == 7.0
    assert result.theta.isfinite().all()


def test_a_trial_that_is_not_finite_is_rejected():
    def residual(theta):  # the first step would land where the root is not defined
        return (theta.sqrt() - 0.1).reshape(1)

    result = LeastSquares(residual).minimise([4.0], damping=1e-12)
    assert float(result.theta) == pytest.approx(0.01, rel=1e-6)


def test_a_start_that_is_not_finite_ends_at_once():
    result = LeastSquares(lambda theta: theta.log()).minimise([-1.0])
    assert result.status == "stalled" and result.steps == 0 and math.isnan(result.loss)


def test_a_start_at_the_minimum_stays():
    result = LeastSquares(rosenbrock).minimise([1.0, 1.0])
    assert torch.equal(result.theta, torch.ones(2, dtype=double))
    assert result.loss == 0.0 and result.steps == 0 and result.status == "converged"


def test_each_accepted_step_lowers_the_loss_and_the_callback_sees_it():
    seen = []
    problem = LeastSquares(rosenbrock)
    start = problem.loss(torch.tensor([-1.2, 1.0], dtype=double))

    def look(step, theta, loss):
        assert loss == problem.loss(theta)
        seen.append((step, loss))

    problem.minimise([-1.2, 1.0], callback=look)
    steps, losses = zip(*seen, strict=True)
    assert list(steps) == list(range(1, len(steps) + 1))
    assert all(b < a for a, b in zip([start, *losses], losses, strict=False))


def test_a_callback_and_the_number_of_steps_end_a_run():
    problem = LeastSquares(rosenbrock)
    stopped = problem.minimise([-1.2, 1.0], callback=lambda step, *_: step == 3)
    assert (stopped.steps, stopped.status) == (3, "stopped")
    ended = problem.minimise([-1.2, 1.0], steps=4)
    assert (ended.steps, ended.status) == (4, "steps")
    none = problem.minimise([-1.2, 1.0], steps=0)
    assert (none.steps, none.status) == (0, "steps")


def test_a_run_can_be_continued_with_its_damping():
    problem = LeastSquares(rosenbrock)
    whole = problem.minimise([-1.2, 1.0], steps=12, patience=99)
    half = problem.minimise([-1.2, 1.0], steps=6, patience=99)
    rest = problem.minimise(half.theta.tolist(), steps=6, patience=99, damping=half.damping)
    assert torch.equal(whole.theta, rest.theta)


def test_two_runs_are_equal_to_the_bit_and_the_start_is_not_changed():
    problem, start = LeastSquares(rosenbrock), torch.tensor([-1.2, 1.0], dtype=double)
    one, two = (minimise(problem.linearise, problem.loss, start) for _ in range(2))
    assert torch.equal(one.theta, two.theta) and one.loss == two.loss
    assert start.tolist() == [-1.2, 1.0]


def test_units_of_the_parameters_do_not_matter():
    units = torch.tensor([1e-1, 1e2], dtype=double)
    plain = LeastSquares(rosenbrock).minimise([-1.2, 1.0], steps=8)
    scaled = LeastSquares(lambda theta: rosenbrock(theta * units)).minimise([-12.0, 1e-2], steps=8)
    torch.testing.assert_close(scaled.theta * units, plain.theta, rtol=1e-6, atol=1e-6)


def test_no_step_goes_further_than_its_reach():
    """A product of two small numbers: the plain first step goes far, and the minimum is near."""
    goal = torch.exp(-((TIME - 2.5) ** 2))
    problem = LeastSquares(lambda theta: theta[0] * torch.exp(-((TIME - theta[1]) ** 2)) - goal)
    reach = torch.tensor([torch.inf, 0.3], dtype=double)
    path = [torch.tensor([1e-3, 1.0], dtype=double)]
    problem.minimise(
        path[0].tolist(), reach=reach, callback=lambda _, theta, __: path.append(theta)
    )
    moves = torch.stack(path).diff(dim=0)[:, 1].abs()
    assert moves.max() <= 0.3 and moves.sum() >= 1.5
    torch.testing.assert_close(path[-1], torch.tensor([1.0, 2.5], dtype=double), rtol=0, atol=1e-7)
    free = []
    problem.minimise(path[0].tolist(), steps=1, callback=lambda _, theta, __: free.append(theta))
    assert (free[0][1] - 1.0).abs() > 0.3
