"""How layers start: splines as in the paper to the bit, every family with curves of like size."""

import math

import pytest
import torch

from edgewise import KAN, bases
from edgewise.errors import InputError
from edgewise.nn import KANLayer
from edgewise.nn.starts import STARTS, moments

double = torch.float64
every_family = pytest.mark.parametrize("family", sorted(bases.FAMILIES))


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


def wide(family, start, *, I=48, O=64, limits=(-1.0, 1.0), **options):
    basis = bases.make(family, range=limits)
    options = {"generator": generator(3), "dtype": double, **options}
    return KANLayer(I, O, basis, start=start, **options)


def uniform(layer, rows=400):
    lower, upper = layer.basis.range_of(layer.basis_tensors)
    unit = torch.rand(rows, layer.in_features, generator=generator(5), dtype=double)
    return lower + (upper - lower) * unit


def test_splines_start_as_in_the_paper_to_the_bit():
    layer = KANLayer(3, 2, "bspline", noise=0.3, generator=generator(7), dtype=double)
    drawn, bound = generator(7), math.sqrt(6 / 5)
    coef = torch.empty(2, 3, 8, dtype=double).normal_(0.0, 0.3, generator=drawn)
    scale = torch.empty(2, 3, dtype=double).uniform_(-bound, bound, generator=drawn)
    assert torch.equal(layer.coef, coef) and torch.equal(layer.scale_base, scale)


@every_family
@pytest.mark.parametrize("size", [0.1, 0.4])
def test_curves_of_every_family_start_as_large_as_splines(family, size):
    layer = wide(family, "noise", base="zero", noise=size)
    square = layer.edges(uniform(layer)).detach().square().mean()
    assert float(square) == pytest.approx(size**2 * 151 / 315, rel=0.1)


@every_family
@pytest.mark.parametrize("base", ["silu", "zero"])
@pytest.mark.parametrize("limits", [(-1.0, 1.0), (0.0, 20.0)])
@pytest.mark.parametrize(("I", "O"), [(40, 40), (90, 30)])
def test_glorot_shares_between_values_and_gradients(family, base, limits, I, O):
    """With gains f of the sums' mean square, in units of a uniform input's variance, and b of the
    gradients', f + b = 2: both are kept where the two can be had at once."""
    layer = wide(family, "glorot", base=base, limits=limits, I=I, O=O)
    x = uniform(layer, 100)
    variance = ((limits[1] - limits[0]) / 2) ** 2 / 3
    f = I * layer.edges(x).detach().square().mean() / variance
    b = O * layer.edges(x, order=1).detach().square().mean()
    assert float(f + b) == pytest.approx(2.0, rel=0.1)


@every_family
def test_power_falls_as_the_number_of_terms(family):
    for I in (10, 40):
        layer = wide(family, "power", I=I, O=400)
        n = I * (layer.basis.size + 1)
        assert float(layer.scale_base.detach().std()) == pytest.approx(n**-0.25, rel=0.05)
        layer.scale_base.data.zero_()
        square = layer.edges(uniform(layer)).detach().square().mean()
        assert float(square) == pytest.approx(n**-3.5 * 151 / 315, rel=0.1)


@every_family
@pytest.mark.parametrize("start", sorted(STARTS))
def test_the_generator_decides_and_ranges_are_each_inputs_own(family, start):
    one, two = (KANLayer(3, 2, family, start=start, generator=generator(1)) for _ in range(2))
    assert torch.equal(one.coef, two.coef) and torch.equal(one.scale_base, two.scale_base)
    assert one.coef.dtype == torch.float32
    x = torch.rand(50, 3, generator=generator(2)) * torch.tensor([1.0, 30.0, 1e-3])
    one.set_basis(one.basis, one.basis.adapt(x, one.basis_tensors), one.coef)
    together = moments(one)
    for i in range(3):
        alone = KANLayer(1, 2, one.basis)
        tensors = {name: t[[i]] for name, t in one.basis_tensors.items()}
        alone.set_basis(one.basis, tensors, alone.coef)
        for name, value in vars(moments(alone)).items():
            torch.testing.assert_close(value[0], getattr(together, name)[i])
    one.reset_parameters(generator=generator(4))
    assert bool(torch.isfinite(one.coef).all() & torch.isfinite(one.scale_base).all())


def test_an_unknown_start_is_named():
    with pytest.raises(InputError, match=r"'xavier'.*glorot"):
        KANLayer(2, 1, start="xavier")
    assert KAN([2, 3, 1], start="power").layers[1].start == "power"


def test_layers_without_storage_or_inputs_can_be_made():
    assert KANLayer(3, 2, start="glorot", device="meta").coef.is_meta
    for start in STARTS:
        KANLayer(0, 2, start=start)
        KANLayer(2, 0, start=start)
