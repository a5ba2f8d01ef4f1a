"""The Triton kernels against products with the dense basis: on a GPU, or else in the interpreter."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from itertools import cycle
from pathlib import Path

import pytest
import torch
from torch import Tensor

from edgewise.kernels import native
from edgewise.kernels.bspline import ops
from edgewise.kernels.bspline.contract import Spline
from edgewise.kernels.bspline.reference import dense

DEVICE = "cuda" if torch.cuda.is_available() else "cpu"
RULES = ("linear", "zero", "clamp")

with pytest.MonkeyPatch.context() as patch:
    if DEVICE == "cpu":  # Triton asks when it is imported, and again when a kernel runs
        patch.setenv("TRITON_INTERPRET", "1")
    pytest.importorskip("triton")
    from edgewise.kernels.bspline import triton as gpu


@pytest.fixture(autouse=True)
def interpreter(monkeypatch: pytest.MonkeyPatch) -> None:
    if DEVICE == "cpu":
        monkeypatch.setenv("TRITON_INTERPRET", "1")


class Case:
    """Random arguments of the three ops, and what the dense basis gives for them."""

    def __init__(
        self, spline: Spline, order: int, B: int = 21, I: int = 2, O: int = 3, G: int = 4
    ) -> None:
        self.spline, self.order = spline, order
        draw = torch.Generator().manual_seed(7)
        uneven = 0.0 if spline.uniform else torch.rand(I, G, generator=draw)
        edges = torch.cat([torch.zeros(I, 1), torch.ones(I, G) + uneven], 1).double().cumsum(1)
        grid = 0.5 * edges - torch.arange(1.0, I + 1)[:, None]
        # a fifth of the points outside, and every knot where there are rows enough
        x = torch.rand(B, I, generator=draw).double() * 1.25 - 0.125
        x = grid[:, 0] + x * (grid[:, -1] - grid[:, 0])
        if B > G:
            x[: G + 1] = grid.T
        sizes = {"c": (O, I, G + spline.degree), "u": (B, I), "g": (B, O)}
        drawn = {name: torch.randn(size, generator=draw).double() for name, size in sizes.items()}
        self.arguments: dict[str, Tensor] = {"x": x, "grid": grid, **drawn}

    def run(self, op: str, dtype: torch.dtype = torch.float64, given: bool = True) -> Tensor:
        a = {name: value.to(DEVICE, dtype) for name, value in self.arguments.items()}
        u, rest = a["u"] if given else None, (self.order, self.spline)
        if op == "forward":
            return gpu.forward(a["x"], a["grid"], a["c"], u, *rest).cpu()
        if op == "pull":
            return gpu.pull(a["x"], a["grid"], a["c"], a["g"], *rest).cpu()
        return gpu.outer(a["x"], a["grid"], a["g"], u, *rest).cpu()

    def expected(self, op: str, dtype: torch.dtype = torch.float64, given: bool = True) -> Tensor:
        a = {name: value.to(dtype) for name, value in self.arguments.items()}
        s, u = self.spline, a["u"] if given else torch.ones_like(a["u"])
        basis = dense(a["x"], a["grid"], s.degree, self.order, s.extrapolation, s.uniform)
        if op == "forward":
            return torch.einsum("bi,bik,oik->bo", u, basis, a["c"])
        if op == "pull":
            return torch.einsum("bo,bik,oik->bi", a["g"], basis, a["c"])
        return torch.einsum("bo,bi,bik->oik", a["g"], u, basis)

    def check(self, op: str, given: bool = True) -> None:
        found, expected = self.run(op, given=given), self.expected(op, given=given)
        scale = expected.abs().max().clamp(min=1) if expected.numel() else 1
        torch.testing.assert_close(found / scale, expected / scale, rtol=1e-11, atol=1e-12)


def splines() -> Iterator[tuple[Spline, int]]:
    """Every degree, order and kind of knots; the rules for what lies outside take turns."""
    rules = cycle(RULES)
    for degree in range(1, 6):
        for order in range(degree + 2):
            for uniform in (True, False):
                yield Spline(degree, uniform, next(rules)), order


@pytest.mark.parametrize("op", ["forward", "pull", "outer"])
@pytest.mark.parametrize("degree", range(1, 6))
def test_every_degree_order_and_kind_of_knots(op, degree):
    for turn, (spline, order) in enumerate(splines()):
        if spline.degree == degree:
            Case(spline, order).check(op, given=turn % 4 < 2)


@pytest.mark.parametrize("rule", RULES)
@pytest.mark.parametrize("uniform", [True, False])
def test_every_rule_outside(uniform, rule):
    for degree in (1, 3, 4):
        for order in range(degree + 2):
            Case(Spline(degree, uniform, rule), order, I=1, O=1).check("forward")


@pytest.mark.parametrize(
    ("B", "I", "O", "G"),
    [(1, 1, 1, 1), (33, 17, 2, 3), (5, 2, 70, 2), (140, 1, 9, 1), (3, 1, 129, 20), (70, 1, 1, 1)],
)
def test_shapes_that_fill_no_block(B, I, O, G):
    for op in ("forward", "pull", "outer"):
        Case(Spline(2, False, "linear"), 1, B, I, O, G).check(op)


@pytest.mark.parametrize(("B", "I", "O"), [(0, 2, 3), (5, 0, 3), (5, 2, 0)])
def test_nothing_gives_zeros(B, I, O):
    for op in ("forward", "pull", "outer"):
        Case(Spline(3, True, "linear"), 0, B, I, O).check(op)


@pytest.mark.parametrize("programs", [1, 10_000])
def test_a_sum_may_be_cut_into_parts(programs, monkeypatch):
    monkeypatch.setattr(gpu, "PROGRAMS", programs)
    for op in ("forward", "outer"):
        Case(Spline(3, False, "linear"), 0, B=150, I=3, O=5, G=1).check(op)


@pytest.mark.parametrize("op", ["forward", "pull", "outer"])
def test_the_same_call_gives_the_same_bits(op):
    case = Case(Spline(3, False, "linear"), 0, B=300)
    assert case.run(op, torch.float32).equal(case.run(op, torch.float32))


@pytest.mark.parametrize("op", ["forward", "pull", "outer"])
def test_memory_that_is_not_contiguous(op):
    case = Case(Spline(3, True, "linear"), 0)
    expected = case.expected(op)
    for name, value in case.arguments.items():
        case.arguments[name] = value.mT.contiguous().mT
    torch.testing.assert_close(case.run(op), expected)


@pytest.mark.parametrize("uniform", [True, False])
@pytest.mark.parametrize("order", [0, 3, 4])
@pytest.mark.filterwarnings("ignore:invalid value:RuntimeWarning")  # numpy, in the interpreter
def test_nan_and_infinity_give_nan_in_their_own_row_only(uniform, order):
    for rule, bad in zip(RULES, (torch.nan, torch.inf, -torch.inf), strict=True):
        case = Case(Spline(3, uniform, rule), order)
        expected = {op: case.expected(op) for op in ("forward", "pull")}
        case.arguments["x"][9, 1] = bad
        forward, pull = case.run("forward"), case.run("pull")
        assert forward[9].isnan().all() and pull[9, 1].isnan()
        forward[9] = expected["forward"][9]
        pull[9, 1] = expected["pull"][9, 1]
        torch.testing.assert_close(forward, expected["forward"])
        torch.testing.assert_close(pull, expected["pull"])
        outer = case.run("outer")
        assert outer[:, 1].isnan().any(-1).all() and outer[:, 0].isfinite().all()


@pytest.mark.parametrize("uniform", [True, False])
def test_single_precision_errs_no_more_than_the_reference(uniform):
    for order in (0, 1):
        case = Case(Spline(3, uniform, "linear"), order, B=64)
        for name, value in case.arguments.items():  # the same points and knots in both precisions
            case.arguments[name] = value.float().double()
        for op in ("forward", "pull", "outer"):
            truth, found = case.expected(op), case.run(op, torch.float32)
            assert found.dtype == torch.float32
            own = (case.expected(op, torch.float32).double() - truth).abs().max()
            assert (found.double() - truth).abs().max() <= 2 * own + 1e-6 * truth.abs().max()


COMPILE = """
import warnings

from triton import compile
from triton.backends.compiler import GPUTarget
from triton.compiler import ASTSource

from edgewise.kernels.bspline import triton_kernels as kernels

warnings.simplefilter("ignore")  # advice about defaults to come
SIZES = ("B", "I", "G", "K", "O", "share", "shares")
KINDS = {"first": "*i32", "rows": "*i64", "starts": "*i64", **dict.fromkeys(SIZES, "i32")}
block = dict(N=4, ROWS=8, COLUMNS=64)
points = dict(N=4, ORDER=1, STEPS=3, ROWS=32, INPUTS=2)
for kernel, constants in (
    (kernels.active, dict(points, UNIFORM=True)),
    (kernels.active, dict(points, UNIFORM=False)),
    (kernels.sum_inputs, block),
    (kernels.sum_outputs, block),
    (kernels.sum_rows, dict(block, WIDTH=4)),
):
    # a launch makes constants of sizes that are 1 and of arguments that are None
    ones = {name: 1 for name in SIZES if name in kernel.arg_names}
    active = kernel is kernels.active
    given, none = ({"HAS_U": True}, {"HAS_U": False, "u": None}) if active else ({}, {})
    for real, more in (("fp32", given), ("fp64", {**none, **ones})):
        fixed = {**constants, **more}
        kinds = {name: KINDS.get(name, "*" + real) for name in kernel.arg_names}
        kinds.update(dict.fromkeys(fixed, "constexpr"))
        source = ASTSource(kernel, kinds, constexprs=fixed)
        print("sm_90" in compile(source, target=GPUTarget("cuda", 90, 32)).asm["ptx"])
"""


def test_the_kernels_compile_for_a_gpu_that_is_not_here(tmp_path: Path):
    """The interpreter takes more than the compiler does, which needs no GPU to say so."""
    environment = {**os.environ, "TRITON_INTERPRET": "0", "TRITON_CACHE_DIR": str(tmp_path)}
    run = subprocess.run(
        [sys.executable, "-c", COMPILE], env=environment, capture_output=True, text=True
    )
    assert run.returncode == 0, run.stderr
    assert run.stdout.split() == ["True"] * 10


def test_gradients_of_every_order_go_through_these_kernels(monkeypatch: pytest.MonkeyPatch) -> None:
    if DEVICE == "cpu":
        monkeypatch.setattr(native, "takes", lambda *tensors: False)
        monkeypatch.setattr(native, "takes_gpu", lambda *tensors: True)
    spline = Spline(3, True, "linear")
    a = Case(spline, 0, B=2, I=1, O=1, G=2).arguments
    x, grid, c = (a[name].to(DEVICE) for name in ("x", "grid", "c"))
    x, c = (tensor.requires_grad_() for tensor in (x, c))

    def value(x: Tensor, c: Tensor) -> Tensor:
        return ops.forward(x, grid, c, None, 0, spline)

    assert value(x, c).grad_fn.name() == "_ForwardBackward"  # type: ignore[union-attr]
    assert torch.autograd.gradcheck(value, (x, c))
    assert torch.autograd.gradgradcheck(value, (x, c))
