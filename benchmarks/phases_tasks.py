"""Two classes and where they meet: the two moons, and states of a quasiperiodic chain.

The chain is the generalised Aubry-Andre model of S. Ganeshan, J. Pixley and S. Das Sarma (*Nearest
neighbor tight binding models with an exact mobility edge in one dimension*, 2015):

    E psi_n = psi_{n-1} + psi_{n+1} + 2 lam cos(2 pi b n + phi) / (1 - alpha cos(2 pi b n + phi)) psi_n

with b the golden ratio. States are extended where alpha E + 2 lam < 2 and localised beyond. Here they
are labelled without that knowledge, by diagonalisation. For two rings of N < N' sites, b being the
ratio of Fibonacci numbers that closes the ring, the inverse participation ratio sum |psi_n|^4 of states
at the same place in the spectrum falls as N^-tau: tau is 1 for extended states and 0 for localised
ones. A state is called localised when tau < 1/2.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

# sites -> the Fibonacci number before: b is their ratio, and a whole number of turns fits a ring
FIBONACCI = {34: 21, 89: 55, 144: 89, 233: 144, 377: 233, 610: 377, 987: 610}
RINGS = (233, 610)
ALPHA, LAMBDA = (-0.9, 0.9), (0.2, 1.8)
# neighbours in the spectrum over whose median the participation ratio is smoothed
_SMOOTH = 5


@dataclass(frozen=True)
class Task:
    """Rows x (B, I) with labels y (B,), the input by which a boundary is solved, and where known the
    classes that no better rule can tell, from x alone."""

    name: str
    names: tuple[str, ...]
    axis: int
    width: list[int]
    x: Tensor
    y: Tensor
    test_x: Tensor
    test_y: Tensor
    best: Callable[[Tensor], Tensor]

    @property
    def data(self) -> dict[str, Tensor]:
        return {"train_input": self.x, "train_label": self.y,
                "test_input": self.test_x, "test_label": self.test_y}  # fmt: skip


def moons(noise: float, seed: int, rows: int = 1000, test_rows: int = 10_000) -> Task:
    """scikit-learn's two half circles, each point moved by a normal deviate of std ``noise``."""
    from sklearn.datasets import make_moons

    parts = []
    for count, state in ((rows, 2 * seed), (test_rows, 2 * seed + 1)):
        x, y = make_moons(count, noise=noise or None, random_state=state)
        parts += [torch.tensor(x), torch.tensor(y)]
    best = lambda x: likelier_moon(x, max(noise, 0.05))  # noqa: E731
    return Task(f"moons {noise:g}", ("x_1", "x_2"), 1, [2, 2], *parts, best)


def likelier_moon(x: Tensor, noise: float) -> Tensor:
    """The class of larger density at x (B, 2), each density being a half circle blurred by noise."""
    t = torch.linspace(0, torch.pi, 1001, dtype=x.dtype)
    upper = torch.stack([t.cos(), t.sin()], 1)
    lower = torch.stack([1 - t.cos(), 0.5 - t.sin()], 1)

    def log_density(moon: Tensor) -> Tensor:
        parts = [(-(torch.cdist(some, moon) ** 2) / (2 * noise**2)) for some in x.split(1000)]
        return torch.cat([part.logsumexp(1) for part in parts])

    return (log_density(lower) > log_density(upper)).long()


def ring(sites: int, alpha: float, lam: float, phi: float) -> tuple[np.ndarray, np.ndarray]:
    """Energies (N,), rising, and logarithms of the inverse participation ratios (N,) of a ring."""
    n = np.arange(sites)
    cosine = np.cos(2 * np.pi * FIBONACCI[sites] / sites * n + phi)
    H = np.diag(2 * lam * cosine / (1 - alpha * cosine))
    H[n, (n + 1) % sites] += 1
    H[(n + 1) % sites, n] += 1
    energies, states = np.linalg.eigh(H)
    return energies, np.log((states**4).sum(0))


def exponents(
    alpha: float, lam: float, phi: float, rings: tuple[int, int] = RINGS
) -> tuple[np.ndarray, np.ndarray]:
    """Energies of the smaller ring and tau of each state, by the ring of the same potential that is
    larger; states of equal place in the spectrum, (k + 1/2) / N, are compared."""
    (energies, few), (_, many) = (ring(sites, alpha, lam, phi) for sites in rings)
    place, places = ((np.arange(sites) + 0.5) / sites for sites in rings)
    change = _smooth(few) - np.interp(place, places, _smooth(many))
    return energies, change / np.log(rings[1] / rings[0])


def _smooth(values: np.ndarray) -> np.ndarray:
    padded = np.pad(values, _SMOOTH // 2, mode="edge")
    return np.median(np.lib.stride_tricks.sliding_window_view(padded, _SMOOTH), axis=1)


def chain(
    seed: int,
    potentials: int = 600,
    states: int = 6,
    test_potentials: int = 300,
    rings: tuple[int, int] = RINGS,
) -> Task:
    """States (alpha, lambda, E) of random potentials, 1 where localised; other potentials to test on."""
    draw = np.random.default_rng(seed)
    rows = []
    for _ in range(potentials + test_potentials):
        alpha, lam = draw.uniform(*ALPHA), draw.uniform(*LAMBDA)
        energies, tau = exponents(alpha, lam, draw.uniform(0, 2 * np.pi), rings)
        some = draw.choice(len(energies), states, replace=False)
        rows += [(alpha, lam, energies[k], tau[k] < 0.5) for k in some]
    table = torch.tensor(np.array(rows))
    x, y = table[:, :3], table[:, 3].long()
    cut = potentials * states
    names = ("alpha", "lambda", "E")
    return Task("chain", names, 1, [3, 2, 2], x[:cut], y[:cut], x[cut:], y[cut:], mobility_edge)


def mobility_edge(x: Tensor) -> Tensor:
    """1 where alpha E + 2 lambda > 2, x (B, 3) = (alpha, lambda, E)."""
    return (x[:, 0] * x[:, 2] + 2 * x[:, 1] > 2).long()
