"""From a table to a formula: the whole run with defaults chosen well.

What is cheap goes first (a constant, power laws, a few terms, one curve), then small networks:
train, prune, make symbolic, unfold into the user's units, simplify, refit, snap (`symbolic/search.py`).
Every formula is judged on rows that no fit has seen.
"""

from __future__ import annotations

import math
import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import torch

from edgewise.discovery import Discovery
from edgewise.errors import DataError, InputError, ShapeError
from edgewise.problems.dataset import Samples, as_dataset
from edgewise.symbolic.finish import Rows
from edgewise.symbolic.front import pareto
from edgewise.symbolic.pi_theorem import Reduction, reduction
from edgewise.symbolic.primitives import Primitive
from edgewise.symbolic.rules import Rules, rules
from edgewise.symbolic.search import run
from edgewise.symbolic.simplify import warm_up
from edgewise.symbolic.start import enter, measured_anew, starts
from edgewise.symbolic.state import Progress, Search
from edgewise.symbolic.template import Template, read_template
from edgewise.symbolic.template_search import search_template
from edgewise.symbolic.units import read_units
from edgewise.symbolic.units_search import search_groups

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
    stop_at: float = 0.0,
    seed: int = 0,
    jobs: int = 1,
    lib: Sequence[str | Primitive] | None = None,
    forbid: Sequence[str | tuple[str, str]] | None = None,
    start: Any = None,
    template: str | None = None,
    units: Mapping[str, str] | None = None,
    progress: Progress | None = None,
) -> Discovery:
    """Find formulas y = f(X).

    X: (N, I) numbers (numpy, pandas, torch, lists); y: (N,). names: of the columns; those of a
    data frame by default, else x_1, x_2, ... weight: (N,), how much each row counts.

    time_limit: seconds, kept; what was found by then is returned. stop_at: a held-out error,
    relative to the target's spread (its standard deviation), at which the search ends early; at
    0.01 the formula explains all but a ten thousandth of the variance. seed: of splits and starts;
    a search that ends by itself gives the same again, one that time ends may not. jobs: processes.
    progress(stage, best so far, seconds) is called often.

    lib: the functions allowed, e.g. ["x", "x^2", "1/x", "sin"]; every formula returned is made of
    these, of + - * and whole powers. forbid: nestings that no formula may hold, e.g.
    ["sin(sin)", "sin(exp)"]: no exp anywhere under a sin; "tan" alone forbids tan.

    start: formulas to begin with: a Discovery, a text, or a list of them. Their decimals are fitted to
    these rows (write 1.0 for a number to fit), then their fractions, a scale and an offset too.

    template: the form, where it is known in part, e.g. "a*sin(b*x) + c" or "f(x)*exp(-b*t)": names that
    are no columns are constants to fit, f(x) and g(x, y) unknown parts to find (lib and forbid are for
    these); numbers stay.

    units: of every column and the target, e.g. {"m": "kg", "v": "m/s", "angle": "", "E": "J"}; needs
    pint. Products without dimension are searched first, and every formula returned is well formed.

    A fifth of the rows (at most 10,000) is held out and judges every formula; with fewer than 10
    rows all are used for both, and a note says so. Ctrl-C returns the best so far (status
    "interrupted"). Raises DataError that names row and column for cells that are not finite, and
    for fewer than two rows.
    """
    started = time.monotonic()
    _check_options(time_limit, stop_at, jobs)
    wanted = rules(lib, forbid)
    whole, notes = _prepared(X, y, names, target, weight, seed)
    rows, left_out = _varying(whole)
    if template is None and units is None:  # there, constants count too
        notes = left_out + notes
    form = _form(template, start, units, whole, rows)
    first = [] if start is None else starts(start, whole.names)
    law, accept = _units(units, whole, lib, forbid)
    warm_up()
    deadline = started + time_limit - min(_RESERVE, time_limit / 10)
    search = Search(rows, started, deadline, progress, stop_at=stop_at, accept=accept)
    status = "finished"
    try:
        if form is not None:
            search.rows, search.accept = whole, None
            status, more = search_template(search, form, lib, wanted, seed, jobs)
            notes += more
        else:
            notes += enter(search, first, whole)
            if law is not None and not search.solved:
                search_groups(search, whole, law, lib, wanted, seed, jobs)
            status = _run(search, whole, lib, seed, jobs)
    except KeyboardInterrupt:
        status = "interrupted"
    return _discovery(search, whole, status, notes)


def _check_options(time_limit: float, stop_at: float, jobs: int) -> None:
    if not time_limit > 0:
        raise InputError(f"time_limit is {time_limit!r}; expected seconds > 0.")
    if not 0 <= stop_at < math.inf:
        raise InputError(f"stop_at is {stop_at!r}; expected an error >= 0, such as 0.01.")
    if not isinstance(jobs, int) or jobs < 1:
        raise InputError(f"jobs is {jobs!r}; expected a whole number of processes >= 1.")


def _form(template: str | None, start: Any, units: Any, whole: Rows, rows: Rows) -> Template | None:
    if template is None:
        return None
    if start is not None or units is not None:
        raise InputError("template cannot be combined with start or units; leave one of them out")
    return read_template(template, whole.names, set(whole.names) - set(rows.names))


def _units(
    units: Mapping[str, str] | None, whole: Rows, lib: Any, forbid: Any
) -> tuple[Reduction | None, Rules | None]:
    """The groups to search, if there are any, and the rules for all formulas."""
    if units is None:
        return None, rules(lib, forbid)
    read = read_units(units, whole.names, whole.target)
    everything = torch.cat([whole.train.x, whole.held_out.x])
    return reduction(read, everything), rules(lib, forbid, read.allow)


def _run(search: Search, whole: Rows, lib: Any, seed: int, jobs: int) -> str:
    """The search from what was found already; its status."""
    if search.solved:
        return "finished"
    if search.late:
        return "time limit"
    before, relative = list(search.found), search.rows.relative
    status = run(search, lib, seed, jobs)
    if search.rows.relative != relative:  # errors are weighed in another way now
        rows = replace(whole, relative=search.rows.relative)
        for candidate in before:
            search.add(measured_anew(candidate, rows, search.deadline))
    return status


def _discovery(search: Search, whole: Rows, status: str, notes: list[str]) -> Discovery:
    """The front of what was found, and the pick."""
    rows = search.rows
    front = pareto(search.found)
    if not front and status != "finished":
        if status == "interrupted":
            raise KeyboardInterrupt
        raise InputError("No formula was found within the time limit; give it more, 10 s at least.")
    if not front:
        raise DataError(
            f"No formula is finite on all {len(rows.train) + len(rows.held_out)} rows of "
            f"{rows.target!r}. Scale the columns to about unit size."
        )
    if rows.relative:
        notes.append(
            "errors grow with the target: each row's error is weighed relative to its value"
        )
    return Discovery(
        front,
        search.pick(front),
        rows.variables,
        rows.target,
        whole.train,
        whole.held_out,
        time.monotonic() - search.started,
        status,
        tuple(notes),
        rows.relative,
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
    N = len(samples)
    if N < 2:
        raise DataError(f"Only {N} row came for {target!r}; a formula needs at least 2, better 20.")
    notes: list[str] = []
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


def _varying(rows: Rows) -> tuple[Rows, list[str]]:
    """The rows without their constant columns, and a note on each of those."""
    x = torch.cat([rows.train.x, rows.held_out.x])
    varies = (x.amax(0) > x.amin(0)).tolist()
    kept = [i for i, varied in enumerate(varies) if varied]
    notes = [
        f"column {name!r} is constant ({float(x[0, i]):g}): left out"
        for i, name in enumerate(rows.names)
        if not varies[i]
    ]

    def cut(samples: Samples) -> Samples:
        return replace(samples, x=samples.x[:, kept])

    train = cut(rows.train)
    held_out = train if rows.held_out is rows.train else cut(rows.held_out)
    names = tuple(rows.names[i] for i in kept)
    return replace(rows, train=train, held_out=held_out, names=names), notes
