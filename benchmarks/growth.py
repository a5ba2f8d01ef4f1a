"""Formula -> network -> larger -> disturbed -> retrained: what is kept, and what comes back?

For every Feynman equation: the network of the formula, the same with another sum node on each hidden
level and another level behind (`KAN.expand`). For every fourth of them also random curves of a hundredth
of each sum's spread on all edges (`KAN.perturb`), and 15 steps of Levenberg-Marquardt on 150 rows.

    python benchmarks/growth.py
    python benchmarks/growth.py --short
    python benchmarks/growth.py --only I.6.2 II.11.3

A line an equation: the largest relative error of the network and of the larger one, then the rms error
on other rows, relative to the spread there, disturbed and retrained.
"""

from __future__ import annotations

import argparse
import math
import statistics
import time
from dataclasses import dataclass

import torch
from torch import Tensor

from edgewise import KAN, compile_formula, problems
from edgewise.errors import FitError
from edgewise.problems.feynman import Equation, equations


@dataclass(frozen=True)
class Growth:
    """Of one equation: errors of the four networks, parameters of the last, seconds."""

    exact: float
    larger: float
    disturbed: float
    retrained: float
    parameters: int
    seconds: float

    def row(self, id: str) -> str:
        shown = [f"{self.exact:.0e}", f"{self.larger:.0e}", "", ""]
        if not math.isnan(self.disturbed):
            shown[2:] = f"{self.disturbed:.1e}", f"{self.retrained:.1e}"
        return f"| {id} | {' | '.join(shown)} | {self.parameters} | {self.seconds:.0f} |"


@torch.no_grad()
def relative(model: KAN, x: Tensor, y: Tensor) -> float:
    """max |model - y| / |y|"""
    return float(((model(x) - y).abs() / y.abs().clamp_min(1e-300)).max())


@torch.no_grad()
def rms(model: KAN, x: Tensor, y: Tensor) -> float:
    """Root mean square error over the spread of y; infinite where the model has no value."""
    value = float((model(x) - y).square().mean().sqrt() / y.std())
    return math.inf if math.isnan(value) else value


def grown(entry: Equation, rows: int, steps: int) -> Growth:
    started = time.perf_counter()
    data = problems.load(f"feynman/{entry.id}", n=rows)
    x, y = data.train.x, data.train.y
    model = compile_formula(entry.formula, entry.variables)
    width = [list(pair) for pair in model.width]
    for pair in width[1:-1]:
        pair[0] += 1
    outputs = sum(width[-1])
    arities = [*model.mult_arity[:-1], (), ()]
    # a single layer of products cannot grow in place: its outputs become a hidden level
    deeper = [*width[:-1], list(model.width[-1]), outputs]
    arities[len(width) - 1] = model.mult_arity[-1]
    larger = model.expand(deeper, arities, data=x)
    exact, same = relative(model, x, y), relative(larger, x, y)
    off, left, parameters = math.nan, math.nan, larger.n_parameters
    if steps:
        disturbed = larger.perturb(0.01, data=x)
        off, parameters = rms(disturbed, data.test.x, data.test.y), disturbed.n_parameters
        try:
            disturbed.fit((x, y), "LM", steps=steps, update_grid=False)
        except FitError:  # the disturbance left the domain of an edge's function
            pass
        left = rms(disturbed, data.test.x, data.test.y)
    return Growth(exact, same, off, left, parameters, time.perf_counter() - started)


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--only", nargs="+", help="ids of equations")
    parser.add_argument("--short", action="store_true", help="two equations, 60 rows, 8 steps")
    chosen = parser.parse_args(arguments)
    torch.set_num_threads(1)
    wanted = [e for e in equations() if not chosen.only or e.id in chosen.only]
    rows, steps, every = (60, 8, 2) if chosen.short else (150, 15, 1 if chosen.only else 4)
    print("| equation | network | larger | disturbed | retrained | parameters | seconds |")
    print("|---|---|---|---|---|---|---|")
    found = []
    for n, entry in enumerate(wanted[:2] if chosen.short else wanted):
        found.append(grown(entry, rows, 0 if n % every else steps))
        print(found[-1].row(entry.id), flush=True)
    worst = [max(g.exact, g.larger) for g in found]
    trained = [g for g in found if not math.isnan(g.disturbed)]
    print(
        f"{sum(w <= 1e-12 for w in worst)} of {len(found)} exact to 1e-12 before and after growth, at "
        f"worst {max(worst):.1e}; of {len(trained)} retrained, "
        f"{sum(g.retrained <= 0.01 * g.disturbed for g in trained)} came a hundred times nearer: median "
        f"error {statistics.median(g.disturbed for g in trained):.1e} disturbed, "
        f"{statistics.median(g.retrained for g in trained):.1e} retrained"
    )


if __name__ == "__main__":
    main()
