"""A curve made by a primitive is recognised, whatever its affine map and units."""

import math

import pytest
import torch

from edgewise.symbolic.primitives import PRIMITIVES
from edgewise.symbolic.registry import add_symbolic
from edgewise.symbolic.suggest import library, suggest

NAMES = [record.name for record in library()]
# c f(a x + b) + d with a x + b inside the domain of every primitive on the range
INSIDE = {"arcsin": (-0.8, 0.8), "arctanh": (-0.9, 0.9), "arccosh": (1.2, 4.0), "tan": (-1.2, 1.2)}
WIDE = (0.4, 2.5)


def curve(name: str, rows: int = 300, scale: float = 1.0) -> tuple[torch.Tensor, torch.Tensor]:
    low, high = INSIDE.get(name, WIDE)
    generator = torch.Generator().manual_seed(3)
    u = low + (high - low) * torch.rand(rows, generator=generator, dtype=torch.float64)
    x = scale * (u - 0.7) / 1.3
    return x, 2.5 * PRIMITIVES[name].torch(u) - 0.4


@pytest.mark.parametrize("scale", [1.0, 1e-6, 1e9])
@pytest.mark.parametrize("name", [n for n in NAMES if n not in ("sgn", "abs")])
def test_the_primitive_of_a_curve_fits_to_rounding(name: str, scale: float) -> None:
    x, y = curve(name, scale=scale)
    found = suggest(x, y, [PRIMITIVES[name]])[0]
    assert found.error < 1e-12
    a, b, c, d = found.affine
    assert torch.allclose(c * PRIMITIVES[name].torch(a * x + b) + d, y, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("name", [n for n in NAMES if n not in ("sgn", "abs")])
def test_the_primitive_of_a_curve_is_among_the_first_of_the_whole_library(name: str) -> None:
    x, y = curve(name)
    names = [s.primitive.name for s in suggest(x, y, top=3)]
    assert name in names


def test_several_turns_of_a_sine_are_found() -> None:
    x = torch.linspace(-1, 1, 400, dtype=torch.float64)
    found = suggest(x, torch.sin(11.3 * x + 0.4))[0]
    assert found.primitive.name == "sin"
    assert abs(abs(found.affine[0]) - 11.3) < 1e-8


def test_a_small_curve_is_judged_relative_to_itself() -> None:
    x = torch.linspace(-1, 1, 200, dtype=torch.float64)
    found = suggest(x, 1e-9 * torch.sin(3 * x) + 5.0)[0]
    assert found.primitive.name == "sin"


def test_a_pole_inside_the_range_is_not_suggested() -> None:
    x = torch.linspace(-1, 1, 201, dtype=torch.float64)
    for suggestion in suggest(x, x**3 - x, [PRIMITIVES["1/x"], PRIMITIVES["log"]]):
        a, b, *_ = suggestion.affine
        assert bool(torch.isfinite(suggestion.primitive.torch(a * x + b)).all())


def test_a_flat_curve_is_the_constant_zero() -> None:
    x = torch.linspace(-1, 1, 50, dtype=torch.float64)
    (found,) = suggest(x, torch.full_like(x, 4.0))
    assert found.primitive.name == "0"
    assert found.affine[3] == 4.0


def test_users_functions_are_suggested() -> None:
    import sympy

    add_symbolic("softsign", lambda u: u / (1 + u.abs()), lambda e: e / (1 + sympy.Abs(e)))
    try:
        x = torch.linspace(-2, 2, 200, dtype=torch.float64)
        u = 1.4 * x + 0.3
        found = suggest(x, 3 * u / (1 + u.abs()))[0]
        assert found.primitive.name == "softsign"
        assert found.error < 1e-10
    finally:
        del PRIMITIVES["softsign"]


def test_suggestions_say_what_they_are() -> None:
    x, y = curve("exp")
    assert "exp" in str(suggest(x, y, [PRIMITIVES["exp"]])[0])
    assert math.isclose(suggest(x, y, [PRIMITIVES["exp"]])[0].r2, 1.0)
