"""What special_functions.py and feynman27.py share: problems, runs of all contestants, files of runs."""

from __future__ import annotations

import argparse
import csv
import json
import math
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import torch

import fitting_mlp
import fitting_table
import kept
from edgewise import problems
from edgewise.problems import Dataset
from fitting_ladder import Plan, climb, rmse

HERE = Path(__file__).parent
KEY = ("id", "who", "seed", "rows", "short")
SHORT = Plan(grids=(5, 10, 20), starts=1, rows=400, goal=1e-4, seconds=2.0, poor=1.0)


@dataclass(frozen=True)
class Suite:
    """A collection of ``problems``, those of the short form, and what is aimed at: how many are
    below the paper's best, and the geometric mean at most."""

    collection: str
    title: str
    ids: tuple[str, ...]
    short: tuple[str, ...]
    needed: int
    mean: float

    @property
    def results(self) -> Path:
        return HERE / "results" / f"{self.collection}.jsonl"

    def published(self) -> dict[str, dict[str, str]]:
        """The paper's columns by id (Liu et al., *KAN*, 2024, tables 1 and 2)."""
        text = (HERE / "fitting_published.csv").read_text(encoding="utf-8")
        rows = csv.DictReader(text.splitlines())
        return {row["id"]: row for row in rows if row["suite"] == self.collection}

    def to_beat(self, id: str) -> float:
        """The least of the paper's KAN columns, and for the equations, which have several, of the MLP's."""
        row = self.published()[id]
        columns = ("kan_human", "kan_pruned", "kan", "mlp") if row["kan_human"] else ("kan",)
        return min(float(row[name]) for name in columns)


def main(suite: Suite, description: str, words: Sequence[str] | None = None) -> int:
    given = arguments(suite, description, words)
    torch.set_num_threads(1)
    runs = kept.read(given.results, KEY)
    short = {"seed": given.seed, "rows": given.rows, "short": given.short}

    def once(id: str, who: str, run: Callable[[], dict]) -> dict:
        name = {"id": id, "who": who, **short}
        key = tuple(name[part] for part in KEY)
        if key not in runs or (given.fresh and who == "edgewise"):
            print(f"{id}: {who} ...", file=sys.stderr, flush=True)
            runs[key] = name | run()
            kept.add(given.results, runs[key])
        return runs[key]

    plan = SHORT if given.short else Plan(seconds=given.seconds)
    for id in [] if given.table else given.only:
        data = problems.load(
            f"{suite.collection}/{id}", given.rows, n_test=given.rows, seed=given.seed
        )
        ours = once(id, "edgewise", partial(own, data, given.seed, plan))
        for name, training in fitting_mlp.TRAININGS.items() if given.mlp else ():
            once(
                id,
                name,
                partial(fitting_mlp.fitted, data, ours["seconds"], training, given.seed),
            )
        if given.pykan:
            width = suite.published()[id]["shape"].strip("[]")
            once(id, "pykan", partial(pykan, given.pykan, data, width, ours["seconds"], given.seed))
    shown = {
        (run["id"], run["who"]): run
        for run in runs.values()
        if all(run[name] == value for name, value in short.items()) and run["id"] in given.only
    }
    print(fitting_table.text(suite, shown))
    if given.plot:
        fitting_table.plot(suite, shown, given.plot)
    return 0


def arguments(suite: Suite, description: str, words: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=description, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--short", action="store_true", help="two problems in a few seconds")
    parser.add_argument("--only", type=lambda text: text.split(","), help="ids, with commas")
    parser.add_argument("--seed", type=int, default=0, help="of data and starts; default 0")
    parser.add_argument("--rows", type=int, help="to train on, and to test on; default 6000")
    parser.add_argument("--seconds", type=float, default=25.0, help="see fitting_ladder.Plan")
    parser.add_argument("--mlp", action="store_true", help="MLPs beside it, in the same seconds")
    parser.add_argument("--pykan", metavar="PYTHON", help="pykan too, from this interpreter")
    parser.add_argument("--table", action="store_true", help="only show what is there")
    parser.add_argument("--plot", type=Path, help="where to draw the picture")
    parser.add_argument("--results", type=Path, default=suite.results)
    parser.add_argument("--fresh", action="store_true", help="repeat our own runs")
    given = parser.parse_args(words)
    given.only = given.only or list(suite.short if given.short else suite.ids)
    given.rows = given.rows or (600 if given.short else 6000)
    return given


def own(data: Dataset, seed: int, plan: Plan) -> dict:
    """What the ladder finds, and its error on the test rows, which it has not seen."""
    begin = time.process_time()
    model, lines = climb(data.train, seed, plan)
    seconds = time.process_time() - begin
    assert data.test is not None
    last = {name: lines[-1][name] for name in ("width", "last", "grid", "parameters", "held_out")}
    errors = {"rmse": rmse(model, data.test), "train_rmse": rmse(model, data.train)}
    return {**last, **errors, "seconds": round(seconds, 2), "lines": lines}


def pykan(python: str, data: Dataset, width: str, seconds: float, seed: int) -> dict:
    """pykan in its own interpreter and a temporary folder."""
    assert data.test is not None
    with tempfile.TemporaryDirectory() as folder:
        for part, samples in (("train", data.train), ("test", data.test)):
            np.save(Path(folder) / f"{part}_input.npy", samples.x.numpy())
            np.save(Path(folder) / f"{part}_label.npy", samples.y.numpy())
        command = [python, str(HERE / "fitting_pykan.py"), folder, "--width", width]
        command += ["--seconds", str(seconds), "--seed", str(seed)]
        environment = os.environ | {"OMP_NUM_THREADS": "1", "MPLBACKEND": "Agg"}
        done = subprocess.run(command, capture_output=True, text=True, env=environment)
        file = Path(folder) / "row.json"
        if file.exists():
            return json.loads(file.read_text(encoding="utf-8"))
    last = done.stderr.strip().splitlines()[-1:] or ["no finite error"]
    return {"rmse": math.inf, "status": last[0][:200]}
