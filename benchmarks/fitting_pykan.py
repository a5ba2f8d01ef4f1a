"""One function with pykan, in pykan's own interpreter: data come and the result goes as files.

    PYTHON fitting_pykan.py FOLDER --width 2,2,1 --seconds 20 --seed 0

FOLDER holds train_input.npy, train_label.npy, test_input.npy and test_label.npy. As in pykan's
documentation: LBFGS, grid after grid by ``refine``, and as most starts end in a poor minimum, up to
four of them first. The state with the least error on a held-out fifth of the training rows
counts. FOLDER/row.json is written after every stage. Needs pykan, torch and numpy, nothing of edgewise.
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

GRIDS = (3, 5, 10, 20, 50, 100)
STARTS, START_STEPS, STEPS, GOOD = 4, 20, 10, 5e-2


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--width", required=True)
    parser.add_argument("--seconds", type=float, required=True)
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args()
    torch.set_num_threads(1)
    torch.set_default_dtype(torch.float64)
    # refine() writes to ./model whatever auto_save says, and fails where it is missing.
    os.chdir(given.folder)
    os.makedirs("model", exist_ok=True)
    names = ("train_input", "train_label", "test_input", "test_label")
    data = {name: torch.from_numpy(np.load(f"{name}.npy")) for name in names}
    held = len(data["train_input"]) // 5
    order = torch.randperm(
        len(data["train_input"]), generator=torch.Generator().manual_seed(given.seed)
    )
    parts = {
        "train_input": data["train_input"][order[held:]],
        "train_label": data["train_label"][order[held:]],
        "test_input": data["train_input"][order[:held]],
        "test_label": data["train_label"][order[:held]],
    }
    width = [int(n) for n in given.width.split(",")]
    best = math.inf
    for row, model in stages(parts, width, given):
        error = rmse(model, parts["test_input"], parts["test_label"])
        if error < best:
            best = error
            found = {
                **row,
                "held_out": error,
                "rmse": rmse(model, data["test_input"], data["test_label"]),
                "parameters": sum(p.numel() for p in model.parameters() if p.requires_grad),
                "versions": {"pykan": version("pykan"), "torch": version("torch")},
            }
            Path("row.json").write_text(json.dumps(found), encoding="utf-8")
        if row["seconds"] > given.seconds:
            return


def stages(parts, width, given):
    """(what was done, the model) after every few steps of LBFGS."""
    from kan import KAN

    begin = time.process_time()
    best, least, spread = None, math.inf, float(parts["train_label"].std())
    for attempt in range(STARTS):
        seed = given.seed + 100 * attempt
        model = KAN(width=list(width), grid=GRIDS[0], k=3, seed=seed, auto_save=False)
        model.fit(parts, opt="LBFGS", steps=START_STEPS, log=START_STEPS)
        error = rmse(model, parts["train_input"], parts["train_label"])
        if error < least:
            best, least = model, error
        if least < GOOD * spread or time.process_time() - begin > given.seconds / 2:
            break
    if best is None:
        return
    yield {"grid": GRIDS[0], "seconds": time.process_time() - begin}, best
    model, each = best, given.seconds / len(GRIDS)
    for n, grid in enumerate(GRIDS):
        if grid != model.grid:
            model = model.refine(grid)
        while True:
            model.fit(parts, opt="LBFGS", steps=STEPS, log=STEPS, update_grid=False)
            seconds = time.process_time() - begin
            yield {"grid": grid, "seconds": seconds}, model
            if seconds > (n + 1) * each:
                break


def rmse(model, x, y) -> float:
    with torch.no_grad():
        value = float((model(x) - y).square().mean().sqrt())
    return value if math.isfinite(value) else math.inf


if __name__ == "__main__":
    main()
