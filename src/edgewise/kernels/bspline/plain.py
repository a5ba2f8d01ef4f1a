"""The spline ops in plain torch: dense features times coefficients.

Differentiable to every order and under every transform of torch; slower, and with a (B, I, K) tensor.
Half precision is computed in float32, because local coordinates need its digits, and autocast lowers
nothing here.
"""

from __future__ import annotations

import torch
from torch import Tensor

from edgewise.kernels.bspline import reference
from edgewise.kernels.bspline.contract import Spline
from edgewise.kernels.bspline.pieces import even_pieces, pieces
from edgewise.kernels.residual import full_precision


def features(x: Tensor, grid: Tensor, order: int, spline: Spline) -> Tensor:
    """B_k^(order)(x): (B, I, K)."""
    dtype = torch.promote_types(x.dtype, torch.float32)
    with full_precision(x):
        dense = reference.dense(
            *(x.to(dtype), grid.to(dtype), spline.degree, order),
            *(spline.extrapolation, spline.uniform),
        )
    return dense.to(x.dtype)


def local(x: Tensor, grid: Tensor, spline: Spline) -> tuple[Tensor, Tensor]:
    """The k+1 functions that are not 0 at x: values (B, I, k+1) and the first's index (B, I).

    By the polynomials of ``pieces``, in few operations: for some thousand points each call of torch
    costs more than its arithmetic.
    """
    dtype = torch.promote_types(x.dtype, torch.float32)
    given, x, grid = x.dtype, x.to(dtype), grid.to(dtype)
    k, G, first, last = spline.degree, grid.shape[1] - 1, grid[:, 0], grid[:, -1]
    h = (last - first) / G
    side = (x > last).long() - (x < first).long()
    if spline.uniform:
        position = (x - first) / h
        m = position.detach().nan_to_num(0.0).floor().clamp(0, G - 1)
        t, m = position - m - 0.5, m.long()
        rows = even_pieces(k, 0, spline.extrapolation, dtype, x.device)
        row = side + 1
    else:
        m = reference.intervals(x, grid)
        left, right = grid.T.gather(0, m), grid.T.gather(0, m + 1)
        t = (x - left) / (right - left) - 0.5
        rows = pieces(grid, k, 0, spline.extrapolation).to(dtype).flatten(0, 1)
        row = torch.where(side == 0, m + 1, (side > 0) * (G + 1))
        row = row + torch.arange(len(grid), device=x.device) * (G + 2)
    table = rows.flatten(1).index_select(0, row.flatten()).view(*x.shape, k + 1, k + 1)
    t = torch.where(side == 0, t, (x - torch.where(side < 0, first, last)) / h)[..., None]
    values = table[..., k, :]
    for power in range(k - 1, -1, -1):
        values = torch.addcmul(table[..., power, :], values, t)
    return values.to(given), m


def forward(
    x: Tensor, grid: Tensor, c: Tensor, u: Tensor | None, order: int, spline: Spline
) -> Tensor:
    """F_r: sum_i u_bi sum_k B_k^(r)(x_bi) c_oik, (B, O)."""
    f = features(x, grid, order, spline)
    with full_precision(x):
        return _rows(f, u) @ _flat(c).T


def pull(x: Tensor, grid: Tensor, c: Tensor, g: Tensor, order: int, spline: Spline) -> Tensor:
    """D_r: sum_o g_bo sum_k B_k^(r)(x_bi) c_oik, (B, I)."""
    f = features(x, grid, order, spline)
    with full_precision(x):
        return ((g @ _flat(c)).reshape(f.shape) * f).sum(-1)


def outer(
    x: Tensor, grid: Tensor, g: Tensor, u: Tensor | None, order: int, spline: Spline
) -> Tensor:
    """H_r: sum_b g_bo u_bi B_k^(r)(x_bi), (O, I, K)."""
    f = features(x, grid, order, spline)
    with full_precision(x):
        return (g.T @ _rows(f, u)).reshape(g.shape[1], *f.shape[1:])


# What autograd batches (is_grads_batched) knows neither einsum nor flatten.
def _flat(c: Tensor) -> Tensor:
    return c.reshape(c.shape[0], c.shape[1] * c.shape[2])


def _rows(f: Tensor, u: Tensor | None) -> Tensor:
    return _flat(f if u is None else f * u[..., None])
