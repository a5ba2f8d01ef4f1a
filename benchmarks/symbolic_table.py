"""The tables that symbolic.py prints: rates by method and noise, and runs by equation."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from statistics import median

Run = dict


def summary(runs: Sequence[Run]) -> str:
    """Rates by method and noise, then why runs were not solved."""
    if not runs:
        return "no runs"
    lines = [about(runs), ""]
    lines.append(
        f"{'method':<10} {'limit':>6} {'noise':>6} {'runs':>5} {'solved':>13} {'same to 1e-6':>13}"
        f" {'R2 > 0.999':>13} {'in front':>9} {'failed':>7} {'median s':>9}"
    )
    for (method, limit, noise), group in grouped(runs):
        same = [run for run in group if run["same"] is not None]
        seconds = [run["seconds"] for run in group if run["status"] == "finished"]
        lines.append(
            f"{method:<10} {limit:>6g} {noise:>6g} {len(group):>5}"
            f" {share(sum(run['solved'] for run in group), len(group)):>13}"
            f" {share(sum(run['same'] for run in same), len(same)):>13}"
            f" {share(sum(run['accurate'] for run in group), len(group)):>13}"
            f" {sum(run['in_front'] is not None for run in group):>9}"
            f" {sum(run['status'] != 'finished' for run in group):>7}"
            f" {f'{median(seconds):.1f}' if seconds else '-':>9}"
        )
    lines += ["", "not solved, because:"]
    for (method, limit, noise), group in grouped(runs):
        reasons = Counter(run["why"] for run in group if not run["solved"])
        lines += [
            f"{method:<10} {limit:>6g} {noise:>6g} {count:>5}  {why}"
            for why, count in reasons.most_common()
        ]
    return "\n".join(lines)


def by_equation(runs: Sequence[Run], fronts: bool = False) -> str:
    """A line a run, in the order of the equations; with ``fronts`` all that each offered, and notes."""
    lines = []
    for run in sorted(runs, key=lambda run: (run["noise"], run["limit"])):
        verdict = "solved" if run["solved"] else "-"
        same = {None: "", True: "same", False: "-"}[run["same"]]
        error = "" if run["r2"] is None else f"1-R2 {1 - run['r2']:.1e}"
        lines.append(
            (
                run["problem"],
                f"{run['problem']:<10} {run['method']:<9} noise {run['noise']:<5g} seed "
                f"{run['seed']} {verdict:<6} {same:<4} {error:<12} {run['seconds']:6.1f} s  "
                f"{cut(run['formula'] or '')}",
            )
        )
        if not run["solved"]:
            also = "" if run["in_front"] is None else f"; number {run['in_front']} of its front is"
            lines.append((run["problem"], f"{'':<11}{run['why']}{also}"))
        if fronts:
            for row, (complexity, error, formula) in enumerate(run["front"]):
                mark = ">>" if formula == run["formula"] else "  "
                text = f"{'':<11}{mark} {row:>2}  {complexity:>4}  {error:.2e}  {cut(formula)}"
                lines.append((run["problem"], text))
            lines += [(run["problem"], f"{'':<14} {note}") for note in run["notes"]]
    order = {name: n for n, name in enumerate(dict.fromkeys(run["problem"] for run in runs))}
    return "\n".join(line for _, line in sorted(lines, key=lambda pair: order[pair[0]]))


def about(runs: Sequence[Run]) -> str:
    """Which versions and settings the runs have; more than one is told, too."""
    made: dict[str, set[str]] = {}
    for run in runs:
        made.setdefault(f"{run['method']} {run['version']}", set()).add(run["source"])
    lines = [f"{what} (source {', '.join(sorted(made[what]))})" for what in made]
    for name, unit in (("limit", "s a problem"), ("jobs", "jobs"), ("rows", "rows")):
        lines.append(f"{several(run[name] for run in runs)} {unit}")
    lines.append(f"seeds {several(run['seed'] for run in runs)}")
    return "; ".join(lines)


def several(values: Iterable[float]) -> str:
    return ", ".join(f"{value:g}" for value in sorted(set(values)))


def grouped(runs: Sequence[Run]) -> list[tuple[tuple[str, float, float], list[Run]]]:
    """The runs by method, in the order they came, by limit and noise."""
    groups: dict[tuple[str, float, float], list[Run]] = {}
    for run in runs:
        groups.setdefault((run["method"], run["limit"], run["noise"]), []).append(run)
    methods = list(dict.fromkeys(method for method, _, _ in groups))
    return sorted(groups.items(), key=lambda item: (methods.index(item[0][0]), *item[0][1:]))


def share(count: int, of: int) -> str:
    return f"{count} ({100 * count / of:.1f} %)" if of else "-"


def cut(text: str, most: int = 90) -> str:
    return text if len(text) <= most else text[: most - 3] + "..."
