"""Do networks of wavelets classify better than splines, as Wav-KAN's paper has it, and which wavelets?

    python benchmarks/wavelets.py [--seeds 5] [--steps 600]
    python benchmarks/wavelets.py --short

scikit-learn's digits as 64 numbers, [64, 32, 10], the paper's own shape behind the input. Wav-KAN: an
edge is one wavelet with a scale and a place of its own (edgewise.nn.EdgeWavelets), nn.BatchNorm1d
behind each layer, three numbers an edge. The layers with banks of wavelets and with splines have more
numbers an edge; the MLP is as wide as its parameters equal Wav-KAN's. All are tuned and trained as
kan_vs_mlp.py says. Printed: parameters, rate, test accuracies, their mean, spread and seconds.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable, Sequence
from functools import partial
from itertools import pairwise
from statistics import mean, stdev

import torch
from torch import nn

from comparison_fit import Plan, order, score, training, tuned
from comparison_models import Contestant
from comparison_tasks import standardised, task
from edgewise.bases.wavelet_curves import CURVES
from edgewise.nn import EdgeWavelets, Network

WIDTHS = (64, 32, 10)


def edges(kind: str, widths: Sequence[int]) -> nn.Module:
    """Wav-KAN."""
    layers = [
        nn.Sequential(EdgeWavelets(I, O, kind), nn.BatchNorm1d(O)) for I, O in pairwise(widths)
    ]
    return nn.Sequential(*layers)


def mlp(widths: Sequence[int]) -> nn.Module:
    """SiLU, and as many parameters as Wav-KAN's network."""
    first, last = widths[0], widths[-1]
    wanted = numbers(edges("dog", widths))
    hidden = (wanted - last) // (first + 1 + last)
    return nn.Sequential(nn.Linear(first, hidden), nn.SiLU(), nn.Linear(hidden, last))


def numbers(model: nn.Module) -> int:
    return sum(p.numel() for p in model.parameters())


BUILDERS: dict[str, Callable[[Sequence[int]], nn.Module]] = {
    **{f"Wav-KAN {kind}": partial(edges, kind) for kind in CURVES},
    "bank of wavelets": lambda widths: Network(list(widths), "wavelet"),
    "splines": lambda widths: Network(list(widths), "bspline"),
    "MLP": mlp,
}


def outcome(name: str, plan: Plan) -> float:
    """Tune, train once a seed, print a line; the mean accuracy."""
    rows, build = task("digits"), BUILDERS[name]
    size = numbers(build(WIDTHS))
    contestant = Contestant(name, "KAN", 1, build, lambda widths: size, lambda widths: size)
    start = time.process_time()
    trials = tuned(contestant, WIDTHS, rows, plan)
    rate, stop = min(trials, key=lambda trial: order(trials[trial]))
    train, test = standardised(rows.train, rows.test)
    found = []
    for seed in range(plan.seeds):
        model = contestant.model(WIDTHS, seed)
        for done in training(model, train, rows, rate, plan, seed):
            if done == stop:
                break
        found.append(100 - 100 * score(model, test, rows).error)
    spread = stdev(found) if len(found) > 1 else 0.0
    each = " ".join(f"{accuracy:.1f}" for accuracy in found)
    print(
        f"{name:<22}{size:>8}{rate:>7}{mean(found):>8.2f} ±{spread:.2f}"
        f"{time.process_time() - start:>7.0f} s   {each}",
        flush=True,
    )
    return mean(found)


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--steps", type=int, default=600)
    parser.add_argument("--short", action="store_true", help="two contestants, one seed, 40 steps")
    asked = parser.parse_args(arguments)
    if asked.short:
        asked.seeds, asked.steps = 1, 40
    torch.set_num_threads(1)
    names = ["Wav-KAN dog", "splines"] if asked.short else list(BUILDERS)
    print(f"{'network':<22}{'numbers':>8}{'rate':>7}{'accuracy %':>14}")
    for name in names:
        outcome(name, Plan(asked.steps, 128, asked.seeds))
    return 0


if __name__ == "__main__":
    sys.exit(main())
