"""The solvers that a fit can use, as values, and how each runs on a model."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial

import torch
from torch import Tensor

from edgewise.errors import FitError, InputError
from edgewise.nn import Network
from edgewise.nn.jacobian import layout, pack, unpack
from edgewise.nn.shapes import reach
from edgewise.optim.levenberg_marquardt import minimise
from edgewise.problems.dataset import Samples
from edgewise.train.grids import update_grids
from edgewise.train.objective import PRIOR, Objective, SecondOrder
from edgewise.train.recorder import Recorder

# Evaluations that a line search of LBFGS may take. torch allows 5/4 of max_iter unless told, that is
# one: a first trial too far would end the step, and every step after it.
_LINE_SEARCH = 25
# Adam's steps are cheap: every one of so many is noted.
_ADAM_RECORDS = 10


@dataclass(frozen=True)
class GridUpdates:
    """Grid updates from samples: ``number`` of them, evenly, in the first ``until`` steps."""

    number: int = 10
    until: int = 50

    def due(self, step: int) -> bool:
        return self.lasting(step) and step % self._every == 0

    def lasting(self, step: int) -> bool:
        """Whether updates are not over at this step."""
        return self.number > 0 and step < self.until

    def stop(self, step: int, last: int) -> int:
        """How far to go on from ``step`` until the next update, ``last`` at most."""
        return min(last, step + self._every) if self.lasting(step) else last

    @property
    def _every(self) -> int:
        return max(1, self.until // self.number)


@dataclass(frozen=True)
class LevenbergMarquardt:
    """Second order in float64: ``steps`` accepted steps at most, from the damping given.

    smoothness: weight, in samples, of a prior that holds what few samples see; see SecondOrder.
    """

    steps: int = 100
    damping: float = 1e-2
    tolerance: float = 1e-8
    grids: GridUpdates = GridUpdates(0)
    smoothness: float = PRIOR
    name = "LM"

    def run(self, model: Network, objective: Objective, data: Samples, record: Recorder) -> None:
        if not objective.loss.second_order:
            raise InputError(
                f"LM needs a loss with known curvature ('mse', 'cross_entropy'), not "
                f"{objective.loss.name!r}; use opt='LBFGS' or 'Adam'."
            )
        done, damping = 0, self.damping
        while done < self.steps and not record.stopped:
            stop = self.grids.stop(done, self.steps)
            if self.grids.lasting(done):
                update_grids(model, data.x)
            at = layout(model)
            if at.size == 0:
                return
            function = SecondOrder(model, at, objective, data, self.smoothness)
            start = pack(model, at)
            if not math.isfinite(function.value(start)):
                raise FitError(
                    "The loss is not finite at the start of the fit. Scale inputs and targets to "
                    "about unit size, or look for a symbolic edge outside its domain."
                )
            result = minimise(
                function.linearise,
                function.value,
                start,
                steps=stop - done,
                damping=damping,
                tolerance=self.tolerance,
                floor=1e-32,
                reach=reach(model, at),
                callback=partial(_note, record, function),
            )
            unpack(model, at, result.theta)
            damping, done = result.damping, done + max(result.steps, 1)
            if result.status in ("converged", "stalled") and stop == self.steps:
                return
            done = max(done, stop) if result.status in ("converged", "stalled") else done


def _note(record: Recorder, function: SecondOrder, *_: object) -> bool:
    """Note a step of Levenberg-Marquardt by what its linearisation has computed already."""
    return record.step(function.model, function.data_loss, function.penalty_value)


@dataclass(frozen=True)
class LBFGS:
    """torch's LBFGS with the strong Wolfe line search, full batch; one step is one iteration."""

    steps: int = 100
    lr: float = 1.0
    memory: int = 20
    grids: GridUpdates = GridUpdates()
    name = "LBFGS"

    def run(self, model: Network, objective: Objective, data: Samples, record: Recorder) -> None:
        done = 0
        while done < self.steps and not record.stopped:
            stop = self.grids.stop(done, self.steps)
            if self.grids.lasting(done):
                update_grids(model, data.x)
            # The history of curvature belongs to one grid: a new grid starts a new optimiser.
            optimiser = torch.optim.LBFGS(
                trainable(model),
                lr=self.lr,
                max_iter=1,
                max_eval=_LINE_SEARCH,
                history_size=self.memory,
                line_search_fn="strong_wolfe",
                tolerance_grad=0.0,
                tolerance_change=0.0,
            )
            while done < stop and not record.stopped:

                def closure(optimiser: torch.optim.LBFGS = optimiser) -> Tensor:
                    optimiser.zero_grad()
                    loss = objective(model, data)
                    loss.backward()
                    return loss

                optimiser.step(closure)
                done += 1
                record.step(model)


@dataclass(frozen=True)
class Adam:
    """torch's Adam; mini-batches of ``batch`` rows in an order drawn from ``seed``, or all rows."""

    steps: int = 1000
    lr: float = 1e-2
    batch: int | None = None
    seed: int = 0
    grids: GridUpdates = GridUpdates()
    name = "Adam"

    def run(
        self,
        model: Network,
        objective: Objective,
        data: Samples,
        record: Recorder,
        batches: Iterator[Samples] | None = None,
    ) -> None:
        optimiser = torch.optim.Adam(trainable(model), lr=self.lr)
        batches = batches or minibatches(data, self.batch, self.seed)
        noted = 0
        for step in range(self.steps):
            if self.grids.due(step):
                update_grids(model, data.x)
                optimiser = torch.optim.Adam(trainable(model), lr=self.lr)
            rows = next(batches)
            optimiser.zero_grad()
            loss = objective(model, rows)
            loss.backward()
            value = float(loss.detach())
            if not math.isfinite(value):
                raise FitError(
                    f"The loss became {value} at Adam step {step}. Lower lr (now {self.lr}), or "
                    "scale the inputs and targets to about unit size."
                )
            optimiser.step()
            if step % _ADAM_RECORDS == 0 or step == self.steps - 1:
                since, noted = step + 1 - noted, step + 1
                if record.step(model, steps=since):
                    return


def trainable(model: Network) -> list[Tensor]:
    return [p for p in model.parameters() if p.requires_grad]


def minibatches(data: Samples, batch: int | None, seed: int) -> Iterator[Samples]:
    """Endless batches without replacement; the order of an epoch depends on (seed, epoch) alone."""
    N = len(data)
    if batch is None or batch <= 0 or batch >= N:
        while True:
            yield data
    epoch = 0
    while True:
        generator = torch.Generator().manual_seed(seed * 1_000_003 + epoch)
        for rows in torch.randperm(N, generator=generator).to(data.x.device).split(batch):
            yield data.rows(rows)
        epoch += 1
