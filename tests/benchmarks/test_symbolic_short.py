"""The short form of benchmarks/symbolic.py: twelve equations, 15 seconds each."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

BENCHMARK = Path(__file__).parents[2] / "benchmarks" / "symbolic.py"
# A machine that is busy may not get to the end of every search.
SOLVED = 10


@pytest.mark.slow
def test_twelve_equations_are_found(tmp_path):
    results = tmp_path / "short.jsonl"
    arguments = ["--short", "--methods", "edgewise", "--results", str(results)]
    done = subprocess.run(
        [sys.executable, str(BENCHMARK), *arguments], capture_output=True, text=True, timeout=600
    )
    assert done.returncode == 0, done.stderr
    runs = [json.loads(line) for line in results.read_text().splitlines()]
    assert len({run["problem"] for run in runs}) == 12
    assert {(run["limit"], run["noise"]) for run in runs} == {(15.0, 0.0)}
    assert sum(run["solved"] for run in runs) >= SOLVED, done.stdout
