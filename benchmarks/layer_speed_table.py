"""The tables of layer_speed.py, from the results that its JSON holds."""

from __future__ import annotations

from statistics import median

from layer_speed_contestants import RIVALS
from layer_speed_shapes import DEGREE

OURS = "edgewise"
MEGA = 1e6
# Processes that ran on average in the minute before; an idle machine has some tenths.
BUSY = 0.7


def ratios(result: dict, what: str) -> dict[str, dict]:
    """Name -> median, least and most of the ratio taken round by round, with its goal.

    "edgewise / mlp" is to be small, "inkan / edgewise" large. "fastest" compares the fastest call of
    the one with that of the other: where other work disturbs the rounds, it is the steadier figure.
    """
    times = result["contestants"]
    shape = result["shape"]
    least = dict(shape["least"]) if what == "step" else {}
    found = {}
    for name, other in times.items():
        if name == OURS or "failed" in other:
            continue
        below = name == "mlp"
        pairs = list(by_round(times[OURS], other, what))
        values = [ours / theirs if below else theirs / ours for ours, theirs in pairs]
        goal = shape["goal"] if name == "mlp" and what == "step" else least.get(name)
        middle = median(values)
        met = None if goal is None else (middle <= goal if below else middle >= goal)
        found[f"{OURS} / {name}" if below else f"{name} / {OURS}"] = {
            "median": middle,
            "least": min(values),
            "most": max(values),
            "fastest": fastest(times[OURS], other, what, below),
            "rounds": len(values),
            "goal": None if goal is None else f"{'<=' if below else '>='} {goal:g}",
            "met": met,
        }
    return found


def by_round(ours: dict, other: dict, what: str):
    """(seconds of ours, seconds of the other) of the rounds in which both ran."""
    mine = dict(zip(ours["rounds"], ours[what], strict=True))
    for turn, seconds in zip(other["rounds"], other[what], strict=True):
        if turn in mine:
            yield mine[turn], seconds


def fastest(ours: dict, other: dict, what: str, below: bool) -> float:
    ratio = min(ours[what]) / min(other[what])
    return ratio if below else 1 / ratio


def head(report: dict) -> str:
    """What was measured where."""
    machine, kernel = report["machine"], report["kernel"]
    busy = ": OTHER WORK RUNS, these times are disturbed" if machine["load"] > BUSY else ""
    return "\n".join(
        [
            f"{machine['cpu']}, {machine['cores']} cores, {machine['threads']} threads, "
            f"torch {report['versions']['torch']} ({machine['capability']}), float32",
            f"kernels of edgewise {report['versions']['edgewise']}: {kernel['path']}"
            f" {kernel['isa']} ({kernel['reason']})",
            f"load of the machine before: {machine['load']:.1f}{busy}",
            "",
        ]
    )


def show(result: dict) -> str:
    """One shape: a line a contestant, then the ratios with their goals, then the memory."""
    lines = [title(result["shape"])]
    if result["shape"]["note"]:
        lines.append(f"  {result['shape']['note']}")
    lines.append(
        f"{'':<15}{'parameters':>11}{'forward ms':>12}{'forward + backward ms':>33}"
        f"{'peak MB':>9}  rounds"
    )
    for name, found in result["contestants"].items():
        if "failed" in found:
            lines.append(f"{name:<15}  {found['failed']}")
            continue
        step = milliseconds(found["step"])
        spread = f"{step} ({1e3 * min(found['step']):.3g} to {1e3 * max(found['step']):.3g})"
        lines.append(
            f"{name:<15}{found['parameters']:>11}{milliseconds(found['forward']):>12}{spread:>33}"
            f"{memory(found):>9}  {len(found['rounds'])}{answer(found)}"
        )
    for name, ratio in result["ratios"]["step"].items():
        best = f", fastest {ratio['fastest']:.3g}"
        lines.append(f"  {name:<26}{told(ratio)}{best}{verdict(ratio)}")
    return "\n".join([*lines, *memory_lines(result), ""])


def title(shape: dict) -> str:
    layers = " -> ".join(map(str, shape["width"]))
    return f"{shape['batch']} x {layers}, G = {shape['grid']}, k = {DEGREE}"


def milliseconds(seconds: list[float]) -> str:
    return f"{1e3 * median(seconds):.3g}"


def memory(found: dict) -> str:
    peak = found.get("memory")
    return "-" if peak is None else f"{peak / MEGA:.1f}"


def answer(found: dict) -> str:
    """Whether a rival gave what the formula gives on the same numbers."""
    error = found.get("error")
    if error is None:
        return ""
    return f"  {'the same function' if error < 1e-4 else 'ANOTHER FUNCTION'}, error {error:.0e}"


def told(ratio: dict) -> str:
    return f"{ratio['median']:.3g} ({ratio['least']:.3g} to {ratio['most']:.3g})"


def verdict(ratio: dict) -> str:
    if ratio["goal"] is None:
        return ""
    return f", goal {ratio['goal']}: {'met' if ratio['met'] else 'MISSED'}"


def memory_lines(result: dict) -> list[str]:
    """The peak of a step of ours beside what must be there and what must not."""
    found = result["contestants"][OURS].get("memory")
    if found is None:
        return []
    needed, tensors = result["needed_bytes"], result["tensor_bytes"]
    above = (found - needed) / MEGA
    return [
        f"  memory of a step: {found / MEGA:.1f} MB, of which gradients and output take "
        f"{needed / MEGA:.1f}; the other {above:.1f} beside a (B, I, K) tensor of "
        f"{tensors['B,I,K'] / MEGA:.1f} and a (B, I, O) tensor of {tensors['B,I,O'] / MEGA:.1f}"
    ]


# --- Markdown ------------------------------------------------------------------------------------


def markdown(report: dict) -> str:
    """The tables of docs/performance.md, for the page to hold as they are."""
    machine, versions, kernel = report["machine"], report["versions"], report["kernel"]
    which = f"{kernel['path']} {kernel['isa']}".strip()
    packages = [text for name, text in versions.items() if name in RIVALS]
    lines = [
        f"{machine['cpu']}, {machine['threads']} threads of {machine['cores']} cores, load before "
        f"{machine['load']:.1f}; kernels: {which}; torch {versions['torch']}"
        f"{''.join(', ' + text for text in packages)}; {report['date']}.",
        "",
        "| batch, widths, G | edgewise ms | MLP ms | edgewise / MLP | goal | | "
        "plain path / edgewise |",
        "|---|---|---|---|---|---|---|",
    ]
    for result in report["shapes"]:
        found, step = result["contestants"], result["ratios"]["step"]
        own = step[f"{OURS} / mlp"]
        plain = step.get(f"reference / {OURS}")
        cells = [
            cell(result["shape"]),
            milliseconds(found[OURS]["step"]),
            milliseconds(found["mlp"]["step"]),
            told(own),
            own["goal"] or "",
            {None: "", True: "met", False: "missed"}[own["met"]],
            f"{plain['median']:.3g}" if plain else "",
        ]
        lines.append("| " + " | ".join(cells) + " |")
    lines += ["", "Forward + backward of others, as multiples of ours (median, range, goal):", ""]
    rivals = sorted({name for result in report["shapes"] for name in others(result)})
    lines.append("| batch, widths, G | " + " | ".join(rivals) + " |")
    lines.append("|---" * (len(rivals) + 1) + "|")
    for result in report["shapes"]:
        cells = [cell(result["shape"]), *(multiple(result, name) for name in rivals)]
        lines.append("| " + " | ".join(cells) + " |")
    lines += ["", "Peak memory of a step in MB:", ""]
    names = [OURS, "reference", "mlp", *rivals]
    lines.append("| batch, widths, G | " + " | ".join(names) + " | (B, I, K) | (B, I, O) |")
    lines.append("|---" * (len(names) + 3) + "|")
    for result in report["shapes"]:
        found, tensors = result["contestants"], result["tensor_bytes"]
        cells = [cell(result["shape"]), *(memory(found.get(name, {})) for name in names)]
        cells += [f"{tensors[name] / MEGA:.1f}" for name in ("B,I,K", "B,I,O")]
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines)


def cell(shape: dict) -> str:
    return f"{shape['batch']}, {' -> '.join(map(str, shape['width']))}, {shape['grid']}"


def others(result: dict) -> list[str]:
    return [name for name in result["contestants"] if name not in (OURS, "reference", "mlp")]


def multiple(result: dict, name: str) -> str:
    """The rival's time over ours; "not run" where it failed or was not there."""
    found = result["contestants"].get(name)
    if found is None or "failed" in found:
        return "not run"
    ratio = result["ratios"]["step"][f"{name} / {OURS}"]
    if ratio["goal"] is None:
        return told(ratio)
    return f"{told(ratio)}, {ratio['goal']}: {'met' if ratio['met'] else 'missed'}"
