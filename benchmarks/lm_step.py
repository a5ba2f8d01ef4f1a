"""How long is a step of Levenberg-Marquardt?

    python benchmarks/lm_step.py [--rows 1000] [--against PYTHON] [--shape 2,5,1,20]
    python benchmarks/lm_step.py --short

A shape is widths, grid. A step is the linearisation (J, J'J and J'r), the solution, and the loss at
the point tried, from the start of a fit in float64. Before any time is printed, J, J'J and J'r of
every shape are compared with those of autograd; where one is wrong, no time is printed and the exit
status is 1.

--against PYTHON: an interpreter that has another edgewise, as the one before a change. Every round
runs each shape once here and once there, in turn; ratios are taken round by round.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import time
from dataclasses import dataclass
from statistics import median

import torch
from torch import Tensor
from torch.func import functional_call, jacrev

import edgewise
from edgewise import KAN
from edgewise.nn.jacobian import jacobian, layout, pack
from edgewise.optim.levenberg_marquardt import minimise
from edgewise.problems.dataset import Samples
from edgewise.train import MeanSquare, Objective
from edgewise.train.objective import SecondOrder

WIDTHS = ((2, 1, 1), (2, 5, 1), (4, 2, 1, 1), (6, 6, 1))
GRIDS = (5, 20, 50, 100)
# a step of more parameters than this is one Cholesky factor and little else
MOST = 3000
# so much that the first point tried is taken
DAMPING = 100.0
CHECKED_ROWS = 60
ALLOWED = 1e-11


@dataclass(frozen=True)
class Problem:
    """A model at the start of a fit, its data, and what is minimised (without the prior)."""

    model: KAN
    data: Samples

    @classmethod
    def of(cls, shape: str, rows: int) -> Problem:
        *width, grid = (int(number) for number in shape.split(","))
        model = KAN(width, grid=grid, seed=0)
        draw = torch.Generator().manual_seed(1)
        x = 2 * torch.rand(rows, width[0], generator=draw, dtype=torch.float64) - 1
        y = torch.exp(torch.sin(torch.pi * x[:, [0]]) + x[:, 1:].square().mean(1, keepdim=True))
        return cls(model, Samples(x, y))

    def function(self) -> tuple[SecondOrder, Tensor]:
        at = layout(self.model)
        function = SecondOrder(self.model, at, Objective(MeanSquare()), self.data, prior=0.0)
        return function, pack(self.model, at)

    def errors(self) -> dict[str, float]:
        """Largest deviations from autograd, relative to the largest true value."""
        J = by_autograd(self.model, self.data.x)
        J, r = J.detach(), (self.model(self.data.x) - self.data.y).detach()
        factor, flat = 2 / len(r), J.flatten(0, 1)
        function, theta = self.function()
        _, H, g = function.linearise(theta)
        pairs = {
            "J": (jacobian(self.model, layout(self.model), self.data.x)[1], J),
            "J'J": (H, factor * flat.T @ flat),
            "J'r": (g, factor * flat.T @ r.flatten()),
        }
        return {
            name: float((ours - true).abs().max() / true.abs().max())
            for name, (ours, true) in pairs.items()
        }


def by_autograd(model: KAN, x: Tensor) -> Tensor:
    """J (B, Y, P) in the order of ``layout``: the weights of an edge together, its base last."""
    names = [
        f"layers.{l}.{kind}" for l in range(len(model.layers)) for kind in ("coef", "scale_base")
    ]
    state = dict(model.named_parameters())
    chosen = {name: state[name].detach() for name in names}
    found = jacrev(lambda given: functional_call(model, given, (x,)))(chosen)
    parts = [
        torch.cat([found[coef], found[base][..., None]], dim=-1).flatten(2)
        for coef, base in zip(names[::2], names[1::2], strict=True)
    ]
    return torch.cat(parts, dim=-1)


class Stand:
    """Steps of this process's edgewise; ``seconds`` is also what another interpreter is asked."""

    def __init__(self, rows: int) -> None:
        self.rows = rows
        self.shape, self.function, self.theta = "", None, None

    def seconds(self, shape: str) -> float:
        if shape != self.shape:
            self.shape = shape
            self.function, self.theta = Problem.of(shape, self.rows).function()
            self.step()
        self.step()  # brings this shape's numbers into the caches, whoever ran before
        start = time.perf_counter()
        self.step()
        return time.perf_counter() - start

    def step(self) -> None:
        now = self.function.linearise(self.theta)
        minimise(lambda _: now, self.function.value, self.theta, steps=1, damping=DAMPING)


class Other:
    """The stand of another interpreter."""

    def __init__(self, python: str, rows: int, threads: int) -> None:
        command = [python, __file__, "--worker", "--rows", str(rows), "--threads", str(threads)]
        pipe = subprocess.PIPE
        self.process = subprocess.Popen(command, stdin=pipe, stdout=pipe, text=True)

    def seconds(self, shape: str) -> float:
        self.process.stdin.write(shape + "\n")
        self.process.stdin.flush()
        line = self.process.stdout.readline()
        if not line:
            raise SystemExit(f"the other edgewise ended with status {self.process.wait()}")
        return json.loads(line)

    def close(self) -> None:
        self.process.stdin.close()
        self.process.wait()
        self.process.stdout.close()


def main(arguments: list[str] | None = None) -> int:
    given = parsed(arguments)
    torch.set_num_threads(given.threads)
    if given.worker:
        work(Stand(given.rows))
        return 0
    shapes = [given.shape] if given.shape else listed(given.short)
    wrong = [
        f"  {shape}: {name} is off by {error:.1e} of its largest value, allowed {ALLOWED:.0e}"
        for shape in shapes
        for name, error in Problem.of(shape, CHECKED_ROWS).errors().items()
        if not error <= ALLOWED
    ]
    if wrong:
        print("\n".join(["edgewise is not right, so no time is printed:", *wrong]))
        return 1
    print(f"edgewise {edgewise.__version__}, {given.rows} rows, {given.threads} threads, medians")
    here = Stand(given.rows)
    there = Other(given.against, given.rows, given.threads) if given.against else None
    for shape in shapes:
        rounds = [
            (here.seconds(shape), there.seconds(shape) if there else None)
            for _ in range(given.rounds)
        ]
        print(told(shape, rounds), flush=True)
    if there:
        there.close()
    return 0


def listed(short: bool) -> list[str]:
    if short:
        return ["2,2,1,5"]
    shapes = [",".join(map(str, (*width, grid))) for width in WIDTHS for grid in GRIDS]
    return [shape for shape in shapes if parameters(shape) <= MOST]


def parameters(shape: str) -> int:
    return layout(Problem.of(shape, 1).model).size


def told(shape: str, rounds: list[tuple[float, float | None]]) -> str:
    """One line: shape, parameters, milliseconds here and there, their ratio."""
    ours, others = zip(*rounds, strict=True)
    line = f"{shape:>12}  {parameters(shape):5d} parameters  {1e3 * median(ours):8.2f} ms"
    if others[0] is None:
        return line
    ratio = median(other / own for own, other in rounds)
    return f"{line}  other {1e3 * median(others):8.2f} ms  other/this {ratio:5.2f}"


def work(stand: Stand) -> None:
    for line in sys.stdin:
        print(json.dumps(stand.seconds(line.strip())), flush=True)


def parsed(arguments: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--short", action="store_true", help="one small shape, three rounds")
    parser.add_argument("--shape", help="only this one: widths, grid")
    parser.add_argument("--rows", type=int, default=1000)
    parser.add_argument("--rounds", type=int, help="default 15, 3 with --short")
    parser.add_argument("--threads", type=int, default=torch.get_num_threads(), help="of torch")
    parser.add_argument("--against", metavar="PYTHON", help="interpreter with another edgewise")
    parser.add_argument("--worker", action="store_true", help=argparse.SUPPRESS)
    given = parser.parse_args(arguments)
    given.rounds = given.rounds or (3 if given.short else 15)
    return given


if __name__ == "__main__":
    sys.exit(main())
