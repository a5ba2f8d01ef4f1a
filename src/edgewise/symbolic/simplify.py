"""The shortest form of an expression that has the same values, found within a time limit.

Simplifiers of computer algebra can take for ever, so they run in a `Worker`. There each rule of
`rewrite` is tried on the shortest forms found so far, under its own share of the time, and each
shorter form that keeps the values is sent at once: when time is up, the best so far is kept.
"""

from __future__ import annotations

import contextlib
import signal
import threading
import time
from collections.abc import Callable, Collection, Iterator, Mapping
from typing import Any

import sympy
import torch
from sympy import Expr, Float
from torch import Tensor

from edgewise.errors import FormulaError
from edgewise.symbolic import rewrite
from edgewise.symbolic.evaluate import evaluate
from edgewise.workers import Worker

_worker = Worker()  # one child for all calls: importing sympy anew would cost each a second
_lock = threading.Lock()

_RULES: tuple[Callable[[Expr], Expr], ...] = (
    rewrite.exp_of_logs,
    rewrite.phases,
    rewrite.sum_laws,
    rewrite.powers,
    rewrite.logs_together,
    sympy.together,
    sympy.cancel,
    rewrite.collected,
    sympy.factor,
    rewrite.logs_apart,
    rewrite.trigonometric,
    rewrite.pull_factors,
)
# These look at the floats' values; the others see each float as a positive symbol, so that
# 1.0000001 neither spoils a polynomial division nor becomes a fraction of large whole numbers.
_NUMERIC = (rewrite.exp_of_logs, rewrite.phases, rewrite.pull_factors)
_BEAM, _ROUNDS = 3, 4
_POINTS = 96


def simplify(
    expression: Expr,
    positive: Collection[str] = (),
    timeout: float = 5.0,
    samples: Mapping[str, Any] | None = None,
) -> Expr:
    """The shortest form found that equals the expression on the samples.

    Args:
        expression: made as `evaluate` takes it. Exact numbers stay exact, floats stay floats (but
            x**2.0 becomes x**2, and a factor 1.0 goes).
        positive: names of the variables that are positive in the data; log x + log y -> log(x y),
            sqrt(x^2) -> x and the like hold for those.
        timeout: seconds; then the best form found so far is returned.
        samples: name -> values (N,) of the variable, for every variable. Forms are compared at
            some of these rows and at random points of the box that they span. Default: a box of
            (0.1, 3) for positive variables, (-3, 3) for the others.

    Returns:
        An expression in the same symbols, finite wherever the given one is on the samples and
        equal there to 1e-9; the expression itself when nothing shorter was found in time.

    Raises:
        FormulaError: a variable has no samples, or a function is not known.
    """
    expression = sympy.sympify(expression, strict=True)
    deadline = time.monotonic() + timeout
    box = _points([s.name for s in expression.free_symbols], positive, samples)
    if int(torch.isfinite(evaluate(expression, box)).sum()) < 8:
        return expression  # too little to compare
    parts = {e: sympy.Symbol(f"part {i}") for i, e in enumerate(_foreign(expression))}
    best = visible = expression.xreplace(parts)
    box |= {part.name: evaluate(e, box) for e, part in parts.items()}
    symbols = {s.name: s for s in visible.free_symbols}
    # Positive, too, is what the samples show to be so.
    plus = [name for name in symbols if bool((box[name] > 0).all())]
    with _lock:
        if not _started(deadline):
            return expression
        arrays = {name: box[name].numpy() for name in symbols}
        left = max(0.0, deadline - time.monotonic())
        # The child keeps its own time, a little shorter: killing it costs the next call its start.
        _worker.start(_search, visible, plus, arrays, 0.9 * left)
        try:
            for form in _worker.poll(left):
                best = form
        finally:
            if _worker.running:
                _worker.stop()
    own = best.xreplace({s: symbols[s.name] for s in best.free_symbols})
    return own.xreplace({part: e for e, part in parts.items()})


def warm_up() -> None:
    """Begin to start the worker, so that the first call need not wait for its imports."""
    with _lock:
        if not _worker.alive:
            _worker.start(_hello)


def _started(deadline: float) -> bool:
    """Whether the worker is there by the deadline; one that is still starting is left alone."""
    if not _worker.alive:
        _worker.start(_hello)
    if _worker.running:
        for _ in _worker.poll(max(0.0, deadline - time.monotonic())):
            pass
    return not _worker.running


def _hello(_send: Any) -> None:
    """The first job: its end says that the imports are done."""


def _foreign(expression: Expr) -> list[Expr]:
    """The outermost functions that are not elementary: the user's own, unknown to the worker."""
    if isinstance(expression, sympy.Function):
        if not type(expression).__module__.startswith("sympy.functions.elementary"):
            return [expression]
    return list(dict.fromkeys(e for arg in expression.args for e in _foreign(arg)))


def _points(
    names: list[str], positive: Collection[str], samples: Mapping[str, Any] | None
) -> dict[str, Tensor]:
    """name -> (2 _POINTS,): rows of the samples, then random points of their box."""
    generator = torch.Generator().manual_seed(0)
    unit = torch.rand(2 * _POINTS, max(len(names), 1), generator=generator, dtype=torch.float64)
    if samples is None:
        low = [0.1 if name in positive else -3.0 for name in names]
        return {
            n: a + (3.0 - a) * unit[:, i] for i, (n, a) in enumerate(zip(names, low, strict=True))
        }
    missing = [name for name in names if name not in samples]
    if missing:
        raise FormulaError(f"samples has no values for {', '.join(missing)}; give every variable's")
    columns = [torch.as_tensor(samples[n], dtype=torch.float64).flatten().cpu() for n in names]
    rows = min((len(c) for c in columns), default=1)
    chosen = torch.randint(max(rows, 1), (_POINTS,), generator=generator)
    points = {}
    for i, (name, column) in enumerate(zip(names, columns, strict=True)):
        start, width = column.min(), column.max() - column.min()
        points[name] = torch.cat([column[chosen], start + width * unit[:_POINTS, i]])
    return points


def _search(
    send: Callable[[Expr], None],
    expression: Expr,
    positive: list[str],
    arrays: Mapping[str, Any],
    timeout: float,
) -> None:
    """In the worker: send every form that is shorter than those before it and has the values."""
    points = {name: torch.from_numpy(values) for name, values in arrays.items()}
    same = _Same(evaluate(expression, points), points)
    deadline = time.monotonic() + timeout
    names = {s: sympy.Symbol(s.name, positive=True) for s in expression.free_symbols}
    start = expression.xreplace({s: p for s, p in names.items() if s.name in positive})
    seen = {expression: _rank(expression)}
    pool: dict[Expr, tuple] = {}

    def offer(form: Expr) -> None:
        form = rewrite.fold(form)
        if form in seen:
            return
        rank = seen[form] = _rank(form)
        shortest = min(seen[f] for f in [expression, *pool])
        if rank[0] <= 1.5 * shortest[0] + 6 and same(form):
            pool[form] = rank
            if rank < shortest:
                send(form)

    offer(start)
    tried: set[Expr] = set()
    for _ in range(_ROUNDS):
        beam = sorted((f for f in pool or {start: ()} if f not in tried), key=_rank)[:_BEAM]
        if not beam:
            return
        for form in beam:
            tried.add(form)
            offer(rewrite.without_negligible(form, lambda e: evaluate(e, points)))
            for unsigned in rewrite.without_abs(form):
                offer(unsigned)
            for rule in _RULES:
                left = deadline - time.monotonic()
                if left < 0.02:
                    return
                with contextlib.suppress(_OutOfTime, *_REFUSALS), _limit(max(left / 6, 0.02)):
                    offer(_apply(rule, form))


# What simplifiers of sympy raise on expressions that they cannot treat.
_REFUSALS = (
    sympy.PolynomialError,
    NotImplementedError,
    RecursionError,
    AttributeError,
    ArithmeticError,
    TypeError,
    ValueError,
)


def _apply(rule: Callable[[Expr], Expr], form: Expr) -> Expr:
    if rule in _NUMERIC:
        return rule(form)
    floats: dict[str, Expr] = {}
    back: dict[Expr, Expr] = {}

    def hide(e: Expr) -> Expr:
        if not isinstance(e, Float):
            return e
        size = abs(e)
        # The same number written twice is one symbol, so that it can cancel.
        dummy = floats.setdefault(f"{float(size):.13e}", sympy.Dummy("c", positive=True))
        back[dummy] = size
        return dummy if e > 0 else -dummy

    return rule(rewrite.bottom_up(form, hide)).xreplace(back)


def _rank(form: Expr) -> tuple:
    """Shorter first; then small phases, fewer floats and nodes; the text makes the order total."""
    floats = sum(isinstance(node, Float) for node in sympy.preorder_traversal(form))
    nodes = sum(1 for _ in sympy.preorder_traversal(form))
    return rewrite.length(form), rewrite.phases(form) != form, floats, nodes, str(form)


class _Same:
    """Whether a form has the values that the expression had, wherever those were finite."""

    def __init__(self, truth: Tensor, points: Mapping[str, Tensor]) -> None:
        self.finite = torch.isfinite(truth)
        self.truth, self.points = truth[self.finite], points
        typical = self.truth.abs().median()
        self.tolerance = 1e-9 * self.truth.abs() + 1e-12 * typical

    def __call__(self, form: Expr) -> bool:
        try:
            values = evaluate(form, self.points)[self.finite]
        except FormulaError:
            return False
        return bool(((values - self.truth).abs() <= self.tolerance).all())  # NaN is not <=


class _OutOfTime(BaseException):
    """Not an Exception, so that no handler inside sympy takes it for one of its own."""


@contextlib.contextmanager
def _limit(seconds: float) -> Iterator[None]:
    """Raise _OutOfTime in the block; without signals (Windows) only the worker's limit holds."""
    if not hasattr(signal, "setitimer"):
        yield
        return

    def ring(*_: object) -> None:
        raise _OutOfTime

    signal.signal(signal.SIGALRM, ring)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
