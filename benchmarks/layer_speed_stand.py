"""Where the contestants of layer_speed.py are timed: a stand in this process.

Needs torch and numpy, nothing of edgewise: a worker in another interpreter holds one too.
"""

from __future__ import annotations

import gc
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from layer_speed_contestants import BUILDERS, RIVALS, Contestant, Numbers
from layer_speed_shapes import Shape


class Stand:
    """Contestants of one shape in this process. A worker in another interpreter answers the same."""

    def __init__(self, threads: int) -> None:
        torch.set_num_threads(threads)
        self.contestants: dict[str, Contestant] = {}
        self.shape: Shape | None = None

    def open(self, shape: Shape, folder: Path) -> None:
        """Forget the last shape and read the numbers of this one."""
        self.contestants.clear()
        gc.collect()
        self.shape = shape
        self.numbers = read(folder)
        self.x = self.numbers["x"].requires_grad_(shape.input_gradient)
        self.g = self.numbers["g"]

    def build(self, name: str) -> dict[str, Any]:
        """Parameters in use, and the largest error of output and input gradient where known."""
        torch.manual_seed(0)
        made = BUILDERS[name](self.shape, self.numbers)
        with made.context():
            y = self.step(made, self.x, self.g)
        used = sum(p.numel() for p in made.parameters if p.grad is not None)
        told: dict[str, Any] = {"parameters": used, "error": None}
        if name in RIVALS and "true_y" in self.numbers:
            told["error"] = max(
                relative(y, self.numbers["true_y"]), relative(self.x.grad, self.numbers["true_dx"])
            )
        self.contestants[name] = made
        return told

    def run(self, name: str, what: str, calls: int) -> float:
        """Seconds a call of "forward" or "step", after one call that is not counted.

        That one wakes the threads and brings the numbers of this contestant into the caches, as in
        training, whoever ran before.
        """
        made = self.contestants[name]
        work = self.step if what == "step" else self.forward
        with made.context():
            gc.disable()
            work(made, self.x, self.g)
            start = time.perf_counter()
            for _ in range(calls):
                work(made, self.x, self.g)
            seconds = time.perf_counter() - start
            gc.enable()
        return seconds / calls

    def memory(self, name: str) -> dict[str, int | None]:
        """Bytes by which a step's peak exceeds what was held before it.

        In a process of its own, after a step on 16 rows (on all rows where the contestant is
        compiled, which favours it): libraries, threads and code are there, the step's tensors and
        the buffers that the kernels keep are not.
        """
        made = BUILDERS[name](self.shape, self.numbers)
        rows = len(self.x) if made.compiled else 16
        few = self.x.detach()[:rows].requires_grad_(self.shape.input_gradient)
        with made.context():
            self.step(made, few, self.g[:rows])
            few.grad = None
            for p in made.parameters:
                p.grad = None
            gc.collect()
            if not forget_peak():
                return {"peak": None}
            held = resident()["VmRSS"]
            self.step(made, self.x, self.g)
            return {"peak": resident()["VmHWM"] - held}

    @staticmethod
    def forward(made: Contestant, x: Tensor, g: Tensor) -> Tensor:
        return made.call(x)

    @staticmethod
    def step(made: Contestant, x: Tensor, g: Tensor) -> Tensor:
        x.grad = None
        for p in made.parameters:
            p.grad = None
        y = made.call(x)
        y.backward(g)
        return y


def relative(value: Tensor, true: Tensor) -> float:
    """Largest error relative to the largest true value."""
    return float((value.detach().double() - true).abs().max() / true.abs().max())


def write(numbers: Numbers, folder: Path) -> None:
    for name, values in numbers.items():
        np.save(folder / f"{name}.npy", values.detach().numpy(), allow_pickle=False)


def read(folder: Path) -> Numbers:
    files = folder.glob("*.npy")
    return {file.stem: torch.from_numpy(np.load(file, allow_pickle=False)) for file in files}


def resident() -> dict[str, int]:
    """VmRSS and VmHWM (its peak) of this process, in bytes."""
    lines = Path("/proc/self/status").read_text(encoding="ascii").splitlines()
    fields = dict(line.split(":", 1) for line in lines)
    return {name: int(fields[name].split()[0]) * 1024 for name in ("VmRSS", "VmHWM")}


def forget_peak() -> bool:
    """Set the peak to what is held now; False where the system does not allow it."""
    try:
        Path("/proc/self/clear_refs").write_text("5", encoding="ascii")
    except OSError:
        return False
    return True
