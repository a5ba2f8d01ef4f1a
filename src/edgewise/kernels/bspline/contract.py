"""What the three spline ops compute, stated once for every backend.

With B^(r) the r-th derivative of the basis on one input's knots (``reference.dense``),

    F_r(x, c, u)[b, o]    = sum_i u_bi sum_k B_k^(r)(x_bi) c_oik          (u = None means 1)
    D_r(x, c, g)[b, i]    = sum_o g_bo sum_k B_k^(r)(x_bi) c_oik
    H_r(x, g, u)[o, i, k] = sum_b g_bo u_bi B_k^(r)(x_bi)

for x, u (B, I), grid (I, G+1), c (O, I, K) with K = G + degree, and g (B, O), all of one dtype
(float32 or float64; half precision is computed in float32 by the plain backend) and on one device. A
backend is a module with the three functions

    forward(x, grid, c, u, order, spline) -> (B, O)
    pull(x, grid, c, g, order, spline)    -> (B, I)
    outer(x, grid, g, u, order, spline)   -> (O, I, K)

A NaN gives NaN, and an infinite x may. ``check`` says what does not fit; a backend relies on it.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from edgewise.errors import InputError, ShapeError

DEGREES = range(1, 6)
EXTRAPOLATIONS = ("linear", "zero", "clamp")
_HALF = (torch.float16, torch.bfloat16)


@dataclass(frozen=True)
class Spline:
    """The static part of a spline: its degree, whether its knots are even, and what lies outside.

    degree: 1 to 5. extrapolation: "linear" (value and slope go on), "zero", or "clamp" (the end's
    value). Raises InputError for others.
    """

    degree: int
    uniform: bool
    extrapolation: str

    def __post_init__(self) -> None:
        if not isinstance(self.degree, int) or self.degree not in DEGREES:
            raise InputError(f"degree is {self.degree!r}; expected a whole number from 1 to 5.")
        if self.extrapolation not in EXTRAPOLATIONS:
            raise InputError(
                f"extrapolation is {self.extrapolation!r}; expected one of {EXTRAPOLATIONS}."
            )


# The shape of each argument; N knots an input.
_LETTERS = {
    "x": "BI",
    "grid": "IN",
    "c": "OIK",
    "g": "BO",
    "u": "BI",
    "scale": "OI",
    "scale_base": "OI",
    "mask": "OI",
}


def _misfit(spline: Spline, order: int, given: dict[str, Tensor]) -> InputError:
    """What the first argument that does not fit is, and what it should be."""
    if order < 0:
        return InputError(f"order is {order}; expected 0 for values, 1 for slopes, and so on.")
    x = given["x"]
    if not x.is_floating_point():
        return ShapeError(f"x has dtype {x.dtype}; expected floats, e.g. x.double().")
    sizes: dict[str, int] = {}
    for name, tensor in given.items():
        letters, shape = _LETTERS[name], tuple(tensor.shape)
        for letter, size in zip(letters, shape, strict=False):
            sizes.setdefault(letter, size)
        if name == "grid" and len(shape) == 2:
            sizes["N"] = max(sizes["N"], 2)
            sizes["K"] = sizes["N"] - 1 + spline.degree
        expected = tuple(sizes.get(letter, letter) for letter in letters)
        if shape != expected:
            meaning = f"({', '.join(letters)})".replace("N", "G+1").replace("K", "G+degree")
            values = f"({', '.join(map(str, expected))})"
            return ShapeError(
                f"{name} has shape {shape}; expected {meaning} = {values}, with x of shape "
                f"{tuple(x.shape)} and degree {spline.degree}. Make one fit the other."
            )
        dtype = x.dtype
        if tensor.dtype != dtype and (name != "grid" or dtype not in _HALF):
            return ShapeError(
                f"{name} has dtype {tensor.dtype}; expected {dtype}, with x of dtype {x.dtype}. "
                f"Convert it by {name}.to({dtype})."
            )
        if tensor.device != x.device:
            return InputError(
                f"{name} is on {tensor.device}; expected {x.device}, where x is. Move one of them."
            )
    return ShapeError(f"grid has dtype {given['grid'].dtype}; expected floats, e.g. grid.float().")


def check(
    x: Tensor,
    grid: Tensor,
    spline: Spline,
    order: int = 0,
    *,
    c: Tensor | None = None,
    g: Tensor | None = None,
    u: Tensor | None = None,
    scale: Tensor | None = None,
    scale_base: Tensor | None = None,
    mask: Tensor | None = None,
) -> None:
    """Raise ShapeError or InputError unless the arguments of an op are those of the contract.

    Shapes as above, scale, scale_base and mask (O, I). O is that of c, else of g. Knots beside
    half precision may be of any float dtype. Values are not looked at.
    """
    if torch.jit.is_tracing():  # sizes are tensors then, and asking for them is warned of
        return
    dtype, device = x.dtype, x.device
    if x.dim() == 2 and grid.dim() == 2 and dtype.is_floating_point and order >= 0:
        (B, I), knots = x.shape, grid.shape[1]
        # an op has one of the two
        O = c.shape[0] if c is not None else -1 if g is None else g.shape[-1]
        fits = knots > 1 and grid.shape[0] == I and grid.device == device
        fits = fits and (grid.dtype is dtype or (dtype in _HALF and grid.is_floating_point()))
        for tensor, shape in (
            (c, (O, I, knots - 1 + spline.degree)),
            (g, (B, O)),
            (u, (B, I)),
            (scale, (O, I)),
            (scale_base, (O, I)),
            (mask, (O, I)),
        ):
            if tensor is not None:
                fits = fits and tensor.shape == shape
                fits = fits and tensor.dtype is dtype and tensor.device == device
        if fits:
            return
    given = {"x": x, "grid": grid, "c": c, "g": g, "u": u}
    given |= {"scale": scale, "scale_base": scale_base, "mask": mask}
    raise _misfit(spline, order, {name: t for name, t in given.items() if t is not None})
