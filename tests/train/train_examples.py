"""Small data and models for the tests of training."""

import torch

from edgewise import KAN
from edgewise.problems.dataset import create_dataset


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


def smooth(x):
    return torch.exp(torch.sin(torch.pi * x[:, [0]]) + x[:, [1]] ** 2)


def smooth_data(rows=80, **options):
    return create_dataset(smooth, 2, train_num=rows, test_num=100, **options)


def small_model(width=(2, 2, 1), **options):
    return KAN(list(width), **{"grid": 4, "seed": 1, **options})


def parameters_of(model):
    return torch.cat([p.detach().flatten() for p in model.parameters()])


def rms(model, data):
    with torch.no_grad():
        return float((model(data["train_input"]) - data["train_label"]).square().mean().sqrt())
