"""From fitted models of a curve to formulas, ranked by description length in y itself."""

from __future__ import annotations

import math

import sympy
import torch
from sympy import Expr, Float
from torch import Tensor

from edgewise.symbolic.curves_fit import Models, predict
from edgewise.symbolic.curves_task import Curve, Found, Frame, Task
from edgewise.symbolic.direct import Proposal
from edgewise.symbolic.evaluate import evaluate
from edgewise.symbolic.formula import complexity
from edgewise.symbolic.outer import IDENTITY
from edgewise.symbolic.refit import refit

# What a unit of complexity costs in the choice.
BITS = 5.0
EXACT = 1e-9
# Proposals that are refitted in y itself.
_REFITTED = 3


def short_list(curve: Curve, task: Task, models: Models, frame: Frame) -> list[Found]:
    """The models with the error of y itself, smallest first."""
    value = predict(models, frame.kinds, frame.argument) / task.unit[models.target, None]
    y = torch.empty_like(value)
    for r in models.target.unique().tolist():
        at = models.target == r
        y[at] = task.sign[r] * curve.z ** float(task.power[r]) * task.outer[r].undo(value[at])
    error = curve.rms(y)
    order = error.argsort().tolist()
    return [
        Found(float(error[n]), models.rows(torch.tensor([n])), frame)
        for n in order
        if math.isfinite(float(error[n]))
    ]


def _expression(found: Found, task: Task, curve: Curve, x: sympy.Symbol) -> Expr:
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
    e = task.outer[r].inverse(e) * x ** sympy.Rational(s)
    return e * Float(task.sign[r] / curve.scale ** float(s))


def _number(value: float) -> Expr:
    return sympy.Integer(round(value)) if value in (0.0, 1.0, -1.0) else Float(value)


def length(curve: Curve, error: float, complexity: float) -> float:
    """Bits for what is left unexplained and for the formula itself."""
    N = curve.rows if curve.noise > 0 else min(curve.rows, 60.0)
    left = error**2 + (curve.noise / 2) ** 2 + 1e-28
    return N / 2 * math.log2(left) + BITS * complexity


def _rough_length(found: Found, curve: Curve, task: Task) -> float:
    """The description length with a guess of the complexity, before there is an expression."""
    model, kinds = found.model, found.frame.kinds
    r = int(model.target)
    cost = kinds[int(model.f)].record.cost + 2 * float(model.free.sum()) + 2
    if model.shape != "single":
        cost += kinds[int(model.g)].record.cost + 1
    cost += 2 * model.offset + 2 * (task.power[r] != 0) + (task.outer[r] is not IDENTITY)
    return length(curve, found.error, cost)


def ranked(
    found: list[Found],
    curve: Curve,
    task: Task,
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
        if entry.error > EXACT * 1e-3 and len(result) < _REFITTED:
            e = refit(e, (curve.z * curve.scale)[:, None], curve.y, ["z"], curve.w, 20).expression
        residual = evaluate(e, {"z": z}) - y / spread
        error = float((w * residual.square()).sum().sqrt())
        if math.isfinite(error):
            origin = f"{task.outer[int(entry.model.target)].name}: {entry.model.shape}"
            bits = length(curve, error, complexity(e)) + _cancelled(e, z[few], w[few])
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
