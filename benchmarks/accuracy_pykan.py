"""Runs one task of accuracy.py with pykan, in pykan's own interpreter: data come and results go as files.

    PYTHON accuracy_pykan.py TASK FOLDER --seed S --threads N

FOLDER holds train_input.npy, train_label.npy, test_input.npy and test_label.npy; one JSON line a
stage is added to FOLDER/rows.jsonl as soon as the stage is done, so that a time limit loses only
the stage it falls into. Needs pykan, torch and numpy, nothing of edgewise.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import time
from importlib.metadata import version
from pathlib import Path

import numpy as np
import torch

STEPS = 50
# Many starts end in a poor minimum, and edgewise tries up to four: so does this.
STARTS, START_STEPS, GOOD = 4, 20, 5e-2
GRIDS = {"scaling": (3, 5, 10, 20, 50, 100), "deep": (3, 5, 10, 20)}
WIDTHS = {"scaling": [2, 1, 1], "deep": [4, 2, 1, 1], "hellokan": [2, 5, 1]}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("task", choices=WIDTHS)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--grid", type=int, default=max(GRIDS["scaling"]), help="the finest grid")
    given = parser.parse_args()
    torch.set_num_threads(given.threads)
    torch.set_default_dtype(torch.float64)
    # refine() and prune() write to ./model whatever auto_save says, and fail where it is missing.
    os.chdir(given.folder)
    os.makedirs("model", exist_ok=True)

    names = ("train_input", "train_label", "test_input", "test_label")
    data = {name: torch.from_numpy(np.load(f"{name}.npy")) for name in names}
    versions = {"pykan": version("pykan"), "torch": version("torch"), "numpy": version("numpy")}
    with open("rows.jsonl", "a", encoding="utf-8") as file:
        stages = hello if given.task == "hellokan" else refined
        for row in stages(data, given):
            file.write(json.dumps(row | {"versions": versions}) + "\n")
            file.flush()


def network(task, seed):
    from kan import KAN

    return KAN(width=list(WIDTHS[task]), grid=3, k=3, seed=seed, auto_save=False)


def best_start(data, given):
    """The start with the least training error after a few steps, of up to four."""
    best, least = None, math.inf
    spread = float(data["train_label"].std())
    for attempt in range(STARTS):
        model = network(given.task, given.seed + 100 * attempt)
        model.fit(data, opt="LBFGS", steps=START_STEPS)
        error = rmse(model, data, "train")
        if error is not None and error < least:
            best, least = model, error
        if least < GOOD * spread:
            break
    return best


def refined(data, given):
    """The same network on finer and finer grids, each fitted by LBFGS from the last."""
    start = time.perf_counter()
    model = best_start(data, given)
    for grid in GRIDS[given.task]:
        if grid > given.grid:
            return
        if grid != model.grid:
            model = model.refine(grid)
        model.fit(data, opt="LBFGS", steps=STEPS)
        yield {"grid": grid, "seconds": time.perf_counter() - start, "rmse": rmse(model, data)}
        start = time.perf_counter()


def hello(data, given):
    """Sparse fit, prune, refit, symbols, refit: what came, after each stage and at the end."""
    start = time.perf_counter()
    model = network(given.task, given.seed)
    model.fit(data, opt="LBFGS", steps=STEPS, lamb=1e-2)
    yield {"stage": "sparse fit", "rmse": rmse(model, data)}
    model = model.prune()
    model.fit(data, opt="LBFGS", steps=STEPS)
    width = [sum(level) for level in model.width]
    yield {"stage": "refit", "rmse": rmse(model, data), "width": width}
    model.auto_symbolic()
    model.fit(data, opt="LBFGS", steps=STEPS)
    seconds = time.perf_counter() - start
    formula = model.symbolic_formula()[0][0]
    yield {
        "stage": "end",
        "rmse": rmse(model, data),
        "width": width,
        "formula": str(formula),
        "seconds": seconds,
    }


def rmse(model, data, part="test") -> float | None:
    """Root of the mean square on the rows of ``part``; None where it is not finite."""
    with torch.no_grad():
        error = model(data[f"{part}_input"]) - data[f"{part}_label"]
    value = float(error.square().mean().sqrt())
    return value if math.isfinite(value) else None


if __name__ == "__main__":
    main()
