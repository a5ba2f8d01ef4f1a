"""Tree search: formulas of whole families are found to rounding, in time, and not invented."""

import math
import time

import pytest
import sympy
import torch

from edgewise.symbolic import trees
from edgewise.symbolic.evaluate import evaluate
from edgewise.symbolic.primitives import PRIMITIVES


def _rows(columns, seed, low=0.3, high=2.5, n=400):
    generator = torch.Generator().manual_seed(seed)
    return low + (high - low) * torch.rand(n, columns, generator=generator, dtype=torch.float64)


def _outside(expression, names, f, columns, low=0.4, high=2.4):
    """Relative error on fresh rows."""
    x = _rows(columns, 99, low, high)
    y = f(*x.unbind(1))
    value = evaluate(expression, dict(zip(names, x.unbind(1), strict=True)))
    return float((value - y).norm() / y.norm())


_EXACT = {
    "quotient of sums": lambda u, v: (u + v) / (1 + u * v),
    "root of a sum": lambda u, v: torch.sqrt(1 + u * u - 2 * u * torch.cos(v)),
    "factor and affine": lambda u, v: torch.cos(u) + v * torch.cos(u) ** 2,
    "two products": lambda u, v: u * torch.log(v) + v * torch.log(u),
    "reciprocal of exp": lambda u, v: u / (1 - torch.exp(-u * v)),
    "quotient of polynomials": lambda u, v: 20 - u - u * v / (1 + 0.37 * u * u),
    "two sines": lambda u, v: 0.5 * torch.sin(u - v) - torch.sin(u),
}


@pytest.mark.parametrize("law", _EXACT)
@pytest.mark.parametrize("scale", [1.0, -3.7])
def test_a_law_is_found_to_rounding_whatever_its_unit(law, scale):
    def f(u, v):
        return scale * _EXACT[law](u, v)

    x = _rows(2, 1)
    best = trees.search_trees(x, f(*x.unbind(1)), ["u", "v"])[0]
    assert best.error < 1e-9
    assert _outside(best.expression, ["u", "v"], f, 2) < 1e-8


def test_noise_does_not_lengthen_the_formula():
    def f(u, v):
        return torch.exp(-u * u / 2) / v

    x = _rows(2, 2, n=1000)
    y = f(*x.unbind(1))
    noise = 0.01 * float(y.std())
    noisy = y + noise * torch.randn(len(y), generator=torch.Generator().manual_seed(3)).double()
    best = trees.search_trees(x, noisy, ["u", "v"], noise=noise, size=3000)[0]
    assert best.error == pytest.approx(0.01, rel=0.1)
    assert _outside(best.expression, ["u", "v"], f, 2) < 2e-3


def test_rows_of_small_weight_do_not_count():
    x = _rows(2, 4)
    y = x[:, 0] / (1 + x[:, 1])
    noise = torch.zeros_like(y)
    noise[::10] = 0.1
    weight = torch.where(noise > 0, 1e-9, 1.0).double()
    found = trees.search_trees(
        x, y + noise, ["u", "v"], weight=weight, noise=1e-4 * float(y.std()), size=2000
    )
    assert _outside(found[0].expression, ["u", "v"], lambda u, v: u / (1 + v), 2) < 1e-3


def test_only_allowed_functions_are_written():
    x = _rows(2, 5)
    y = torch.sin(x[:, 0]) * x[:, 1] + x[:, 0]
    lib = [PRIMITIVES[name] for name in ("x^2", "1/x")]
    for found in trees.search_trees(x, y, ["u", "v"], lib=lib, size=2000):
        functions = {type(f).__name__ for f in found.expression.atoms(sympy.Function)}
        assert not functions, found


def test_the_same_rows_give_the_same_formulas_and_leave_random_numbers_alone():
    x = _rows(2, 6)
    y = torch.tanh(x[:, 0] * x[:, 1]) + x[:, 1]
    before = torch.random.get_rng_state()
    first, second = (trees.search_trees(x, y, ["u", "v"], size=3000) for _ in range(2))
    assert [p.expression for p in first] == [p.expression for p in second]
    assert torch.equal(before, torch.random.get_rng_state())


def test_it_ends_soon_after_time_is_over():
    x = _rows(3, 7)
    y = torch.special.bessel_j0(x.prod(1)) + torch.special.erf(x.sum(1))
    start = time.monotonic()
    found = trees.search_trees(
        x, y, ["u", "v", "w"], expired=lambda: time.monotonic() > start + 0.5
    )
    assert time.monotonic() - start < 4.0  # a loaded machine; 0.7 alone
    assert all(math.isfinite(p.error) for p in found)


def test_targets_without_information_give_nothing():
    x = _rows(2, 8)
    assert trees.search_trees(x, torch.ones(len(x)), ["u", "v"]) == []
    assert trees.search_trees(x[:2], x[:2, 0], ["u", "v"]) == []
