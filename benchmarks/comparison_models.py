"""The contestants of kan_vs_mlp.py: networks of every family, and MLPs; how large they are."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache
from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn.functional import silu

from edgewise import bases
from edgewise.bases import FAMILIES, Basis, BSpline
from edgewise.nn import Network
from edgewise.train import update_grids

# Multiply-adds that an exponential, a tanh, a sine or a quotient counts as.
ELEMENTARY = 10
# silu(x) = x / (1 + exp(-x))
SILU = 2 * ELEMENTARY + 1
# Hidden nodes of the contestant that needs most, which is what sets a budget: so coarse are its steps.
LARGEST = 20
BUDGETS = ("parameters", "products")


@dataclass(frozen=True)
class Contestant:
    """A kind of network from n inputs by ``size`` hidden nodes to o outputs.

    kind: "KAN" or "MLP". build(widths) makes the module; parameters(widths) and products(widths) are
    its trained numbers, and its multiply-adds a row on the way forward.
    """

    name: str
    kind: str
    hidden_layers: int
    build: Callable[[Sequence[int]], nn.Module]
    parameters: Callable[[Sequence[int]], int]
    products: Callable[[Sequence[int]], int]

    def widths(self, inputs: int, size: int, outputs: int) -> list[int]:
        """Node counts, ``size`` hidden ones in all, as even as they go."""
        share, rest = divmod(size, self.hidden_layers)
        hidden = [share + (n < rest) for n in range(self.hidden_layers)]
        return [inputs, *hidden, outputs]

    def needs(self, budget: str, inputs: int, size: int, outputs: int) -> int:
        count = {"parameters": self.parameters, "products": self.products}[budget]
        return count(self.widths(inputs, size, outputs))

    def model(self, widths: Sequence[int], seed: int) -> nn.Module:
        with torch.random.fork_rng():  # what torch's layers and ours draw at the start
            torch.manual_seed(seed)
            return self.build(widths)


# --- KANs ----------------------------------------------------------------------------------------


def kan(family: str) -> Contestant:
    basis = bases.make(family)
    shapes = sum(basis.tensors(1)[name].numel() for name in basis.shape_names)

    def parameters(widths: Sequence[int]) -> int:  # w_b, w_s and the coefficients of every edge
        return sum(I * O * (basis.size + 2) + I * shapes for I, O in pairwise(widths))

    def products(widths: Sequence[int]) -> int:
        each, terms = expansion(basis), nonzero(basis)
        return sum(I * (each + SILU) + I * O * (terms + 1) for I, O in pairwise(widths))

    def build(widths: Sequence[int]) -> nn.Module:
        return Network(list(widths), basis)

    return Contestant(family, "KAN", 1, build, parameters, products)


def nonzero(basis: Basis) -> int:
    """Products an edge: splines are local, of every other family all functions count."""
    return basis.degree + 1 if isinstance(basis, BSpline) else basis.size


def expansion(basis: Basis) -> int:
    """Multiply-adds that the functions of one input take."""
    K, grid, place = basis.size, getattr(basis, "grid", 0), 2
    match basis.family:
        case "bspline":  # the triangle of de Boor's recursion, three products an entry
            return place + 3 * nonzero(basis) * (nonzero(basis) - 1) // 2
        case "rbf":
            return place + K * (2 + ELEMENTARY)
        case "rswaf":
            return place + K * (3 + ELEMENTARY)
        case "chebyshev" | "hermite":  # a recurrence of two products
            return place + 2 * grid
        case "jacobi" | "legendre" | "gegenbauer":  # of three
            return place + 3 * grid
        case "bernstein":  # the powers of z and 1 - z, their products, the binomials
            return place + 4 * grid
        case "fourier":
            return place + (K - 1) * (1 + ELEMENTARY)
        case "wavelet":  # (1 - u^2) exp(-u^2 / 2) of all but the constant
            return place + (K - 1) * (5 + ELEMENTARY)
        case "rational":  # Chebyshev's recurrence, a denominator of degree 2, a quotient
            return place + 2 * grid + 3 + ELEMENTARY + K
    raise ValueError(f"the multiply-adds of {basis.family!r} are not known; add them here")


# --- MLPs ----------------------------------------------------------------------------------------


class Curves(nn.Module):
    """A curve on every neuron: y_i = w_i silu(x_i) + sum_k c_ik B_k(x_i), (B, I) -> (B, I)."""

    grid: Tensor

    def __init__(self, features: int) -> None:
        super().__init__()
        self.basis = BSpline()
        self.register_buffer("grid", self.basis.tensors(features)["grid"])
        self.coef = nn.Parameter(0.1 * torch.randn(features, self.basis.size))
        self.weight = nn.Parameter(torch.ones(features))

    def forward(self, x: Tensor) -> Tensor:
        features = self.basis.features(x, {"grid": self.grid})
        return self.weight * silu(x) + (self.coef * features).sum(-1)

    @torch.no_grad()
    def follow(self, x: Tensor) -> None:
        """Knots over the samples x (B, I); the curves stay."""
        old, basis = {"grid": self.grid}, self.basis
        new = basis.adapt(x, old)
        # (I, K) as one output's: (O, I, K)
        self.coef.copy_(bases.moved(basis, old, self.coef[None], basis, new)[0])
        self.grid = new["grid"]


def mlp(
    name: str, activation: Callable[[int], nn.Module], numbers: int, cost: int, hidden: int = 1
) -> Contestant:
    """numbers, cost: the trained numbers and multiply-adds of a neuron's activation."""

    def parameters(widths: Sequence[int]) -> int:
        return sum(I * O + O for I, O in pairwise(widths)) + numbers * sum(widths[1:-1])

    def products(widths: Sequence[int]) -> int:
        return sum(I * O for I, O in pairwise(widths)) + cost * sum(widths[1:-1])

    def build(widths: Sequence[int]) -> nn.Module:
        first, *others = [nn.Linear(I, O) for I, O in pairwise(widths)]
        behind = [part for linear in others for part in (activation(linear.in_features), linear)]
        return nn.Sequential(first, *behind)

    return Contestant(name, "MLP", hidden, build, parameters, products)


@cache
def contestants() -> dict[str, Contestant]:
    """By name: a KAN of every family, then the MLPs."""
    spline = BSpline()
    curve = expansion(spline) + nonzero(spline) + SILU + 1
    found = [
        *(kan(family) for family in FAMILIES),
        mlp("ReLU", lambda features: nn.ReLU(), 0, 1),
        mlp("SiLU", lambda features: nn.SiLU(), 0, SILU),
        mlp("SiLU deep", lambda features: nn.SiLU(), 0, SILU, hidden=2),
        mlp("spline MLP", Curves, spline.size + 1, curve),
    ]
    return {contestant.name: contestant for contestant in found}


# --- sizes, ranges -------------------------------------------------------------------------------


def budget_of(budget: str, inputs: int, outputs: int) -> int:
    """What the contestant that needs most takes with LARGEST hidden nodes."""
    return max(c.needs(budget, inputs, LARGEST, outputs) for c in contestants().values())


def largest(contestant: Contestant, budget: str, inputs: int, outputs: int) -> list[int]:
    """The widths of the largest network within the budget."""
    most, size = budget_of(budget, inputs, outputs), contestant.hidden_layers
    while contestant.needs(budget, inputs, size + 1, outputs) <= most:
        size += 1
    return contestant.widths(inputs, size, outputs)


def follow(model: nn.Module, x: Tensor) -> None:
    """Ranges of curves become those of the samples x (B, I), in place; the curves stay."""
    if isinstance(model, Network):
        update_grids(model, x)
        return
    with torch.no_grad():
        for part in model.children():
            if isinstance(part, Curves):
                part.follow(x)
            x = part(x)
