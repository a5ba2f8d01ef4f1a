"""Samples of short functions of one variable give the functions back, whatever their constants."""

import math
from collections.abc import Callable

import pytest
import sympy
import torch
from torch import Tensor

from edgewise.symbolic.curves import explain
from edgewise.symbolic.evaluate import evaluate
from edgewise.symbolic.primitives import PRIMITIVES

V = sympy.Symbol("v", real=True)
ROWS = 3000

# name, function of z and two constants, range of z
FAMILIES: list[tuple[str, Callable[[Tensor, float, float], Tensor], float, float]] = [
    (
        "root of a quadratic below",
        lambda z, a, c: c / torch.sqrt(1 - (0.4 * a * z) ** 2),
        -1.0,
        1.5,
    ),
    ("bell", lambda z, a, c: c * torch.exp(-a * z**2) + 0.3, -1.5, 1.0),
    ("damped wave", lambda z, a, c: c * torch.exp(-z) * torch.sin(3 * a * z), 0.0, 3.0),
    ("quotient of polynomials", lambda z, a, c: c * (1 + a * z) / (1 + 0.7 * z**2), 0.0, 4.0),
    ("power over a growing exponential", lambda z, a, c: c * z**3 / torch.expm1(a * z), 0.5, 6.0),
    ("wave over a square", lambda z, a, c: c * torch.sin(a * z) ** 2 / z**2, 0.3, 5.0),
    ("sum of a line and a logarithm", lambda z, a, c: c * z + a * torch.log(z), 0.2, 4.0),
]
IDS = [family[0] for family in FAMILIES]


def samples(family: int, noise: float = 0.0) -> tuple[Tensor, Tensor, float]:
    _, function, low, high = FAMILIES[family]
    generator = torch.Generator().manual_seed(family)
    z = low + (high - low) * torch.rand(ROWS, generator=generator, dtype=torch.float64)
    a, c = (0.8 + 0.9 * torch.rand(2, generator=generator, dtype=torch.float64)).tolist()
    y = function(z, a, -2 * c)
    sigma = noise * float(y.square().mean().sqrt())
    return z, y + sigma * torch.randn(ROWS, generator=generator, dtype=torch.float64), sigma


@pytest.mark.parametrize("family", range(len(FAMILIES)), ids=IDS)
def test_exact_samples_give_an_exact_formula(family: int) -> None:
    z, y, _ = samples(family)
    best = explain(z, y, V, prefactors=(0, 1))[0]
    assert best.error < 1e-9
    residual = evaluate(best.expression, {"v": z}) - y
    assert float(residual.square().mean().sqrt()) < 1e-9 * float(y.std())


@pytest.mark.parametrize("family", range(len(FAMILIES)), ids=IDS)
def test_noise_is_left_unexplained_and_the_curve_beneath_found(family: int) -> None:
    z, y, sigma = samples(family, noise=0.02)
    _, truth, _ = samples(family)
    best = explain(z, y, V, noise=sigma)[0]
    assert best.error == pytest.approx(sigma / float(truth.std()), rel=0.1)
    bias = evaluate(best.expression, {"v": z}) - truth
    assert float(bias.square().mean().sqrt()) < 0.2 * sigma


@pytest.mark.parametrize("scale", [1e-9, 1e6])
def test_units_do_not_matter(scale: float) -> None:
    z, y, _ = samples(2)
    assert explain(z / scale, y * scale, V)[0].error < 1e-9


def test_only_the_functions_of_the_library_are_used() -> None:
    z, y, _ = samples(2)
    lib = [PRIMITIVES["exp"], PRIMITIVES["x"]]
    for proposal in explain(z, y, V, lib=lib):
        assert not proposal.expression.has(sympy.sin, sympy.cos, sympy.tanh, sympy.log)


def test_weights_say_which_samples_count() -> None:
    z = torch.linspace(-1, 1, 400, dtype=torch.float64)
    y = torch.where(z < 0, torch.cos(2 * z), torch.tensor(7.0, dtype=torch.float64))
    best = explain(z, y, V, weight=torch.where(z < 0, 1.0, 1e-30).double())[0]
    value = evaluate(best.expression, {"v": z[z < 0]})
    assert float((value - y[z < 0]).abs().max()) < 1e-6


def test_a_constant_is_a_constant_and_time_out_is_quick() -> None:
    z = torch.linspace(0, 1, 50, dtype=torch.float64)
    assert float(explain(z, torch.full_like(z, 2.5), V)[0].expression) == pytest.approx(2.5)
    assert explain(z, torch.exp(z), V, expired=lambda: True) == []
    assert math.isfinite(explain(z, torch.exp(z), V)[0].error)


def test_nothing_is_proposed_where_no_prefactor_or_function_is_allowed() -> None:
    z = torch.linspace(-1, 1, 60, dtype=torch.float64)
    assert explain(z, torch.exp(z), V, prefactors=(0.5,)) == []
    for proposal in explain(z, 1 + z**2, V, lib=[]):
        assert not proposal.expression.has(sympy.exp, sympy.sin)
