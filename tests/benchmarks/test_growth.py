"""The benchmark of growing networks: its short form, and a difference that it would show."""

import pytest


@pytest.fixture
def growth(module):
    return module("growth")


def test_the_short_form_prints_what_is_kept(growth, capsys):
    growth.main(["--short"])
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 5 and lines[-1].startswith("2 of 2 exact to 1e-12")
    disturbed, retrained = (float(cell) for cell in lines[2].split("|")[4:6])
    assert retrained < 0.1 * disturbed


def test_a_change_of_the_function_is_seen(growth):
    entry = growth.equations()[0]
    data = growth.problems.load(f"feynman/{entry.id}", n=50).train
    model = growth.compile_formula(entry.formula, entry.variables)
    assert growth.relative(model, data.x, data.y) < 1e-12
    assert growth.relative(model.perturb(1e-9), data.x, data.y) > 1e-12
