"""Coarse scans: every start of a table, or pair of starts, with its constants in closed form.

The linear constants of sums, products and quotients come for all pairs at once from matrix products
of the table's values F (M, n); the best of each pair of groups are where `curves_fit.fit` starts.
"""

from __future__ import annotations

import math
from dataclasses import replace
from fractions import Fraction

import torch
from torch import Tensor

from edgewise.symbolic.curves_atoms import Kind, Table, evaluate_rows, part
from edgewise.symbolic.curves_fit import Models, Targets, start

_TINY = 1e-300


def table_values(table: Table, argument: dict[Fraction, Tensor]) -> tuple[Table, Tensor]:
    """The rows of the table that are finite, not flat, and without a pole, with values (M, n)."""
    f, _, v = evaluate_rows(table.kinds, table.kind, table.a, table.b, argument)
    u = table.a[:, None] * v + table.b[:, None]
    size = f.abs().amax(1)
    good = torch.isfinite(f).all(1) & (size > 1e-30) & (size < 1e30)
    poles = torch.tensor([_has_pole(kind) for kind in table.kinds])[table.kind]
    good &= ~poles | (u > 0).all(1) | (u < 0).all(1)
    good &= (f.amax(1) - f.amin(1)) > 1e-9 * size
    return part(table, good), f[good]


def _has_pole(kind: Kind) -> bool:
    name = kind.record.name
    return name.startswith("1/") and name not in ("1/cosh", "1/(exp(x)+1)", "1/cos")


def scan_single(table: Table, F: Tensor, targets: Targets, most: int) -> Models:
    """The best starts of c_0 + c_1 f, one a group and target."""
    t, w = targets.t, targets.w
    mean = (w * t).sum(1)
    s1, s2, ft = F @ w.T, F.square() @ w.T, F @ (w * (t - mean[:, None])).T  # (M, R)
    variance = s2 - s1.square()
    gain = torch.where(variance > 1e-12 * s2, ft.square() / variance.clamp_min(_TINY), 0.0)
    loss = (w * (t - mean[:, None]).square()).sum(1) - gain
    rows, number = _best(loss, table.group, most)
    theta = torch.zeros(len(rows), 5, dtype=torch.float64)
    theta[:, 0], theta[:, 1] = table.a[rows], table.b[rows]
    free = torch.zeros_like(theta)
    free[:, :2] = table.free[rows]
    return start("single", table.kind[rows], table.kind[rows], theta, free, number)


def _best(loss: Tensor, group: Tensor, most: int) -> tuple[Tensor, Tensor]:
    """Rows and targets of the smallest entries of loss (M, R), one a group and target."""
    M, R = loss.shape
    G = int(group.max()) + 1 if M else 0
    loss = torch.where(torch.isfinite(loss), loss, math.inf)
    least = torch.full((G, R), math.inf, dtype=torch.float64)
    least = least.scatter_reduce(0, group[:, None].expand(M, R), loss, "amin")
    first = ((loss == least[group]) & torch.isfinite(loss)).nonzero()
    order = loss[first[:, 0], first[:, 1]].argsort()[:most]
    return first[order, 0], first[order, 1]


def scan_pairs(
    shape: str, table: Table, F: Tensor, targets: Targets, most: dict[int, int]
) -> Models:
    """The best starts of a sum, product or ratio, most[r] pairs of groups for target r."""
    found = []
    for r, places in most.items():
        t, w = targets.t[r], targets.w[r]
        centred = t - (w * t).sum()
        gain, q = _gain(shape, F, t, centred, w)
        i, j = _best_pairs(gain, table.group, places, ordered=shape == "ratio")
        theta = torch.zeros(len(i), 5, dtype=torch.float64)
        theta[:, 0], theta[:, 1] = table.a[i], table.b[i]
        theta[:, 2], theta[:, 3] = table.a[j], table.b[j]
        free = torch.zeros_like(theta)
        free[:, 0], free[:, 2] = table.free[i, 0], table.free[j, 0]
        if q is not None:
            theta[:, 4], free[:, 4] = q[i, j], 1.0
        number = torch.full_like(i, r)
        found.append(start(shape, table.kind[i], table.kind[j], theta, free, number))
    return _joined(found)


def _joined(parts: list[Models]) -> Models:
    f, g, theta, free, target = (
        torch.cat([getattr(p, name) for p in parts])
        for name in ("f", "g", "theta", "free", "target")
    )
    return start(parts[0].shape, f, g, theta, free, target)


def _gain(
    shape: str, F: Tensor, t: Tensor, centred: Tensor, w: Tensor
) -> tuple[Tensor, Tensor | None]:
    """The part of the target's square that each pair explains (M, M), and q for ratios."""
    if shape == "product":
        s1, s2 = (F * w) @ F.T, (F.square() * w) @ F.square().T
        variance = s2 - s1.square()
        gain = ((F * (w * centred)) @ F.T).square() / variance.clamp_min(_TINY)
        return torch.where(variance > 1e-10 * s2, gain, 0.0), None
    A, _ = _normal(F, w)
    B, size = (A, None) if shape == "sum" else _normal(F * t, w)
    y = w.sqrt() * centred
    G, p, q = A @ B.T, (A @ y)[:, None], (B @ y)[None]
    rest = 1 - G.square()
    gain = (p.square() + q.square() - 2 * G * p * q) / rest.clamp_min(1e-10)
    gain = torch.where(rest > 1e-8, gain, 0.0)
    if size is None:
        return gain, None
    # y = c_0 + c_1 f - q g y
    return gain, -((q - G * p) / rest.clamp_min(1e-10)) / size[None]


def _normal(F: Tensor, w: Tensor) -> tuple[Tensor, Tensor]:
    """Rows centred, weighted and of length 1; and the lengths."""
    F = w.sqrt() * (F - (F @ w)[:, None])
    size = F.square().sum(1).sqrt()
    return torch.where(size[:, None] > 1e-9, F / size.clamp_min(_TINY)[:, None], 0.0), size


def _best_pairs(gain: Tensor, group: Tensor, most: int, ordered: bool) -> tuple[Tensor, Tensor]:
    """Rows i, j of the largest gains, one a pair of groups."""
    M, G = len(gain), int(group.max()) + 1
    if not ordered:
        gain = gain.triu()
    # the best of each group of columns first, then of rows: (M, G) -> (G, G)
    columns = torch.full((M, G), -1.0, dtype=torch.float64)
    columns = columns.scatter_reduce(1, group[None].expand(M, M), gain.contiguous(), "amax")
    both = torch.full((G, G), -1.0, dtype=torch.float64)
    both = both.scatter_reduce(0, group[:, None].expand(M, G), columns, "amax")
    value, place = both.flatten().topk(min(most, G * G))
    i_list, j_list = [], []
    for best, at in zip(value.tolist(), place.tolist(), strict=True):
        if not (math.isfinite(best) and best > 0):
            continue
        rows, cols = (group == at // G).nonzero()[:, 0], (group == at % G).nonzero()[:, 0]
        flat = int(gain[rows[:, None], cols].argmax())
        i_list.append(rows[flat // len(cols)])
        j_list.append(cols[flat % len(cols)])
    if not i_list:
        empty = torch.zeros(0, dtype=torch.long)
        return empty, empty
    return torch.stack(i_list), torch.stack(j_list)


def scan_nested(table: Table, outer: Table, F: Tensor, targets: Targets, most: int) -> Models:
    """The best starts of c_0 + c_1 f(a g + b): every inner row through every outer function.

    ``outer`` holds lines (a, b) for a g that is mapped onto [-1, 1].
    """
    low, high = F.amin(1, keepdim=True), F.amax(1, keepdim=True)
    middle, half = (low + high) / 2, (high - low) / 2
    v = (F - middle) / half
    found = []
    for number, kind in enumerate(outer.kinds):
        lines = (outer.kind == number).nonzero()[:, 0]
        a, b = outer.a[lines], outer.b[lines]
        f = kind.record.torch((v[:, None] * a[:, None] + b[:, None]).flatten(0, 1))
        good = torch.isfinite(f).all(1, keepdim=True)
        f = torch.where(good, f, 0.0)
        f = f / f.abs().amax(1, keepdim=True).clamp_min(_TINY)
        inner = torch.arange(len(F)).repeat_interleave(len(lines))
        fake = replace(
            table,
            kind=inner,
            a=a.repeat(len(F)),
            b=b.repeat(len(F)),
            group=table.group[inner],
            free=outer.free[lines].repeat(len(F), 1),
        )
        best = scan_single(fake, f, targets, most)
        g = best.f
        theta, free = best.theta, best.free
        theta[:, 1] -= theta[:, 0] * (middle / half)[g, 0]
        theta[:, 0] /= half[g, 0]
        theta[:, 2], theta[:, 3] = table.a[g], table.b[g]
        free[:, 2] = table.free[g, 0]
        f_kind = torch.full_like(g, len(table.kinds) + number)
        found.append(start("nested", f_kind, table.kind[g], theta, free, best.target))
    return _joined(found)
