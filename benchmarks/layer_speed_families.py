"""The families of layer_speed.py --families: each beside the spline layer and an MLP as large.

Of a family the layer has the default options and the shape's grid; its MLP in -> h -> out has K + 1
weights for each edge. Before it is timed, output and gradients are held against sums written out in
float64. With one thread the processor's time is taken, which other work on the machine lengthens
less than the clock's.
"""

from __future__ import annotations

import gc
import math
import time
from collections.abc import Callable
from statistics import median

import torch
from torch import Tensor, nn
from torch.nn.functional import silu

from edgewise import bases
from edgewise.nn import KANLayer
from layer_speed_shapes import Shape
from layer_speed_stand import relative

SHAPES = (Shape(1024, (64, 64), 5), Shape(1024, (256, 256), 5))
# What float32 may lose on a sum of some thousand terms, relative to the largest value.
ALLOWED = 2e-5
SHORTEST = 5e-3
FORWARD, STEP = "forward", "step"


def families(shapes: tuple[Shape, ...], rounds: int, threads: int) -> tuple[str, bool]:
    """The tables as Markdown, or what is wrong; and whether all was right."""
    torch.set_num_threads(threads)
    tables = []
    for shape in shapes:
        layers = {name: layer(name, shape) for name in bases.FAMILIES}
        wrong = [name for name, own in layers.items() if not right(own, shape)]
        if wrong:
            return f"No speed is printed: output or gradients are wrong for {wrong}.", False
        tables.append(table(shape, layers, rounds, threads))
    return "\n\n".join(tables), True


def layer(name: str, shape: Shape) -> KANLayer:
    draw = torch.Generator().manual_seed(0)
    return KANLayer(*shape.width, bases.make(name, grid=shape.grid), generator=draw)


def right(own: KANLayer, shape: Shape) -> bool:
    """Output and gradients of the layer against the formula on the family's values in float64."""
    x, g = numbers(shape)
    x = x[:256].requires_grad_()
    y = own(x)
    names = ("coef", "scale_base", "scale_spline", *own.basis.shape_names)
    parameters = [getattr(own, name) for name in names]
    found = [y, *torch.autograd.grad(y, [x, *parameters], g[:256])]

    x64 = x.detach().double().requires_grad_()
    leaves = [p.detach().double().requires_grad_() for p in parameters]
    coef, base, spline, *shapes = leaves
    tensors = {name: t.detach().double() for name, t in own.basis_tensors.items()}
    tensors |= dict(zip(own.basis.shape_names, shapes, strict=True))
    # by autograd through the values, so that no closed derivative judges itself
    taped = isinstance(own.basis, bases.Ranged)
    B = own.basis.evaluated(x64, tensors, 0) if taped else own.basis.features(x64, tensors)
    B = B.flatten(1)
    y64 = silu(x64) @ base.T + B @ (spline[..., None] * coef).flatten(1).T
    true = [y64, *torch.autograd.grad(y64, [x64, *leaves], g[:256].double())]
    return all(
        relative(a, b.detach()) <= ALLOWED for a, b in zip(found, true, strict=True) if b.any()
    )


def numbers(shape: Shape) -> tuple[Tensor, Tensor]:
    draw = torch.Generator().manual_seed(0)
    x = torch.rand(shape.batch, shape.width[0], generator=draw) * 2 - 1
    return x, torch.randn(shape.batch, shape.width[-1], generator=draw)


def table(shape: Shape, layers: dict[str, KANLayer], rounds: int, threads: int) -> str:
    mlps = {own.basis.size: mlp(shape, own.basis.size) for own in layers.values()}
    modules: dict[str | int, nn.Module] = {**layers, **mlps}
    times = measured(modules, *numbers(shape), rounds, threads)
    widths = " -> ".join(map(str, shape.width))
    lines = [
        f"batch {shape.batch}, {widths}, grid {shape.grid}, {threads} threads, float32; median "
        f"(least to most) of {rounds} rounds",
        "",
        "| family | K | forward ms | forward + backward ms | / splines | / MLP as large |",
        "|---|---|---|---|---|---|",
    ]
    for name, own in layers.items():
        K, of = own.basis.size, times[name]
        splines = told(of[STEP], times["bspline"][STEP])
        lines.append(
            f"| {name} | {K} | {1e3 * median(of[FORWARD]):.3g} | {1e3 * median(of[STEP]):.3g} | "
            f"{splines} | {told(of[STEP], times[K][STEP])} |"
        )
    return "\n".join(lines)


def mlp(shape: Shape, size: int) -> nn.Module:
    I, O = shape.width
    hidden = round(I * O * (size + 1) / (I + O))
    return nn.Sequential(nn.Linear(I, hidden), nn.SiLU(), nn.Linear(hidden, O))


def told(own: list[float], other: list[float]) -> str:
    values = [a / b for a, b in zip(own, other, strict=True)]
    return f"{median(values):.2f} ({min(values):.2f} to {max(values):.2f})"


def measured(
    modules: dict[str | int, nn.Module], x: Tensor, g: Tensor, rounds: int, threads: int
) -> dict[str | int, dict[str, list[float]]]:
    """Seconds a call by contestant and kind, a value a round; the order rotates."""
    clock = time.process_time if threads == 1 else time.perf_counter
    times: dict[str | int, dict[str, list[float]]] = {
        name: {FORWARD: [], STEP: []} for name in modules
    }
    names = list(modules)
    for turn in range(rounds):
        start = turn % len(names)
        for name in names[start:] + names[:start]:
            for what in (FORWARD, STEP):
                times[name][what].append(seconds(modules[name], x, g, what, clock))
    return times


def seconds(
    module: nn.Module, x: Tensor, g: Tensor, what: str, clock: Callable[[], float]
) -> float:
    """Of one call, after one that is not counted."""

    def call() -> float:
        x.grad = None
        module.zero_grad()
        begin = clock()
        y = module(x.requires_grad_())
        if what == STEP:
            y.backward(g)
        return clock() - begin

    gc.disable()
    calls = min(math.ceil(SHORTEST / max(call(), 1e-6)), 1000)
    spent = sum(call() for _ in range(calls)) / calls
    gc.enable()
    return spent
