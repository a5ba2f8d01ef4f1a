"""What an equation sees of the unknown function: its value and derivatives by name."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import torch
from torch import Tensor

from edgewise.errors import InputError
from edgewise.pde.orders import Index, Orders

Equation = Callable[["Field", Tensor], Tensor | Sequence[Tensor]]


class Field:
    """u at B points: ``u.value``, ``u.t``, ``u.xx``, each (B,); ``u[1].x`` of the second output.

    Coordinates of more than one letter go by ``u.d("theta", "theta")``. ``unknown`` holds the numbers
    that are sought with u, by name.
    """

    def __init__(
        self,
        names: Sequence[str],
        outputs: int,
        lookup: Callable[[Index], Tensor],
        unknown: Mapping[str, Tensor],
        output: int | None = None,
    ) -> None:
        self._names, self._outputs, self._lookup = tuple(names), outputs, lookup
        self.unknown, self._output = unknown, output

    @property
    def value(self) -> Tensor:
        return self.d()

    def d(self, *names: str) -> Tensor:
        """The derivative in the named coordinates, one after the other: (B,)."""
        wrong = [name for name in names if name not in self._names]
        if wrong:
            raise InputError(f"{wrong[0]!r} is no coordinate; expected some of {self._names}.")
        if self._output is None and self._outputs > 1:
            raise InputError(f"There are {self._outputs} functions; say which, as u[0].")
        index = tuple(sorted(self._names.index(name) for name in names))
        return self._lookup(index)[:, self._output or 0]

    def __getitem__(self, output: int) -> Field:
        if not 0 <= output < self._outputs:  # an IndexError ends a loop over the field
            raise IndexError(f"There are {self._outputs} functions, no number {output}.")
        return Field(self._names, self._outputs, self._lookup, self.unknown, output)

    def __getattr__(self, name: str) -> Tensor:
        if name.startswith("_") or any(letter not in self._names for letter in name):
            raise AttributeError(
                f"u has no {name!r}: its derivatives are named by the letters of the coordinates "
                f"{self._names}, as u.{''.join(name for name in self._names if len(name) == 1)}; "
                "its value is u.value."
            )
        return self.d(*name)


def residual(equation: Equation, u: Field, x: Tensor) -> Tensor:
    """What the equation leaves at the points x: (B, E), E equations."""
    found = equation(u, x)
    parts = list(found) if isinstance(found, Sequence) else [found]
    for part in parts:
        if not isinstance(part, Tensor) or part.shape != (len(x),):
            shape = tuple(part.shape) if isinstance(part, Tensor) else type(part).__name__
            raise InputError(
                f"An equation returned {shape}; expected a tensor ({len(x)},), one number a point, "
                "or a tuple of such."
            )
    return torch.stack(parts, dim=1)


def orders_of(
    equation: Equation, names: Sequence[str], outputs: int, unknown: Sequence[str], x: Tensor
) -> Orders:
    """The derivatives that the equation asks for, found by running it once on a function of ones."""
    asked: list[Index] = []

    def lookup(index: Index) -> Tensor:
        asked.append(index)
        return torch.ones(len(x), outputs, dtype=x.dtype)

    ones = {name: torch.ones(len(x), dtype=x.dtype) for name in unknown}
    residual(equation, Field(names, outputs, lookup, ones), x)
    return Orders.of(asked)
