"""The benchmarks of scaling and of continual learning in their short forms, and what they rest on."""

import json
import math
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from edgewise import train
from edgewise.train import GridUpdates, LevenbergMarquardt

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"


def short(name, results):
    command = [sys.executable, str(BENCHMARKS / name), "--short", "--results", str(results)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=600)
    assert done.returncode == 0, done.stdout + done.stderr
    runs = [json.loads(line) for line in results.read_text(encoding="utf-8").splitlines()]
    again = subprocess.run([*command, "--table"], capture_output=True, text=True, timeout=60)
    assert again.stdout in done.stdout and again.stdout.strip()
    return runs


@pytest.mark.slow
def test_errors_of_splines_fall_with_the_fourth_power(tmp_path):
    runs = short("scaling.py", tmp_path / "runs.jsonl")
    errors = {(run["name"], run["size"]): run["rmse"] for run in runs if run["who"] == "KAN"}
    assert math.log2(errors["bessel", 40] / errors["bessel", 80]) == pytest.approx(4, abs=0.6)
    assert math.log2(errors["two", 5] / errors["two", 10]) == pytest.approx(4, abs=0.6)


@pytest.mark.slow
def test_one_spline_forgets_no_peak(tmp_path):
    runs = short("continual.py", tmp_path / "runs.jsonl")
    errors = next(run["errors"] for run in runs if run["task"] == "peaks")
    # the least-squares error of all peaks at once on this grid
    assert errors == pytest.approx([runs[0]["whole"]] * 5, rel=0.01)
    for run in runs:
        if run["task"] == "digits":
            assert run["all"][0] > 0.9 > run["all"][-1]


def test_coefficients_without_rows_stay_where_they_are(module):
    """To the rounding of the targets' units, which a fit enters and leaves."""
    continual = module("continual")
    model, learn = continual.kan([1, 1], 200, 0)
    first = learn(model, continual.rows_of(0))
    second = learn(first, continual.rows_of(3))
    moved = (second.layers[0].coef - first.layers[0].coef).detach().abs()[0, 0]
    touched = (second.layers[0].features(continual.rows_of(3))[:, 0, :-1] > 0).any(0)
    assert float(moved[~touched].max()) < 1e-14 < float(moved[touched].max())

    held = LevenbergMarquardt(30, grids=GridUpdates(0))  # with the prior of smoothness
    x = continual.rows_of(3)
    other = train.fit(first, (x, continual.peaks(x)), solver=held).model
    moved = (other.layers[0].coef - first.layers[0].coef).detach().abs()[0, 0]
    assert float(moved[~touched].max()) > 1e-6


def test_exponents_are_those_of_powers(module):
    scaling = module("scaling")
    runs = [{"size": G, "parameters": 3 * G, "rmse": 7.0 * G**-4.0} for G in (5, 10, 20, 50)]
    assert scaling.exponent(runs, "size") == pytest.approx(-4)
    assert scaling.exponent(runs) == pytest.approx(-4)
    assert math.isnan(scaling.exponent(runs[:2]))


def test_the_frontier_holds_what_no_smaller_network_beats(module):
    runs = [{"parameters": P, "rmse": e} for P, e in ((9, 0.1), (3, 0.3), (5, 0.4), (20, 0.2))]
    assert [run["parameters"] for run in module("scaling").frontier(runs)] == [3, 9]


def test_the_five_peaks_are_apart(module):
    continual = module("continual")
    at = continual.peaks(torch.tensor(continual.CENTRES, dtype=torch.float64)[:, None])
    torch.testing.assert_close(at, torch.ones_like(at), rtol=0, atol=1e-10)
    rows = torch.cat([continual.rows_of(phase) for phase in range(5)])
    assert float(rows.min()) == -1.0 and float(rows.max()) == 1.0
