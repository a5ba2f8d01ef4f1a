"""How fast is a KAN layer? edgewise beside an MLP of equal parameters and other KAN libraries.

    python benchmarks/layer_speed.py [--rivals PYTHON] [--shape 1024,64,64,5] [--json FILE]
    python benchmarks/layer_speed.py --read FILE --markdown
    python benchmarks/layer_speed.py --profile 1024,256,256,5
    python benchmarks/layer_speed.py --families [--threads 1] [--shape 1024,64,64,5]
    python benchmarks/layer_speed.py --short

A shape is batch, widths, grid. Before any speed is printed, output and gradients of every shape are
checked against the formula in float64; where one is wrong, no speed is printed and the exit status
is 1. A goal that is missed is printed as missed and does not change the status.

Every round runs each contestant once, in an order that rotates, so that what else the machine does
falls on all alike; ratios are taken round by round. Rivals installed in this interpreter run in
this process, those of --rivals PYTHON in a process of that interpreter, in the same rounds. A slow
rival takes part in fewer rounds (--budget seconds a shape). pykan, inkan and ikan (which carries
efficient-kan's layer) are known. --families times every family of edge functions instead, beside
the splines and an MLP.
"""

from __future__ import annotations

import argparse
import json
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
from layer_speed_company import Company
from layer_speed_contestants import draw
from layer_speed_families import SHAPES as SHAPES_OF_FAMILIES
from layer_speed_families import families
from layer_speed_profile import breakdown
from layer_speed_shapes import SHAPES, SHORT, Shape
from layer_speed_stand import Stand, write
from layer_speed_table import head, markdown, show, title


def main(arguments: list[str] | None = None) -> int:
    given = parsed(arguments)
    if given.read:
        report = json.loads(given.read.read_text(encoding="utf-8"))
        print_tables(report, given)
        return 0
    threads = given.threads or torch.get_num_threads()
    if given.families:
        own = SHAPES_OF_FAMILIES if given.shape is None else (find(given.shape),)
        text, good = families((SHORT,) if given.short else own, given.rounds, threads)
        print(head(about(threads)) + "\n" + text)
        return 0 if good else 1
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
    parser.add_argument("--families", action="store_true", help="every family of edge functions")
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


if __name__ == "__main__":
    sys.exit(main())
