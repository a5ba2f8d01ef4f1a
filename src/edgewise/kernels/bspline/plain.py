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
