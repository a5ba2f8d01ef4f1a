"""Pictures of single edges: true values, dashes beyond the data, ticks at the knots."""

import numpy as np
import pytest
import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from plot_examples import fix, inputs, network, rendered

from edgewise import plot
from edgewise.errors import InputError


def line(ax, gid):
    return next(found for found in ax.get_lines() if found.get_gid() == gid)


@pytest.mark.parametrize(("l", "i", "j"), [(0, 1, 2), (1, 2, 0)])
def test_an_edge_is_drawn_with_its_true_values(l, i, j):
    model = network([2, 3, 1])
    ax = plot.edge(model, l, i, j, model.trace(inputs(model)))
    assert isinstance(ax, Axes)
    x, y = line(ax, "curve").get_data()
    points = torch.zeros(len(x), model.layers[l].in_features, dtype=torch.float64)
    points[:, i] = torch.as_tensor(x)
    np.testing.assert_allclose(y, model.layers[l].edges(points)[:, j, i].detach(), atol=1e-12)
    assert ax.get_title() == rf"$\phi_{{{l},{i},{j}}}$"
    assert rendered(ax.figure, "svg")


def test_beyond_data_and_grid_the_curve_is_dashed():
    model = network([1, 1])
    x = torch.linspace(-0.5, 1.4, 40, dtype=torch.float64)[:, None]
    ax = plot.edge(model, 0, 0, 0, model.trace(x))
    solid, dashed = line(ax, "curve").get_xdata(), line(ax, "extrapolated").get_xdata()
    np.testing.assert_allclose([solid.min(), solid.max()], [-0.5, 1.0])
    np.testing.assert_allclose([dashed.min(), dashed.max()], [-1.0, 1.4])
    assert line(ax, "extrapolated").is_dashed()


def test_ticks_mark_the_knots():
    model = network([2, 1])
    ax = plot.edge(model, 0, 0, 0)
    np.testing.assert_allclose(ax.get_xticks(minor=True), model.layers[0].grid[0])


def test_the_density_strip_lies_below_the_curve():
    model = network([2, 1])
    ax = plot.edge(model, 0, 0, 0, model.trace(inputs(model)))
    low, high = ax.get_ylim()
    curve = line(ax, "curve").get_ydata()
    assert (curve.min() - low) / (high - low) > 0.16
    assert len(ax.patches) == 1
    assert not plot.edge(model, 0, 0, 0).patches


def test_a_symbolic_edge_shows_its_form_and_a_dead_one_says_so():
    model = network([2, 1])
    fix(model, 0, 0, 0, "sin", (3.0, 0.0, 2.0, -1.0))
    model.layers[0].mask[0, 1] = 0.0
    assert plot.edge(model, 0, 0, 0).get_title().endswith("= 2 sin(3x) − 1")
    dead = plot.edge(model, 0, 1, 0)
    assert dead.get_title().endswith("(off)")
    assert rendered(dead.figure, "png")


def test_axes_that_came_are_used():
    ax = Figure().add_subplot()
    assert plot.edge(network([2, 1]), 0, 0, 0, ax=ax) is ax


def test_names_that_mathtext_would_trip_over():
    model = network([2, 1], input_names=["a$b$c_$", "x_1"])
    ax = plot.edge(model, 0, 0, 0)
    assert rendered(ax.figure, "svg")
    assert plot.edge(model, 0, 1, 0).get_xlabel() == "$x_{1}$"


@pytest.mark.parametrize("index", [(2, 0, 0), (-1, 0, 0), (0, 2, 0), (0, 0, 3)])
def test_edges_that_do_not_exist(index):
    with pytest.raises(InputError):
        plot.edge(network([2, 3, 1]), *index)


def test_a_layer_as_small_multiples_one_for_each_live_edge():
    model = network([2, 3, 1])
    fix(model, 0, 0, 1, "sin", (3.0, 0.0, 2.0, -1.0))
    model.layers[0].mask[2, 1] = 0.0
    figure = plot.edges(model, 0, model.trace(inputs(model)))
    assert isinstance(figure, Figure)
    assert len(figure.axes) == 5
    assert figure.get_suptitle() == "layer 0: 5 live edges"
    assert rendered(figure, "png")


@pytest.mark.parametrize("scored", [True, False])
def test_of_a_large_layer_the_strongest_edges(scored):
    model = network([9, 9])
    scores = [torch.arange(81.0).reshape(9, 9)] if scored else None
    figure = plot.edges(model, 0, scores=scores, max_edges=6)
    assert len(figure.axes) == 6
    assert figure.get_suptitle() == "layer 0: 6 of 81 live edges"
    if scored:
        assert {ax.get_title() for ax in figure.axes} == {
            rf"$\phi_{{0,{i},8}}$" for i in range(3, 9)
        }
    with pytest.raises(InputError):
        plot.edges(model, 1)
