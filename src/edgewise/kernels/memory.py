"""Work memory kept between calls: the first touch of a page costs more than what is written there."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor

# What lies here unused, no more than _MOST bytes in all.
_free: list[np.ndarray[Any, Any]] = []
_MOST = 128 * 2**20


class _Lent:
    """Memory on its way out; it comes back when the last tensor on it is gone."""

    __slots__ = ("memory",)

    def __init__(self, memory: np.ndarray[Any, Any]) -> None:
        self.memory = memory

    @property
    def __array_interface__(self) -> dict[str, Any]:
        return self.memory.__array_interface__

    def __del__(self, free: list[np.ndarray[Any, Any]] = _free, most: int = _MOST) -> None:
        # No lock: each step is one of the interpreter's, and a lost buffer is only a lost chance.
        if sum(memory.size for memory in free) + self.memory.size <= most:
            free.append(self.memory)


def lend(size: int) -> Tensor:
    """``size`` bytes, not cleared."""
    for place, memory in enumerate(_free):
        if size <= memory.size <= 2 * size:
            try:
                taken = _free.pop(place)
            except IndexError:  # another thread was faster
                break
            if size <= taken.size:
                return torch.from_numpy(np.asarray(_Lent(taken)))
            _free.append(taken)
            break
    return torch.from_numpy(np.asarray(_Lent(np.empty(size, np.uint8))))
