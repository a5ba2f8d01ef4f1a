"""KAN.fit takes a DataLoader: its batches go to Adam, its rows to everything else."""

import pytest
import torch
from torch.utils.data import DataLoader, TensorDataset

from edgewise import KAN
from edgewise.errors import InputError


def loader() -> DataLoader:
    x = torch.linspace(-1, 1, 120, dtype=torch.float64)[:, None]
    return DataLoader(TensorDataset(x, torch.sin(2 * x)), batch_size=40)


def test_batches_train_and_rows_are_kept() -> None:
    model = KAN([1, 1], seed=0)
    history = model.fit(loader(), steps=200, lr=2e-2)
    assert history.train_loss[-1] < 0.1 * history.train_loss[0]
    assert len(model.data.train) == 120
    assert model.attribute().inputs.shape == (1,)


def test_options_that_do_not_fit_are_named() -> None:
    model = KAN([1, 1], seed=0)
    x = torch.linspace(-1, 1, 30, dtype=torch.float64)[:, None]
    for options in ({"opt": "LM", "lr": 0.1}, {"batch": 10}, {"opt": "Adam", "grids": [5, 10]}):
        with pytest.raises(InputError, match=r"lr=|batch=|grids="):
            model.fit((x, x), **options)
