"""The file of symbolic.py's runs: one JSON line each, only ever added to; the last one counts."""

from __future__ import annotations

import json
from pathlib import Path

from symbolic_runs import JUDGE, KEY, MADE_BY


def identity(run: dict) -> tuple:
    """What was asked in a run."""
    return tuple(run[name] for name in KEY)


def read(path: Path) -> dict[tuple, dict]:
    """identity -> the last run of it. An unfinished last line, left by a killed process, is none."""
    if not path.exists():
        return {}
    lines = path.read_text(encoding="utf-8").split("\n")[:-1]
    runs = [json.loads(line) for line in lines if line]
    return {identity(run): run for run in runs}


def add(path: Path, run: dict) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    text = path.read_bytes() if path.exists() else b""
    if text and not text.endswith(b"\n"):
        path.write_bytes(text[: text.rfind(b"\n") + 1])
    with path.open("a", encoding="utf-8") as file:
        file.write(json.dumps(run) + "\n")


def made_alike(run: dict | None, version: str, source: str) -> bool:
    """Whether a kept run need not be repeated; it may have to be judged again."""
    return run is not None and tuple(run[name] for name in MADE_BY) == (version, source)


def judged_alike(run: dict) -> bool:
    return run.get("judged_by") == JUDGE
