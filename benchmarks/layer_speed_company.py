"""The rounds of layer_speed.py: all contestants of a shape, wherever each of them runs."""

from __future__ import annotations

import argparse
import math
import sys
from collections.abc import Callable
from pathlib import Path

from edgewise.kernels import native
from layer_speed_contestants import FOREIGN, RIVALS, rivals_here
from layer_speed_shapes import FLOAT, Shape, tensor_bytes
from layer_speed_stand import Stand
from layer_speed_table import OURS, ratios
from layer_speed_worker import Remote, WorkerError

# A visit shorter than this is repeated: the clock and the call cost some microseconds.
SHORTEST = 5e-3
# Without this, memory that was freed stays with the process and hides what a step takes.
GIVE_BACK = {"MALLOC_MMAP_THRESHOLD_": "65536", "MALLOC_TRIM_THRESHOLD_": "65536"}


class Company:
    """The contestants: those of this process and, of other interpreters, a worker for each rival."""

    def __init__(self, stand: Stand, given: argparse.Namespace, threads: int) -> None:
        self.stand, self.given, self.threads = stand, given, threads
        self.workers: dict[str, Remote] = {}
        plain = [] if native.kernel_info().path == "reference" else ["reference"]
        self.local = [OURS, *plain, "mlp", "linear", *rivals_here()]
        self.versions = rivals_here()
        self.remote: list[str] = []
        if given.rivals:
            with Remote(given.rivals, threads, given.limit) as worker:
                there = worker.about()
            self.remote = [name for name in there["rivals"] if name not in self.local]
            self.versions |= {name: there["rivals"][name] for name in self.remote}
            self.versions["torch of --rivals"] = there["torch"]

    def __enter__(self) -> Company:
        return self

    def __exit__(self, *_: object) -> None:
        for worker in self.workers.values():
            worker.close()

    def measure(self, shape: Shape, folder: Path) -> dict:
        """One shape: warm-up, rounds, memory."""
        self.stand.open(shape, folder)
        names = [n for n in (*self.local, *self.remote) if shape.is_layer or n != "linear"]
        found = {name: self._prepared(name, shape, folder) for name in names}
        rounds = self.given.rounds
        for turn in range(rounds):
            start = turn % len(names)
            for name in names[start:] + names[:start]:
                plan = found[name]
                # spread evenly: n of the rounds where the budget is for n
                if "failed" in plan or (turn * plan["turns"]) % rounds >= plan["turns"]:
                    continue
                self._guarded(plan, self._visit, name, plan, turn)
        for name in names:
            if "failed" not in found[name]:
                found[name]["memory"] = self._memory(name, shape, folder)
        result = {
            "shape": shape.to_dict(),
            "contestants": found,
            "tensor_bytes": tensor_bytes(shape),
            "needed_bytes": needed(shape, found[OURS]["parameters"]),
        }
        result["ratios"] = {what: ratios(result, what) for what in ("forward", "step")}
        return result

    def _prepared(self, name: str, shape: Shape, folder: Path) -> dict:
        """Built, warm, and with the number of calls a visit and of visits that it gets."""
        plan: dict = {"rounds": [], "forward": [], "step": []}
        self._guarded(plan, self._warm, name, plan, shape, folder)
        return plan

    def _warm(self, name: str, plan: dict, shape: Shape, folder: Path) -> None:
        if name in self.remote and name not in self.workers:
            self.workers[name] = Remote(self.given.rivals, self.threads, self.given.limit)
        place = self.workers.get(name, self.stand)
        if place is not self.stand:
            place.open(shape, folder)
        plan |= place.build(name)
        first = [place.run(name, what, 1) for what in ("forward", "step", "step")]
        plan["calls"] = [min(max(math.ceil(SHORTEST / s), 1), 1000) for s in first[:2]]
        rounds = self.given.rounds
        visit = sum(s * (1 + n) for s, n in zip((first[0], first[2]), plan["calls"], strict=True))
        few = int(self.given.budget / visit)
        plan["turns"] = rounds if name not in RIVALS else max(min(rounds, few), min(rounds, 3))

    def _visit(self, name: str, plan: dict, turn: int) -> None:
        place = self.workers.get(name, self.stand)
        calls = zip(("forward", "step"), plan["calls"], strict=True)
        seconds = {what: place.run(name, what, n) for what, n in calls}
        plan["rounds"].append(turn)
        for what, value in seconds.items():
            plan[what].append(value)

    def _guarded(self, plan: dict, work: Callable, name: str, *rest) -> None:
        """A rival that fails is a result; an error of ours is an error."""
        caught = (WorkerError, *FOREIGN) if name in RIVALS else WorkerError
        try:
            work(name, *rest)
        except caught as error:
            plan["failed"] = f"failed: {type(error).__name__}: {error}"
            if name in self.workers:
                self.workers.pop(name).close()

    def _memory(self, name: str, shape: Shape, folder: Path) -> int | None:
        """The peak of one step, in a fresh process; None where it could not be measured."""
        if self.given.short and name != OURS:
            return None
        python = self.given.rivals if name in self.remote else sys.executable
        with Remote(python, self.threads, self.given.limit, GIVE_BACK) as worker:
            try:
                worker.open(shape, folder)
                return worker.memory(name)["peak"]
            except WorkerError as error:
                print(f"memory of {name}: {error}", file=sys.stderr)
                return None


def needed(shape: Shape, parameters: int) -> int:
    """Bytes that any step leaves behind: the gradients and the output."""
    inputs = shape.width[0] if shape.input_gradient else 0
    return FLOAT * (parameters + shape.batch * (inputs + shape.width[-1]))
