"""Mother wavelets psi(u) with their derivatives, in closed form."""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from torch import Tensor

from edgewise.bases.horner import polynomial
from edgewise.bases.ranged import product

# exp(-u^2 / 2) is 0 beyond, and a power of an infinite u times 0 would not be a number
_FAR = 40.0
_MORLET = 5.0
# nu(t) of Meyer's window, by powers of t.
_NU = (0.0, 0.0, 0.0, 0.0, 35.0, -84.0, 70.0, -20.0)
# sin(u)/u by powers of u, exact to rounding for |u| <= 1.
_SINC = tuple((-1.0) ** (n // 2) / math.factorial(n + 1) * (1 - n % 2) for n in range(23))


def _gaussian(u: Tensor, order: int, scale: float = 1.0) -> Tensor:
    """scale times the derivative of exp(-u^2 / 2): (-1)^n He_n(u) exp(-u^2 / 2)."""
    u = u.clamp(-_FAR, _FAR)
    square = u * u
    value = torch.exp(square * -0.5)
    # (-1)^n He_n(u) = u^(n mod 2) sum_m c_m u^2m
    rows = [scale * c for c in _hermite(order)[order % 2 :: 2]]
    value = product(value, polynomial(rows, square) if len(rows) > 1 else rows[0])
    return product(value, u) if order % 2 else value


def _hermite(n: int) -> tuple[int, ...]:
    """(-1)^n He_n by powers of u: H_{n+1} = -u H_n - n H_{n-1}."""
    before: tuple[int, ...] = (0,)
    row: tuple[int, ...] = (1,)
    for m in range(n):
        longer = (0, *(-c for c in row))
        lower = (*before, *[0] * (len(longer) - len(before)))
        before, row = row, tuple(c - m * b for c, b in zip(longer, lower, strict=True))
    return row


def mexican_hat(u: Tensor, order: int = 0) -> Tensor:
    """2 / (sqrt(3) pi^(1/4)) (1 - u^2) exp(-u^2 / 2)."""
    return _gaussian(u, order + 2, -2 / (math.sqrt(3) * math.pi**0.25))


def dog(u: Tensor, order: int = 0) -> Tensor:
    """-u exp(-u^2 / 2), the derivative of a Gaussian."""
    return _gaussian(u, order + 1)


def morlet(u: Tensor, order: int = 0) -> Tensor:
    """cos(5 u) exp(-u^2 / 2)."""
    u = u.clamp(-_FAR, _FAR)
    waves = [_MORLET**r * torch.cos(_MORLET * u + r * math.pi / 2) for r in range(order + 1)]
    return _product(waves, [_gaussian(u, r) for r in range(order + 1)], order)


def meyer(u: Tensor, order: int = 0) -> Tensor:
    """sin(pi |u|) w(|u|): w = 1 to 1/2, cos(pi/2 nu(2 |u| - 1)) to 1, then 0; has a kink at 0.

    nu(t) = t^4 (35 - 84 t + 70 t^2 - 20 t^3).
    """
    v = u.abs().clamp_max(1.0)  # beyond, the window is 0
    waves = [math.pi**r * torch.sin(math.pi * v + r * math.pi / 2) for r in range(order + 1)]
    value = _product(waves, _meyer_window(v, order), order)
    return value * torch.sign(u) if order % 2 else value


def _meyer_window(v: Tensor, order: int) -> list[Tensor]:
    """w and its derivatives by v: with a = pi/2 nu, C = cos a and S = sin a from C' = -a' S, S' = a' C."""
    t = 2 * v - 1
    inside = (t > 0) & (t < 1)
    t = t.clamp(0.0, 1.0)
    angle = [2**r * math.pi / 2 * polynomial(_NU, t, r) for r in range(order + 1)]
    C, S = [torch.cos(angle[0])], [torch.sin(angle[0])]
    for n in range(order):
        rates = angle[1 : n + 2]
        C, S = [*C, -_product(rates, S, n)], [*S, _product(rates, C, n)]
    return [torch.where(t < 1, C[0], 0.0), *(torch.where(inside, slope, 0.0) for slope in C[1:])]


def shannon(u: Tensor, order: int = 0) -> Tensor:
    """sin(u) / u times the Hann window (1 + cos(u / 2)) / 2 on |u| <= 2 pi, 0 beyond.

    The window ends where the sine does: two derivatives are continuous.
    """
    inside = u.clamp(-2 * math.pi, 2 * math.pi)
    window = [0.5**r * torch.cos(inside / 2 + r * math.pi / 2) / 2 for r in range(order + 1)]
    window[0] = 0.5 + window[0]
    value = _product(_sinc(inside, order), window, order)
    return torch.where(u.abs() > 2 * math.pi, 0.0, value)


def _sinc(u: Tensor, order: int) -> list[Tensor]:
    """sin(u) / u and its derivatives: by its series near 0, where quotients lose digits."""
    near = u.abs() < 1.0
    small, large = torch.where(near, u, 0.0), torch.where(near, 1.0, u)
    values, S = [], torch.zeros_like(u)
    for r in range(order + 1):
        series = polynomial(_SINC, small, r)
        # u S^(r) + r S^(r-1) = sin^(r)(u)
        S = (torch.sin(large + r * math.pi / 2) - r * S) / large
        values.append(torch.where(near, series, S))
    return values


def _product(f: list[Tensor], g: list[Tensor], order: int) -> Tensor:
    """(f g)^(order), by Leibniz's rule."""
    terms = [math.comb(order, m) * f[m] * g[order - m] for m in range(order + 1)]
    return sum(terms[1:], start=terms[0])


# name -> psi^(order)(u)
CURVES: dict[str, Callable[[Tensor, int], Tensor]] = {
    "mexican_hat": mexican_hat,
    "morlet": morlet,
    "dog": dog,
    "meyer": meyer,
    "shannon": shannon,
}
# The scale at which a curve's middle reaches past -1 and 1, as far as the functions of a bank remain
# well apart.
WIDTHS = {"mexican_hat": 1.5, "morlet": 3.5, "dog": 1.5, "meyer": 4.0, "shannon": 0.8}
