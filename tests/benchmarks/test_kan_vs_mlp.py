"""The comparison of KANs and MLPs in its short form: budgets, what is tuned on, resumption, tables."""

import json

import pytest
import torch

pytest.importorskip("sklearn", reason="the tables come with scikit-learn, of the dev extra")


def test_budgets_are_kept_within_five_per_cent(module):
    models, tasks = module("comparison_models"), module("comparison_tasks")
    for name in ("exp(sin)", "iris", "diabetes"):
        task = tasks.task(name)
        for budget in models.BUDGETS:
            most = models.budget_of(budget, task.inputs, task.outputs)
            for contestant in models.contestants().values():
                widths = models.largest(contestant, budget, task.inputs, task.outputs)
                used = contestant.needs(budget, task.inputs, sum(widths[1:-1]), task.outputs)
                assert 0.95 * most <= used <= most, (name, budget, contestant.name, used)


def test_parameters_are_those_that_have_gradients(module):
    for contestant in module("comparison_models").contestants().values():
        widths = contestant.widths(3, 7, 2)
        model = contestant.model(widths, 0)
        assert model(torch.randn(5, 3)).shape == (5, 2)
        model(torch.randn(5, 3)).square().sum().backward()
        count = sum(p.numel() for p in model.parameters() if p.grad is not None)
        assert count == contestant.parameters(widths), contestant.name


def test_products_are_counted_by_hand_for_a_small_network(module):
    known = module("comparison_models").contestants()
    silu = 21
    # [2, 3, 1]: nine edges, five inputs of layers
    assert known["ReLU"].products([2, 3, 1]) == 9 + 3
    assert known["chebyshev"].products([2, 3, 1]) == 9 * (6 + 1) + 5 * (2 + 10 + silu)
    assert known["bspline"].products([2, 3, 1]) == 9 * (4 + 1) + 5 * (2 + 18 + silu)


def test_curves_of_neurons_stay_when_their_ranges_follow(module):
    models = module("comparison_models")
    model, x = models.contestants()["spline MLP"].model([2, 6, 1], 0), torch.randn(200, 2)
    inside = model[0](x).abs().amax(1) < 1  # where the first range reaches
    before = model(x)[inside]
    models.follow(model, x)
    assert float(model[1].grid[:, -1].max()) > 1.0
    # five intervals over a wider range hold the old curves only roughly
    torch.testing.assert_close(model(x)[inside], before, atol=0.1, rtol=0.0)


def test_trials_see_neither_test_nor_validation_rows(module):
    tasks = module("comparison_tasks")
    for name in ("iris", "Mackey-Glass"):
        task = tasks.task(name)
        parts = [tuple(map(tuple, part.x.tolist())) for part in (task.early, task.validation)]
        assert sorted(parts[0] + parts[1]) == sorted(map(tuple, task.train.x.tolist()))
        early, validation = tasks.standardised(task.early, task.validation)
        assert float(early.x.mean(0).abs().max()) < 1e-5 < float(validation.x.mean(0).abs().max())
    # in time, the series' test rows come last
    assert torch.equal(task.test.x[0, 1:-1], task.train.x[-1, 2:])


def test_short_form_goes_on_where_it_ended(module, tmp_path, capsys):
    script, file = module("kan_vs_mlp"), tmp_path / "runs.jsonl"
    asked = ["--short", "--steps", "12", "--results", str(file)]
    assert script.main([*asked, "--budgets", "products"]) == 0
    first = file.read_text()
    runs = [json.loads(line) for line in first.splitlines()]
    assert len(runs) == 6 and all(0.95 * r["most"] <= r["products"] <= r["most"] for r in runs)
    # the last line was cut by a kill: that run is made again, alike, and no other
    file.write_text(first[:-20])
    assert script.main([*asked, "--budgets", "products"]) == 0
    again = [json.loads(line) for line in file.read_text().splitlines()]
    assert again[:5] == runs[:5] and len(again) == 6
    assert again[5]["errors"] == runs[5]["errors"]
    capsys.readouterr()
    assert script.main([*asked, "--table", "--markdown"]) == 0
    shown = capsys.readouterr().out
    assert "| bspline |" in shown and "### Equal multiply-adds: summary" in shown
    assert script.main([*asked, "--table", "--sizes"]) == 0
    assert "multiply-adds" in capsys.readouterr().out


def test_a_summary_counts_ties_and_those_within_the_bests_spread(module):
    table = module("comparison_table")

    def run(name: str, kind: str, errors: list[float]) -> dict:
        made = {"task": "t", "kind": "formula", "classes": 0, "budget": "products", "step_ms": 1.0}
        trials = [[0.01, 1.0, min(errors), 0.0]]
        return made | {"contestant": name, "is": kind, "errors": errors, "trials": trials}

    runs = [
        run("a", "KAN", [0.1, 0.2, 0.4]),
        run("b", "KAN", [0.35, 0.35, 0.35]),
        run("c", "MLP", [0.8, 0.4, 0.8]),
    ]
    head, *lines = table.summary(runs)
    assert head[1:4] == ["formulas best", "formulas level", "formulas vs MLP"]
    # the best spreads over 0.3, which reaches from 0.2 to 0.5
    assert [line[1:4] for line in lines] == [
        ["1/1", "1/1", "0.25"],
        ["0/1", "1/1", "0.44"],
        ["0/1", "0/1", "1.00"],
    ]
    assert table.favoured(runs)[1] == ["t", "a", "0.2000 ±0.1500", "c", "0.8000 ±0.2000", "neither"]


def test_wavelets_and_splines_are_compared(module, capsys):
    assert module("wavelets").main(["--short"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split("  ")[0] for line in lines[1:]] == ["Wav-KAN dog", "splines"]
    # mean of one seed, in per cent: both know most digits
    assert all(float(line.split("±")[0].split()[-1]) > 80 for line in lines[1:])
