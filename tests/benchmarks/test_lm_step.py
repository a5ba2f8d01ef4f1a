"""The benchmark of a second-order step: it refuses what is wrong; no time is asserted."""

import sys

import pytest


@pytest.fixture
def benchmark(module):
    return module("lm_step")


def test_the_short_form_prints_a_time_here_and_elsewhere(benchmark, capsys):
    assert benchmark.main(["--short", "--rows", "50"]) == 0
    assert " ms" in capsys.readouterr().out
    assert benchmark.main(["--short", "--rows", "50", "--against", sys.executable]) == 0
    shown = capsys.readouterr().out
    assert "54 parameters" in shown and "other/this" in shown


@pytest.mark.parametrize("name, wrong", [("J", 0), ("J'J", 1), ("J'r", 2)])
def test_no_time_is_printed_for_what_is_wrong(benchmark, monkeypatch, capsys, name, wrong):
    true_jacobian, true_linearise = benchmark.jacobian, benchmark.SecondOrder.linearise

    def jacobian(*given):
        y, J = true_jacobian(*given)
        return y, J * (1 + 1e-8)

    def linearise(self, theta):
        found = list(true_linearise(self, theta))
        found[wrong] = found[wrong] * (1 + 1e-8)
        return tuple(found)

    if wrong:
        monkeypatch.setattr(benchmark.SecondOrder, "linearise", linearise)
    else:
        monkeypatch.setattr(benchmark, "jacobian", jacobian)
    assert benchmark.main(["--short"]) == 1
    shown = capsys.readouterr().out
    assert f" {name} is off by" in shown and " ms" not in shown


def test_a_ratio_is_taken_within_a_round(benchmark):
    # a disturbed round slows both alike
    assert "other/this  2.00" in benchmark.told("2,2,1,5", [(1, 2), (100, 200), (1, 4)])
