"""Boundaries of classes: states of the chain change where theory says, points lie where classes meet."""

import dataclasses
import math
import re

import numpy as np
import pytest
import sympy
import torch

from edgewise import compile_formula

pytest.importorskip("sklearn", reason="the two moons come with scikit-learn, of the dev extra")


@pytest.fixture
def phases(module):
    return module("phases")


@pytest.fixture
def boundaries(module):
    return module("phases_boundary")


@pytest.fixture
def tasks(module):
    return module("phases_tasks")


def test_a_ring_without_a_potential_has_plane_waves(tasks):
    energies, participation = tasks.ring(89, 0.3, 0.0, 0.7)
    k = 2 * math.pi * np.arange(89) / 89
    np.testing.assert_allclose(energies, np.sort(2 * np.cos(k)), atol=1e-12)
    # cos and sin of one energy share it in any mixture: between 1/N of a wave and 3/(2N)
    assert (np.exp(participation) < 1.5001 / 89).all()


def test_a_deep_potential_holds_every_state_on_few_sites(tasks):
    energies, participation = tasks.ring(89, 0.0, 50.0, 0.7)
    cosine = np.cos(2 * np.pi * 55 / 89 * np.arange(89) + 0.7)
    np.testing.assert_allclose(energies, np.sort(100 * cosine), atol=1.5)
    assert np.median(np.exp(participation)) > 0.9


@pytest.mark.parametrize("alpha", [-0.6, 0.0, 0.5])
def test_states_change_where_the_mobility_edge_is_known_to_be(tasks, alpha):
    """alpha E + 2 lambda = 2 (Ganeshan, Pixley, Das Sarma 2015); alpha = 0 is Aubry and Andre's."""
    right, all_states = 0, 0
    for strength in (0.5, 0.8, 1.2, 1.5):
        energies, tau = tasks.exponents(alpha, strength, 0.4, (89, 233))
        rows = np.stack([np.full_like(energies, alpha), np.full_like(energies, strength), energies])
        known = tasks.mobility_edge(torch.from_numpy(rows.T)).numpy()
        right, all_states = right + ((tau < 0.5) == known).sum(), all_states + len(tau)
    assert right > 0.97 * all_states


def test_the_likelier_moon_is_the_nearer_one(tasks):
    x = torch.tensor([[0.0, 1.0], [1.0, -0.5], [-1.0, 0.0], [2.0, 0.5]], dtype=torch.float64)
    for noise in (0.1, 0.3):
        assert tasks.likelier_moon(x, noise).tolist() == [0, 1, 0, 1]


def test_points_lie_on_the_boundary_between_rows(boundaries):
    x = torch.rand(300, 2, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    model = compile_formula(["0", "x_2 - x_1^2"], ["x_1", "x_2"])
    label = (x[:, 1] > x[:, 0] ** 2).long()
    points = boundaries.boundary(model, x, label)
    assert len(points) == len(x)
    torch.testing.assert_close(points[:, 1], points[:, 0] ** 2, atol=1e-9, rtol=0.0)
    assert bool(((points >= x.amin(0)) & (points <= x.amax(0))).all())


def test_a_row_with_a_wrong_label_is_no_end_of_a_way(boundaries):
    x = torch.tensor([[0.0, 0.0], [0.0, 1.0], [5.0, 0.9], [5.0, 4.0]], dtype=torch.float64)
    model = compile_formula(["0", "x_2 - 0.5"], ["x_1", "x_2"])
    points = boundaries.boundary(model, x, torch.tensor([0, 1, 0, 1]))
    assert points[:, 0].max() <= 5.0 and len(points) == 3
    torch.testing.assert_close(points[:, 1], torch.full((3,), 0.5, dtype=torch.float64))


def test_constants_become_simple_where_the_labels_allow_it(boundaries, tasks):
    x = torch.rand(400, 2, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    label = (x[:, 1] > x[:, 0] / 2 + 0.13).long()
    task = tasks.Task("line", ("x_1", "x_2"), 1, [2, 2], x, label, x, label, lambda x: label)
    slope, height = sympy.Float(0.503), sympy.Float(0.1299)
    rough = boundaries.fitting_edge(task, slope * sympy.Symbol("x_1", real=True) + height)
    turned = dataclasses.replace(task, y=1 - label)
    assert rough.above and not boundaries.fitting_edge(turned, rough.expression).above
    simple = boundaries.with_simple_constants(rough)
    # 1/2 stands for 0.503, but none of 0, 1/4 and 1/3 for 0.13
    assert simple.expression.coeff(sympy.Symbol("x_1", real=True)) == sympy.Rational(1, 2)
    assert simple.expression.has(height) and simple.right() >= rough.right()


def test_the_table_has_a_line_a_task_and_the_formulas(phases):
    names = ("KAN", "formula", "logistic", "SVM", "MLP", "best")
    run = {"accuracy": dict.fromkeys(names, 0.5), "formula": "x = 1"}
    shown = phases.table({("moons", 0): run, ("moons", 1): run, ("chain", 0): run}, True)
    assert shown.count("| 50.00 ±0.00") == 12 and "moons, seed 1: x = 1" in shown


@pytest.mark.slow
def test_two_moons_in_short(phases, capsys):
    assert phases.main(["--short", "--tasks", "moons"]) == 0
    shown = capsys.readouterr().out
    cells = re.search(r"^moons 0\.1 +(.*)$", shown, re.M)[1].split()
    accuracy = dict(zip(("KAN", "formula", "logistic"), map(float, cells[::2]), strict=False))
    assert accuracy["KAN"] > 97 > accuracy["logistic"] and accuracy["formula"] > 80
    assert "moons 0.1, seed 0: x_2 = " in shown
