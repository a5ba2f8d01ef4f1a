"""What a curve's formula is sought for: its samples, the targets made of them, and their arguments."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction

import torch
from torch import Tensor

from edgewise.symbolic.curves_atoms import Kind
from edgewise.symbolic.curves_fit import Models, Targets
from edgewise.symbolic.outer import (
    IDENTITY,
    INVERSE,
    INVERSE_SQUARE,
    LOG,
    ROOT,
    SQUARE,
    Outer,
)

_SAMPLES = 200
_OUTER = (IDENTITY, INVERSE, SQUARE, LOG, ROOT, INVERSE_SQUARE)
_EXPONENTS = (Fraction(1), Fraction(2), Fraction(-1), Fraction(1, 2))


@dataclass(frozen=True)
class Curve:
    """Sorted samples: z, y, w (n,), weights of sum 1; y has a weighted spread of 1."""

    z: Tensor
    y: Tensor
    w: Tensor
    noise: float
    scale: float
    rows: float

    def rms(self, value: Tensor) -> Tensor:
        return (self.w * (value - self.y).square()).sum(-1).sqrt()


@dataclass(frozen=True)
class Task:
    """The targets (R, n) and where they come from: y = sign z^s T^-1(t / unit)."""

    targets: Targets
    unit: Tensor
    power: tuple[Fraction, ...]
    outer: tuple[Outer, ...]
    sign: tuple[float, ...]


@dataclass(frozen=True)
class Frame:
    """Kinds, and the argument v = (z^k - middle) / half of each k, on the samples and in words."""

    kinds: tuple[Kind, ...]
    argument: dict[Fraction, Tensor]
    middle: dict[Fraction, float]
    half: dict[Fraction, float]

    def few(self, chosen: Tensor) -> dict[Fraction, Tensor]:
        return {k: v[chosen] for k, v in self.argument.items()}


@dataclass(frozen=True)
class Found:
    """One fitted model (a batch of one) and the rms error of its y."""

    error: float
    model: Models
    frame: Frame


def reduced(z: Tensor, y: Tensor, w: Tensor, noise: float) -> Curve:
    """At most 200 samples: evenly chosen ones, or with noise the means of as many bins."""
    order = z.argsort()
    z, y, w = z[order], y[order], w[order]
    N = len(z)
    if N > _SAMPLES and noise > 0:
        bins = torch.arange(N) * _SAMPLES // N
        total = torch.zeros(_SAMPLES, dtype=torch.float64).index_add(0, bins, w)
        z = torch.zeros_like(total).index_add(0, bins, w * z) / total
        y = torch.zeros_like(total).index_add(0, bins, w * y) / total
        w = total
    elif N > _SAMPLES:
        few = torch.linspace(0, N - 1, _SAMPLES).round().long()
        z, y, w = z[few], y[few], w[few]
    scale = float(z.abs().max())
    return Curve(z / scale, y, w / w.sum(), noise, scale, float(max(N, len(z))))


def task_of(curve: Curve, prefactors: Sequence[float | Fraction]) -> Task | None:
    """y / z^s through every outer function that its sign allows; None where z allows no s."""
    t, w, units, powers, outers, signs = [], [], [], [], [], []
    for s in map(lambda p: Fraction(p).limit_denominator(12), prefactors):
        if (s.denominator != 1 and not bool((curve.z > 0).all())) or (
            s < 0 and not bool((curve.z != 0).all())
        ):
            continue
        factor = curve.z ** float(s)
        h = curve.y / factor
        level = 3 * curve.noise * math.sqrt(len(curve.z) / curve.rows) / factor.abs()
        for outer in _OUTER:
            one_sign = outer is not IDENTITY
            sign = -1.0 if one_sign and float((curve.w * factor.abs() * h).sum()) < 0 else 1.0
            u = sign * h
            usable = u > level
            if not one_sign:
                usable = torch.isfinite(u)
            elif not bool((usable | (u.abs() <= 2 * level)).all()) or float(usable.sum()) < 4:
                continue
            safe = torch.where(usable, u, 1.0)
            weight = torch.where(usable, curve.w * (factor / outer.slope(safe)).square(), 0.0)
            if not bool((usable & (weight > 0)).any()):
                continue
            total = float(weight.sum())
            units.append(math.sqrt(total))
            t.append(outer.forward(safe) * units[-1])
            w.append(weight / total)
            powers.append(s)
            outers.append(outer)
            signs.append(sign)
    if not t:
        return None
    targets = Targets(torch.stack(t), torch.stack(w))
    return Task(targets, torch.tensor(units), tuple(powers), tuple(outers), tuple(signs))


def frame_of(curve: Curve, kinds: tuple[Kind, ...], centred: bool) -> Frame:
    argument, middle, half = {}, {}, {}
    for k in exponents(curve.z):
        v = curve.z ** float(k)
        low, high = float(v.min()), float(v.max())
        middle[k], half[k] = ((low + high) / 2, (high - low) / 2) if centred else (0.0, 1.0)
        argument[k] = (v - middle[k]) / half[k]
    return Frame(kinds, argument, middle, half)


def exponents(z: Tensor) -> tuple[Fraction, ...]:
    """k of the arguments z^k: with both signs of z, or one alone."""
    return _EXPONENTS if bool((z > 0).all()) else _EXPONENTS[:2]
