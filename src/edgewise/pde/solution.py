"""What solving gives: a function that can be asked for its values and derivatives."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from edgewise.errors import InputError
from edgewise.nn import Network
from edgewise.pde.field import Field
from edgewise.pde.objective import Placed
from edgewise.pde.orders import Index, Orders
from edgewise.pde.problem import Problem
from edgewise.train import History


@dataclass(frozen=True)
class Solution:
    """A function that solves a problem as well as its model can: ``solution(x)``, (n, d) -> (n, Y).

    unknowns: the numbers that were sought, by name. loss: the problem's, on the last points.
    """

    model: Network
    problem: Problem
    unknowns: Mapping[str, float]
    history: History
    loss: float
    status: str

    def __call__(self, x: Tensor) -> Tensor:
        return self._jet(x, Orders.of([()]))[:, 0]

    def field(self, x: Tensor, *derivatives: str) -> Field:
        """u at x with the derivatives named by letters: solution.field(x, "t", "xx").xx."""
        names = self.problem.domain.names
        unknown = [d for d in derivatives if any(letter not in names for letter in d)]
        if unknown:
            raise InputError(
                f"{unknown[0]!r} is no derivative by the letters of the coordinates {names}."
            )
        orders = Orders.of([tuple(names.index(letter) for letter in d) for d in derivatives])
        u = self._jet(x, orders)

        def lookup(index: Index) -> Tensor:
            return u[:, orders.place(index)]

        numbers = {name: x.new_full((len(x),), value) for name, value in self.unknowns.items()}
        return Field(names, u.shape[2], lookup, numbers)

    @torch.no_grad()
    def _jet(self, x: Tensor, orders: Orders) -> Tensor:
        x = x.to(self.model.layers[0].coef)
        return Placed.at(self.problem.ansatz, x, orders).run(self.model)[0]
