"""From a table to a formula: the whole run with defaults chosen well."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from edgewise.nn import Network
from edgewise.problems.dataset import Samples
from edgewise.symbolic.formula import Formula
from edgewise.symbolic.front import Candidate, choose, pareto, table


@dataclass(frozen=True, eq=False)
class Discovery:
    """The front of a search, simplest first, and the pick.

    pick: index into front. status: "finished", "time limit" or "interrupted". train, held_out: the
    rows used. notes: what the user should know (columns left out, rows dropped, a search cut short).
    """

    front: tuple[Candidate, ...]
    pick: int
    names: tuple[str, ...]
    target: str
    train: Samples
    held_out: Samples
    seconds: float
    status: str = "finished"
    notes: tuple[str, ...] = field(default=())

    @property
    def best(self) -> Formula:
        return self.front[self.pick].formula

    @property
    def model(self) -> Network:
        return self.front[self.pick].model

    def predict(self, X: Any, index: int | None = None) -> np.ndarray:
        """The pick's values, or those of row ``index`` of the front, for X (N, I): (N,)."""
        return self.front[self.pick if index is None else index].formula.predict(X)

    def report(self, path: str | Path) -> Path:
        """Write a self-contained HTML report."""
        from edgewise.io.report import write_report

        return write_report(self, path)

    def __str__(self) -> str:
        return table(self.front, self.pick)
