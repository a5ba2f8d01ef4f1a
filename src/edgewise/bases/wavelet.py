"""Wavelets: one curve at many scales and places, the finer ones in between."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import Tensor

from edgewise.bases.base import Basis, Tensors, fitted
from edgewise.bases.ranged import product
from edgewise.bases.shaped import Shaped
from edgewise.bases.wavelet_curves import CURVES, WIDTHS
from edgewise.errors import InputError

# How far a bank that is not trained may come to lie aside of its range, and wider or narrower.
_ASIDE = 0.25
# Singular values that fits by trained wavelets leave out, as a share of the largest.
_RANK = 1e-4


@dataclass(frozen=True)
class Wavelet(Shaped):
    """1 and psi((z - t) / s) with s = c / 2^l and 2^l places t, l = 0 .. L-1; K = 2^L.

    ::

        t = (2 j + 1) / 2^l - 1,    j = 0 .. 2^l - 1,    L = ceil(log2(grid + 1))

    so that grid = 5 makes 1 + 1 + 2 + 4 = 8 functions. One bank serves all edges that leave an input,
    and a layer stays one matrix product. For s and t an edge, as published, see ``nn.EdgeWavelets``.

    c, see ``wavelet_curves.WIDTHS``, lets the widest one reach past the ends of the range. With c = 1
    slopes there are out of reach: a line is fitted to 1 by Mexican hats of any number, and with 1.5
    by 8, 16 and 32 functions to 4e-2, 9e-3 and 8e-4 of its half height. Wider ones would fit smooth
    curves closer still, and depend on one another more.

    kind: psi, see ``wavelet_curves.CURVES``. trainable: log s and t of each input's wavelets are
    trained too. Beyond the range the wavelets go on by themselves, to 0. Refinement: exact, by further
    levels.

    Tensors: limits (I, 2); log_scale and shift (I, K-1), in units of the range's half.
    Reference: Z. Bozorgasl, H. Chen, *Wav-KAN: Wavelet Kolmogorov-Arnold Networks* (2024).
    """

    kind: str = "mexican_hat"
    trainable: bool = False

    family: ClassVar[str] = "wavelet"
    tensor_names: ClassVar[tuple[str, ...]] = ("limits", "log_scale", "shift")
    outside: ClassVar[str] = "own"

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.kind not in CURVES:
            raise InputError(f"kind is {self.kind!r}; expected one of {sorted(CURVES)}.")
        if not isinstance(self.trainable, bool):
            raise InputError(f"trainable is {self.trainable!r}; expected True or False.")
        if self.trainable:
            object.__setattr__(self, "shape_names", ("log_scale", "shift"))

    @property
    def levels(self) -> int:
        """L, the number of scales."""
        return self.grid.bit_length()

    @property
    def size(self) -> int:
        return 2**self.levels

    def tensors(self, in_features: int, **factory: Any) -> dict[str, Tensor]:
        levels = [(l, j) for l in range(self.levels) for j in range(2**l)]
        shift = torch.tensor([(2 * j + 1) / 2**l - 1 for l, j in levels], **factory)
        log_scale = torch.tensor([math.log(WIDTHS[self.kind] / 2**l) for l, _ in levels], **factory)
        return super().tensors(in_features, **factory) | {
            "log_scale": log_scale.repeat(in_features, 1),
            "shift": shift.repeat(in_features, 1),
        }

    def unit(self, z: Tensor, shapes: Tensors, order: int) -> Tensor:
        rate = torch.exp(-shapes["log_scale"]).mT
        psi = CURVES[self.kind](product(z[..., None, :] - shapes["shift"].mT, rate), order)
        psi = psi if order == 0 else product(psi, rate**order)
        constant = torch.ones_like(z) if order == 0 else torch.zeros_like(z)
        return torch.cat([constant[..., None, :], psi], dim=-2).mT

    def carried(self, tensors: Tensors, factor: Tensor, shift: Tensor) -> dict[str, Tensor]:
        moved = _moved(tensors, factor, shift)
        if self.trainable:
            return moved
        # the widest wavelet tells how far the bank has come from the middle of its range
        scale = moved["log_scale"][:, :1] - math.log(WIDTHS[self.kind])
        place = moved["shift"][:, :1]
        there = (scale.abs() <= math.log(1 + _ASIDE)) & (place.abs() <= _ASIDE)
        return {name: torch.where(there, moved[name], tensors[name]) for name in moved}

    def refined(self, tensors: Tensors, finer: Basis) -> dict[str, Tensor]:
        """The same ranges and wavelets, and further levels at their own scales and places."""
        limits = tensors["limits"]
        own = finer.tensors(len(limits), dtype=limits.dtype, device=limits.device)
        for name in ("log_scale", "shift"):
            kept = min(self.size, finer.size) - 1
            own[name][:, :kept] = tensors[name][:, :kept].detach()
        return own | {"limits": limits}

    def extended(
        self, tensors: Tensors, coef: Tensor, target: Basis, target_tensors: Tensors
    ) -> Tensor | None:
        """0 for further wavelets, where those here are the target's first; fitted at other inputs."""
        if not isinstance(target, Wavelet) or target.kind != self.kind or target.size < self.size:
            return None
        mine = _moved(tensors, *self.change(tensors, target_tensors))
        stayed = torch.ones(len(tensors["limits"]), dtype=torch.bool, device=coef.device)
        for name, shapes in mine.items():
            stayed &= (shapes == target_tensors[name][:, : self.size - 1]).all(1)
        longer = torch.nn.functional.pad(coef, (0, target.size - self.size))
        if bool(stayed.all()):
            return longer
        return torch.where(
            stayed[:, None], longer, fitted(self, tensors, coef, target, target_tensors)
        )

    @property
    def rank(self) -> float:
        """Trained wavelets may come to depend on one another, and large coefficients of either sign
        would be no start for further training."""
        return _RANK if self.trainable else 0.0


def _moved(tensors: Tensors, factor: Tensor, shift: Tensor) -> dict[str, Tensor]:
    """The same wavelets by w, where z = factor w + shift."""
    return {
        "log_scale": tensors["log_scale"] - factor.log()[:, None],
        "shift": (tensors["shift"] - shift[:, None]) / factor[:, None],
    }
