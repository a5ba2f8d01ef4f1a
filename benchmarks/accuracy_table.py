"""The tables that accuracy.py prints. A run whose check is red has no time."""

from __future__ import annotations

import math
from statistics import median

from accuracy_tasks import Task, finite, found, slope

NOT_RUN = "not run"


def show(task: Task, ours: list[dict], theirs: list[dict]) -> str:
    """One task: a line a seed and grid, then what was required and how many seeds gave it."""
    lines = [f"{task.title}", f"required: {task.requirement} ({task.needed} of 10 seeds)"]
    rival = {run["seed"]: run for run in theirs}
    body = hello_lines if task.name == "hellokan" else grid_lines
    for run in ours:
        lines += body(task, run, rival.get(run["seed"]))
    passed = [run for run in ours if task.passed(run["rows"], task.settings)]
    verdict = "green" if len(passed) * 10 >= task.needed * len(ours) else "RED"
    lines.append(f"edgewise: {len(passed)} of {len(ours)} seeds pass: {verdict}{typical(passed)}")
    if theirs:
        if task.name == "hellokan":
            count, what = sum(found(run["rows"]) for run in theirs), "found, constants as decimals"
        else:
            count = sum(task.passed(run["rows"], task.settings) for run in theirs)
            what = "seeds pass the same check"
        lines.append(f"pykan: {count} of {len(theirs)} {what}")
        lines += [
            f"  pykan, seed {run['seed']}: {run['status']}"
            for run in theirs
            if run["status"] != "finished"
        ]
    return "\n".join([*lines, ""])


def grid_lines(task: Task, run: dict, rival: dict | None) -> list[str]:
    """A line a grid: errors, their ratio, seconds so far."""
    green = task.passed(run["rows"], task.settings)
    theirs = {row["grid"]: row for row in rival["rows"]} if rival else {}
    lines = [
        f"{'seed':>4} {'G':>4} {'edgewise':>10} {'pykan':>10} {'ours/theirs':>12}"
        f" {'edgewise s':>11} {'pykan s':>8}"
    ]
    for row in run["rows"]:
        other = theirs.get(row["grid"])
        known = other is not None and finite(other)
        error = f"{other['rmse']:.2e}" if known else lost(rival)
        ratio = f"{row['rmse'] / other['rmse']:.1e}" if known else "-"
        seconds = f"{row['seconds']:.1f}" if green else "red"
        if known and task.name == "deep":  # ours passes through coarser grids within the one fit
            pykan_s = f"{sum(r['seconds'] for r in theirs.values()):.1f}"
        else:
            pykan_s = f"{other['seconds']:.1f}" if known else "-"
        lines.append(
            f"{run['seed']:>4} {row['grid']:>4} {row['rmse']:>10.2e} {error:>10} {ratio:>12}"
            f" {seconds:>11} {pykan_s:>8}"
        )
    if run["status"] != "finished":
        lines.append(f"  edgewise, seed {run['seed']}: {run['status']}")
    value = slope(run["rows"])
    if not math.isnan(value):
        rival_slope = slope(list(theirs.values()))
        tail = "" if math.isnan(rival_slope) else f", pykan {rival_slope:.2f}"
        lines.append(f"     slope: edgewise {value:.2f}{tail}")
    return lines if task.name == "scaling" or run["seed"] == 0 else lines[1:]


def hello_lines(task: Task, run: dict, rival: dict | None) -> list[str]:
    """Two lines a seed: what each found."""
    lines = [hello_line(task, run, "edgewise")]
    if rival is not None:
        lines.append(hello_line(task, rival, "pykan"))
    return lines


def hello_line(task: Task, run: dict, who: str) -> str:
    start = f"{run['seed']:>4} {who:<9}"
    if not run["rows"] or "formula" not in run["rows"][-1]:
        return f"{start} no formula: {run['status']}"
    row = run["rows"][-1]
    right = found(run["rows"])
    verdict = "found" if right else "NOT FOUND"
    seconds = f"{row['seconds']:.1f} s" if right else "red"
    error = f"{row['rmse']:.2e}" if finite(row) else "not finite"
    formula = row["formula"] if len(row["formula"]) <= 70 else row["formula"][:67] + "..."
    return f"{start} {verdict:<9} {error:>10} {seconds:>7}  width {row['width']}  {formula}"


def lost(rival: dict | None) -> str:
    if rival is None:
        return NOT_RUN
    return "time limit" if rival["status"].startswith("time limit") else "failed"


def typical(passed: list[dict]) -> str:
    """Median and range over the seeds that pass; nothing where none does."""
    if not passed:
        return ""
    errors = [run["rows"][-1]["rmse"] for run in passed]
    seconds = [sum(row.get("seconds", 0.0) for row in run["rows"]) for run in passed]
    return (
        f"; of these RMSE median {median(errors):.1e} ({min(errors):.1e} to {max(errors):.1e}),"
        f" seconds median {median(seconds):.1f} ({min(seconds):.1f} to {max(seconds):.1f})"
    )
