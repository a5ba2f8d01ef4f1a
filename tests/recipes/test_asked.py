"""What users ask of discover: when to stop, what to allow, where to begin, the same again."""

import numpy as np
import pytest
import sympy

import edgewise
from edgewise.errors import FormulaError, InputError
from edgewise.symbolic.rules import nested, rules

RNG = np.random.default_rng(5)
X = RNG.uniform(0.5, 3, (300, 2))
MIXED = np.exp(-X[:, 0]) * np.sin(2 * X[:, 1]) + np.tanh(X[:, 0] * X[:, 1])


def test_the_search_stops_at_the_error_asked_for() -> None:
    y = np.sqrt(X[:, 0]) + 0.05 * RNG.normal(size=len(X))
    found = edgewise.discover(X, y, time_limit=60, stop_at=0.3)
    assert found.status == "finished"
    assert found.seconds < 30
    assert min(c.error for c in found.front) <= 0.3 * y.std() * 1.05


def test_the_same_seed_gives_the_same_front() -> None:
    y = 1.3 * X[:, 0] / X[:, 1] + np.log(X[:, 0])
    one, two = (edgewise.discover(X, y, seed=4, time_limit=60) for _ in range(2))
    assert one.status == "finished"
    assert [c.formula for c in one.front] == [c.formula for c in two.front]
    assert [c.error for c in one.front] == [c.error for c in two.front]
    assert one.pick == two.pick


@pytest.mark.parametrize("lib", [["x", "sin"], ["exp", "1/x"], ["x^2", "tanh", "sqrt"]], ids=str)
def test_every_formula_is_of_the_library(lib: list[str]) -> None:
    found = edgewise.discover(X, MIXED, lib=lib, time_limit=4)
    names = {name.replace("arc", "a") for name in lib}
    for candidate in found.front:
        expression = candidate.formula.sympy
        used = {f.func.__name__ for f in expression.atoms(sympy.Function) if f.free_symbols}
        assert used <= names, expression
        assert rules(lib)(expression) == expression  # type: ignore[misc]
        assert np.isfinite(candidate.formula.predict(X)).all()


def test_a_law_is_found_in_the_functions_allowed() -> None:
    y = 2 * np.cos(1.5 * X[:, 0])
    found = edgewise.discover(X, y, lib=["x", "sin"], time_limit=20)
    assert not found.best.sympy.has(sympy.cos)
    assert np.allclose(found.predict(X), y, atol=1e-9)


def test_no_formula_holds_a_forbidden_nesting() -> None:
    forbid = ["exp(sin)", ("sin", "exp"), "tanh", "exp(exp)", "sqrt(sin)"]
    pairs = {("exp", "sin"), ("sin", "exp"), ("", "tanh"), ("exp", "exp"), ("sqrt", "sin")}
    found = edgewise.discover(X, np.tanh(np.exp(np.sin(X[:, 0]))), forbid=forbid, time_limit=5)
    assert not any(nested(c.formula.sympy, pairs) for c in found.front)


HARD = np.exp(-0.3 * X[:, 0] ** 2) * np.sin(2.6 * X[:, 0] * X[:, 1]) / (1.2 + X[:, 1] ** 3)


@pytest.mark.parametrize(
    "start",
    ["exp(-0.4*a^2)*sin(2.5*a*b)/(1.0 + b^3)", ["a + b", "exp(-0.4*a^2)*sin(2.5*a*b)/(1.0 + b^3)"]],
    ids=["text", "list"],
)
def test_a_search_begins_with_what_was_given(start: object) -> None:
    found = edgewise.discover(X, HARD, ["a", "b"], start=start, time_limit=30)
    assert found.status == "finished"
    assert np.allclose(found.predict(X), HARD, atol=1e-9)
    again = edgewise.discover(X[:200], 2 * HARD[:200], ["a", "b"], start=found, time_limit=30)
    assert np.allclose(again.predict(X), 2 * HARD, atol=1e-9)
    assert again.front[again.pick].origin == "start"


def test_a_start_survives_when_errors_turn_out_relative() -> None:
    x = np.exp(RNG.uniform(0, 8, (200, 1)))
    y = x[:, 0] ** 1.5 * (1 + 0.01 * RNG.normal(size=200))
    found = edgewise.discover(x, y, ["a"], start="2*a^1.5 + 3", time_limit=5)
    assert found.relative
    assert min(c.error for c in found.front) < 0.02


def test_a_start_in_a_column_that_is_constant_takes_its_value() -> None:
    x = np.column_stack([X[:, 0], np.full(len(X), 2.0)])
    found = edgewise.discover(x, 4 * X[:, 0] ** 2, ["a", "b"], start="3*a^b", time_limit=10)
    assert np.allclose(found.predict(x), 4 * X[:, 0] ** 2)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"start": "c + 1"}, "unknown name 'c'"),
        ({"start": sympy.Symbol("c") + 1}, "uses c"),
        ({"start": 3}, "start is a int"),
        ({"stop_at": -1}, "stop_at"),
        ({"stop_at": float("nan")}, "stop_at"),
        ({"lib": ["sinn"]}, "'sinn'"),
        ({"forbid": ["sin(foo)"]}, "forbid"),
    ],
)
def test_what_does_not_fit_is_named(options: dict, said: str) -> None:
    with pytest.raises((InputError, FormulaError), match=said):
        edgewise.discover(X, MIXED, ["a", "b"], time_limit=5, **options)
