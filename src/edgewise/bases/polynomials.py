"""Polynomials by their three-term recurrences: Chebyshev, Jacobi, Legendre, Gegenbauer, Hermite.

K = grid + 1 functions of the degrees 0 to ``grid``. Beyond the range they go on straight: a polynomial
of degree n at ten times its range is as large as 20^n.

The derivatives of each family follow a recurrence of the same form, of a shifted family, so that they
cost what the values cost.
"""

from __future__ import annotations

import math
from abc import abstractmethod
from dataclasses import dataclass, field
from typing import ClassVar, Self

import torch
from torch import Tensor

from edgewise.bases.base import Tensors
from edgewise.bases.horner import polynomial
from edgewise.bases.ranged import Ranged, stacked
from edgewise.bases.squash import tanh_factors
from edgewise.errors import InputError

# (a, b, c) of Q_{m+1} = (a z + b) Q_m - c Q_{m-1}
Step = tuple[float, float, float]
# Hermite: the range in standard deviations, on either side.
_DEVIATIONS = 3.0


@dataclass(frozen=True)
class Polynomial(Ranged):
    """All polynomials of degree ``grid``, K = grid + 1.

    squash: how an input comes to [-1, 1]. "range" maps the samples' range to it, which keeps digits
    and goes on straight outside. "tanh" is z = tanh(x), as published: without a range, levelling off
    outside [-2, 2].
    """

    squash: str = field(default="range", kw_only=True)

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.squash not in ("range", "tanh"):
            raise InputError(f"squash is {self.squash!r}; expected 'range' or 'tanh'.")

    @property
    def size(self) -> int:
        return self.grid + 1

    @property
    def degree(self) -> int:
        return self.grid

    @property
    def follows(self) -> bool:
        return self.squash == "range"

    def evaluated(self, x: Tensor, tensors: Tensors, order: int) -> Tensor:
        if self.squash == "range":
            return super().evaluated(x, tensors, order)
        z = torch.tanh(x)
        if order == 0:
            return self.unit(z, tensors, 0)
        # d/dx = (1 - z^2) d/dz, r times: sum_j p_j(z) B^(j)(z)
        factors = tanh_factors(order)
        terms = [
            polynomial(factors[j], z)[..., None] * self.unit(z, tensors, j)
            for j in range(1, order + 1)
        ]
        return torch.stack(terms).sum(0)

    def design_points(self, tensors: Tensors) -> Tensor:
        if self.squash == "range":
            return super().design_points(tensors)
        lower, _ = self.range_of(tensors)
        return torch.atanh(self.design(lower))[:, None].repeat(1, len(lower))


@dataclass(frozen=True)
class Recurrent(Polynomial):
    """Polynomials whose derivatives of every order r are, up to factors, a recurrent family:

    ::

        B_n^(r) = lead(n, r) Q_{n-r},    Q_{m+1} = (a z + b) Q_m - c Q_{m-1},    Q_0 = 1,  Q_{-1} = 0
    """

    # of the orders that training asks for, so that a compiler finds constants
    table: tuple[tuple[Step, ...], ...] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        super().__post_init__()
        object.__setattr__(self, "table", tuple(_steps(self, order) for order in range(4)))

    @abstractmethod
    def lead(self, n: int, order: int) -> float:
        """The factor of Q_{n-order} in B_n^(order), n >= order."""

    @abstractmethod
    def step(self, m: int, order: int) -> Step:
        """(a, b, c) that make Q_{m+1}."""

    def unit(self, z: Tensor, shapes: Tensors, order: int) -> Tensor:
        rows = [torch.zeros_like(z)] * min(order, self.size)
        steps = self.table[order] if order < len(self.table) else _steps(self, order)
        for a, b, c in steps:
            if len(rows) == order:
                rows.append(torch.full_like(z, b))
            elif len(rows) == order + 1:
                rows.append(a * z + b)
            else:
                rest = rows[-2] * -c
                rest = rest + b * rows[-1] if b else rest
                rows.append(torch.addcmul(rest, z, rows[-1], value=a))
        return stacked(rows)

    def lifted(self, coef: Tensor, larger: Self) -> Tensor:
        return torch.nn.functional.pad(coef, (0, larger.size - self.size))


def _steps(basis: Recurrent, order: int) -> tuple[Step, ...]:
    """For n = order, .., grid the numbers that make D_n = B_n^(order) from the two before.

    The leads are worked in: D_{n+1} = l_{n+1}/l_n (a z + b) D_n - l_{n+1}/l_{n-1} c D_{n-1}. The
    first is (0, D, 0) for a constant D, the second (a, b, 0) for a z + b.
    """
    leads = [basis.lead(n, order) for n in range(order, basis.size)]
    found: list[Step] = [(0.0, lead, 0.0) for lead in leads[:1]]
    for m in range(len(leads) - 1):
        a, b, c = basis.step(m, order)
        up = leads[m + 1] / (leads[m] if m else 1.0)
        found.append((a * up, b * up, c * leads[m + 1] / leads[m - 1] if m else 0.0))
    return tuple(found)


@dataclass(frozen=True)
class Chebyshev(Recurrent):
    """T_0 .. T_n, n = grid: T_{n+1} = 2 z T_n - T_{n-1}.

    With cosines, as some have it, the slope is infinite where z rounds to 1.
    Reference: SS et al., *Chebyshev Polynomial-Based Kolmogorov-Arnold Networks* (2024).
    """

    family: ClassVar[str] = "chebyshev"

    def lead(self, n: int, order: int) -> float:
        # T_n^(r) = 2^(r-1) (r-1)! n C_{n-r}^(r)
        return 1.0 if order == 0 else 2.0 ** (order - 1) * math.factorial(order - 1) * n

    def step(self, m: int, order: int) -> Step:
        return (2.0 if m else 1.0, 0.0, 1.0) if order == 0 else _gegenbauer(m, order)


@dataclass(frozen=True)
class Jacobi(Recurrent):
    """P_n^(a, b), n = 0 .. grid, orthogonal for the weight (1 - z)^a (1 + z)^b; a, b > -1.

    P_n(1) = binomial(n + a, n), not normalised.
    Reference: Aghaei, *fKAN: Fractional Kolmogorov-Arnold Networks* (2024).
    """

    a: float = 1.0
    b: float = 1.0

    family: ClassVar[str] = "jacobi"

    def __post_init__(self) -> None:
        for name in ("a", "b"):
            value = getattr(self, name)
            if not -1.0 < value < math.inf:
                raise InputError(f"{name} is {value!r}; expected a number > -1.")
        super().__post_init__()

    def lead(self, n: int, order: int) -> float:
        # d/dz P_n^(a, b) = (n + a + b + 1) / 2 P_{n-1}^(a+1, b+1)
        return math.prod((n + self.a + self.b + 1 + j) / 2 for j in range(order))

    def step(self, m: int, order: int) -> Step:
        return _jacobi(m, self.a + order, self.b + order)


@dataclass(frozen=True)
class Legendre(Recurrent):
    """P_0 .. P_n, n = grid: orthogonal on the range; Jacobi's for a = b = 0."""

    family: ClassVar[str] = "legendre"

    def lead(self, n: int, order: int) -> float:
        return math.prod((n + 1 + j) / 2 for j in range(order))

    def step(self, m: int, order: int) -> Step:
        return _jacobi(m, order, order)


@dataclass(frozen=True)
class Gegenbauer(Recurrent):
    """C_n^(alpha), n = 0 .. grid, alpha > 0; Legendre's for alpha = 1/2, Chebyshev's U_n for 1.

    (n + 1) C_{n+1} = 2 (n + alpha) z C_n - (n + 2 alpha - 1) C_{n-1}; C_n(1) grows as
    n^(2 alpha - 1).
    """

    alpha: float = 1.0

    family: ClassVar[str] = "gegenbauer"

    def __post_init__(self) -> None:
        if not 0.0 < self.alpha < math.inf:
            raise InputError(f"alpha is {self.alpha!r}; expected a number > 0.")
        super().__post_init__()

    def lead(self, n: int, order: int) -> float:
        return math.prod(2 * (self.alpha + j) for j in range(order))

    def step(self, m: int, order: int) -> Step:
        return _gegenbauer(m, self.alpha + order)


@dataclass(frozen=True)
class Hermite(Recurrent):
    """h_n(u) = He_n(u) / sqrt(n!), u = 3 z, n = 0 .. grid: orthonormal for a standard normal u.

    The range is three standard deviations; degrees up to 10 are well conditioned there.
    h_{n+1} = (u h_n - sqrt(n) h_{n-1}) / sqrt(n + 1), h_n' = sqrt(n) h_{n-1}.
    """

    family: ClassVar[str] = "hermite"

    def lead(self, n: int, order: int) -> float:
        return _DEVIATIONS**order * math.sqrt(math.perm(n, order))

    def step(self, m: int, order: int) -> Step:
        return _DEVIATIONS / math.sqrt(m + 1), 0.0, math.sqrt(m / (m + 1))


def _jacobi(m: int, a: float, b: float) -> Step:
    """What makes P_{m+1}^(a, b); n = m + 1 below is the new one's degree."""
    if m == 0:
        return (a + b + 2) / 2, (a - b) / 2, 0.0
    n, s = m + 1, a + b
    below = 2 * n * (n + s) * (2 * n + s - 2)
    return (
        (2 * n + s) * (2 * n + s - 1) / (2 * n * (n + s)),
        (2 * n + s - 1) * (a * a - b * b) / below,
        2 * (n + a - 1) * (n + b - 1) * (2 * n + s) / below,
    )


def _gegenbauer(m: int, alpha: float) -> Step:
    return 2 * (m + alpha) / (m + 1), 0.0, (m + 2 * alpha - 1) / (m + 1)
