"""Deep stacks of KAN layers for ordinary torch models: normalisation between layers, residual blocks.

In ``KAN`` an edge is a function of one variable, which a norm over several would undo; these modules
are for networks that need not become formulas.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import torch
from torch import Tensor, nn

from edgewise import bases
from edgewise.bases import Basis
from edgewise.errors import InputError
from edgewise.nn.layer import KANLayer

# The range of layers behind a norm: two standard deviations.
_NORMED_RANGE = (-2.0, 2.0)
_NORMS = (None, "layer", "batch")


class KANBlock(nn.Module):
    """y = x + layer_2(layer_1(norm(x))): x (..., F) -> y (..., F), over ``hidden`` values, F by default.

    norm: "layer", "batch" or None. basis: a family's name, then on [-2, 2] behind a norm, or a Basis,
    which is taken as it is. options: those of KANLayer.
    """

    def __init__(
        self,
        features: int,
        hidden: int | None = None,
        basis: str | Basis = "bspline",
        *,
        norm: str | None = "layer",
        **options: Any,
    ) -> None:
        super().__init__()
        hidden = features if hidden is None else hidden
        self.norm = _normed(norm, features, options)
        self.first = KANLayer(features, hidden, _behind(norm, basis), **options)
        self.second = KANLayer(hidden, features, basis, **options)

    def forward(self, x: Tensor) -> Tensor:
        return x + self.second(self.first(self.norm(x)))


def stack(
    width: Sequence[int],
    basis: str | Basis = "bspline",
    *,
    norm: str | None = None,
    residual: bool = False,
    **options: Any,
) -> nn.Sequential:
    """KAN layers in a row, x (..., width[0]) -> (..., width[-1]): ``stack([2, 32, 32, 1])``.

    norm: before every layer but the first, "layer", "batch" or None. residual: a layer that keeps the
    width adds to its input, x + layer(norm(x)). basis, options: as in KANBlock.
    Raises InputError for less than two widths and for an unknown norm.
    """
    if len(width) < 2:
        raise InputError(
            f"width is {list(width)}; expected at least inputs and outputs, as [2, 8, 1]."
        )
    parts: list[nn.Module] = []
    for l, (I, O) in enumerate(pairwise(width)):
        own = norm if l else None
        layer = KANLayer(I, O, _behind(own, basis), **options)
        steps = [layer] if own is None else [_normed(own, I, options), layer]
        if residual and I == O:
            parts.append(Residual(*steps))
        else:
            parts += steps
    return nn.Sequential(*parts)


class Residual(nn.Module):
    """y = x + f(x), f the given modules one after the other."""

    def __init__(self, *body: nn.Module) -> None:
        super().__init__()
        self.body = nn.Sequential(*body)

    def forward(self, x: Tensor) -> Tensor:
        return x + self.body(x)


class FeatureNorm(nn.Module):
    """nn.BatchNorm1d over the last dimension: x (..., F), statistics over all leading ones."""

    def __init__(self, features: int, **factory: Any) -> None:
        super().__init__()
        self.norm = nn.BatchNorm1d(features, **factory)

    def forward(self, x: Tensor) -> Tensor:
        return self.norm(x.reshape(-1, x.shape[-1])).view(x.shape)


def _normed(norm: str | None, features: int, options: dict[str, Any]) -> nn.Module:
    factory: dict[str, torch.dtype | torch.device | str | None] = {
        name: options.get(name) for name in ("dtype", "device")
    }
    if norm == "layer":
        return nn.LayerNorm(features, **factory)  # type: ignore[arg-type]
    if norm == "batch":
        return FeatureNorm(features, **factory)
    if norm is None:
        return nn.Identity()
    raise InputError(f"norm is {norm!r}; expected one of {list(_NORMS)}.")


def _behind(norm: str | None, basis: str | Basis) -> str | Basis:
    """The basis of a layer behind the norm."""
    if norm is None or isinstance(basis, Basis):
        return basis
    return bases.make(basis, range=_NORMED_RANGE)
