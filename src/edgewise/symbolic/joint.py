"""Symbols for all edges at once: a beam over whole assignments, each judged end to end.

One edge at a time would choose by how well a primitive fits that edge's curve, whose own error
hides the difference. Here every choice is followed by second-order steps of the whole network, so
that what is right lets the error fall by orders of magnitude. The most certain edge goes first.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from edgewise.errors import FormulaError
from edgewise.nn import Network, Trace
from edgewise.nn.jacobian import layout, pack, unpack
from edgewise.optim.levenberg_marquardt import minimise
from edgewise.problems.dataset import Samples
from edgewise.symbolic.canonical import canonicalise
from edgewise.symbolic.primitives import Primitive
from edgewise.symbolic.snapping import snap_network
from edgewise.symbolic.suggest import Suggestion, library, suggest
from edgewise.train.losses import MeanSquare
from edgewise.train.objective import Objective, SecondOrder

Edge = tuple[int, int, int]  # (l, i, j) as users write it

_ROWS = 1000
_STEPS, _FEW_STEPS, _FINAL_STEPS = 12, 60, 200
# Primitives of an edge's first suggestions that stay in the race.
_SHORT_LIST = 8
# Error of an assignment relative to the target's spread below which it is exact.
_EXACT = 1e-9
# What one unit of a primitive's cost must gain in log10 of the error, when errors are comparable.
_COST_WEIGHT = 0.05
# Of a digit that cancels, in decades of the error; as for the suggestions of one edge.
_LOST_WEIGHT = 0.3


@dataclass(frozen=True)
class Candidates:
    """What ``auto_symbolic`` found.

    model: all edges symbolic, constants refitted and snapped. chosen: the primitive's name an edge
    (l, i, j). suggestions: what was considered for each edge, best first. rmse: of the formula on
    the rows used, before: of the network it started from, both in the target's unit. r2 of the
    formula against the data. assignments: (error, names) of the other complete assignments seen.
    held_out: rms error of the formula on held-out rows, and its rms distance there from the network
    it started from; None without such rows.
    """

    model: Network
    chosen: dict[Edge, str]
    suggestions: dict[Edge, tuple[Suggestion, ...]]
    rmse: float
    before: float
    r2: float
    assignments: tuple[tuple[float, tuple[str, ...]], ...]
    held_out: tuple[float, float] | None = None

    def __str__(self) -> str:
        lines = [f"formula rmse {self.rmse:.3g}, network rmse {self.before:.3g}, r2 {self.r2:.10g}"]
        if self.held_out is not None:
            error, distance = self.held_out
            lines.append(f"held out: formula rmse {error:.3g}, from the network {distance:.3g}")
        for edge, name in self.chosen.items():
            seen = self.suggestions.get(edge, ())
            others = ", ".join(f"{s.primitive.name} {s.error:.1e}" for s in seen[:4])
            lines.append(f"  edge {edge}: {name}   (1 - r2 on the curve alone: {others})")
        return "\n".join(lines)


@dataclass(frozen=True)
class _State:
    """A partly symbolic network, its relative error, and the primitives fixed so far; ``lost``: digits
    that its edges lose (`_digits_lost`)."""

    model: Network
    error: float
    curve_error: float
    chosen: dict[Edge, Primitive]
    lost: float = 0.0

    @property
    def cost(self) -> float:
        return sum(record.cost for record in self.chosen.values())

    def key(self, floor: float) -> float:
        """log10 of the error, with differences below the splines' own floor left to the curves'
        errors and the costs."""
        whole = math.log10(max(self.error, floor, 1e-16))
        written = _COST_WEIGHT * self.cost + _LOST_WEIGHT * self.lost
        return whole + 0.1 * math.log10(self.curve_error + 1e-12) + written


def auto_symbolic(
    model: Network,
    data: Samples,
    lib: Sequence[str | Primitive] | None = None,
    *,
    beam: int = 4,
    branch: int = 3,
    snap: bool = True,
    held_out: Samples | None = None,
    deadline: float = math.inf,
    progress: Callable[[str], None] | None = None,
) -> Candidates:
    """Replace every live spline edge by a primitive; the model given is not changed.

    data: rows to judge by (training rows; at most 1,000 are used). held_out: rows to report on.
    lib: names or primitives allowed. beam: assignments kept at each edge; branch: primitives tried
    an edge and assignment.
    Constants are put into canonical form and, with ``snap``, into the simplest numbers that the
    data allow. Raises FormulaError when some edge admits no primitive of ``lib``, and TimeoutError when
    ``deadline`` (of time.monotonic) passes: a search cut short has no formula to show.
    """
    records = library(lib)
    data = data.thinned(_ROWS).to(model.device, model.dtype)
    spread = float((data.y - data.y.mean(0)).square().mean().sqrt()) or 1.0
    start = model.clone()
    edges = spline_edges(start)
    refit_network(start, data, _STEPS, deadline=deadline)  # pruning and refining leave a little
    before = _error(start, data)
    trace, suggestions = start.trace(data.x), {}
    for edge in edges:
        suggestions[edge] = tuple(_suggested(trace, edge, records, _SHORT_LIST))
        _check(deadline)
    for edge, found in suggestions.items():
        if not found:
            raise FormulaError(
                f"No primitive of the library fits edge (l, i, j) = {edge}: all have a pole or the "
                "end of their domain in its range. Allow more primitives, or refine and fit again."
            )
    states = [_State(start, before / spread, 0.0, {})]
    for count, edge in enumerate(_order(suggestions)):
        if progress is not None:
            progress(f"edge {count + 1} of {len(edges)}")
        short = [suggestion.primitive for suggestion in suggestions[edge]]
        states = _extend(states, edge, data, spread, short, branch, deadline)
        floor = before / spread * 1.2
        states = sorted(states, key=lambda s: s.key(floor))[:beam]
    finished = [_finish(state, data, spread, _FEW_STEPS, deadline) for state in states]
    best = min(finished, key=lambda s: s.key(_EXACT))
    best = _finish(best, data, spread, _FINAL_STEPS, deadline)
    result = best.model
    canonicalise(result)
    if snap:
        snap_network(result, data)
    rmse = _error(result, data)
    assignments = sorted(
        (s.error * spread, tuple(r.name for r in s.chosen.values())) for s in finished
    )
    chosen = {edge: record.name for edge, record in sorted(best.chosen.items())}
    r2 = 1.0 - (rmse / spread) ** 2
    judged = None
    if held_out is not None:
        rows = held_out.thinned(_ROWS).to(model.device, model.dtype)
        between = Samples(rows.x, model(rows.x).detach())
        judged = (_error(result, rows), _error(result, between))
    return Candidates(result, chosen, suggestions, rmse, before, r2, tuple(assignments), judged)


def spline_edges(model: Network) -> list[Edge]:
    """The live edges (l, i, j) that are still splines."""
    return [
        (l, i, j)
        for l, layer in enumerate(model.layers)
        for j, i in (layer.mask != 0).nonzero().tolist()
    ]


def edge_suggestions(
    model: Network,
    edge: Edge,
    x: Tensor,
    lib: Sequence[Primitive] | None = None,
    top: int = 5,
) -> list[Suggestion]:
    """Primitives for one edge (l, i, j), by its curve on the inputs x (B, I)."""
    return _suggested(model.trace(x), edge, lib, top)


def _suggested(
    trace: Trace, edge: Edge, lib: Sequence[Primitive] | None, top: int
) -> list[Suggestion]:
    l, i, j = edge
    return suggest(trace.inputs[l][:, i], trace.edges[l][:, j, i], lib, top=top)


def _check(deadline: float) -> None:
    if time.monotonic() > deadline:
        raise TimeoutError("The time for the symbolic search is over.")


def refit_network(
    model: Network, data: Samples, steps: int, damping: float = 1e-4, deadline: float = math.inf
) -> None:
    """Second-order steps on all that is free, in place."""
    at = layout(model)
    function = SecondOrder(model, at, Objective(MeanSquare()), data)
    start = pack(model, at)
    if not math.isfinite(function.value(start)):
        return
    result = minimise(
        function.linearise,
        function.value,
        start,
        steps=steps,
        damping=damping,
        tolerance=1e-6,
        floor=1e-30 * float(data.y.square().mean()),
        callback=lambda *_: time.monotonic() > deadline,
    )
    unpack(model, at, result.theta)


def _extend(
    states: list[_State],
    edge: Edge,
    data: Samples,
    spread: float,
    records: Sequence[Primitive],
    branch: int,
    deadline: float,
) -> list[_State]:
    """Each state with each of the best primitives on the edge, refitted."""
    l, i, j = edge
    extended = []
    for state in states:
        for suggestion in edge_suggestions(state.model, edge, data.x, records, top=branch):
            trial = state.model.clone()
            trial.layers[l].fix_symbolic(j, i, suggestion.primitive, suggestion.affine)
            refit_network(trial, data, _STEPS, deadline=deadline)
            _check(deadline)
            error = _error(trial, data) / spread
            if math.isfinite(error):
                chosen = {**state.chosen, edge: suggestion.primitive}
                total = state.curve_error + suggestion.error
                lost = _digits_lost(trial, data.x)
                extended.append(_State(trial, error, total, chosen, lost))
    if not extended:
        raise FormulaError(
            f"No primitive on edge (l, i, j) = {edge} gives a finite error. Allow more primitives."
        )
    return extended


def _finish(state: _State, data: Samples, spread: float, steps: int, deadline: float) -> _State:
    model = state.model.clone()
    refit_network(model, data, steps, deadline=deadline)
    _check(deadline)
    error, lost = _error(model, data) / spread, _digits_lost(model, data.x)
    return _State(model, error, 0.0, state.chosen, lost)


@torch.no_grad()
def _digits_lost(model: Network, x: Tensor) -> float:
    """Digits that cancel on symbolic edges, summed over them: log10 of |c| max |f| / std(c f), but for
    the first. Many are lost where a function stands for another one in a limit: 1e8 (cos(1e-4 x) - 1)
    looks like -x^2 / 2."""
    total = 0.0
    for layer, nodes in zip(model.layers, model.nodes, strict=True):
        for o, i, values in layer.symbolic_values(x):
            if not len(o):  # a primitive that stands on no edge any more
                continue
            f = values - layer.symbolic_affine[o, i, 3]
            size = f.abs().amax(0) / f.std(0).clamp_min(1e-300)
            total += float((size.clamp(1.0, 1e300).log10() - 1).clamp_min(0.0).sum())
        x = nodes(layer(x))
    return total


def _order(suggestions: dict[Edge, tuple[Suggestion, ...]]) -> list[Edge]:
    """The most certain edge first: smallest error of its best primitive."""
    return sorted(suggestions, key=lambda edge: (suggestions[edge][0].error, edge))


@torch.no_grad()
def _error(model: Network, data: Samples) -> float:
    """Root mean square error in the target's unit; inf where it is not finite."""
    value = float((model(data.x) - data.y).square().mean().sqrt())
    return value if math.isfinite(value) else math.inf
