"""discover finds the law that each table in examples/ holds."""

from pathlib import Path

import numpy as np
import pytest
import sympy

import edgewise
from edgewise.problems import read_table

EXAMPLES = Path(__file__).parents[2] / "examples"

pytestmark = pytest.mark.slow


def found_in(name: str, target: str, features: list[str] | None = None) -> edgewise.Discovery:
    table = read_table(EXAMPLES / f"{name}.csv", target, features)
    return edgewise.discover(
        table.x, table.y, table.feature_names, target=table.target_name, time_limit=60
    )


def exponent(found: edgewise.Discovery, name: str, at: dict[str, float]) -> float:
    """d log y / d log x of the pick, at a point."""
    x = sympy.Symbol(name, real=True)
    expression = found.best.sympy
    slope = x * sympy.diff(expression, x) / expression
    point = {sympy.Symbol(n, real=True): v for n, v in at.items()}
    return float(slope.subs(point))


def test_planets_hold_keplers_third_law() -> None:
    found = found_in("planets", "period_years")
    for a in (0.4, 1.0, 30.0):
        assert abs(exponent(found, "semi_major_axis_au", {"semi_major_axis_au": a}) - 1.5) < 2e-3


def test_satellites_hold_newtons_form_of_it() -> None:
    found = found_in("satellites", "period_days")
    for a, mass in ((400.0, 6.0), (1000.0, 1900.0), (3500.0, 570.0)):
        at = {"semi_major_axis": a, "planet_mass": mass}
        assert abs(exponent(found, "semi_major_axis", at) - 1.5) < 1e-2
        assert abs(exponent(found, "planet_mass", at) + 0.5) < 1e-2


def test_hubbles_nebulae_hold_a_line_through_the_noise() -> None:
    found = found_in("hubble1929", "velocity_km_s")
    distance = sympy.Symbol("distance_Mpc", real=True)
    slope = sympy.diff(found.best.sympy, distance)
    assert slope.is_number and 400 < float(slope) < 500


def test_water_vapour_holds_clausius_and_clapeyron() -> None:
    """-R d ln p / d (1/T) is the heat of vaporisation: 45.0 kJ/mol at 0, 40.7 at 100 degrees C."""
    found = found_in("water_vapour", "vapour_pressure_kPa")
    for kelvin, heat in ((283.15, 44.6), (323.15, 42.9), (363.15, 41.1)):
        order = exponent(found, "temperature_K", {"temperature_K": kelvin})
        assert abs(8.314e-3 * kelvin * order - heat) < 0.7
    assert found.front[found.pick].rmse < 0.1
    # Antoine's form c exp(a / (T + b)) stands on the front, with b near the tables' -40 K
    T = sympy.Symbol("temperature_K", real=True)
    shifts = []
    for candidate in found.front:
        for power in candidate.formula.sympy.atoms(sympy.exp):
            inverse = 1 / power.args[0]
            if inverse.has(T) and inverse.is_polynomial(T):
                shifts.append(float(sympy.solve(inverse, T)[0]))
    assert any(30 < shift < 50 for shift in shifts)


def test_balmers_lines_hold_rydbergs_formula() -> None:
    found = found_in("balmer", "wavelength_nm")
    n = np.array([[3.0], [4.0], [20.0]])
    rydberg = 1 / (1.0968e-2 * (0.25 - 1 / n[:, 0] ** 2))
    assert np.allclose(found.predict(n), rydberg, rtol=3e-4)


def test_stopping_distances_hold_the_rule_of_thumb() -> None:
    found = found_in("stopping_distances", "distance_ft")
    v = sympy.Symbol("speed_mph", real=True)
    assert sympy.simplify(found.best.sympy - (v + v**2 / 20)) == 0
