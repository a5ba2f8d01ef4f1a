"""How fast is a KAN layer? edgewise beside an MLP of equal parameters and other KAN libraries.

    python benchmarks/layer_speed.py [--rivals PYTHON] [--shape 1024,64,64,5] [--json FILE]
    python benchmarks/layer_speed.py --read FILE --markdown
    python benchmarks/layer_speed.py --profile 1024,256,256,5
    python benchmarks/layer_speed.py --short

A shape is batch, widths, grid. Before any speed is printed, output and gradients of every shape are
checked against the formula in float64; where one is wrong, no speed is printed and the exit status
is 1. A goal that is missed is printed as missed and does not change the status.

Every round runs each contestant once, in an order that rotates, so that what else the machine does
falls on all alike; ratios are taken round by round. Rivals installed in this interpreter run in
this process, those of --rivals PYTHON in a process of that interpreter, in the same rounds. A slow
rival takes part in fewer rounds (--budget seconds a shape). pykan, inkan and ikan (which carries
efficient-kan's layer) are known.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import platform
import sys
import tempfile
from datetime import date
from pathlib import Path

import torch

import edgewise
from edgewise.kernels import native
from layer_speed_check import Line, check
from layer_speed_contestants import FOREIGN, RIVALS, Stand, draw, rivals_here, write
from layer_speed_profile import breakdown
from layer_speed_shapes import FLOAT, SHAPES, SHORT, Shape, tensor_bytes
from layer_speed_table import OURS, head, markdown, ratios, show, title
from layer_speed_worker import Remote, WorkerError

# A visit shorter than this is repeated: the clock and the call cost some microseconds.
SHORTEST = 5e-3
# Without this, memory that was freed stays with the process and hides what a step takes.
GIVE_BACK = {"MALLOC_MMAP_THRESHOLD_": "65536", "MALLOC_TRIM_THRESHOLD_": "65536"}


def main(arguments: list[str] | None = None) -> int:
    given = parsed(arguments)
    if given.read:
        report = json.loads(given.read.read_text(encoding="utf-8"))
        print_tables(report, given)
        return 0
    threads = given.threads or torch.get_num_threads()
    shapes = [SHORT] if given.short else [s for s in SHAPES if given.shape in (None, s.name)]
    if given.profile:
        shapes = [find(given.profile)]
    with tempfile.TemporaryDirectory() as folder:
        places = [Path(folder) / shape.name for shape in shapes]
        stand = Stand(threads)
        checks = [checked(*pair) for pair in zip(shapes, places, strict=True)]
        if not all(line.good for lines in checks for line in lines):
            print(refusal(shapes, checks))
            return 1
        if given.profile:
            stand.open(shapes[0], places[0])
            print(breakdown(stand, shapes[0]))
            return 0
        report = {"date": date.today().isoformat(), **about(threads), "shapes": []}
        print(head(report), flush=True)
        with Company(stand, given, threads) as company:
            report["versions"] |= company.versions
            for shape, place, lines in zip(shapes, places, checks, strict=True):
                result = company.measure(shape, place)
                result["check"] = [line.to_dict() for line in lines]
                report["shapes"].append(result)
                print(show(result), flush=True)
                if given.json:
                    given.json.parent.mkdir(parents=True, exist_ok=True)
                    given.json.write_text(json.dumps(report, indent=1) + "\n", encoding="utf-8")
    if given.markdown:
        print(markdown(report))
    return 0


def parsed(arguments: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    names = [shape.name for shape in SHAPES]
    parser.add_argument("--short", action="store_true", help="one small shape, three rounds")
    parser.add_argument("--shape", choices=names, metavar="SHAPE", help="only this one")
    parser.add_argument("--profile", metavar="SHAPE", help="where our step spends its time")
    parser.add_argument("--rivals", metavar="PYTHON", help="interpreter that has other libraries")
    parser.add_argument("--rounds", type=int, help="default 30, 3 with --short")
    parser.add_argument("--threads", type=int, help="of torch, for all; default torch's own")
    parser.add_argument("--budget", type=float, default=20, help="seconds a rival and shape")
    parser.add_argument("--limit", type=float, default=300, help="seconds for a rival's answer")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write every time and count")
    parser.add_argument("--read", type=Path, metavar="FILE", help="measure nothing, show FILE")
    parser.add_argument("--markdown", action="store_true", help="print the tables in Markdown")
    given = parser.parse_args(arguments)
    given.rounds = given.rounds or (3 if given.short else 30)
    return given


def find(name: str) -> Shape:
    """A shape of the list, or any other layer or network by its numbers."""
    known = {shape.name: shape for shape in SHAPES}
    if name in known:
        return known[name]
    batch, *width, grid = (int(number) for number in name.split(","))
    return Shape(batch, tuple(width), grid)


def print_tables(report: dict, given: argparse.Namespace) -> None:
    if given.markdown:
        print(markdown(report))
        return
    print(head(report))
    for result in report["shapes"]:
        print(show(result))


def checked(shape: Shape, folder: Path) -> list[Line]:
    """Check edgewise on the shape's numbers, and leave these in the folder for all."""
    folder.mkdir()
    numbers = draw(shape)
    lines, known = check(shape, numbers)
    write(numbers | known, folder)
    return lines


def refusal(shapes: list[Shape], checks: list[list[Line]]) -> str:
    lines = ["edgewise is not right, so no speed is printed:"]
    for shape, compared in zip(shapes, checks, strict=True):
        lines += [
            f"  {title(shape.to_dict())}: {line.what} is off by {line.error:.1e} of its largest "
            f"value; plain float32 by {line.plain:.1e}, allowed {line.allowed:.1e}"
            for line in compared
            if not line.good
        ]
    return "\n".join(lines)


def about(threads: int) -> dict:
    """The machine, the versions and the kernels, without names of files and folders."""
    info = native.kernel_info()
    return {
        "machine": {
            "cpu": cpu(),
            "cores": os.cpu_count(),
            "threads": threads,
            "system": f"{platform.system()} {platform.machine()}",
            "capability": torch.backends.cpu.get_cpu_capability(),
            "load": os.getloadavg()[0],
        },
        "versions": {
            "edgewise": edgewise.__version__,
            "torch": torch.__version__,
            "python": platform.python_version(),
        },
        "kernel": {
            "path": info.path,
            "isa": info.isa,
            "isas": list(info.isas),
            "openmp": info.openmp,
            "threads": info.threads,
            "reason": info.reason,
        },
    }


def cpu() -> str:
    """The processor's name; one name can stand for several generations, so the numbers too."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return platform.processor() or platform.machine()
    fields: dict[str, str] = {}
    for line in lines:
        key, _, value = line.partition(":")
        fields.setdefault(key.strip(), value.strip())
    name = fields.get("model name") or platform.machine()
    return f"{name} (family {fields.get('cpu family')}, model {fields.get('model')})"


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

    def _guarded(self, plan: dict, work, name: str, *rest) -> None:
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


if __name__ == "__main__":
    sys.exit(main())
