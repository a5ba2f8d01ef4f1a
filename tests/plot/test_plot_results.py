"""Pictures of results: predicted against true, and formulas by complexity and error."""

import math
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from matplotlib.figure import Figure
from plot_examples import rendered

from edgewise import plot
from edgewise.errors import InputError, ShapeError
from edgewise.plot.results import POINTS


def pairs(ax):
    return next(line for line in ax.get_lines() if line.get_gid() == "pairs")


def test_errors_are_those_of_all_pairs():
    true, guess = torch.tensor([[0.0], [2.0]]), np.array([1.0, 2.0])
    assert plot.predicted(true, guess).get_title() == "RMSE 0.707, $R^2$ 0.5"
    assert plot.predicted(true, guess, error="mae").get_title().startswith("mean |error| 0.5")
    assert plot.predicted(true, guess, error="max").get_title().startswith("max |error| 1,")


def test_an_error_near_nothing_is_not_called_one():
    y = np.linspace(-1, 1, 100)
    assert "$R^2$ 1 − 3e−14" in plot.predicted(y, y + 1e-7).get_title()
    assert plot.predicted(y, y).get_title() == "RMSE 0, $R^2$ 1"
    assert "undefined" in plot.predicted([1.0, 1.0], [1.0, 2.0]).get_title()


@pytest.mark.parametrize("rows", [10, POINTS, POINTS + 1, 40_000])
def test_many_pairs_are_thinned_by_strides(rows):
    y = np.arange(float(rows))
    shown = pairs(plot.predicted(y, y)).get_xdata()
    assert len(shown) <= POINTS
    assert len(shown) > POINTS / 2 or rows == len(shown)
    assert len(set(np.diff(shown))) == 1


def test_pairs_that_are_not_finite_are_counted_in_the_title():
    ax = plot.predicted([1.0, 2.0, math.nan], [1.0, math.inf, 1.0], name="a$b_", residuals=True)
    assert "2 pairs not finite" in ax.get_title()
    assert ax.get_xlabel() == "a$b_, true"
    assert rendered(ax.figure, "svg")


def test_predictions_that_do_not_fit():
    with pytest.raises(ShapeError, match="2 true and 1 predicted"):
        plot.predicted([1.0, 2.0], [1.0])
    with pytest.raises(InputError, match="finite"):
        plot.predicted([math.nan], [1.0])
    with pytest.raises(InputError, match="error is"):
        plot.predicted([1.0], [1.0], error="r2")


def front():
    rows = [("x", 1, 1.0), ("x*sin(y)", 4, 0.1), ("exp(-x)*sin(pi*y) + z**2", 9, 1e-8)]
    return [SimpleNamespace(formula=f, complexity=c, rmse=e) for f, c, e in rows]


@pytest.mark.parametrize("as_what", ["candidate", "formula", "index"])
def test_the_pick_has_a_ring(as_what):
    found = front()
    best = {"candidate": found[2], "formula": found[2].formula, "index": 2}[as_what]
    ax = plot.pareto(found, best)
    ring = next(line for line in ax.get_lines() if line.get_gid() == "pick")
    assert (ring.get_xdata()[0], ring.get_ydata()[0]) == (9, 1e-8)
    assert ax.get_yscale() == "log"
    assert rendered(ax.figure, "pdf")


def test_formulas_stand_beside_their_points_without_touching():
    crowd = [
        SimpleNamespace(formula=f"a*x**{n} + b*sin(x*{n}) + " * 3, complexity=n, rmse=1.0 / n)
        for n in range(1, 40)
    ]
    for found in (front(), crowd):
        ax = plot.pareto(found, len(found) - 1)
        boxes = [note.get_window_extent() for note in ax.texts]
        assert boxes
        assert all(not a.overlaps(b) for n, a in enumerate(boxes) for b in boxes[:n])
        assert all(len(note.get_text()) <= 42 for note in ax.texts)
    assert [note.get_text() for note in plot.pareto(front()).texts] == [c.formula for c in front()]


@pytest.mark.parametrize("error", [0.0, math.inf, math.nan])
def test_errors_without_a_logarithm(error):
    found = front()
    found[0].rmse = error
    assert rendered(plot.pareto(found).figure, "png")


def test_fronts_that_do_not_fit_and_axes_that_came():
    with pytest.raises(InputError, match="empty"):
        plot.pareto([])
    with pytest.raises(InputError, match="not in the front"):
        plot.pareto(front(), "another")
    with pytest.raises(InputError, match="not in the front"):
        plot.pareto(front(), 3)
    with pytest.raises(InputError, match="2 errors"):
        plot.pareto(front(), errors=[1.0, 2.0])
    ax = Figure().add_subplot()
    assert plot.pareto(front(), ax=ax) is ax
    assert plot.predicted([1.0, 2.0], [1.0, 2.0], ax) is ax
