"""Draw the pictures of docs/structure.md: ``python docs/images/make_structure.py``. Takes seconds."""

from __future__ import annotations

from pathlib import Path

import matplotlib
import torch

from edgewise import KAN, interpret, plot
from edgewise.nn.order import permute

HERE = Path(__file__).parent


def tree(folder: Path) -> None:
    """The structure of m/r^2 with r^2 = (x - u)^2 + (y - v)^2, plus a part that stays whole."""
    generator = torch.Generator().manual_seed(0)
    x = 0.5 + 1.5 * torch.rand(400, 6, generator=generator, dtype=torch.float64)

    def f(x: torch.Tensor) -> torch.Tensor:
        m, a, b, c, s, t = x.unbind(1)
        return m * torch.sqrt((a - b) ** 2 + c**3) + (s + t) / (1 + s * t)

    found = interpret.structure(f, x, names=["m", "a", "b", "c", "s", "t"])
    plot.tree(found).savefig(folder / "tree.svg", metadata={"Date": None})


def modules(folder: Path) -> None:
    """A network of four parts with its hidden nodes in a random order, and put in order."""
    generator = torch.Generator().manual_seed(1)
    model = KAN([8, 8, 4, 1], noise_scale=0.6, seed=2)
    pairs = torch.arange(8) // 2
    model.layers[0].mask *= pairs[:, None] == pairs
    model.layers[1].mask *= torch.arange(4)[:, None] == pairs
    for level, count in ((1, 8), (2, 4)):
        model = permute(model, level, torch.randperm(count, generator=generator).tolist())
    x = 2 * torch.rand(400, 8, generator=generator, dtype=torch.float64) - 1
    model.plot(data=x).savefig(folder / "tangled.svg", metadata={"Date": None})
    model.auto_swap(data=x).plot(data=x).savefig(folder / "untangled.svg", metadata={"Date": None})


if __name__ == "__main__":
    matplotlib.rcParams["svg.hashsalt"] = "edgewise"
    tree(HERE)
    modules(HERE)
