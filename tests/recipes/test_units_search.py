"""discover with units: known laws come back, and nothing ill-formed is returned."""

import numpy as np
import pytest
import sympy

import edgewise
from edgewise.errors import InputError
from edgewise.symbolic.units import read_units

RNG = np.random.default_rng(3)
N = 200


def between(low: float, high: float) -> np.ndarray:
    return RNG.uniform(low, high, N)


L, g, m = between(0.1, 3), between(1, 25), between(0.1, 2)
a, M, G = 10 ** between(9, 12), 10 ** between(29, 31), np.full(N, 6.674e-11)
rho, v, A = between(0.5, 2), between(1, 30), between(0.1, 3)
x, s, h = between(-3, 3), between(0.5, 2), between(1, 3)

LAWS = {
    "pendulum": (
        {"L": L, "g": g, "m": m},
        2 * np.pi * np.sqrt(L / g),
        {"L": "m", "g": "m/s^2", "m": "kg", "y": "s"},
    ),
    "Kepler": (
        {"a": a, "M": M, "G": G},
        2 * np.pi * np.sqrt(a**3 / (G * M)),
        {"a": "m", "M": "kg", "G": "m^3/kg/s^2", "y": "s"},
    ),
    "drag": (
        {"rho": rho, "v": v, "A": A},
        0.235 * rho * v**2 * A,
        {"rho": "kg/m^3", "v": "m/s", "A": "m^2", "y": "N"},
    ),
    "bell": (
        {"x": x, "s": s, "h": h},
        h / (1 + (x / s) ** 2),
        {"x": "m", "s": "m", "h": "V", "y": "V"},
    ),
}


@pytest.mark.parametrize("name", LAWS)
def test_laws_with_units_come_back(name: str) -> None:
    columns, y, units = LAWS[name]
    X = np.column_stack(list(columns.values()))
    found = edgewise.discover(X, y, list(columns), units=units, time_limit=30)
    fine = read_units(units, list(columns), "y")
    assert all(fine.allow(c.formula.sympy) for c in found.front)
    assert np.allclose(found.predict(X), y, rtol=1e-9)


def test_ill_formed_formulas_are_rejected() -> None:
    X = np.column_stack([L, g])
    y = 3 * np.sqrt(L / g) + 0.02 * RNG.normal(size=N)
    units = {"L": "m", "g": "m/s^2", "y": "s"}
    found = edgewise.discover(X, y, ["L", "g"], units=units, time_limit=5)
    fine = read_units(units, ["L", "g"], "y")
    assert all(fine.allow(c.formula.sympy) for c in found.front)
    ratio = found.best.sympy / sympy.sqrt(sympy.Symbol("L", real=True))
    assert sympy.Symbol("L", real=True) not in sympy.simplify(ratio).free_symbols


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"units": {"L": "m", "g": "m", "y": "s"}}, "no column has time"),
        ({"units": {"L": "m", "y": "m"}}, "'g' has no unit"),
        ({"units": {"L": "m", "g": "m", "y": "m"}, "template": "a*L"}, "cannot be combined"),
    ],
)
def test_wrong_units_stop_before_the_search(options: dict, said: str) -> None:
    with pytest.raises(InputError, match=said):
        edgewise.discover(np.column_stack([L, g]), L, ["L", "g"], time_limit=5, **options)
