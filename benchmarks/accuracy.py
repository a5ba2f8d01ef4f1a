"""How precise, and in what time: edgewise beside pykan 0.2.8, on the same data in the same run.

    python benchmarks/accuracy.py [--pykan PYTHON] [--seeds 0-9] [--task NAME] [--fresh]
    python benchmarks/accuracy.py --short

--pykan names the interpreter of an environment with pykan; without it that column says "not run".
Results go to benchmarks/results/accuracy.jsonl, one line a run; a run that is there already, with
the same versions, source and settings, is not repeated unless --fresh. The exit status is 1 where
a requirement is missed. No time is printed for a run whose check is red.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable
from functools import cache, partial
from pathlib import Path

import numpy as np
import torch

import edgewise
from accuracy_table import show
from accuracy_tasks import Task, tasks
from edgewise.errors import EdgewiseError
from options import seeds

RESULTS = Path(__file__).parent / "results" / "accuracy.jsonl"
DRIVER = Path(__file__).parent / "accuracy_pykan.py"
# A run of pykan takes minutes.
PYKAN_SEEDS = {"scaling": 2, "deep": 2, "hellokan": 3}


def main() -> int:
    given = arguments()
    torch.set_num_threads(given.threads)
    kept = [] if given.fresh or not given.results.exists() else read(given.results)
    chosen = [task for task in tasks(given.short) if given.task in (None, task.name)]
    red = 0
    for task in chosen:  # before anything is run, so that all of a run's rows tell the same source
        fingerprint(task.packages)
    for task in chosen:
        ours, theirs = [], []
        for seed in given.seeds:
            key = own_key(task, seed, given)
            ours.append(once(kept, given, key, partial(own, task, seed)))
            if given.pykan and len(theirs) < PYKAN_SEEDS[task.name]:
                key = pykan_key(task, seed, given)
                theirs.append(once(kept, given, key, partial(rival, task, seed, given)))
        print(show(task, ours, theirs), flush=True)
        passed = sum(task.passed(run["rows"], task.settings) for run in ours)
        red += passed * 10 < task.needed * len(ours)
    return 1 if red else 0


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--short", action="store_true", help="a small form, below a minute")
    parser.add_argument("--task", choices=[task.name for task in tasks(False)])
    parser.add_argument("--seeds", type=seeds, help="0-9, or 0,3,5; default 0-9, 0 with --short")
    parser.add_argument("--pykan", metavar="PYTHON", help="interpreter that can import kan")
    parser.add_argument("--limit", type=float, default=300, help="seconds for one run of pykan")
    parser.add_argument("--threads", type=int, default=1, help="of torch, for both; default 1")
    parser.add_argument("--results", type=Path, default=RESULTS)
    parser.add_argument("--fresh", action="store_true", help="repeat what is there already")
    given = parser.parse_args()
    given.seeds = given.seeds or (range(1) if given.short else range(10))
    return given


# --- runs ----------------------------------------------------------------------------------------


def own(task: Task, seed: int) -> dict:
    """edgewise in this process; an error of the library is a result too."""
    rows: list[dict] = []
    try:
        rows.extend(task.run(task.data(seed), seed, task.settings))
        return {"rows": rows, "status": "finished"}
    except EdgewiseError as error:
        return {"rows": rows, "status": f"{type(error).__name__}: {error}"}


def rival(task: Task, seed: int, given: argparse.Namespace) -> dict:
    """pykan in its own interpreter and a temporary folder, under a time limit."""
    with tempfile.TemporaryDirectory() as folder:
        for name, values in task.data(seed).items():
            np.save(Path(folder) / f"{name}.npy", values.numpy())
        command = [given.pykan, str(DRIVER.resolve()), task.name, folder]
        command += ["--seed", str(seed), "--threads", str(given.threads)]
        finest = task.settings.get("grid") or max(task.settings.get("grids", [0]))
        command += ["--grid", str(finest)]
        environment = os.environ | {"OMP_NUM_THREADS": str(given.threads), "MPLBACKEND": "Agg"}
        status = "finished"
        try:
            done = subprocess.run(
                command, capture_output=True, text=True, timeout=given.limit, env=environment
            )
            if done.returncode:
                last = done.stderr.strip().splitlines()[-1:] or ["no message"]
                status = f"failed: {last[0][:200]}"
        except subprocess.TimeoutExpired:
            status = f"time limit of {given.limit:.0f} s"
        rows = read(Path(folder) / "rows.jsonl")
    found = rows[0].pop("versions", {}) if rows else {}
    for row in rows:
        row.pop("versions", None)
    return {"rows": rows, "status": status, "found_versions": found}


# --- results that are there already --------------------------------------------------------------


def once(kept: list[dict], given: argparse.Namespace, key: dict, run: Callable[[], dict]) -> dict:
    """The kept run of this key, or a new one, which is written at once."""
    for row in kept:
        if all(row.get(name) == value for name, value in key.items()):
            return row
    print(f"{key['task']}, seed {key['seed']}: {key['who']} ...", file=sys.stderr, flush=True)
    row = key | run()
    given.results.parent.mkdir(parents=True, exist_ok=True)
    others = read(given.results) if given.results.exists() else []
    same = ("task", "who", "seed", "settings", "threads")
    others = [old for old in others if any(old.get(name) != row[name] for name in same)]
    lines = [json.dumps(line) + "\n" for line in [*others, row]]
    given.results.write_text("".join(lines), encoding="utf-8")
    return row


def own_key(task: Task, seed: int, given: argparse.Namespace) -> dict:
    versions = {"edgewise": edgewise.__version__, "torch": torch.__version__}
    source = fingerprint(task.packages)
    return key_of(task, seed, given, "edgewise") | {"versions": versions, "source": source}


def pykan_key(task: Task, seed: int, given: argparse.Namespace) -> dict:
    source = hashlib.sha256(DRIVER.read_bytes()).hexdigest()[:12]
    return key_of(task, seed, given, "pykan") | {"limit": given.limit, "source": source}


def key_of(task: Task, seed: int, given: argparse.Namespace, who: str) -> dict:
    return {
        "task": task.name,
        "who": who,
        "seed": seed,
        "settings": task.settings,
        "threads": given.threads,
    }


@cache
def fingerprint(packages: tuple[str, ...]) -> str:
    """Of the source that a result depends on: a change of the pictures repeats no run.

    Taken once: what is imported stays what it was when files change during a long run.
    """
    root = Path(edgewise.__file__).parent
    files = sorted(file for name in packages for file in (root / name).rglob("*.py"))
    whole = hashlib.sha256()
    for file in [*files, root / "model.py"]:
        whole.update(file.read_bytes())
    return whole.hexdigest()[:12]


def read(path: Path) -> list[dict]:
    if not path.exists():
        return []
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


if __name__ == "__main__":
    sys.exit(main())
