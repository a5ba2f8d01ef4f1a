"""How the error falls with the number of parameters, for KANs and MLPs, on five functions.

    python benchmarks/scaling.py [--only NAME] [--seeds 0-2] [--limit 5]      # runs what is missing
    python benchmarks/scaling.py --table                                       # what is kept
    python benchmarks/scaling.py --plot docs/images
    python benchmarks/scaling.py --short

The functions of Liu et al., *KAN* (2024), figure 3.1, inputs uniform in [-1, 1] (J0 in [0, 1]). A KAN is
fitted on its coarsest grid and refined from grid to grid; an MLP of tanh, two hidden layers of one width,
is trained by LBFGS in float64 from one start, for --limit seconds of the processor or 3,000 steps. Both
see the same rows; errors are those of 3,000 test rows. MLPs run on the first of the seeds only.
"""

from __future__ import annotations

import argparse
import math
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path
from statistics import geometric_mean

import numpy as np
import torch
from torch import Tensor, nn

import kept
from accuracy_tasks import four, rmse, two
from edgewise import KAN, create_dataset
from options import add_kept, seeds

RESULTS = Path(__file__).parent / "results" / "scaling.jsonl"
KEY = ("name", "who", "seed", "size", "rows")
MLP_SIZES = tuple((width, 2) for width in (5, 10, 20, 50))


@dataclass(frozen=True)
class Case:
    """A function, the KAN's width, grids and options, and rows: a number, or so many a parameter."""

    name: str
    title: str
    f: Callable[[Tensor], Tensor]
    width: tuple[int, ...]
    grids: tuple[int, ...]
    rows: int = 3000
    base: str = "silu"
    low: float = -1.0

    def data(self, seed: int) -> dict[str, Tensor]:
        ranges = [self.low, 1.0]
        n = self.width[0]
        return create_dataset(
            self.f, n, ranges=ranges, train_num=self.rows, test_num=3000, seed=seed
        )


def product(x: Tensor) -> Tensor:
    return x[:, [0]] * x[:, [1]]


def hundred(x: Tensor) -> Tensor:
    return torch.exp((torch.pi * x / 2).sin().square().mean(1, keepdim=True))


def bessel(x: Tensor) -> Tensor:
    return torch.special.bessel_j0(20 * x)


CASES = (
    Case("bessel", "J0(20 x) on [1,1]", bessel, (1, 1), (5, 10, 20, 50, 100, 200), low=0.0),
    Case("two", "exp(sin(pi x1) + x2^2) on [2,1,1]", two, (2, 1, 1), (3, 5, 10, 20, 50, 100)),
    Case("product", "x1 x2 on [2,2,1]", product, (2, 2, 1), (3, 6, 12, 24), base="zero"),
    Case(
        "hundred",
        "exp(mean of sin^2(pi x_i / 2)), 100 variables, on [100,1,1]",
        hundred,
        (100, 1, 1),
        (3, 5, 10, 20),
        rows=7500,
    ),
    Case(
        "four",
        "exp((sin pi(x1^2+x2^2) + sin pi(x3^2+x4^2)) / 2) on [4,2,1,1]",
        four,
        (4, 2, 1, 1),
        (5, 10, 20, 50),
    ),
)
# the last function needs more rows for its finest grid
CASES += (replace(CASES[-1], name="four6000", rows=6000),)


# --- runs ----------------------------------------------------------------------------------------


def kan_runs(case: Case, seed: int) -> Iterator[dict]:
    """One network from grid to grid."""
    data, model = case.data(seed), None
    for grid in case.grids:
        start = time.process_time()
        if model is None:
            model = KAN(list(case.width), grid=grid, seed=seed, base_fun=case.base)
        else:
            model = model.refine(grid)
        if case.width[0] > 10:  # beyond a thousand parameters each step takes seconds
            history = model.fit(data, "LM", steps=60 if grid == case.grids[0] else 15)
        else:
            history = model.fit(data)
        yield {
            "size": grid,
            "parameters": model.n_parameters,
            "rmse": rmse(model, data),
            "train": rmse(model, data, "train"),
            "seconds": time.process_time() - start,
            "steps": len(history["step"]),
            "losses": every_tenth(history["train_loss"], history["test_loss"]),
        }


def every_tenth(train: list[float], test: list[float]) -> list[list[float]]:
    chosen = sorted({*range(0, len(train), 10), len(train) - 1})
    return [[n, train[n], test[n]] for n in chosen if n >= 0]


def mlp_run(case: Case, seed: int, width: int, depth: int, limit: float) -> dict:
    """tanh, Xavier's start, LBFGS with line search until the limit."""
    data = case.data(seed)
    torch.manual_seed(seed)
    sizes = [case.width[0], *[width] * depth]
    layers: list[nn.Module] = []
    for I, O in pairwise(sizes):
        layers += [nn.Linear(I, O), nn.Tanh()]
    model = nn.Sequential(*layers, nn.Linear(width, 1)).double()
    for layer in model:
        if isinstance(layer, nn.Linear):
            nn.init.xavier_normal_(layer.weight)
            nn.init.zeros_(layer.bias)
    x, y = data["train_input"], data["train_label"]
    mean, spread = y.mean(), y.std()
    optimiser = torch.optim.LBFGS(  # to the limit: torch's own tolerances would end it at 1e-3
        *(model.parameters(), 1.0, 20, None, 0.0, 0.0),
        history_size=50,
        line_search_fn="strong_wolfe",
    )
    start, steps = time.process_time(), 0

    def closure() -> Tensor:
        optimiser.zero_grad()
        loss = (model(x) - (y - mean) / spread).square().mean()
        loss.backward()
        return loss

    while steps < 3000 and time.process_time() - start < limit:
        optimiser.step(closure)
        steps += 20
    with torch.no_grad():
        left = [
            model(data[f"{part}_input"]) * spread + mean - data[f"{part}_label"]
            for part in ("test", "train")
        ]
        errors = [float(error.square().mean().sqrt()) for error in left]
    return {
        "size": f"{depth} x {width}",
        "parameters": sum(p.numel() for p in model.parameters()),
        "rmse": errors[0],
        "train": errors[1],
        "seconds": time.process_time() - start,
        "steps": steps,
    }


def run(case: Case, seeds: list[int], limit: float, results: Path, mlps: tuple = MLP_SIZES) -> None:
    """Run and keep what is missing; MLPs on the first seed."""
    old = kept.read(results, KEY)
    for seed in seeds:
        key = {"name": case.name, "seed": seed, "rows": case.rows}
        if any((case.name, "KAN", seed, g, case.rows) not in old for g in case.grids):
            for found in kan_runs(case, seed):
                kept.add(results, key | {"who": "KAN"} | found)
                print(
                    f"{case.name} {seed} KAN G = {found['size']}: {found['rmse']:.2e}", flush=True
                )
    seed = seeds[0]
    for width, depth in mlps:
        if (case.name, "MLP", seed, f"{depth} x {width}", case.rows) not in old:
            found = mlp_run(case, seed, width, depth, limit)
            kept.add(
                results,
                {"name": case.name, "seed": seed, "rows": case.rows, "who": "MLP"} | found,
            )
            print(f"{case.name} {seed} MLP {found['size']}: {found['rmse']:.2e}", flush=True)


# --- what they tell ------------------------------------------------------------------------------


def exponent(runs: list[dict], by: str = "parameters") -> float:
    """Regression slope of log error on log ``by``; nan below three sizes."""
    if len({run[by] for run in runs}) < 3:
        return math.nan
    return float(np.polyfit(*(np.log([run[name] for run in runs]) for name in (by, "rmse")), 1)[0])


def frontier(runs: list[dict]) -> list[dict]:
    """The MLPs that no smaller one beats."""
    best: list[dict] = []
    for one in sorted(runs, key=lambda run: run["parameters"]):
        if not best or one["rmse"] < best[-1]["rmse"]:
            best.append(one)
    return best


def table(case: Case, runs: list[dict]) -> str:
    """Error against parameters, geometric means over the seeds, worst seed, exponents."""
    own = [run for run in runs if run["name"] == case.name and run["rows"] == case.rows]
    kan = [run for run in own if run["who"] == "KAN" and run["size"] in case.grids]
    mlp = [run for run in own if run["who"] == "MLP"]
    if not kan:
        return ""
    lines = [f"{case.title}, {case.rows} rows, {len({run['seed'] for run in kan})} seeds"]
    lines.append(f"{'':>10} {'parameters':>10} {'rows each':>10} {'test RMSE':>10} {'worst':>10}")
    for grid in case.grids:
        some = [run for run in kan if run["size"] == grid]
        if some:
            P, errors = some[0]["parameters"], [run["rmse"] for run in some]
            lines.append(
                f"{f'KAN G={grid}':>10} {P:>10} {case.rows / P:>10.1f} {geometric_mean(errors):>10.2e}"
                f" {max(errors):>10.2e}"
            )
    for run in sorted(mlp, key=lambda run: run["parameters"]):
        P = run["parameters"]
        lines.append(
            f"{'MLP ' + run['size']:>10} {P:>10} {case.rows / P:>10.1f} {run['rmse']:>10.2e}"
        )
    if case.name == "product":  # splines hold its curves exactly: the error is the solver's
        return "\n".join(lines) + "\n"
    lines.append(
        f"exponent in G = 5..50, all seeds: {exponent(middle(kan), 'size'):.2f}; by seed: "
        + ", ".join(f"{e:.2f}" for e in by_seed(kan))
    )
    lines.append(
        f"exponent in parameters: KAN {exponent(kan):.2f},"
        f" MLP {exponent(frontier(mlp)):.2f} (those that no smaller one beats)"
    )
    return "\n".join(lines) + "\n"


def middle(runs: list[dict]) -> list[dict]:
    return [run for run in runs if 5 <= run["size"] <= 50]


def by_seed(runs: list[dict]) -> list[float]:
    seeds = sorted({run["seed"] for run in runs})
    return [exponent([r for r in middle(runs) if r["seed"] == seed], "size") for seed in seeds]


def plot(runs: list[dict], folder: Path) -> None:
    """Error against parameters for the five functions, and the staircase of grid extension."""
    import matplotlib
    from matplotlib.figure import Figure
    from matplotlib.ticker import LogLocator, NullLocator

    matplotlib.rcParams["svg.hashsalt"] = "edgewise"
    figure = Figure(figsize=(10, 5.6), layout="constrained")
    axes = figure.subplots(2, 3).flat
    for panel, case in zip(axes, CASES[:5], strict=False):
        own = [run for run in runs if run["name"] == case.name and run["rows"] == case.rows]
        kan = [run for run in own if run["who"] == "KAN" and run["size"] in case.grids]
        mlp = [run for run in own if run["who"] == "MLP"]
        sizes = sorted({run["parameters"] for run in kan})
        errors = [geometric_mean(r["rmse"] for r in kan if r["parameters"] == P) for P in sizes]
        panel.loglog([r["parameters"] for r in mlp], [r["rmse"] for r in mlp], ".", color="#9aa0a6")
        best = frontier(mlp)
        panel.loglog(
            [r["parameters"] for r in best],
            [r["rmse"] for r in best],
            "s--",
            color="#5f6368",
            ms=4,
            lw=1,
            label="MLP",
        )
        panel.loglog(sizes, errors, "o-", color="#c1272d", ms=4, lw=1.4, label="KAN")
        if case.name != "product":
            guide = np.array([max(sizes[0], sizes[-1] / 4), sizes[-1]])
            line = 3 * errors[-1] * (guide / sizes[-1]) ** -4.0
            panel.loglog(guide, line, ":", color="k", lw=1.2, label="slope −4")
        panel.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
        panel.xaxis.set_major_formatter("{x:g}")
        panel.xaxis.set_minor_locator(NullLocator())
        panel.set_title(
            case.title.split(" on ")[0].split(", 100")[0].replace("pi", "π"), fontsize=8
        )
        panel.grid(alpha=0.2, linewidth=0.6)
        panel.spines[["top", "right"]].set_visible(False)
    figure.axes[0].legend(frameon=False, fontsize=8)
    figure.axes[5].set_axis_off()
    for panel in figure.axes[:6:3]:
        panel.set_ylabel("test RMSE")
    for panel in figure.axes[2:5]:
        panel.set_xlabel("parameters")
    figure.savefig(folder / "scaling.svg", facecolor="white", metadata={"Date": None})
    staircase(runs, folder)


def staircase(runs: list[dict], folder: Path) -> None:
    """Training and test error along the steps of one seed, from grid to grid."""
    from matplotlib.figure import Figure

    case = CASES[1]
    own = [
        r for r in runs if r["name"] == case.name and r["who"] == "KAN" and r["rows"] == case.rows
    ]
    own = [r for r in own if r["seed"] == min(run["seed"] for run in own)]
    figure = Figure(figsize=(7, 3.6), layout="constrained")
    panel = figure.subplots()
    for stair, grid in enumerate(case.grids):
        losses = np.array(next(r["losses"] for r in own if r["size"] == grid))
        steps = losses[-1, 0] + 1
        share = stair + losses[:, 0] / steps
        panel.semilogy(share, losses[:, 1], color="#c1272d", lw=1.5)
        panel.semilogy(share, losses[:, 2], color="#1f77b4", lw=1.2, ls="--")
        panel.axvline(stair, color="k", alpha=0.15, lw=0.8)
        panel.text(stair + 0.5, 2.0, f"G = {grid}\n{steps:.0f} steps", fontsize=8, ha="center")
    panel.plot([], [], color="#c1272d", label="training rows")
    panel.plot([], [], color="#1f77b4", ls="--", label="test rows")
    panel.set_ylim(5e-9, 20)
    panel.set_xticks([])
    panel.set_xlabel("the steps of each grid")
    panel.set_ylabel("RMSE")
    panel.legend(frameon=False, fontsize=8, loc="lower left")
    panel.spines[["top", "right"]].set_visible(False)
    figure.savefig(folder / "staircase.svg", facecolor="white", metadata={"Date": None})


def main() -> int:
    given = arguments()
    torch.set_num_threads(1)
    chosen = [case for case in CASES if given.only in (None, case.name)]
    if given.short:
        chosen = [
            Case("bessel", "J0(20 x) on [1,1]", bessel, (1, 1), (20, 40, 80), 300, low=0.0),
            Case("two", "exp(sin(pi x1) + x2^2) on [2,1,1]", two, (2, 1, 1), (5, 10), 300),
        ]
    if not given.table and given.plot is None:
        for case in chosen:
            mlps = MLP_SIZES if not given.short else ((5, 2),)
            mlps = () if case.name == "four6000" or given.limit == 0 else mlps
            run(case, given.seeds, 0.5 if given.short else given.limit, given.results, mlps)
    runs = list(kept.read(given.results, KEY).values())
    if given.plot is not None:
        plot(runs, given.plot)
        return 0
    print("\n".join(table(case, runs) for case in chosen))
    return 0


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--only", choices=[case.name for case in CASES])
    parser.add_argument("--seeds", type=seeds, default=[0, 1, 2], help="0-9, or 0,3")
    parser.add_argument("--limit", type=float, default=5, help="seconds of one MLP; 0: none")
    add_kept(parser, RESULTS)
    parser.add_argument("--short", action="store_true", help="two small cases, some seconds")
    given = parser.parse_args()
    if given.short:
        given.seeds = [0]
    return given


if __name__ == "__main__":
    sys.exit(main())
