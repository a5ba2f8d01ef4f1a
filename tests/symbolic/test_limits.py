"""Functions in their limits are replaced where the rows do not tell the difference, and only there."""

from __future__ import annotations

import pytest
import sympy
import torch
from sympy import Float

from edgewise.symbolic.evaluate import evaluate, symbol
from edgewise.symbolic.limits import without_limits
from edgewise.symbolic.refit import refit

X = symbol("x")
ROWS = torch.linspace(0.5, 4, 400, dtype=torch.float64)
IN_A_LIMIT = {
    "sin": Float(800) * sympy.sin(Float(0.00125) * X),
    "tanh": Float(500) * sympy.tanh(Float(0.002) * X) + Float(1.5),
    "log": Float(-1e5) * sympy.log(1 - Float(1e-5) * X),
    "exp": Float(2e4) * sympy.exp(Float(5e-5) * X) - Float(2e4),
    "root": Float(1e4) * sympy.sqrt(1 + Float(2e-4) * X) - Float(1e4),
    "cos in exp": Float(5.3e-132) * sympy.exp(Float(301.3) * sympy.cos(Float(0.0576) * X)),
    "arctan": X * sympy.atan(Float(1e12) * X),
}
NOT = {
    "sin": Float(2.0) * sympy.sin(Float(0.3) * X),
    "exp": sympy.exp(Float(-0.2) * X),
    "root": sympy.sqrt(1 + Float(0.3) * X),
    "cosh": sympy.cosh(Float(0.4) * X),
}


def shortened(expression, noise):
    y = evaluate(expression, {"x": ROWS})
    draw = torch.Generator().manual_seed(0)
    y = y + noise * y.std() * torch.randn(len(y), generator=draw, dtype=torch.float64)

    def fit(e):
        return refit(e, ROWS[:, None], y, ["x"])

    before = fit(expression)
    return before, without_limits(before, {"x": ROWS}, y, fit)


@pytest.mark.parametrize("name", IN_A_LIMIT)
def test_a_limit_becomes_a_polynomial(name):
    before, after = shortened(IN_A_LIMIT[name], 1e-3)
    lost = {"cos in exp": sympy.cos}.get(name)
    functions = after.expression.atoms(sympy.Function)
    if lost is not None:
        assert not after.expression.atoms(lost)
    else:
        assert not functions and not [p for p in after.expression.atoms(sympy.Pow) if p.exp != 2]
    assert after.rmse < 1.05 * before.rmse


@pytest.mark.parametrize("name", NOT)
@pytest.mark.parametrize("noise", [0.0, 1e-4])
def test_a_function_that_the_rows_show_stays(name, noise):
    before, after = shortened(NOT[name], noise)
    assert after.expression == before.expression
