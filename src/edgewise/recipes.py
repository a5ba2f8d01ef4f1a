"""From a table to a formula: the whole run with defaults chosen well.

What is cheap goes first (a constant, power laws, a few terms, one curve), then small networks:
train, prune, make symbolic, unfold into the user's units, simplify, refit, snap. Every formula is judged on
rows that no fit has seen, and the front of complexity against error is kept at all times.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import sympy
import torch

from edgewise.errors import DataError, FormulaError, InputError, ShapeError
from edgewise.model import KAN, compile_formula
from edgewise.problems.dataset import Samples, as_dataset
from edgewise.symbolic import direct
from edgewise.symbolic.compose import exact
from edgewise.symbolic.finish import Rows, finish
from edgewise.symbolic.formula import Formula
from edgewise.symbolic.front import Candidate, choose, pareto, table
from edgewise.symbolic.primitives import Primitive
from edgewise.symbolic.shapes import FittedShape, Shape, fit_shape, formulas, pruned, shapes
from edgewise.symbolic.simplify import warm_up
from edgewise.symbolic.suggest import library
from edgewise.workers import Worker

Progress = Callable[[str, Candidate | None, float], None]

_HELD_OUT = 0.2
_HELD_OUT_MAX = 10_000
_FEW_ROWS = 10  # fewer are too few to hold any out
_DIRECT_ROWS = 1000
# Held-out error relative to the target's spread that counts as none.
_EXACT = 1e-9
# Held-out errors, relative to the spread, of a network that explains nothing, and of one whose
# shape is certainly right.
_NO_FIT, _PRECISE = 0.9, 1e-3
# Whether errors are relative is read off a fit at least this good.
_RELATIVE_FIT = 0.02
# Time kept back for compiling the pick and returning.
_RESERVE = 0.5


@dataclass(frozen=True, eq=False)
class Discovery:
    """The front of a search, simplest first, and the pick.

    ``print(result)`` shows the front; ``result.best`` is the pick's Formula (sympy, latex(),
    python(), predict(X)), ``result.model`` the same as a network.

    pick: index into front. status: "finished", "time limit" or "interrupted". train, held_out: the
    rows used; one object where too few came to hold any out. notes: what the user should know
    (columns left out, too few rows to hold any out). relative: whether errors were weighed relative
    to the target's value.
    """

    front: tuple[Candidate, ...]
    pick: int
    names: tuple[str, ...]
    target: str
    train: Samples
    held_out: Samples
    seconds: float
    status: str = "finished"
    notes: tuple[str, ...] = ()
    relative: bool = False

    @property
    def best(self) -> Formula:
        return self.front[self.pick].formula

    @property
    def unseen(self) -> int:
        """How many rows judge the formulas that no fit has seen."""
        return _unseen(self.train, self.held_out)

    @property
    def model(self) -> KAN:
        """A network of symbolic edges that computes the pick, in the user's units."""
        x = torch.cat([self.train.x, self.held_out.x])
        low, high = x.amin(0).tolist(), x.amax(0).tolist()
        ranges = dict(zip(self.names, zip(low, high, strict=True), strict=True))
        return compile_formula(
            self.best.sympy, self.names, output_names=[self.target], ranges=ranges
        )

    def predict(self, X: Any, index: int | None = None) -> np.ndarray:
        """The pick's values, or those of row ``index`` of the front, for X (N, I): (N,)."""
        return self.front[self.pick if index is None else index].formula.predict(X)

    def report(self, path: str | Path) -> Path:
        """Write a self-contained HTML report."""
        from edgewise.io.report import write_report

        return write_report(self, path)

    def __str__(self) -> str:
        return table(self.front, self.pick, self.relative)


def discover(
    X: Any,
    y: Any,
    names: Sequence[str] | None = None,
    *,
    target: str = "y",
    weight: Any = None,
    time_limit: float = 60.0,
    seed: int = 0,
    jobs: int = 1,
    lib: Sequence[str | Primitive] | None = None,
    progress: Progress | None = None,
) -> Discovery:
    """Find formulas y = f(X).

    X: (N, I) numbers (numpy, pandas, torch, lists); y: (N,). names: of the columns; those of a
    data frame by default, else x_1, x_2, ... weight: (N,), how much each row counts. time_limit: seconds,
    kept; what was found by then is returned. seed: of splits and starts. jobs: processes. lib: the
    primitives allowed on edges. progress(stage, best so far, seconds) is called often.

    A fifth of the rows (at most 10,000) is held out and judges every formula; with fewer than 10
    rows all are used for both, and a note says so. Ctrl-C returns the best so far (status
    "interrupted"). Raises DataError that names row and column for cells that are not finite, and
    for fewer than two rows.
    """
    started = time.monotonic()
    if not time_limit > 0:
        raise InputError(f"time_limit is {time_limit!r}; expected seconds > 0.")
    if not isinstance(jobs, int) or jobs < 1:
        raise InputError(f"jobs is {jobs!r}; expected a whole number of processes >= 1.")
    whole, notes = _prepared(X, y, names, target, weight, seed)
    rows = _varying(whole)
    warm_up()
    search = _Search(rows, started, started + time_limit - min(_RESERVE, time_limit / 10), progress)
    status = "finished"
    try:
        status = _searched(search, lib, seed, jobs)
    except KeyboardInterrupt:
        status = "interrupted"
    front = pareto(search.found)
    if not front:
        raise DataError(
            f"No formula is finite on all {len(rows.train) + len(rows.held_out)} rows of {target!r}. "
            "Scale the columns to about unit size."
        )
    unseen = _unseen(whole.train, whole.held_out)
    pick = choose(front, _EXACT * search.scale, len(rows.train), unseen)
    if search.rows.relative:
        notes.append(
            "errors grow with the target: each row's error is weighed relative to its value"
        )
    return Discovery(
        front,
        pick,
        rows.variables,
        target,
        whole.train,
        whole.held_out,
        time.monotonic() - started,
        status,
        tuple(notes),
        search.rows.relative,
    )


# --- the rows ------------------------------------------------------------------------------------


def _prepared(
    X: Any, y: Any, names: Sequence[str] | None, target: str, weight: Any, seed: int
) -> tuple[Rows, list[str]]:
    """Checked and split rows, and notes; held_out is train itself where nothing is held out."""
    given = (X, y) if weight is None else (X, y, weight)
    data = as_dataset(given, input_names=names, output_names=[target])
    if data.train.y.shape[1] != 1:
        raise ShapeError(f"y has {data.train.y.shape[1]} columns; discover finds one at a time.")
    samples = data.train.to("cpu", torch.float64)
    x, N = samples.x, len(samples)
    if N < 2:
        raise DataError(f"Only {N} row came for {target!r}; a formula needs at least 2, better 20.")
    notes = []
    for i in (x.amax(0) == x.amin(0)).nonzero()[:, 0].tolist():
        notes.append(f"column {data.input_names[i]!r} is constant ({float(x[0, i]):g}): left out")
    order = torch.randperm(N, generator=torch.Generator().manual_seed(seed))
    held = 0 if N < _FEW_ROWS else min(max(int(N * _HELD_OUT), 2), _HELD_OUT_MAX)
    if held == 0:
        notes.append(f"only {N} rows: none is held out, so the errors are those of the fit")
    fit_rows = order[held:].sort().values
    # the rows are thinned by taking every n-th: a random order makes that a fair sample
    fit_rows = fit_rows[
        torch.randperm(len(fit_rows), generator=torch.Generator().manual_seed(seed))
    ]
    train = samples.rows(fit_rows)
    held_out = samples.rows(order[:held].sort().values) if held else train
    return Rows(train, held_out, data.input_names, data.input_names, target), notes


def _unseen(train: Samples, held_out: Samples) -> int:
    return 0 if held_out is train else len(held_out)


def _varying(rows: Rows) -> Rows:
    """The rows without their constant columns."""
    x = torch.cat([rows.train.x, rows.held_out.x])
    kept = (x.amax(0) > x.amin(0)).nonzero()[:, 0].tolist()

    def cut(samples: Samples) -> Samples:
        return replace(samples, x=samples.x[:, kept])

    names = tuple(rows.names[i] for i in kept)
    return replace(rows, train=cut(rows.train), held_out=cut(rows.held_out), names=names)


# --- the search ----------------------------------------------------------------------------------


@dataclass
class _Search:
    """What was found so far, and whom to tell."""

    rows: Rows
    started: float
    deadline: float
    progress: Progress | None
    found: list[Candidate] = field(default_factory=list)

    @property
    def scale(self) -> float:
        """What an error of 1 spread is in the units of Candidate.error."""
        return 1.0 if self.rows.relative else self.rows.spread

    @property
    def left(self) -> float:
        return self.deadline - time.monotonic()

    @property
    def late(self) -> bool:
        return time.monotonic() > self.deadline

    @property
    def best(self) -> Candidate | None:
        return min(self.found, key=lambda c: c.error, default=None)

    @property
    def solved(self) -> bool:
        return self.best is not None and self.best.error <= _EXACT * self.scale

    def beats(self, fitted: FittedShape) -> bool:
        """Whether the best formula predicts as well as a trained network does before symbols."""
        if self.best is None or self.rows.relative or fitted.shape.log_target:
            return False
        return self.best.error <= 1.02 * fitted.error * self.scale

    def add(self, candidate: Candidate | None) -> None:
        if candidate is not None:
            self.found.append(candidate)

    def tell(self, stage: str) -> None:
        if self.progress is not None:
            self.progress(stage, self.best, time.monotonic() - self.started)


def _searched(search: _Search, lib: Any, seed: int, jobs: int) -> str:
    """Run all stages; the status."""
    search.tell("simple formulas")
    search.add(_constant(search))
    if not search.rows.names or (search.best is not None and search.best.error == 0.0):
        return "finished"
    _direct(search, lib)
    if search.solved:
        return "finished"
    plans = shapes(search.rows, seed)
    plans += [replace(shape, seed=seed + 1) for shape in plans[:2]]
    if jobs > 1:
        return _in_parallel(search, plans, lib, jobs)
    for candidate in _networks(search, plans, lib):
        search.add(candidate)
        if search.solved:
            return "finished"
    return "time limit" if search.late else "finished"


def _constant(search: _Search) -> Candidate | None:
    y = search.rows.train.y
    mean = exact(float(y[0])) if bool((y == y[0]).all()) else sympy.Float(float(y.mean()))
    return finish(mean, search.rows, "constant", math.inf, snap=False)


def _direct(search: _Search, lib: Any) -> None:
    """Formulas without a network; also decides whether errors are relative."""
    rows = search.rows
    few = rows.train.thinned(_DIRECT_ROWS)
    records = None if lib is None else library(lib)
    proposals = direct.propose(few.x, few.y[:, 0], rows.names, records, expired=lambda: search.late)
    if proposals and _relative_errors(rows, proposals):
        search.rows = rows = replace(rows, relative=True)
        search.found.clear()
        search.add(_constant(search))
    best = math.inf
    for proposal in proposals:
        if search.late:
            return
        if best < 1e-9 or proposal.error > 1000 * best:
            break
        search.tell(f"simple formulas: {proposal.origin}")
        search.add(finish(proposal.expression, rows, proposal.origin, search.deadline))
        best = min(best, proposal.error)


def _relative_errors(rows: Rows, proposals: Sequence[direct.Proposal]) -> bool:
    """Whether errors that grow with the target explain the best fits better than equal ones.

    Compared by the Gaussian likelihoods of the best proposal's residuals, r_n ~ sigma against
    r_n ~ sigma |y_n|, where the target has one sign and spans more than a decade.
    """
    from edgewise.symbolic.finish import error_of

    y = rows.train.y[:, 0]
    size = y.abs()
    if bool((y > 0).all()) == bool((y < 0).all()) or float(size.max()) < 10 * float(size.min()):
        return False
    few = rows.train.thinned(_DIRECT_ROWS)
    relative = replace(rows, relative=True)
    logs = float(few.y.abs().log().mean())
    even = min(error_of(p.expression, few, rows) for p in proposals)
    grown = min(error_of(p.expression, few, relative) for p in proposals)
    if even <= 1e-12 * rows.spread or not grown < _RELATIVE_FIT:
        return False  # nothing to weigh, or no fit that could tell
    return math.log(max(grown, 1e-300)) + logs < math.log(even)


def _networks(search: _Search, plans: Sequence[Shape], lib: Any) -> Iterator[Candidate]:
    """Candidates from networks: a shape that fits precisely becomes symbolic at once, the others wait
    until all are trained and go by their held-out errors."""
    waiting: list[FittedShape] = []
    for count, shape in enumerate(plans):
        search.tell(f"training {shape}")
        share = 0.6 * search.left / (len(plans) - count)
        fitted = fit_shape(search.rows, shape, search.deadline, max(share, 2.0))
        if search.late:
            return
        if fitted is None or fitted.error > _NO_FIT:
            continue
        fitted = pruned(fitted, search.rows, search.deadline)
        if fitted.error < _PRECISE:
            yield from _symbolic(search, fitted, lib)
        else:
            waiting.append(fitted)
    # an edge more must lower the error by a twentieth
    waiting.sort(key=lambda f: f.error * (1 + 0.05 * f.edges))
    for fitted in waiting:
        if search.late:
            return
        if search.beats(fitted):
            continue  # not even the splines predict better than the best formula
        yield from _symbolic(search, fitted, lib)


def _symbolic(search: _Search, fitted: FittedShape, lib: Any) -> Iterator[Candidate]:
    """The candidates of one trained shape."""
    search.tell(f"symbols for {fitted.shape} (held-out error {fitted.error:.1e} of the spread)")
    try:
        for expression in formulas(fitted, search.rows, lib, search.deadline):
            candidate = finish(expression, search.rows, str(fitted.shape), search.deadline)
            if candidate is not None:
                yield candidate
    except TimeoutError:
        return
    except FormulaError as error:  # no primitive fits some edge of this shape; the others go on
        search.tell(f"{fitted.shape}: {error}")


# --- several processes ---------------------------------------------------------------------------


def _in_parallel(search: _Search, plans: Sequence[Shape], lib: Any, jobs: int) -> str:
    """Deal the shapes out to workers, and stop them at the deadline."""
    workers = [Worker() for _ in range(min(jobs, len(plans)))]
    try:
        for n, worker in enumerate(workers):
            mine = list(plans[n :: len(workers)])
            worker.start(_job, search.rows, mine, lib, search.left)
        while any(worker.running for worker in workers) and not search.late:
            for worker in workers:
                for kind, value in worker.poll(0.05):
                    if kind == "stage":
                        search.tell(value)
                    else:
                        search.add(value)
            if search.solved:
                return "finished"
        return "time limit" if search.late else "finished"
    finally:
        for worker in workers:
            worker.stop()


def _job(
    send: Callable[[tuple[str, Any]], None],
    rows: Rows,
    plans: list[Shape],
    lib: Any,
    seconds: float,
) -> None:
    """In a worker: the networks of some shapes."""
    warm_up()
    now = time.monotonic()
    search = _Search(rows, now, now + seconds, lambda stage, *_: send(("stage", stage)))
    for candidate in _networks(search, plans, lib):
        send(("found", candidate))
        if candidate.error <= _EXACT * search.scale:
            return
