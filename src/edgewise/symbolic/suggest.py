"""Which primitives could stand on an edge: c f(a x + b) + d fitted to samples of its curve.

c and d are linear; a and b come from a coarse table of starts in units of the samples' range, and
the best of them are polished by Levenberg-Marquardt with c and d eliminated, all starts at once.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from edgewise.symbolic.primitives import EVEN, ODD, PRIMITIVES, Primitive, primitive, scale_free

# Of functions that differ by a shift or a sign only, one is searched: cos is sin, arccos is arcsin.
_TWINS = frozenset({"cos", "arccos", "0"})
_STARTS_POLISHED, _BANDS = 8, 5
_POLISH_STEPS = 30
_TINY = 1e-300


@dataclass(frozen=True)
class Suggestion:
    """c f(a x + b) + d for an edge: affine (a, b, c, d); r2 over the samples (relative to their
    variance, with no absolute floor); cost: the primitive's complexity."""

    primitive: Primitive
    affine: tuple[float, float, float, float]
    r2: float

    @property
    def error(self) -> float:
        """1 - r2."""
        return 1.0 - self.r2

    def __str__(self) -> str:
        a, b, c, d = self.affine
        form = f"{c:.4g} f({a:.4g} x + {b:.4g}) + {d:.4g}"
        return f"{self.primitive.name:>9}  1 - r2 = {self.error:.2e}  {form}"


def library(names: Sequence[str | Primitive] | None = None) -> list[Primitive]:
    """The primitives of that names; by default all but those another one can stand for."""
    if names is None:
        return [record for name, record in PRIMITIVES.items() if name not in _TWINS]
    return [primitive(name) for name in names]


@torch.no_grad()
def suggest(
    x: Tensor,
    y: Tensor,
    lib: Sequence[Primitive] | None = None,
    *,
    top: int = 5,
    frequency: float = 12.0,
) -> list[Suggestion]:
    """The best primitives for samples of a curve, x (N,), y (N,), smallest error first.

    frequency: the largest |a| tried at first, in units of half the samples' range (sin turns
    frequency / pi times over it). A function with a pole or an edge of its domain inside the range
    is not suggested. An edge without variance gets the constant 0 alone.
    """
    x, y = _thinned(x.double(), y.double())
    low, high = float(x.min()), float(x.max())
    middle, half = (low + high) / 2, max((high - low) / 2, _TINY)
    mean = float(y.mean())
    spread = float((y - mean).square().mean().sqrt())
    if spread <= 1e-14 * max(abs(mean), _TINY) or high <= low:
        return [Suggestion(PRIMITIVES["0"], (1.0, 0.0, 0.0, mean), 1.0)]
    z, t = (x - middle) / half, (y - mean) / spread
    records = library() if lib is None else list(lib)
    groups, starts = [], []
    for record in records:
        theta = _coarse(record, z, t, frequency)
        if len(theta):
            groups.append((record, len(theta)))
            starts.append(theta)
    if not starts:
        return []
    theta, loss = _polish(groups, z, t, torch.cat(starts))
    found, at = [], 0
    for record, count in groups:
        winner = at + int(loss[at : at + count].argmin())
        at += count
        if not math.isfinite(float(loss[winner])):
            continue
        a, b, c, d = theta[winner].tolist()
        r2 = max(1.0 - float(loss[winner]) / float(t.square().mean()), 0.0)
        affine = (a / half, b - a * middle / half, c * spread, d * spread + mean)
        found.append((_key(record, c, 1.0 - r2), Suggestion(record, affine, r2)))
    return [suggestion for _, suggestion in sorted(found, key=lambda pair: pair[0])[:top]]


def _key(record: Primitive, c: float, error: float) -> float:
    """The order of suggestions: by the decades of the error, where a unit of cost counts as 0.15;
    a large c means that the function is used in the limit where it looks like another one."""
    degenerate = max(math.log10(abs(c) + _TINY) - 1.0, 0.0)
    return math.log10(error + 1e-15) + 0.15 * record.cost + 0.3 * degenerate


def _thinned(x: Tensor, y: Tensor, most: int = 400) -> tuple[Tensor, Tensor]:
    """At most ``most`` samples, evenly over the sorted ones, both ends among them."""
    order = x.argsort()
    if len(order) > most:
        order = order[torch.linspace(0, len(order) - 1, most).round().long()]
    return x[order], y[order]


def _coarse(record: Primitive, z: Tensor, t: Tensor, frequency: float) -> Tensor:
    """The best starts (S, 4) of the table, in standardised units; none where f cannot be placed."""
    a, b = _starts(record, frequency)
    few = torch.linspace(0, len(z) - 1, min(len(z), 80)).round().long()
    z, t = z[few], t[few] - t[few].mean()
    f = record.torch(a[:, None] * z + b[:, None])
    f = torch.where(torch.isfinite(f).all(1, keepdim=True), f, torch.zeros_like(f))
    centred = f - f.mean(1, keepdim=True)
    norm = centred.square().sum(1)
    # a function that is flat to rounding on the samples says nothing
    usable = norm > 1e-20 * f.square().sum(1).clamp_min(_TINY)
    r2 = torch.where(usable, (centred @ t).square() / (norm * t.square().sum() + _TINY), 0.0)
    best = _spread_out(r2, a)
    best = best[usable[best]]
    c = (centred[best] @ t) / norm[best]
    return torch.stack([a[best], b[best], c, -c * f[best].mean(1)], dim=1)


def _spread_out(r2: Tensor, a: Tensor) -> Tensor:
    """The best entries, one a slope a, and the best in each band of |a|: neighbours share a valley,
    and the largest valley need not be the deepest."""
    slopes, group = a.unique(return_inverse=True)
    if len(slopes) <= 2:
        return r2.topk(min(_STARTS_POLISHED, len(r2))).indices
    top = torch.full((len(slopes),), -1.0, dtype=r2.dtype).scatter_reduce(0, group, r2, "amax")
    first = (r2 == top[group]).nonzero()[:, 0]
    ranked = first[r2[first].argsort(descending=True)]
    size = a[ranked].abs().log()
    band = ((size - size.min()) / (size.max() - size.min() + 1e-9) * _BANDS).long()
    best_of_band = [ranked[band == n][:1] for n in range(_BANDS)]
    return torch.cat([ranked[: _STARTS_POLISHED - _BANDS], *best_of_band]).unique()


def _starts(record: Primitive, frequency: float) -> tuple[Tensor, Tensor]:
    """Pairs (a, b) to try, on z in [-1, 1]."""
    if record.name == "x":
        return torch.ones(1, dtype=torch.float64), torch.zeros(1, dtype=torch.float64)
    positive = torch.logspace(math.log10(0.1), math.log10(frequency), 33, dtype=torch.float64)
    a = positive if record.name in ODD | EVEN else torch.cat([positive, -positive])
    # Where u = 0 lies, z0 = -b/a: inside the range, and outside at distances that double.
    far = 1 + torch.logspace(-6, 1, 15, dtype=torch.float64)
    z0 = torch.cat([torch.linspace(-1, 1, 21, dtype=torch.float64), far, -far])
    if scale_free(record):  # |a| goes into c, or d
        a = torch.tensor([1.0, -1.0], dtype=torch.float64)
        z0 = torch.cat([torch.linspace(-1, 1, 41, dtype=torch.float64), far, -far])
        A, Z = torch.meshgrid(a, z0, indexing="ij")
        return A.flatten(), (-A * Z).flatten()
    if record.name == "exp":  # b goes into c
        return a, torch.zeros_like(a)
    if record.name in ("sin", "tan"):
        b = torch.linspace(-math.pi / 2, math.pi / 2, 13, dtype=torch.float64)[:-1]
        A, Bs = torch.meshgrid(positive, b, indexing="ij")
        return A.flatten(), Bs.flatten()
    A, Z = torch.meshgrid(a, z0, indexing="ij")
    B = -A * Z
    # functions on [-1, 1]: lines that map the range into the domain, up to its ends
    ends = torch.tensor([0.0, 1e-6, 1e-4, 1e-2, 0.05, 0.1, 0.2, 0.4, 0.7], dtype=torch.float64)
    lower, upper = torch.meshgrid(-1 + ends, 1 - ends, indexing="ij")
    slope, shift = (upper - lower).flatten() / 2, (upper + lower).flatten() / 2
    return torch.cat([A.flatten(), slope, -slope]), torch.cat([B.flatten(), shift, shift])


Groups = Sequence[tuple[Primitive, int]]


def _polish(groups: Groups, z: Tensor, t: Tensor, theta: Tensor) -> tuple[Tensor, Tensor]:
    """Levenberg-Marquardt on (a, b) of theta (S, 4), every start with its own damping; c and d follow.

    With c and d eliminated the valley of nearly equal curves is short: f is centred and scaled to the
    target, and the slopes are taken orthogonal to 1 and f (G. Golub and V. Pereyra, 1973; the
    approximation of L. Kaufman, 1975). Returns theta and the mean square (S,).
    """
    free = torch.cat([_free(record).expand(count, 2) for record, count in groups])
    ab = theta[:, :2].clone()
    damping = torch.full((len(ab),), 1e-3, dtype=torch.float64)
    state: tuple[Tensor, ...] = _projected(groups, z, t, ab, free)
    for _ in range(_POLISH_STEPS):
        loss, H, g, *_ = state
        D = H.diagonal(dim1=-2, dim2=-1)
        D = D + 1e-12 * D.amax(1, keepdim=True) + _TINY
        (p, q), (_, s) = (H + torch.diag_embed(damping[:, None] * D)).permute(1, 2, 0)
        step = torch.stack([s * g[:, 0] - q * g[:, 1], p * g[:, 1] - q * g[:, 0]], dim=1)
        step = (step / (p * s - q * q)[:, None]).nan_to_num(0.0, 0.0, 0.0)
        trial = ab + step * free
        new = _projected(groups, z, t, trial, free)
        better = new[0] < loss
        ab = torch.where(better[:, None], trial, ab)
        state = tuple(
            torch.where(better.view(-1, *[1] * (old.ndim - 1)), fresh, old)
            for fresh, old in zip(new, state, strict=True)
        )
        damping = torch.where(better, damping / 5, damping * 8).clamp(1e-15, 1e12)
    loss, _, _, c, mean = state
    return torch.stack([ab[:, 0], ab[:, 1], c, t.mean() - c * mean], dim=1), loss


def _free(record: Primitive) -> Tensor:
    """Which of a and b matter once c and d are fitted."""
    if record.name == "x":
        kept = (0.0, 0.0)
    elif scale_free(record):
        kept = (0.0, 1.0)
    elif record.name == "exp":
        kept = (1.0, 0.0)
    else:
        kept = (1.0, 1.0)
    return torch.tensor([kept], dtype=torch.float64)


def _projected(
    groups: Groups, z: Tensor, t: Tensor, ab: Tensor, free: Tensor
) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor]:
    """For each (a, b): mean square, Gauss-Newton matrix and descent of the projected problem, c,
    and the mean of f."""
    u = ab[:, :1] * z + ab[:, 1:]
    parts = u.split([count for _, count in groups])
    f = torch.cat([record.torch(part) for (record, _), part in zip(groups, parts, strict=True)])
    slope = torch.cat(
        [record.derivative(part) for (record, _), part in zip(groups, parts, strict=True)]
    )
    N = len(z)
    mean = f.mean(1)
    centred = f - mean[:, None]
    norm = centred.square().sum(1).clamp_min(_TINY)
    target = t - t.mean()
    c = (centred @ target) / norm
    r = target - c[:, None] * centred
    loss = r.square().mean(1)
    # differences of nearly equal numbers: a function that is flat to rounding fits anything
    flat = norm < 1e-18 * f.square().sum(1)
    loss = torch.where(torch.isfinite(loss) & ~flat, loss, math.inf)
    J = c[:, None, None] * torch.stack([slope * z, slope], dim=1)  # (S, 2, N)
    J = J - J.mean(2, keepdim=True)
    J = J - ((J @ centred[..., None]) / norm[:, None, None]) * centred[:, None]
    J = (J * free[..., None]).nan_to_num(0, 0, 0)
    descent = (J @ r.nan_to_num(0, 0, 0)[..., None])[..., 0] / N
    return loss, J @ J.mT / N, descent, c.nan_to_num(0, 0, 0), mean.nan_to_num(0, 0, 0)
