"""A KAN convolution beside nn.Conv2d with as many parameters: forward and backward.

    python benchmarks/conv_speed.py            # the table
    python benchmarks/conv_speed.py --short    # one small shape; a test runs this

Splines of five intervals and the residual: nine functions an edge. The plain convolution has the same
kernel and channels in, and nine times as many out. Before a time is printed, output and gradients are
compared with the convolution of the maps that the definition of the splines gives. Times are the
fastest of the rounds, which take turns; memory is what the expanded maps take.
"""

from __future__ import annotations

import argparse
import sys
import time

import torch
from torch import Tensor, nn
from torch.nn import functional

from edgewise.kernels.bspline import reference
from edgewise.nn import KANConv2d

# images, channels in, channels out, side
SHAPES = ((64, 1, 16, 28), (64, 16, 32, 14), (64, 32, 64, 7), (16, 32, 32, 32))
SHORT = ((4, 3, 4, 8),)
ALLOWED = 1e-5


def by_definition(conv: KANConv2d, x: Tensor) -> Tensor:
    """The same layer, from the definition of its functions in plain torch."""
    rows = functional.pad(x, [1] * 4).movedim(1, -1)
    spline = conv.basis.spline
    maps = reference.dense(
        rows.flatten(0, 2), conv.grid, spline.degree, 0, spline.extrapolation, spline.uniform
    )
    maps = torch.cat([maps.view(*rows.shape, -1), functional.silu(rows)[..., None]], dim=-1)
    return functional.conv2d(maps.flatten(3).movedim(-1, 1), conv.weight, conv.bias)


def error(conv: KANConv2d, x: Tensor) -> float:
    """The largest deviation of output and gradients, relative to the largest true value."""
    x = x.clone().requires_grad_()
    given = [x, conv.weight]
    results = []
    for y in (conv(x), by_definition(conv, x)):
        results.append([y, *torch.autograd.grad(y.sin().sum(), given)])
    pairs = zip(*results, strict=True)
    return max(float(((one - two).abs().max() / two.abs().max()).detach()) for one, two in pairs)


def seconds(layer: nn.Module, x: Tensor) -> float:
    """One step of training without the optimiser."""
    start = time.perf_counter()
    y = layer(x)
    y.backward(torch.ones_like(y))
    spent = time.perf_counter() - start
    layer.zero_grad()
    return spent


def line(shape: tuple[int, ...], rounds: int) -> str:
    N, C, O, side = shape
    draw = torch.Generator().manual_seed(0)
    conv = KANConv2d(C, O, 3, padding=1, generator=draw)
    x = torch.randn(N, C, side, side, generator=draw)
    if not (off := error(conv, x)) <= ALLOWED:
        raise SystemExit(f"{shape}: off by {off:.1e}, allowed {ALLOWED:.0e}; no time is printed.")
    plain = nn.Conv2d(C, O * conv.n_functions, 3, padding=1)
    x.requires_grad_()
    times = [(seconds(conv, x), seconds(plain, x)) for _ in range(rounds + 1)][1:]
    ours, theirs = (1e3 * min(each) for each in zip(*times, strict=True))
    maps = 4 * N * C * (side + 2) ** 2 * conv.n_functions / 2**20
    parameters = conv.weight.numel()
    return (
        f"| {N}, {C} -> {O}, {side} x {side} | {parameters:,} | {ours:.1f} | {theirs:.1f} | "
        f"{ours / theirs:.2f} | {maps:.1f} |"
    )


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--short", action="store_true", help="one small shape, three rounds")
    parser.add_argument("--rounds", type=int, help="default 20, 3 with --short")
    parser.add_argument("--threads", type=int, default=torch.get_num_threads(), help="of torch")
    given = parser.parse_args(arguments)
    torch.set_num_threads(given.threads)
    print(f"torch {torch.__version__}, {given.threads} threads, float32")
    print("| images, channels, side | weights | KANConv2d ms | nn.Conv2d ms | ratio | maps MiB |")
    print("|---|---|---|---|---|---|")
    for shape in SHORT if given.short else SHAPES:
        print(line(shape, given.rounds or (3 if given.short else 20)), flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
