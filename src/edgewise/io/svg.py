"""Figures as SVG: a file of its own, or an element of a web page in the page's colours."""

from __future__ import annotations

import html
import io
import re
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

# Colours of edgewise.plot -> CSS variables of the page; the page sets them for light and dark.
_COLOURS = {
    "#000000": "var(--ink)",
    "#1a1a1a": "var(--ink)",
    "#ffffff": "var(--paper)",
    "#c8102e": "var(--accent)",
    "#1f5fa8": "var(--strong)",
    "#8aa9c8": "var(--soft)",
    "#8c8c8c": "var(--grey)",
    "#b0b0b0": "var(--grey)",
    "#cccccc": "var(--grey)",
}
_MISSING = r"Glyph .* missing from"
_NOT_XML = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\ufffe\uffff]")


@contextmanager
def any_script() -> Iterator[None]:
    """No warning that matplotlib's font lacks a glyph: `svg` then leaves fonts to the viewer."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", _MISSING)
        yield


def svg(figure: Any, salt: str = "edgewise") -> str:
    """The figure as an SVG document: the same for the same figure, letters drawn as outlines.

    Where matplotlib's font lacks a letter, all text is left to the viewer's fonts.
    """
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        text = _saved(figure, salt, "path")
    lacking = [w for w in caught if re.match(_MISSING, str(w.message))]
    if lacking:
        with any_script():
            text = _saved(figure, salt, "none")
    return _NOT_XML.sub("", re.sub(r"<!--.*?-->\s*", "", text, flags=re.DOTALL))


def _saved(figure: Any, salt: str, letters: str) -> str:
    from matplotlib import rc_context

    memory = io.StringIO()
    nothing = dict.fromkeys(("Date", "Creator", "Format", "Type"))
    with rc_context({"svg.hashsalt": salt, "svg.fonttype": letters}):
        figure.savefig(memory, format="svg", metadata=nothing, bbox_inches="tight")
    return memory.getvalue()


def inline_svg(figure: Any, prefix: str, description: str) -> str:
    """The <svg> element of a figure, with ids that start with prefix and no style of its own.

    description: what a screen reader says.
    """
    text = svg(figure, prefix)
    text = text[text.index("<svg") :]
    for element in ("metadata", "style"):
        text = re.sub(rf"<{element}\b.*?</{element}>", "", text, flags=re.DOTALL)
    text = re.sub(r'\bid="', f'id="{prefix}-', text)
    text = re.sub(r'href="#', f'href="#{prefix}-', text)
    text = re.sub(r"url\(#", f"url(#{prefix}-", text)
    text = re.sub("|".join(_COLOURS), lambda found: _COLOURS[found[0]], text)
    label = html.escape(description, quote=True)
    return text.replace("<svg", f'<svg role="img" aria-label="{label}"', 1)
