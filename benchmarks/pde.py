"""How near do networks come to the solutions of differential equations, and in what time?

    python benchmarks/pde.py [--tasks poisson burgers ...] [--seeds 3] [--draw FOLDER]
    python benchmarks/pde.py --variants
    python benchmarks/pde.py --short

Each equation of pde_problems.py is solved from several starts and compared with its reference, by
pde_tasks.py. One line a run is added to --results; runs that are there are not repeated. Printed,
over the starts: parameters, the relative L2 error (best, median, worst), the mean square and the largest
error of the median start, and processor seconds of one thread. --draw writes pictures of the first start.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Sequence
from pathlib import Path

import torch

import kept
from pde_problems import Found
from pde_tasks import TASKS, VARIANTS, Task

RESULTS = Path(__file__).parent / "results" / "pde.jsonl"
KEY = ("task", "seed", "steps")


def run(task: Task, seed: int, steps: int) -> tuple[dict, Found]:
    start = time.process_time()
    found = task.solve(seed, steps)
    seconds = time.process_time() - start
    points, truth = task.truth()
    error = found.u(points) - truth
    return {
        "task": task.name,
        "seed": seed,
        "steps": steps,
        "parameters": found.parameters,
        "relative": float(error.norm() / truth.norm()),
        "mse": float(error.square().mean()),
        "largest": float(error.abs().max()),
        "residual": found.residual,
        "seconds": round(seconds, 1),
        **{f"found_{name}": value for name, value in found.unknowns.items()},
    }, found


def table(tasks: Sequence[Task], runs: list[dict]) -> None:
    print("| equation | network | parameters | best | relative L2 | worst | MSE | largest | s |")
    print("|---|---|---|---|---|---|---|---|---|")
    for task in tasks:
        own = sorted((r for r in runs if r["task"] == task.name), key=lambda r: r["relative"])
        middle = own[(len(own) - 1) // 2]
        print(
            f"| {task.name} | {task.shape} | {middle['parameters']} | {own[0]['relative']:.1e} "
            f"| {middle['relative']:.1e} | {own[-1]['relative']:.1e} | {middle['mse']:.1e} "
            f"| {middle['largest']:.1e} | {middle['seconds']:.0f} |"
        )
        for name in [name for name in middle if name.startswith("found_")]:
            print(f"  {name[6:]}: " + ", ".join(f"{r[name]:.4f}" for r in own))


def missed(tasks: Sequence[Task], runs: list[dict]) -> list[str]:
    """Tasks whose median start is above the aim."""
    found = []
    for task in tasks:
        errors = sorted(r["relative"] for r in runs if r["task"] == task.name)
        if task.aim is not None and errors[(len(errors) - 1) // 2] > task.aim:
            found.append(task.name)
    return found


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--tasks", nargs="+", default=[task.name for task in TASKS])
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--results", type=Path, default=RESULTS)
    parser.add_argument("--draw", type=Path, help="write pictures to this folder")
    parser.add_argument("--variants", action="store_true", help="Burgers without adaptive parts")
    parser.add_argument("--short", action="store_true", help="two equations, few steps, no file")
    asked = parser.parse_args(arguments)
    torch.set_num_threads(1)
    if asked.short:
        asked.tasks, asked.seeds = ["heat", "lotka-volterra"], 1
    tasks = [task for task in TASKS if task.name in asked.tasks]
    tasks = list(VARIANTS) if asked.variants else tasks
    done = {} if asked.short else kept.read(asked.results, KEY)
    wanted = []
    for task in tasks:
        for seed in range(asked.seeds):
            steps = 8 if asked.short else task.steps
            key = (task.name, seed, steps)
            wanted.append(key)
            if key in done and not (asked.draw and seed == 0):
                continue
            done[key], found = run(task, seed, steps)
            if not asked.short:
                kept.add(asked.results, done[key])
            if asked.draw and seed == 0:
                from pde_pictures import draw

                draw(task, found, asked.draw)
    runs = [done[key] for key in wanted]
    table(tasks, runs)
    short_of = missed(tasks, runs)
    if short_of and not asked.short:
        print("above the aim:", ", ".join(short_of))
    return 1 if short_of and not asked.short else 0


if __name__ == "__main__":
    raise SystemExit(main())
