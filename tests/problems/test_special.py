"""The special functions and the dimensionless equations: finite data, known values, stated ranges."""

import math

import pytest
import scipy.special
import torch

from edgewise import problems
from edgewise.errors import InputError, ShapeError
from edgewise.problems import dimensionless, feynman, special


@pytest.mark.parametrize("entry", special.functions(), ids=lambda entry: entry.id)
def test_every_function_gives_finite_data_in_its_ranges(entry):
    data = problems.load(f"special/{entry.id}", n=60, n_test=20, seed=3)
    assert data.train.x.shape == (60, 2) and data.test.y.shape == (20, 1)
    for values, (low, high) in zip(data.train.x.T, (entry.x, entry.y), strict=True):
        assert low <= values.min() and values.max() <= high
    assert float(data.train.y.std()) > 0.1


def test_known_values():
    def value(id, x, y):
        return special.function(id)(torch.tensor([[x, y]], dtype=torch.float64)).item()

    assert value("ellipj", 1.3, 0.0) == pytest.approx(math.sin(1.3), rel=1e-12)
    assert value("ellipkinc", 1.5, 0.0) == pytest.approx(1.5, rel=1e-12)
    assert value("kv", 0.5, 2.0) == pytest.approx(math.sqrt(math.pi / 4) * math.exp(-2), rel=1e-12)
    assert value("lpmv1", 1.0, 0.6) == pytest.approx(-0.8, rel=1e-12)


@pytest.mark.parametrize("id", [entry.id for entry in special.functions() if "sph" in entry.id])
def test_harmonics_are_orthonormal_on_the_sphere(id):
    """The mean square over the sphere of a real part is 1/(4 pi), and half of it where m > 0."""
    nodes, weights = (torch.from_numpy(v) for v in scipy.special.roots_legendre(8))
    azimuth = torch.arange(16, dtype=torch.float64) * (2 * math.pi / 16)
    points = torch.cartesian_prod(azimuth, nodes.arccos())
    values = special.function(id)(points).view(16, 8)
    total = float((values.square().mean(0) * weights).sum()) * 2 * math.pi
    assert total == pytest.approx(1.0 if id[3] == "0" else 0.5, rel=1e-12)


def test_there_are_27_equations_on_wide_ranges():
    entries = dimensionless.equations()
    assert len({entry.id for entry in entries}) == 27
    for entry in entries:
        for low, high in zip(entry.low, entry.high, strict=True):
            turn = high - low == pytest.approx(2 * math.pi)
            assert turn or low < 0 < high or high >= 3 * low * (1 - 1e-12), entry


@pytest.mark.parametrize("entry", dimensionless.equations(), ids=lambda entry: entry.id)
def test_every_equation_gives_finite_data(entry):
    data = problems.load(f"feynman-dimensionless/{entry.id}", n=60, n_test=20, seed=3)
    assert data.input_names == entry.variables and data.test.y.shape == (20, 1)


def test_an_equation_agrees_with_the_one_that_has_units():
    whole, bare = feynman.equation("I.16.6"), dimensionless.equation("I.16.6")
    x = torch.tensor([[0.5, 0.25]], dtype=torch.float64)  # u/c and v/c, symmetric
    assert bare(x).item() == whole(torch.tensor([[1.0, 0.5, 0.25]], dtype=torch.float64)).item()


def test_unknown_names_and_shapes_are_refused():
    with pytest.raises(InputError, match="ellipkinc"):
        problems.load("special/ellipk")
    with pytest.raises(InputError, match=r"nearest: I\.6\.2"):
        problems.load("feynman-dimensionless/I.6.3")
    with pytest.raises(ShapeError, match=r"\(N, 2\)"):
        special.function("jv")(torch.ones(3, 1))
