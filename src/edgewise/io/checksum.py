"""The checksum of a file's contents: every changed bit of its description or its tensors shows."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping

import torch
from torch import Tensor


def checksum(description: str, tensors: Mapping[str, Tensor], *, lengths: bool) -> str:
    """SHA-256 over the description, then each tensor by name: its JSON head, then its bytes.

    tensors: contiguous, on the CPU. lengths: whether each part's length goes before it; a format
    has settled that once and for all.
    """
    total = hashlib.sha256()
    for part in _parts(description, tensors):
        if lengths:
            total.update(len(part).to_bytes(8, "little"))
        total.update(part)
    return total.hexdigest()


def _parts(description: str, tensors: Mapping[str, Tensor]) -> Iterator[bytes | memoryview]:
    yield description.encode()
    for name, tensor in sorted(tensors.items()):
        yield json.dumps([name, str(tensor.dtype), list(tensor.shape)]).encode()
        yield tensor.flatten().view(torch.uint8).numpy().data
