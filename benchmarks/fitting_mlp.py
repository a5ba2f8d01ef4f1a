"""An MLP on the same rows in the same seconds: LBFGS or Adam, the size chosen by held-out error."""

from __future__ import annotations

import copy
import math
import time
from collections.abc import Callable, Iterator

import torch
from torch import Tensor, nn

from edgewise.problems import Dataset, Samples

# Hidden layers; each is tried for a share of the seconds, and the best of them has the rest.
SIZES = ((32, 32), (64, 64), (32, 32, 32))
TRIED = 0.1
BATCH = 256
RATE = 1e-2

Training = Callable[[nn.Module, Samples, float], Iterator[None]]


def fitted(data: Dataset, seconds: float, training: Training, seed: int) -> dict:
    """The state with the least held-out error, judged on the test rows; seconds are the processor's."""
    begin = time.process_time()
    train, scale = standardised(data)
    order = torch.randperm(len(train), generator=torch.Generator().manual_seed(seed))
    held, fitting = train.rows(order[: len(train) // 5]), train.rows(order[len(train) // 5 :])
    tried = [Run(mlp(train.x.shape[1], size, seed), fitting, held) for size in SIZES]
    for run in tried:
        run.go_on(training, TRIED * seconds)
    best = min(tried, key=lambda run: run.error)
    best.go_on(training, seconds - (time.process_time() - begin))
    assert data.test is not None
    with torch.no_grad():
        y = scale.back(best.best(scale.inputs(data.test.x)))
    return {
        "width": [layer.out_features for layer in best.model if isinstance(layer, nn.Linear)],
        "parameters": sum(p.numel() for p in best.model.parameters()),
        "rmse": float((y - data.test.y).square().mean().sqrt()),
        "seconds": round(time.process_time() - begin, 2),
    }


class Run:
    """A network, and its state with the least held-out error so far."""

    def __init__(self, model: nn.Sequential, rows: Samples, held: Samples) -> None:
        self.model, self.rows, self.held = model, rows, held
        self.best, self.error = copy.deepcopy(model), math.inf

    def go_on(self, training: Training, seconds: float) -> None:
        end = time.process_time() + seconds
        for _ in training(self.model, self.rows, seconds):
            with torch.no_grad():
                error = float((self.model(self.held.x) - self.held.y).square().mean().sqrt())
            if error < self.error:
                self.best, self.error = copy.deepcopy(self.model), error
            if time.process_time() > end or not math.isfinite(error):
                return


def mlp(inputs: int, hidden: tuple[int, ...], seed: int) -> nn.Sequential:
    """tanh and float64: smooth functions to many digits."""
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        parts: list[nn.Module] = []
        for size in hidden:
            parts += [nn.Linear(inputs, size, dtype=torch.float64), nn.Tanh()]
            inputs = size
        return nn.Sequential(*parts, nn.Linear(inputs, 1, dtype=torch.float64))


def lbfgs(model: nn.Module, rows: Samples, seconds: float) -> Iterator[None]:
    """All rows, strong Wolfe line search, until the caller has had enough."""
    optimiser = torch.optim.LBFGS(
        model.parameters(),
        max_iter=20,
        history_size=50,
        line_search_fn="strong_wolfe",
        tolerance_grad=0.0,
        tolerance_change=0.0,
    )

    def closure() -> Tensor:
        optimiser.zero_grad()
        loss = (model(rows.x) - rows.y).square().mean()
        loss.backward()
        return loss

    while True:
        optimiser.step(closure)
        yield


def adam(model: nn.Module, rows: Samples, seconds: float) -> Iterator[None]:
    """Batches, and a rate that falls to 0 as a cosine over the seconds."""
    optimiser = torch.optim.Adam(model.parameters(), lr=RATE)
    draw, begin = torch.Generator().manual_seed(0), time.process_time()
    while True:
        share = min(1.0, (time.process_time() - begin) / seconds)
        optimiser.param_groups[0]["lr"] = RATE * (1 + math.cos(math.pi * share)) / 2
        for index in torch.randperm(len(rows), generator=draw).split(BATCH):
            optimiser.zero_grad()
            (model(rows.x[index]) - rows.y[index]).square().mean().backward()
            optimiser.step()
        yield


class Scale:
    """Inputs and targets of mean 0 and standard deviation 1, and the way back."""

    def __init__(self, rows: Samples) -> None:
        self.x, self.y = (
            (values.mean(0), values.std(0).clamp_min(1e-300)) for values in (rows.x, rows.y)
        )

    def inputs(self, x: Tensor) -> Tensor:
        return (x - self.x[0]) / self.x[1]

    def back(self, y: Tensor) -> Tensor:
        return y * self.y[1] + self.y[0]


def standardised(data: Dataset) -> tuple[Samples, Scale]:
    scale = Scale(data.train)
    return Samples(scale.inputs(data.train.x), (data.train.y - scale.y[0]) / scale.y[1]), scale


TRAININGS: dict[str, Training] = {"MLP LBFGS": lbfgs, "MLP Adam": adam}
