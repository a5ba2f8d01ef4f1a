"""Handwritten digits: a convolutional KAN beside a CNN of as many parameters.

scikit-learn's 1,797 digits of 8 x 8 pixels, split 70/30 by class for every seed. Both kinds of network
have the same build, widths apart, and are trained alike: AdamW, one cycle of the learning rate, images
shifted by up to one pixel. Every line is a run; the table at the end has the means.

    python benchmarks/digits.py                    # three sizes, five seeds
    python benchmarks/digits.py --sizes 8,16,32    # one
    python benchmarks/digits.py --validate         # as settings are chosen: a quarter of the training
                                                   # rows is held out, and the test rows are not read
    python benchmarks/digits.py --short            # one small size and seed; a test runs this

A network of the three widths a, b, c:

    conv(1, a), norm, conv(a, b), max pool, norm, conv(b, c), max pool, norm, dropout, linear

with convolutions of 3 x 3, zeros at the border, and in the CNN a ReLU after each norm. The CNN's widths
are w, 2w, 4w with the w that brings its parameters nearest to the KAN's.
"""

from __future__ import annotations

import argparse
import sys
import time
from dataclasses import dataclass
from statistics import mean

import numpy as np
import torch
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split
from torch import Tensor, nn
from torch.nn import functional

from edgewise.bases import BSpline
from edgewise.nn import KANConv2d

SIZES = ((3, 5, 9), (5, 8, 16), (8, 16, 32))
GRID = 2
BATCH = 64
DROPOUT = 0.2
# what follows a norm is within three standard deviations
RANGE = (-3.0, 3.0)


@dataclass(frozen=True)
class Settings:
    """How a network is trained; chosen for each kind on held-out training rows of seeds 0 and 1."""

    rate: float
    decay: float
    epochs: int = 40


SETTINGS = {"kan": Settings(1e-2, 1.0), "cnn": Settings(1e-2, 1.0)}


@dataclass(frozen=True)
class Rows:
    x: Tensor  # (N, 1, 8, 8), from -1 to 1
    label: Tensor  # (N,)


@dataclass(frozen=True)
class Run:
    kind: str
    parameters: int
    seed: int
    accuracy: float
    seconds: float
    processor: float

    def __str__(self) -> str:
        return (
            f"{self.kind}  {self.parameters:6d} parameters  seed {self.seed}  "
            f"{100 * self.accuracy:6.2f} %  {self.seconds:6.1f} s ({self.processor:.1f} s of processor)"
        )


def split(seed: int, validate: bool) -> tuple[Rows, Rows]:
    """Training and test rows; with ``validate`` both are parts of the training rows."""
    images, labels = load_digits(return_X_y=True)
    x = torch.tensor(images / 8 - 1, dtype=torch.float32).view(-1, 1, 8, 8)
    label = torch.tensor(labels)
    rows = np.arange(len(label))
    train, test = train_test_split(rows, test_size=0.3, stratify=labels, random_state=seed)
    if validate:
        left = {"stratify": labels[train], "random_state": seed}
        train, test = train_test_split(train, test_size=0.25, **left)
    return Rows(x[train], label[train]), Rows(x[test], label[test])


def kan(widths: tuple[int, ...], grid: int = GRID) -> nn.Module:
    def convolution(inputs: int, outputs: int) -> nn.Module:
        limits = (-1.0, 1.0) if inputs == 1 else RANGE
        basis = BSpline(grid, range=limits)
        return KANConv2d(inputs, outputs, 3, padding=1, bias=False, basis=basis)

    return network(widths, convolution, nn.Identity)


def cnn(widths: tuple[int, ...]) -> nn.Module:
    def convolution(inputs: int, outputs: int) -> nn.Module:
        return nn.Conv2d(inputs, outputs, 3, padding=1, bias=False)

    return network(widths, convolution, nn.ReLU)


def network(widths: tuple[int, ...], convolution, activation) -> nn.Module:
    a, b, c = widths
    return nn.Sequential(
        *(convolution(1, a), nn.BatchNorm2d(a), activation()),
        *(convolution(a, b), nn.MaxPool2d(2), nn.BatchNorm2d(b), activation()),
        *(convolution(b, c), nn.MaxPool2d(2), nn.BatchNorm2d(c), activation()),
        *(nn.Flatten(), nn.Dropout(DROPOUT), nn.Linear(4 * c, 10)),
    )


def size_of(model: nn.Module) -> int:
    return sum(p.numel() for p in model.parameters())


def as_large(parameters: int) -> tuple[int, ...]:
    """The CNN's widths."""
    widths = [(w, 2 * w, 4 * w) for w in range(1, 100)]
    return min(widths, key=lambda given: abs(size_of(cnn(given)) - parameters))


def shifted(x: Tensor, draw: torch.Generator) -> Tensor:
    """Every image by -1, 0 or 1 pixel in both directions, over a background of -1."""
    padded = functional.pad(x[:, 0], [1] * 4, value=-1.0)
    down, right = torch.randint(0, 3, (2, len(x), 1), generator=draw) + torch.arange(8)
    rows = torch.arange(len(x))[:, None, None]
    return padded[rows, down[:, :, None], right[:, None, :]][:, None]


def train(model: nn.Module, rows: Rows, settings: Settings, draw: torch.Generator) -> None:
    """Change the model in place."""
    optimiser = torch.optim.AdamW(model.parameters(), settings.rate, weight_decay=settings.decay)
    steps = settings.epochs * -(-len(rows.x) // BATCH)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, settings.rate, total_steps=steps)
    model.train()
    for _ in range(settings.epochs):
        for batch in torch.randperm(len(rows.x), generator=draw).split(BATCH):
            y = model(shifted(rows.x[batch], draw))
            loss = functional.cross_entropy(y, rows.label[batch])
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
            schedule.step()


def accuracy(model: nn.Module, rows: Rows) -> float:
    model.eval()
    with torch.no_grad():
        return float((model(rows.x).argmax(1) == rows.label).double().mean())


def run(kind: str, widths: tuple[int, ...], seed: int, settings: Settings, validate: bool) -> Run:
    rows, held = split(seed, validate)
    with torch.random.fork_rng():  # what torch's own layers and dropout draw
        torch.manual_seed(seed)
        model = {"kan": kan, "cnn": cnn}[kind](widths)
        clocks = time.perf_counter(), time.process_time()
        train(model, rows, settings, torch.Generator().manual_seed(seed))
        spent = time.perf_counter() - clocks[0], time.process_time() - clocks[1]
    return Run(kind, size_of(model), seed, accuracy(model, held), *spent)


def compare(widths: tuple[int, ...], seeds: int, given: argparse.Namespace) -> list[list[Run]]:
    """The KAN's runs and the CNN's, each printed when it is over."""
    sizes = {"kan": widths, "cnn": as_large(size_of(kan(widths)))}
    found = []
    for kind, own in sizes.items():
        if kind not in given.kinds:
            continue
        chosen = SETTINGS[kind]
        settings = Settings(
            given.rate or chosen.rate, given.decay or chosen.decay, given.epochs or chosen.epochs
        )
        found.append([])
        for seed in range(seeds):
            found[-1].append(run(kind, own, seed, settings, given.validate))
            print(found[-1][-1], flush=True)
    return found


def told(runs: list[Run]) -> str:
    """A row of the table: accuracies and their mean in per cent, seconds a run."""
    each = [100 * run.accuracy for run in runs]
    return (
        f"| {runs[0].kind} | {runs[0].parameters:,} | {mean(each):.2f} | {min(each):.2f} to "
        f"{max(each):.2f} | {mean(run.seconds for run in runs):.1f} | "
        f"{mean(run.processor for run in runs):.1f} |"
    )


def main(arguments: list[str] | None = None) -> int:
    given = parsed(arguments)
    torch.set_num_threads(given.threads)
    table = []
    for widths in given.sizes:
        table += [told(runs) for runs in compare(widths, given.seeds, given)]
    print("\n| network | parameters | mean % | least to most | seconds a run | of processor |")
    print("|---|---|---|---|---|---|")
    print("\n".join(table))
    return 0


def parsed(arguments: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--short", action="store_true", help="one small size, one seed, 12 epochs")
    parser.add_argument("--seeds", type=int, help="seeds 0 to this, without it; default 5")
    parser.add_argument("--sizes", nargs="+", help="widths of the KANs, as 8,16,32")
    parser.add_argument("--kinds", nargs="+", default=list(SETTINGS), choices=list(SETTINGS))
    parser.add_argument("--validate", action="store_true", help="on held-out training rows")
    parser.add_argument("--rate", type=float, help="learning rate instead of the chosen one")
    parser.add_argument("--decay", type=float, help="weight decay instead of the chosen one")
    parser.add_argument("--epochs", type=int)
    parser.add_argument("--threads", type=int, default=torch.get_num_threads(), help="of torch")
    given = parser.parse_args(arguments)
    given.sizes = [tuple(int(w) for w in size.split(",")) for size in given.sizes or ()]
    given.sizes = given.sizes or (list(SIZES[1:2]) if given.short else list(SIZES))
    given.seeds = given.seeds or (1 if given.short else 5)
    given.epochs = given.epochs or (12 if given.short else None)
    return given


if __name__ == "__main__":
    sys.exit(main())
