"""MathML of formulas: well formed, nothing lost, names harmless."""

import xml.etree.ElementTree as ET

import pytest

from edgewise.symbolic import Formula

NAMES = ("x", "y_1", "planet mass", "theta")


def shown(text: str, names: tuple[str, ...] = NAMES) -> str:
    """The characters that a reader sees, in order, without spaces and invisible operators."""
    root = ET.fromstring(f"<p>{Formula(text, names).mathml()}</p>")
    return "".join(root.itertext()).translate({0x2061: None, 0x2062: None, 10: None})


@pytest.mark.parametrize(
    ("text", "seen"),
    [
        ("2.5*x + 1", "y=2.5x+1"),
        ("-x - y_1", "y=−x−y1"),
        ("x - 0.25", "y=x−0.25"),
        ("-0.25", "y=−0.25"),
        ("1.5e-7*x", "y=1.5×10−7x"),
        ("2/3", "y=23"),  # one above the other
        ("x*y_1", "y=x⋅y1"),
        ("2*x*(x + y_1)", "y=2x⋅(x+y1)"),
        ("-x*theta*(x + y_1)", "y=−θ⋅x⋅(x+y1)"),
        ("(x + 1)^2", "y=(x+1)2"),
        ("(-3.5)^x", "y=(−3.5)x"),
        ("x^(3/2)", "y=x3/2"),
        ("2.5*`planet mass`", "y=2.5⋅planet mass"),
        ("sin(x)^2", "y=sin2(x)"),
        ("exp(-x^2)", "y=e−x2"),
        ("exp(1/x)", "y=exp(1x)"),
        ("abs(x)", "y=|x|"),
        ("sqrt(x + 1)", "y=x+1"),
        ("1/(x + 1)", "y=1x+1"),
        ("log(`planet mass`)", "y=log(planet mass)"),
        ("pi*x", "y=π⋅x"),
        ("Max(x, y_1)", "y=max(x,y1)"),
    ],
)
def test_what_is_seen(text, seen):
    assert shown(text) == seen


def test_terms_can_break_the_line():
    assert Formula("x + sin(y_1) - 3", NAMES).mathml().count("<math ") == 3


def test_rounds_to_what_the_error_leaves():
    from edgewise.symbolic import Constant

    formula = Formula("2.51234*x", ("x",), constants=(Constant(2.51234, 0.03),))
    assert ">2.512<" in formula.mathml()


def test_names_are_escaped():
    name = '<script>alert("&")</script>'
    formula = Formula(f"`{name}`^2", (name,), output=name)
    assert "<script" not in formula.mathml()
    assert "".join(ET.fromstring(f"<p>{formula.mathml()}</p>").itertext()).count(name) == 2
