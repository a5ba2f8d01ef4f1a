"""Does a KAN in a transformer's place of the MLP classify better at the same number of parameters?

    python benchmarks/tokens.py [--seeds 3] [--epochs 20]
    python benchmarks/tokens.py --short

scikit-learn's digits (1,797 images of 8 x 8) as 8 tokens, the rows of the image: an embedding with
learnt places, one encoder layer (16 wide, 2 heads), the mean over the tokens, a linear map to the ten
digits. 30 % are held out. Alike for all: Adam on batches of 128, two rates tried with one seed on a
fifth of the training rows, the better one used. Printed: parameters, test accuracy a seed, its mean.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from statistics import mean

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from edgewise.bases import BSpline
from edgewise.nn.attention import KANEncoderLayer

WIDTH, HEADS = 16, 2
RATES = (0.003, 0.01)
BATCH = 128


@dataclass(frozen=True)
class Split:
    """Images x (B, 8, 8) with values from 0 to 1, and their digits (B,)."""

    x: Tensor
    y: Tensor

    def rows(self, index: Tensor) -> Split:
        return Split(self.x[index], self.y[index])


def mlp() -> nn.Module:
    return nn.TransformerEncoderLayer(WIDTH, HEADS, 64, 0.0, "gelu", batch_first=True)


def kan() -> nn.Module:
    # behind a LayerNorm nearly all values are within three standard deviations
    basis = BSpline(5, 3, (-3.0, 3.0))
    return KANEncoderLayer(WIDTH, HEADS, 7, 0.0, batch_first=True, basis=basis)


def grkan() -> nn.Module:
    return KANEncoderLayer(WIDTH, HEADS, 64, 0.0, batch_first=True, ffn="grkan")


LAYERS: dict[str, Callable[[], nn.Module]] = {"MLP": mlp, "KAN": kan, "GR-KAN": grkan}


class Classifier(nn.Module):
    """Tokens (B, 8, 8) -> the digits' scores (B, 10)."""

    def __init__(self, layer: Callable[[], nn.Module], seed: int) -> None:
        super().__init__()
        with torch.random.fork_rng():
            torch.manual_seed(seed)
            self.embed, self.place = nn.Linear(8, WIDTH), nn.Parameter(0.1 * torch.randn(8, WIDTH))
            self.layer, self.head = layer(), nn.Linear(WIDTH, 10)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.layer(self.embed(x) + self.place).mean(1))


def data() -> tuple[Split, Split]:
    """Training and test rows, 70 to 30, as many of each digit as there are."""
    from sklearn.datasets import load_digits
    from sklearn.model_selection import train_test_split

    x, y = load_digits(return_X_y=True)
    halves = train_test_split(x, y, test_size=0.3, stratify=y, random_state=0)
    images = [torch.tensor(part, dtype=torch.float32).view(-1, 8, 8) / 16 for part in halves[:2]]
    digits = [torch.tensor(part) for part in halves[2:]]
    return Split(images[0], digits[0]), Split(images[1], digits[1])


def accuracy(model: nn.Module, rows: Split) -> float:
    with torch.no_grad():
        return float((model(rows.x).argmax(1) == rows.y).double().mean())


def trained(
    layer: Callable[[], nn.Module], seed: int, rows: Split, rate: float, epochs: int
) -> nn.Module:
    model, draw = Classifier(layer, seed), torch.Generator().manual_seed(seed)
    adam = torch.optim.Adam(model.parameters(), lr=rate)
    for _ in range(epochs):
        for index in torch.randperm(len(rows.y), generator=draw).split(BATCH):
            adam.zero_grad()
            cross_entropy(model(rows.x[index]), rows.y[index]).backward()
            adam.step()
    return model


def report(name: str, train: Split, test: Split, seeds: int, epochs: int) -> float:
    """Tune, train once a seed, print a line; the mean accuracy."""
    layer, start = LAYERS[name], time.perf_counter()
    order = torch.randperm(len(train.y), generator=torch.Generator().manual_seed(0))
    fold = len(order) // 5
    early, validation = train.rows(order[fold:]), train.rows(order[:fold])
    scores = {
        rate: accuracy(trained(layer, 100, early, rate, epochs), validation) for rate in RATES
    }
    rate = max(scores, key=scores.__getitem__)
    found = [accuracy(trained(layer, s, train, rate, epochs), test) for s in range(seeds)]
    model = Classifier(layer, 0)
    model(train.x[:1]).sum().backward()
    count = sum(p.numel() for p in model.parameters() if p.grad is not None)
    each = " ".join(f"{100 * score:.2f}" for score in found)
    print(
        f"{name:<8}{count:>8}{rate:>7}{100 * mean(found):>8.2f}"
        f"{time.perf_counter() - start:>7.0f}  {each}",
        flush=True,
    )
    return mean(found)


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--epochs", type=int, default=20)
    parser.add_argument("--short", action="store_true", help="one seed, one epoch")
    asked = parser.parse_args(arguments)
    if asked.short:
        asked.seeds = asked.epochs = 1
    torch.set_num_threads(1)
    train, test = data()
    print(f"{len(train.y)} rows to train on, {len(test.y)} held out; accuracy in per cent")
    print(f"{'layer':<8}{'numbers':>8}{'rate':>7}{'mean':>8}{'s':>7}  a seed")
    for name in LAYERS:
        report(name, train, test, asked.seeds, asked.epochs)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
