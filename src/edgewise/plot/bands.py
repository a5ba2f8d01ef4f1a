"""The boxes of one layer, in rows laid like bricks, and the lanes that lines take between them."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from edgewise.plot.shapes import LINE, Box, Edge, Label, Node, Point, Rect
from edgewise.plot.text import text_width

ROW = 40  # boxes side by side before another row begins
CAPTION = 6.5  # font size of what stands below a box
_CLEAR = 0.035  # between a frame and its caption
_SMALLEST = 4.5  # captions that would need a smaller font are left out


def rows(n_boxes: int) -> int:
    return max(1, math.ceil(n_boxes / ROW))


def columns(n_boxes: int) -> int:
    return max(1, math.ceil(n_boxes / rows(n_boxes)))


@dataclass(frozen=True)
class Band:
    """Boxes of the edges ``order`` over the width [0, W], the lowest row standing on y."""

    order: tuple[Edge, ...]
    captions: Mapping[Edge, str]
    W: float
    y: float

    @property
    def rows(self) -> int:
        return rows(len(self.order))

    @property
    def pitch(self) -> float:
        """From box to box; every second row is shifted by half of it."""
        return self.W / (columns(len(self.order)) + (0.5 if self.rows > 1 else 0.0))

    @property
    def side(self) -> float:
        return min(0.66 * self.pitch, 0.8)

    @property
    def foot(self) -> float:
        """Height kept free below each frame for the captions."""
        captioned = any(edge in self.captions for edge in self.order)
        return LINE * CAPTION / 72 + _CLEAR if captioned else 0.0

    @property
    def cell(self) -> float:
        return self.foot + self.side

    @property
    def step(self) -> float:
        return self.cell + max(0.3 * self.side, 0.1)

    @property
    def height(self) -> float:
        return (self.rows - 1) * self.step + self.cell

    def boxes(self, starts: Mapping[int, Node], ends: Mapping[int, Node]) -> dict[Edge, Box]:
        """A box for each edge (l, i, j), tied to its input starts[i] and its sum ends[j]."""
        return {
            edge: self._box(edge, k, starts[edge[1]], ends[edge[2]])
            for k, edge in enumerate(self.order)
        }

    def _box(self, edge: Edge, k: int, start: Node, end: Node) -> Box:
        # Up the rows first, then to the next column: neighbours stay neighbours.
        column, row = divmod(k, self.rows)
        x = (column + 0.5) * self.pitch + (0.5 * self.pitch if row % 2 else 0.0)
        low = self.y + row * self.step
        frame = Rect(x - self.side / 2, low + self.foot, self.side, self.side)
        caption = self._caption(self.captions[edge], frame) if edge in self.captions else None
        bottom = low if caption else frame.y
        below = self._through(x, row, range(row))
        above = self._through(x, row, range(row + 1, self.rows))
        return Box(
            frame,
            caption,
            incoming=((start.x, start.y), *below, (x, bottom)),
            outgoing=((x, frame.y + frame.h), *above, (end.x, end.y)),
        )

    def _caption(self, text: str, frame: Rect) -> Label | None:
        # In several rows the space beside a frame belongs to the lines.
        room = self.side if self.rows > 1 else self.pitch - 0.05
        size = min(CAPTION, CAPTION * room / text_width(text, CAPTION))
        if size < _SMALLEST:
            return None
        return Label(text, frame.x + frame.w / 2, frame.y - _CLEAR, size, vertical="top")

    def _through(self, x: float, row: int, others: Iterable[int]) -> Sequence[Point]:
        """Upwards through the gaps of ``others``, for the line of the box at x in ``row``.

        Takes the gap straight above or below, or the one to its left where a box is in the way:
        so each gap serves a box of each other row at most once, and each row has its own lane.
        """
        points: list[Point] = []
        for through in others:
            gap = x if (row - through) % 2 else x - 0.5 * self.pitch
            rank = row if row < through else row - 1
            lane = gap + (self.pitch - self.side) * ((rank + 1) / self.rows - 0.5)
            low = self.y + through * self.step
            points += [(lane, low), (lane, low + self.cell)]
        return points
