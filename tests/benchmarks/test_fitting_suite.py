"""The suites of special functions and dimensionless equations: their short form, and what they rest on."""

import json
import math
import sys
from pathlib import Path

import pytest
import torch

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"
sys.path.insert(0, str(BENCHMARKS))

import feynman27  # noqa: E402
import fitting_ladder  # noqa: E402
import fitting_mlp  # noqa: E402
import fitting_table  # noqa: E402
import special_functions  # noqa: E402
from edgewise import KAN  # noqa: E402
from edgewise.problems import Samples, load  # noqa: E402

SUITES = special_functions.SUITE, feynman27.SUITE


@pytest.fixture
def one_thread():
    threads = torch.get_num_threads()
    yield
    torch.set_num_threads(threads)


@pytest.mark.slow
def test_the_short_form_reaches_its_goal_and_keeps_its_runs(tmp_path, capsys, one_thread):
    results = tmp_path / "special.jsonl"
    words = ["--short", "--results", str(results)]
    assert special_functions.main(special_functions.SUITE, "", words) == 0
    first = capsys.readouterr()
    runs = [json.loads(line) for line in results.read_text(encoding="utf-8").splitlines()]
    assert [run["id"] for run in runs] == list(special_functions.SUITE.short)
    # held-out rows reach 1e-4 of the targets' spread, 0.34; unseen ones come near
    assert all(run["rmse"] < 1e-4 for run in runs), first.out

    assert special_functions.main(special_functions.SUITE, "", words) == 0
    again = capsys.readouterr()
    assert again.out == first.out and again.err == "", "nothing is computed twice"


@pytest.mark.parametrize("suite", SUITES, ids=lambda suite: suite.collection)
def test_every_problem_has_the_papers_figures(suite):
    assert set(suite.published()) == set(suite.ids)
    assert all(0 < suite.to_beat(id) < 1e-1 for id in suite.ids)


@pytest.mark.parametrize("n", [2, 3, 6])
def test_every_shape_of_the_ladder_takes_n_inputs(n):
    for shape in fitting_ladder.ladder(n) + fitting_ladder.sums_of_products(n):
        model = KAN(shape.width, grid=shape.grids(2))
        assert model(torch.zeros(2, n)).shape == (2, 1)
        assert model.layers[-1].basis.grid == (shape.last or 2)


def test_a_sum_inside_a_curve_is_recognised_by_its_rate():
    """1 / (1 + a b) is a curve of log a + log b: the first shape gains as splines do, and ends it."""
    rows = load("feynman-dimensionless/I.27.6", 600).train
    plan = fitting_ladder.Plan(grids=(5, 10, 20), starts=1, rows=400, goal=1e-4, seconds=60)
    model, lines = fitting_ladder.climb(rows, 0, plan)
    assert {line["width"] for line in lines} == {(2, 1, 1)}
    assert [line["stage"] for line in lines] == ["start", "grid", "all rows"]
    assert lines[-1]["held_out"] < 1e-4 * float(rows.y.std()) < lines[0]["held_out"]
    assert fitting_ladder.rmse(model, rows) < lines[-1]["held_out"]


@pytest.mark.parametrize("name", fitting_mlp.TRAININGS)
def test_the_mlps_learn_within_their_seconds(name):
    data = load("feynman-dimensionless/I.27.6", 300, n_test=100)
    run = fitting_mlp.fitted(data, 1.0, fitting_mlp.TRAININGS[name], 0)
    assert run["rmse"] < 0.3 * float(data.train.y.std())
    assert run["seconds"] < 3.0


def test_geometric_mean_and_shapes_as_printed():
    assert fitting_table.mean([1e-2, 1e-6]) == pytest.approx(1e-4)
    assert math.isnan(fitting_table.mean([]))
    assert fitting_table.shape([2, [1, 1], 1]) == "[2,[1,1],1]"
    assert fitting_table.error({"rmse": math.inf}) == "failed"


def test_errors_are_of_rows_and_not_of_their_mean():
    model, x = KAN([1, 1], seed=0), torch.linspace(-1, 1, 4, dtype=torch.float64)[:, None]
    with torch.no_grad():
        rows = Samples(x, model(x) + torch.tensor([[3.0], [-4.0], [0.0], [5.0]]))
    assert fitting_ladder.rmse(model, rows) == pytest.approx(math.sqrt(50 / 4), rel=1e-12)
