"""When is a formula the law? The solution rule of SRBench's ground-truth problems, written anew.

The rule (W. La Cava et al., *Contemporary symbolic regression methods and their relative
performance*, 2021): R2 on the test rows above 0.5, the model's floats rounded to three decimals,
and then truth - model a constant, or model / truth a constant that is not 0, after simplification.

As there, pi counts as a float, and the truth's floats are rounded as the model's are. A rounded
float is taken as a fraction, so that all algebra after it is exact: 0.5 is 1/2, and 0.333 is not
1/3. Beyond theirs, variables that are positive in the data are known to be so: sqrt(x y) and
sqrt(x) sqrt(y) are one. Proofs are sought only where numbers do not refute.
"""

from __future__ import annotations

import contextlib
import math
from collections.abc import Sequence

import numpy as np
import sympy
import torch

from edgewise.symbolic.evaluate import evaluate
from edgewise.symbolic.parse import parse

Array = np.ndarray

DECIMALS = 3
# A float below this is 0, before it is rounded.
_NOTHING = 1e-4
_POINTS = 256
# Spread, relative to the truth's, from which numbers refute: after exact algebra only rounding of
# float64 is left. And that from which rounding to three decimals cannot have been the cause.
_REFUTED, _FAR = 1e-6, 0.05
FAR = "neither difference nor quotient is constant"
CLOSE = "close, but not constant after rounding"
# What sympy raises on expressions that it cannot treat.
_REFUSALS = (
    sympy.PolynomialError,
    NotImplementedError,
    RecursionError,
    AttributeError,
    ArithmeticError,
    TypeError,
    ValueError,
)


def rule(
    truth: str,
    model: str,
    variables: Sequence[str],
    low: Sequence[float],
    high: Sequence[float],
    simplify: bool = False,
) -> str:
    """Why the model is not the truth by the rule; nothing, "", where it is.

    simplify: whether the model is simplified before its floats are rounded, as SRBench does, which
    can take long; otherwise they are rounded as they stand, and expanded. Either may show the law.

    May take for ever: call it in a worker. R2 is the caller's affair. Raises FormulaError where a
    formula cannot be read.
    """
    positive = [name for name, a in zip(variables, low, strict=True) if a > 0]
    true, made = (parse(formula, variables, positive) for formula in (truth, model))
    generator = np.random.default_rng(0)
    x = generator.uniform(low, high, (_POINTS, len(variables)))
    if _kind(true, made, variables, x, _FAR) == "":
        return FAR
    reason = CLOSE
    forms = _simplified(made) if simplify else [made, sympy.expand(made)]
    pairs = [(true, form) for form in forms]
    pairs += [(_numbers(true), _numbers(form)) for form in forms]
    for true_form, form in pairs:
        left, right = rounded(true_form), rounded(form)
        kind = _kind(left, right, variables, x, _REFUTED)
        if kind == "":
            continue
        reason = f"{kind} constant in numbers, not by simplification"
        if _is_constant(left - right if kind == "difference" else right / left):
            return ""
    return reason


def same(truth: Array, model: str, variables: Sequence[str], x: Array) -> bool:
    """Whether the model's values at x are the truth's to 1e-6 of each."""
    columns = {name: torch.from_numpy(x[:, i].copy()) for i, name in enumerate(variables)}
    values = evaluate(parse(model, variables), columns).numpy()
    # Where the truth is nearly 0 by cancellation, rounding alone is more than 1e-6 of it.
    floor = 1e-14 * np.sqrt(np.mean(np.square(truth)))
    with np.errstate(invalid="ignore"):
        return bool((np.abs(values - truth) <= 1e-6 * np.abs(truth) + floor).all())


def rounded(expression: sympy.Expr) -> sympy.Expr:
    """Floats to three decimals, as fractions; those below 1e-4 become 0."""

    def near(number: sympy.Float) -> sympy.Rational:
        value = float(number)
        if abs(value) < _NOTHING or not math.isfinite(value):
            return sympy.Integer(0) if math.isfinite(value) else sympy.nan
        return sympy.Rational(round(value * 10**DECIMALS), 10**DECIMALS)

    return expression.xreplace({n: near(n) for n in expression.atoms(sympy.Float)})


def _numbers(expression: sympy.Expr) -> sympy.Expr:
    """pi and e as floats, which merge with the numbers beside them."""
    return expression.xreplace(
        {c: sympy.Float(float(c)) for c in expression.atoms(sympy.NumberSymbol)}
    )


def _simplified(made: sympy.Expr) -> list[sympy.Expr]:
    with contextlib.suppress(*_REFUSALS):
        return [sympy.simplify(made, ratio=1)]
    return []


def _kind(
    true: sympy.Expr, made: sympy.Expr, variables: Sequence[str], x: Array, most: float
) -> str:
    """Which is constant on the points within ``most``: "difference", "quotient" or neither, ""."""
    columns = {name: torch.from_numpy(x[:, i].copy()) for i, name in enumerate(variables)}
    y, z = (evaluate(expression, columns).numpy() for expression in (true, made))
    finite = np.isfinite(y) & np.isfinite(z) & (y != 0)
    if finite.sum() < len(x) / 2:
        return ""
    y, z = y[finite], z[finite]
    if _spread(y - z) <= most * _spread(y):
        return "difference"
    quotient = z / y
    size = float(np.median(np.abs(quotient)))
    return "quotient" if 0 < size and _spread(quotient) <= most * size else ""


def _spread(values: Array) -> float:
    return float(values.max() - values.min())


def _is_constant(expression: sympy.Expr) -> bool:
    """Whether some simplification leaves no variable."""
    for simplifier in (
        lambda e: e,
        sympy.expand,
        lambda e: sympy.cancel(sympy.together(e)),
        lambda e: sympy.powsimp(sympy.expand(e), force=True),
        sympy.trigsimp,
        lambda e: sympy.simplify(e, ratio=1),
        lambda e: sympy.simplify(e.rewrite(sympy.exp)),
    ):
        with contextlib.suppress(*_REFUSALS):
            if not simplifier(expression).free_symbols:
                return True
    with contextlib.suppress(*_REFUSALS):
        return bool(expression.is_constant())
    return False
