"""The constants of a template from many starts, over magnitudes and signs.

Only those in which it is not linear are searched (`template_model.Projection` solves for the rest):
many starts at once, then Levenberg-Marquardt from the best. S starts, p constants c, N rows.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import sympy
import torch
from sympy import Expr, Symbol
from torch import Tensor

from edgewise.symbolic.evaluate import evaluate
from edgewise.symbolic.template_model import Fitted, Projection

_CHUNK = 256
_STARTS = {0: 1, 1: 2048, 2: 8192}
_STARTS_MOST = 16384
_KEPT, _STEPS = 16, 40


def fit_constants(
    projection: Projection, seed: int, expired: Callable[[], bool], first: Tensor | None = None
) -> list[Fitted]:
    """The best fits found, one a valley, best first; first: (p,) constants to begin with."""
    p = len(projection.constants)
    scales = constant_scales(projection)
    generator = torch.Generator().manual_seed(seed)
    count = _STARTS.get(p, _STARTS_MOST)
    found_c, found_error = [], []
    for begin in range(0, count, _CHUNK):
        shape = (min(_CHUNK, count - begin), p)
        size = torch.rand(shape, generator=generator, dtype=torch.float64) * 3.5 - 2
        sign = torch.randint(0, 2, shape, generator=generator).double() * 2 - 1
        c = sign * 10**size * scales
        if begin == 0 and first is not None:
            c[0] = first
        found_c.append(c)
        found_error.append(projection.errors(c))
        if expired():
            break
    c, error = torch.cat(found_c), torch.cat(found_error)
    best = c[error.argsort()[:_KEPT]]
    best = _levenberg_marquardt(projection, best, scales, expired)
    for trial in (best.abs(), best.remainder(2 * math.pi), best.remainder(math.pi)):
        best = _simpler(projection, best, trial)
    return _distinct(projection, best)


def constant_scales(projection: Projection) -> Tensor:
    """(p,): sizes of the constants c at which each part of the template is of order 1."""
    scale: dict[Symbol, float] = {}
    columns = projection.columns

    def size(node: Expr) -> float:
        """Its root mean square, of what is known of it; 1 where nothing is."""
        if {s.name for s in node.free_symbols} <= columns.keys():
            rms = float(evaluate(node, columns).square().mean().sqrt())
            return rms if 0 < rms < math.inf else 1.0
        if isinstance(node, sympy.Mul):
            return math.prod(map(size, node.args))
        if isinstance(node, sympy.Add):
            known = [part for part in node.args if not part.has(*projection.constants)]
            return max(map(size, known), default=1.0)
        if isinstance(node, sympy.Pow) and node.exp.is_number:
            return size(node.base) ** float(node.exp)
        return 1.0

    def walk(node: Expr, wanted: float) -> None:
        if node in projection.constants:
            scale.setdefault(node, wanted)  # type: ignore[arg-type]
            return
        for part in node.args:
            if not part.has(*projection.constants):
                continue
            others = [other for other in node.args if other is not part]
            if isinstance(node, sympy.Mul):
                walk(part, wanted / math.prod(map(size, others)))
            elif isinstance(node, sympy.Add):
                known = [other for other in others if not other.has(*projection.constants)]
                walk(part, max(map(size, known), default=wanted))
            elif isinstance(node, sympy.Pow) and part is node.base and node.exp.is_number:
                walk(part, max(wanted, 1e-300) ** (1 / float(node.exp)))
            else:
                walk(part, 1.0)

    spread = float(projection.y.square().mean().sqrt()) or 1.0
    if projection.constants:
        walk(projection.template.expression, spread)
    return torch.tensor([scale[c] for c in projection.constants], dtype=torch.float64)


def _levenberg_marquardt(
    projection: Projection, c: Tensor, scales: Tensor, expired: Callable[[], bool]
) -> Tensor:
    """From every start (S, p) at once, each with its own damping; slopes by central differences."""
    S, p = c.shape
    if p == 0:
        return c
    damping = torch.full((S,), 1e-3, dtype=torch.float64)
    error = projection.errors(c)
    for _ in range(_STEPS):
        if expired():
            break
        h = 1e-6 * (c.abs() + 1e-3 * scales)
        moved = c[:, None, None] + torch.eye(p)[None, :, None] * h[:, :, None, None] * torch.tensor(
            [[1.0], [-1.0]], dtype=torch.float64
        )
        r = projection.solve(moved.reshape(-1, p))[0].reshape(S, p, 2, -1)
        J = torch.nan_to_num((r[:, :, 0] - r[:, :, 1]), 0.0, 0.0, 0.0).mT / 2e-6  # per 1e-6 of size
        g = J.mT @ torch.nan_to_num(projection.solve(c)[0], 0.0, 0.0, 0.0)[..., None]
        H = J.mT @ J
        D = torch.diag_embed(H.diagonal(dim1=-2, dim2=-1).clamp_min(1e-300))
        step = torch.linalg.solve(H + damping[:, None, None] * D, -g)[..., 0]
        trial = c + step * h / 1e-6
        trial_error = projection.errors(trial)
        better = trial_error < error
        damping = torch.where(better, damping / 5, damping * 4).clamp(1e-12, 1e6)
        settled = bool((trial_error >= error * (1 - 1e-9)).all()) and bool((damping > 1e3).all())
        c = torch.where(better[:, None], trial, c)
        error = torch.where(better, trial_error, error)
        if settled:
            break
    return c


def _simpler(projection: Projection, c: Tensor, trial: Tensor) -> Tensor:
    """The trial's constants, one after another, where the fit is the same: signs and whole turns that
    others make up for."""
    error = projection.errors(c)
    for n in range(c.shape[1]):
        moved = c.clone()
        moved[:, n] = trial[:, n]
        after = projection.errors(moved)
        same = (after - error).abs() <= 1e-6 * error + 1e-24 * projection.y.square().mean()
        c = torch.where((same & torch.isfinite(after))[:, None], moved, c)
    return c


def _distinct(projection: Projection, c: Tensor) -> list[Fitted]:
    """Fits of different errors, best first."""
    error = projection.errors(c)
    _, theta = projection.solve(c)
    y = projection.weigh(projection.y - projection.y.mean())
    spread = float(y.square().mean().sqrt()) or 1.0
    found: list[Fitted] = []
    for n in error.argsort().tolist():
        size = math.sqrt(float(error[n])) / spread
        if math.isfinite(size) and all(size > 1.01 * other.error + 1e-9 for other in found):
            found.append(Fitted(c[n], theta[n], size))
    return found
