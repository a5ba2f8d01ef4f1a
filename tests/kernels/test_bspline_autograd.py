"""Gradients of the spline ops and of layers, of every order, in every part, on every backend."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from itertools import combinations

import pytest
import torch
from spline_cases import (
    BACKENDS,
    ISAS,
    LEAVES,
    OPS,
    RESIDUAL_NAMES,
    Case,
    case,
    error,
    mix,
    mix_and_slopes,
)
from torch import Tensor
from torch.autograd import gradcheck, gradgradcheck
from torch.utils.checkpoint import checkpoint

from edgewise.bases import BSpline
from edgewise.kernels import native
from edgewise.kernels.bspline import ops
from edgewise.kernels.bspline.contract import Spline
from edgewise.nn import KANLayer

ROUNDING = 1e-12
# The tensors that an op is differentiated in, by their places in ``of_op``.
ARGUMENTS = {"forward": ("x", "c", "u"), "pull": ("x", "c", "g"), "outer": ("x", "g", "u")}


def subsets(names: tuple[str, ...]) -> list[tuple[str, ...]]:
    return [part for size in range(1, len(names) + 1) for part in combinations(names, size)]


@pytest.fixture(params=BACKENDS)
def backend(request: pytest.FixtureRequest) -> Iterator[str]:
    with native.using(request.param):
        yield request.param


def smooth(spline: Spline, order: int = 0, sizes: tuple[int, int, int, int] = (4, 2, 2, 3)) -> Case:
    """A case with no point near a knot, where a derivative may jump; some points are outside."""
    k = case(spline, order, sizes, seed=3)
    B, I, _, G = sizes
    draw = torch.Generator().manual_seed(2)
    piece = torch.randint(-1, G + 1, (B, I), generator=draw)
    place = 0.3 + 0.4 * torch.rand(B, I, generator=draw, dtype=torch.float64)
    edges = torch.cat([k.grid[:, :1] - 0.5, k.grid, k.grid[:, -1:] + 0.5], 1).T
    start, stop = edges.gather(0, piece + 1), edges.gather(0, piece + 2)
    return replace(k, x=start + place * (stop - start))


def of_op(op: str, k: Case, given: bool = True):
    """The op as a function of its tensors, in the order of ARGUMENTS."""
    kept = (k.order, k.spline)
    if op == "forward":
        return lambda x, c, u: ops.forward(x, k.grid, c, u if given else None, *kept)
    if op == "pull":
        return lambda x, c, g: ops.pull(x, k.grid, c, g, *kept)
    return lambda x, g, u: ops.outer(x, k.grid, g, u if given else None, *kept)


def leaves(k: Case, names: tuple[str, ...], wanted: tuple[str, ...]) -> list[Tensor]:
    tensors = (getattr(k, "c" if name == "coef" else name).clone() for name in names)
    return [t.requires_grad_(name in wanted) for name, t in zip(names, tensors, strict=True)]


# --- finite differences ----------------------------------------------------------------------


@pytest.mark.parametrize("op", OPS)
@pytest.mark.parametrize("spline", [Spline(3, True, "linear"), Spline(2, False, "zero")], ids=str)
def test_an_op_in_each_of_its_tensors(backend, op, spline):
    for order in (0, 1):
        k = smooth(spline, order)
        for wanted in subsets(ARGUMENTS[op]):
            assert gradcheck(of_op(op, k), leaves(k, ARGUMENTS[op], wanted))


@pytest.mark.parametrize("op", ["forward", "outer"])
def test_an_op_without_a_factor(backend, op):
    k = smooth(Spline(3, True, "linear"))
    given = leaves(k, ARGUMENTS[op], ARGUMENTS[op][:2])
    assert gradcheck(of_op(op, k, given=False), given)
    assert gradgradcheck(of_op(op, k, given=False), given)


@pytest.mark.parametrize("op", OPS)
def test_second_order_of_an_op(backend, op):
    k = smooth(Spline(4, False, "linear"))
    for wanted in subsets(ARGUMENTS[op]):
        given = leaves(k, ARGUMENTS[op], wanted)
        # one that is linear in all that is wanted has no second derivative, and needs no graph
        if "x" in wanted or len(wanted) > 1:
            assert gradgradcheck(of_op(op, k), given)


@pytest.mark.parametrize("op", OPS)
def test_third_order_of_an_op(backend, op):
    k = smooth(Spline(5, True, "linear"), sizes=(3, 2, 2, 2))
    function = of_op(op, k)

    def slopes(*given: Tensor) -> tuple[Tensor, ...]:
        y = function(*given)
        return torch.autograd.grad(y.square().sum(), given, create_graph=True)

    assert gradgradcheck(slopes, leaves(k, ARGUMENTS[op], ARGUMENTS[op]), fast_mode=True)


@pytest.mark.parametrize("residual", RESIDUAL_NAMES)
def test_a_layer_in_each_of_its_tensors(backend, residual):
    k = smooth(Spline(3, True, "linear"))
    for wanted in subsets(LEAVES):
        if residual == "zero" and wanted == ("scale_base",):
            continue
        given = leaves(k, LEAVES, wanted)
        assert gradcheck(lambda *t: mix(k, residual, **dict(zip(LEAVES, t, strict=True))), given)


@pytest.mark.parametrize("masked", [False, True])
def test_layers_to_the_third_order(backend, masked):
    layer = KANLayer(2, 2, BSpline(3, 5), dtype=torch.float64, generator=torch.Generator())
    k = smooth(Spline(5, True, "linear"), sizes=(3, 2, 2, 3))
    layer.grid = k.grid
    if masked:
        layer.mask[0, 1] = 0.0
    names = ("coef", "scale_base", "scale_spline")

    def values(x: Tensor, *parameters: Tensor) -> Tensor:
        state = dict(zip(names, parameters, strict=True))
        return torch.func.functional_call(layer, state, (x,))

    given = (k.x.clone().requires_grad_(), *(getattr(layer, name) for name in names))
    assert gradcheck(values, given)
    assert gradgradcheck(values, given, fast_mode=True)

    def slopes(*given: Tensor) -> tuple[Tensor, ...]:
        return torch.autograd.grad(values(*given).square().sum(), given, create_graph=True)

    assert gradgradcheck(slopes, given, fast_mode=True)


# --- beside the plain path -------------------------------------------------------------------


@pytest.mark.parametrize("residual", RESIDUAL_NAMES)
def test_all_gradients_of_a_layer_are_those_of_the_plain_path(backend, residual):
    k = case(Spline(3, False, "linear"), 0, (37, 3, 5, 4))
    k = replace(k, mask=(k.scale_base.T.reshape(5, 3) > -1).double())
    for wanted in subsets((*LEAVES, "mask", "grid")):
        if len(wanted) in (1, 2, 6) and (residual, wanted) != ("zero", ("scale_base",)):
            found = mix_and_slopes(k, residual, wanted)
            with native.using("reference"):
                expected = mix_and_slopes(k, residual, wanted)
            for name, value in expected.items():
                if value is None or not value.any():
                    assert found[name] is None or not found[name].any(), (name, wanted)
                else:
                    assert error(found[name], value) <= 1e-13, (name, wanted)


def test_gradients_with_a_graph_are_those_without(backend):
    k = case(Spline(3, True, "linear"), 0, (37, 3, 5, 4))
    k = replace(k, mask=(k.scale_base > -0.5).double())
    given = leaves(k, LEAVES, LEAVES)
    y = mix(k, "silu", **dict(zip(LEAVES, given, strict=True)))
    first = torch.autograd.grad(y, given, k.g, retain_graph=True)
    again = torch.autograd.grad(y, given, k.g, retain_graph=True)
    graph = torch.autograd.grad(y, given, k.g, create_graph=True)
    for one, other, third in zip(first, again, graph, strict=True):
        assert torch.equal(one, other) and third.requires_grad
        assert error(third.detach(), one) <= ROUNDING


@pytest.mark.parametrize("graph", [False, True])
def test_batched_gradients_are_those_one_by_one(backend, graph):
    k = case(Spline(3, True, "linear"), 1, (7, 3, 5, 4))
    k = replace(k, mask=(k.scale_base > -0.5).double())
    functions = [(of_op(op, k), leaves(k, ARGUMENTS[op], ARGUMENTS[op])) for op in OPS]
    sums = lambda *t: mix(k, "silu", **dict(zip(LEAVES, t, strict=True)))  # noqa: E731
    for function, given in (*functions, (sums, leaves(k, LEAVES, LEAVES))):
        y = function(*given)
        draw = torch.Generator().manual_seed(0)
        g = torch.randn(4, *y.shape, generator=draw, dtype=torch.float64)
        kept = {"retain_graph": True, "create_graph": graph}
        batched = torch.autograd.grad(y, given, g, is_grads_batched=True, **kept)
        single = [torch.autograd.grad(y, given, one, **kept) for one in g]
        for n, found in enumerate(batched):
            expected = torch.stack([slopes[n] for slopes in single])
            assert error(found.detach(), expected.detach()) <= ROUNDING


def test_memory_of_inputs_and_gradients_may_be_strewn(backend):
    k = case(Spline(3, True, "linear"), 0, (20, 3, 5, 4))
    dense = leaves(k, LEAVES, LEAVES)
    names = dict(zip(LEAVES, dense, strict=True))
    expected = torch.autograd.grad(mix(k, "silu", **names), dense, k.g)
    strewn = [t.detach().mT.contiguous().mT.requires_grad_() for t in dense]
    assert not any(t.is_contiguous() for t in strewn)
    y = mix(k, "silu", **dict(zip(LEAVES, strewn, strict=True)))
    for g in (k.g.T.contiguous().T, k.g.repeat_interleave(2, 1)[:, ::2]):
        assert not g.is_contiguous()
        found = torch.autograd.grad(y, strewn, g, retain_graph=True)
        for one, other in zip(found, expected, strict=True):
            assert error(one, other) <= ROUNDING

    # one number's memory for a whole gradient, and one row's for a whole batch
    row = k.x[:1].clone().requires_grad_()
    y = mix(k, "silu", **{**names, "x": row.expand(20, 3)})
    (found,) = torch.autograd.grad(y.sum(), row)
    whole = row.detach().repeat(20, 1).requires_grad_()
    (expected,) = torch.autograd.grad(mix(k, "silu", **{**names, "x": whole}).sum(), whole)
    assert error(found, expected.sum(0, keepdim=True)) <= ROUNDING


def test_a_parameter_that_is_used_twice_gets_both_gradients(backend):
    k = case(Spline(3, True, "linear"), 0, (20, 3, 3, 4))
    names = dict(zip(LEAVES, leaves(k, LEAVES, LEAVES), strict=True))
    coef = names["coef"]
    inner = mix(k, "silu", **names)
    outer = mix(k, "silu", **{**names, "x": inner})
    (found,) = torch.autograd.grad(outer, coef, k.g, retain_graph=True)
    (slope,) = torch.autograd.grad(outer, inner, k.g, retain_graph=True)
    (through,) = torch.autograd.grad(inner, coef, slope)
    last = coef.detach().clone().requires_grad_()
    y = mix(k, "silu", **{**names, "x": inner.detach(), "coef": last})
    (own,) = torch.autograd.grad(y, last, k.g)
    assert error(found, through + own) <= ROUNDING


@pytest.mark.skipif(not ISAS, reason="this installation has no native library")
@pytest.mark.parametrize("name", [*LEAVES, "mask", "grid"])
def test_what_a_gradient_needs_may_not_be_changed_in_place(name):
    k = case(Spline(3, True, "linear"), 0, (20, 3, 5, 4))
    given = {n: getattr(k, "c" if n == "coef" else n).clone() for n in (*LEAVES, "mask", "grid")}
    x = given["x"] = given["x"].requires_grad_()
    inputs = {n: t * 1 for n, t in given.items()}
    y = mix(k, "silu", **inputs)
    inputs[name].mul_(2)
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        torch.autograd.grad(y.sum(), x)


@pytest.mark.parametrize("op", OPS)
def test_what_an_op_keeps_may_not_be_changed_in_place(backend, op):
    k = case(Spline(3, True, "linear"), 0, (20, 3, 5, 4))
    given = leaves(k, ARGUMENTS[op], ARGUMENTS[op])
    inputs = [t * 1 for t in given]
    y = of_op(op, k)(*inputs)
    inputs[1].mul_(2)
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        torch.autograd.grad(y.sum(), given)


# --- modes -----------------------------------------------------------------------------------


def test_without_gradients_none_are_kept(backend):
    k = case(Spline(3, True, "linear"), 0, (20, 3, 5, 4))
    given = leaves(k, LEAVES, LEAVES)
    names = dict(zip(LEAVES, given, strict=True))
    expected = mix(k, "silu", **names)
    for mode in (torch.no_grad, torch.inference_mode):
        with mode():
            y = mix(k, "silu", **names)
        assert not y.requires_grad and error(y, expected.detach()) <= ROUNDING


def test_checkpointing_gives_the_same_gradients(backend):
    layer = KANLayer(3, 3, dtype=torch.float64, generator=torch.Generator())
    x = case(Spline(3, True, "linear"), 0, (20, 3, 3, 5)).x.requires_grad_()
    wanted = (x, layer.coef, layer.scale_base, layer.scale_spline)
    expected = torch.autograd.grad(layer(layer(x)).square().sum(), wanted)
    for reentrant in (False, True):
        y = checkpoint(
            layer, checkpoint(layer, x, use_reentrant=reentrant), use_reentrant=reentrant
        )
        for tensor in wanted:
            tensor.grad = None
        y.square().sum().backward()
        for tensor, slope in zip(wanted, expected, strict=True):
            assert error(tensor.grad, slope) <= ROUNDING


@pytest.mark.filterwarnings("ignore:.torch.jit.script:DeprecationWarning")  # torch.func's own
def test_hessians_by_every_route_agree(backend):
    layer = KANLayer(3, 1, BSpline(4, 5), dtype=torch.float64, generator=torch.Generator())
    x = torch.tensor([0.11, -0.43, 1.3], dtype=torch.float64)

    def value(x: Tensor) -> Tensor:
        return layer(x).sum() ** 2

    expected = torch.func.hessian(value)(x)
    for vectorize in (False, True):
        found = torch.autograd.functional.hessian(value, x, vectorize=vectorize)
        assert error(found, expected.detach()) <= ROUNDING
