"""The physics benchmark: its short form gives laws, and its verdicts can fail."""

import pytest
import sympy
import torch


@pytest.fixture
def physics(module):
    return module("physics")


def test_the_short_form_prints_the_law(physics, capsys):
    physics.main(["--short", "--cases", "oscillator-1"])
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 3 and "| `p**2 + x**2` |" in lines[2]
    assert float(lines[2].split("|")[-4]) < 1e-12  # the law's error


def test_a_wrong_law_has_a_large_error(physics):
    x = torch.rand(50, 2, generator=torch.Generator().manual_seed(0)).double()
    truth = x[:, 0] ** 2 + x[:, 1]
    a, b = sympy.symbols("a b")
    assert physics.error_of(a**2 + b, ["a", "b"], x, truth) < 1e-15
    assert physics.error_of(a**2 + b / 2, ["a", "b"], x, truth) > 0.1


def test_what_is_not_conserved_is_not_taken_for_it(physics):
    """A damped oscillator conserves nothing that a sum of curves can hold."""

    def damped(z):
        return torch.stack([z[:, 1], -z[:, 0] - 0.3 * z[:, 1]], dim=1)

    problem = physics.conservation(("x", "p"), damped, 60)
    assert physics.smallest(physics.KAN([2, 1], grid=2), problem, []) is None


def test_a_function_of_what_is_known_is_not_new(physics):
    z = physics.conservation(("x", "p"), physics.oscillator, 60).domain.sample(60)

    def solution(model):
        return physics.pde.Solution(model, None, {}, None, 0.0, "")

    energy = solution(physics.edgewise.compile_formula("x^2 + p^2", ["x", "p"]))
    again = solution(physics.edgewise.compile_formula("exp(x^2 + p^2)", ["x", "p"]))
    other = solution(physics.edgewise.compile_formula("x^2 - p", ["x", "p"]))
    assert physics.independent(energy, [], z) and physics.independent(other, [energy], z)
    assert not physics.independent(again, [energy], z)
    constant = solution(physics.edgewise.compile_formula("0*x + 1", ["x", "p"]))
    assert not physics.independent(constant, [], z)


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (1 / 3 + 1e-10, "1/3"),
        (2**0.5 - 1e-11, "sqrt(2)"),
        (0.42, "0.42"),
        (0.12345678, "0.1234568"),
    ],
)
def test_numbers_are_written_as_what_they_are_near(physics, value, text):
    assert str(physics.simple(value)).rstrip("0") == text
