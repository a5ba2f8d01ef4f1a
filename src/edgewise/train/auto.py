"""opt="auto": a cold start that succeeds, by warm-up, restarts and growing grids.

Plain second-order steps from a random start fall into poor minima; after a few hundred steps of
Adam they rarely do. What still fails is caught by held-out rows: other starts are tried, and a finer
grid is kept only where it predicts better. Test data are never looked at.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch

from edgewise.errors import FitError
from edgewise.nn import Network
from edgewise.nn.jacobian import layout
from edgewise.problems.dataset import Samples
from edgewise.train.grids import covers, refine, update_grids
from edgewise.train.losses import CrossEntropy, MeanSquare
from edgewise.train.objective import PRIOR, Objective
from edgewise.train.recorder import Recorder
from edgewise.train.solvers import LBFGS, Adam, GridUpdates, LevenbergMarquardt
from edgewise.train.sparse import eliminate

# Above this many parameters the normal equations cost more than they save.
SECOND_ORDER_LIMIT = 3000
LBFGS_LIMIT = 50_000
_WARM_UP_ROWS = 1500
_POLISH_ROUNDS = 5
# The prior's weight once a start is found, which then takes the whole of the splines' logarithm; a
# cold fit bears a fifth (smoothness.py).
_SETTLED = 5 * PRIOR
_SPARSE_STARTS = 3
# Held-out error, relative to the target's spread, that needs no other start.
_GOOD = 2e-2


@dataclass(frozen=True)
class Auto:
    """Choose the solver by size and loss, and the start by what held-out rows say.

    steps: accepted second-order steps over the whole run (or the steps of the first-order solver).
    restarts: starts tried at most from a cold model. grids: sizes to pass through (each kept only
    if it predicts better); None grows to the model's own size. cold: None looks at the error.
    """

    steps: int = 400
    restarts: int = 4
    grids: tuple[int, ...] | None = None
    warm_up: int = 300
    update_grid: bool = True
    cold: bool | None = None
    seed: int = 0
    name = "auto"

    def choice(self, model: Network, objective: Objective) -> tuple[str, str]:
        """The solver's name and the reason, in words."""
        size = layout(model).size
        known = objective.loss.second_order
        if known and size <= SECOND_ORDER_LIMIT:
            return (
                "LM",
                f"{size} parameters, at most {SECOND_ORDER_LIMIT}, and a loss with curvature",
            )
        if size <= LBFGS_LIMIT:
            why = "more than LM's limit" if known else "the loss is known by its gradient only"
            return "LBFGS", f"{size} parameters: {why}"
        return "Adam", f"{size} parameters: too many for LM and LBFGS"

    def run(self, model: Network, objective: Objective, data: Samples, record: Recorder) -> None:
        name, reason = self.choice(model, objective)
        record.note(f"auto picks {name}: {reason}")
        updates = GridUpdates(5 if self.update_grid else 0, 50)
        if name == "LBFGS":
            LBFGS(self.steps, grids=updates).run(model, objective, data, record)
        elif name == "Adam":
            batch = 1024 if len(data) > 4096 else None
            Adam(max(self.steps, 1), batch=batch, seed=self.seed, grids=updates).run(
                model, objective, data, record
            )
        else:
            self._second_order(model, objective, data, record)

    def _second_order(
        self, model: Network, objective: Objective, data: Samples, record: Recorder
    ) -> None:
        fitting, held_out = _split(data, self.seed)
        cold = _relative_error(model, objective, data) > 0.5 if self.cold is None else self.cold
        ladder = self._ladder(model, cold)
        if cold:
            self._start(model, ladder[0], objective, fitting, held_out, record)
        elif ladder[0] != _grid(model) and self.grids is not None:
            _replace(model, refine(model, ladder[0])[0])
        self._climb(model, ladder, objective, fitting, held_out, record)
        self._polish(model, objective, data, record)
        if objective.penalty is not None and not record.stopped:
            eliminate(model, objective, data, record)

    def _ladder(self, model: Network, cold: bool) -> list[int]:
        """Grid sizes from coarse to the model's own, roughly doubling; or the ones asked for.

        A model that is trained already keeps its grid: a coarser one would lose what it knows.
        """
        if self.grids is not None:
            return list(self.grids)
        sizes = [layer.basis.to_dict().get("grid") or 0 for layer in model.layers]
        if len(set(sizes)) != 1 or 0 in sizes:
            return [0]  # a grid a layer, or a family without one: stay as it is
        size = int(sizes[0])
        ladder = [size]
        while cold and ladder[0] > 7:
            # the largest divisor-like step that keeps refinement exact where it can be
            half = next((ladder[0] // n for n in (2, 3, 5) if ladder[0] % n == 0), ladder[0] // 2)
            ladder.insert(0, max(half, 3))
        return ladder

    def _start(
        self,
        model: Network,
        grid: int,
        objective: Objective,
        fitting: Samples,
        held_out: Samples,
        record: Recorder,
    ) -> None:
        """Warm up and take a few second-order steps from several starts; keep the best."""
        few = fitting.rows(slice(_WARM_UP_ROWS))  # their order is random already
        sparse = objective.penalty is not None
        best_error, reference = math.inf, model.clone()
        # Which start ends sparse cannot be seen from its error: a few are compared.
        for attempt in range(min(self.restarts, _SPARSE_STARTS) if sparse else self.restarts):
            candidate = reference.clone()
            if grid and grid != _grid(candidate):
                _replace(candidate, refine(candidate, grid)[0])
            if attempt:
                _redraw(candidate, self.seed * 1009 + attempt)
            try:
                self._warm(candidate, objective, few, fitting, record)
            except FitError as failure:
                record.note(f"start {attempt + 1} failed: {failure}")
                continue
            error = _relative_error(candidate, objective, held_out)
            text = f"start {attempt + 1}: held-out error {error:.2g} of the target's spread"
            if sparse:
                error = record.history.penalty[-1] + float(
                    objective.data_term(candidate, fitting).detach()
                )
                text += f", penalised loss {error:.3g}"
            record.note(text)
            if error < best_error:
                best_error = error
                _replace(model, candidate)
            if record.stopped or (not sparse and error < _GOOD):
                break
        if best_error == math.inf:
            raise FitError(
                f"None of {self.restarts} starts gave a finite loss. Scale the inputs and "
                "targets to about unit size, or lower the penalty."
            )

    def _warm(
        self,
        model: Network,
        objective: Objective,
        few: Samples,
        fitting: Samples,
        record: Recorder,
    ) -> None:
        grids = GridUpdates(6 if self.update_grid else 0, max(self.warm_up * 2 // 3, 1))
        Adam(self.warm_up, lr=2e-2, grids=grids).run(model, objective, few, record)
        if self.update_grid:
            update_grids(model, fitting.x, room=True)
        updates = GridUpdates(3 if self.update_grid else 0, 45)
        LevenbergMarquardt(60, tolerance=1e-4, grids=updates).run(model, objective, fitting, record)

    def _climb(
        self,
        model: Network,
        ladder: list[int],
        objective: Objective,
        fitting: Samples,
        held_out: Samples,
        record: Recorder,
    ) -> None:
        """Refine step by step while held-out rows agree."""
        best = model.clone()
        best_error = _relative_error(model, objective, held_out)
        for grid in ladder:
            if record.stopped:
                break
            if self.update_grid:
                update_grids(model, fitting.x, room=True)
            if grid and grid != _grid(model):
                _replace(model, refine(model, grid)[0])
                record.note(f"grid refined to {grid}")
            share = max(self.steps // (len(ladder) + 1), 20)
            solver = LevenbergMarquardt(share, tolerance=1e-5, smoothness=_SETTLED)
            solver.run(model, objective, fitting, record)
            error = _relative_error(model, objective, held_out)
            if error < best_error:
                best, best_error = model.clone(), error
            elif grid != ladder[0] and error > 1.5 * best_error:
                record.note(
                    f"grid {grid} predicts held-out rows worse: {error:.2g}, not {best_error:.2g}"
                )
                break
        final = ladder[-1]
        if self.grids is None and final and final != _grid(best):
            best = refine(best, final)[0]  # the function stays, on the grid that was asked for
        _replace(model, best)

    def _polish(
        self, model: Network, objective: Objective, data: Samples, record: Recorder
    ) -> None:
        """On all rows, with grids that follow the activations until nothing is gained."""
        best, best_value = model, math.inf
        for _ in range(_POLISH_ROUNDS if self.update_grid else 1):
            if record.stopped:
                break
            if self.update_grid:
                update_grids(model, data.x, room=True)
            share = max(self.steps // 4, 20)
            solver = LevenbergMarquardt(share, 1e-4, 1e-5, smoothness=_SETTLED)
            solver.run(model, objective, data, record)
            with torch.no_grad():
                value = float(objective(model, data))
            gained = value < 0.98 * best_value
            if value < 1.01 * best_value:  # as good, on grids that fit better
                best, best_value = model.clone(), value
            if not gained and (not self.update_grid or covers(model, data.x)):
                break
        if best_value < math.inf:
            _replace(model, best)


def _split(data: Samples, seed: int) -> tuple[Samples, Samples]:
    """Four fifths to fit on, one fifth held out; all rows for both when there are few."""
    N = len(data)
    if N < 20:
        return data, data
    order = torch.randperm(N, generator=torch.Generator().manual_seed(seed)).to(data.x.device)
    return data.rows(order[N // 5 :]), data.rows(order[: N // 5])


@torch.no_grad()
def _relative_error(model: Network, objective: Objective, data: Samples) -> float:
    """Root of the data loss over that of the best constant; cross-entropy against its own."""
    value = float(objective.data_term(model, data))
    loss = objective.loss
    if isinstance(loss, CrossEntropy):
        p = data.y.mean(0).clamp_min(1e-12)
        constant = float(-(p * p.log()).sum())
    elif isinstance(loss, MeanSquare):
        constant = float((data.y - data.y.mean(0)).square().mean())
    else:
        return value
    if not math.isfinite(value):
        return math.inf
    return math.sqrt(value / constant) if constant > 0 else math.sqrt(value)


def _redraw(model: Network, seed: int) -> None:
    generator = torch.Generator(device=model.device).manual_seed(seed)
    for layer in model.layers:
        symbolic, affine = layer.symbolic_code != 0, layer.symbolic_affine.detach().clone()
        layer.reset_parameters(generator=generator)
        with torch.no_grad():
            layer.symbolic_affine[symbolic] = affine[symbolic]


def _grid(model: Network) -> int | None:
    return model.layers[0].basis.to_dict().get("grid")


def _replace(model: Network, other: Network) -> None:
    """Make ``model`` hold what ``other`` holds, independently."""
    copy = other.clone()
    model.layers, model.nodes = copy.layers, copy.nodes
