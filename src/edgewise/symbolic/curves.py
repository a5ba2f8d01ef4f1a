"""Short formulas for samples of a function of one variable.

The samples y(z) are divided by a power z^s and sent through an outer function T (1/y, y^2, log y,
...); for all of these targets at once functions, sums, products, quotients and compositions of two
functions are scanned, the best starts fitted, and what comes out is ranked in y itself by its
description length. Weights follow: w/T'^2, so that every target's squares are errors of y.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from fractions import Fraction

import sympy
import torch
from sympy import Float
from torch import Tensor

from edgewise.symbolic.curves_atoms import Table, nested_tables, pair_table, single_table
from edgewise.symbolic.curves_fit import Models, Targets, fit
from edgewise.symbolic.curves_rank import BITS, EXACT, ranked, short_list
from edgewise.symbolic.curves_scan import scan_nested, scan_pairs, scan_single, table_values
from edgewise.symbolic.curves_task import (
    Curve,
    Found,
    Frame,
    Task,
    exponents,
    frame_of,
    reduced,
    task_of,
)
from edgewise.symbolic.direct import Proposal
from edgewise.symbolic.outer import IDENTITY
from edgewise.symbolic.primitives import Primitive

_FEW = 64
# shape -> outer function -> starts that are fitted for each of its targets
_PAIRS = {
    "sum": {"y": 300, "1/y": 60, "y^2": 60, "log y": 60, "sqrt y": 30, "1/y^2": 30},
    "product": {"y": 300, "1/y": 40, "y^2": 40},
    "ratio": {"y": 800},
}


@torch.no_grad()
def explain(
    z: Tensor,
    y: Tensor,
    variable: sympy.Symbol,
    *,
    weight: Tensor | None = None,
    noise: float = 0.0,
    prefactors: Sequence[float | Fraction] = (0,),
    lib: Sequence[Primitive] | None = None,
    top: int = 6,
    expired: Callable[[], bool] = lambda: False,
) -> list[Proposal]:
    """Formulas for y(z), z (N,), y (N,), by description length, shortest first.

    weight: (N,) inverse variances up to a factor. noise: the weighted rms of what y holds of noise,
    in its unit; what is left below it needs no explanation. prefactors: y / z^s is tried for each s,
    where z allows it. lib: the functions to use, by default all of `suggest.library`; whole powers
    and square roots are always in use. ``expired`` ends the search early.

    A proposal's error is relative to the weighted spread of y. Constants are floats, fitted but not
    snapped. Formulas that are not finite on every sample are left out.
    """
    z, y = z.detach().double().flatten(), y.detach().double().flatten()
    w = torch.ones_like(y) if weight is None else weight.detach().double().flatten()
    w = w / w.sum()
    mean = (w * y).sum()
    spread = float((w * (y - mean).square()).sum().sqrt())
    if len(z) < 4 or float(z.max()) <= float(z.min()) or spread <= 1e-14 * float(y.abs().max()):
        return [Proposal(Float(float(mean)), 1.0 if spread else 0.0, "constant")]
    curve = reduced(z, y / spread, w, noise / spread)
    task = task_of(curve, prefactors)
    if task is None:
        return []
    found: list[Found] = []
    done = False
    for search in (_singles, _pairs, _nested):
        if expired():
            break
        for models, frame in search(curve, task, lib):
            found += short_list(curve, task, models, frame)
            # what was fitted without c_0 ends a round
            done = bool(found) and min(entry.error for entry in found) < _floor(curve)
            if expired() or (done and not models.offset):
                break
        if done:
            break
    return ranked(found, curve, task, variable, (z, y, w, spread), top)


def _floor(curve: Curve) -> float:
    """The error at which there is nothing left to explain."""
    bins = len(curve.z)
    left = curve.noise * math.sqrt(bins / curve.rows)
    return max(EXACT, left * (1 + 1 / math.sqrt(bins)))


def _few(curve: Curve) -> Tensor:
    """Numbers of the samples of the scans."""
    n = len(curve.z)
    return torch.linspace(0, n - 1, min(n, _FEW)).round().long()


def _some(targets: Targets, few: Tensor) -> Targets:
    """The targets on a part of the samples."""
    w = targets.w[:, few]
    total = w.sum(1, keepdim=True).clamp_min(1e-300)
    return Targets(targets.t[:, few], w / total)


def _searched(models: Models, frame: Frame, curve: Curve, task: Task) -> list[Models]:
    """Fits with fewer and fewer models left; the last ones with c_0 and without."""
    return _finished(_rough(models, frame, curve, task), frame, curve, task)


def _rough(models: Models, frame: Frame, curve: Curve, task: Task) -> Models:
    """The first steps of the fits, on few samples, with fewer and fewer models left."""
    few = _few(curve)
    some = _some(task.targets, few)
    for steps, share in ((3, 3), (4, 4)):
        models = fit(models, frame.kinds, frame.few(few), some, steps)
        count = models.target.bincount(minlength=len(some.t))
        models = _least(models, (count / share).long().clamp_min(12), curve, frame)
    return models


def _finished(models: Models, frame: Frame, curve: Curve, task: Task) -> list[Models]:
    models = fit(models, frame.kinds, frame.argument, task.targets, 8)
    models = _least(models, torch.full((len(task.outer),), 8), curve, frame)
    without = replace(models, offset=False)
    return [models, fit(without, frame.kinds, frame.argument, task.targets, 8)]


def _shifted(models: Models, frame: Frame) -> Models:
    """The same with the shifts b of f and g free where they say something."""
    may = torch.tensor([kind.shiftable for kind in frame.kinds]).double()
    free = models.free.clone()
    free[:, 1], free[:, 3] = may[models.f], may[models.g]
    return replace(models, free=free, offset=True).rows(free[:, (1, 3)].any(1))


def _least(models: Models, kept: Tensor, curve: Curve, frame: Frame) -> Models:
    """The models of the shortest description, at most kept[r] of target r: an error is small sooner
    for some targets than for others."""
    unexplained = 0.5 * curve.rows * (models.loss + (curve.noise / 2) ** 2 + 1e-28).log2()
    costs = torch.tensor([kind.record.cost for kind in frame.kinds], dtype=torch.float64)
    written = models.free.sum(1) + costs[models.f]
    if models.shape != "single":
        written = written + costs[models.g]
    order = (unexplained + BITS * written).argsort(stable=True)
    order = order[torch.isfinite(models.loss[order])]
    place = torch.zeros_like(order)
    for r in models.target[order].unique().tolist():
        at = models.target[order] == r
        place[at] = torch.arange(int(at.sum()))
    return models.rows(order[place < kept[models.target[order]]])


Search = Iterator[tuple[Models, Frame]]


def _singles(curve: Curve, task: Task, lib: Sequence[Primitive] | None) -> Search:
    few = _few(curve)
    some = _some(task.targets, few)
    for centred in (False, True):
        table = single_table(lib, exponents(curve.z)) if centred else _pair_table(curve, lib)
        if not table.kinds:
            continue
        frame = frame_of(curve, table.kinds, centred)
        table, F = table_values(table, frame.few(few))
        for models in _searched(scan_single(table, F, some, 1000), frame, curve, task):
            yield models, frame


def _pair_table(curve: Curve, lib: Sequence[Primitive] | None) -> Table:
    return pair_table(lib, bool((curve.z > 0).all()))


def _pairs(curve: Curve, task: Task, lib: Sequence[Primitive] | None) -> Search:
    few = _few(curve)
    some = _some(task.targets, few)
    table = _pair_table(curve, lib)
    frame = frame_of(curve, table.kinds, False)
    table, F = table_values(table, frame.few(few))
    rough = []
    for shape, starts in _PAIRS.items():
        most = {r: starts[o.name] for r, o in enumerate(task.outer) if o.name in starts}
        models = scan_pairs(shape, table, F, some, most)
        models = _rough(models, frame, curve, task)
        rough.append(models)
        for fitted in _finished(models, frame, curve, task):
            yield fitted, frame
    for models in rough:
        plain = torch.tensor([outer is IDENTITY for outer in task.outer])[models.target]
        models = _shifted(models.rows(plain), frame)
        models = fit(models, frame.kinds, frame.few(few), some, 6)
        models = _least(models, torch.full((len(task.outer),), 8), curve, frame)
        for fitted in _finished(models, frame, curve, task):
            yield fitted, frame


def _nested(curve: Curve, task: Task, lib: Sequence[Primitive] | None) -> Search:
    few = _few(curve)
    some = _some(task.targets, few)
    inner, outer = nested_tables(lib, bool((curve.z > 0).all()))
    if not outer.kinds:
        return
    frame = frame_of(curve, (*inner.kinds, *outer.kinds), False)
    inner, F = table_values(inner, frame.few(few))
    plain = torch.tensor([r for r, o in enumerate(task.outer) if o is IDENTITY])
    models = scan_nested(inner, outer, F, some.rows(plain), 60)
    models = replace(models, target=plain[models.target])
    for fitted in _searched(models, frame, curve, task):
        yield fitted, frame
