"""What does discover find? The laws of the tests, the tables in examples/, and drawn ridges.

    python benchmarks/discover.py [--ridges 0 10] [--time-limit 60] [--json FILE]

A law counts as found when the pick predicts fresh rows to 1e-9 of the target's spread; a ridge when
1 - R2 on held-out rows is below 1e-12; for a table the picked formula is printed with its error (the
laws they hold, with their tolerances, are tests: tests/recipes/test_example_laws.py).
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np

import edgewise
from edgewise.problems import read_table

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT / "tests" / "recipes"))
from ridges import draw  # noqa: E402  (the drawn formulas are those of the tests)

Law = tuple[tuple[float, float], int, Callable[[np.ndarray], np.ndarray]]
LAWS: dict[str, Law] = {
    "x*y on [1, 5]^2": ((1, 5), 2, lambda x: x[:, 0] * x[:, 1]),
    "x/y on [1, 5]^2": ((1, 5), 2, lambda x: x[:, 0] / x[:, 1]),
    "(u+v)/(1+u v) on [-0.9, 0.9]^2": (
        (-0.9, 0.9),
        2,
        lambda x: (x[:, 0] + x[:, 1]) / (1 + x[:, 0] * x[:, 1]),
    ),
    "sqrt(x^2+y^2) on [-2, 2]^2": ((-2, 2), 2, lambda x: np.hypot(x[:, 0], x[:, 1])),
    "2.3 sin(1.7 x + 0.4) - 1.1 on [-3, 3]": (
        (-3, 3),
        1,
        lambda x: 2.3 * np.sin(1.7 * x[:, 0] + 0.4) - 1.1,
    ),
}
TABLES = {
    "planets": "period_years",
    "satellites": "period_days",
    "hubble1929": "velocity_km_s",
    "water_vapour": "vapour_pressure_kPa",
    "balmer": "wavelength_nm",
    "stopping_distances": "distance_ft",
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--ridges", nargs=2, type=int, default=(0, 10), metavar=("FROM", "TO"))
    parser.add_argument("--time-limit", type=float, default=60.0)
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    rows = [law(name, options.time_limit) for name in LAWS]
    rows += [table(name, options.time_limit) for name in TABLES]
    rows += [ridge(seed, options.time_limit) for seed in range(*options.ridges)]
    for kind in ("law", "ridge"):
        judged = [row for row in rows if row["kind"] == kind]
        seconds = sorted(row["seconds"] for row in judged)
        if judged:
            found = sum(row["found"] for row in judged)
            print(f"{kind}s: {found} of {len(judged)} found, median {np.median(seconds):.1f} s")
    if options.json:
        options.json.write_text(json.dumps(rows, indent=1) + "\n")


def law(name: str, limit: float) -> dict:
    (low, high), columns, function = LAWS[name]
    generator = np.random.default_rng(0)
    x, fresh = generator.uniform(low, high, (2, 1000, columns))
    found = edgewise.discover(x, function(x), time_limit=limit)
    error = np.abs(found.predict(fresh) - function(fresh)).max() / function(fresh).std()
    return report("law", name, found, bool(error < 1e-9))


def ridge(seed: int, limit: float) -> dict:
    drawn = draw(seed)
    found = edgewise.discover(drawn.x, drawn.y, time_limit=limit)
    return report("ridge", f"{seed}: {drawn.text}", found, found.front[found.pick].r2 > 1 - 1e-12)


def table(name: str, limit: float) -> dict:
    rows = read_table(ROOT / "examples" / f"{name}.csv", TABLES[name])
    names, target = rows.feature_names, rows.target_name
    found = edgewise.discover(rows.x, rows.y, names, target=target, time_limit=limit)
    return report("table", name, found, True)


def report(kind: str, name: str, found: edgewise.Discovery, good: bool) -> dict:
    chosen = found.front[found.pick]
    mark = {"table": "  "}.get(kind, "ok" if good else "--")
    print(
        f"{mark} {found.seconds:5.1f} s  {name}\n         {found.best}   error {chosen.error:.2g}"
    )
    sys.stdout.flush()
    return {
        "kind": kind,
        "name": name,
        "found": good,
        "seconds": round(found.seconds, 2),
        "formula": str(found.best),
        "error": chosen.error,
    }


if __name__ == "__main__":
    main()
