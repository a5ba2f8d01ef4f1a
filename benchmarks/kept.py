"""Files of runs: one JSON line each, only ever added to."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path


def read(path: Path, key: Sequence[str]) -> dict[tuple, dict]:
    """The values of the key -> the last run of them. An unfinished last line, left by a killed
    process, is none."""
    if not path.exists():
        return {}
    runs = [json.loads(line) for line in path.read_text("utf-8").split("\n")[:-1] if line]
    return {tuple(run[name] for name in key): run for run in runs}


def add(path: Path, run: dict) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    text = path.read_bytes() if path.exists() else b""
    if text and not text.endswith(b"\n"):
        path.write_bytes(text[: text.rfind(b"\n") + 1])
    with path.open("a", encoding="utf-8") as file:
        file.write(json.dumps(run) + "\n")
