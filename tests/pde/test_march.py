"""Marching: stretches join, and conditions stay where they belong."""

import pytest
import torch

from edgewise import KAN, pde
from edgewise.errors import InputError
from edgewise.train import LevenbergMarquardt

TIME = pde.Box(t=(0, 2))
# u' = 4 u (1 - u), u(0) = 1/100
LOGISTIC = pde.Problem(
    TIME,
    lambda u, p: u.t - 4 * u.value * (1 - u.value),
    [pde.Condition(TIME.at(t=0), lambda u, p: u.value - 0.01, weight=100.0)],
    points=60,
)


def exact(t):
    return 1 / (1 + 99 * torch.exp(-4 * t))


def marched(ends):
    start = KAN([1, 1], grid=6, k=5, base_fun="zero")
    return pde.march(start, LOGISTIC, "t", ends, points=1, solver=LevenbergMarquardt(12))


def test_stretches_join_to_the_solution():
    found = marched([0, 0.5, 1, 1.5, 2])
    t = torch.linspace(0, 2, 101, dtype=torch.float64)[:, None]
    assert float((found(t) - exact(t)).abs().max()) < 1e-4
    for before, after, at in zip(found.parts[:-1], found.parts[1:], found.ends[1:-1], strict=True):
        end = torch.tensor([[at]], dtype=torch.float64)
        assert float((before(end) - after(end)).abs()) < 1e-5
    assert found.n_parameters == sum(part.model.n_parameters for part in found.parts)


def test_each_row_is_answered_by_its_stretch():
    found = marched([0, 1, 2])
    t = torch.tensor([[1.7], [0.3], [1.2]], dtype=torch.float64)
    late, early = found.parts[1](t), found.parts[0](t)
    assert torch.equal(found(t), torch.where(t > 1, late, early))


def test_conditions_outside_a_stretch_are_left_out():
    assert len(LOGISTIC.within(t=(0, 1)).conditions) == 1
    assert len(LOGISTIC.within(t=(1, 2)).conditions) == 0
    with pytest.raises(InputError, match="outside the domain"):
        LOGISTIC.within(t=(3, 4))
    box = pde.Box(t=(0, 1), x=(0, 1))
    assert len(box.boundary().within(t=(0.5, 1)).parts) == 3
    assert pde.Points(("t",), torch.zeros(2, 1)).within(t=(1, 2)) is None


def test_what_is_cut_short_ends_the_march():
    solver = LevenbergMarquardt(12)
    start = KAN([1, 1], grid=6, k=5, base_fun="zero")
    options = {"points": 1, "solver": solver}
    for found, status in (
        (
            pde.march(start, LOGISTIC, "t", [0, 1, 2], callbacks=[lambda *_: True], **options),
            "callback",
        ),
        (pde.march(start, LOGISTIC, "t", [0, 1, 2], time_limit=0.0, **options), "time limit"),
    ):
        assert (found.status, found.ends, len(found.parts)) == (status, (0.0, 1.0), 1)
    with pytest.raises(InputError, match=r"from 0\.0 to 2\.0"):
        marched([0, 1, 3])


def test_ends_must_rise():
    with pytest.raises(InputError, match="rising"):
        marched([0, 1, 1])
