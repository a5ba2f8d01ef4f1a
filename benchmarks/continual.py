"""What is forgotten when the rows come in phases and none comes twice: KANs and MLPs.

    python benchmarks/continual.py [--task peaks|digits] [--seeds 0-2]      # runs what is missing
    python benchmarks/continual.py --table
    python benchmarks/continual.py --plot docs/images
    python benchmarks/continual.py --short

**peaks**: y = sum_p exp(-300 (x - c_p)^2), c_p = -0.8, -0.4, 0, 0.4, 0.8; phase p sees 500 rows of
|x - c_p| <= 0.2 (Liu et al., *KAN*, 2024, section 3.4). The KAN is one spline, [1,1], on a fixed grid of
[-1, 1] without residual branch, fitted by Levenberg-Marquardt without the prior of smoothness, which would
reach where no rows are. The MLP is [1,100,100,1] of tanh, by Adam and by LBFGS.

**digits**: scikit-learn's 8 x 8 digits, classes 0-1, 2-3, ... in five phases; half the rows test. Each
phase: Adam for 300 steps at one rate on its rows alone. Two figures after each phase: the accuracy
over all classes seen so far, and the mean of the accuracies within each pair when the pair is told
("task told"). Of several rates each network gets the one with the best mean of the last two numbers, on
the first seed, and all is repeated on others. "joint" is the same network on all rows at once.
"""

from __future__ import annotations

import argparse
import copy
import sys
from collections.abc import Callable
from functools import partial
from itertools import pairwise
from pathlib import Path
from statistics import mean, stdev

import numpy as np
import torch
from torch import Tensor, nn

import kept
from edgewise import KAN, train
from edgewise.bases import BSpline
from edgewise.nn import Network
from edgewise.train import GridUpdates, LevenbergMarquardt
from options import add_kept, seeds

RESULTS = Path(__file__).parent / "results" / "continual.jsonl"
KEY = ("task", "who", "seed", "setting")
CENTRES = (-0.8, -0.4, 0.0, 0.4, 0.8)
RATES = (1e-4, 3e-4, 1e-3, 3e-3, 1e-2)


# --- five peaks ----------------------------------------------------------------------------------


def peaks(x: Tensor) -> Tensor:
    return sum(torch.exp(-300 * (x - centre).square()) for centre in CENTRES)


def rows_of(phase: int, count: int = 500) -> Tensor:
    return torch.linspace(-0.2, 0.2, count, dtype=torch.float64)[:, None] + CENTRES[phase]


def unseen(phases: int) -> Tensor:
    """Test points between the rows of the first ``phases`` peaks."""
    return torch.linspace(-1.0, -1.0 + 0.4 * phases, 977 * phases, dtype=torch.float64)[:, None]


def kan(width: list[int], grid: int, seed: int) -> tuple[Network, Callable]:
    noise = 0.0 if len(width) == 2 else 0.1  # one layer needs no start
    model = KAN(width, grid=grid, seed=seed, base_fun="zero", noise_scale=noise)
    solver = LevenbergMarquardt(30, grids=GridUpdates(0), smoothness=0.0)
    return model, lambda model, x: train.fit(model, (x, peaks(x)), solver=solver).model


def perceptron(optimiser: str, seed: int) -> tuple[nn.Module, Callable]:
    torch.manual_seed(seed)
    layers = [nn.Linear(1, 100), nn.Tanh(), nn.Linear(100, 100), nn.Tanh(), nn.Linear(100, 1)]
    model = nn.Sequential(*layers).double()

    def adam(model: nn.Module, x: Tensor) -> nn.Module:
        y, optimiser = peaks(x), torch.optim.Adam(model.parameters(), 1e-3)
        for _ in range(2000):
            optimiser.zero_grad()
            (model(x) - y).square().mean().backward()
            optimiser.step()
        return model

    def lbfgs(model: nn.Module, x: Tensor) -> nn.Module:
        y = peaks(x)
        optimiser = torch.optim.LBFGS(
            *(model.parameters(), 1.0, 500, None, 0.0, 0.0),
            history_size=20,
            line_search_fn="strong_wolfe",
        )

        def closure() -> Tensor:
            optimiser.zero_grad()
            loss = (model(x) - y).square().mean()
            loss.backward()
            return loss

        optimiser.step(closure)
        return model

    return model, {"adam": adam, "lbfgs": lbfgs}[optimiser]


@torch.no_grad()
def rms_over_peaks(model: nn.Module, phases: int) -> float:
    x = unseen(phases)
    return float((model(x) - peaks(x)).square().mean().sqrt())


def peaks_run(model: nn.Module, learn: Callable) -> dict:
    """RMSE over all peaks seen so far after each phase, and the curve on [-1, 1]; and the RMSE of the
    same network fitted to all rows at once."""
    whole = learn(copy.deepcopy(model), torch.cat([rows_of(phase) for phase in range(5)]))
    errors, curves, line = [], [], torch.linspace(-1, 1, 401, dtype=torch.float64)[:, None]
    for phase in range(len(CENTRES)):
        model = learn(model, rows_of(phase))
        errors.append(rms_over_peaks(model, phase + 1))
        with torch.no_grad():
            curves.append([round(v, 5) for v in model(line)[:, 0].tolist()])
    return {
        "errors": errors,
        "whole": rms_over_peaks(whole, 5),
        "curves": curves,
        "parameters": parameters(model),
    }


def parameters(model: nn.Module) -> int:
    if isinstance(model, Network):
        return model.n_parameters
    return sum(p.numel() for p in model.parameters())


# --- classes that come in pairs ------------------------------------------------------------------


def digits(seed: int) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    from sklearn.datasets import load_digits

    found = load_digits()
    x = torch.tensor(found.data, dtype=torch.float32) / 8 - 1
    y = torch.tensor(found.target)
    order = torch.randperm(len(x), generator=torch.Generator().manual_seed(seed))
    half = len(x) // 2
    return x[order[:half]], y[order[:half]], x[order[half:]], y[order[half:]]


def splines(widths: list[int], grid: int, seed: int) -> nn.Module:
    return Network(widths, BSpline(grid), generator=torch.Generator().manual_seed(seed))


def mlp(widths: list[int], seed: int) -> nn.Module:
    torch.manual_seed(seed)
    layers: list[nn.Module] = []
    for I, O in pairwise(widths):
        layers += [nn.Linear(I, O), nn.SiLU()]
    return nn.Sequential(*layers[:-1])


# about 6,000 parameters each
CLASSIFIERS: dict[str, Callable[[int], nn.Module]] = {
    "KAN [64,8,10], G=5": lambda seed: splines([64, 8, 10], 5, seed),
    "KAN [64,10], G=5": lambda seed: splines([64, 10], 5, seed),
    "KAN [64,3,10], G=20": lambda seed: splines([64, 3, 10], 20, seed),
    "MLP [64,80,10]": lambda seed: mlp([64, 80, 10], seed),
    "MLP [64,56,40,10]": lambda seed: mlp([64, 56, 40, 10], seed),
}


def learn_classes(model: nn.Module, x: Tensor, y: Tensor, rate: float, steps: int) -> None:
    optimiser = torch.optim.Adam([p for p in model.parameters() if p.requires_grad], rate)
    for _ in range(steps):
        optimiser.zero_grad()
        nn.functional.cross_entropy(model(x), y).backward()
        optimiser.step()


@torch.no_grad()
def accuracies(model: nn.Module, x: Tensor, y: Tensor, phases: int) -> tuple[float, float]:
    """Over all classes of the first phases, and the mean within each pair with the pair told."""
    scores, seen = model(x), y < 2 * phases
    right = (scores[seen].argmax(1) == y[seen]).double().mean()
    told = []
    for phase in range(phases):
        rows = (y // 2) == phase
        told.append((scores[rows, 2 * phase :][:, :2].argmax(1) == y[rows] % 2).double().mean())
    return float(right), float(torch.stack(told).mean())


def digits_run(name: str, seed: int, rate: float, steps: int) -> dict:
    x, y, x_test, y_test = digits(seed)
    model = CLASSIFIERS[name](seed)
    joint = copy.deepcopy(model)
    found = []
    for phase in range(5):
        rows = (y // 2) == phase
        learn_classes(model, x[rows], y[rows], rate, steps)
        found.append(accuracies(model, x_test, y_test, phase + 1))
    learn_classes(joint, x, y, rate, steps)
    return {
        "all": [a for a, _ in found],
        "told": [b for _, b in found],
        "joint": accuracies(joint, x_test, y_test, 5)[0],
        "parameters": parameters(model),
    }


# --- runs and tables -----------------------------------------------------------------------------


def new_run(make: Callable, seed: int) -> dict:
    return peaks_run(*make(seed))


def peak_contestants(short: bool) -> dict[str, Callable[[int], tuple[nn.Module, Callable]]]:
    found: dict[str, Callable] = {
        f"KAN [1,1], G={grid}": (lambda seed, grid=grid: kan([1, 1], grid, seed))
        for grid in ((200,) if short else (200, 250, 400))
    }
    if not short:
        found["KAN [1,4,1], G=50"] = lambda seed: kan([1, 4, 1], 50, seed)
        found["MLP [1,100,100,1], Adam"] = lambda seed: perceptron("adam", seed)
        found["MLP [1,100,100,1], LBFGS"] = lambda seed: perceptron("lbfgs", seed)
    return found


def run(task: str, seeds: list[int], results: Path, short: bool) -> None:
    old = kept.read(results, KEY)

    def once(who: str, seed: int, setting: str, make: Callable[[], dict]) -> None:
        key = {"task": task, "who": who, "seed": seed, "setting": setting}
        if tuple(key[name] for name in KEY) not in old:
            kept.add(results, key | make())
            print(task, who, seed, setting, flush=True)

    if task == "peaks":
        for who, make in peak_contestants(short).items():
            for seed in seeds[:1] if "[1,1]" in who else seeds:  # a start of zeros has no seed
                once(who, seed, "", partial(new_run, make, seed))
        return
    steps = 20 if short else 300
    for who in ("KAN [64,10], G=5", "MLP [64,80,10]") if short else CLASSIFIERS:
        rates = [f"{rate:g}" for rate in (RATES[-1:] if short else RATES)]
        for seed in seeds:
            for rate in rates:
                once(who, seed, rate, partial(digits_run, who, seed, float(rate), steps))
            found = [r for r in kept.read(results, KEY).values() if r["who"] == who]
            rates = [best_rate(found)]  # the first seed has chosen


def table(task: str, runs: list[dict]) -> str:
    runs = [run for run in runs if run["task"] == task]
    names = list(dict.fromkeys(run["who"] for run in runs))
    lines = []
    if task == "peaks":
        lines.append(
            f"{'RMSE over the peaks seen so far':34} {'params':>7}  {'after phase 1 .. 5':44}  all at once"
        )
        for name in names:
            some = [run for run in runs if run["who"] == name]
            errors = np.array([run["errors"] for run in some]).mean(0)
            text = " ".join(f"{e:8.2e}" for e in errors)
            whole = mean(run["whole"] for run in some)
            lines.append(f"{name:34} {some[0]['parameters']:>7}  {text}  {whole:8.2e}")
        return "\n".join(lines) + "\n"
    lines.append(
        f"{'digits, pairs of classes':22} {'params':>7} {'rate':>6}  {'all classes seen, phases 1 .. 5':34}"
        f" {'task told, 5':>13} {'joint':>13}"
    )
    for name in names:
        rate = best_rate([run for run in runs if run["who"] == name])
        some = [run for run in runs if run["who"] == name and run["setting"] == rate]
        phases = " ".join(f"{100 * mean(r['all'][p] for r in some):5.1f}" for p in range(5))
        told, joint = (
            [100 * v for v in values]
            for values in ([r["told"][-1] for r in some], [r["joint"] for r in some])
        )
        lines.append(
            f"{name:22} {some[0]['parameters']:>7} {rate:>6}  {phases:34}"
            f" {spread(told):>13} {spread(joint):>13}"
        )
    return "\n".join(lines) + "\n"


def best_rate(runs: list[dict]) -> str:
    first = min(run["seed"] for run in runs)
    own = [run for run in runs if run["seed"] == first]
    return max(own, key=lambda run: run["all"][-1] + run["told"][-1])["setting"]


def spread(values: list[float]) -> str:
    return f"{mean(values):.1f} ± {stdev(values):.1f}" if len(values) > 1 else f"{values[0]:.1f}"


def plot(runs: list[dict], folder: Path) -> None:
    """A row a network, a column a phase: the target, the rows of the phase, the network."""
    import matplotlib
    from matplotlib.figure import Figure

    matplotlib.rcParams["svg.hashsalt"] = "edgewise"
    names = ["KAN [1,1], G=200", "MLP [1,100,100,1], Adam"]
    figure = Figure(figsize=(10, 3.6), layout="constrained")
    axes = figure.subplots(len(names), 5, sharex=True, sharey=True)
    x = torch.linspace(-1, 1, 401, dtype=torch.float64)
    target = peaks(x[:, None])[:, 0]
    for row, name in zip(axes, names, strict=True):
        found = next(r for r in runs if r["task"] == "peaks" and r["who"] == name)
        for phase, panel in enumerate(row):
            left, right = CENTRES[phase] - 0.2, CENTRES[phase] + 0.2
            panel.axvspan(left, right, color="#ffe9a8", lw=0)
            panel.plot(x, target, color="#9aa0a6", lw=2.5)
            panel.plot(x, found["curves"][phase], color="#c1272d", lw=1.1)
            panel.set_ylim(-0.35, 1.35)
            panel.spines[["top", "right"]].set_visible(False)
            panel.text(0, 1.2, f"RMSE {found['errors'][phase]:.1e}", fontsize=8, ha="center")
        row[0].set_ylabel(name.split()[0])
    for phase, panel in enumerate(axes[0]):
        panel.set_title(f"phase {phase + 1}", fontsize=9)
    figure.savefig(folder / "continual.svg", facecolor="white", metadata={"Date": None})


def main() -> int:
    given = arguments()
    torch.set_num_threads(1)
    tasks = [given.task] if given.task else ["peaks", "digits"]
    if not given.table and given.plot is None:
        for task in tasks:
            run(task, [0] if given.short else given.seeds, given.results, given.short)
    runs = list(kept.read(given.results, KEY).values())
    if given.plot is not None:
        plot(runs, given.plot)
        return 0
    print("\n".join(table(task, runs) for task in tasks))
    return 0


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--task", choices=["peaks", "digits"])
    parser.add_argument("--seeds", type=seeds, default=[0, 1, 2], help="0-2, or 0,3")
    add_kept(parser, RESULTS)
    parser.add_argument("--short", action="store_true", help="a small form, some seconds")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
