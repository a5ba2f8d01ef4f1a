"""The example tables carry the laws that examples/README.md states for them."""

from pathlib import Path

import numpy as np
import pytest

from edgewise.problems.table import Table, read_table

EXAMPLES = Path(__file__).parents[2] / "examples"
TARGETS = {
    "planets": ("period_years", ("semi_major_axis_au",), 13),
    "satellites": ("period_days", ("planet_mass", "semi_major_axis"), 24),
    "hubble1929": ("velocity_km_s", ("distance_Mpc",), 24),
    "water_vapour": ("vapour_pressure_kPa", ("temperature_K",), 21),
    "balmer": ("wavelength_nm", ("n",), 10),
    "stopping_distances": ("distance_ft", ("speed_mph",), 6),
}


def load(name: str) -> Table:
    return read_table(EXAMPLES / f"{name}.csv", TARGETS[name][0])


def test_every_table_is_listed_here_and_in_the_readme():
    files = {path.stem for path in EXAMPLES.glob("*.csv")}
    readme = (EXAMPLES / "README.md").read_text(encoding="utf-8")
    assert files == set(TARGETS)
    for name, (target, features, rows) in TARGETS.items():
        assert f"| {name}.csv | {rows} | {target} | {', '.join(features)} |" in readme


@pytest.mark.parametrize("name", TARGETS)
def test_reads_by_target_alone_and_names_source_and_units(name):
    _, features, rows = TARGETS[name]
    table = load(name)
    assert table.feature_names == features
    assert table.x.shape == (rows, len(features))
    assert all(column in ("name", "planet") for column, _ in table.ignored)
    comments = [
        line
        for line in (EXAMPLES / f"{name}.csv").read_text(encoding="utf-8").splitlines()
        if line.startswith("#")
    ]
    assert any(line.startswith("# Source: ") for line in comments)
    assert any(line.startswith("# Units: ") for line in comments)


def test_planets_follow_kepler():
    table = load("planets")
    a = table.x[:, 0]
    exponent, intercept = np.polyfit(np.log(a), np.log(table.y), 1)
    assert exponent == pytest.approx(1.5, abs=0.002)
    assert np.exp(intercept) == pytest.approx(1.0, abs=0.002)
    np.testing.assert_allclose(table.y, a**1.5, rtol=1e-3)


def test_satellites_follow_kepler_for_every_planet():
    table = load("satellites")
    M, a = table.x.T
    law = a**1.5 / np.sqrt(M)
    constant = np.median(table.y / law)
    np.testing.assert_allclose(table.y, constant * law, rtol=0.01)
    # 2 pi / sqrt(G), with G in (1000 km)^3 per 1e24 kg and day^2
    G = 6.6743e-11 * 1e24 / 1e18 * 86400.0**2
    assert constant == pytest.approx(2 * np.pi / np.sqrt(G), rel=2e-3)
    assert len(set(M)) >= 4 and len(a) >= 20
    powers, *_ = np.linalg.lstsq(
        np.column_stack([np.log(a), np.log(M), np.ones_like(a)]), np.log(table.y), rcond=None
    )
    np.testing.assert_allclose(powers[:2], [1.5, -0.5], atol=2e-3)


def test_nebulae_recede_as_hubble_found():
    table = load("hubble1929")
    d = table.x[:, 0]
    assert d @ table.y / (d @ d) == pytest.approx(424, abs=0.5)
    slope, intercept = np.polyfit(d, table.y, 1)
    assert slope == pytest.approx(454, abs=0.5)
    assert intercept == pytest.approx(-41, abs=0.5)


def test_vapour_pressure_is_nearly_exponential_in_reciprocal_temperature():
    table = load("water_vapour")
    T = table.x[:, 0]
    terms = np.column_stack([1 / T, np.ones_like(T)])
    (slope, _), *_ = line = np.linalg.lstsq(terms, np.log(table.y), rcond=None)
    assert slope == pytest.approx(-5200, rel=0.01)
    np.testing.assert_allclose(np.exp(terms @ line[0]), table.y, rtol=0.04)
    terms = np.column_stack([terms, np.log(T)])
    closer, *_ = np.linalg.lstsq(terms, np.log(table.y), rcond=None)
    np.testing.assert_allclose(np.exp(terms @ closer), table.y, rtol=1e-3)


def test_hydrogen_lines_follow_balmer():
    table = load("balmer")
    n = table.x[:, 0]
    np.testing.assert_allclose(table.y, 364.6 * n**2 / (n**2 - 4), atol=0.01, rtol=0)


def test_stopping_distance_is_a_polynomial():
    table = load("stopping_distances")
    v = table.x[:, 0]
    np.testing.assert_allclose(table.y, v + v**2 / 20, rtol=1e-15)
