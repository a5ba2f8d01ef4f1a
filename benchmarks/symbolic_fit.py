"""Runs one method of symbolic.py on one problem, in a process and an interpreter of its own.

    PYTHON symbolic_fit.py METHOD FOLDER --limit SECONDS --seed S --jobs N
    PYTHON symbolic_fit.py --about

FOLDER holds train_x.npy, train_y.npy and test_x.npy; FOLDER/answer.json tells the formula, the
front, notes, the seconds, version and source of what was run, and FOLDER/predicted.npy its values for
test_x. --about prints which methods this interpreter has, with versions and sources. Needs numpy
and the method; edgewise only for edgewise.
"""

from __future__ import annotations

import argparse
import hashlib
import importlib
import importlib.util
import json
import time
import warnings
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import numpy as np

from symbolic_rivals import METHODS as RIVALS
from symbolic_rivals import Array, Found, names

# Changes of these parts of edgewise change no formula.
_OUTSIDE = ("cli", "io", "plot")


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("method", nargs="?", choices=METHODS)
    parser.add_argument("folder", nargs="?", type=Path)
    parser.add_argument("--limit", type=float, default=60.0)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--jobs", type=int, default=1)
    parser.add_argument("--about", action="store_true")
    given = parser.parse_args()
    if given.about:
        print(json.dumps({name: about(name) for name in METHODS if about(name)}))
        return
    if given.folder is None:
        parser.error("METHOD and FOLDER are needed")
    known = about(given.method)  # before the import: it tells what is imported
    train_x, train_y, test_x = (
        np.load(given.folder / f"{name}.npy") for name in ("train_x", "train_y", "test_x")
    )
    importlib.import_module(MODULES[given.method])  # not in the method's time
    # Overflow in a formula that is tried is no news, and sklearn warns of versions.
    warnings.simplefilter("ignore")
    started = time.monotonic()
    found = METHODS[given.method](train_x, train_y, given.limit, given.seed, given.jobs)
    seconds = time.monotonic() - started
    np.save(given.folder / "predicted.npy", np.asarray(found.predict(test_x), dtype=np.float64))
    answer = {
        "formula": found.formula,
        "front": list(found.front),
        "notes": list(found.notes),
        "seconds": seconds,
        **known,
    }
    (given.folder / "answer.json").write_text(json.dumps(answer), encoding="utf-8")


def edgewise(x: Array, y: Array, seconds: float, seed: int, jobs: int) -> Found:
    """discover as it is; its formulas are written with all their digits."""
    from edgewise import discover
    from edgewise.symbolic.printing import text

    stages: dict[str, float] = {}  # each with its first second
    found = discover(
        x,
        y,
        names(x),
        time_limit=seconds,
        seed=seed,
        jobs=jobs,
        progress=lambda stage, _, second: stages.setdefault(stage, second),
    )
    notes = [f"{second:.1f} s: {stage}" for stage, second in stages.items()]
    notes += [*found.notes, f"{found.status}; pick by {found.front[found.pick].origin}"]
    front = [(c.complexity, c.error, text(c.formula.sympy, repr)) for c in found.front]
    return Found(front[found.pick][2], found.predict, front, notes)


METHODS = {"edgewise": edgewise, **RIVALS}
MODULES = {
    "edgewise": "edgewise.recipes",
    "pyoperon": "pyoperon.sklearn",
    "gplearn": "gplearn.genetic",
}


def about(method: str) -> dict[str, str]:
    """Version and source of an installed method; nothing where it is not installed."""
    found = importlib.util.find_spec(method)
    if found is None or found.origin is None:
        return {}
    try:
        number = version(method)
    except PackageNotFoundError:
        number = "unknown"
    files = [Path(__file__).with_name("symbolic_rivals.py")]
    if method == "edgewise":
        root = Path(found.origin).parent
        files = sorted(
            file for file in root.rglob("*.py") if file.relative_to(root).parts[0] not in _OUTSIDE
        )
    whole = hashlib.sha256()
    for file in files:
        whole.update(file.read_bytes())
    return {"version": number, "source": whole.hexdigest()[:12]}


if __name__ == "__main__":
    main()
