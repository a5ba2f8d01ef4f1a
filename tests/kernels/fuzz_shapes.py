"""Random shapes, kinds and values through every native kernel, beside sums written down in float64.

    make fuzz SHAPES=10000                         # on a library built to find errors
    python tests/kernels/fuzz_shapes.py 10000      # on the one that is installed
    python tests/kernels/fuzz_shapes.py 1 4711     # the one shape of this number again

In the first way, that of test_sanitized.py too, each wrong access ends the process. Every array
ends where its memory ends, starts at any address, and holds what nobody wants (NaN, infinities, huge
numbers, no rows at all). Each result is compared element by element with the truth, the error in units
of the same sum of absolute values.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass
from random import Random

import torch
from torch import Tensor

import edgewise
from edgewise.kernels import native
from edgewise.kernels.bspline import cpu, ops
from edgewise.kernels.bspline.contract import EXTRAPOLATIONS, Spline
from edgewise.kernels.bspline.reference import dense

# In units of the dtype's rounding: sums of some hundred terms, and the powers of t.
TOLERANCE = 1000
# Below it a number is as good as zero: far below zero silu is.
NOTHING = {torch.float32: 1e-30, torch.float64: 1e-290}
LARGEST = 2_000_000


@dataclass(frozen=True)
class Sums:
    """A true value and, element by element, what its rounding is measured by."""

    value: Tensor
    size: Tensor

    def __add__(self, other: Sums) -> Sums:
        return Sums(self.value + other.value, self.size + other.size)

    def among(self, degree: int) -> Sums:
        """Functions that share an interval share their rounding: each has the largest size of them."""
        rows = self.size.flatten(0, 1)[:, None]
        if rows.numel():
            rows = torch.nn.functional.max_pool1d(rows, 2 * degree + 1, 1, degree)
        return Sums(self.value, rows.reshape(self.size.shape))


def product(rule: str, *factors: Tensor | tuple[Tensor, Tensor]) -> Sums:
    """An einsum, and the same of absolute values; a factor may come with its own size."""
    pairs = [factor if isinstance(factor, tuple) else (factor, factor.abs()) for factor in factors]
    return Sums(*(torch.einsum(rule, *part) for part in zip(*pairs, strict=True)))


class Shape:
    """The arguments of every kernel, drawn from a number."""

    def __init__(self, number: int) -> None:
        self.pick = pick = Random(number)
        self.draw = torch.Generator().manual_seed(number)
        self.dtype = pick.choice([torch.float32, torch.float64])
        degree = pick.randint(1, 5)
        self.spline = Spline(degree, pick.random() < 0.5, pick.choice(EXTRAPOLATIONS))
        self.order = pick.randint(0, degree + 1)
        self.residual = pick.choice(["silu", "identity", "zero"])
        self.threads = pick.randint(1, 3)
        self.B, self.I, self.O, self.G = self.sizes()
        self.grid = self.placed(self.knots())
        self.x = self.placed(self.points())
        K = self.G + degree
        large = 10.0 ** pick.randint(-3, 3)
        self.c = self.normal(self.O, self.I, K, scale=large)
        self.u, self.g = self.normal(self.B, self.I), self.normal(self.B, self.O)
        self.scale, self.base = self.normal(self.O, self.I), self.normal(self.O, self.I)
        self.mask = self.placed(self.edges())
        self.given = pick.random() < 0.5
        self.wanted = [pick.random() < 0.6 for _ in range(4)]

    def __str__(self) -> str:
        sizes = f"B={self.B} I={self.I} O={self.O} G={self.G}"
        kind = f"order={self.order} {self.residual} u={self.given} wanted={self.wanted}"
        return f"{sizes} {self.spline} {kind} {self.dtype} threads={self.threads}"

    def sizes(self) -> tuple[int, int, int, int]:
        pick = self.pick
        while True:
            B = pick.choice([0, 1, pick.randint(2, 40), pick.randint(2, 40), pick.randint(41, 700)])
            if pick.random() < 0.02:
                B = pick.choice([4095, 4096, 4097, 8193, 5000])
            I = pick.choice([0, 1, 2, pick.randint(3, 20), pick.choice([15, 16, 17, 31, 33, 48])])
            O = pick.choice([0, 1, 2, pick.randint(3, 20), pick.randint(21, 140)])
            G = pick.choice([1, 2, pick.randint(3, 12), pick.choice([31, 32, 33, 100, 257])])
            if B * I * O * (G + 5) <= LARGEST or B * I * O == 0:
                return B, I, O, G

    def normal(self, *shape: int, scale: float = 1.0) -> Tensor:
        return self.placed(scale * torch.randn(shape, generator=self.draw, dtype=torch.float64))

    def placed(self, values: Tensor) -> Tensor:
        """The values at an address that is no multiple of a vector's length, up to the memory's end."""
        start = self.pick.randint(0, 5)
        memory = torch.empty(start + values.numel(), dtype=self.dtype)
        memory[start:] = values.flatten()
        return memory[start:].view(values.shape)

    def knots(self) -> Tensor:
        """Increasing, and further apart than rounding by a factor of a thousand."""
        low, high = self.pick.choice([(-1, 1), (0, 1), (7, 8), (-1e5, 3e5), (0, 1e-5), (-3, 1000)])
        width = torch.ones(self.I, self.G, dtype=torch.float64)
        if not self.spline.uniform:
            width = 0.2 + torch.rand(width.shape, generator=self.draw, dtype=torch.float64)
        share = torch.cat([torch.zeros(self.I, 1), width.cumsum(1) / width.sum(1, keepdim=True)], 1)
        return low + (high - low) * share

    def points(self) -> Tensor:
        """Inside, on knots, outside, and now and then far out or not a number."""
        pick, grid = self.pick, self.grid.double()
        share = 1.4 * torch.rand(self.B, self.I, generator=self.draw, dtype=torch.float64) - 0.2
        x = grid[:, 0] + share * (grid[:, -1] - grid[:, 0])
        if self.B and self.I:
            for _ in range(self.B // 4):
                b, i = pick.randrange(self.B), pick.randrange(self.I)
                x[b, i] = grid[i, pick.randrange(self.G + 1)]
            for _ in range(pick.choice([0, 0, 1, 3])):
                bad = [torch.nan, torch.inf, -torch.inf, 1e20, -1e20, 1e-40, -0.0]
                x[pick.randrange(self.B), pick.randrange(self.I)] = pick.choice(bad)
        return x

    def edges(self) -> Tensor:
        mask = torch.ones(self.O, self.I, dtype=torch.float64)
        if self.pick.random() < 0.5:
            mask = (torch.rand(mask.shape, generator=self.draw) < 0.7).double()
            if self.I:
                mask[:, self.pick.randrange(self.I)] = 0.0
        return mask

    # --- what the kernels give, and the truth --------------------------------------------------

    def found(self) -> dict[str, Tensor | None]:
        u, kept = self.u if self.given else None, (self.order, self.spline)
        results: dict[str, Tensor | None] = {
            "forward": ops.forward(self.x, self.grid, self.c, u, *kept),
            "pull": ops.pull(self.x, self.grid, self.c, self.g, *kept),
            "outer": ops.outer(self.x, self.grid, self.g, u, *kept),
        }
        tensors = (self.x, self.c, self.scale, self.base)
        leaves = [t.detach().requires_grad_(w) for t, w in zip(tensors, self.wanted, strict=True)]
        x, c, scale, base = leaves
        y = ops.mix(x, self.grid, c, scale, base, self.mask, self.spline, self.residual)
        results["mix"] = y.detach()
        wanted = [leaf for leaf in leaves if leaf.requires_grad]
        slopes = (
            iter(torch.autograd.grad(y, wanted, self.g, allow_unused=True))
            if y.requires_grad
            else None
        )
        for name, leaf in zip(("dx", "dc", "dscale", "dbase"), leaves, strict=True):
            results[name] = next(slopes) if slopes and leaf.requires_grad else None
        return results

    def truth(self) -> dict[str, Sums]:
        x, grid, c, g = (t.double() for t in (self.x, self.grid, self.c, self.g))
        mask = self.mask.double()
        u = self.u.double() if self.given else torch.ones_like(x)
        s = self.spline
        kind = (s.extrapolation, s.uniform)
        f = dense(x, grid, s.degree, self.order, *kind)
        results = {
            "forward": product("bi,bik,oik->bo", u, f, c),
            "pull": product("bo,bik,oik->bi", g, f, c),
            "outer": product("bo,bi,bik->oik", g, u, f).among(s.degree),
        }
        x = torch.where((mask != 0).any(0), x, 0.0)
        f, slope = (dense(x, grid, s.degree, order, *kind) for order in (0, 1))
        b, db = self.residuals(x)
        w, v = self.scale.double() * mask, self.base.double() * mask
        results["mix"] = product("oi,oik,bik->bo", w, c, f) + product("oi,bi->bo", v, b)
        results["dx"] = product("bo,oi,oik,bik->bi", g, w, c, slope) + product(
            "bo,oi,bi->bi", g, v, db
        )
        results["dc"] = product("oi,bo,bik->oik", w, g, f).among(s.degree)
        results["dscale"] = product("oi,bo,bik,oik->oi", mask, g, f, c)
        results["dbase"] = product("oi,bo,bi->oi", mask, g, b)
        return results

    def residuals(self, x: Tensor) -> tuple[tuple[Tensor, Tensor], tuple[Tensor, Tensor]]:
        """b and b', each with its size: that of b' is the sum of its two terms'."""
        if self.residual == "identity":
            return (x, x.abs()), (torch.ones_like(x), torch.ones_like(x))
        if self.residual == "zero":
            return (0 * x, 0 * x), (0 * x, 0 * x)
        sigma = torch.sigmoid(x)
        b = torch.where(x < -1e4, 0.0, x * sigma)
        rest = torch.where(x.abs() > 1e4, 0.0, x * sigma * (1 - sigma))
        return (b, b.abs()), (sigma + rest, sigma + rest.abs())

    def differences(self, found: dict[str, Tensor | None], truth: dict[str, Sums]) -> list[str]:
        tolerance = TOLERANCE * torch.finfo(self.dtype).eps
        finite = self.x.isfinite()
        read = (self.mask != 0).any(0)
        # An infinite x may give NaN in its row, and for its input in the gradients of weights.
        rows, columns = finite.all(1)[:, None], finite.all(0)
        read_rows = (finite | ~read).all(1)[:, None]
        read_columns = columns | ~read
        asked = {
            "forward": rows,
            "pull": finite,
            "outer": columns[:, None],
            "mix": read_rows,
            "dx": finite | ~read,
            "dc": read_columns[:, None],
            "dscale": read_columns,
            "dbase": read_columns,
        }
        wrong = []
        for name, value in found.items():
            if value is None:
                continue
            exact = truth[name]
            assert value.shape == exact.value.shape and value.dtype == self.dtype, name
            near = (value - exact.value).abs() <= tolerance * exact.size + NOTHING[self.dtype]
            near |= exact.size > torch.finfo(self.dtype).max / 1000  # more than the format holds
            bad = asked[name].expand_as(near) & ~near
            if bad.any():
                off = ((value - exact.value).abs() / exact.size)[bad].max()
                wrong.append(f"{name}: {int(bad.sum())} of {bad.numel()}, off by {float(off):.1e}")
        nan = self.x.isnan().any(1)
        if self.I and not found["forward"][nan].isnan().all():
            wrong.append("forward: a NaN was lost")
        nan = (self.x.isnan() & read).any(1)
        if not found["mix"][nan].isnan().all():
            wrong.append("mix: a NaN was lost")
        return wrong


def say(text: str) -> None:
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


def check(number: int) -> list[str]:
    """What is wrong with the shape of this number, by instruction set; [] when nothing is."""
    shape = Shape(number)
    truth = shape.truth()
    torch.set_num_threads(shape.threads)
    wrong = []
    for isa in native.kernel_info().isas:
        with native.using(isa):
            if not native.takes(shape.x):
                raise RuntimeError("the kernels are not used")
            wrong += [f"{isa} {text}" for text in shape.differences(shape.found(), truth)]
    return [f"{number} ({shape}): {text}" for text in wrong]


def main(arguments: list[str]) -> int:
    count = int(arguments[0]) if arguments else 1000
    first = int(arguments[1]) if len(arguments) > 1 else 0
    cpu._WORTH_A_THREAD = 0  # small work, too, is shared by threads
    info = edgewise.kernel_info()
    if not info.isas:
        say(f"no native library: {info.reason}")
        return 2
    failed = 0
    for number in range(first, first + count):
        wrong = check(number)
        failed += bool(wrong)
        for text in wrong:
            say(text)
        if (number - first + 1) % 1000 == 0:
            say(f"{number - first + 1} shapes")
    say(f"{count} shapes on {', '.join(info.isas)}: {failed} wrong ({info.library})")
    return int(failed > 0)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
