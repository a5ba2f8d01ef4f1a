"""The spline ops by the compiled kernels of csrc/: plain tensors in, plain tensors out.

Every array passed is dense, of one dtype (float32 or float64), on the CPU, and held by a name until the
call is over. What is called here is not differentiable; ``ops`` is.
"""

from __future__ import annotations

import ctypes
from dataclasses import dataclass

import torch
from torch import Tensor

from edgewise.kernels import native
from edgewise.kernels.bspline.contract import Spline

_OUTSIDE = {"linear": 0, "zero": 1, "clamp": 2}
_RESIDUAL = {"zero": 0, "silu": 1, "identity": 2}
# Below so many edge evaluations a second thread costs more than it brings.
_WORTH_A_THREAD = 40_000


class _Layer(ctypes.Structure):
    """struct Layer of csrc/isa.hpp."""

    _fields_ = (
        *((name, ctypes.c_int64) for name in ("B", "I", "O", "G")),
        *(
            (name, ctypes.c_int32)
            for name in ("degree", "uniform", "outside", "residual", "threads", "wide")
        ),
    )


@dataclass(frozen=True)
class Kind:
    """A spline and the residual function beside it."""

    spline: Spline
    residual: str = "zero"


@dataclass(frozen=True)
class Weights:
    """coef (O, I, K), and, or None: scale (O, I), the residual's scale_base (O, I), mask (O, I) on both."""

    coef: Tensor
    scale: Tensor | None = None
    scale_base: Tensor | None = None
    mask: Tensor | None = None


def _library() -> ctypes.CDLL:
    handle = native.library()
    if handle is None:
        raise RuntimeError("a native spline op was called, but kernel_info() says 'reference'")
    return handle


def _layer(x: Tensor, grid: Tensor, O: int, kind: Kind) -> _Layer:
    (B, I), G = x.shape, grid.shape[1] - 1
    threads = native.threads() if B * I * O >= _WORTH_A_THREAD else 1
    return _Layer(
        *(B, I, O, G),
        kind.spline.degree,
        kind.spline.uniform,
        _OUTSIDE[kind.spline.extrapolation],
        _RESIDUAL[kind.residual],
        threads,
        x.dtype == torch.float64,
    )


def _at(tensor: Tensor | None) -> int | None:
    return None if tensor is None else tensor.data_ptr()


def _arrays(weights: Weights) -> tuple[Tensor | None, ...]:
    return weights.coef, weights.scale, weights.scale_base, weights.mask


def _done(status: int) -> None:
    if status != 0:
        raise MemoryError("the spline kernels could not get their work space")


def run(
    x: Tensor,
    grid: Tensor,
    weights: Weights,
    kind: Kind,
    u: Tensor | None = None,
    order: int = 0,
) -> Tensor:
    """y_bo = sum_i u_bi mask_oi (scale_oi sum_k coef_oik B_k^(order)(x_bi) + scale_base_oi b(x_bi))."""
    O = weights.coef.shape[0]
    y = x.new_empty(x.shape[0], O)
    columns = None if u is None else u.t().contiguous()
    _done(
        _library().edgewise_forward(
            ctypes.byref(_layer(x, grid, O, kind)),
            *(_at(x), _at(grid), *map(_at, _arrays(weights))),
            *(_at(columns), order, _at(y)),
        )
    )
    return y


def gradients(
    x: Tensor,
    grid: Tensor,
    weights: Weights,
    kind: Kind,
    g: Tensor,
    wanted: tuple[bool, bool, bool, bool],
) -> tuple[Tensor | None, Tensor | None, Tensor | None, Tensor | None]:
    """The gradients of sum(g y) in x, coef, scale and scale_base, as far as they are wanted."""
    sources = (x, weights.coef, weights.scale, weights.scale_base)
    made = [
        torch.empty_like(source) if want and source is not None else None
        for source, want in zip(sources, wanted, strict=True)
    ]
    _done(
        _library().edgewise_backward(
            ctypes.byref(_layer(x, grid, weights.coef.shape[0], kind)),
            *(_at(x), _at(grid), *map(_at, _arrays(weights))),
            *(None, _at(g), 1, 0),
            *map(_at, made),
        )
    )
    return made[0], made[1], made[2], made[3]


def forward(
    x: Tensor, grid: Tensor, c: Tensor, u: Tensor | None, order: int, spline: Spline
) -> Tensor:
    """F_r of the contract."""
    return run(x, grid, Weights(c), Kind(spline), u, order)


def pull(x: Tensor, grid: Tensor, c: Tensor, g: Tensor, order: int, spline: Spline) -> Tensor:
    """D_r of the contract."""
    dx = torch.empty_like(x)
    _done(
        _library().edgewise_backward(
            ctypes.byref(_layer(x, grid, c.shape[0], Kind(spline))),
            *(_at(x), _at(grid), _at(c), *(None,) * 4, _at(g), order, order),
            *(_at(dx), None, None, None),
        )
    )
    return dx


def outer(
    x: Tensor, grid: Tensor, g: Tensor, u: Tensor | None, order: int, spline: Spline
) -> Tensor:
    """H_r of the contract."""
    O = g.shape[1]
    dc = x.new_empty(O, x.shape[1], grid.shape[1] - 1 + spline.degree)
    columns = None if u is None else u.t().contiguous()
    _done(
        _library().edgewise_backward(
            ctypes.byref(_layer(x, grid, O, Kind(spline))),
            *(_at(x), _at(grid), *(None,) * 4, _at(columns), _at(g), order, order),
            *(None, _at(dc), None, None),
        )
    )
    return dc
