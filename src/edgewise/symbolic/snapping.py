"""The constants of a symbolic network put to the simplest numbers that the data allow."""

from __future__ import annotations

import sympy
import torch

from edgewise.nn import Network
from edgewise.problems.dataset import Samples
from edgewise.symbolic.canonical import free_constants
from edgewise.symbolic.compose import Place, exact, network_formulas
from edgewise.symbolic.refit import make_data
from edgewise.symbolic.snap import snap_template


@torch.no_grad()
def snap_network(model: Network, data: Samples) -> None:
    """Refit the free constants of a canonical network, in place, simple numbers where they hold.

    The network's own constants are changed, so that it still computes its printed formula. With
    several outputs, a constant that two of them share is settled by the first.
    """
    names = [f"input {i}" for i in range(model.layers[0].in_features)]
    settled: set[Place] = set()
    for output in range(data.y.shape[1]):
        start: dict[sympy.Symbol, float] = {}
        places: dict[sympy.Symbol, Place] = {}

        def constant(
            place: Place,
            value: float,
            start: dict[sympy.Symbol, float] = start,
            places: dict[sympy.Symbol, Place] = places,
        ) -> sympy.Expr:
            l, i, j, n = place
            if place in settled or not free_constants(model, l, j, i)[n]:
                return exact(value)
            free = sympy.Symbol(f"constant {len(start)}", real=True)
            start[free], places[free] = value, place
            return free

        template = network_formulas(model, names, constant)[output]
        used = [free for free in start if free in template.free_symbols]
        if not used:
            continue
        rows = make_data(data.x, data.y[:, output], names, data.weight)
        fitted = snap_template(template, {free: start[free] for free in used}, rows)
        values = {free: float(number) for free, number in fitted.numbers.items()}
        values.update(zip(fitted.constants, fitted.values.tolist(), strict=True))
        for free, value in values.items():
            l, i, j, n = places[free]
            model.layers[l].symbolic_affine[j, i, n] = value
        settled.update(places[free] for free in used)
