"""Data that a torch DataLoader gives in batches (x, y) or (x, y, weight)."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor
from torch.utils.data import DataLoader

from edgewise.errors import InputError
from edgewise.problems.dataset import Samples


def all_rows(loader: DataLoader) -> tuple[Tensor, ...]:
    """One pass of the loader as whole tensors (x, y[, weight]).

    Raises InputError when the loader is empty or its batches have another form.
    """
    batches = [_parts(batch) for batch in loader]
    if not batches:
        raise InputError(
            "The DataLoader gave no batch; check its dataset, batch_size and drop_last."
        )
    return tuple(torch.cat(part) for part in zip(*batches, strict=True))


def batches(loader: DataLoader) -> Iterator[Samples]:
    """Batches without end, in the loader's own order."""
    while True:
        for batch in loader:
            x, y, *weight = _parts(batch)
            yield Samples(x, y, weight[0] if weight else None)


def _parts(batch: Any) -> tuple[Tensor, ...]:
    fits = isinstance(batch, list | tuple) and len(batch) in (2, 3)
    if not fits or not all(isinstance(part, Tensor) for part in batch):
        raise InputError(
            f"The DataLoader gave a {type(batch).__name__}; expected batches (x, y) or "
            "(x, y, weight) of tensors, as from TensorDataset(x, y)."
        )
    x, y, *weight = batch
    return (x, y[:, None] if y.ndim == 1 else y, *weight)
