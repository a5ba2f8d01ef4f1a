"""What a search for a formula has found so far, and when it has to end."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace

import sympy

from edgewise.symbolic.direct import Proposal
from edgewise.symbolic.finish import Rows, finish
from edgewise.symbolic.front import Candidate

Progress = Callable[[str, Candidate | None, float], None]

# Held-out error relative to the target's spread that counts as none.
_EXACT = 1e-9


@dataclass
class Search:
    """What was found so far, until when to search (of time.monotonic), and whom to tell.

    stop_at: the search ends at this held-out error, relative to the target's spread. accept: what
    becomes of a formula before it is kept: itself, or one of the same values, or None to reject it
    (`rules.Rules`); picklable. explained: some formula leaves nothing but noise.
    """

    rows: Rows
    started: float
    deadline: float
    progress: Progress | None
    found: list[Candidate] = field(default_factory=list)
    stop_at: float = 0.0
    accept: Callable[[sympy.Expr], sympy.Expr | None] | None = None
    explained: bool = False

    @property
    def scale(self) -> float:
        """What an error of 1 spread is in the units of Candidate.error."""
        return 1.0 if self.rows.relative else self.rows.spread

    @property
    def floor(self) -> float:
        """The error that counts as none."""
        return _EXACT * self.scale

    @property
    def left(self) -> float:
        return self.deadline - time.monotonic()

    @property
    def late(self) -> bool:
        return time.monotonic() > self.deadline

    @property
    def best(self) -> Candidate | None:
        return min(self.found, key=lambda c: c.error, default=None)

    @property
    def solved(self) -> bool:
        enough = max(self.floor, self.stop_at * self.scale)
        return self.best is not None and self.best.error <= enough

    def finish(self, proposal: Proposal) -> None:
        """Refit, snap and judge a proposal, and keep what comes out."""
        self.tell(f"formula: {proposal.origin}")
        self.add(finish(proposal.expression, self.rows, proposal.origin, self.deadline))

    def add(self, candidate: Candidate | None) -> bool:
        """Keep the candidate if it is accepted; whether it was."""
        if candidate is not None and self.accept is not None:
            candidate = _accepted(candidate, self.accept)
        if candidate is None:
            return False
        self.found.append(candidate)
        return True

    def tell(self, stage: str) -> None:
        if self.progress is not None:
            self.progress(stage, self.best, time.monotonic() - self.started)


def _accepted(
    candidate: Candidate, accept: Callable[[sympy.Expr], sympy.Expr | None]
) -> Candidate | None:
    expression = accept(candidate.formula.expression)
    if expression is None:
        return None
    return replace(candidate, formula=replace(candidate.formula, expression=expression))
