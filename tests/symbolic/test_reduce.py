"""Reductions write a law as a monomial times a function of at most two groups of columns."""

from __future__ import annotations

import pytest
import sympy
import torch
from torch import Tensor

from edgewise.symbolic.evaluate import evaluate, symbol
from edgewise.symbolic.laws import laws
from edgewise.symbolic.polynomials import polynomials
from edgewise.symbolic.reduce import Columns, Start, reductions, start


def drawn(n: int, low: float = 1.0, high: float = 4.0, count: int = 1500) -> Tensor:
    draw = torch.Generator().manual_seed(n)
    return low + (high - low) * torch.rand(count, n, generator=draw, dtype=torch.float64)


def begun(x: Tensor, y: Tensor) -> Start:
    return start(Columns(x, tuple(symbol(f"x{i}") for i in range(x.shape[1]))), y)


def error(expression: sympy.Expr, x: Tensor, y: Tensor) -> float:
    value = evaluate(expression, {f"x{i}": column for i, column in enumerate(x.unbind(1))})
    return float((value - y).square().mean().sqrt() / y.std())


MERGED = {
    "difference": lambda x: x[:, 0] / (1 + ((x[:, 1] - x[:, 2]) / x[:, 3]) ** 2),
    "sum": lambda x: x[:, 0] * torch.exp(-(x[:, 1] + x[:, 2]) / x[:, 3]),
    "hypotenuse": lambda x: x[:, 0] * torch.exp(-torch.hypot(x[:, 1], x[:, 2]) / x[:, 3]),
}


@pytest.mark.parametrize("kind", MERGED)
def test_two_columns_become_one(kind):
    x = drawn(4)
    y = MERGED[kind](x)
    first = next(iter(reductions(begun(x, y))))
    assert first.error < 1e-4
    # the law's value follows from the reduced columns alone
    z = first.groups.columns(first.columns.x)
    assert z.shape[1] <= 2 and bool(torch.isfinite(z).all())


ONE_GROUP = {
    "Planck": lambda x: x[:, 0] ** 3 / (torch.exp(x[:, 0] / x[:, 1]) - 1),
    "dilated": lambda x: x[:, 0] / torch.sqrt(1 + (x[:, 1] / x[:, 2]) ** 2),
    "saturated": lambda x: 3 * x[:, 0] * torch.tanh(x[:, 1] * x[:, 2]),
    "difference of two": lambda x: x[:, 0] * (1 / x[:, 1] - 1 / x[:, 2]),
    "angle": lambda x: x[:, 0] * x[:, 1] * torch.sin(x[:, 2]),
}
TWO_GROUPS = {
    "sum": lambda x: x[:, 0] * (x[:, 1] + x[:, 2] * torch.sin(x[:, 3])),
    "product": lambda x: (x[:, 0] - x[:, 1]) * torch.cos(x[:, 2]) / x[:, 3],
    "affine": lambda x: x[:, 0] * (1 + x[:, 1] * torch.cos(x[:, 2])) / x[:, 3],
    "mean": lambda x: (x[:, 0] * x[:, 1] + x[:, 2] * x[:, 3]) / (x[:, 0] + x[:, 2]),
}


@pytest.mark.parametrize("law", [*ONE_GROUP, *TWO_GROUPS])
def test_laws_of_few_groups_become_formulas(law):
    x = drawn(4)
    y = {**ONE_GROUP, **TWO_GROUPS}[law](x)
    errors = []
    first = begun(x, y)
    for reduction in reductions(first):
        for proposal in laws(reduction, y, first.table.root):
            errors.append(error(proposal.expression, x, y))
            if errors[-1] < 1e-9:
                break
        break
    assert min(errors) < 1e-9


POLYNOMIALS = {
    "squares": lambda x: x[:, 0] * (x[:, 1] ** 2 + x[:, 2] ** 2 + 2 * x[:, 3] ** 2),
    "distance": lambda x: torch.sqrt((x[:, 0] - x[:, 1]) ** 2 + (x[:, 2] - x[:, 3]) ** 2),
    "inverse": lambda x: x[:, 0] / ((x[:, 1] - x[:, 2]) ** 2 + x[:, 3] ** 2),
    "products": lambda x: x[:, 0] * x[:, 1] + x[:, 2] * x[:, 3],
    "exponential": lambda x: torch.exp(0.1 * x[:, 0] * x[:, 1] - 0.2 * x[:, 2]),
}


@pytest.mark.parametrize("law", POLYNOMIALS)
def test_polynomials_under_an_outer_function(law):
    x = drawn(4)
    y = POLYNOMIALS[law](x)
    best = polynomials(begun(x, y))[0]
    assert error(best.expression, x, y) < 1e-9
    assert len(best.expression.atoms(sympy.Float)) <= 8


def test_terms_that_the_noise_hides_are_dropped():
    x = drawn(4)
    y = POLYNOMIALS["squares"](x)
    draw = torch.Generator().manual_seed(0)
    noisy = y + 0.05 * y.std() * torch.randn(len(y), generator=draw, dtype=torch.float64)
    best = polynomials(begun(x, noisy))[0]
    assert error(best.expression, x, y) < 0.01
    assert len(best.expression.atoms(sympy.Float)) <= 6
