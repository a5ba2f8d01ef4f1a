"""What a search for a formula has found so far, and when it has to end."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace

import sympy

from edgewise.symbolic.direct import Proposal
from edgewise.symbolic.finish import Rows, finish
from edgewise.symbolic.front import Candidate, choose, pareto

Progress = Callable[[str, Candidate | None, float], None]
Accept = Callable[[sympy.Expr], sympy.Expr | None]

# A stage that is given less than so many seconds is not begun.
_LEAST = 0.3
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
    accept: Accept | None = None
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
        """Whether too little time is left for anything more."""
        return self.left < _LEAST

    @property
    def best(self) -> Candidate | None:
        return min(self.found, key=lambda c: c.error, default=None)

    @property
    def solved(self) -> bool:
        enough = max(self.floor, self.stop_at * self.scale)
        return self.best is not None and self.best.error <= enough

    def pick(self, front: Sequence[Candidate]) -> int:
        """The row of the front that describes the rows in the fewest bits."""
        return choose(front, self.floor, len(self.rows.train), self.rows.unseen)

    def likeliest(self, most: int) -> list[Candidate]:
        """The pick, then the others of the front, the precise ones first; none if none was found."""
        front = pareto(self.found)
        if not front:
            return []
        pick = self.pick(front)
        others = [candidate for row, candidate in enumerate(front) if row != pick]
        return [front[pick], *reversed(others)][:most]

    def below(
        self, rows: Rows, share: float, name: str, stop_at: float, accept: Accept | None
    ) -> Search:
        """A search on other rows in a share of the time left; its stages are told under a name."""
        now = time.monotonic()

        def tell(stage: str, best: Candidate | None, seconds: float) -> None:
            self.tell(f"{name}: {stage}")

        return Search(rows, now, now + share * self.left, tell, stop_at=stop_at, accept=accept)

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


def _accepted(candidate: Candidate, accept: Accept) -> Candidate | None:
    expression = accept(candidate.formula.expression)
    if expression is None:
        return None
    return replace(candidate, formula=replace(candidate.formula, expression=expression))
