"""The picture of a fit: every loss by its true name, what is not there is not drawn."""

import math

import pytest
from matplotlib.figure import Figure
from plot_examples import rendered

from edgewise import plot
from edgewise.errors import InputError
from edgewise.train.history import History


def example(**changes):
    steps = list(range(6))
    columns = {
        "step": steps,
        "train_loss": [2.0**-n for n in steps],
        "test_loss": [1.5 * 2.0**-n if n % 2 else None for n in steps],
        "penalty": [0.1] * 6,
        "events": [(2, "grid 5 -> 10"), (4, "a$b_")],
    }
    return History(**{**columns, **changes})


def drawn(ax):
    return {found.get_label(): found for found in ax.get_lines() if found.get_label()[0] != "_"}


def test_losses_have_their_true_names_and_values():
    ax = plot.history(example())
    lines = drawn(ax)
    assert list(lines) == ["train rmse", "test rmse", "penalty"]
    assert list(lines["train rmse"].get_ydata()) == [2.0**-n for n in range(6)]
    assert list(lines["test rmse"].get_xdata()) == [1, 3, 5]
    assert (ax.get_yscale(), ax.get_xlabel(), ax.get_ylabel()) == ("log", "step", "rmse")
    assert rendered(ax.figure, "svg")


def test_what_is_not_there_is_not_drawn():
    bare = example(test_loss=[None] * 6, penalty=[0.0] * 6, events=[], loss_name="cross-entropy")
    assert list(drawn(plot.history(bare))) == ["train cross-entropy"]


def test_events_are_marked_by_their_text():
    assert [t.get_text() for t in plot.history(example()).texts] == ["grid 5 -> 10", "a$b_"]
    many = [(n % 6, f"event {n}") for n in range(40)]
    assert not plot.history(example(events=many)).texts


@pytest.mark.parametrize("losses", [[0.0] * 6, [-1.0] * 6, [math.nan] * 6, [math.inf] + [1.0] * 5])
def test_losses_without_a_logarithm(losses):
    assert rendered(plot.history(example(train_loss=losses)).figure, "png")


def test_one_step_no_step_and_axes_that_came():
    ax = Figure().add_subplot()
    one = History(step=[0], train_loss=[1.0], test_loss=[None], penalty=[0.0], seconds=[0.0])
    assert plot.history(one, ax) is ax
    assert drawn(ax)["train rmse"].get_marker() == "o"
    with pytest.raises(InputError, match="no steps"):
        plot.history(History())
