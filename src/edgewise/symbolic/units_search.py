"""A search on groups without dimension: fewer variables, and every formula well formed by itself."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import torch
from sympy import Expr

from edgewise.problems.dataset import Samples
from edgewise.symbolic.evaluate import evaluate, symbol
from edgewise.symbolic.finish import Rows, finish
from edgewise.symbolic.pi_theorem import Reduction
from edgewise.symbolic.rules import Rules
from edgewise.symbolic.search import Search, run
from edgewise.symbolic.start import fitted

_SHARE = 0.5  # of the time left; the rest is for a search on the columns themselves
_ENTERED = 8


def search_groups(
    search: Search,
    whole: Rows,
    found: Reduction,
    lib: Any,
    rules: Rules | None,
    seed: int,
    jobs: int,
) -> None:
    """Search target/prefactor = F(groups) and add prefactor * F, fitted to the rows, to the search.

    whole: the rows with the columns that never change, whose dimensions count too.
    """
    prefactor = found.product(found.prefactor)
    groups = {str(product): product for product in map(found.product, found.groups)}
    inner, unit = _group_rows(whole, prefactor, groups)
    stop_at = search.stop_at * whole.spread / (unit * inner.spread)
    below = search.below(inner, _SHARE, "groups without dimension", stop_at, rules)
    run(below, lib, seed, jobs)
    names = {symbol(name): product for name, product in groups.items()}
    for candidate in below.likeliest(_ENTERED):
        if search.solved or search.late:
            return
        expression = prefactor * candidate.formula.expression.xreplace(names)
        start = fitted(expression, whole, search.deadline).expression
        origin = f"units: {candidate.origin}"
        search.add(finish(start, whole, origin, search.deadline))


def _group_rows(rows: Rows, prefactor: Expr, groups: dict[str, Expr]) -> tuple[Rows, float]:
    """target/prefactor by the groups that vary; and the prefactor's root mean square, by which the
    errors of the one grow to those of the other."""
    units: list[float] = []

    def turned(samples: Samples) -> Samples:
        columns = dict(zip(rows.names, samples.x.unbind(1), strict=True))
        scale = evaluate(prefactor, columns)
        x = [evaluate(product, columns) for product in groups.values()]
        weight = scale.square() * (1.0 if samples.weight is None else samples.weight)
        units.append(float(weight.mean().sqrt()))
        table = torch.stack(x, 1) if x else samples.x[:, :0]
        return Samples(table, samples.y / scale[:, None], weight / weight.mean())

    train = turned(rows.train)
    held_out = train if rows.held_out is rows.train else turned(rows.held_out)
    x = torch.cat([train.x, held_out.x])
    # groups of constants vary by rounding
    spread = x.amax(0) - x.amin(0) > 1e-12 * x.abs().amax(0)
    kept = spread.nonzero()[:, 0].tolist()
    names = tuple(name for n, name in enumerate(groups) if n in kept)
    train = replace(train, x=train.x[:, kept])
    held_out = train if rows.held_out is rows.train else replace(held_out, x=held_out.x[:, kept])
    return Rows(train, held_out, names, names, rows.target), units[0]
