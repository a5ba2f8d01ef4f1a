"""Do deep and wide networks train from every family's own start?

Three hidden layers of 32 and ten of 8, plain Adam on mini-batches, a smooth target of two variables.
The mean loss of the first epoch, that of the last and the least of all, and the ratio of first and last;
more than 10 is asked for.

    python benchmarks/depth.py
    python benchmarks/depth.py --families chebyshev rbf --starts noise glorot
"""

from __future__ import annotations

import argparse
import math
import time

import torch
from torch import Tensor

from edgewise import bases
from edgewise.nn.blocks import stack

SHAPES = {"3 x 32": [2, *[32] * 3, 1], "10 x 8": [2, *[8] * 10, 1]}
ROWS, BATCH = 512, 32


def target(x: Tensor) -> Tensor:
    return torch.sin(math.pi * x[:, [0]]) * torch.cos(x[:, [1]]) + x[:, [1]].square()


def losses(
    family: str,
    width: list[int],
    *,
    start: str = "noise",
    epochs: int = 40,
    seed: int = 0,
    lr: float = 1e-3,
) -> list[float]:
    """The mean training loss of each epoch; ends early where one is not finite."""
    drawn = torch.Generator().manual_seed(seed)
    model = stack(width, family, start=start, generator=drawn)
    x = 2 * torch.rand(ROWS, 2, generator=drawn) - 1
    y = target(x)
    y = (y - y.mean()) / y.std()
    optimiser = torch.optim.Adam(model.parameters(), lr=lr)
    means = []
    for _ in range(epochs):
        total = 0.0
        for rows in torch.randperm(ROWS, generator=drawn).split(BATCH):
            optimiser.zero_grad()
            loss = (model(x[rows]) - y[rows]).square().mean()
            loss.backward()
            optimiser.step()
            total += float(loss.detach()) * len(rows) / ROWS
        means.append(total)
        if not math.isfinite(total):
            break
    return means


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--families", nargs="+", default=list(bases.FAMILIES))
    parser.add_argument("--shapes", nargs="+", default=list(SHAPES), choices=list(SHAPES))
    parser.add_argument("--starts", nargs="+", default=["noise"])
    parser.add_argument("--epochs", type=int, default=40)
    parser.add_argument("--lr", type=float, default=1e-3, help="torch's own default")
    parser.add_argument("--seed", type=int, default=0)
    chosen = parser.parse_args(arguments)
    torch.set_num_threads(1)
    print("| family | hidden layers | start | first epoch | last epoch | least | ratio | seconds |")
    print("|---|---|---|---|---|---|---|---|")
    for family in chosen.families:
        for shape in chosen.shapes:
            for start in chosen.starts:
                began = time.perf_counter()
                options = {"epochs": chosen.epochs, "seed": chosen.seed, "lr": chosen.lr}
                means = losses(family, SHAPES[shape], start=start, **options)
                seconds = time.perf_counter() - began
                shown = (f"{mean:.2g}" for mean in (means[0], means[-1], min(means)))
                ratio = f"{means[0] / means[-1]:.3g}"
                cells = (family, shape, start, *shown, ratio, f"{seconds:.1f}")
                print("| " + " | ".join(cells) + " |", flush=True)


if __name__ == "__main__":
    main()
