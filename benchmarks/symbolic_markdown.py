"""The tables of symbolic.py as docs/results/discovery.md shows them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from statistics import median

from symbolic_problems import Problem
from symbolic_table import Run, about, cut, share


def markdown(runs: Sequence[Run], known: Mapping[str, Problem]) -> str:
    """Rates by noise, results by equation, and what was found where the law was not."""
    parts = [about(runs), rates(runs), compared(runs), equations(runs, known), missed(runs, known)]
    return "\n\n".join(part for part in parts if part)


def rates(runs: Sequence[Run]) -> str:
    """A line for each method and noise, over all that it was run on."""
    rows = []
    for method in methods(runs):
        for noise in levels(runs):
            group = [r for r in runs if r["method"] == method and r["noise"] == noise]
            same = [r for r in group if r["same"] is not None]
            if group:
                rows.append(
                    (
                        method,
                        f"{noise:g}",
                        len(group),
                        counted(r["solved"] for r in group),
                        counted(r["same"] for r in same) if same else "",
                        counted(r["accurate"] for r in group),
                        sum(r["status"] != "finished" for r in group),
                        seconds(group),
                    )
                )
    head = ("method", "noise", "runs", "solved", "same to 1e-6", "R2 > 0.999", "failed", "median s")
    return table(head, rows)


def compared(runs: Sequence[Run]) -> str:
    """Solved by each method on the runs that all of them have."""
    names = methods(runs)
    if len(names) < 2:
        return ""
    rows = []
    for noise in levels(runs):
        solved = {
            name: {
                (r["problem"], r["seed"]): r["solved"]
                for r in runs
                if r["method"] == name and r["noise"] == noise
            }
            for name in names
        }
        both = set.intersection(*(set(own) for own in solved.values()))
        if both:
            cells = [counted(solved[name][run] for run in both) for name in names]
            rows.append((f"{noise:g}", len(both), *cells))
    return table(("noise", "runs of all", *names), rows) if rows else ""


def equations(runs: Sequence[Run], known: Mapping[str, Problem]) -> str:
    """A line for each equation: of the first method solved of runs and seconds by noise; of the others
    the noise up to which they solve it."""
    first, *others = methods(runs)
    columns = [f"noise {noise:g}" for noise in levels(runs)]
    rows = []
    for name, problem in known.items():
        cells = [cell(r for r in own(runs, first, name) if r["noise"] == n) for n in levels(runs)]
        for method in others:
            solved = [f"{r['noise']:g}" for r in own(runs, method, name) if r["solved"]]
            cells.append(", ".join(solved) or ("none" if own(runs, method, name) else ""))
        if any(cells):
            rows.append((name, f"`{problem.formula}`", *cells))
    return table(("equation", "law", *columns, *others), rows)


def missed(runs: Sequence[Run], known: Mapping[str, Problem]) -> str:
    """What the first method found instead."""
    first = methods(runs)[0]
    rows = [
        (
            r["problem"],
            f"{r['noise']:g}",
            r["seed"],
            f"`{cut(r['formula'] or r['status'], 110)}`",
            "" if r["r2"] is None else f"{1 - r['r2']:.1e}",
            "yes" if r["in_front"] is not None else "",
        )
        for name in known
        for r in sorted(own(runs, first, name), key=lambda r: (r["noise"], r["seed"]))
        if not r["solved"]
    ]
    return table(("equation", "noise", "seed", "found instead", "1 - R2", "law in front"), rows)


def own(runs: Iterable[Run], method: str, problem: str) -> list[Run]:
    return [r for r in runs if r["method"] == method and r["problem"] == problem]


def methods(runs: Iterable[Run]) -> list[str]:
    """edgewise first."""
    return sorted({r["method"] for r in runs}, key=lambda name: (name != "edgewise", name))


def levels(runs: Iterable[Run]) -> list[float]:
    return sorted({r["noise"] for r in runs})


def cell(group: Iterable[Run]) -> str:
    runs = list(group)
    if not runs:
        return ""
    count = sum(r["solved"] for r in runs)
    verdict = ("yes" if count else "no") if len(runs) == 1 else f"{count} of {len(runs)}"
    return f"{verdict}, {seconds(runs)} s"


def counted(verdicts: Iterable[bool]) -> str:
    all_of = list(verdicts)
    return share(sum(all_of), len(all_of))


def seconds(runs: Iterable[Run]) -> str:
    taken = [r["seconds"] for r in runs if r["status"] == "finished"]
    return f"{median(taken):.1f}" if taken else "-"


def table(head: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(str(part) for part in line)} |" for line in lines)
