"""Families on a range whose functions have numbers of their own that training moves."""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import dataclass

import torch
from torch import Tensor

from edgewise.bases.base import Tensors
from edgewise.bases.ranged import Ranged

# A new range is taken for the old one, moved a little, if z changes by no more than this: its
# factor between a half and two, its shift at most a half.
_FACTOR, _SHIFT = 2.0, 0.5


@dataclass(frozen=True)
class Shaped(Ranged):
    """A Ranged family whose functions depend on trained numbers, in units of the range.

    When a range moves a little, as those of hidden values do during a fit, the functions stay where
    they are: the numbers are written anew in the new units (``carried``), which loses nothing. On a
    range that is new they keep their places in it, so that the first samples spread them.
    """

    @abstractmethod
    def carried(self, tensors: Tensors, factor: Tensor, shift: Tensor) -> dict[str, Tensor]:
        """The shapes of the same functions by w, where z = factor w + shift, (I,) each."""

    def adapt(self, x: Tensor, tensors: Tensors) -> dict[str, Tensor]:
        """The range is that of the samples x (B, I); see the class for what becomes of the shapes."""
        new = super().adapt(x, tensors)
        factor, shift = self.change(tensors, new)
        near = (factor <= _FACTOR) & (factor >= 1 / _FACTOR) & (shift.abs() <= _SHIFT)
        for name, moved in self.carried(tensors, factor, shift).items():
            new[name] = torch.where(near[:, None], moved, tensors[name])
        return new

    def change(self, tensors: Tensors, new: Tensors) -> tuple[Tensor, Tensor]:
        """z = factor w + shift, (I,) each, for z in units of the old range and w of the new one."""
        (lower, upper), (low, high) = self.range_of(tensors), self.range_of(new)
        return (high - low) / (upper - lower), ((high - upper) + (low - lower)) / (upper - lower)

    def roughness_of(self, tensors: Tensors) -> Tensor:
        """In the unit of ``roughness``, that is of the shapes' start."""
        start = self.bending(self.tensors(1, dtype=torch.float64))[0]
        R = self.bending(tensors)
        at_first = self.roughness(dtype=R.dtype, device=R.device)
        most = start.diagonal().amax().clamp_min(torch.finfo(start.dtype).tiny)
        return R * (at_first.diagonal().amax() / float(most))
