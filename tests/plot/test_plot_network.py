"""The picture of a network: one curve a live edge, opacity by score, nothing left behind."""

import math

import numpy as np
import pytest
import torch
from matplotlib.colors import to_hex
from matplotlib.figure import Figure
from plot_examples import WIDTHS, curves, fix, in_fresh_python, inputs, network, rendered

from edgewise import interpret, plot
from edgewise.errors import InputError
from edgewise.plot.canvas import BOTH, NUMERIC, SYMBOLIC
from edgewise.plot.network import FAINTEST, opacity


def texts(figure):
    return [text.get_text() for text in figure.axes[0].texts]


@pytest.mark.parametrize(("width", "arity"), WIDTHS.values(), ids=WIDTHS)
def test_one_curve_for_each_live_edge(width, arity):
    model = network(width, arity)
    model.layers[0].mask[0, 0] = 0.0
    model.layers[-1].mask[-1, -1] = 0.0
    figure = plot.network(model)
    assert isinstance(figure, Figure)
    live = sum(int(layer.live.sum()) for layer in model.layers)
    assert len(curves(figure)) == live
    assert "edge-0-0-0" not in curves(figure)


@pytest.mark.parametrize("kind", ["svg", "pdf", "png"])
def test_figures_are_written_in_every_format(kind):
    model = network([3, [2, 2], 1], [[], [2, 3], []])
    fix(model, 0, 1, 2, "sin")
    figure = plot.network(model, input_names=["a$b", "x_1", "100%_#"], title="f(x) = $")
    first = {"svg": b"<?xml", "pdf": b"%PDF", "png": b"\x89PNG"}[kind]
    assert rendered(figure, kind).startswith(first)


def test_the_figure_is_vectors_only():
    assert b"<image" not in rendered(plot.network(network([2, 5, 1])), "svg")


def test_a_notebook_shows_the_figure_by_itself():
    png, size = plot.network(network([2, 1]))._repr_png_()
    assert png.startswith(b"\x89PNG")
    assert set(size) == {"width", "height"}


def test_curves_are_the_edges_own():
    model = network([2, 3, 1])
    x = inputs(model)
    trace = model.trace(x)
    drawn = curves(plot.network(model, trace, curve_points=60))["edge-0-1-2"].get_ydata()
    t = torch.linspace(float(x[:, 1].min()), float(x[:, 1].max()), 60, dtype=torch.float64)
    true = model.layers[0].edges(t[:, None].repeat(1, 2))[:, 2, 1].detach().numpy()
    scaled = (true - true.min()) / (true.max() - true.min())
    shape = (drawn - drawn.min()) / (drawn.max() - drawn.min())
    np.testing.assert_allclose(shape, scaled, atol=1e-9)


def test_opacity_rises_with_the_score_and_never_vanishes():
    values = [opacity(score, 3.0) for score in np.linspace(0, 2, 50)]
    assert values == sorted(values)
    assert values[0] == FAINTEST
    assert math.isclose(opacity(0.4, 3.0), math.tanh(1.2))
    assert opacity(-1.0, 3.0) == FAINTEST


@pytest.mark.parametrize("as_attribution", [True, False])
def test_scores_set_the_opacity_of_curves(as_attribution):
    model = network([2, 3, 1])
    trace = model.trace(inputs(model))
    scores = interpret.attribute(model, trace)
    figure = plot.network(model, trace, scores if as_attribution else list(scores.edges), beta=2.0)
    for gid, line in curves(figure).items():
        _, l, i, j = gid.split("-")
        score = float(scores.edges[int(l)][int(j), int(i)])
        assert line.get_alpha() == pytest.approx(max(FAINTEST, math.tanh(2.0 * score)))


def test_without_scores_every_edge_is_full():
    assert {line.get_alpha() for line in curves(plot.network(network([2, 2, 1]))).values()} == {1.0}


def test_colours_tell_numeric_from_symbolic():
    model = network([3, 1])
    fix(model, 0, 1, 0, "sin")
    fix(model, 0, 2, 0, "exp")
    model.layers[0].mask[0, 2] = 1.0
    lines = curves(plot.network(model))
    colours = [to_hex(lines[f"edge-0-{i}-0"].get_color()) for i in range(3)]
    assert colours == [NUMERIC, SYMBOLIC, BOTH]


def test_symbolic_edges_bear_their_name_or_their_whole_form():
    model = network([2, 1])
    fix(model, 0, 1, 0, "x^2", (1.0, -1.0, 3.0, 0.5))
    assert "x²" in texts(plot.network(model))
    assert "3 (x − 1)² + 0.5" in texts(plot.network(model, formulas=True))


def test_names_come_from_the_call_then_the_model_then_numbers():
    model = network([2, 1], input_names=["period_years", "x_1"], output_names=["a$b"])
    assert {"period_years", "$x_{1}$", "a$b"} <= set(texts(plot.network(model)))
    assert {"p", "q", "r"} <= set(
        texts(plot.network(model, input_names=["p", "q"], output_names=["r"]))
    )
    assert {"$x_{1}$", "$x_{2}$", "$y_{1}$"} <= set(texts(plot.network(network([2, 1]))))


def test_wide_networks_show_the_strongest_and_say_how_many_are_hidden():
    model = network([4, 30, 30, 1])
    scores = [torch.rand(layer.mask.shape) for layer in model.layers]
    figure = plot.network(model, scores=scores, max_edges=40)
    shown = curves(figure)
    assert 0 < len(shown) <= 40
    live = 4 * 30 + 30 * 30 + 30
    note = f"the {len(shown)} strongest of {live:,} edges; {live - len(shown):,} hidden"
    assert note in texts(figure)
    # Each edge shown leads on to one that is shown.
    keys = [tuple(int(n) for n in gid.split("-")[1:]) for gid in shown]
    starts = {(l, i) for l, i, _ in keys}
    assert all(l == 2 or (l + 1, j) in starts for l, _, j in keys)


def test_of_a_single_layer_exactly_the_highest_scores_are_shown():
    model = network([20, 1])
    scores = [torch.linspace(0, 1, 20, dtype=torch.float64)[None]]
    shown = curves(plot.network(model, scores=scores, max_edges=5))
    assert set(shown) == {f"edge-0-{i}-0" for i in range(15, 20)}


def test_functions_with_poles_and_gaps_are_drawn_where_they_exist():
    model = network([3, 1])
    fix(model, 0, 0, 0, "log")
    fix(model, 0, 1, 0, "1/x")
    fix(model, 0, 2, 0, "x", (0.0, 0.0, 0.0, 2.0))
    lines = curves(plot.network(model, curve_points=100))
    assert np.isnan(lines["edge-0-0-0"].get_ydata()).sum() == 50
    assert np.isnan(lines["edge-0-1-0"].get_ydata()).any()
    assert np.ptp(lines["edge-0-2-0"].get_ydata()) == 0
    assert rendered(plot.network(model), "svg")


def test_an_input_that_never_varies_has_a_curve():
    model = network([2, 1])
    x = inputs(model)
    x[:, 0] = 0.3
    line = curves(plot.network(model, model.trace(x)))["edge-0-0-0"]
    assert np.isfinite(line.get_ydata()).all()


def test_a_network_without_live_edges_says_so():
    model = network([2, 1])
    model.layers[0].mask.zero_()
    assert "no live edges" in texts(plot.network(model))


def test_the_model_is_left_as_it_was():
    model = network([2, 3, 1])
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    plot.network(model, model.trace(inputs(model)))
    assert all(torch.equal(before[name], t) for name, t in model.state_dict().items())
    assert all(p.grad is None for p in model.parameters())


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"input_names": ["a"]}, "1 names; expected 2"),
        ({"scores": [torch.ones(1, 2)]}, "scores have shapes"),
        ({"scores": [torch.full((2, 2), math.nan), torch.ones(1, 2)]}, "not finite"),
        ({"max_edges": 0}, "max_edges is 0"),
    ],
)
def test_arguments_that_do_not_fit(options, words):
    with pytest.raises(InputError, match=words):
        plot.network(network([2, 2, 1]), **options)


def test_a_trace_of_another_model_or_of_bad_data():
    model = network([2, 2, 1])
    with pytest.raises(InputError, match="trace this model anew"):
        plot.network(model, network([2, 3, 1]).trace(inputs(model)))
    with pytest.raises(InputError, match="not finite"):
        plot.network(model, model.trace(inputs(model) * math.nan))


def test_pyplot_is_not_touched_and_matplotlib_comes_late():
    in_fresh_python(
        "import sys, torch, edgewise.plot as plot, edgewise.nn as nn\n"
        "assert 'matplotlib' not in sys.modules\n"
        "model = nn.Network([2, 2, 1])\n"
        "plot.network(model), plot.edge(model, 0, 0, 0), plot.edges(model, 0)\n"
        "plot.predicted([1.0, 2.0], [1.0, 2.0])\n"
        "assert 'matplotlib.pyplot' not in sys.modules\n"
        "import matplotlib.pyplot as plt\n"
        "assert plt.get_fignums() == []\n"
    )
