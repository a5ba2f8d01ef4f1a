"""Functions that are used where they look like something simpler.

61.3 sin(0.0163 z) is z, and 5e-132 exp(301 cos(0.0577 z)) is exp(-z^2/2), as far as rows with noise
can tell. Each such place is a hypothesis: the function is replaced by a constant, a line or a parabola
in its argument, everything is refitted, and the shorter description is kept.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable

import sympy
import torch
from sympy import Expr, Float
from torch import Tensor

from edgewise.symbolic.evaluate import evaluate
from edgewise.symbolic.formula import complexity
from edgewise.symbolic.refit import Refit

# A function that varies less than this is a constant.
_NEAR = 1e-6
# Powers that may stand for it, if they leave at most this part of its spread.
_POLYNOMIALS = (((0, 1), 0.1), ((0, 2), 0.03), ((0, 1, 2), 0.03))
_BITS, _ROUNDING = 5.0, 1e-13


def without_limits(
    fitted: Refit,
    columns: dict[str, Tensor],
    y: Tensor,
    refitted: Callable[[Expr], Refit],
    deadline: float = math.inf,
) -> Refit:
    """The fit with the functions replaced that the rows do not need.

    columns: name -> (N,); y (N,); refitted: expression -> its fit to these rows.
    """
    size = float(y.square().mean().sqrt()) * _ROUNDING
    best, length = fitted, _length(fitted, len(y), size)
    for _ in range(3):
        improved = False
        for node in _nodes(best.expression):
            for replacement in _replacements(node, columns):
                if time.monotonic() > deadline:
                    return best
                trial = refitted(_pulled(best.expression.xreplace({node: replacement})))
                bits = _length(trial, len(y), size)
                if bits < length:
                    best, length, improved = trial, bits, True
                    break
            if improved:
                break
        if not improved:
            break
    return best


def _length(fitted: Refit, rows: int, floor: float) -> float:
    if not math.isfinite(fitted.rmse):
        return math.inf
    unexplained = rows * math.log2(math.hypot(fitted.rmse, floor))
    return unexplained + _BITS * (complexity(fitted.expression) + len(fitted.constants))


def _pulled(expression: Expr) -> Expr:
    """exp(a + u) as e^a exp(u), for a float a."""

    def pull(argument: Expr) -> Expr:
        constant, rest = argument.as_independent(*argument.free_symbols, as_Add=True)
        return (
            sympy.exp(constant) * sympy.exp(rest) if argument.free_symbols else sympy.exp(argument)
        )

    return expression.replace(sympy.exp, pull)


def _nodes(expression: Expr) -> list[Expr]:
    """Functions, and powers that are not whole, of something that varies; the innermost first."""
    found = []
    for node in sympy.postorder_traversal(expression):
        if not node.free_symbols or node in found:
            continue
        power = isinstance(node, sympy.Pow) and not node.base.is_Symbol and node.exp != 1
        if isinstance(node, sympy.Function) or power:
            found.append(node)
    return found


def _replacements(node: Expr, columns: dict[str, Tensor]) -> list[Expr]:
    """Polynomials in the argument that are close to the function on the rows, the simplest first."""
    argument = node.base if isinstance(node, sympy.Pow) else node.args[0]
    if not argument.free_symbols:
        argument = node.exp
    rows = next(iter(columns.values()))
    u, v = (evaluate(e, columns).expand(rows.shape) for e in (argument, node))
    if not bool(torch.isfinite(u).all() and torch.isfinite(v).all()):
        return []
    spread, scale = float(v.std()), float(v.abs().mean())
    if spread <= _NEAR * scale:
        return [Float(float(v.mean()))]
    found = []
    for degrees, near in _POLYNOMIALS:
        A = torch.stack([u**d for d in degrees], dim=1)
        if not bool(torch.isfinite(A).all()):
            continue
        A = A / A.abs().amax(0).clamp_min(1e-300)
        c = torch.linalg.lstsq(A, v[:, None], driver="gelsd").solution[:, 0]
        if float((v - A @ c).square().mean().sqrt()) < near * spread:
            sizes = [float((u**d).abs().max()) for d in degrees]
            parts = zip(c.tolist(), sizes, degrees, strict=True)
            found.append(sum((Float(a / b) * argument**d for a, b, d in parts), sympy.S.Zero))
    return found
