"""What kan_vs_mlp.py prints of its runs."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from itertools import groupby
from statistics import fmean, geometric_mean, median

Run = dict
Block = tuple[str, list[list[str]]]
KINDS = {"formula": "formulas", "table": "tables", "image": "image", "sequence": "sequence"}
BUDGETS = {"parameters": "equal parameters", "products": "equal multiply-adds"}


def told(run: Run) -> str:
    return (
        f"{run['task']}, {BUDGETS[run['budget']]}: {run['contestant']} {run['widths']}, "
        f"{run['parameters']} parameters, {run['products']} multiply-adds: {cell(run)} "
        f"(rate {run['rate']:g}, stop {run['stop']:g}, {run['seconds']:.1f} s)"
    )


def table(runs: Sequence[Run]) -> list[Block]:
    """Titled tables: for each budget every task's results, how often each contestant is best, and how
    the KAN and the MLP compare that one would take without having seen the test rows."""
    blocks: list[Block] = []
    for budget, group in grouped(runs, lambda run: run["budget"]):
        for kinds in (("formula",), ("table", "image", "sequence")):
            part = [run for run in group if run["kind"] in kinds]
            if part:
                names = " and ".join(KINDS[kind] for kind in kinds if kind in kinds_of(part))
                blocks.append((f"{BUDGETS[budget]}: {names}", results(part)))
        blocks.append((f"{BUDGETS[budget]}: summary", summary(group)))
        blocks.append((f"{BUDGETS[budget]}: a KAN or an MLP", favoured(group)))
    return blocks


def results(runs: Sequence[Run]) -> list[list[str]]:
    """A line a contestant, a column a task: the median over the seeds, and half their range."""
    tasks, found = by_task(runs)
    head = ["", *(f"{name}{' %' if first(found[name])['classes'] else ''}" for name in tasks)]
    lines = [
        [name, *(cell(found[task][name]) if name in found[task] else "" for task in tasks)]
        for name in contestants_of(runs)
    ]
    return [head, *lines]


def cell(run: Run) -> str:
    """Accuracy in per cent, or the error, as median and half the range."""
    errors = [100 * (1 - e) for e in run["errors"]] if run["classes"] else run["errors"]
    if not all(map(math.isfinite, errors)):
        return "diverged"
    digits = 1 if run["classes"] else 4
    return f"{median(errors):.{digits}f} ±{(max(errors) - min(errors)) / 2:.{digits}f}"


def summary(runs: Sequence[Run]) -> list[list[str]]:
    """A line a contestant: for each kind of tasks, how often it is best and level with the best, and
    how it compares with the best MLP; then its processor milliseconds a step, by the median."""
    kinds = kinds_of(runs)
    head = [
        "",
        *(f"{KINDS[kind]} {what}" for kind in kinds for what in ("best", "level", "vs MLP")),
    ]
    lines = []
    for name in contestants_of(runs):
        line = [name]
        for kind in kinds:
            _, found = by_task([run for run in runs if run["kind"] == kind])
            shared = [runs_of for runs_of in found.values() if name in runs_of]
            line += [
                f"{sum(is_best(name, of) for of in shared)}/{len(shared)}",
                f"{sum(is_level(name, of) for of in shared)}/{len(shared)}",
                against(name, shared),
            ]
        own = [run["step_ms"] for run in runs if run["contestant"] == name]
        lines.append([*line, f"{median(own):.2f}"])
    return [[*head, "ms a step"], *lines]


def favoured(runs: Sequence[Run]) -> list[list[str]]:
    """A line a task: the KAN and the MLP whose errors on the validation rows were smallest, and which of
    the two is better on the test rows, if their seeds do not overlap."""
    tasks, found = by_task(runs)
    lines = [["", "KAN", "its result", "MLP", "its result", "better"]]
    for task in tasks:
        rivals = [[r for r in found[task].values() if r["is"] == kind] for kind in ("KAN", "MLP")]
        if not all(rivals):
            continue
        kan, mlp = (min(kind, key=validated) for kind in rivals)
        better = "KAN" if max(kan["errors"]) < min(mlp["errors"]) else "neither"
        better = "MLP" if max(mlp["errors"]) < min(kan["errors"]) else better
        lines.append([task, kan["contestant"], cell(kan), mlp["contestant"], cell(mlp), better])
    return lines


def validated(run: Run) -> tuple[float, float]:
    """The smallest error on the validation rows, and its loss."""
    return min((error, loss) for _, _, error, loss in run["trials"])


def is_best(name: str, of: dict[str, Run]) -> bool:
    """Whether no other's median error is smaller; several may be."""
    return middle(of[name]) == min(map(middle, of.values()))


def is_level(name: str, of: dict[str, Run]) -> bool:
    """Whether its median is within the range of errors, over the seeds, of one that is best."""
    best = min(of.values(), key=middle)
    return middle(of[name]) <= middle(best) + max(best["errors"]) - min(best["errors"])


def against(name: str, tasks: Sequence[dict[str, Run]]) -> str:
    """Its error over the best MLP's, as geometric mean; of classes, points of accuracy more, as mean."""
    ratios, points = [], []
    for of in tasks:
        rivals = [middle(run) for run in of.values() if run["is"] == "MLP"]
        if not rivals:
            continue
        if of[name]["classes"]:
            points.append(100 * (min(rivals) - middle(of[name])))
        else:
            ratios.append(middle(of[name]) / min(rivals))
    parts = [f"{geometric_mean(ratios):.2f}"] if ratios else []
    parts += [f"{fmean(points):+.1f}"] if points else []
    return ", ".join(parts) or "-"


def sizes(runs: Sequence[Run]) -> str:
    """Hidden nodes, parameters and multiply-adds of every network."""
    blocks = []
    for (budget, name), group in grouped(runs, lambda run: (run["budget"], run["task"])):
        lines = [["", "hidden", "parameters", "multiply-adds"]]
        for run in group:
            hidden = "+".join(map(str, run["widths"][1:-1]))
            counts = [f"{run[key]:,}" for key in ("parameters", "products")]
            lines.append([run["contestant"], hidden, *counts])
        ends = f"{group[0]['widths'][0]} inputs, {group[0]['widths'][-1]} outputs"
        blocks.append((f"{BUDGETS[budget]}: {name}, {ends}, at most {group[0]['most']:,}", lines))
    return shown(blocks)


# --- as text -------------------------------------------------------------------------------------


def shown(blocks: Iterable[Block]) -> str:
    """In columns."""
    texts = []
    for title, lines in blocks:
        wide = [max(map(len, column)) for column in zip(*lines, strict=True)]
        rows = ["  ".join(part.rjust(w) for part, w in zip(l, wide, strict=True)) for l in lines]
        texts.append("\n".join([title, *rows]))
    return "\n\n".join(texts) or "no runs"


def markdown(runs: Sequence[Run]) -> str:
    texts = []
    for title, (head, *lines) in table(runs):
        rows = [head, ["---"] * len(head), *lines]
        body = "\n".join(f"| {' | '.join(row)} |" for row in rows)
        texts.append(f"### {title[0].upper()}{title[1:]}\n\n{body}")
    return "\n\n".join(texts) or "no runs"


# --- sorting -------------------------------------------------------------------------------------


def middle(run: Run) -> float:
    return median(run["errors"])


def first(of: dict[str, Run]) -> Run:
    return next(iter(of.values()))


def by_task(runs: Iterable[Run]) -> tuple[list[str], dict[str, dict[str, Run]]]:
    """The tasks in their order, and task -> contestant -> run."""
    found: dict[str, dict[str, Run]] = {}
    for run in runs:
        found.setdefault(run["task"], {})[run["contestant"]] = run
    return list(found), found


def contestants_of(runs: Iterable[Run]) -> list[str]:
    return list(dict.fromkeys(run["contestant"] for run in runs))


def kinds_of(runs: Iterable[Run]) -> list[str]:
    found = {run["kind"] for run in runs}
    return [kind for kind in KINDS if kind in found]


def grouped(runs: Sequence[Run], by: Callable) -> list[tuple]:
    """(value, runs) for neighbours with the same value."""
    return [(value, list(group)) for value, group in groupby(runs, by)]
