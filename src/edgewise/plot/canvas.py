"""Figures that belong to nobody but their owner: no pyplot, no global state. Loads matplotlib."""

from __future__ import annotations

import io
import unicodedata
from functools import cache
from typing import TYPE_CHECKING, Any

from matplotlib import rcParams
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.layout_engine import ConstrainedLayoutEngine

if TYPE_CHECKING:
    from edgewise.nn import KANLayer

NUMERIC = "#1a1a1a"
SYMBOLIC = "#c8102e"
BOTH = "#7b2d8b"
DATA = "#8aa9c8"
GREY = "#8c8c8c"
BLUE = "#1f5fa8"


def colour_of(layer: KANLayer, i: int, j: int) -> str:
    """Numeric edges are black, symbolic ones red, those with both parts purple."""
    if layer.symbolic_code[j, i] == 0:
        return NUMERIC
    return SYMBOLIC if layer.mask[j, i] == 0 else BOTH


# Fonts with the letters of East Asia, as systems ship them.
_EAST_ASIAN = (
    "Noto Sans CJK SC", "Noto Sans CJK JP", "Noto Sans CJK KR", "Source Han Sans SC",
    "Microsoft YaHei", "SimHei", "PingFang SC", "Hiragino Sans GB", "Yu Gothic", "MS Gothic",
    "Hiragino Sans", "Malgun Gothic", "Apple SD Gothic Neo", "WenQuanYi Zen Hei",
    "WenQuanYi Micro Hei", "Arial Unicode MS",
)  # fmt: skip


@cache
def _east_asian_fonts() -> tuple[str, ...]:
    from matplotlib.font_manager import fontManager

    installed = set(fontManager.get_font_names())
    return tuple(name for name in _EAST_ASIAN if name in installed)


def fonts_for(text: str) -> list[str]:
    """The families to write ``text`` in: the usual one, and behind it those that know its letters.

    Where none is installed matplotlib warns of the missing glyphs and draws empty boxes.
    """
    families = list(rcParams["font.family"])
    if any(unicodedata.east_asian_width(letter) in "WF" for letter in text):
        families += _east_asian_fonts()
    return families


class Picture(Figure):
    """A matplotlib Figure that a notebook shows by itself, whether or not pyplot was imported."""

    def _repr_png_(self) -> tuple[bytes, dict[str, Any]]:
        memory = io.BytesIO()
        self.savefig(memory, format="png", dpi=200)
        width, height = self.get_size_inches()
        return memory.getvalue(), {"width": int(100 * width), "height": int(100 * height)}


def new_figure(width: float, height: float, *, constrained: bool = False) -> Figure:
    """An empty white figure, in inches, apart from pyplot and from any style that is set there."""
    fig = Picture(figsize=(width, height), facecolor="white")
    engine = ConstrainedLayoutEngine(w_pad=0.09, h_pad=0.09) if constrained else "none"
    fig.set_layout_engine(engine)  # type: ignore[arg-type]
    return fig


def axes_or_new(ax: Axes | None, width: float = 5.2, height: float = 3.8) -> Axes:
    """The axes that came, or those of a new figure."""
    if ax is not None:
        return ax
    axes = new_figure(width, height, constrained=True).add_subplot()
    axes.spines[["top", "right"]].set_visible(False)
    return axes
