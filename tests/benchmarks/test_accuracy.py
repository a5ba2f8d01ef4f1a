"""The accuracy benchmark in its short form: its checks are the requirements on coarser grids."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parents[2] / "benchmarks" / "accuracy.py"


@pytest.mark.slow
def test_the_short_form_is_green_and_its_runs_are_kept(tmp_path):
    results = tmp_path / "accuracy.jsonl"
    command = [sys.executable, str(SCRIPT), "--short", "--results", str(results)]
    first = subprocess.run(command, capture_output=True, text=True, timeout=600)
    assert first.returncode == 0, first.stdout + first.stderr
    runs = [json.loads(line) for line in results.read_text(encoding="utf-8").splitlines()]
    assert [run["task"] for run in runs] == ["scaling", "deep", "hellokan"]
    assert "RED" not in first.stdout and "not run" in first.stdout

    again = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert again.returncode == 0 and again.stdout == first.stdout
    assert again.stderr == "", "the second time nothing is computed"


def test_help_tells_how_to_name_the_rival():
    shown = subprocess.run([sys.executable, str(SCRIPT), "--help"], capture_output=True, text=True)
    assert shown.returncode == 0 and "--pykan PYTHON" in shown.stdout
