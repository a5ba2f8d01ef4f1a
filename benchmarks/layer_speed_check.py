"""Is what is about to be timed right? edgewise in float32 against the formula in float64.

The formula is written out here on the dense reference basis, so that no fast path of the library
judges itself:

    y_o = sum_i w_b,oi silu(x_i) + w_s,oi sum_k c_oik B_k(x_i)

An error is the largest deviation relative to the largest true value. What is allowed is twice the
error that this same formula makes in float32, and no less than 4 epsilon: where plain torch happens
to be exact, another order of the sum is not wrong.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass

import torch
from torch import Tensor
from torch.nn.functional import silu

from edgewise.kernels.bspline import reference
from layer_speed_contestants import Numbers, edgewise_module
from layer_speed_shapes import DEGREE, Shape
from layer_speed_stand import relative

FLOOR = 4 * torch.finfo(torch.float32).eps
# Twice the plain error means nothing where that error is large itself.
CEILING = 1e-3
PARAMETERS = ("coef", "scale_base", "scale_spline")


@dataclass(frozen=True)
class Line:
    """One compared tensor: the error of edgewise, that of the formula in float32, the allowed."""

    what: str
    error: float
    plain: float
    allowed: float

    @property
    def good(self) -> bool:
        return self.error <= self.allowed  # False for NaN

    def to_dict(self) -> dict:
        return asdict(self) | {"good": self.good}


def check(shape: Shape, numbers: Numbers) -> tuple[list[Line], Numbers]:
    """The lines, and the true output and input gradient for the rivals of a layer."""
    module = edgewise_module(shape, numbers)
    layers = [module] if shape.is_layer else list(module.layers)
    state = [[getattr(layer, name).detach() for name in PARAMETERS] for layer in layers]
    grids = [layer.grid for layer in layers]

    x = numbers["x"].clone().requires_grad_(shape.input_gradient)
    y = module(x)
    y.backward(numbers["g"])
    gradients = [getattr(layer, name).grad for layer in layers for name in PARAMETERS]
    ours = [y.detach(), *([x.grad] if shape.input_gradient else []), *gradients]

    true = formula(shape, numbers, state, grids, torch.float64)
    plain = formula(shape, numbers, state, grids, torch.float32)
    names = ["output", *(["input gradient"] if shape.input_gradient else [])]
    for n in range(len(layers)):
        where = "" if shape.is_layer else f" of layer {n}"
        names += [f"{name} gradient{where}" for name in PARAMETERS]
    lines = []
    for name, mine, theirs, exact in zip(names, ours, plain, true, strict=True):
        own = relative(theirs, exact)
        allowed = min(max(2 * own, FLOOR), CEILING)
        lines.append(Line(name, relative(mine, exact), own, allowed))
    known = {"true_y": true[0], "true_dx": true[1]} if shape.is_layer else {}
    return lines, known


def formula(
    shape: Shape,
    numbers: Numbers,
    state: list[list[Tensor]],
    grids: list[Tensor],
    dtype: torch.dtype,
) -> list[Tensor]:
    """Output, input gradient (where asked) and the parameters' gradients, layer by layer."""
    start = numbers["x"].detach().to(dtype).requires_grad_(shape.input_gradient)
    leaves, x = [], start
    for tensors, grid in zip(state, grids, strict=True):
        c, w_b, w_s = (tensor.to(dtype).requires_grad_() for tensor in tensors)
        leaves += [c, w_b, w_s]
        # B (B, I K)
        B = reference.dense(x, grid.to(dtype), DEGREE, uniform=True).flatten(1)
        x = silu(x) @ w_b.T + B @ (w_s[..., None] * c).flatten(1).T
    x.backward(numbers["g"].to(dtype))
    return [x.detach(), *([start.grad] if shape.input_gradient else []), *(v.grad for v in leaves)]
