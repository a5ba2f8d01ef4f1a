"""Figures as SVG inside a web page, in the page's own colours."""

from __future__ import annotations

import html
import io
import re
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


def inline_svg(figure: Any, prefix: str, description: str) -> str:
    """The <svg> element of a matplotlib figure: no prolog, no date, ids that start with prefix.

    description: what a screen reader says.
    """
    from matplotlib import rc_context

    memory = io.StringIO()
    nothing = {"Date": None, "Creator": None, "Format": None, "Type": None}
    with rc_context({"svg.hashsalt": prefix, "svg.fonttype": "path"}):
        figure.savefig(memory, format="svg", metadata=nothing, bbox_inches="tight")
    text = memory.getvalue()
    text = text[text.index("<svg") :]
    text = re.sub(r"<metadata>.*?</metadata>", "", text, flags=re.DOTALL)
    text = re.sub(r"<!--.*?-->", "", text, flags=re.DOTALL)
    text = re.sub(r'\bid="', f'id="{prefix}-', text)
    text = re.sub(r'href="#', f'href="#{prefix}-', text)
    text = re.sub(r"url\(#", f"url(#{prefix}-", text)
    text = re.sub("|".join(_COLOURS), lambda found: _COLOURS[found[0]], text)
    label = html.escape(description, quote=True)
    return text.replace("<svg", f'<svg role="img" aria-label="{label}"', 1)
