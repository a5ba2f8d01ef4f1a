"""Which points a problem is solved on, and how much each one counts."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from edgewise.bases.base import check_count
from edgewise.errors import InputError
from edgewise.pde.domain import Points
from edgewise.pde.problem import Condition, Problem

# The residual is looked at on so many candidates for each point to draw.
_CANDIDATES = 8
# |r|^k / mean |r|^k + c is the density of adaptive points, as its authors choose for most equations.
_POWER, _FLOOR = 1.0, 1.0

# size of the residual (N,) of a condition at points
Size = Callable[[Condition, Tensor], Tensor]


@dataclass(frozen=True)
class Collocation:
    """every: steps until points, or their weights, are renewed; None: never.

    adaptive: share of the points drawn with a density that follows the residual: |r| / mean |r| + 1.
    (C. Wu et al., *A comprehensive study of non-adaptive and residual-based adaptive sampling for
    physics-informed neural networks*, 2023.) attention: rate of weights that gather where the residual
    stays large, on points that stay: w <- 0.9 w + attention |r| / max |r|, then of mean 1. (S.
    Anagnostopoulos et al., *Residual-based attention in physics-informed neural networks*, 2024.)
    """

    every: int | None = None
    adaptive: float = 0.0
    attention: float = 0.0
    seed: int = 0

    def __post_init__(self) -> None:
        if self.every is not None:
            check_count("every", self.every, 1)
        if not 0.0 <= self.adaptive <= 1.0 or self.attention < 0.0:
            raise InputError(
                f"adaptive is {self.adaptive} and attention {self.attention}; expected a share from 0 "
                "to 1 and a rate from 0."
            )
        if self.adaptive and self.attention:
            raise InputError("Attention needs points that stay; use it without adaptive points.")
        if (self.adaptive or self.attention) and not self.every:
            raise InputError("Say how often points or weights are renewed: every=20.")

    def draw(self, problem: Problem, round_: int, size: Size | None = None) -> list[Tensor]:
        """Points for each term; ``size`` None: none follow a residual."""
        seed = self.seed + 10_007 * round_
        return [self._one(term, seed + 101 * n, size) for n, term in enumerate(problem.terms)]

    def _one(self, term: Condition, seed: int, size: Size | None) -> Tensor:
        n = term.points
        follow = int(self.adaptive * n)
        if size is None or not follow or isinstance(term.region, Points):
            return term.region.sample(n, seed)
        even = term.region.sample(max(n - follow, 1), seed)
        return torch.cat([even, _following(term, follow, seed + 1, size)])

    def weights(self, old: Sequence[Tensor | None], sizes: Sequence[Tensor]) -> list[Tensor | None]:
        """Weights (N,) of mean 1 a term after a round, from the residuals' sizes."""
        new: list[Tensor | None] = []
        for weight, size in zip(old, sizes, strict=True):
            last = torch.ones_like(size) if weight is None else weight
            grown = 0.9 * last + self.attention * size / size.max().clamp_min(1e-300)
            new.append(grown / grown.mean())
        return new


def _following(term: Condition, n: int, seed: int, size: Size) -> Tensor:
    candidates = term.region.sample(_CANDIDATES * n, seed)
    density = size(term, candidates).pow(_POWER)
    density = density / density.mean().clamp_min(1e-300) + _FLOOR
    generator = torch.Generator().manual_seed(seed)
    if len(candidates) <= n:
        return candidates
    return candidates[torch.multinomial(density, n, generator=generator)]
