"""Fifteen special functions of two variables, each with the ranges on which it is sampled.

The functions are those of Liu et al., *KAN* (2024), table 1, which does not state its ranges; the ones
here are this library's own. They keep clear of poles: of yv and kv at y = 0, of Legendre functions of any
degree at y = -1, of elliptic integrals at a modulus of 1.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import numpy as np
import torch
from torch import Tensor

from edgewise.errors import InputError, ShapeError
from edgewise.problems.dataset import Dataset, as_dataset, create_dataset

Range = tuple[float, float]
Values = Callable[[np.ndarray, np.ndarray], np.ndarray]


@dataclass(frozen=True)
class SpecialFunction:
    """formula(x, y) for x and y drawn uniformly from the ranges; ``values`` computes it."""

    id: str
    formula: str
    x: Range
    y: Range
    values: Values

    def __call__(self, points: Tensor) -> Tensor:
        """The values (N,) at points (N, 2), in float64 whatever comes in."""
        if points.ndim != 2 or points.shape[1] != 2:
            raise ShapeError(f"points have shape {tuple(points.shape)}; expected (N, 2): x, y")
        x, y = points.detach().cpu().double().numpy().T
        return torch.from_numpy(np.asarray(self.values(x, y)))


def functions() -> tuple[SpecialFunction, ...]:
    """All fifteen, in the order of the paper's table."""
    modulus, degree, sphere = (0.0, 0.95), (0.0, 3.0), (2 * math.pi, math.pi)
    return (
        SpecialFunction("ellipj", "sn(x | y)", (0, 4), modulus, _sn),
        SpecialFunction("ellipkinc", "F(x | y)", (0, 1.5), modulus, _scipy("ellipkinc")),
        SpecialFunction("ellipeinc", "E(x | y)", (0, 1.5), modulus, _scipy("ellipeinc")),
        SpecialFunction("jv", "J_x(y)", (0, 3), (0.2, 8), _scipy("jv")),
        SpecialFunction("yv", "Y_x(y)", (0, 2), (1, 8), _scipy("yv")),
        SpecialFunction("kv", "K_x(y)", (0, 2), (0.5, 4), _scipy("kv")),
        SpecialFunction("iv", "I_x(y)", (0, 2), (0, 3), _scipy("iv")),
        *(
            SpecialFunction(f"lpmv{m}", f"P_x^{m}(y)", degree, (-0.95, 0.95), _scipy("lpmv", m))
            for m in range(3)
        ),
        *(
            SpecialFunction(
                f"sph{m}{n}",
                f"Re Y_{n}^{m}(azimuth x, polar angle y)",
                (0, sphere[0]),
                (0, sphere[1]),
                partial(_harmonic, m, n),
            )
            for n, m in ((1, 0), (1, 1), (2, 0), (2, 1), (2, 2))
        ),
    )


def function(id: str) -> SpecialFunction:
    """The special function of that id.

    Raises InputError: there is none; the message lists them.
    """
    found = {entry.id: entry for entry in functions()}
    if id not in found:
        raise InputError(f"no special function is called {id[:40]!r}; there are {', '.join(found)}")
    return found[id]


def dataset(id: str, n: int, *, n_test: int | None = None, seed: int = 0) -> Dataset:
    """n rows to train on and n_test (n if None) to test on, drawn from the function's ranges."""
    drawn = function(id)
    rows = create_dataset(
        drawn,
        2,
        [drawn.x, drawn.y],
        train_num=n,
        test_num=n if n_test is None else n_test,
        seed=seed,
        dtype=torch.float64,
    )
    return as_dataset(rows, input_names=("x", "y"), output_names=(drawn.id,))


def _scipy(name: str, *before: float) -> Values:
    """scipy.special's function of that name, loaded when it is used."""

    def values(x: np.ndarray, y: np.ndarray) -> np.ndarray:
        import scipy.special

        return getattr(scipy.special, name)(*before, x, y)

    return values


def _sn(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Jacobi's sn of the argument x and the parameter y."""
    import scipy.special

    return scipy.special.ellipj(x, y)[0]


def _harmonic(m: int, n: int, azimuth: np.ndarray, polar: np.ndarray) -> np.ndarray:
    """Re Y_n^m = sqrt((2n+1)/(4 pi) (n-m)!/(n+m)!) P_n^m(cos polar) cos(m azimuth)."""
    import scipy.special

    ratio = math.factorial(n - m) / math.factorial(n + m)
    size = math.sqrt((2 * n + 1) / (4 * math.pi) * ratio)
    return size * scipy.special.lpmv(m, n, np.cos(polar)) * np.cos(m * azimuth)
