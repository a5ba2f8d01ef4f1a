"""Short formulas for samples of a function of one variable.

The samples y(z) are divided by a power z^s and sent through an outer function T (1/y, y^2, log y,
...); for all of these targets at once functions, sums, products, quotients and compositions of two
functions are scanned, the best starts fitted, and what comes out is ranked in y itself by its
description length. Weights follow: w/T'^2, so that every target's squares are errors of y.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction

import sympy
import torch
from sympy import Expr, Float
from torch import Tensor

from edgewise.symbolic.curves_atoms import Kind, Table, nested_tables, pair_table, single_table
from edgewise.symbolic.curves_fit import Models, Targets, fit, predict
from edgewise.symbolic.curves_scan import scan_nested, scan_pairs, scan_single, table_values
from edgewise.symbolic.direct import Proposal
from edgewise.symbolic.evaluate import evaluate
from edgewise.symbolic.formula import complexity
from edgewise.symbolic.primitives import Primitive
from edgewise.symbolic.refit import refit

_SAMPLES, _FEW = 200, 64
_BITS = 5.0  # what a unit of complexity costs in the choice
_EXACT = 1e-9
_REFITTED = 3
# shape -> outer function -> starts that are fitted for each of its targets
_PAIRS = {
    "sum": {"y": 300, "1/y": 60, "y^2": 60, "log y": 60, "sqrt y": 30, "1/y^2": 30},
    "product": {"y": 300, "1/y": 40, "y^2": 40},
    "ratio": {"y": 800},
}
_EXPONENTS = (Fraction(1), Fraction(2), Fraction(-1), Fraction(1, 2))


@dataclass(frozen=True)
class _Outer:
    """T, its slope, its inverse on values and on expressions; for y of one sign only?"""

    name: str
    forward: Callable[[Tensor], Tensor]
    slope: Callable[[Tensor], Tensor]
    inverse: Callable[[Tensor], Tensor]
    expression: Callable[[Expr], Expr]
    one_sign: bool = True


_OUTERS = (
    _Outer("y", lambda y: y, torch.ones_like, lambda t: t, lambda e: e, False),
    _Outer(
        "1/y",
        torch.reciprocal,
        lambda y: y.square().reciprocal(),
        torch.reciprocal,
        lambda e: 1 / e,
    ),
    _Outer("y^2", torch.square, lambda y: 2 * y, torch.sqrt, sympy.sqrt),
    _Outer("log y", torch.log, torch.reciprocal, torch.exp, sympy.exp),
    _Outer("sqrt y", torch.sqrt, lambda y: y.rsqrt() / 2, torch.square, lambda e: e**2),
    _Outer(
        "1/y^2",
        lambda y: y.square().reciprocal(),
        lambda y: 2 * y.abs() ** -3,
        torch.rsqrt,
        lambda e: 1 / sympy.sqrt(e),
    ),
)


@dataclass(frozen=True)
class _Curve:
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
class _Task:
    """The targets (R, n) and where they come from: y = sign z^s T^-1(t / unit)."""

    targets: Targets
    unit: Tensor
    power: tuple[Fraction, ...]
    outer: tuple[_Outer, ...]
    sign: tuple[float, ...]


@dataclass(frozen=True)
class _Frame:
    """Kinds, and the argument v = (z^k - middle) / half of each k, on the samples and in words."""

    kinds: tuple[Kind, ...]
    argument: dict[Fraction, Tensor]
    middle: dict[Fraction, float]
    half: dict[Fraction, float]

    def few(self, chosen: Tensor) -> dict[Fraction, Tensor]:
        return {k: v[chosen] for k, v in self.argument.items()}


@dataclass(frozen=True)
class _Found:
    """One fitted model (a batch of one) and the rms error of its y."""

    error: float
    model: Models
    frame: _Frame


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
    curve = _reduced(z, y / spread, w, noise / spread)
    task = _task(curve, prefactors)
    if task is None:
        return []
    found: list[_Found] = []
    done = False
    for search in (_singles, _pairs, _nested):
        if expired():
            break
        for models, frame in search(curve, task, lib):
            found += _short_list(curve, task, models, frame)
            # what was fitted without c_0 ends a round
            done = bool(found) and min(entry.error for entry in found) < _floor(curve)
            if expired() or (done and not models.offset):
                break
        if done:
            break
    return _ranked(found, curve, task, variable, (z, y, w, spread), top)


def _floor(curve: _Curve) -> float:
    """The error at which there is nothing left to explain."""
    bins = len(curve.z)
    left = curve.noise * math.sqrt(bins / curve.rows)
    return max(_EXACT, left * (1 + 1 / math.sqrt(bins)))


def _reduced(z: Tensor, y: Tensor, w: Tensor, noise: float) -> _Curve:
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
    return _Curve(z / scale, y, w / w.sum(), noise, scale, float(max(N, len(z))))


def _task(curve: _Curve, prefactors: Sequence[float | Fraction]) -> _Task | None:
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
        for outer in _OUTERS:
            sign = -1.0 if outer.one_sign and float((curve.w * factor.abs() * h).sum()) < 0 else 1.0
            u = sign * h
            usable = u > level
            if not outer.one_sign:
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
    return _Task(targets, torch.tensor(units), tuple(powers), tuple(outers), tuple(signs))


def _frame(curve: _Curve, kinds: tuple[Kind, ...], centred: bool) -> _Frame:
    argument, middle, half = {}, {}, {}
    for k in _exponents(curve.z):
        v = curve.z ** float(k)
        low, high = float(v.min()), float(v.max())
        middle[k], half[k] = ((low + high) / 2, (high - low) / 2) if centred else (0.0, 1.0)
        argument[k] = (v - middle[k]) / half[k]
    return _Frame(kinds, argument, middle, half)


def _exponents(z: Tensor) -> tuple[Fraction, ...]:
    """k of the arguments z^k: with both signs of z, or one alone."""
    return _EXPONENTS if bool((z > 0).all()) else _EXPONENTS[:2]


def _few(curve: _Curve) -> Tensor:
    """Numbers of the samples of the scans."""
    n = len(curve.z)
    return torch.linspace(0, n - 1, min(n, _FEW)).round().long()


def _some(targets: Targets, few: Tensor) -> Targets:
    """The targets on a part of the samples."""
    w = targets.w[:, few]
    total = w.sum(1, keepdim=True).clamp_min(1e-300)
    return Targets(targets.t[:, few], w / total)


def _searched(models: Models, frame: _Frame, curve: _Curve, task: _Task) -> list[Models]:
    """Fits with fewer and fewer models left; the last ones with c_0 and without."""
    return _finished(_rough(models, frame, curve, task), frame, curve, task)


def _rough(models: Models, frame: _Frame, curve: _Curve, task: _Task) -> Models:
    """The first steps of the fits, on few samples, with fewer and fewer models left."""
    few = _few(curve)
    some = _some(task.targets, few)
    for steps, share in ((3, 3), (4, 4)):
        models = fit(models, frame.kinds, frame.few(few), some, steps)
        count = models.target.bincount(minlength=len(some.t))
        models = _least(models, (count / share).long().clamp_min(12), curve)
    return models


def _finished(models: Models, frame: _Frame, curve: _Curve, task: _Task) -> list[Models]:
    models = fit(models, frame.kinds, frame.argument, task.targets, 8)
    models = _least(models, torch.full((len(task.outer),), 8), curve)
    without = replace(models, offset=False)
    return [models, fit(without, frame.kinds, frame.argument, task.targets, 8)]


def _shifted(models: Models, frame: _Frame) -> Models:
    """The same with the shifts b of f and g free where they say something."""
    may = torch.tensor([kind.shiftable for kind in frame.kinds]).double()
    free = models.free.clone()
    free[:, 1], free[:, 3] = may[models.f], may[models.g]
    return replace(models, free=free, offset=True).rows(free[:, (1, 3)].any(1))


def _least(models: Models, kept: Tensor, curve: _Curve) -> Models:
    """The models of the shortest description, at most kept[r] of target r: an error is small sooner
    for some targets than for others."""
    unexplained = 0.5 * curve.rows * (models.loss + (curve.noise / 2) ** 2 + 1e-28).log2()
    order = (unexplained + _BITS * models.free.sum(1)).argsort(stable=True)
    order = order[torch.isfinite(models.loss[order])]
    place = torch.zeros_like(order)
    for r in models.target[order].unique().tolist():
        at = models.target[order] == r
        place[at] = torch.arange(int(at.sum()))
    return models.rows(order[place < kept[models.target[order]]])


Search = Iterator[tuple[Models, _Frame]]


def _singles(curve: _Curve, task: _Task, lib: Sequence[Primitive] | None) -> Search:
    few = _few(curve)
    some = _some(task.targets, few)
    for centred in (False, True):
        table = single_table(lib, _exponents(curve.z)) if centred else _pair_table(curve, lib)
        if not table.kinds:
            continue
        frame = _frame(curve, table.kinds, centred)
        table, F = table_values(table, frame.few(few))
        for models in _searched(scan_single(table, F, some, 1000), frame, curve, task):
            yield models, frame


def _pair_table(curve: _Curve, lib: Sequence[Primitive] | None) -> Table:
    return pair_table(lib, bool((curve.z > 0).all()))


def _pairs(curve: _Curve, task: _Task, lib: Sequence[Primitive] | None) -> Search:
    few = _few(curve)
    some = _some(task.targets, few)
    table = _pair_table(curve, lib)
    frame = _frame(curve, table.kinds, False)
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
        plain = torch.tensor([outer.name == "y" for outer in task.outer])[models.target]
        models = _shifted(models.rows(plain), frame)
        models = fit(models, frame.kinds, frame.few(few), some, 6)
        models = _least(models, torch.full((len(task.outer),), 8), curve)
        for fitted in _finished(models, frame, curve, task):
            yield fitted, frame


def _nested(curve: _Curve, task: _Task, lib: Sequence[Primitive] | None) -> Search:
    few = _few(curve)
    some = _some(task.targets, few)
    inner, outer = nested_tables(lib, bool((curve.z > 0).all()))
    if not outer.kinds:
        return
    frame = _frame(curve, (*inner.kinds, *outer.kinds), False)
    inner, F = table_values(inner, frame.few(few))
    plain = torch.tensor([r for r, o in enumerate(task.outer) if o.name == "y"])
    models = scan_nested(inner, outer, F, some.rows(plain), 60)
    models = replace(models, target=plain[models.target])
    for fitted in _searched(models, frame, curve, task):
        yield fitted, frame


def _short_list(curve: _Curve, task: _Task, models: Models, frame: _Frame) -> list[_Found]:
    """The models with the error of y itself, smallest first."""
    value = predict(models, frame.kinds, frame.argument) / task.unit[models.target, None]
    y = torch.empty_like(value)
    for r in models.target.unique().tolist():
        at = models.target == r
        y[at] = task.sign[r] * curve.z ** float(task.power[r]) * task.outer[r].inverse(value[at])
    error = curve.rms(y)
    order = error.argsort().tolist()
    return [
        _Found(float(error[n]), models.rows(torch.tensor([n])), frame)
        for n in order
        if math.isfinite(float(error[n]))
    ]


def _expression(found: _Found, task: _Task, curve: _Curve, x: sympy.Symbol) -> Expr:
    """The model in the variable's own unit; y still in units of its spread."""
    model, frame = found.model, found.frame
    a, b, a2, b2, q = model.theta[0].tolist()
    r = int(model.target)
    unit = float(task.unit[r])
    c = [float(v) / unit for v in model.c[0]]

    def atom(number: int, a: float, b: float) -> Expr:
        kind = frame.kinds[number]
        if kind.fixed and b == 0:
            return kind.record.sympy(x / Float(curve.scale))
        k = kind.k
        slope = a / frame.half[k] / curve.scale ** float(k)
        shift = b - a * frame.middle[k] / frame.half[k]
        return kind.record.sympy(_number(slope) * x ** sympy.Rational(k) + _number(shift))

    if model.shape == "nested":
        g = atom(int(model.g), a2, b2)
        inner = _number(a) * g + _number(b)
        e = c[1] * frame.kinds[int(model.f)].record.sympy(inner) + _number(c[0])
    else:
        f = atom(int(model.f), a, b)
        g = atom(int(model.g), a2, b2) if model.shape != "single" else sympy.S.One
        e = _number(c[1]) * (f * g if model.shape == "product" else f) + _number(c[0])
        e = e + _number(c[2]) * g if model.shape == "sum" else e
        e = e / (1 + _number(q) * g) if model.shape == "ratio" else e
    s = task.power[r]
    e = task.outer[r].expression(e) * x ** sympy.Rational(s)
    return e * Float(task.sign[r] / curve.scale ** float(s))


def _number(value: float) -> Expr:
    return sympy.Integer(round(value)) if value in (0.0, 1.0, -1.0) else Float(value)


def _length(curve: _Curve, error: float, complexity: float) -> float:
    """Bits for what is left unexplained and for the formula itself."""
    N = curve.rows if curve.noise > 0 else min(curve.rows, 60.0)
    left = error**2 + (curve.noise / 2) ** 2 + 1e-28
    return N / 2 * math.log2(left) + _BITS * complexity


def _rough_length(found: _Found, curve: _Curve, task: _Task) -> float:
    """The description length with a guess of the complexity, before there is an expression."""
    model, kinds = found.model, found.frame.kinds
    r = int(model.target)
    cost = kinds[int(model.f)].record.cost + 2 * float(model.free.sum()) + 2
    if model.shape != "single":
        cost += kinds[int(model.g)].record.cost + 1
    cost += 2 * model.offset + 2 * (task.power[r] != 0) + (task.outer[r].name != "y")
    return _length(curve, found.error, cost)


def _ranked(
    found: list[_Found],
    curve: _Curve,
    task: _Task,
    variable: sympy.Symbol,
    rows: tuple[Tensor, Tensor, Tensor, float],
    top: int,
) -> list[Proposal]:
    """The best by description length in y itself, refitted there."""
    z, y, w, spread = rows
    x = sympy.Symbol("z", real=True)
    few = z.argsort()[torch.linspace(0, len(z) - 1, min(len(z), 1000)).round().long()]
    result: list[tuple[float, Proposal]] = []
    seen: set[Expr] = set()
    for entry in sorted(found, key=lambda f: _rough_length(f, curve, task))[: 3 * top]:
        e = _expression(entry, task, curve, x)
        shown = e.xreplace({n: Float(n, 5) for n in e.atoms(Float)})
        if shown in seen or _wild(e):
            continue
        seen.add(shown)
        if entry.error > _EXACT * 1e-3 and len(result) < _REFITTED:
            e = refit(e, (curve.z * curve.scale)[:, None], curve.y, ["z"], curve.w, 20).expression
        residual = evaluate(e, {"z": z}) - y / spread
        error = float((w * residual.square()).sum().sqrt())
        if math.isfinite(error):
            origin = f"{task.outer[int(entry.model.target)].name}: {entry.model.shape}"
            bits = _length(curve, error, complexity(e)) + _cancelled(e, z[few], w[few])
            expression = (e * Float(spread)).xreplace({x: variable})
            result.append((bits, Proposal(expression, error, origin)))
    result.sort(key=lambda item: item[0])
    return [proposal for _, proposal in result[:top]]


def _wild(e: Expr) -> bool:
    """Exponents no law has, such as (x + 1000)**900: the limit of an exponential."""
    return any(p.exp.is_number and abs(float(p.exp)) > 12 for p in e.atoms(sympy.Pow))


def _cancelled(e: Expr, z: Tensor, w: Tensor) -> float:
    """Bits that are lost where large terms of a sum cancel."""
    w = w / w.sum()

    def size(part: Expr) -> float:
        value = evaluate(part, {"z": z}).expand(z.shape)
        return float((w * value.square()).sum().sqrt())

    lost = 0.0
    for node in e.atoms(sympy.Add):
        largest = max(map(size, node.args))
        lost += math.log2(max(largest / max(size(node), 1e-300), 1.0))
    return 2 * lost
