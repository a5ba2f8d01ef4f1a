"""The Feynman equations: every one can be drawn, and says what its variables are."""

import math

import pytest
import torch

from edgewise import problems
from edgewise.errors import FormulaError, InputError, ShapeError
from edgewise.problems.arithmetic import arithmetic
from edgewise.problems.feynman import equation, equations


def test_there_are_a_hundred_equations_with_different_names():
    assert len(equations()) == len({entry.id for entry in equations()}) == 100


@pytest.mark.parametrize("entry", equations(), ids=lambda entry: entry.id)
def test_every_equation_gives_finite_data_in_its_ranges(entry):
    data = problems.load(f"feynman/{entry.id}", n=50, n_test=20, seed=3)
    assert data.train.x.shape == (50, len(entry.variables))
    assert data.test.y.shape == (20, 1)
    assert data.input_names == entry.variables and data.output_names == (entry.output,)
    assert (data.train.x >= torch.tensor(entry.low, dtype=torch.float64)).all()
    assert (data.train.x <= torch.tensor(entry.high, dtype=torch.float64)).all()
    assert len(entry.units) == len(entry.variables) and len(entry.output_units) == 5


def test_a_known_value():
    gauss = equation("I.6.2")
    assert gauss.variables == ("sigma", "theta")
    x = torch.tensor([[2.0, 3.0]], dtype=torch.float64)
    expected = math.exp(-((3 / 2) ** 2) / 2) / (math.sqrt(2 * math.pi) * 2)
    assert gauss(x).item() == pytest.approx(expected, rel=1e-14)


def test_the_seed_alone_decides():
    state = torch.random.get_rng_state()
    first, again, other = (problems.load("feynman/I.12.1", n=9, seed=s) for s in (1, 1, 2))
    assert torch.equal(first.train.x, again.train.x)
    assert not torch.equal(first.train.x, other.train.x)
    assert torch.equal(state, torch.random.get_rng_state())


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("feynman/I.6.3", "nearest: I.6.2"),
        ("feynman", "collection/id"),
        ("strogatz/1", "collections feynman"),
    ],
)
def test_unknown_names_get_a_hint(name, message):
    with pytest.raises(InputError, match=message):
        problems.load(name)


def test_the_wrong_number_of_columns_is_refused():
    with pytest.raises(ShapeError, match="sigma, theta"):
        equation("I.6.2")(torch.ones(3, 1))


@pytest.mark.parametrize(
    "text", ["x.real", "open('f')", "__import__('os')", "x if x else x", "[x]", "x +", "'a'", "q"]
)
def test_nothing_but_arithmetic_is_read(text):
    with pytest.raises(FormulaError):
        arithmetic(text, {"x": torch.ones(1)})
