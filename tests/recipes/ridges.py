"""Ridge formulas g(f_1(x_1) + f_2(x_2)) drawn from the primitive table by a seed."""

from dataclasses import dataclass

import numpy as np
import torch

from edgewise.symbolic.primitives import PRIMITIVES

# A constant and a step are no laws to find.
NAMES = sorted(set(PRIMITIVES) - {"0", "sgn"})
ROWS = 1000


@dataclass(frozen=True)
class Ridge:
    text: str
    x: np.ndarray
    y: np.ndarray


def draw(seed: int) -> Ridge:
    """The first draw that is finite on its box, without a pole in it, where both inputs matter."""
    generator = np.random.default_rng(seed)
    while True:
        low, high = ((-2.0, 2.0), (0.5, 3.0))[generator.integers(2)]
        x = generator.uniform(low, high, (ROWS, 2))
        columns = torch.from_numpy(x)
        first, text_1 = _edge(generator, columns[:, 0], "x1")
        second, text_2 = _edge(generator, columns[:, 1], "x2")
        if not (_tame(first) and _tame(second)):
            continue
        share = float(first.std() / second.std())
        y, text = _edge(generator, first + second, f"{text_1} + {text_2}")
        if 0.1 < share < 10 and _tame(y):
            return Ridge(f"{text} on [{low:g}, {high:g}]^2", x, y.numpy())


def _edge(generator: np.random.Generator, u: torch.Tensor, inside: str) -> tuple[torch.Tensor, str]:
    name = NAMES[generator.integers(len(NAMES))]
    a, b = (
        generator.choice([0.5, 1.0, 1.5, 2.0]),
        generator.choice([-1.0, -0.5, 0.0, 0.5, 1.0, 2.0]),
    )
    c = generator.choice([-2.0, -1.0, 0.5, 1.0, 1.5])
    return c * PRIMITIVES[name].torch(a * u + b), f"{c:g} {name}[{a:g} ({inside}) + {b:g}]"


def _tame(values: torch.Tensor) -> bool:
    """Finite, not flat, and without the spikes of a pole."""
    if not bool(torch.isfinite(values).all()):
        return False
    spread = float(values.std())
    return 1e-2 < spread < 1e3 and float((values - values.mean()).abs().max()) < 8 * spread
