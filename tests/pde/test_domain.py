"""Regions: where their points lie, and that the same seed gives the same ones."""

import pytest
import torch

from edgewise import pde
from edgewise.errors import InputError, ShapeError


def test_a_box_fills_its_ranges_evenly():
    box = pde.Box(t=(0, 2), x=(-1, 3))
    x = box.sample(256, seed=3)
    assert x.shape == (256, 2) and x.dtype == torch.float64
    unit = (x - box.corners()[0]) / (box.corners()[1] - box.corners()[0])
    # a net in base 2: each of 16 equal strips, and of 4 x 4 squares, holds its share
    for column in unit.T:
        assert torch.histc(column, 16, 0, 1).tolist() == [16] * 16
    squares = (unit * 4).long() @ torch.tensor([4, 1])
    assert squares.bincount(minlength=16).tolist() == [16] * 16
    assert torch.equal(x, box.sample(256, seed=3)) and not torch.equal(x, box.sample(256, seed=4))


def test_faces_and_boundaries_lie_where_they_say():
    box = pde.Box(t=(0, 1), x=(-1, 1))
    assert bool((box.at(t=0).sample(9)[:, 0] == 0).all())
    edge = box.boundary().sample(40)
    on_t = (edge[:, 0] == 0) | (edge[:, 0] == 1)
    on_x = edge[:, 1].abs() == 1
    assert bool((on_t | on_x).all()) and int(on_t.sum()) == int(on_x.sum()) == 20
    assert bool((box.boundary("x").sample(8)[:, 1].abs() == 1).all())
    assert pde.Box(x=(0, 1)).at(x=1).sample(50).tolist() == [[1.0]]


def test_parts_of_regions():
    box = pde.Box(t=(0, 1), x=(-1, 1))
    early = box.boundary("x").within(t=(0, 0.25)).sample(32)
    assert float(early[:, 0].max()) < 0.25 and bool((early[:, 1].abs() == 1).all())
    rows = torch.tensor([[0.1, 0.0, 5.0], [0.9, 0.0, 6.0]])
    given = pde.Points(("t", "x"), rows[:, :2], rows[:, 2])
    assert given.within(t=(0, 0.5)).sample(10).tolist() == [pytest.approx([0.1, 0.0, 5.0])]


def test_the_global_random_state_is_left_alone():
    state = torch.get_rng_state()
    pde.Box(x=(0, 1)).sample(8)
    assert torch.equal(state, torch.get_rng_state())


def test_what_does_not_fit_is_refused():
    box = pde.Box(t=(0, 1))
    with pytest.raises(InputError, match="lower < upper"):
        pde.Box(x=(1, 0))
    with pytest.raises(InputError, match="outside"):
        box.at(t=2)
    with pytest.raises(InputError, match="no coordinate 'x'"):
        box.at(x=0)
    with pytest.raises(ShapeError, match="expected"):
        pde.Points(("t",), torch.zeros(3, 2))
    with pytest.raises(InputError, match="same order"):
        pde.Problem(box, lambda u, p: u.t, [pde.Condition(pde.Box(x=(0, 1)), lambda u, p: u.x)])


def test_faces_keep_all_digits_and_their_own_boundary():
    box = pde.Box(t=(0, 1), x=(0.1, 0.3))
    face = box.at(x=0.1)
    assert set(face.sample(5)[:, 1].tolist()) == {0.1}
    edge = face.boundary().sample(10)
    assert set(edge[:, 0].tolist()) == {0.0, 1.0} and set(edge[:, 1].tolist()) == {0.1}


@pytest.mark.parametrize("every", [0, -2, 1.5])
def test_rounds_are_counted_in_whole_steps(every):
    with pytest.raises(InputError, match="every"):
        pde.Collocation(every=every)
