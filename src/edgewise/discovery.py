"""What `discover` returns: the front of a search, to print, predict with, export and save."""

from __future__ import annotations

from dataclasses import dataclass, fields
from os import PathLike
from pathlib import Path
from typing import Any

import numpy as np
import torch

from edgewise.errors import InputError
from edgewise.model import KAN, compile_formula
from edgewise.problems.dataset import Samples
from edgewise.symbolic.formula import Formula
from edgewise.symbolic.front import Candidate, table


@dataclass(frozen=True, eq=False)
class Discovery:
    """The front of a search, simplest first, and the pick.

    ``print(result)`` shows the front; ``result.best`` is the pick's Formula (sympy, latex(),
    python(), torch(), predict(X)), ``result.formula(n)`` that of row n, ``result.model`` the pick
    as a network.

    pick: index into front. status: "finished", "time limit" or "interrupted". train, held_out: the
    rows used; one object where too few came to hold any out. notes: what the user should know
    (columns left out, too few rows to hold any out). relative: whether errors were weighed relative
    to the target's value.
    """

    front: tuple[Candidate, ...]
    pick: int
    names: tuple[str, ...]
    target: str
    train: Samples
    held_out: Samples
    seconds: float
    status: str = "finished"
    notes: tuple[str, ...] = ()
    relative: bool = False

    @property
    def best(self) -> Formula:
        return self.formula()

    def formula(self, index: int | None = None) -> Formula:
        """The formula of row ``index`` of the front, counted from 0 as printed; the pick by default.

        Raises InputError: there is no such row.
        """
        row = self.pick if index is None else index
        if not isinstance(row, int) or not -len(self.front) <= row < len(self.front):
            raise InputError(
                f"the front has no row {index!r}; its rows are 0 to {len(self.front) - 1}"
            )
        return self.front[row].formula

    @property
    def unseen(self) -> int:
        """How many rows judge the formulas that no fit has seen."""
        return 0 if self.held_out is self.train else len(self.held_out)

    @property
    def model(self) -> KAN:
        """A network of symbolic edges that computes the pick, in the user's units."""
        return self.network()

    def network(self, index: int | None = None) -> KAN:
        """The same of row ``index`` of the front: a torch module, (N, I) -> (N, 1)."""
        x = torch.cat([self.train.x, self.held_out.x])
        low, high = x.amin(0).tolist(), x.amax(0).tolist()
        ranges = dict(zip(self.names, zip(low, high, strict=True), strict=True))
        expression = self.formula(index).sympy
        return compile_formula(expression, self.names, output_names=[self.target], ranges=ranges)

    def predict(self, X: Any, index: int | None = None) -> np.ndarray:
        """The pick's values, or those of row ``index`` of the front, for X (N, I): (N,)."""
        return self.formula(index).predict(X)

    def report(self, path: str | PathLike[str]) -> Path:
        """Write a self-contained HTML report."""
        from edgewise.io.report import write_report

        return write_report(self, Path(path))

    def save(self, path: str | PathLike[str]) -> Path:
        """Write all of it to one file that cannot run code; `Discovery.load` reads it back.

        The rows are saved too: they are the data that came. Raises InputError for a formula that
        a file cannot hold, FileError when the file cannot be written there.
        """
        from edgewise.io.discovery import save_discovery

        return save_discovery(
            {field.name: getattr(self, field.name) for field in fields(self)}, path
        )

    @classmethod
    def load(cls, path: str | PathLike[str]) -> Discovery:
        """What was saved to ``path``: it prints and predicts the same to the bit.

        Raises FileError: there is no such file, it holds something else, or it is damaged.
        """
        from edgewise.io.discovery import load_discovery

        return cls(**load_discovery(path))

    def __str__(self) -> str:
        return table(self.front, self.pick, self.relative)
