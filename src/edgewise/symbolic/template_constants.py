"""The constants of a template whose parts are known: fitted from many starts, and as simple numbers."""

from __future__ import annotations

import math
import time
from collections.abc import Sequence
from dataclasses import replace

from torch import Tensor

from edgewise.errors import DataError
from edgewise.problems.dataset import Samples
from edgewise.symbolic.finish import Rows, measure
from edgewise.symbolic.front import Candidate
from edgewise.symbolic.refit import Refit, fit_template, make_data, refit, with_errors
from edgewise.symbolic.search import Search
from edgewise.symbolic.snap import snap_constants
from edgewise.symbolic.template import Template
from edgewise.symbolic.template_fit import fit_constants
from edgewise.symbolic.template_model import Fitted, Projection

_START_ROWS, FIT_ROWS, _FINAL_ROWS = 300, 1000, 20_000
_START_SHARE = 0.3  # of the time left
VALLEYS, _ROUNDS = 3, 3
_EXACT = 1e-9


def best_constants(search: Search, template: Template, seed: int) -> Refit:
    """The best fit found of the constants of a template without parts."""
    rows, samples = search.rows, search.rows.train.thinned(FIT_ROWS)
    data = make_data(samples.x, samples.y, rows.names, rows.weight(samples))
    best: Refit | None = None
    for turn in range(_ROUNDS):
        search.tell("the constants of the template")
        projection, fits = starts_of(search, template, seed + turn)
        for fitted in fits[:VALLEYS]:
            start = projection.numbers(fitted)
            found = fit_template(template.expression, start, data, deadline=search.deadline)
            if best is None or found.rmse < best.rmse:
                best = found
        if search.late or (best is not None and best.rmse <= _EXACT * rows.spread):
            break
    if best is None or not math.isfinite(best.rmse):
        raise no_value(template)
    return best


def starts_of(search: Search, template: Template, seed: int) -> tuple[Projection, list[Fitted]]:
    """The template with some rows, and the best fits from many starts, one a valley."""
    rows, samples = search.rows, search.rows.train.thinned(_START_ROWS)
    weight = rows.weight(samples)
    root = None if weight is None else (weight / weight.mean()).sqrt()
    projection = Projection(template, columns_of(samples, rows), samples.y[:, 0], root)
    until = time.monotonic() + _START_SHARE * search.left
    return projection, fit_constants(projection, seed, lambda: time.monotonic() > until)


def add_fitted(search: Search, template: Template, fitted: Refit) -> list[str]:
    """The template with its constants, as fitted and as simple numbers; a note of their values."""
    rows, samples = search.rows, search.rows.train.thinned(_FINAL_ROWS)
    start = dict(zip(fitted.constants, fitted.values.tolist(), strict=True))
    data = make_data(samples.x, samples.y, rows.names, rows.weight(samples))
    final = fit_template(template.expression, start, data, deadline=search.deadline)
    keep(search, template, measure(final, rows, "template"))
    few, names = rows.train.thinned(FIT_ROWS), list(rows.names)
    snapped = snap_constants(
        final.expression,
        few.x,
        few.y[:, 0],
        names,
        None,
        rows.weight(few),
        deadline=search.deadline,
    )
    again = refit(snapped.expression, samples.x, samples.y, names, rows.weight(samples))
    keep(search, template, measure(again, rows, "template"))
    constants = with_errors(final.values, final.errors)
    pairs = zip(final.constants, constants, strict=True)
    return ["constants of the template: " + "; ".join(f"{s.name} = {c.text}" for s, c in pairs)]


def keep(search: Search, template: Template, candidate: Candidate | None) -> None:
    """Add the candidate with the user's own decimals as they were written."""
    if candidate is not None:
        formula = candidate.formula
        written = replace(formula, expression=template.as_written(formula.expression))
        search.add(replace(candidate, formula=written))


def columns_of(samples: Samples, rows: Rows) -> dict[str, Tensor]:
    """Name -> column (N,)."""
    return dict(zip(rows.names, samples.x.unbind(1), strict=True))


def no_value(template: Template) -> DataError:
    """The error for a template that has no value on the rows."""
    names: Sequence[str] = [c.name for c in template.constants]
    return DataError(
        "The template has no finite value on the rows for any constants that were tried"
        f" ({', '.join(names) or 'it has none'}): check logarithms, roots and denominators."
    )
