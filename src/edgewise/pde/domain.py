"""Where an equation holds: boxes with named coordinates, their faces, and given points."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence

import torch
from torch import Tensor

from edgewise.bases.base import interval
from edgewise.errors import InputError, ShapeError


class Region(ABC):
    """Something that points can be drawn from: the same ones for the same seed."""

    names: tuple[str, ...]

    @abstractmethod
    def sample(self, n: int, seed: int = 0) -> Tensor:
        """n points (n, d) in float64, d = len(names); extra columns are values at the points."""

    @abstractmethod
    def within(self, **ranges: tuple[float, float]) -> Region | None:
        """The part with the named coordinates in [lower, upper]; None if there is none."""


class Box(Region):
    """The product of named intervals, in their order: Box(t=(0, 1), x=(-1, 1)).

    Points are quasi-random, from Owen's scrambling of Sobol's sequence. fixed: coordinates that have
    one value each, for a face; a face without free coordinates is one point.
    """

    def __init__(
        self, fixed: dict[str, float] | None = None, /, **ranges: tuple[float, float]
    ) -> None:
        if not ranges:
            raise InputError("A Box needs a named interval a coordinate, as Box(x=(-1, 1)).")
        self.names = tuple(ranges)
        self.ranges = {name: interval(limits) for name, limits in ranges.items()}
        self.fixed = dict(fixed or {})
        for name, value in self.fixed.items():
            lower, upper = self.range_of(name)
            if not lower <= value <= upper:
                raise InputError(f"{name} = {value} is outside the box: [{lower}, {upper}].")

    def range_of(self, name: str) -> tuple[float, float]:
        if name not in self.ranges:
            raise InputError(f"The box has no coordinate {name!r}, but {list(self.names)}.")
        return self.ranges[name]

    def sample(self, n: int, seed: int = 0) -> Tensor:
        free = [name for name in self.names if name not in self.fixed]
        unit = iter(_sobol(n if free else 1, max(len(free), 1), seed).T)
        columns = []
        for name in self.names:
            if name in self.fixed:
                count = n if free else 1
                columns.append(torch.full((count,), self.fixed[name], dtype=torch.float64))
            else:
                lower, upper = self.ranges[name]
                columns.append(lower + (upper - lower) * next(unit))
        return torch.stack(columns, dim=1)

    def corners(self) -> Tensor:
        """(2, d): all lower ends, all upper ends."""
        return torch.tensor(list(zip(*self.ranges.values(), strict=True)), dtype=torch.float64)

    def at(self, **values: float) -> Box:
        """The face with these coordinates fixed: box.at(t=0)."""
        return Box({**self.fixed, **values}, **self.ranges)

    def boundary(self, *names: str) -> Union:
        """Both faces of the named coordinates, or of all that are not fixed."""
        chosen = names or [name for name in self.names if name not in self.fixed]
        return Union([self.at(**{name: end}) for name in chosen for end in self.range_of(name)])

    def within(self, **ranges: tuple[float, float]) -> Box | None:
        kept = dict(self.ranges)
        for name, limits in ranges.items():
            (lower, upper), (first, last) = interval(limits), self.range_of(name)
            kept[name] = max(lower, first), min(upper, last)
            if kept[name][0] >= kept[name][1]:
                return None
            if not kept[name][0] <= self.fixed.get(name, kept[name][0]) <= kept[name][1]:
                return None
        return Box(self.fixed, **kept)

    def __repr__(self) -> str:
        parts = [f"{name}={self.fixed.get(name, limits)}" for name, limits in self.ranges.items()]
        return f"Box({', '.join(parts)})"


class Union(Region):
    """Several regions, an equal share of the points each."""

    def __init__(self, parts: Sequence[Region]) -> None:
        self.parts = tuple(parts)
        if not self.parts:
            raise InputError("A union needs a region at least.")
        self.names = self.parts[0].names
        if any(part.names != self.names for part in self.parts):
            raise InputError("The parts of a union need the same coordinates in the same order.")

    def sample(self, n: int, seed: int = 0) -> Tensor:
        share = -(-n // len(self.parts))
        return torch.cat([part.sample(share, seed + k) for k, part in enumerate(self.parts)])

    def within(self, **ranges: tuple[float, float]) -> Union | None:
        parts = [kept for part in self.parts if (kept := part.within(**ranges)) is not None]
        return Union(parts) if parts else None


class Points(Region):
    """Given points x (n, d), always all of them; ``values`` (n, c) come along as further columns.

    The equation of a condition on measured values y is ``lambda u, p: u.value - p[:, -1]``.
    """

    def __init__(self, names: Sequence[str], x: Tensor, values: Tensor | None = None) -> None:
        self.names = tuple(names)
        if x.ndim != 2 or x.shape[1] != len(self.names):
            raise ShapeError(f"x has shape {tuple(x.shape)}; expected (n, {len(self.names)}).")
        columns = [x] if values is None else [x, values.reshape(len(x), -1)]
        self.rows = torch.cat(columns, dim=1).double()

    def sample(self, n: int, seed: int = 0) -> Tensor:
        return self.rows

    def within(self, **ranges: tuple[float, float]) -> Points | None:
        inside = torch.ones(len(self.rows), dtype=torch.bool)
        for name, (lower, upper) in ranges.items():
            column = self.rows[:, self.names.index(name)]
            inside &= (lower <= column) & (column <= upper)
        rows, d = self.rows[inside], len(self.names)
        return Points(self.names, rows[:, :d], rows[:, d:]) if len(rows) else None


def _sobol(n: int, d: int, seed: int) -> Tensor:
    return torch.quasirandom.SobolEngine(d, scramble=True, seed=seed).draw(n, dtype=torch.float64)
