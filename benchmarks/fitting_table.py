"""Prints and draws what special_functions.py and feynman27.py have measured."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from fitting_suite import Suite

Runs = Mapping[tuple[str, str], dict]

RIVALS = ("pykan", "MLP LBFGS", "MLP Adam")
_COLOURS = {
    "edgewise": "#c1272d",
    "the paper's best": "#1a1a1a",
    "pykan": "#3a6ea5",
    "MLP LBFGS": "#8a8a8a",
    "MLP Adam": "#c4c4c4",
}
_MARKS = {
    "edgewise": "o",
    "the paper's best": "|",
    "pykan": "s",
    "MLP LBFGS": "^",
    "MLP Adam": "v",
}


def text(suite: Suite, runs: Runs) -> str:
    """The table, and whether what is aimed at is there."""
    ids = [id for id in suite.ids if (id, "edgewise") in runs]
    header = f"{'':<10}{'shape':<20}{'G':>6}{'P':>6}{'s':>6}{'edgewise':>10}{'paper':>10}"
    lines = [header + "".join(f"{name:>11}" for name in RIVALS)]
    lines += [row(suite, runs, id) for id in ids]
    errors = [runs[id, "edgewise"]["rmse"] for id in ids]
    below = sum(runs[id, "edgewise"]["rmse"] < suite.to_beat(id) for id in ids)
    lines += [
        "",
        f"below the paper's best: {below} of {len(ids)} (aim: {suite.needed} of {len(suite.ids)})",
        f"geometric mean: {mean(errors):.2g} (aim: {suite.mean:.0e}); "
        f"the paper's best: {mean([suite.to_beat(id) for id in ids]):.2g}",
    ]
    for name in RIVALS:
        both = [id for id in ids if (id, name) in runs]
        if both:
            theirs = [runs[id, name]["rmse"] for id in both]
            ours = [runs[id, "edgewise"]["rmse"] for id in both]
            ahead = sum(a < b for a, b in zip(ours, theirs, strict=True))
            lines.append(
                f"ahead of {name} in the same seconds: {ahead} of {len(both)}; geometric means "
                f"{mean(ours):.2g} and {mean(theirs):.2g}"
            )
    return "\n".join(lines)


def row(suite: Suite, runs: Runs, id: str) -> str:
    run = runs[id, "edgewise"]
    grid = f"{run['grid']},{run['last']}" if run.get("last") else str(run["grid"])
    start = f"{id:<10}{shape(run['width']):<20}{grid:>6}{run['parameters']:>6}"
    start += f"{run['seconds']:>6.0f}{run['rmse']:>10.1e}{suite.to_beat(id):>10.1e}"
    others = [runs.get((id, name)) for name in RIVALS]
    return start + "".join(f"{error(other):>11}" for other in others)


def shape(width: Sequence) -> str:
    """[2,[1,1],1] for a level of one sum and one product; a level of sums is a number."""
    levels = [
        str(level) if isinstance(level, int) else f"[{level[0]},{level[1]}]" for level in width
    ]
    return f"[{','.join(levels)}]"


def error(run: dict | None) -> str:
    if run is None:
        return "-"
    return f"{run['rmse']:.1e}" if math.isfinite(run["rmse"]) else "failed"


def mean(errors: Sequence[float]) -> float:
    """Geometric; nan of none."""
    logs = [math.log(e) if e > 0 else -math.inf for e in errors]
    return math.exp(sum(logs) / len(logs)) if logs else math.nan


def plot(suite: Suite, runs: Runs, path: Path) -> None:
    """A line a problem, a mark a contestant, errors on a logarithmic axis, the hardest on top."""
    from matplotlib.figure import Figure

    ids = [id for id in suite.ids if (id, "edgewise") in runs]
    ids.sort(key=lambda id: runs[id, "edgewise"]["rmse"])
    columns = {
        "the paper's best": [suite.to_beat(id) for id in ids],
        **{
            name: [runs.get((id, name), {}).get("rmse", math.nan) for id in ids]
            for name in (*reversed(RIVALS), "edgewise")
        },
    }
    figure = Figure(figsize=(7.2, 1.2 + 0.22 * len(ids)), layout="constrained")
    axes = figure.add_subplot()
    for name, errors in columns.items():
        if not all(math.isnan(e) for e in errors):
            size = 9 if name == "the paper's best" else 5
            axes.plot(
                errors,
                range(len(ids)),
                _MARKS[name],
                color=_COLOURS[name],
                ms=size,
                mew=2 if name == "the paper's best" else 0.5,
                label=name,
            )
    axes.set_xscale("log")
    axes.set_yticks(range(len(ids)), ids, fontsize=8)
    axes.set_xlabel("RMSE on test rows")
    axes.grid(axis="x", color="#e5e5e5", lw=0.6)
    axes.grid(axis="y", color="#f0f0f0", lw=0.6)
    axes.set_axisbelow(True)
    for side in ("top", "right", "left"):
        axes.spines[side].set_visible(False)
    axes.tick_params(axis="y", length=0)
    figure.legend(loc="outside upper center", ncols=5, frameon=False, fontsize=8)
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, metadata={"Date": None} if path.suffix == ".svg" else None)
