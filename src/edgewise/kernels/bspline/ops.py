"""The spline ops with gradients of every order: by the compiled kernels where they apply.

F_r, D_r and H_r (``contract``) are closed under differentiation, so each backward below is made of the
three again, and a second or third derivative stays on the fast path:

    F_r: dx = u D_{r+1}(x, c, g),  dc = H_r(x, g, u),        du = D_r(x, c, g)
    D_r: dx = v D_{r+1}(x, c, g),  dc = H_r(x, g, v),        dg = F_r(x, c, v)      v: (B, I)
    H_r: dx = u D_{r+1}(x, V, g),  dg = F_r(x, V, u),        du = D_r(x, V, g)      V: (O, I, K)

``mix`` is a whole layer, with scales and the residual branch in the same pass.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from edgewise.kernels import native
from edgewise.kernels.bspline import cpu, plain
from edgewise.kernels.bspline.contract import Spline, check
from edgewise.kernels.residual import RESIDUALS, full_precision, mixed


def forward(
    x: Tensor, grid: Tensor, c: Tensor, u: Tensor | None, order: int, spline: Spline
) -> Tensor:
    """F_r (B, O), differentiable in x, c and u."""
    check(x, grid, spline, order, c=c, u=u)
    if (backend := _backend(x, grid, c, u)) is not None:
        return _Forward.apply(*_dense(x, grid, c, u), order, spline, backend)
    return plain.forward(x, grid, c, u, order, spline)


def pull(x: Tensor, grid: Tensor, c: Tensor, g: Tensor, order: int, spline: Spline) -> Tensor:
    """D_r (B, I), differentiable in x, c and g."""
    check(x, grid, spline, order, c=c, g=g)
    if (backend := _backend(x, grid, c, g)) is not None:
        return _Pull.apply(*_dense(x, grid, c, g), order, spline, backend)
    return plain.pull(x, grid, c, g, order, spline)


def outer(
    x: Tensor, grid: Tensor, g: Tensor, u: Tensor | None, order: int, spline: Spline
) -> Tensor:
    """H_r (O, I, K), differentiable in x, g and u."""
    check(x, grid, spline, order, g=g, u=u)
    if (backend := _backend(x, grid, g, u)) is not None:
        return _Outer.apply(*_dense(x, grid, g, u), order, spline, backend)
    return plain.outer(x, grid, g, u, order, spline)


def features(x: Tensor, grid: Tensor, spline: Spline) -> Tensor:
    """B_k(x) (B, I, K), differentiable in x.

    On even knots the ranges of all inputs are mapped to one, on which the compiled F_0 of unit
    coefficients gives the functions side by side.
    """
    check(x, grid, spline)
    if _backend(x, grid) is not cpu or not spline.uniform:
        return plain.features(x, grid, 0, spline)
    lower, upper = grid[:, 0], grid[:, -1]
    z = ((x - lower) / (upper - lower)).reshape(-1, 1)
    knots = torch.linspace(0, 1, grid.shape[1], dtype=x.dtype)[None]
    K = grid.shape[1] - 1 + spline.degree
    each = torch.eye(K, dtype=x.dtype)[:, None]
    return forward(z, knots, each, None, 0, spline).view(*x.shape, K)


def mix(
    x: Tensor,
    grid: Tensor,
    coef: Tensor,
    scale: Tensor,
    scale_base: Tensor,
    mask: Tensor,
    spline: Spline,
    residual: str,
) -> Tensor:
    """y_bo = sum_i mask_oi [scale_oi sum_k coef_oik B_k(x_bi) + scale_base_oi b(x_bi)], (B, O).

    residual: the name of b in RESIDUALS. An input that no edge reads may hold anything, NaN too. On
    the fast path differentiable in all but grid and mask; where one of them is learnt, by torch alone.
    """
    check(x, grid, spline, c=coef, scale=scale, scale_base=scale_base, mask=mask)
    backend = _backend(x, grid, coef, scale, scale_base, mask)
    if backend is cpu and not mask.requires_grad:
        kind = cpu.Kind(spline, residual)
        base = None if residual == "zero" else scale_base
        tensors = _dense(x, grid, coef, scale, base, mask)
        if torch.is_grad_enabled() and any(t is not None and t.requires_grad for t in tensors):
            return _Mix.apply(*tensors, kind)
        x, grid, *weights = tensors
        return cpu.run(x, grid, cpu.Weights(*weights), kind)
    x = torch.where((mask != 0).any(0), x, 0.0)  # 0 times infinity is not 0
    scale, scale_base = scale * mask, scale_base * mask
    if backend is None:
        return mixed(plain.features(x, grid, 0, spline), x, coef, scale, scale_base, residual)
    y = forward(x, grid, coef * scale[..., None], None, 0, spline)
    if residual == "zero":
        return y
    with full_precision(x):
        return y + RESIDUALS[residual][0](x) @ scale_base.T


def _backend(x: Tensor, grid: Tensor, *others: Tensor | None) -> Any:
    """The module whose kernels compute with these tensors, or None for the plain functions."""
    if grid.requires_grad:
        return None
    if native.takes(x, grid, *others):
        return cpu
    if native.takes_gpu(x, grid, *others):
        from edgewise.kernels.bspline import triton  # heavy, and only where there is a GPU

        return triton
    return None


def _dense(*tensors: Any) -> tuple[Any, ...]:
    return tuple(None if t is None else t.contiguous() for t in tensors)


def _times(factor: Tensor | None, value: Tensor) -> Tensor:
    return value if factor is None else factor * value


class _Forward(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, x: Any, grid: Any, c: Any, u: Any, order: int, spline: Spline, backend: Any
    ) -> Tensor:
        ctx.save_for_backward(x, grid, c, u)
        ctx.order, ctx.spline = order, spline
        return backend.forward(x, grid, c, u, order, spline)

    @staticmethod
    def backward(ctx: Any, g: Tensor) -> Any:
        (x, grid, c, u), r, spline = ctx.saved_tensors, ctx.order, ctx.spline
        to_x, _, to_c, to_u, *_ = ctx.needs_input_grad
        dx = _times(u, pull(x, grid, c, g, r + 1, spline)) if to_x else None
        dc = outer(x, grid, g, u, r, spline) if to_c else None
        du = pull(x, grid, c, g, r, spline) if to_u else None
        return dx, None, dc, du, None, None, None


class _Pull(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, x: Any, grid: Any, c: Any, g: Any, order: int, spline: Spline, backend: Any
    ) -> Tensor:
        ctx.save_for_backward(x, grid, c, g)
        ctx.order, ctx.spline = order, spline
        return backend.pull(x, grid, c, g, order, spline)

    @staticmethod
    def backward(ctx: Any, v: Tensor) -> Any:
        (x, grid, c, g), r, spline = ctx.saved_tensors, ctx.order, ctx.spline
        to_x, _, to_c, to_g, *_ = ctx.needs_input_grad
        dx = v * pull(x, grid, c, g, r + 1, spline) if to_x else None
        dc = outer(x, grid, g, v, r, spline) if to_c else None
        dg = forward(x, grid, c, v, r, spline) if to_g else None
        return dx, None, dc, dg, None, None, None


class _Outer(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, x: Any, grid: Any, g: Any, u: Any, order: int, spline: Spline, backend: Any
    ) -> Tensor:
        ctx.save_for_backward(x, grid, g, u)
        ctx.order, ctx.spline = order, spline
        return backend.outer(x, grid, g, u, order, spline)

    @staticmethod
    def backward(ctx: Any, V: Tensor) -> Any:
        (x, grid, g, u), r, spline = ctx.saved_tensors, ctx.order, ctx.spline
        to_x, _, to_g, to_u, *_ = ctx.needs_input_grad
        dx = _times(u, pull(x, grid, V, g, r + 1, spline)) if to_x else None
        dg = forward(x, grid, V, u, r, spline) if to_g else None
        du = pull(x, grid, V, g, r, spline) if to_u else None
        return dx, None, dg, du, None, None, None


class _Mix(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, x: Any, grid: Any, coef: Any, scale: Any, base: Any, mask: Any, kind: cpu.Kind
    ) -> Tensor:
        ctx.save_for_backward(x, grid, coef, scale, base, mask)
        ctx.kind = kind
        return cpu.run(x, grid, cpu.Weights(coef, scale, base, mask), kind)

    @staticmethod
    def backward(ctx: Any, g: Tensor) -> Any:
        x, grid, coef, scale, base, mask = ctx.saved_tensors
        to_x, _, to_coef, to_scale, to_base, *_ = ctx.needs_input_grad
        wanted = (to_x, to_coef, to_scale, to_base)
        if torch.is_grad_enabled() or not native.takes(g, x):
            with full_precision(x):
                made = _mix_gradients(x, grid, coef, scale, base, mask, ctx.kind, g, wanted)
        else:
            weights = cpu.Weights(coef, scale, base, mask)
            made = cpu.gradients(x, grid, weights, ctx.kind, g.contiguous(), wanted)
        dx, dc, dw, dv = made
        return dx, None, dc, dw, dv, None, None


def _mix_gradients(
    x: Tensor,
    grid: Tensor,
    coef: Tensor,
    scale: Tensor,
    base: Tensor | None,
    mask: Tensor,
    kind: cpu.Kind,
    g: Tensor,
    wanted: tuple[bool, bool, bool, bool],
) -> tuple[Tensor | None, Tensor | None, Tensor | None, Tensor | None]:
    """The backward of ``mix`` as a function that can be differentiated again."""
    to_x, to_coef, to_scale, to_base = wanted
    b, slope = RESIDUALS[kind.residual]
    x = torch.where((mask != 0).any(0), x, 0.0)
    scale = scale * mask
    dx = dc = dw = dv = None
    if to_x:
        dx = pull(x, grid, coef * scale[..., None], g, 1, kind.spline)
        if base is not None:
            dx = dx + slope(x) * (g @ (base * mask))
    if to_coef or to_scale:
        h = outer(x, grid, g, None, 0, kind.spline)
        dc = h * scale[..., None] if to_coef else None
        dw = (h * coef).sum(-1) * mask if to_scale else None
    if to_base:
        dv = (g.T @ b(x)) * mask
    return dx, dc, dw, dv
