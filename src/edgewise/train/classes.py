"""Class labels as targets: rows of probabilities for the loss, and how often the scores are right."""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import Tensor
from torch.nn import functional

from edgewise.errors import DataError
from edgewise.problems.dataset import Dataset, Samples


def with_probabilities(data: Dataset, classes: int) -> Dataset:
    """Labels y (N, 1) as probabilities (N, classes): 1 at the label, else 0; other data as they are.

    Raises DataError for a label that is no whole number from 0 to classes - 1, and names its row.
    """
    if classes < 2 or data.train.y.shape[1] != 1:
        return data
    name = data.output_names[0]
    unnamed = name in ("y", "y_1")
    names = tuple(f"y_{c + 1}" if unnamed else f"{name}_{c}" for c in range(classes))
    train = one_hot(data.train, classes, "train")
    test = None if data.test is None else one_hot(data.test, classes, "test")
    return replace(data, train=train, test=test, output_names=names)


def one_hot(samples: Samples, classes: int, part: str = "train") -> Samples:
    """As ``with_probabilities``, for one part of the data."""
    if classes < 2 or samples.y.shape[1] != 1:
        return samples
    labels = samples.y[:, 0]
    bad = ~((labels >= 0) & (labels < classes) & (labels == labels.round()))
    if bool(bad.any()):
        row = int(bad.nonzero()[0])
        raise DataError(
            f"{part} y, row {row} (counted from 0) has the label {labels[row].item():g}; the model "
            f"has {classes} outputs, so labels are whole numbers from 0 to {classes - 1}."
        )
    return replace(samples, y=functional.one_hot(labels.long(), classes).to(labels.dtype))


def accuracy(scores: Tensor, t: Tensor, share: Tensor) -> float:
    """The share of rows whose largest score is at the likeliest class: scores and t (B, Y), share (B,)."""
    right = scores.argmax(dim=1) == t.argmax(dim=1)
    return float(torch.where(right, share, 0.0).sum())
