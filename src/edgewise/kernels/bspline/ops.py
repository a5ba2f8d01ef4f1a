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
    if native.takes(x, grid, c, u) and not grid.requires_grad:
        return _Forward.apply(*_dense(x, grid, c, u), order, spline)
    return plain.forward(x, grid, c, u, order, spline)


def pull(x: Tensor, grid: Tensor, c: Tensor, g: Tensor, order: int, spline: Spline) -> Tensor:
    """D_r (B, I), differentiable in x, c and g."""
    check(x, grid, spline, order, c=c, g=g)
    if native.takes(x, grid, c, g) and not grid.requires_grad:
        return _Pull.apply(*_dense(x, grid, c, g), order, spline)
    return plain.pull(x, grid, c, g, order, spline)


def outer(
    x: Tensor, grid: Tensor, g: Tensor, u: Tensor | None, order: int, spline: Spline
) -> Tensor:
    """H_r (O, I, K), differentiable in x, g and u."""
    check(x, grid, spline, order, g=g, u=u)
    if native.takes(x, grid, g, u) and not grid.requires_grad:
        return _Outer.apply(*_dense(x, grid, g, u), order, spline)
    return plain.outer(x, grid, g, u, order, spline)


def mix(
    x: Tensor,
    grid: Tensor,
    coef: Tensor,
    scale: Tensor,
    scale_base: Tensor,
    spline: Spline,
    residual: str,
    used: Tensor | None = None,
) -> Tensor:
    """y_bo = sum_i [scale_oi sum_k coef_oik B_k(x_bi) + scale_base_oi b(x_bi)]: a layer's sums (B, O).

    residual: the name of b in RESIDUALS. used: (I,) bool, inputs that count; None for all. An input
    that does not may hold anything, NaN too. Differentiable in all but grid.
    """
    check(x, grid, spline, c=coef, scale=scale, scale_base=scale_base, used=used)
    if native.takes(x, grid, coef, scale, scale_base) and not grid.requires_grad:
        kind = cpu.Kind(spline, residual, None if used is None else used.to(torch.uint8))
        tensors = _dense(x, grid, coef, scale, None if residual == "zero" else scale_base)
        if torch.is_grad_enabled() and any(t is not None and t.requires_grad for t in tensors):
            return _Mix.apply(*tensors, kind)
        x, grid, *weights = tensors
        return cpu.mixed(x, grid, cpu.Weights(*weights), kind)
    if used is not None:
        # 0 times infinity is not 0
        x = torch.where(used, x, 0.0)
    return mixed(plain.features(x, grid, 0, spline), x, coef, scale, scale_base, residual)


def _dense(*tensors: Any) -> tuple[Any, ...]:
    return tuple(None if t is None else t.contiguous() for t in tensors)


def _times(factor: Tensor | None, value: Tensor) -> Tensor:
    return value if factor is None else factor * value


class _Forward(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Any, grid: Any, c: Any, u: Any, order: int, spline: Spline) -> Tensor:
        ctx.save_for_backward(x, grid, c, u)
        ctx.order, ctx.spline = order, spline
        return cpu.forward(x, grid, c, u, order, spline)

    @staticmethod
    def backward(ctx: Any, g: Tensor) -> Any:
        (x, grid, c, u), r, spline = ctx.saved_tensors, ctx.order, ctx.spline
        to_x, _, to_c, to_u, *_ = ctx.needs_input_grad
        dx = _times(u, pull(x, grid, c, g, r + 1, spline)) if to_x else None
        dc = outer(x, grid, g, u, r, spline) if to_c else None
        du = pull(x, grid, c, g, r, spline) if to_u else None
        return dx, None, dc, du, None, None


class _Pull(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Any, grid: Any, c: Any, g: Any, order: int, spline: Spline) -> Tensor:
        ctx.save_for_backward(x, grid, c, g)
        ctx.order, ctx.spline = order, spline
        return cpu.pull(x, grid, c, g, order, spline)

    @staticmethod
    def backward(ctx: Any, v: Tensor) -> Any:
        (x, grid, c, g), r, spline = ctx.saved_tensors, ctx.order, ctx.spline
        to_x, _, to_c, to_g, *_ = ctx.needs_input_grad
        dx = v * pull(x, grid, c, g, r + 1, spline) if to_x else None
        dc = outer(x, grid, g, v, r, spline) if to_c else None
        dg = forward(x, grid, c, v, r, spline) if to_g else None
        return dx, None, dc, dg, None, None


class _Outer(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Any, grid: Any, g: Any, u: Any, order: int, spline: Spline) -> Tensor:
        ctx.save_for_backward(x, grid, g, u)
        ctx.order, ctx.spline = order, spline
        return cpu.outer(x, grid, g, u, order, spline)

    @staticmethod
    def backward(ctx: Any, V: Tensor) -> Any:
        (x, grid, g, u), r, spline = ctx.saved_tensors, ctx.order, ctx.spline
        to_x, _, to_g, to_u, *_ = ctx.needs_input_grad
        dx = _times(u, pull(x, grid, V, g, r + 1, spline)) if to_x else None
        dg = forward(x, grid, V, u, r, spline) if to_g else None
        du = pull(x, grid, V, g, r, spline) if to_u else None
        return dx, None, dg, du, None, None


class _Mix(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, x: Any, grid: Any, coef: Any, scale: Any, scale_base: Any, kind: cpu.Kind
    ) -> Tensor:
        plan = cpu.plan(x, grid, coef.shape[0], kind)
        ctx.save_for_backward(x, grid, coef, scale, scale_base, plan)
        ctx.kind = kind
        return cpu.run(x, grid, plan, cpu.Weights(coef, scale, scale_base), kind)

    @staticmethod
    def backward(ctx: Any, g: Tensor) -> Any:
        x, grid, coef, scale, scale_base, plan = ctx.saved_tensors
        kind = ctx.kind
        to_x, _, to_coef, to_scale, to_base, _ = ctx.needs_input_grad
        if torch.is_grad_enabled() or not native.takes(g, x):
            with full_precision(x):
                return _mix_gradients(ctx, g)
        weights = cpu.Weights(coef, scale, scale_base)
        wanted = (to_x, to_coef, to_scale, to_base)
        dx, dc, dw, dv = cpu.gradients(x, grid, plan, weights, kind, g.contiguous(), wanted)
        return dx, None, dc, dw, dv, None


def _mix_gradients(ctx: Any, g: Tensor) -> Any:
    """The backward of ``mix`` as a function that can be differentiated again."""
    x, grid, coef, scale, scale_base, _ = ctx.saved_tensors
    kind, spline = ctx.kind, ctx.kind.spline
    to_x, _, to_coef, to_scale, to_base, _ = ctx.needs_input_grad
    if kind.used is not None:
        x = torch.where(kind.used.bool(), x, 0.0)
    dx = dc = dw = dv = None
    if to_x:
        dx = pull(x, grid, coef * scale[..., None], g, 1, spline)
        if scale_base is not None:
            dx = dx + RESIDUALS[kind.residual][1](x) * (g @ scale_base)
        if kind.used is not None:
            dx = torch.where(kind.used.bool(), dx, 0.0)
    if to_coef or to_scale:
        h = outer(x, grid, g, None, 0, spline)
        if kind.used is not None:
            h = torch.where(kind.used.bool()[:, None], h, 0.0)
        dc = h * scale[..., None] if to_coef else None
        dw = (h * coef).sum(-1) if to_scale else None
    if to_base:
        b = RESIDUALS[kind.residual][0](x)
        dv = g.T @ (b if kind.used is None else torch.where(kind.used.bool(), b, 0.0))
    return dx, None, dc, dw, dv, None
