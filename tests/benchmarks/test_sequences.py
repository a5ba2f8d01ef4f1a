"""The benchmarks of sequences in their short forms: they run, and what they compare is alike."""

import re

import pytest
import torch

pytest.importorskip("statsmodels", reason="the series come with statsmodels, of the dev extra")


def test_the_held_out_years_are_seen_by_nobody(module):
    sunspots = module("sunspots")
    series, held = sunspots.values("sunspots"), 309 - 309 // 4
    for ahead in (1, 3):
        task = sunspots.task("sunspots", ahead)
        scaled = (series - series[:held].mean()) / series[:held].std()
        # the last training target ends where the first held-out one begins
        torch.testing.assert_close(task.train.y[-1], scaled[held - ahead : held].float())
        torch.testing.assert_close(task.test.y[0], scaled[held : held + ahead].float())
        torch.testing.assert_close(
            task.test.x[0, :, 0], scaled[held - sunspots.WINDOW : held].float()
        )
        assert len(task.early.y) < len(task.train.y)
        assert torch.equal(task.validation.y[-1], task.train.y[-1])


def test_a_linear_rule_is_found_by_the_reference(module):
    sunspots = module("sunspots")
    t = torch.arange(200.0)
    x = torch.sin(t / 3).unfold(0, sunspots.WINDOW + 1, 1)
    rows = sunspots.Rows(x[:, :-1, None], x[:, -1:])
    found = sunspots.references(sunspots.Task("sine", rows, rows, rows, rows, 1.0), 1)
    assert found["autoregression"] < 1e-5 < 0.1 < found["persistence"]


def test_models_have_the_same_size(module):
    sunspots = module("sunspots")
    rows = sunspots.task("sunspots", 1).train
    counts = {n: sunspots.trained_numbers(m(1, 0), rows) for n, m in sunspots.MODELS.items()}
    assert max(counts.values()) < 1.1 * min(counts.values()), counts
    assert counts["TKAN"] <= counts["nn.LSTM"]


@pytest.mark.slow
def test_sunspots_in_short_beats_the_last_value(module, capsys):
    assert module("sunspots").main(["--short"]) == 0
    shown = capsys.readouterr().out
    assert float(re.search(r"TKAN / persistence (\S+)", shown)[1]) < 0.95
    assert "TKAN / nn.LSTM" in shown


@pytest.mark.slow
def test_tokens_in_short_prints_a_line_a_layer(module, capsys):
    pytest.importorskip("sklearn")
    assert module("tokens").main(["--short"]) == 0
    lines = re.findall(r"^(MLP|KAN|GR-KAN) +(\d+) +0\.0\d+ +(\S+)", capsys.readouterr().out, re.M)
    counts = [int(count) for _, count, _ in lines]
    assert len(lines) == 3 and max(counts) < 1.1 * min(counts)
    assert all(float(score) > 12.0 for *_, score in lines)  # chance is 10
