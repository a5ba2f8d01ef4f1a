"""discover: known laws come back exactly, in time, whatever happens on the way."""

import os
import signal
import threading
import time

import numpy as np
import pytest
import sympy
import torch
from ridges import draw

import edgewise
from edgewise.errors import DataError, InputError, ShapeError
from edgewise.symbolic import state

RNG = np.random.default_rng(11)


def box(low: float, high: float, columns: int, rows: int = 800) -> np.ndarray:
    return np.random.default_rng(columns).uniform(low, high, (rows, columns))


LAWS = {
    "x*y": (box(1, 5, 2), lambda x: x[:, 0] * x[:, 1]),
    "x/y": (box(1, 5, 2), lambda x: x[:, 0] / x[:, 1]),
    "relativistic sum": (
        box(-0.9, 0.9, 2),
        lambda x: (x[:, 0] + x[:, 1]) / (1 + x[:, 0] * x[:, 1]),
    ),
    "hypotenuse": (box(-2, 2, 2), lambda x: np.hypot(x[:, 0], x[:, 1])),
    "sine": (box(-3, 3, 1), lambda x: 2.3 * np.sin(1.7 * x[:, 0] + 0.4) - 1.1),
}


@pytest.mark.slow
@pytest.mark.parametrize("name", LAWS)
def test_laws_come_back_exactly(name: str) -> None:
    x, law = LAWS[name]
    found = edgewise.discover(x, law(x), time_limit=60)
    fresh = x * 0.97 + 0.01
    assert np.allclose(found.predict(fresh), law(fresh), rtol=1e-9, atol=1e-9)
    assert found.seconds < 62
    network = found.model(torch.from_numpy(fresh)).detach().numpy()[:, 0]
    assert np.allclose(network, found.predict(fresh), rtol=1e-12, atol=1e-12)
    assert ">>>>" in str(found)


@pytest.mark.slow
def test_ridge_formulas_of_the_primitive_table_come_back() -> None:
    """Three of the drawn ridges; benchmarks/discover.py runs all of them."""
    for seed in (1, 3, 5):
        ridge = draw(seed)
        found = edgewise.discover(ridge.x, ridge.y, time_limit=60)
        assert found.front[found.pick].r2 > 1 - 1e-12, ridge.text


def test_noise_leaves_the_law_and_gives_its_constants_errors() -> None:
    x = box(1, 5, 2)
    y = 0.713 * x[:, 0] / x[:, 1] + 0.01 * RNG.normal(size=len(x))
    found = edgewise.discover(x, y, ["a", "b"], time_limit=15)
    a, b = sympy.symbols("a b", real=True)
    ratio = found.best.sympy / (a / b)
    assert ratio.is_number and abs(float(ratio) - 0.713) < 0.01
    (constant,) = found.best.constants
    assert 0 < constant.error < 1e-2


def test_a_constant_target_is_that_constant() -> None:
    found = edgewise.discover(box(0, 1, 2), np.full(800, 7.5), time_limit=5)
    assert found.best.sympy == sympy.Rational(15, 2)
    values = found.model(torch.rand(3, 2, dtype=torch.float64)).detach()
    assert bool((values == 7.5).all())


def test_constant_columns_are_left_out_but_stay_in_the_signature() -> None:
    x = box(1, 2, 3)
    x[:, 1] = 4.0
    found = edgewise.discover(x, x[:, 0] * x[:, 2], ["a", "b", "c"], time_limit=20)
    assert any("'b'" in note for note in found.notes)
    assert found.best.variables == ("a", "b", "c")
    assert np.allclose(found.predict(x), x[:, 0] * x[:, 2])
    assert torch.allclose(
        found.model(torch.from_numpy(x))[:, 0], torch.from_numpy(x[:, 0] * x[:, 2])
    )


@pytest.mark.parametrize("scale", [1e30, 1e-30])
def test_units_of_any_size(scale: float) -> None:
    x = box(1, 5, 2) * scale
    found = edgewise.discover(x, x[:, 0] + x[:, 1], time_limit=20)
    assert np.allclose(found.predict(x), x[:, 0] + x[:, 1], rtol=1e-9)


def test_duplicate_rows_are_fine() -> None:
    x = np.repeat(box(1, 5, 2, rows=20), 10, axis=0)
    found = edgewise.discover(x, x[:, 0] * x[:, 1], time_limit=15)
    assert np.allclose(found.predict(x), x[:, 0] * x[:, 1])


def test_few_rows_give_no_formula_with_as_many_constants() -> None:
    x = box(1, 5, 2, rows=3)
    found = edgewise.discover(x, RNG.normal(size=3), time_limit=5)
    assert all(len(c.formula.constants) < 3 for c in found.front)
    assert any("none is held out" in note for note in found.notes)


@pytest.mark.parametrize(("rows", "counted"), [(9, (9, 0)), (10, (8, 2))])
def test_every_row_counts_once_in_the_choice(
    monkeypatch: pytest.MonkeyPatch, rows: int, counted: tuple[int, int]
) -> None:
    seen = []

    def first(front: tuple, floor: float, fitted: int, held_out: int) -> int:
        seen.append((fitted, held_out))
        return 0

    monkeypatch.setattr(state, "choose", first)
    x = box(1, 5, 2, rows=rows)
    found = edgewise.discover(x, x[:, 0] * x[:, 1], time_limit=5)
    assert seen == [counted]
    assert (len(found.train), found.unseen) == counted


@pytest.mark.parametrize(
    ("x", "y", "error", "words"),
    [
        ([[1.0, float("nan")], [1.0, 2.0]], [1.0, 2.0], DataError, "'b'.*row 0"),
        ([[1.0, 2.0], [float("inf"), 2.0]], [1.0, 2.0], DataError, "'a'.*row 1"),
        ([[1.0, 2.0], [3.0, 2.0]], [1.0, float("nan")], DataError, "row 1"),
        ([[1.0, 2.0]], [1.0], DataError, "Only 1 row"),
        ([[1.0, 2.0], [1.0, 2.0]], [1.0], ShapeError, "rows"),
        ([["x", 2.0], [1.0, 2.0]], [1.0, 2.0], ShapeError, "text"),
    ],
)
def test_bad_input_is_named(x: list, y: list, error: type, words: str) -> None:
    with pytest.raises(error, match=words):
        edgewise.discover(x, y, ["a", "b"], time_limit=5)


@pytest.mark.parametrize("options", [{"time_limit": 0}, {"jobs": 0}, {"time_limit": float("nan")}])
def test_bad_options_are_named(options: dict) -> None:
    with pytest.raises(InputError, match=next(iter(options))):
        edgewise.discover(box(0, 1, 1), box(0, 1, 1)[:, 0], **options)


def test_ctrl_c_keeps_the_best_so_far() -> None:
    x = box(-1, 1, 3)
    y = np.sin(3 * x[:, 0] * x[:, 1]) + np.abs(x[:, 2] - 0.3)
    stages = []

    def interrupt(stage: str, best: object, seconds: float) -> None:
        stages.append(stage)
        if len(stages) == 4:
            os.kill(os.getpid(), signal.SIGINT)

    found = edgewise.discover(x, y, time_limit=30, progress=interrupt)
    assert found.status == "interrupted"
    assert found.seconds < 25
    assert np.isfinite(found.predict(x)).all()


@pytest.mark.slow
def test_the_time_limit_is_kept_on_a_large_table() -> None:
    x = np.random.default_rng(0).uniform(1, 5, (100_000, 20))
    y = np.sin(x[:, 0] * x[:, 1]) + np.exp(x[:, 2] / x[:, 3])
    started = time.monotonic()
    found = edgewise.discover(x, y, time_limit=8)
    assert time.monotonic() - started < 8 * 1.1 + 2
    assert found.status == "time limit"


@pytest.mark.slow
def test_jobs_find_what_one_process_finds_and_stop_in_time() -> None:
    x = box(0.5, 3, 2)
    y = np.arctan(x[:, 0] ** 2 - np.sinh(x[:, 1]))
    threads = threading.active_count()
    found = edgewise.discover(x, y, jobs=2, time_limit=60)
    assert found.front[found.pick].r2 > 1 - 1e-12
    assert threading.active_count() <= threads + 3


def test_global_random_state_is_left_alone() -> None:
    x = box(1, 2, 1)
    torch.manual_seed(3)
    np.random.seed(3)
    before = torch.get_rng_state(), np.random.get_state()[1].copy()
    edgewise.discover(x, np.exp(x[:, 0]), time_limit=5)
    assert torch.equal(torch.get_rng_state(), before[0])
    assert (np.random.get_state()[1] == before[1]).all()
