"""Runs of symbolic.py: each method in its own process under a time limit, then judged.

A run is a dictionary: what was asked (KEY), what came (status, formula, front, r2, seconds,
version, source, notes) and how it was judged (solved, why, same, accurate, in_front, judged_by).
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import signal
import subprocess
import sys
import tempfile
import threading
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np

import symbolic_rule
from edgewise.errors import FormulaError
from edgewise.workers import Worker
from symbolic_problems import Problem, draw, fresh, problems
from symbolic_rule import CLOSE, Array, rule, same

FIT = Path(__file__).with_name("symbolic_fit.py")
# What a run was asked; with its version and source, what it depends on.
KEY = ("method", "problem", "noise", "seed", "limit", "rows", "jobs")

R2_LEAST, R2_ACCURATE = 0.5, 0.999
# Seconds for the rule on the pick, and on each other formula of the front.
_RULE, _RULE_FRONT = 30.0, 10.0
JUDGE = hashlib.sha256(Path(symbolic_rule.__file__).read_bytes()).hexdigest()[:12]


@dataclass(frozen=True)
class Method:
    """A method, the interpreter that has it, and what it is there."""

    name: str
    python: str
    version: str
    source: str


def methods(rivals: str | None) -> dict[str, Method]:
    """name -> method, of this interpreter and of the rivals'; theirs goes first."""
    found = installed(sys.executable)
    if rivals:
        found |= {name: m for name, m in installed(rivals).items() if name != "edgewise"}
    return found


def installed(python: str) -> dict[str, Method]:
    done = subprocess.run(
        [python, str(FIT), "--about"], capture_output=True, text=True, timeout=120, check=True
    )
    return {name: Method(name, python, **known) for name, known in json.loads(done.stdout).items()}


# --- one run -------------------------------------------------------------------------------------


class StoppedError(Exception):
    """The user wants to end."""


def measured(method: Method, asked: dict, grace: float, stop: threading.Event) -> dict:
    """What came of a run: a time limit and an error are results too, with their reason.

    The process is killed ``grace`` seconds after its limit; its start counts as grace.
    """
    given = draw(problems()[asked["problem"]], asked["noise"], asked["seed"], asked["rows"])
    known = {"version": method.version, "source": method.source}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for part in ("train_x", "train_y", "test_x"):
            np.save(folder / f"{part}.npy", getattr(given, part))
        command = [method.python, str(FIT), method.name, name, "--limit", str(asked["limit"])]
        command += ["--seed", str(asked["seed"]), "--jobs", str(asked["jobs"])]
        started = time.monotonic()
        status = _run(command, folder, asked["limit"] + grace, stop)
        seconds = time.monotonic() - started
        if status != "finished":
            empty = {"formula": None, "front": [], "notes": [], "r2": None, "seconds": seconds}
            return asked | known | {"status": status} | empty
        answer = json.loads((folder / "answer.json").read_text(encoding="utf-8"))
        predicted = np.load(folder / "predicted.npy")
    return asked | answer | {"status": status, "r2": r2(predicted, given.test_y)}


def _run(command: list[str], folder: Path, limit: float, stop: threading.Event) -> str:
    """Run to the end or the limit: "finished", "time limit", or "failed: why"."""
    errors = folder / "errors.txt"
    environment = os.environ | {"OMP_NUM_THREADS": "1", "MPLBACKEND": "Agg"}
    with errors.open("wb") as said:
        process = subprocess.Popen(
            command, stdout=said, stderr=said, cwd=folder, env=environment, start_new_session=True
        )
        until = time.monotonic() + limit
        try:
            while process.poll() is None:
                if stop.is_set():
                    raise StoppedError
                if time.monotonic() > until:
                    return "time limit"
                with contextlib.suppress(subprocess.TimeoutExpired):
                    process.wait(0.2)
        finally:
            _kill(process)
    if process.returncode == 0:
        return "finished"
    lines = errors.read_text(encoding="utf-8", errors="replace").strip().splitlines()
    return f"failed: {lines[-1][:200] if lines else f'exit status {process.returncode}'}"


def _kill(process: subprocess.Popen[bytes]) -> None:
    """The process and what it started."""
    with contextlib.suppress(ProcessLookupError, PermissionError):
        if hasattr(os, "killpg"):
            os.killpg(process.pid, signal.SIGKILL)
        else:
            process.kill()
    process.wait()


def r2(predicted: Array, truth: Array) -> float | None:
    """1 - mean square error / variance; None where a prediction is not finite."""
    if predicted.shape != truth.shape or not np.isfinite(predicted).all():
        return None
    with np.errstate(over="ignore"):
        value = 1 - np.mean(np.square(predicted - truth)) / np.var(truth)
    return float(value) if np.isfinite(value) else None


# --- judging -------------------------------------------------------------------------------------


def judged(run: dict, worker: Worker) -> dict:
    """The run with its verdicts.

    solved: by the rule (`symbolic_rule`), why not otherwise. same: without noise, whether the
    pick equals the truth to 1e-6 on fresh points of wider ranges. accurate: R2 above 0.999.
    in_front: which formula of the front is the truth by the rule where the pick is not.
    """
    problem = problems()[run["problem"]]
    why = _why_not(run, problem, worker)
    equal = None
    if run["noise"] == 0:
        equal = run["formula"] is not None and _same(run, problem)
    in_front = None
    if why:
        for row, (_, _, formula) in enumerate(run["front"]):
            if formula != run["formula"] and not _verdict(formula, problem, worker, _RULE_FRONT):
                in_front = row
                break
    return run | {
        "solved": not why,
        "why": why,
        "same": equal,
        "accurate": run["r2"] is not None and run["r2"] > R2_ACCURATE,
        "in_front": in_front,
        "judged_by": JUDGE,
    }


def _why_not(run: dict, problem: Problem, worker: Worker) -> str:
    if run["status"] != "finished":
        return run["status"]
    if run["r2"] is None:
        return "a prediction is not finite"
    if run["r2"] <= R2_LEAST:
        return f"R2 is at most {R2_LEAST}"
    return _verdict(run["formula"], problem, worker, _RULE)


def _verdict(formula: str, problem: Problem, worker: Worker, seconds: float) -> str:
    """Why the formula is not the truth; "" where it is."""
    given = (problem.formula, formula, problem.variables, problem.low, problem.high)
    why = ""
    try:
        why = worker.call(rule, *given, timeout=seconds)
        return worker.call(rule, *given, True, timeout=seconds) if why == CLOSE else why
    except TimeoutError:
        return f"{why}; simplifying it first: time limit" if why else "the rule's time limit"
    except Exception as error:  # noqa: BLE001 (whatever it is, the run counts as not solved)
        return f"the rule failed: {type(error).__name__}: {str(error).splitlines()[0][:100]}"


def _same(run: dict, problem: Problem) -> bool:
    x, truth = fresh(problem, run["seed"])
    try:
        return same(truth, run["formula"], problem.variables, x)
    except FormulaError:
        return False
