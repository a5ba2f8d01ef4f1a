"""The things that a network's picture is made of, as plain values in inches."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

from edgewise.plot.text import text_width

Point = tuple[float, float]
Edge = tuple[int, int, int]
Lines = tuple[tuple[Point, ...], ...]

LINE = 1.3  # height of a text line, in font sizes
TILT = math.sqrt(0.5)  # cos 45 degrees = sin 45 degrees


@dataclass(frozen=True)
class Rect:
    """The rectangle [x, x + w] x [y, y + h]."""

    x: float
    y: float
    w: float
    h: float

    @property
    def corners(self) -> tuple[Point, ...]:
        right, top = self.x + self.w, self.y + self.h
        return (self.x, self.y), (right, self.y), (right, top), (self.x, top)


@dataclass(frozen=True)
class Node:
    """A dot or circle; kind is "input", "sum", "part" (a sum that enters a product), "product"."""

    x: float
    y: float
    radius: float
    kind: str

    @property
    def corners(self) -> tuple[Point, ...]:
        return Rect(self.x - self.radius, self.y - self.radius,
                    2 * self.radius, 2 * self.radius).corners  # fmt: skip


@dataclass(frozen=True)
class Label:
    """Text at an anchor (x, y), ``angle`` 0 or 45 degrees, ``size`` in points."""

    text: str
    x: float
    y: float
    size: float
    angle: int = 0
    horizontal: str = "center"
    vertical: str = "bottom"

    @property
    def corners(self) -> tuple[Point, ...]:
        """The four corners of the (rotated) text, with estimated width."""
        w, h = text_width(self.text, self.size), LINE * self.size / 72
        left = {"left": 0.0, "center": -w / 2, "right": -w}[self.horizontal]
        low = {"bottom": 0.0, "center": -h / 2, "top": -h}[self.vertical]
        c, s = (TILT, TILT) if self.angle == 45 else (1.0, 0.0)
        flat = Rect(left, low, w, h).corners
        return tuple((self.x + c * u - s * v, self.y + s * u + c * v) for u, v in flat)


@dataclass(frozen=True)
class Box:
    """One edge: its frame, the caption below it, the lines from its input and to its sum."""

    frame: Rect
    caption: Label | None
    incoming: tuple[Point, ...]
    outgoing: tuple[Point, ...]


@dataclass(frozen=True)
class Layout:
    """The whole picture; ``extent`` is the canvas, and everything lies in it.

    nodes[level, k] are the values that enter layer ``level`` (the last level: the outputs),
    sums[l, j] where the edges of layer l end, links[level, k] the lines from sums to a node above.
    """

    extent: Rect
    nodes: Mapping[tuple[int, int], Node]
    sums: Mapping[tuple[int, int], Node]
    boxes: Mapping[Edge, Box]
    links: Mapping[tuple[int, int], Lines]
    labels: tuple[Label, ...]
