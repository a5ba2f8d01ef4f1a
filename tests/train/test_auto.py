"""Laws of opt="auto" that its parts obey on their own: grids with room for unseen samples."""

import pytest
import torch

from edgewise import KAN
from edgewise.train import update_grids


def hidden_ends(model, layer):
    """(lower, upper) of what the layer's knots span: (I,) each."""
    knots = model.layers[layer].basis_tensors["grid"]
    return knots[:, 0], knots[:, -1]


@pytest.mark.parametrize("grid_eps", [1.0, 0.5])
def test_ranges_reach_past_the_samples_by_the_distance_of_the_outermost(grid_eps):
    model = KAN([2, 2, 1], grid=4, seed=3, grid_eps=grid_eps)
    x = torch.rand(400, 2, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    update_grids(model, x, room=True)
    for level, arriving in enumerate(model.trace(x).inputs):
        ordered = arriving.detach().sort(0).values
        lower, upper = hidden_ends(model, level)
        length = ordered[-1] - ordered[0]
        gaps = ordered[10] - ordered[0], ordered[-1] - ordered[-11]
        for room, gap in ((ordered[0] - lower, gaps[0]), (upper - ordered[-1], gaps[1])):
            assert (room >= torch.minimum(gap, 0.05 * length)).all()
            assert (room <= torch.minimum(gap, 0.05 * length) + 0.01 * length).all()


def test_the_function_stays_where_the_knots_move():
    model = KAN([2, 2, 1], grid=40, seed=2)
    x = torch.rand(300, 2, generator=torch.Generator().manual_seed(2), dtype=torch.float64)
    update_grids(model, x, room=True)
    before = model(x).detach()
    update_grids(model, x, room=True)
    assert (model(x).detach() - before).abs().max() <= 1e-6 * before.abs().max()


def test_a_single_row_and_a_constant_input_keep_their_knots():
    for x in (torch.zeros(1, 2), torch.zeros(50, 2)):
        model = KAN([2, 1, 1], seed=0)
        before = hidden_ends(model, 0)
        update_grids(model, x.double(), room=True)
        for old, new in zip(before, hidden_ends(model, 0), strict=True):
            assert torch.equal(old, new)
