"""Which derivatives are carried along, and how the chain and product rules join them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor

# Directions of a derivative in rising order: () is the value, (0, 1) is d2/dx0 dx1.
Index = tuple[int, ...]
# count * f^(order) * product of the inner derivatives at these places
Term = tuple[int, tuple[int, ...]]


@dataclass(frozen=True)
class Orders:
    """A set of M derivatives that holds with each one all that are contained in it.

    A jet is a tensor (B, M, n): the derivatives ``indices[m]`` of n functions at B points. ``indices[0]``
    is (), the value.
    """

    indices: tuple[Index, ...]

    @classmethod
    def of(cls, wanted: Iterable[Index]) -> Orders:
        """The smallest set that holds the wanted derivatives."""
        found: set[Index] = {()}
        for index in wanted:
            found |= {part for part, _ in _splits(tuple(sorted(index)))}
        return cls(tuple(sorted(found, key=lambda index: (len(index), index))))

    @property
    def highest(self) -> int:
        return len(self.indices[-1])

    def place(self, index: Index) -> int:
        return self.indices.index(tuple(sorted(index)))

    @cached_property
    def chain(self) -> tuple[tuple[Term, ...], ...]:
        """For each derivative of f(z(x)) its terms: count f^(k)(z) z_p1 .. z_pk as (count, (p1, .., pk)).

        A sum over the partitions of the directions into k blocks (Faa di Bruno's formula; M. Hardy,
        *Combinatorics of Partial Derivatives*, 2006).
        """
        rows = []
        for index in self.indices:
            found = Counter(
                tuple(sorted(self.place(block) for block in blocks))
                for blocks in _partitions(index)
            )
            rows.append(tuple((count, places) for places, count in found.items()))
        return tuple(rows)

    @cached_property
    def leibniz(self) -> tuple[tuple[int, int, int, int], ...]:
        """(count, m, p, q): the derivative m of a b has the term count a_p b_q."""
        found = Counter(
            (m, self.place(left), self.place(right))
            for m, index in enumerate(self.indices)
            for left, right in _splits(index)
        )
        return tuple((count, *places) for places, count in found.items())

    def multiply(self, a: Tensor, b: Tensor) -> Tensor:
        """The jet of a product: (.., M, n) each."""
        parts = [torch.zeros_like(a[..., 0, :] * b[..., 0, :]) for _ in self.indices]
        for count, m, p, q in self.leibniz:
            parts[m] = parts[m] + count * a[..., p, :] * b[..., q, :]
        return torch.stack(parts, dim=-2)

    def multiply_back(self, S: Tensor, b: Tensor) -> Tensor:
        """Sensitivities to the jet of a b -> to that of a: S and b (.., M, n)."""
        parts = [torch.zeros_like(S[..., 0, :] * b[..., 0, :]) for _ in self.indices]
        for count, m, p, q in self.leibniz:
            parts[p] = parts[p] + count * S[..., m, :] * b[..., q, :]
        return torch.stack(parts, dim=-2)


def _splits(index: Index) -> Iterator[tuple[Index, Index]]:
    """Every way to give each direction to the left or to the right, repeated ones included."""
    for chosen in range(1 << len(index)):
        left = tuple(i for n, i in enumerate(index) if chosen >> n & 1)
        yield left, tuple(i for n, i in enumerate(index) if not chosen >> n & 1)


def _partitions(index: Index) -> Iterator[tuple[Index, ...]]:
    """Every partition of the directions into blocks, taking equal directions as different."""
    if not index:
        yield ()
        return
    first, rest = index[0], index[1:]
    for blocks in _partitions(rest):
        yield ((first,), *blocks)
        for n, block in enumerate(blocks):
            yield (*blocks[:n], (first, *block), *blocks[n + 1 :])
