"""Solutions to measure against: exact ones, and by methods that share nothing with networks."""

from __future__ import annotations

from math import pi

import numpy as np
import torch
from torch import Tensor

NU = 0.01 / pi


def poisson(p: Tensor) -> Tensor:
    return torch.sin(pi * p[:, 0]) * torch.sin(pi * p[:, 1] ** 2)


def helmholtz(p: Tensor) -> Tensor:
    return torch.sin(pi * p[:, 0]) * torch.sin(4 * pi * p[:, 1])


def modes(p: Tensor, diffusion: float, sink: float = 0.0) -> Tensor:
    """u_t = D u_xx - k u from sin(pi x) + sin(3 pi x) / 2: each mode decays by itself."""
    t, x = p.T
    first, third = (torch.exp(-(diffusion * (n * pi) ** 2 + sink) * t) for n in (1, 3))
    return first * torch.sin(pi * x) + third * torch.sin(3 * pi * x) / 2


def burgers(p: Tensor, nodes: int = 400) -> Tensor:
    """u_t + u u_x = nu u_xx, u(0, x) = -sin(pi x), by the transform of Cole and Hopf.

    u = -int sin(pi y) f(y) g dn / int f(y) g dn, y = x - n, f = exp(-cos(pi y) / (2 pi nu)), g the heat
    kernel in n: Gauss-Hermite quadrature (C. Basdevant et al., 1986). t > 0.
    """
    from scipy.special import roots_hermite

    z, w = roots_hermite(nodes)
    t, x = p.numpy().T[..., None]
    y = x - np.sqrt(4 * NU * t) * z
    power = -np.cos(pi * y) / (2 * pi * NU)
    f = w * np.exp(power - power.max(1, keepdims=True))
    return torch.from_numpy(-(np.sin(pi * y) * f).sum(1) / f.sum(1))


def allen_cahn(points: int = 512, steps: int = 1000, rows: int = 101) -> tuple[Tensor, Tensor]:
    """u_t = 1e-4 u_xx + 5 u - 5 u^3 from x^2 cos(pi x), period 2: (t, x) (rows * points, 2) and u.

    Fourier in x, exponential Runge-Kutta of order 4 in t (A.-K. Kassam, L. N. Trefethen, 2005).
    """
    x = -1 + 2 * np.arange(points) / points
    k = 2 * pi * np.fft.fftfreq(points, 2 / points)
    h, linear = 1 / steps, -1e-4 * k**2 + 5
    whole, half = np.exp(h * linear), np.exp(h * linear / 2)
    # the phi functions as means over a circle, free of cancellation
    z = h * linear[:, None] + np.exp(1j * pi * (np.arange(32) + 0.5) / 32)
    e = np.exp(z)
    q = h * ((np.exp(z / 2) - 1) / z).mean(1).real
    f1 = h * ((-4 - z + e * (4 - 3 * z + z**2)) / z**3).mean(1).real
    f2 = h * ((2 + z + e * (z - 2)) / z**3).mean(1).real
    f3 = h * ((-4 - 3 * z - z**2 + e * (4 - z)) / z**3).mean(1).real

    def cubic(v: np.ndarray) -> np.ndarray:
        return np.fft.fft(-5 * np.fft.ifft(v).real ** 3)

    v = np.fft.fft(x**2 * np.cos(pi * x))
    kept = [np.fft.ifft(v).real]
    for step in range(1, steps + 1):
        nv = cubic(v)
        a = half * v + q * nv
        na = cubic(a)
        nb = cubic(half * v + q * na)
        nc = cubic(half * a + q * (2 * nb - nv))
        v = whole * v + f1 * nv + 2 * f2 * (na + nb) + f3 * nc
        if step % (steps // (rows - 1)) == 0:
            kept.append(np.fft.ifft(v).real)
    t, columns = np.meshgrid(np.linspace(0, 1, rows), x, indexing="ij")
    p = np.stack([t.ravel(), columns.ravel()], axis=1)
    return torch.from_numpy(p), torch.from_numpy(np.concatenate(kept))


# prey u0' = a u0 - b u0 u1, predators u1' = d u0 u1 - c u1
RATES = (1.5, 1.0, 1.0, 3.0)
FIRST = (1.0, 1.0)


def lotka_volterra(p: Tensor) -> Tensor:
    """Prey and predators at times p (n, 1): (n, 2), by DOP853 with relative tolerance 1e-12."""
    from scipy.integrate import solve_ivp

    a, b, c, d = RATES

    def slope(_: float, u: np.ndarray) -> list[float]:
        return [a * u[0] - b * u[0] * u[1], d * u[0] * u[1] - c * u[1]]

    t = p[:, 0].numpy()
    found = solve_ivp(slope, (0, t.max()), FIRST, "DOP853", t, rtol=1e-12, atol=1e-12)
    return torch.from_numpy(found.y.T)
