"""A network against the formulas that it was made from, at random points."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, cast

import sympy
import torch
from torch import Tensor

from ..errors import FormulaError
from .evaluate import evaluate

if TYPE_CHECKING:
    from ..nn import KANLayer, Network

Ranges = Mapping[str, tuple[float, float]]

_TOLERANCE = 1e-12
_POINTS = 64
# Where variables are drawn; the wide boxes serve formulas that are real at few other points.
_BOXES = ((-3.0, 3.0), (0.1, 1.0), (1.0, 5.0), (-1.0, 1.0))
_WIDE = ((-100.0, 100.0), (0.0, 0.01), (5.0, 100.0), (100.0, 1e4), (-1e4, -100.0), (0.0, 1e4))


@torch.no_grad()
def check_network(
    model: Network, expressions: Sequence[sympy.Expr], names: Sequence[str], ranges: Ranges
) -> None:
    """Raise FormulaError unless output j of the float64 model is expressions[j] of its inputs.

    The error allowed at a point is 1e-12 of the value and what rounding does to the network there.
    """
    generator = torch.Generator().manual_seed(0)
    for j, expression in enumerate(expressions):
        x, y = _real_points(model, expression, names, ranges, generator)
        computed = model(x)[:, j]
        rounding = rounding_of(model, x, generator)[:, j]
        wrong = ~((computed - y).abs() <= _TOLERANCE * y.abs() + rounding)
        # NaN in the rounding: the point lies on the border of a domain and decides nothing.
        wrong &= ~torch.isnan(rounding)
        if wrong.any():
            n = int(wrong.nonzero()[0])
            point = ", ".join(f"{name}={v:.6g}" for name, v in zip(names, x[n], strict=True))
            raise FormulaError(
                f"the network differs from {str(expression)[:80]!r}: at {point} it gives "
                f"{float(computed[n])!r} instead of {float(y[n])!r}; write the formula in a form "
                "that loses fewer digits"
            )


def _real_points(
    model: Network,
    expression: sympy.Expr,
    names: Sequence[str],
    ranges: Ranges,
    generator: torch.Generator,
) -> tuple[Tensor, Tensor]:
    """Points (N, I) where the expression has a value, and the values (N,).

    Where another output is not real, or an inner value overflows, the network has no value.
    """
    drawn = 0
    for boxes in (_BOXES, _WIDE):
        x = _points(names, ranges, boxes, generator)
        y = evaluate(expression, dict(zip(names, x.T, strict=True)))
        inner = torch.cat([*model.trace(x).inputs, y[:, None]], dim=1)
        real = torch.isfinite(inner).all(1)
        drawn += len(x)
        if real.any():
            return x[real], y[real]
    raise FormulaError(
        f"{str(expression)[:80]!r} has no real value at {drawn} random points, so the network "
        "cannot be checked; say where it has with ranges={name: (low, high)}"
    )


def _points(
    names: Sequence[str],
    ranges: Ranges,
    boxes: Sequence[tuple[float, float]],
    generator: torch.Generator,
) -> Tensor:
    """_POINTS uniform points in each box, or in the ranges where they are given: (N, I)."""
    parts = []
    for box in boxes:
        low, high = torch.tensor([ranges.get(name, box) for name in names], dtype=torch.float64).T
        unit = torch.rand(_POINTS, len(names), generator=generator, dtype=torch.float64)
        parts.append(low + (high - low) * unit)
    return torch.cat(parts)


@torch.no_grad()
def rounding_of(model: Network, x: Tensor, generator: torch.Generator) -> Tensor:
    """How far the outputs (B, O) move when constants and inputs move by 1e-13 of themselves, at
    random: some hundred roundings, so a bound for those of the arithmetic."""

    def stirred(values: Tensor) -> Tensor:
        unit = torch.rand(values.shape, generator=generator, dtype=torch.float64)
        return values * (1 + 1e-13 * (2 * unit - 1))

    moves = []
    for _ in range(3):
        other = model.clone()
        for layer in other.layers:
            affine = cast("KANLayer", layer).symbolic_affine
            affine.copy_(stirred(affine))
        moves.append((other(stirred(x)) - model(x)).abs())
    return 3 * torch.stack(moves).amax(0)
