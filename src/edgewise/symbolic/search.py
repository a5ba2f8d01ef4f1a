"""The search for a formula on given rows: simple formulas first, then structure, then networks.

Every candidate is kept as it comes, so that the search can be stopped at any time.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from typing import Any

import sympy

from edgewise.errors import FormulaError
from edgewise.symbolic import direct
from edgewise.symbolic.compose import exact
from edgewise.symbolic.finish import Rows, error_of, finish, mean
from edgewise.symbolic.front import Candidate
from edgewise.symbolic.shapes import FittedShape, Shape, fit_shape, formulas, pruned, shapes
from edgewise.symbolic.simplify import warm_up
from edgewise.symbolic.state import Accept, Search
from edgewise.symbolic.structured import structured
from edgewise.symbolic.suggest import library
from edgewise.workers import Worker

_DIRECT_ROWS = 1000
# A simple formula of this error on the rows fitted is finished before any other search.
_EXACT_FIT = 1e-6
# Held-out errors, relative to the spread, of a network that explains nothing, and of one whose
# shape is certainly right.
_NO_FIT, _PRECISE = 0.9, 1e-3
# Whether errors are relative is read off a fit at least this good.
_RELATIVE_FIT = 0.02


def _constant(search: Search) -> Candidate | None:
    y = search.rows.train.y
    mean = exact(float(y[0])) if bool((y == y[0]).all()) else sympy.Float(float(y.mean()))
    return finish(mean, search.rows, "constant", math.inf, snap=False)


def _direct(search: Search, lib: Any) -> list[direct.Proposal]:
    """Formulas without a network, best first; also decides whether errors are relative. One that is
    exact is a candidate at once."""
    rows = search.rows
    few = rows.train.thinned(_DIRECT_ROWS)
    records = None if lib is None else library(lib)
    proposals = direct.propose(few.x, few.y[:, 0], rows.names, records, expired=lambda: search.late)
    if proposals and _relative_errors(rows, proposals):
        search.rows = rows = replace(rows, relative=True)
        search.found.clear()
        search.add(_constant(search))
    while proposals and proposals[0].error < _EXACT_FIT and not (search.solved or search.late):
        search.finish(proposals.pop(0))
    return proposals


def _simple(search: Search, proposals: Sequence[direct.Proposal]) -> None:
    """The candidates of simple formulas, as far as they are not much worse than others."""
    best = math.inf
    for proposal in proposals:
        if search.late or best < 1e-9 or proposal.error > 1000 * best:
            return
        search.finish(proposal)
        best = min(best, proposal.error)


def _relative_errors(rows: Rows, proposals: Sequence[direct.Proposal]) -> bool:
    """Whether errors that grow with the target explain the best fits better than equal ones.

    Compared by the Gaussian likelihoods of the best proposal's residuals, r_n ~ sigma against
    r_n ~ sigma |y_n|, where the target has one sign and spans more than a decade.
    """
    y = rows.train.y[:, 0]
    size = y.abs()
    if bool((y > 0).all()) == bool((y < 0).all()) or float(size.max()) < 10 * float(size.min()):
        return False
    few = rows.train.thinned(_DIRECT_ROWS)
    relative = replace(rows, relative=True)
    logs = mean(few.y[:, 0].abs().log(), few)
    even = min(error_of(p.expression, few, rows) for p in proposals)
    grown = min(error_of(p.expression, few, relative) for p in proposals)
    if even <= 1e-12 * rows.spread or not grown < _RELATIVE_FIT:
        return False  # nothing to weigh, or no fit that could tell
    return math.log(max(grown, 1e-300)) + logs < math.log(even)


def _networks(search: Search, plans: Sequence[Shape], lib: Any) -> Iterator[Candidate]:
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
        if _beats(search, fitted):
            continue  # not even the splines predict better than the best formula
        yield from _symbolic(search, fitted, lib)


def _beats(search: Search, fitted: FittedShape) -> bool:
    """Whether the best formula predicts as well as a trained network does before symbols."""
    if search.best is None or search.rows.relative or fitted.shape.log_target:
        return False
    return search.best.error <= 1.02 * fitted.error * search.scale


def _symbolic(search: Search, fitted: FittedShape, lib: Any) -> Iterator[Candidate]:
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


def _in_parallel(search: Search, plans: Sequence[Shape], lib: Any, jobs: int) -> str:
    """Deal the shapes out to workers, and stop them at the deadline."""
    workers = [Worker() for _ in range(min(jobs, len(plans)))]
    try:
        for n, worker in enumerate(workers):
            mine = list(plans[n :: len(workers)])
            rules = search.stop_at, search.accept
            worker.start(_job, search.rows, mine, lib, search.left, *rules)
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
    stop_at: float,
    accept: Accept | None,
) -> None:
    """In a worker: the networks of some shapes."""
    warm_up()
    now = time.monotonic()
    search = Search(rows, now, now + seconds, lambda stage, *_: send(("stage", stage)))
    search.stop_at, search.accept = stop_at, accept
    for candidate in _networks(search, plans, lib):
        if search.add(candidate):
            send(("found", candidate))
        if search.solved:
            return


# --- the whole search ---------------------------------------------------------------------------


def run(search: Search, lib: Any, seed: int, jobs: int) -> str:
    """Run all stages; the status, "finished" or "time limit". What is found stays in the search."""
    search.tell("simple formulas")
    search.add(_constant(search))
    if not search.rows.names or (search.best is not None and search.best.error == 0.0):
        return "finished"
    simple = _direct(search, lib)
    if not search.solved:
        structured(search, lib)
    if not (search.solved or search.explained):
        _simple(search, simple)
    if search.solved or search.explained:
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
