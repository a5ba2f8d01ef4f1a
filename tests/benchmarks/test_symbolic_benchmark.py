"""The symbolic benchmark: its rule takes what is the law and nothing else, and nothing is lost."""

import json
import time
from pathlib import Path

import numpy as np
import pytest

from edgewise.workers import Worker

FOLDER = Path(__file__).parents[2] / "benchmarks"

# A library that obeys the order in its own folder: fit raises, sleeps, or finds x0*x1.
PLANTED = """
import os, time
from pathlib import Path
import numpy as np

class Product:
    name, arity = "mul", 2

class Program:
    program, raw_fitness_ = [Product(), 0, 1], 0.0

class SymbolicRegressor:
    def __init__(self, **settings):
        self.generations = settings["generations"]
        self._program = Program()

    def set_params(self, generations):
        self.generations = generations

    def fit(self, x, y):
        order = Path(__file__).with_name("order.txt")
        with order.with_name("calls.txt").open("a") as calls:
            calls.write("fit\\n")
        match order.read_text():
            case "raise":
                raise RuntimeError("planted: no law today")
            case "sleep":
                time.sleep(600)

    def predict(self, x):
        return x[:, 0] * x[:, 1]
"""


@pytest.fixture
def benchmark(monkeypatch):
    monkeypatch.syspath_prepend(str(FOLDER))
    import symbolic

    return symbolic


@pytest.fixture
def planted(tmp_path, monkeypatch):
    """The folder of a gplearn of our own, which every interpreter finds first."""
    folder = tmp_path / "library" / "gplearn"
    folder.mkdir(parents=True)
    (folder / "__init__.py").touch()
    (folder / "genetic.py").write_text(PLANTED, encoding="utf-8")
    about = folder.parent / "gplearn-9.9.dist-info"
    about.mkdir()
    (about / "METADATA").write_text("Metadata-Version: 2.1\nName: gplearn\nVersion: 9.9\n")
    monkeypatch.setenv("PYTHONPATH", str(folder.parent))
    return folder


THREE = (("x0", "x1", "x2"), (1.0, 1.0, 1.0), (5.0, 5.0, 5.0))
FAR, CLOSE = "neither difference nor quotient is constant", "close, but not constant after rounding"


@pytest.mark.parametrize(
    ("truth", "model"),
    [
        ("x0*x1", "x0*x1"),
        ("x0*x1", "x0*x1 + 3.2"),
        ("x0*x1", "0.31*x0*x1"),
        ("x0*x1", "1.0001*x0*x1 - 0.00003*x2"),
        ("x0*x1/x2^2", "x0*x1*x2^(-1.99998)"),
        ("x0/(4*pi*x1)", "0.0795775*x0/x1"),
        ("x0*sin(2*pi*x1)", "x0*sin(6.28317*x1)"),
        ("sqrt(x0*x1)", "1.2*x0^0.5*sqrt(x1)"),
        ("(x0 + x1)/(1 + x0*x1/x2^2)", "x2^2/(x2^2/(x0 + x1) + x0*x1/(x0 + x1))"),
        ("sin(x0)^2", "0.5 - 0.5*cos(2*x0)"),
        ("x0*tanh(x1/x2)", "x0 - 2*x0/(exp(2.0*x1/x2) + 1)"),
        ("x0*sin(x1)", "x0*cos(x1 - pi/2)"),
        ("ln(x0/x1)", "log(x0) - log(x1)"),
        ("exp(-x0^2/2)/sqrt(2*pi)", "exp(-0.5*x0^2 - 0.918938)"),
        ("x0 + x1", "0.5*(2.0*x0 + 2.00002*x1)"),
    ],
)
def test_the_rule_takes_the_law_up_to_a_constant(benchmark, truth, model):
    from symbolic_rule import rule

    assert rule(truth, model, *THREE) == ""


@pytest.mark.parametrize(
    ("truth", "model", "why"),
    [
        ("x0*x1", "x0*x2", FAR),
        ("x0*x1", "x0*x1 + 0.4*x2", FAR),
        ("x0*x1", "x0*x1 + 0.01*x2", CLOSE),
        ("x0*x1", "0.5*x0*x1 + 1.0*x0", FAR),
        ("x0*x1", "7.5", FAR),
        ("x0*sin(2*pi*x1)", "x0*sin(6.28*x1)", CLOSE),
        ("x0/(1 - x1/30)", "x0/(1 - 0.0333333*x1)", CLOSE),
        ("x0/x1", "0.0000900*x0/x1", CLOSE),
        ("x0^2", "abs(x0 - 6)^2", FAR),
        ("x0", "log(x1 - 6)", FAR),
    ],
)
def test_the_rule_refuses_what_is_not_the_law(benchmark, truth, model, why):
    from symbolic_rule import rule

    assert rule(truth, model, *THREE) == why


def test_simplifying_first_may_save_what_rounding_destroys(benchmark):
    from symbolic_rule import rule

    model = "173.2*x0*sqrt(0.00003333*sin(x1)^2 + 0.00003333*cos(x1)^2)"
    assert rule("x0", model, *THREE) == CLOSE
    assert rule("x0", model, *THREE, simplify=True) == ""


def test_what_is_negative_in_the_data_is_not_taken_for_positive(benchmark):
    from symbolic_rule import rule

    assert rule("sqrt(x0^2)", "x0", ("x0",), (1.0,), (5.0,)) == ""
    assert rule("sqrt(x0^2)", "x0", ("x0",), (-5.0,), (5.0,)) == FAR


def test_same_is_stricter_than_the_rule(benchmark):
    from symbolic_problems import fresh, problems
    from symbolic_rule import same

    problem = problems()["I.12.1"]
    x, truth = fresh(problem, 0)
    assert (x.min(0) < problem.low).all() and (x.max(0) > problem.high).all()
    for model, expected in (
        ("x0*x1", True),
        ("1.0000009*x0*x1", True),
        ("1.000002*x0*x1", False),
        ("x0*x1 + 0.001", False),
        ("log(x0 - 2)*x1", False),
    ):
        assert same(truth, model, problem.variables, x) == expected, model


def test_every_problem_is_its_equation_in_other_names(benchmark):
    import torch

    from edgewise.symbolic.evaluate import evaluate
    from edgewise.symbolic.parse import parse
    from symbolic_problems import SHORT, draw, fresh, problems

    assert len(problems()) == 100 and set(SHORT) <= set(problems())
    for problem in problems().values():
        x, truth = fresh(problem, 0)
        assert np.isfinite(truth).all()
        columns = dict(zip(problem.variables, torch.from_numpy(x.T.copy()), strict=True))
        values = evaluate(parse(problem.formula, problem.variables), columns).numpy()
        np.testing.assert_allclose(values, truth, rtol=1e-9, err_msg=problem.name)
    quiet, loud = (draw(problems()["I.10.7"], noise, 3, 14_000) for noise in (0.0, 0.1))
    assert quiet.train_x.shape == (10_000, 3) and quiet.test_x.shape == (3500, 3)
    assert (quiet.train_x == loud.train_x).all() and (quiet.test_y == loud.test_y).all()
    added = loud.train_y - quiet.train_y
    size = np.sqrt(np.mean(quiet.train_y**2))
    assert abs(added.std() / (0.1 * size) - 1) < 0.05 and abs(added.mean()) < 0.01 * size
    again = draw(problems()["I.10.7"], 0.1, 3, 14_000)
    assert (again.train_y == loud.train_y).all()


def once(planted, order: str) -> int:
    """Give the order; how often fit was called before."""
    (planted / "order.txt").write_text(order)
    calls = planted / "calls.txt"
    return len(calls.read_text().splitlines()) if calls.exists() else 0


@pytest.mark.slow
def test_failures_are_counted_and_runs_that_are_there_are_not_repeated(
    benchmark, planted, tmp_path, capsys
):
    file = tmp_path / "results" / "symbolic.jsonl"
    asked = ["--methods", "gplearn", "--only", "I.12.1,I.14.3", "--rows", "200", "--limit", "1"]
    asked += ["--results", str(file)]

    once(planted, "law")
    assert benchmark.main(asked) == 0
    shown = capsys.readouterr().out
    right, wrong = (json.loads(line) for line in file.read_text().splitlines())
    assert (
        right["solved"] and right["same"] and right["accurate"] and right["formula"] == "(x0 * x1)"
    )
    assert not wrong["solved"] and not wrong["same"] and wrong["why"] in (FAR, "R2 is at most 0.5")
    assert right["version"] == "9.9" and str(tmp_path) not in file.read_text()
    assert "1 (50.0 %)" in shown and "I.14.3" in shown

    before = once(planted, "raise")
    assert benchmark.main(asked) == 0
    again = capsys.readouterr()
    assert again.out == shown and again.err == ""
    assert once(planted, "raise") == before, "what is there is not run again"
    assert benchmark.main(["--table", "--results", str(file)]) == 0
    assert capsys.readouterr().out == shown

    assert benchmark.main([*asked, "--fresh", "--only", "I.12.1"]) == 0
    assert "RuntimeError: planted: no law today" in capsys.readouterr().out
    once(planted, "sleep")
    assert benchmark.main([*asked, "--noise", "0.1", "--only", "I.12.1", "--grace", "1"]) == 0
    assert "time limit" in capsys.readouterr().out
    with file.open("a") as torn:
        torn.write('{"method": "gplearn", "prob')

    import kept

    left = kept.read(file, ("problem", "noise"))
    assert len(left) == 3
    assert left["I.12.1", 0]["status"] == "failed: RuntimeError: planted: no law today"
    assert left["I.12.1", 0.1]["status"] == "time limit" and left["I.12.1", 0.1]["same"] is None
    assert not any(run["solved"] or run["accurate"] for run in left.values())


def test_a_rule_that_fails_or_never_ends_is_told(benchmark, monkeypatch):
    import symbolic_runs
    from symbolic_problems import problems

    problem = problems()["I.12.1"]
    with Worker() as worker:
        verdict = symbolic_runs._verdict("x0*", problem, worker, 60)
        assert verdict.startswith("the rule failed: FormulaError")
        monkeypatch.setattr(symbolic_runs, "rule", never)
        verdict = symbolic_runs._verdict("x0*x1", problem, worker, 0.5)
        assert verdict == "the rule's time limit" and not worker.alive


def never(*_: object) -> str:
    time.sleep(600)
    return ""
