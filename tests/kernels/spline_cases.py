"""Arguments of the spline ops, and what products with the dense basis give for them."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, fields, replace
from pathlib import Path

import torch
from torch import Tensor

import edgewise
from edgewise.kernels.bspline import ops, plain
from edgewise.kernels.bspline.contract import Spline
from edgewise.kernels.bspline.reference import dense

ISAS = edgewise.kernel_info().isas
BACKENDS = ("reference", *ISAS)
RULES = ("linear", "zero", "clamp")
OPS = ("forward", "pull", "outer")
RESIDUAL_NAMES = ("silu", "identity", "zero")


@dataclass(frozen=True)
class Case:
    """Everything that F, D, H and ``mix`` take, for one spline and one order."""

    spline: Spline
    order: int
    x: Tensor
    grid: Tensor
    c: Tensor
    u: Tensor
    g: Tensor
    scale: Tensor
    scale_base: Tensor
    mask: Tensor

    def to(self, dtype: torch.dtype) -> Case:
        tensors = {f.name: getattr(self, f.name) for f in fields(self)[2:]}
        return replace(self, **{name: t.to(dtype) for name, t in tensors.items()})


def knots(
    I: int, G: int, uniform: bool, lower: float = -1.0, upper: float = 1.0, seed: int = 0
) -> Tensor:
    """Increasing knots (I, G+1); the first input has the range [lower, upper], others one near it."""
    draw = torch.Generator().manual_seed(seed)
    width = torch.ones(I, G, dtype=torch.float64)
    if not uniform:
        width = 0.3 + torch.rand(I, G, generator=draw, dtype=torch.float64)
    share = torch.cat([torch.zeros(I, 1), width.cumsum(1) / width.sum(1, keepdim=True)], 1)
    shift = torch.arange(I, dtype=torch.float64)[:, None] / 8
    return lower + (upper - lower) * (share * (1 + shift) + shift)


def points(B: int, grid: Tensor, seed: int = 0) -> Tensor:
    """(B, I): every knot where there are rows enough, the others at random, a fifth outside."""
    I, N = grid.shape
    draw = torch.Generator().manual_seed(seed)
    share = 1.25 * torch.rand(B, I, generator=draw, dtype=torch.float64) - 0.125
    x = grid[:, 0] + share * (grid[:, -1] - grid[:, 0])
    if B >= N:
        x[torch.randperm(B, generator=draw)[:N]] = grid.T
    return x


def case(
    spline: Spline,
    order: int = 0,
    sizes: tuple[int, int, int, int] = (37, 3, 5, 4),
    limits: tuple[float, float] = (-1.0, 1.0),
    seed: int = 0,
) -> Case:
    """Random arguments for sizes (B, I, O, G)."""
    B, I, O, G = sizes
    draw = torch.Generator().manual_seed(seed + 1)

    def normal(*shape: int) -> Tensor:
        return torch.randn(shape, generator=draw, dtype=torch.float64)

    grid = knots(I, G, spline.uniform, *limits, seed=seed)
    return Case(
        spline,
        order,
        points(B, grid, seed),
        grid,
        normal(O, I, G + spline.degree),
        normal(B, I),
        normal(B, O),
        normal(O, I),
        normal(O, I),
        torch.ones(O, I, dtype=torch.float64),
    )


def run(op: str, k: Case, given: bool = True) -> Tensor:
    """The op; with a factor u, where it may have one, if ``given``."""
    u, rest = k.u if given else None, (k.order, k.spline)
    if op == "forward":
        return ops.forward(k.x, k.grid, k.c, u, *rest)
    if op == "pull":
        return ops.pull(k.x, k.grid, k.c, k.g, *rest)
    return ops.outer(k.x, k.grid, k.g, u, *rest)


def truth(op: str, k: Case, given: bool = True) -> Tensor:
    """The contract's sums, written down."""
    u, s = k.u if given else torch.ones_like(k.u), k.spline
    basis = dense(k.x, k.grid, s.degree, k.order, s.extrapolation, s.uniform)
    if op == "forward":
        return torch.einsum("bi,bik,oik->bo", u, basis, k.c)
    if op == "pull":
        return torch.einsum("bo,bik,oik->bi", k.g, basis, k.c)
    return torch.einsum("bo,bi,bik->oik", k.g, u, basis)


LEAVES = ("x", "coef", "scale", "scale_base")


def mix(k: Case, residual: str, **others: Tensor) -> Tensor:
    """A layer's sums, with ``others`` in place of the case's own arguments."""
    tensors = {"x": k.x, "grid": k.grid, "coef": k.c, "scale": k.scale}
    tensors |= {"scale_base": k.scale_base, "mask": k.mask}
    return ops.mix(**(tensors | others), spline=k.spline, residual=residual)


def mix_and_slopes(k: Case, residual: str, leaves: tuple[str, ...] = LEAVES) -> dict[str, Tensor]:
    """The sums as "y" and their gradients by the named arguments along g; None where there is none."""
    given = {name: getattr(k, "c" if name == "coef" else name) for name in leaves}
    given = {name: tensor.clone().requires_grad_() for name, tensor in given.items()}
    y = mix(k, residual, **given)
    slopes = torch.autograd.grad(y, list(given.values()), k.g, allow_unused=True)
    return {"y": y.detach(), **dict(zip(given, slopes, strict=True))}


def splines(degrees: range = range(1, 6)) -> Iterator[Spline]:
    for degree in degrees:
        for uniform in (True, False):
            for rule in RULES:
                yield Spline(degree, uniform, rule)


def error(found: Tensor, expected: Tensor) -> float:
    """The largest error over the largest value; NaN must stand where NaN is expected."""
    assert found.shape == expected.shape, (found.shape, expected.shape)
    if not torch.equal(found.isnan(), expected.isnan()):
        return torch.inf
    if not expected.numel():
        return 0.0
    off = (found - expected).nan_to_num().abs().max()
    size = expected.nan_to_num().abs().max()
    return float(off if size == 0 else off / size)


@contextmanager
def no_plain(monkeypatch: object) -> Iterator[None]:
    """Within the block the plain ops may not be called: what is computed is computed natively."""

    def refuse(*_: object) -> Tensor:
        raise AssertionError("the plain op was called")

    with monkeypatch.context() as patch:  # type: ignore[attr-defined]
        for name in (*OPS, "features"):
            patch.setattr(plain, name, refuse)
        yield


def process(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """What ``python`` with the arguments does, in two minutes at most; it can import what lies here."""
    here = str(Path(__file__).parent)
    path = os.pathsep.join(filter(None, (here, os.environ.get("PYTHONPATH"))))
    return subprocess.run(
        [sys.executable, *(["-S"] if sys.flags.no_site else []), *arguments],
        capture_output=True,
        text=True,
        timeout=120,
        env={**os.environ, "PYTHONPATH": path, **environment},
    )
