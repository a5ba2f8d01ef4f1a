"""The search for a formula on given rows: simple formulas first, then small networks.

Every candidate is kept as it comes, so that the search can be stopped at any time.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from itertools import islice
from typing import Any

import sympy

from edgewise.errors import FormulaError
from edgewise.symbolic import direct
from edgewise.symbolic.compose import exact
from edgewise.symbolic.evaluate import evaluate, symbol
from edgewise.symbolic.finish import Rows, error_of, finish, mean
from edgewise.symbolic.front import Candidate
from edgewise.symbolic.groups import GroupFit
from edgewise.symbolic.laws import laws
from edgewise.symbolic.polynomials import polynomials
from edgewise.symbolic.reduce import Columns, Start, reductions, start
from edgewise.symbolic.shapes import FittedShape, Shape, fit_shape, formulas, pruned, shapes
from edgewise.symbolic.simplify import warm_up
from edgewise.symbolic.suggest import library
from edgewise.symbolic.surfaces import Rows as Given
from edgewise.symbolic.surfaces import recognise
from edgewise.workers import Worker

Progress = Callable[[str, Candidate | None, float], None]

_DIRECT_ROWS, _STRUCTURE_ROWS = 1000, 8000
# Proposals of one reduction that are refitted, snapped and judged.
_PROPOSALS = 4
# A polynomial is tried when its error is at most this much larger than that of the best groups.
_AS_GOOD = 1.05
# Errors in these proportions are the same noise.
_SAME = (0.97, 1.02)
# Tables of so few columns are searched as they are, too.
_COLUMNS = 3
# Held-out error relative to the target's spread that counts as none.
_EXACT, _EXACT_FIT = 1e-9, 1e-6
# Held-out errors, relative to the spread, of a network that explains nothing, and of one whose
# shape is certainly right.
_NO_FIT, _PRECISE = 0.9, 1e-3
# Whether errors are relative is read off a fit at least this good.
_RELATIVE_FIT = 0.02


@dataclass
class Search:
    """What was found so far, until when to search (of time.monotonic), and whom to tell.

    stop_at: the search ends at this held-out error, relative to the target's spread. accept: what
    becomes of a formula before it is kept: itself, or one of the same values, or None to reject it
    (`rules.Rules`); picklable. explained: some formula leaves nothing but noise.
    """

    rows: Rows
    started: float
    deadline: float
    progress: Progress | None
    found: list[Candidate] = field(default_factory=list)
    stop_at: float = 0.0
    accept: Callable[[sympy.Expr], sympy.Expr | None] | None = None
    explained: bool = False

    @property
    def scale(self) -> float:
        """What an error of 1 spread is in the units of Candidate.error."""
        return 1.0 if self.rows.relative else self.rows.spread

    @property
    def floor(self) -> float:
        """The error that counts as none."""
        return _EXACT * self.scale

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
        enough = max(self.floor, self.stop_at * self.scale)
        return self.best is not None and self.best.error <= enough

    def beats(self, fitted: FittedShape) -> bool:
        """Whether the best formula predicts as well as a trained network does before symbols."""
        if self.best is None or self.rows.relative or fitted.shape.log_target:
            return False
        return self.best.error <= 1.02 * fitted.error * self.scale

    def add(self, candidate: Candidate | None) -> bool:
        """Keep the candidate if it is accepted; whether it was."""
        if candidate is not None and self.accept is not None:
            candidate = _accepted(candidate, self.accept)
        if candidate is None:
            return False
        self.found.append(candidate)
        return True

    def tell(self, stage: str) -> None:
        if self.progress is not None:
            self.progress(stage, self.best, time.monotonic() - self.started)


def _accepted(
    candidate: Candidate, accept: Callable[[sympy.Expr], sympy.Expr | None]
) -> Candidate | None:
    expression = accept(candidate.formula.expression)
    if expression is None:
        return None
    return replace(candidate, formula=replace(candidate.formula, expression=expression))


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
        _finished(search, proposals.pop(0))
    return proposals


def _simple(search: Search, proposals: Sequence[direct.Proposal]) -> None:
    """The candidates of simple formulas, as far as they are not much worse than others."""
    best = math.inf
    for proposal in proposals:
        if search.late or best < 1e-9 or proposal.error > 1000 * best:
            return
        _finished(search, proposal)
        best = min(best, proposal.error)


def _finished(search: Search, proposal: direct.Proposal) -> None:
    search.tell(f"formula: {proposal.origin}")
    search.add(finish(proposal.expression, search.rows, proposal.origin, search.deadline))


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


def _structured(search: Search, lib: Any) -> None:
    """Formulas of laws that depend on few groups of columns."""
    rows = search.rows
    train = rows.train.thinned(_STRUCTURE_ROWS)
    y, weight = train.y[:, 0], rows.weight(train)
    records = None if lib is None else library(lib)
    columns = Columns(train.x, tuple(symbol(name) for name in rows.names))

    def late() -> bool:
        return search.late

    search.tell("groups of columns: one")
    begun = start(columns, y, weight, late)
    short = [] if begun.certain else polynomials(begun, late)
    if short and short[0].error < _EXACT_FIT:
        _finished(search, short.pop(0))
    for reduction in reductions(begun, late, search.tell):
        if short and short[0].error < _AS_GOOD * reduction.error:
            _finished(search, short.pop(0))
        if search.late or search.solved:
            return
        proposals = laws(reduction, y, weight, records, late, search.tell)
        for proposal in islice(proposals, _PROPOSALS):
            _finished(search, proposal)
            if search.late or search.solved:
                return
        if _explained(search, begun, reduction.groups.fit):
            search.explained = True
            return
    if len(rows.names) <= _COLUMNS:
        search.tell("the columns themselves")
        given = Given(train.x, y, begun.table.root, columns.expressions, begun.least)
        for proposal in islice(recognise(given, records, late, _PROPOSALS), 2 * _PROPOSALS):
            _finished(search, proposal)
            if search.late or search.solved:
                return


def _explained(search: Search, begun: Start, fit: GroupFit) -> bool:
    """Whether some formula leaves what the best fit of splines leaves, which then is noise."""
    table, names = begun.table.first(fit.rows), search.rows.names
    x = dict(zip(names, begun.columns.x[: fit.rows].unbind(1), strict=True))
    error = fit.error * math.sqrt(fit.rows / max(fit.rows - fit.parameters, 1))
    for candidate in search.found:
        left = evaluate(candidate.formula.expression, x) - begun.y[: fit.rows]
        if _SAME[0] < float((left * table.root).norm()) / table.size / error < _SAME[1]:
            return True
    return False


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
        if search.beats(fitted):
            continue  # not even the splines predict better than the best formula
        yield from _symbolic(search, fitted, lib)


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
    accept: Callable[[sympy.Expr], sympy.Expr | None] | None,
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
        _structured(search, lib)
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
