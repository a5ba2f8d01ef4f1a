"""Contestants of layer_speed.py in another process: a stand that takes orders as JSON lines.

    PYTHON layer_speed_worker.py --threads N

Needs torch and numpy in PYTHON, and the rival; nothing of edgewise.
"""

from __future__ import annotations

import argparse
import json
import os
import select
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

FILE = Path(__file__).resolve()


class WorkerError(Exception):
    """The worker died or took too long; says why."""


class Remote:
    """A worker's stand, with the methods of layer_speed_stand.Stand."""

    def __init__(
        self, python: str, threads: int, limit: float, environment: dict[str, str] | None = None
    ) -> None:
        self.limit = limit
        self.errors = tempfile.TemporaryFile()
        command = [python, str(FILE), "--threads", str(threads)]
        self.process = subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self.errors,
            env=os.environ | {"MPLBACKEND": "Agg"} | (environment or {}),
        )

    def about(self) -> dict[str, Any]:
        """The worker's torch, and rival -> version."""
        return self._ask(order="about")

    def open(self, shape: Any, folder: Path) -> None:
        self._ask(order="open", shape=shape.to_dict(), folder=str(folder))

    def build(self, name: str) -> dict[str, Any]:
        return self._ask(order="build", name=name)

    def run(self, name: str, what: str, calls: int) -> float:
        return self._ask(order="run", name=name, what=what, calls=calls)["seconds"]

    def memory(self, name: str) -> dict[str, int | None]:
        return self._ask(order="memory", name=name)

    def close(self) -> None:
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()
        for stream in (self.process.stdin, self.process.stdout, self.errors):
            stream.close()

    def __enter__(self) -> Remote:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _ask(self, **order: Any) -> dict[str, Any]:
        try:
            self.process.stdin.write(json.dumps(order).encode() + b"\n")
            self.process.stdin.flush()
        except BrokenPipeError:
            raise WorkerError(self._last_words()) from None
        answer, until = b"", time.monotonic() + self.limit
        while not answer.endswith(b"\n"):
            ready, _, _ = select.select([self.process.stdout], [], [], until - time.monotonic())
            if not ready:
                raise WorkerError(f"time limit of {self.limit:.0f} s")
            part = os.read(self.process.stdout.fileno(), 1 << 16)
            if not part:
                raise WorkerError(self._last_words())
            answer += part
        return json.loads(answer)

    def _last_words(self) -> str:
        self.process.wait()
        self.errors.seek(0)
        lines = self.errors.read().decode(errors="replace").strip().splitlines()
        return lines[-1][:200] if lines else f"ended with status {self.process.returncode}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--threads", type=int, required=True)
    threads = parser.parse_args().threads
    # Answers go where only they go; what the libraries print goes to the errors.
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)

    import torch

    from layer_speed_contestants import rivals_here
    from layer_speed_shapes import shape_from
    from layer_speed_stand import Stand

    stand = Stand(threads)
    with tempfile.TemporaryDirectory() as folder:  # some libraries write where they stand
        os.chdir(folder)
        for line in sys.stdin:
            order = json.loads(line)
            answer: dict[str, Any] = {}
            match order.pop("order"):
                case "about":
                    answer = {"torch": torch.__version__, "rivals": rivals_here()}
                case "open":
                    stand.open(shape_from(order["shape"]), Path(order["folder"]))
                case "build":
                    answer = stand.build(order["name"])
                case "run":
                    answer = {"seconds": stand.run(**order)}
                case "memory":
                    answer = stand.memory(order["name"])
            answers.write(json.dumps(answer) + "\n")
            answers.flush()


if __name__ == "__main__":
    main()
