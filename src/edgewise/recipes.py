"""From a table to a formula: the whole run with defaults chosen well.

What is cheap goes first (a constant, power laws, a few terms, one curve), then small networks:
train, prune, make symbolic, unfold into the user's units, simplify, refit, snap (`symbolic/search.py`).
Every formula is judged on rows that no fit has seen.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import torch

from edgewise.discovery import Discovery
from edgewise.discovery import unseen as unseen_rows
from edgewise.errors import DataError, InputError, ShapeError
from edgewise.problems.dataset import Samples, as_dataset
from edgewise.symbolic.finish import Rows
from edgewise.symbolic.front import choose, pareto
from edgewise.symbolic.primitives import Primitive
from edgewise.symbolic.search import Progress, Search, run
from edgewise.symbolic.simplify import warm_up

_HELD_OUT = 0.2
_HELD_OUT_MAX = 10_000
_FEW_ROWS = 10  # fewer are too few to hold any out
# Time kept back for compiling the pick and returning.
_RESERVE = 0.5


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
    deadline = started + time_limit - min(_RESERVE, time_limit / 10)
    search = Search(rows, started, deadline, progress)
    status = "finished"
    try:
        status = run(search, lib, seed, jobs)
    except KeyboardInterrupt:
        status = "interrupted"
    front = pareto(search.found)
    if not front:
        raise DataError(
            f"No formula is finite on all {len(rows.train) + len(rows.held_out)} rows of {target!r}. "
            "Scale the columns to about unit size."
        )
    unseen = unseen_rows(whole.train, whole.held_out)
    pick = choose(front, search.floor, len(rows.train), unseen)
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


def _varying(rows: Rows) -> Rows:
    """The rows without their constant columns."""
    x = torch.cat([rows.train.x, rows.held_out.x])
    kept = (x.amax(0) > x.amin(0)).nonzero()[:, 0].tolist()

    def cut(samples: Samples) -> Samples:
        return replace(samples, x=samples.x[:, kept])

    names = tuple(rows.names[i] for i in kept)
    return replace(rows, train=cut(rows.train), held_out=cut(rows.held_out), names=names)
