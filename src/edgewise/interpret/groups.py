"""Inputs that act together: through one sum of curves, or through one unknown number."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import combinations

import torch
from torch import Tensor

from edgewise.bases import BSpline
from edgewise.interpret.identities import CLEAR, Derivatives, Finding, rms

_INTERVALS = 20
# What splines of so many intervals leave of a smooth curve.
_SPLINE_FLOOR = 3e-4
_RIDGE = 1e-10


def curves(d: Derivatives, inputs: Sequence[int]) -> Finding:
    """Whether the inputs act through phi_1(x_1) + phi_2(x_2) + ... alone.

    Then f_i phi_j'(x_j) = f_j phi_i'(x_i) for all pairs: linear and homogeneous in the slopes phi', which
    are sought as splines; the least singular value tells how well it can be had.
    """
    pairs = list(combinations(range(len(inputs)), 2))
    s, g = d.reach[list(inputs)], d.gradient[:, list(inputs)]
    features = _spline_features(d.x[:, list(inputs)])  # (B, n, K)
    B, n, K = features.shape
    rows = []
    for i, j in pairs:
        block = features.new_zeros(B, n, K)
        block[:, j], block[:, i] = g[:, i, None] * features[:, j], -g[:, j, None] * features[:, i]
        rows.append(block.flatten(1) * (s[i] * s[j]))
    M = torch.cat(rows)
    # slopes times reach have mean square 1 in all
    N = torch.block_diag(*(features[:, k].T @ features[:, k] / B * s[k] ** 2 for k in range(n)))
    N += _RIDGE * float(N.diagonal().mean()) * torch.eye(n * K, dtype=N.dtype)
    L = torch.linalg.cholesky(N)
    half = torch.linalg.solve_triangular(L, (M.T @ M) / B, upper=False)
    inner = torch.linalg.solve_triangular(L, half.mT, upper=False)
    c = torch.linalg.eigh(0.5 * (inner + inner.mT)).eigenvectors[:, 0]
    slopes = torch.linalg.solve_triangular(L.mT, c[:, None], upper=True).view(n, K)
    a = torch.einsum("bnk,nk->bn", features, slopes) * s  # phi_i' s_i
    u, allowed = g * s, max(d.first, _SPLINE_FLOOR)
    left, clear = 0.0, True
    for i, j in pairs:
        unit = d.spread * float(rms(a[:, i]) + rms(a[:, j]))
        left = max(left, float(rms(u[:, i] * a[:, j] - u[:, j] * a[:, i])) / unit)
        size = torch.minimum(rms(u[:, i] * a[:, j]), rms(u[:, j] * a[:, i]))
        clear &= float(size) / unit > CLEAR * allowed
    return Finding("curves", tuple(inputs), left, allowed, clear and left < allowed)


def _spline_features(x: Tensor) -> Tensor:
    """Splines over the range of each input: (B, n) -> (B, n, K)."""
    basis = BSpline(grid=_INTERVALS, degree=3)
    tensors = basis.adapt(x, basis.tensors(x.shape[1], dtype=x.dtype))
    return basis.features(x, tensors)


def grouped(d: Derivatives, inputs: Sequence[int]) -> Finding:
    """Whether some inputs act through one number h(x_A): f_i / f_j depends on no other input.

    For i, j inside and k outside: H_ik f_j = f_i H_jk.
    """
    outside = [k for k in range(d.x.shape[1]) if k not in inputs]
    s, effects, left, clear = d.reach, d.effects, 0.0, False
    for i, j in combinations(inputs, 2):
        for k in outside:
            unit = d.spread**2 * float((effects[i] + effects[j]) / (s[i] * s[j] * s[k]))
            one = d.hessian[:, i, k] * d.gradient[:, j]
            other = d.gradient[:, i] * d.hessian[:, j, k]
            left = max(left, float(rms(one - other)) / unit)
            clear |= float(torch.minimum(rms(one), rms(other))) / unit > CLEAR * d.second
    return Finding("group", tuple(inputs), left, d.second, clear and left < d.second)
