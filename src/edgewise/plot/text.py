"""Names and short formulas as they are written into pictures; pure text, no drawing."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence

_SUBSCRIPTED = re.compile(r"([A-Za-z])_([A-Za-z0-9]{1,4})")
_NARROW, _WIDE = set("iljtfrI.,:;'|!()[]{} "), set("mwMW@%")


def shorten(text: str, length: int) -> str:
    """The text itself, or its beginning with an ellipsis, at most ``length`` characters."""
    return text if len(text) <= length else text[: length - 1].rstrip() + "…"


def text_width(text: str, size: float) -> float:
    """A careful estimate, in inches, of the width of ``text`` at ``size`` points."""
    ems = 0.0
    for letter in text:
        if unicodedata.east_asian_width(letter) in "WF":
            ems += 1.0
        elif letter in _NARROW:
            ems += 0.42
        elif letter in _WIDE:
            ems += 1.0
        else:
            ems += 0.73 if letter.isupper() else 0.63
    return ems * size / 72


def display_name(name: str) -> tuple[str, bool]:
    """What to write for a variable's name, and whether it is mathtext.

    A letter with a short subscript ("x_1") becomes mathematics; so does text that its author has
    put between dollars and that mathtext understands. All else stands as it is, letter by letter.
    """
    if match := _SUBSCRIPTED.fullmatch(name):
        letter, index = match.groups()
        return (f"${letter}_{{{index}}}$" if index.isdigit() or len(index) == 1
                else rf"${letter}_{{\mathrm{{{index}}}}}$"), True  # fmt: skip
    if len(name) > 2 and name[0] == name[-1] == "$" and _is_mathtext(name):
        return name, True
    return name, False


def _is_mathtext(text: str) -> bool:
    from matplotlib.mathtext import MathTextParser

    try:
        MathTextParser("path").parse(text)
    except ValueError:
        return False
    return True


def number(value: float, digits: int = 3) -> str:
    """A number in few characters, with a true minus sign: "−0.25", "1.2e−09"."""
    return f"{value:.{digits}g}".replace("-", "−")


def _signed(value: float) -> str:
    return f"− {number(-value)}" if value < 0 else f"+ {number(value)}"


_ARGUMENT = re.compile(r"(?<![A-Za-z])x(?![A-Za-z])")
_RAISED = str.maketrans("0123456789-−", "⁰¹²³⁴⁵⁶⁷⁸⁹⁻⁻")


def raised(text: str) -> str:
    """Whole exponents set high: "x^2" becomes "x²"; others stay as they are."""
    return re.sub(r"\^([-−]?\d+)(?![\d.])", lambda found: found[1].translate(_RAISED), text)


def symbolic_text(name: str, affine: Sequence[float]) -> str:
    """c f(a x + b) + d in few characters, parts that do nothing left out.

    ``name`` is a primitive's: "sin" becomes sin(2x + 1), "x^2" becomes (2x + 1)².
    """
    a, b, c, d = (float(v) for v in affine)
    inner = {1.0: "x", -1.0: "−x"}.get(a, f"{number(a)}x")
    if b != 0:
        positive_first = a < 0 < b
        inner = (
            f"{number(b)} {inner.replace('−', '− ')}"
            if positive_first
            else (f"{inner} {_signed(b)}")
        )
    bare = inner == "x" or (name == "x" and c == 1)
    if _ARGUMENT.search(name):
        value = name.replace("(x)", f"({inner})")
        value = _ARGUMENT.sub(inner if bare else f"({inner})", value) if value == name else value
    else:
        value = f"{name}({inner})"
    if c == -1:
        value = f"−{value}"
    elif c != 1:
        value = f"{number(c)} {value}"
    return raised(f"{value} {_signed(d)}" if d != 0 else value)
