"""Names and formulas as pictures write them."""

import pytest

from edgewise.plot.text import display_name, number, raised, shorten, symbolic_text, text_width


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        ("x_1", ("$x_{1}$", True)),
        ("v_x", ("$v_{x}$", True)),
        ("T_max", (r"$T_{\mathrm{max}}$", True)),
        (r"$\alpha$", (r"$\alpha$", True)),
        ("period_years", ("period_years", False)),
        ("$bad", ("$bad", False)),
        (r"$\notacommand$", (r"$\notacommand$", False)),
        ("a^b{}%&#\\", ("a^b{}%&#\\", False)),
        ("x1", ("x1", False)),
        ("", ("", False)),
    ],
)
def test_names_are_shown_as_written_but_for_subscripts(name, shown):
    assert display_name(name) == shown


@pytest.mark.parametrize(
    ("name", "affine", "text"),
    [
        ("sin", (1, 0, 1, 0), "sin(x)"),
        ("sin", (-3, 0.5, 2, -1), "2 sin(0.5 − 3x) − 1"),
        ("exp", (-1, 0, -1, 0), "−exp(−x)"),
        ("x", (1, 0, 1, 0), "x"),
        ("x", (2, 1, 1, 0), "2x + 1"),
        ("x", (2, 1, 3, 0), "3 (2x + 1)"),
        ("x^2", (1, -1, 1, 0), "(x − 1)²"),
        ("1/x^2", (2, 0, 1, 0.25), "1/(2x)² + 0.25"),
        ("1/sqrt(x)", (-1, 1, 1, 0), "1/sqrt(1 − x)"),
        ("x^0.5", (1, 0, 1, 0), "x^0.5"),
    ],
)
def test_symbolic_forms_leave_out_what_does_nothing(name, affine, text):
    assert symbolic_text(name, affine) == text


def test_short_things():
    assert shorten("abcdef", 4) == "abc…"
    assert shorten("abc", 4) == "abc"
    assert number(-1.5e-9) == "−1.5e−09"
    assert raised("x^10 + x^-2 + x^1.5") == "x¹⁰ + x⁻² + x^1.5"


@pytest.mark.parametrize("text", ["orbit_radius", "WWW", "illicit", "T_0", "mass (kg)", "温度"])
def test_estimated_width_holds_the_text(text):
    from matplotlib.font_manager import FontProperties
    from matplotlib.textpath import TextPath

    if not text.isascii():
        assert text_width(text, 10) >= 2 * 10 / 72
        return
    path = TextPath((0, 0), text, size=10, prop=FontProperties(family="DejaVu Sans"))
    assert path.get_extents().width / 72 <= text_width(text, 10)
