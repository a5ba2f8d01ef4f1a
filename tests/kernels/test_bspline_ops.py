"""The three spline ops and a layer's sums, on every backend, against products with the dense basis."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from functools import lru_cache

import pytest
import torch
from spline_cases import (
    BACKENDS,
    ISAS,
    LEAVES,
    OPS,
    RESIDUAL_NAMES,
    RULES,
    Case,
    case,
    error,
    knots,
    mix,
    mix_and_slopes,
    no_plain,
    run,
    splines,
    truth,
)
from torch import Tensor

from edgewise.errors import InputError, ShapeError
from edgewise.kernels import native
from edgewise.kernels.bspline import ops
from edgewise.kernels.bspline.contract import Spline

CUBIC = Spline(3, True, "linear")
# What rounding leaves of sums of some hundred terms in float64, relative to the largest of them.
ROUNDING = 1e-13

native_only = pytest.mark.skipif(not ISAS, reason="this installation has no native library")


@pytest.fixture(params=BACKENDS)
def backend(request: pytest.FixtureRequest) -> Iterator[str]:
    with native.using(request.param):
        yield request.param


@lru_cache(maxsize=4096)
def known(
    op: str, spline: Spline, order: int, sizes: tuple[int, ...], limits=(-1.0, 1.0), given=True
) -> tuple[Case, Tensor]:
    """A case and the truth about it, made once for all backends."""
    k = case(spline, order, sizes, limits)
    return k, truth(op, k, given)


# --- values ----------------------------------------------------------------------------------


@pytest.mark.parametrize("degree", range(1, 6))
def test_every_degree_order_rule_and_kind_of_knots(backend, degree):
    for spline in splines(range(degree, degree + 1)):
        for order in range(degree + 2):
            for op in OPS:
                given = order % 2 == 0
                k, expected = known(op, spline, order, (37, 3, 5, 4), given=given)
                assert error(run(op, k, given), expected) <= ROUNDING, (op, spline, order)


# Around the lengths of vectors, strips and groups of inputs; more rows than a block of them has.
SIZES = [
    *((7, 2, O, 3) for O in (1, 2, 3, 4, 5, 8, 9, 15, 16, 17, 31, 32, 33, 63, 64, 65, 130)),
    *((9, I, 3, 2) for I in (1, 15, 16, 17, 31, 33)),
    *((B, 2, 3, 5) for B in (1, 2, 3, 4, 5, 15, 16, 17, 63, 65, 255)),
    *((B, 2, 3, 5) for B in (4095, 4096, 4097, 8193, 12301)),
    *((19, 2, 3, G) for G in (1, 2, 31, 32, 33, 100, 1000)),
    (4097, 17, 33, 1),
    (1, 1, 1, 1),
]


@pytest.mark.parametrize("uniform", [True, False])
def test_sizes_that_fill_no_vector_and_more_than_one_block(backend, uniform):
    for turn, sizes in enumerate(SIZES):
        spline, order = Spline(1 + turn % 5, uniform, RULES[turn % 3]), turn % 2
        for op in OPS:
            k, expected = known(op, spline, order, sizes)
            assert error(run(op, k), expected) <= ROUNDING, (op, spline, order, sizes)


@native_only
@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
def test_work_shared_by_threads(dtype):
    """Sizes that are worth several threads; outputs in one to nine strips of each vector length."""
    before = torch.get_num_threads()
    bound = ROUNDING if dtype is torch.float64 else 1e-5
    try:
        for turn, (B, O) in enumerate([(2730, 17), (2729, 33), (9001, 40), (700, 72), (300, 130)]):
            k = case(Spline(1 + turn, bool(turn % 2), "linear"), 0, (B, 18 + turn, O, 5)).to(dtype)
            expected = {op: truth(op, k) for op in OPS}
            for isa in ISAS:
                for threads in (1, 2, 3, 4):
                    torch.set_num_threads(threads)
                    with native.using(isa):
                        for op in OPS:
                            assert error(run(op, k), expected[op]) <= bound, (
                                op,
                                B,
                                O,
                                isa,
                                threads,
                            )
    finally:
        torch.set_num_threads(before)


@pytest.mark.parametrize("sizes", [(0, 2, 3, 4), (5, 0, 3, 4), (5, 2, 0, 4), (0, 0, 0, 1)])
def test_nothing_gives_zeros(backend, sizes):
    for op in OPS:
        for given in (True, False):
            k, expected = known(op, CUBIC, 0, sizes, given=given)
            found = run(op, k, given)
            assert found.shape == expected.shape and not found.any()
    found = mix_and_slopes(case(CUBIC, 0, sizes), "silu")
    assert found["y"].shape == (sizes[0], sizes[2]) and not found["y"].any()
    for name, slope in found.items():
        assert name == "y" or not slope.any()


@pytest.mark.parametrize(
    "limits", [(1000.0, 1001.0), (-1e6, -1e6 + 1), (0.0, 1e-30), (-1e30, 1e30)]
)
@pytest.mark.parametrize("uniform", [True, False])
def test_ranges_far_from_zero_tiny_and_huge(backend, uniform, limits):
    for degree in (1, 3, 5):
        for rule in RULES:
            for order in (0, 1, 2):
                for op in OPS:
                    k, expected = known(
                        op, Spline(degree, uniform, rule), order, (41, 2, 3, 6), limits
                    )
                    assert error(run(op, k), expected) <= ROUNDING, (op, degree, rule, order)


@pytest.mark.parametrize("uniform", [True, False])
def test_pieces_are_taken_from_the_right_and_at_the_last_knot_from_the_left(backend, uniform):
    for degree in range(1, 6):
        spline = Spline(degree, uniform, "zero")
        k = case(spline, degree, (5, 1, 2, 4))  # the highest order that is not 0: one value a piece
        middle = (k.grid[0, :-1] + k.grid[0, 1:])[:, None] / 2
        pieces = ops.forward(middle, k.grid, k.c, None, degree, spline)
        at = ops.forward(k.grid.T.contiguous(), k.grid, k.c, None, degree, spline)
        expected = pieces[[0, 1, 2, 3, 3]]
        assert error(at, expected) <= ROUNDING
        beyond = torch.stack([k.grid[0, :1] - 1e-9, k.grid[0, -1:] + 1e-9])
        assert not ops.forward(beyond, k.grid, k.c, None, degree, spline).any()


def test_far_outside_the_end_decides(backend):
    far = torch.tensor([[-1e30], [-1e12], [1e12], [1e30]], dtype=torch.float64)
    for uniform in (True, False):
        grid = knots(1, 4, uniform)
        c = case(CUBIC).c[:, :1]
        ends = grid[:, [0, -1]].T.contiguous()
        values, slopes = (
            ops.forward(ends, grid, c, None, order, Spline(3, uniform, "linear"))[[0, 0, 1, 1]]
            for order in (0, 1)
        )
        for rule, expected in (
            ("zero", torch.zeros_like(values)),
            ("clamp", values),
            ("linear", values + slopes * (far - ends[[0, 0, 1, 1]])),
        ):
            found = ops.forward(far, grid, c, None, 0, Spline(3, uniform, rule))
            torch.testing.assert_close(found, expected, rtol=ROUNDING, atol=ROUNDING)


# --- a whole layer ---------------------------------------------------------------------------


def written_down(k: Case, residual: str) -> Tensor:
    """y_bo = sum_i mask_oi [scale_oi sum_k c_oik B_k(x_bi) + scale_base_oi b(x_bi)], term by term."""
    b = {"silu": torch.nn.functional.silu, "identity": lambda x: x, "zero": torch.zeros_like}
    x = torch.where(k.mask.any(0), k.x, 0.0)
    curves = torch.stack(
        [truth("forward", replace(k, x=x, c=k.c * (k.scale * k.mask)[..., None]), given=False)]
    )[0]
    return curves + torch.einsum("oi,bi->bo", k.scale_base * k.mask, b[residual](x))


def pruned(k: Case) -> Case:
    """Some edges off, one input read by no edge."""
    mask = torch.ones_like(k.mask)
    mask[::2, 0] = mask[-1, -1] = mask[:, 1] = 0.0
    return replace(k, mask=mask)


@lru_cache(maxsize=256)
def known_layer(spline: Spline, residual: str, sizes: tuple[int, ...], off: bool):
    """A case, its sums and their gradients by autograd through the dense basis."""
    k = case(spline, 0, sizes)
    k = pruned(k) if off else k
    leaves = {name: getattr(k, "c" if name == "coef" else name) for name in LEAVES}
    leaves = {name: tensor.clone().requires_grad_() for name, tensor in leaves.items()}
    y = written_down(
        replace(k, c=leaves["coef"], **{n: leaves[n] for n in LEAVES if n != "coef"}), residual
    )
    slopes = torch.autograd.grad(y, list(leaves.values()), k.g, materialize_grads=True)
    return k, {"y": y.detach(), **dict(zip(leaves, slopes, strict=True))}


@pytest.mark.parametrize("off", [False, True], ids=["whole", "pruned"])
@pytest.mark.parametrize("residual", RESIDUAL_NAMES)
def test_a_layer_and_all_its_gradients(backend, residual, off):
    for spline in splines():
        k, expected = known_layer(spline, residual, (37, 3, 5, 4), off)
        found = mix_and_slopes(k, residual)
        for name, value in expected.items():
            given = torch.zeros_like(value) if found[name] is None else found[name]
            assert error(given, value) <= ROUNDING, (name, spline)
        with torch.no_grad():
            assert error(mix(k, residual), expected["y"]) <= ROUNDING


@pytest.mark.parametrize("residual", ["silu", "zero"])
def test_a_layer_of_any_size(backend, residual):
    for turn, sizes in enumerate(SIZES):
        if sizes[1] == 1:
            continue
        spline = Spline(1 + turn % 5, bool(turn % 2), RULES[turn % 3])
        k, expected = known_layer(spline, residual, sizes, turn % 3 == 0)
        found = mix_and_slopes(k, residual)
        for name, value in expected.items():
            given = torch.zeros_like(value) if found[name] is None else found[name]
            assert error(given, value) <= ROUNDING, (name, spline, sizes)
        with torch.no_grad():
            assert error(mix(k, residual), expected["y"]) <= ROUNDING


def test_masks_that_are_neither_zero_nor_one_are_weights(backend):
    k = case(CUBIC, 0)
    k = replace(k, mask=k.scale_base.flip(0).abs())
    assert error(mix(k, "silu"), written_down(k, "silu")) <= ROUNDING


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_silu_far_out_is_0_or_the_input(backend, dtype):
    top = torch.finfo(dtype).max / 8
    x = torch.tensor([[-top], [-1e30], [-1e4], [-90.0], [1e4], [top]], dtype=dtype)
    k = case(Spline(3, True, "zero"), 0, (6, 1, 1, 4)).to(dtype)
    k = replace(k, x=x, scale_base=torch.ones(1, 1, dtype=dtype), g=torch.ones(6, 1, dtype=dtype))
    found = mix_and_slopes(k, "silu")
    torch.testing.assert_close(found["y"], x.clamp(min=0), rtol=1e-6, atol=1e-30)
    torch.testing.assert_close(found["x"], (x > 0).to(dtype), rtol=1e-6, atol=1e-30)


# --- single precision ------------------------------------------------------------------------
# The error of a result: the largest over the largest true value, the truth being in float64 from the
# same numbers, and of that the mean over seeds. The yardstick is the plain path's own error, or the
# rounding of the result where it does better than that.

SEEDS = 6
ROUNDED = torch.finfo(torch.float32).eps


def errors_in_single(make, leaves: tuple[str, ...] = ()) -> dict[str, dict[str, float]]:
    """backend -> result -> error, of cases make(seed)."""
    found: dict[str, dict[str, float]] = {name: {} for name in BACKENDS}
    for seed in range(SEEDS):
        k, compute = make(seed)
        low = k.to(torch.float32)
        with native.using("reference"):
            exact = compute(low.to(torch.float64))
        for name in BACKENDS:
            with native.using(name):
                given = compute(low)
            for part, value in given.items():
                assert value.dtype == torch.float32
                off = error(value.double(), exact[part]) / SEEDS
                found[name][part] = found[name].get(part, 0.0) + off
    return found


def no_worse_than_twice_the_plain_path(found: dict[str, dict[str, float]], what: object) -> None:
    for name in ISAS:
        for part, own in found["reference"].items():
            assert found[name][part] <= 2 * max(own, ROUNDED), (name, part, what)


@native_only
@pytest.mark.parametrize("degree", range(1, 6))
def test_ops_in_single_precision(degree):
    for spline in splines(range(degree, degree + 1)):
        for order in range(degree + 1):

            def make(seed, spline=spline, order=order):
                k = case(spline, order, (150, 3, 5, 7), seed=seed)
                return k, lambda k: {op: run(op, k) for op in OPS}

            no_worse_than_twice_the_plain_path(errors_in_single(make), (spline, order))


@native_only
@pytest.mark.parametrize("limits", [(1000.0, 1001.0), (0.0, 1e-20), (-1e20, 1e20)])
def test_ops_in_single_precision_on_other_ranges(limits):
    for spline in splines():
        for order in (0, 1):

            def make(seed, spline=spline, order=order):
                k = case(spline, order, (150, 3, 5, 4), limits, seed=seed)
                return k, lambda k: {op: run(op, k) for op in OPS}

            no_worse_than_twice_the_plain_path(errors_in_single(make), (spline, order))


@native_only
@pytest.mark.parametrize("residual", RESIDUAL_NAMES)
def test_a_layer_in_single_precision(residual):
    leaves = LEAVES[:3] if residual == "zero" else LEAVES
    for spline in splines():

        def make(seed, spline=spline):
            k = case(spline, 0, (150, 3, 5, 7), seed=seed)
            return k, lambda k: mix_and_slopes(k, residual, leaves)

        no_worse_than_twice_the_plain_path(errors_in_single(make), spline)


# --- what is not finite ----------------------------------------------------------------------


@pytest.mark.parametrize("bad", [torch.nan, torch.inf, -torch.inf])
@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
def test_what_is_not_finite_stays_in_its_row(backend, dtype, bad):
    for spline in splines(range(1, 6, 2)):
        for order in range(spline.degree + 2):
            k = case(spline, order).to(dtype)
            x = k.x.clone()
            x[9, 1] = bad
            spoilt = replace(k, x=x)
            expected = {op: run(op, k) for op in OPS}
            forward, pull, outer = (run(op, spoilt) for op in OPS)
            # an infinite x may have a finite derivative or value, but for NaN there is none
            if torch.tensor(bad).isnan():
                assert forward[9].isnan().all() and pull[9, 1].isnan()
                assert outer[:, 1].isnan().any(-1).all()
            forward[9], pull[9, 1] = expected["forward"][9], expected["pull"][9, 1]
            # a row that moves in the order of its interval may be rounded another way
            rounding = 10 * torch.finfo(dtype).eps
            assert error(forward, expected["forward"]) <= rounding
            assert error(pull, expected["pull"]) <= rounding
            others = [0, 2]
            assert error(outer[:, others], expected["outer"][:, others]) <= rounding


@pytest.mark.parametrize("bad", [torch.nan, torch.inf, -torch.inf])
def test_a_layer_with_what_is_not_finite(backend, bad):
    for spline in splines(range(2, 4)):
        k = case(spline, 0, (37, 3, 5, 4))
        x = k.x.clone()
        x[9, 1] = bad
        expected, found = mix_and_slopes(k, "silu"), mix_and_slopes(replace(k, x=x), "silu")
        if torch.tensor(bad).isnan():
            assert found["y"][9].isnan().all() and found["x"][9, 1].isnan()
            assert all(found[n][:, 1].isnan().any() for n in ("coef", "scale", "scale_base"))
        found["y"][9], found["x"][9, 1] = expected["y"][9], expected["x"][9, 1]
        for name in ("y", "x"):
            assert error(found[name], expected[name]) <= ROUNDING
        for name in ("coef", "scale", "scale_base"):
            others = [0, 2]
            assert error(found[name][:, others], expected[name][:, others]) <= ROUNDING


@pytest.mark.parametrize("bad", [torch.nan, torch.inf])
@pytest.mark.parametrize("residual", RESIDUAL_NAMES)
def test_an_input_that_no_edge_reads_may_hold_anything(backend, residual, bad):
    for dtype in (torch.float64, torch.float32):
        k = pruned(case(Spline(3, False, "linear")).to(dtype))
        x = k.x.clone()
        x[:, 1] = bad
        expected, found = mix_and_slopes(k, residual), mix_and_slopes(replace(k, x=x), residual)
        for name in ("y", *LEAVES):
            if expected[name] is not None:
                assert torch.equal(found[name], expected[name]), name
        for name in LEAVES[:3]:
            assert not found[name][:, 1].any()


# --- which path ------------------------------------------------------------------------------


@native_only
def test_the_compiled_kernels_compute_and_the_plain_ops_do_not(backend, monkeypatch):
    if backend == "reference":
        return
    k = case(CUBIC, 1)
    with no_plain(monkeypatch):
        for op in OPS:
            run(op, k)
        mix_and_slopes(k, "silu")
        for dtype in (torch.float32, torch.float64):
            mix(k.to(dtype), "silu")


@native_only
def test_knots_that_are_learnt_go_through_the_plain_ops():
    k = case(CUBIC, 0)
    grid = k.grid.clone().requires_grad_()
    for y in (ops.forward(k.x, grid, k.c, None, 0, CUBIC), mix(replace(k, grid=grid), "silu")):
        (slope,) = torch.autograd.grad(y.sum(), grid)
        assert slope.any()


@pytest.mark.parametrize("op", OPS)
def test_the_same_call_gives_the_same_bits(backend, op):
    k = case(CUBIC, 0, (4200, 3, 20, 5)).to(torch.float32)
    assert torch.equal(run(op, k), run(op, k))


def test_memory_that_is_not_dense(backend):
    for op in OPS:
        k, expected = known(op, Spline(3, False, "linear"), 1, (21, 3, 5, 4))
        strewn = {}
        for name in ("x", "grid", "c", "u", "g"):
            wide = getattr(k, name).repeat_interleave(2, -1)[..., ::2]
            strewn[name] = wide if name in "xc" else getattr(k, name).mT.contiguous().mT
        assert not any(tensor.is_contiguous() for tensor in strewn.values())
        assert error(run(op, replace(k, **strewn)), expected) <= ROUNDING
    k = case(CUBIC)
    one = replace(k, x=k.x[:1].expand_as(k.x), u=k.u[:, :1].expand_as(k.u))
    assert error(run("forward", one), truth("forward", one)) <= ROUNDING


# --- arguments that do not fit ---------------------------------------------------------------


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"x": lambda x: x[0]}, r"x has shape \(3,\); expected \(B, I\)"),
        ({"x": lambda x: x[:, :2]}, r"grid has shape \(3, 5\); expected \(I, G\+1\) = \(2, 5\)"),
        ({"x": lambda x: x.long()}, "x has dtype torch.int64; expected floats"),
        ({"x": lambda x: x.float()}, r"dtype torch.float64; expected torch.float32.*grid.to"),
        ({"grid": lambda t: t[:, :1]}, r"grid has shape \(3, 1\)"),
        ({"c": lambda t: t[..., 1:]}, r"c has shape \(5, 3, 6\); expected .* = \(5, 3, 7\)"),
        ({"c": lambda t: t.float()}, r"c has dtype torch.float32.*c.to\(torch.float64\)"),
        ({"c": lambda t: t.to("meta")}, "c is on meta; expected cpu"),
        ({"u": lambda t: t.T}, r"u has shape \(3, 37\); expected \(B, I\) = \(37, 3\)"),
        ({"g": lambda t: t[1:]}, r"g has shape \(36, 5\); expected \(B, O\)"),
        ({"scale": lambda t: t.T}, r"scale has shape \(3, 5\); expected \(O, I\) = \(5, 3\)"),
        ({"scale_base": lambda t: t[0]}, r"scale_base has shape \(3,\)"),
        ({"mask": lambda t: t.bool()}, r"mask has dtype torch.bool"),
        ({"mask": lambda t: t[:2]}, r"mask has shape \(2, 3\)"),
    ],
    # not str: a function's address differs between the workers of a parallel run
    ids=lambda part: next(iter(part)) if isinstance(part, dict) else part,
)
def test_arguments_that_do_not_fit(backend, change, words):
    ((name, of),) = change.items()
    k = case(CUBIC)
    k = replace(k, **{name: of(getattr(k, name))})
    read = {
        "forward": ("x", "grid", "c", "u"),
        "pull": ("x", "grid", "c", "g"),
        "outer": ("x", "grid", "g", "u"),
    }
    calls = [lambda op=op: run(op, k) for op in OPS if name in read[op]]
    if name not in "gu" or name == "grid":
        calls.append(lambda: mix(k, "silu"))
    assert calls
    for call in calls:
        with pytest.raises(InputError, match=words.replace("c has", "(c|coef) has")) as caught:
            call()
        if "is on" not in words:
            assert caught.type is ShapeError


def test_orders_and_splines_that_there_are_not(backend):
    with pytest.raises(InputError, match="order is -1"):
        run("forward", replace(case(CUBIC), order=-1))
    for degree in (0, 6, 3.0, "3", None):
        with pytest.raises(InputError, match=rf"degree is {degree!r}; .* from 1 to 5"):
            Spline(degree, True, "linear")
    with pytest.raises(InputError, match=r"extrapolation is 'constant'; .*linear.*zero.*clamp"):
        Spline(3, True, "constant")
