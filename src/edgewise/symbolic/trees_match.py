"""Which trees of a bank meet a goal: exactly, by a sorted key; or nearly, by least squares."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from edgewise.symbolic.trees_bank import Bank, normalised
from edgewise.symbolic.trees_goals import Form, Goals

EXACT_ROWS = 16
_EXACT = 1e-8  # largest difference of normalised rows that agree
_ROW_SHARE = 0.97  # a normalised goal that is one row only says nothing


@dataclass(frozen=True)
class Match:
    """outer^-1(inner^-1(sum_k c_k e_k + d) op e1): trees of the bank; ``loss``: its share of
    unexplained variance of y on the bank's rows."""

    form: Form
    e1: int | None
    terms: tuple[int, ...]
    loss: float
    cost: int


class Lookup:
    """Trees up to affine maps, sorted by a key that an affine map leaves as it is."""

    def __init__(self, values: Tensor, trees: Tensor, cost: Tensor) -> None:
        few = values[trees, :EXACT_ROWS]
        self.rows = normalised(few)
        good = torch.isfinite(self.rows).all(1) & (self.rows.abs().amax(1) < math.sqrt(_ROW_SHARE))
        self.rows, self.trees = self.rows[good], trees[good]
        self.cost = cost
        generator = torch.Generator().manual_seed(2)
        self._direction = torch.randn(EXACT_ROWS, generator=generator, dtype=values.dtype)
        keys = (self.rows @ self._direction).abs()
        self.keys, order = keys.sort()
        self.rows, self.trees = self.rows[order], self.trees[order]

    def exact(self, goals: Goals) -> list[Match]:
        """Goals on the first EXACT_ROWS rows, and trees that are an affine map of them there."""
        n = normalised(goals.z)
        keys = torch.nan_to_num((n @ self._direction).abs(), -1.0)
        place = torch.searchsorted(self.keys, keys)
        found = []
        for near in (place - 1, place):
            near = near.clamp(0, len(self.keys) - 1)
            hits = ((self.keys[near] - keys).abs() < _EXACT).nonzero()[:, 0]
            hits = hits[n[hits].abs().amax(1) < math.sqrt(_ROW_SHARE)]
            rows = self.rows[near[hits]]
            cosine = (rows * n[hits]).sum(1)
            apart = (rows * cosine.sign()[:, None] - n[hits]).abs().amax(1)
            for hit in hits[apart < _EXACT].tolist():
                tree = int(self.trees[near[hit]])
                e1 = None if goals.trees is None else int(goals.trees[hit])
                cost = int(self.cost[tree]) + (0 if e1 is None else int(self.cost[e1]) + 1)
                cost += goals.form.maps
                found.append(Match(goals.form, e1, (tree,), 0.0, cost))
        return found


class LeastSquares:
    """c e + d nearest to goals, for all goals and trees at once.

    With weights w of a goal and sums over rows S., the unexplained part of z is
    Szz - (S(e z) - Se Sz / Sw)^2 / (See - Se^2 / Sw), where Szz is the variance of z.
    """

    def __init__(self, values: Tensor, trees: Tensor, cost: Tensor) -> None:
        E = normalised(values[trees])
        self.E, self.E2 = E.T.contiguous(), E.square().T.contiguous()
        self.trees, self.cost, self.all_cost = trees, cost[trees], cost

    def best(self, goals: Goals, total: float, noise2: float, factor: float, k: int) -> list[Match]:
        """The k shortest descriptions: (loss + noise2) * factor^cost is smallest.

        total: sum of w (y - mean)^2; loss is relative to it.
        """
        z, w = goals.z, goals.weight
        good = (torch.isfinite(z) & torch.isfinite(w)).all(1)
        good &= w.amax(1) < 0.5 * w.sum(1)
        if not bool(good.any()):
            return []
        z, w = z[good], w[good]
        sw = w.sum(1, keepdim=True)
        z = z - (w * z).sum(1, keepdim=True) / sw
        wz = w * z
        szz = (wz * z).sum(1, keepdim=True)
        variance = (w @ self.E).square_().div_(sw).neg_().add_(w @ self.E2)
        explained = (wz @ self.E).square_()
        # a tree that the weights make constant explains nothing
        explained.div_(variance.clamp_min_(1e-8 * w.amax(1, keepdim=True)))
        loss = explained.neg_().add_(szz).clamp_min_(0).div_(total)
        extra = goals.form.maps
        own = torch.full((len(z),), extra)
        if goals.trees is not None:
            own = own + self.all_cost[goals.trees[good]] + 1
        score = (loss + noise2).mul_(factor ** self.cost[None]).mul_(factor ** own[:, None])
        found = score.flatten().topk(min(k, score.numel()), largest=False).indices
        number = good.nonzero()[:, 0]
        matches = []
        for flat in found.tolist():
            row, column = divmod(flat, len(self.trees))
            e1 = None if goals.trees is None else int(goals.trees[number[row]])
            cost = int(self.cost[column]) + int(own[row])
            tree = int(self.trees[column])
            matches.append(Match(goals.form, e1, (tree,), float(loss[row, column]), cost))
        return matches


def best_products(
    goals: Sequence[Goals], bank: Bank, first: Tensor, second: Tensor, total: float, noise2: float,
    factor: float, k: int, expired: Callable[[], bool],
) -> list[Match]:  # fmt: skip
    """z = c e1 e2 + d for trees e1 of ``first``, e2 of ``second``; the best products are kept.

    With weights w of sum 1 and z free of its mean, the explained part is
    (sum w z e1 e2)^2 / (sum w e1^2 e2^2 - (sum w e1 e2)^2), three matrix products for all pairs.
    """
    E = bank.values[second]
    E = (E / E.norm(dim=1, keepdim=True)).T.contiguous()
    E2, f2 = E.square(), factor ** bank.cost[second]
    found: list[tuple[float, float, int, int, int]] = []
    for n, root, t, whole in _targets(goals, len(E)):
        scale = float(goals[n].weight.sum()) / total
        for part in first.split(64):
            if expired():
                break
            u = bank.values[part]
            variance = ((u * root**2) @ E).square_().neg_()
            power = (u * root).square() @ E2
            variance.add_(power)
            loss = ((u * root * t) @ E).square_().div_(variance.clamp_min(1e-300))
            loss = loss.neg_().add_(whole).clamp_min_(0).mul_(scale)
            score = (loss + noise2).mul_(f2[None]).mul_(factor ** bank.cost[part, None])
            score[~(variance > 1e-9 * power)] = math.inf
            low = score.flatten().topk(min(k, score.numel()), largest=False)
            for value, flat in zip(low.values.tolist(), low.indices.tolist(), strict=True):
                i, j = divmod(flat, len(second))
                found.append((value, float(loss[i, j]), n, int(part[i]), int(second[j])))
    return _kept(goals, found, k, bank, bank.keep_product)


def best_images(
    goals: Sequence[Goals], images: Iterable[tuple[int, Tensor, Tensor]], bank: Bank, total: float,
    noise2: float, factor: float, k: int,
) -> list[Match]:  # fmt: skip
    """z = c f(e) + d for functions f of trees e that are not in the bank; the best are then kept."""
    found: list[tuple[float, float, int, int, int]] = []
    targets: list[tuple[int, Tensor, Tensor, float]] = []
    for function, trees, values in images:
        if not len(trees):
            continue
        if not targets:
            targets = list(_targets(goals, values.shape[1]))
        for n, root, t, share in targets:
            A = values - (values @ root.square())[:, None]
            A.mul_(root)
            norm2 = A.square().sum(1)
            loss = (float(t @ t) - (A @ t).square().div_(norm2.clamp_min(1e-300))).clamp_min_(0)
            loss.div_(share)
            score = (loss + noise2) * factor ** bank.cost[trees]
            score[~(norm2 > 1e-16 * (values * root).square().sum(1))] = math.inf
            low = score.topk(min(2, len(score)), largest=False)
            for value, place in zip(low.values.tolist(), low.indices.tolist(), strict=True):
                found.append((value, float(loss[place]), n, function, int(trees[place])))
    return _kept(goals, found, k, bank, bank.keep_image)


def _kept(
    goals: Sequence[Goals], found: Iterable[tuple[float, float, int, int, int]], k: int, bank: Bank,
    keep: Callable[[int, int], int],
) -> list[Match]:  # fmt: skip
    """The k best of (score, loss, goal, two numbers), whose new trees ``keep`` puts into the bank."""
    matches = []
    for score, loss, n, first, second in sorted(found)[:k]:
        if math.isfinite(score):
            tree, form = keep(first, second), goals[n].form
            cost = int(bank.cost[tree]) + form.maps
            matches.append(Match(form, None, (tree,), loss, cost))
    return matches


def _targets(goals: Sequence[Goals], rows: int) -> Iterator[tuple[int, Tensor, Tensor, float]]:
    """Of each sound goal: its number, root of weights of sum 1, weighted z free of its mean, and
    the variance of y in these weights."""
    for n, goal in enumerate(goals):
        z, w = goal.z[0, :rows], goal.weight[0, :rows]
        if bool((torch.isfinite(z) & torch.isfinite(w)).all()) and w.amax() < 0.5 * w.sum():
            root = (w / w.sum()).sqrt()
            t = (z - (z * root**2).sum()) * root
            yield n, root, t, max(float(t @ t), 1e-300)


def best_terms(
    goals: Goals, values: Tensor, first: Tensor, second: Tensor, cost: Tensor, total: float,
    noise2: float, factor: float, k: int, expired: Callable[[], bool],
) -> list[Match]:  # fmt: skip
    """z = c1 e1 + c2 e2 + d in closed form for trees e1 of ``first`` and e2 of ``second``, and with
    a third term of ``first`` for the best.

    With columns of length 1 that are free of the mean, r their products with z and g that of the
    pair, the explained part is (r1^2 + r2^2 - 2 g r1 r2) / (1 - g^2).
    """
    z, w = goals.z[0], goals.weight[0]
    if not bool((torch.isfinite(z) & torch.isfinite(w)).all()) or float(w.amax()) > 0.5 * w.sum():
        return []
    root = (w / w.sum()).sqrt()
    A, first = _columns(values, first, root)
    same = len(first) == len(second)
    B, second = (A, first) if same else _columns(values, second, root)
    if len(first) < 3:
        return []
    t = (z - (z * root**2).sum()) * root
    scale, whole = float(w.sum()) / total, float(t @ t)
    r1, r2 = A @ t, B @ t
    f1, f2 = factor ** cost[first], factor ** cost[second]
    found: list[tuple[float, float, list[int]]] = []
    block = max(1, 500_000 // len(second))
    for start in range(0, len(first), block):
        if expired():
            break
        rows = slice(start, start + block)
        g = A[rows] @ B.T
        det = 1 - g.square()
        explained = g.mul_(-2 * r1[rows, None]).mul_(r2[None]).add_(r1[rows, None] ** 2)
        explained.add_(r2[None] ** 2).div_(det.clamp_min(1e-9))
        loss = explained.neg_().add_(whole).clamp_min_(0).mul_(scale)
        score = (loss + noise2).mul_(f2[None]).mul_(f1[rows, None])
        score[det < 1e-7] = math.inf
        low = score.flatten().topk(min(k, score.numel()), largest=False)
        for value, flat in zip(low.values.tolist(), low.indices.tolist(), strict=True):
            i, j = divmod(flat, len(second))
            if math.isfinite(value) and not (same and start + i > j):
                found.append((value, float(loss[i, j]), [int(first[start + i]), int(second[j])]))
    found = sorted(found, key=lambda f: f[0])[:k]
    found += [_third(A, first, t, _columns(values, torch.tensor(f[2]), root)[0], f[2],
                     scale, noise2, f1) for f in found]  # fmt: skip
    extra = goals.form.maps
    return [
        Match(goals.form, None, tuple(chosen), loss, int(cost[chosen].sum()) + len(chosen) + extra)
        for _, loss, chosen in found
    ]


def _columns(values: Tensor, trees: Tensor, root: Tensor) -> tuple[Tensor, Tensor]:
    """Values of trees as rows of length 1 that are free of the mean, by weights; the trees left."""
    A = values[trees]
    A = (A - (A @ root.square())[:, None]) * root
    A = A / A.norm(dim=1, keepdim=True)
    good = torch.isfinite(A).all(1) & (A.abs().amax(1) < math.sqrt(_ROW_SHARE))
    return A[good], trees[good]


def _third(
    A: Tensor, trees: Tensor, t: Tensor, P: Tensor, pair: list[int], scale: float, noise2: float,
    factors: Tensor,
) -> tuple[float, float, list[int]]:  # fmt: skip
    """The pair, rows P, and the tree with row in A that best explains what it leaves."""
    Q, _ = torch.linalg.qr(P.T)
    rest = A - (A @ Q) @ Q.T
    left = t - Q @ (Q.T @ t)
    norm2 = rest.square().sum(1)
    gain = torch.where(norm2 > 1e-8, (rest @ left).square() / norm2.clamp_min(1e-12), 0.0)
    loss = (float(left @ left) - gain).clamp_min(0) * scale
    n = int(((loss + noise2) * factors).argmin())
    return 0.0, float(loss[n]), [*pair, int(trees[n])]
