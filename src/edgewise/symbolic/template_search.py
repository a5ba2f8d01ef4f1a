"""A search within a template: its constants are fitted, its unknown parts found one after another.

For each part the template is solved, row by row, for the values that the part must have, and these
are searched as a target of their own, each row weighed by how much the part matters there. In the
end all is put together and every constant fitted once more.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import torch
from sympy import Expr, Float, Symbol

from edgewise.errors import DataError
from edgewise.problems.dataset import Samples
from edgewise.symbolic.finish import Rows, finish
from edgewise.symbolic.refit import fit_template, free_floats, make_data, refit
from edgewise.symbolic.rules import Rules
from edgewise.symbolic.search import Search, run
from edgewise.symbolic.template import Part, Template
from edgewise.symbolic.template_constants import (
    FIT_ROWS,
    VALLEYS,
    add_fitted,
    best_constants,
    columns_of,
    keep,
    no_value,
    starts_of,
)
from edgewise.symbolic.template_model import Fitted, Projection

# Passes over the parts: the share of the time left, and the error at which the search for a part
# ends, in units of the error that its stand-in leaves. Mostly the first is enough.
_PASSES = ((0.4, 1.0), (0.8, 0.0))
_FORMS = 8  # of a part that are put into the template
_LOST = 0.2  # share of the rows on which a part may have no value


def search_template(
    search: Search, template: Template, lib: Any, rules: Rules | None, seed: int, jobs: int
) -> tuple[str, list[str]]:
    """Fill the search with formulas of the template's form; the status, and notes.

    lib, rules: for the unknown parts. Raises DataError: the template has no value on the rows.
    """
    if not template.parts:
        notes = add_fitted(search, template, best_constants(search, template, seed))
        return ("time limit" if search.late else "finished"), notes
    # the values of a part are exact where nothing else is unknown: one pass does
    only = len(template.parts) == 1 and not template.constants
    numbers: dict[Symbol, float] = {}
    for share, enough in _PASSES[1:] if only else _PASSES:
        filled = template
        forms: dict[Part, list[Expr]] = {}
        for part in template.parts:
            one = share / len(filled.parts)
            how = lib, rules, seed, jobs
            forms[part], numbers = _part_forms(search, filled, part, numbers, how, one, enough)
            filled = filled.known(part, forms[part][0])
        values = {constant: Float(value) for constant, value in numbers.items()}
        for expression in _put_together(template, forms):
            if search.late or search.solved:
                break
            search.tell("the template with its parts")
            _add(search, template, expression.xreplace(values))
        if search.late or search.solved:
            break
        one_part = len(forms) == 1
        numbers = _sharper(search, template, forms, numbers) if one_part else {}
    return ("time limit" if search.late else "finished"), []


# --- the parts -----------------------------------------------------------------------------------


def _part_forms(
    search: Search,
    template: Template,
    part: Part,
    known: dict[Symbol, float],
    how: tuple,
    share: float,
    enough: float,
) -> tuple[list[Expr], dict[Symbol, float]]:
    """Expressions for one part of a template, the likeliest first, and the constants beside it.

    known: the constants, if an earlier pass has found them; how: lib, rules, seed, jobs; share: of
    the time left; enough: see _PASSES.
    """
    lib, rules, seed, jobs = how
    search.tell(f"values of {part.name}")
    projection, fits = starts_of(search, template, seed)
    if not fits:
        raise no_value(template)
    fitted = projection.fitted(known) if known else fits[0]
    inner, unit = _part_rows(search.rows, projection, part, fitted)
    least = max(search.stop_at, enough * fitted.error)
    stop_at = least * search.rows.spread / (unit * inner.spread)
    below = search.below(inner, share, part.name, stop_at, rules)
    run(below, lib, seed, jobs)
    forms = [candidate.formula.expression for candidate in below.likeliest(_FORMS)]
    if not forms:
        raise DataError(f"No formula for {part.name} is finite on its rows; change the template.")
    return forms, projection.numbers(fitted)


def _sharper(
    search: Search, template: Template, forms: dict[Part, list[Expr]], numbers: dict[Symbol, float]
) -> dict[Symbol, float]:
    """The constants once more, fitted together with the best form of the part: closer than beside the
    polynomial that stood in for it, by whose error they were off."""
    ((part, found),) = forms.items()
    rows, samples = search.rows, search.rows.train.thinned(FIT_ROWS)
    data = make_data(samples.x, samples.y, rows.names, rows.weight(samples))
    fits = []
    for form in found[:VALLEYS]:
        opened, start = free_floats(form, data)
        whole = template.expression.xreplace({part.symbol: opened})
        fits.append(fit_template(whole, start | numbers, data, deadline=search.deadline))
    best = min(fits, key=lambda fit: fit.rmse)
    fitted = dict(zip(best.constants, best.values.tolist(), strict=True))
    return {constant: fitted.get(constant, value) for constant, value in numbers.items()}


def _part_rows(
    rows: Rows, projection: Projection, part: Part, fitted: Fitted
) -> tuple[Rows, float]:
    """The rows on which the part is searched: its columns, its values, and their weights; and how much
    the target changes by a change of the part (root mean square)."""
    units: list[float] = []
    places = [rows.names.index(name) for name in part.columns]

    def turned(samples: Samples) -> Samples:
        f, slope = projection.part_values(part, fitted, columns_of(samples, rows), samples.y[:, 0])
        weight = slope.square() * (1.0 if samples.weight is None else samples.weight)
        fine = torch.isfinite(f) & torch.isfinite(weight) & (weight > 0)
        if int((~fine).sum()) > _LOST * len(samples):
            raise DataError(
                f"The template cannot be solved for {part.name}: on {int((~fine).sum())} of "
                f"{len(samples)} rows no value of {part.name} gives the target."
            )
        units.append(float(weight[fine].mean().sqrt()))
        even = bool((weight == weight[0]).all())
        kept = Samples(samples.x[:, places], f[:, None], None if even else weight / weight.mean())
        return kept.rows(fine)

    train = turned(rows.train)
    held_out = train if rows.held_out is rows.train else turned(rows.held_out)
    return Rows(train, held_out, part.columns, part.columns, part.name), units[0]


def _put_together(template: Template, forms: dict[Part, list[Expr]]) -> Iterator[Expr]:
    """The template with the likeliest form of every part, then with the others of one part each."""
    likeliest = {part.symbol: found[0] for part, found in forms.items()}
    if forms:
        yield template.expression.xreplace(likeliest)
    for part, found in forms.items():
        for form in found[1:]:
            yield template.expression.xreplace({**likeliest, part.symbol: form})


def _add(search: Search, template: Template, expression: Expr) -> None:
    rows, samples = search.rows, search.rows.train.thinned(FIT_ROWS)
    # fitted before it is shortened: numbers that fit in part only should not look simple
    names, weight = list(rows.names), rows.weight(samples)
    fitted = refit(expression, samples.x, samples.y, names, weight, deadline=search.deadline)
    parts = ", ".join(part.name for part in template.parts)
    candidate = finish(fitted.expression, rows, f"template with {parts}", search.deadline)
    keep(search, template, candidate)
