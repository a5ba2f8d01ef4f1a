"""Units: what is well formed, and the pi theorem's groups, as laws over random dimensions."""

import sys
from fractions import Fraction

import pytest
import sympy
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from edgewise.errors import InputError, MissingDependencyError
from edgewise.symbolic.evaluate import evaluate
from edgewise.symbolic.parse import parse
from edgewise.symbolic.pi_theorem import reduction
from edgewise.symbolic.units import Units, read_units

COLUMNS = {"x": "m", "w": "cm", "t": "s", "m": "kg", "angle": "rad", "n": ""}


def units(target: str) -> Units:
    return read_units({**COLUMNS, "y": target}, list(COLUMNS), "y")


@pytest.mark.parametrize(
    ("text", "target", "allowed"),
    [
        ("x/t", "m/s", True),
        ("x*t", "m/s", False),
        ("x + w", "km", True),
        ("x + t", "m", False),
        ("2*x + 1/2*w", "m", True),
        ("2.5*x + t", "s", True),
        ("2.5*x + 1.3*t", "J", True),
        ("x + 2.5", "m", True),
        ("x + 2", "m", False),
        ("sin(t)*x", "m", False),
        ("sin(2.5*t)*x", "m", True),
        ("sin(angle)*x", "m", True),
        ("exp(-x/w)", "", True),
        ("exp(-x)", "", False),
        ("log(x/w) + angle", "", True),
        ("x^1.5", "m^1.5", True),
        ("sqrt(x*w)", "m", True),
        ("sqrt(x)", "m", False),
        ("x^n", "m", False),
        ("2^n*x", "m", True),
        ("2^t*x", "m", False),
        ("m*(x/t)^2/2", "J", True),
        ("m*(x/t)^2/2 + m*x/t", "J", False),
        ("abs(x - w)", "m", True),
        ("max(x, w)", "m", True),
        ("max(x, t)", "m", False),
        ("atan2(x, w)", "", True),
        ("sign(x)*m", "kg", True),
        ("7", "J", True),
        ("pi*x", "m", True),
        ("3.2", "J", True),
    ],
)
def test_well_formed(text: str, target: str, allowed: bool) -> None:
    assert units(target).allow(parse(text, COLUMNS)) is allowed


exponents = st.sampled_from([-2, -1, 0, 0, 1, 2, Fraction(1, 2)])


@st.composite
def dimensions(draw: st.DrawFn) -> Units:
    """Columns of random dimensions in two or three bases, and a target that they can make."""
    bases = ["length", "mass", "time"][: draw(st.integers(2, 3))]
    count = draw(st.integers(1, 6))
    columns = [{b: Fraction(draw(exponents)) for b in bases} for _ in range(count)]
    powers = [Fraction(draw(exponents)) for _ in range(count)]
    target = {b: sum(p * c[b] for p, c in zip(powers, columns, strict=True)) for b in bases}

    def vector(powers: dict) -> tuple:
        return tuple((b, p) for b, p in sorted(powers.items()) if p)

    names = tuple(f"x{n}" for n in range(count))
    return Units(names, tuple(map(vector, columns)), "y", vector(target))


@settings(max_examples=60, deadline=None)
@given(dimensions())
def test_prefactor_and_groups(given_units: Units) -> None:
    """The prefactor has the target's dimension, groups have none, are independent and as many as the
    theorem says; so a law of theirs is unchanged in other units."""
    x = 0.5 + torch.rand(8, len(given_units.names), dtype=torch.float64)
    found = reduction(given_units, x)
    assert found is not None
    assert given_units.allow(found.product(found.prefactor))
    none = Units(given_units.names, given_units.columns, "y", ())
    bases = sorted({b for column in given_units.columns for b, _ in column})
    D = sympy.Matrix([[dict(c).get(b, 0) for c in given_units.columns] for b in bases])
    rank = D.rank() if bases else 0
    assert len(found.groups) == len(given_units.names) - rank
    if found.groups:
        assert sympy.Matrix([[sympy.Rational(p) for p in g] for g in found.groups]).rank() == len(
            found.groups
        )
    for group in found.groups:
        product = found.product(group)
        assert none.allow(product)
        assert all(p.denominator == 1 for p in group)
        units_of = {b: 3.0 ** (n + 1) for n, b in enumerate(bases)}
        other = [
            column * torch.tensor([units_of[b] ** float(p) for b, p in dimension]).double().prod()
            for column, dimension in zip(x.unbind(1), given_units.columns, strict=True)
        ]
        before = evaluate(product, dict(zip(given_units.names, x.unbind(1), strict=True)))
        after = evaluate(product, dict(zip(given_units.names, other, strict=True)))
        assert torch.allclose(before, after, rtol=1e-6)


def test_products_are_finite_on_the_rows() -> None:
    x = torch.rand(20, 3, dtype=torch.float64) - 0.5
    x[0, 1] = 0.0
    read = read_units({"a": "m", "b": "m", "c": "m", "y": "m"}, ["a", "b", "c"], "y")
    found = reduction(read, x)
    assert found is not None
    everything = dict(zip("abc", x.unbind(1), strict=True))
    for exponents in (found.prefactor, *found.groups):
        assert torch.isfinite(evaluate(found.product(exponents), everything)).all()


@pytest.mark.parametrize(
    ("given_units", "said"),
    [
        ({"x": "m", "y": "s"}, "no column has time in its unit"),
        ({"x": "m*s", "y": "m"}, "which no product of powers"),
        ({"x": "m"}, "'y' has no unit"),
        ({"x": "m", "y": "s", "z": "m"}, "'z', but the columns are"),
        ({"x": "foo", "y": "m"}, "unit 'foo' of 'x' is not understood"),
        ({"x": "m/s^", "y": "m"}, "not understood"),
        ({"x": "2 m", "y": "m"}, "not understood"),
        ({"x": 3, "y": "m"}, "expected text"),
        ({"x": "degC", "y": "K"}, "not proportional.*kelvin"),
        ({"x": "dB", "y": ""}, "not proportional"),
        ([("x", "m")], "expected name -> unit"),
    ],
)
def test_wrong_units_are_named(given_units: dict, said: str) -> None:
    with pytest.raises(InputError, match=said):
        reduction(read_units(given_units, ["x"], "y"), torch.ones(3, 1))


def test_without_pint_the_message_says_how_to_install_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pint", None)
    with pytest.raises(MissingDependencyError, match=r"edgewise\[units\]"):
        units("m")
