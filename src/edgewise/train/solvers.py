"""The solvers that a fit can use, as values, and how each runs on a model."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor

from edgewise.errors import FitError, InputError
from edgewise.nn import Network
from edgewise.nn.jacobian import layout, pack, unpack
from edgewise.optim.levenberg_marquardt import minimise
from edgewise.problems.dataset import Samples
from edgewise.train.grids import update_grids
from edgewise.train.history import History
from edgewise.train.objective import Objective, SecondOrder

# Adam's steps are cheap: every one of so many is noted.
_ADAM_RECORDS = 10

Callback = Callable[[Network, History], bool | None]


@dataclass(frozen=True)
class GridUpdates:
    """Grid updates from samples: ``number`` of them, evenly spaced, in the first ``until`` steps."""

    number: int = 10
    until: int = 50

    def due(self, step: int) -> bool:
        every = max(1, self.until // self.number) if self.number else 0
        return bool(every) and step < self.until and step % every == 0


@dataclass(frozen=True)
class LevenbergMarquardt:
    """Second order in float64: ``steps`` accepted steps at most, from the damping given."""

    steps: int = 100
    damping: float = 1e-2
    tolerance: float = 1e-8
    grids: GridUpdates = GridUpdates(0)
    name = "LM"

    def run(self, model: Network, objective: Objective, data: Samples, record: Recorder) -> None:
        if not objective.loss.second_order:
            raise InputError(
                f"LM needs a loss with known curvature ('mse', 'cross_entropy'), not "
                f"{objective.loss.name!r}; use opt='LBFGS' or 'Adam'."
            )
        done, damping = 0, self.damping
        while done < self.steps and not record.stopped:
            stop = self.steps
            if self.grids.number and done < self.grids.until:
                update_grids(model, data.x)
                stop = min(self.steps, done + max(1, self.grids.until // self.grids.number))
            at = layout(model)
            if at.size == 0:
                return
            function = SecondOrder(model, at, objective, data)
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
                callback=lambda _, theta, loss, f=function: record.step(f.model, loss, f.data_loss),
            )
            unpack(model, at, result.theta)
            damping, done = result.damping, done + max(result.steps, 1)
            if result.status in ("converged", "stalled") and stop == self.steps:
                return
            done = max(done, stop) if result.status in ("converged", "stalled") else done


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
            updating = self.grids.number and done < self.grids.until
            if updating:
                update_grids(model, data.x)
            # The history of curvature belongs to one grid: a new grid starts a new optimiser.
            stop = self.steps
            if updating:
                stop = min(stop, done + max(1, self.grids.until // self.grids.number))
            optimiser = torch.optim.LBFGS(
                trainable(model),
                lr=self.lr,
                max_iter=1,
                history_size=self.memory,
                line_search_fn="strong_wolfe",
                tolerance_grad=0.0,
                tolerance_change=0.0,
            )
            while done < stop and not record.stopped:

                def closure() -> Tensor:
                    optimiser.zero_grad()
                    loss = objective(model, data)
                    loss.backward()
                    return loss

                loss = float(optimiser.step(closure).detach())
                done += 1
                record.step(model, loss)


@dataclass(frozen=True)
class Adam:
    """torch's Adam; mini-batches of ``batch`` rows in an order drawn from ``seed``, or all rows."""

    steps: int = 1000
    lr: float = 1e-2
    batch: int | None = None
    seed: int = 0
    grids: GridUpdates = GridUpdates()
    name = "Adam"

    def run(self, model: Network, objective: Objective, data: Samples, record: Recorder) -> None:
        optimiser = torch.optim.Adam(trainable(model), lr=self.lr)
        batches = minibatches(data, self.batch, self.seed)
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
                    f"The loss became {value} at Adam step {step}. Lower lr (now {self.lr}), or scale "
                    "the inputs and targets to about unit size."
                )
            optimiser.step()
            if step % _ADAM_RECORDS == 0 and record.step(model, value):
                return


def trainable(model: Network) -> list[Tensor]:
    return [p for p in model.parameters() if p.requires_grad]


def minibatches(data: Samples, batch: int | None, seed: int):
    """Endless batches without replacement; the order of an epoch depends on (seed, epoch) alone."""
    N = len(data)
    if batch is None or batch <= 0 or batch >= N:
        while True:
            yield data
    epoch = 0
    while True:
        generator = torch.Generator().manual_seed(seed * 1_000_003 + epoch)
        for rows in torch.randperm(N, generator=generator).to(data.x.device).split(batch):
            weight = None if data.weight is None else data.weight[rows]
            yield Samples(data.x[rows], data.y[rows], weight)
        epoch += 1


@dataclass
class Recorder:
    """Writes the history, keeps the best parameters, and says when to stop.

    Best means the smallest data loss among steps of the same structure; with ``patience``, on
    ``judge`` samples, and the run stops after that many steps without a better value.
    """

    history: History
    objective: Objective
    data: Samples
    test: Samples | None = None
    judge: Samples | None = None
    patience: int | None = None
    callbacks: Sequence[Callback] = ()
    metrics: Sequence[Callable[..., Tensor | float]] = ()
    deadline: float | None = None
    scale: float = 1.0
    advance: Callable[[History], None] | None = None
    stopped: str = ""
    value: float = math.inf  # the objective at the last step noted
    started: float = field(default_factory=time.monotonic)
    _best: float = math.inf
    _since: int = 0

    @torch.no_grad()
    def step(self, model: Network, value: float, train: float | None = None) -> bool:
        """Note one accepted step with objective ``value`` and its data term, if that is known; True
        asks the solver to stop."""
        self.value = value
        history = self.history
        loss = self.objective.loss
        if train is None:
            train = float(self.objective.data_term(model, self.data))
        test = None if self.test is None else float(self.objective.data_term(model, self.test))
        history.step.append(len(history.step))
        history.train_loss.append(loss.shown(train) * self.scale)
        history.test_loss.append(None if test is None else loss.shown(test) * self.scale)
        history.penalty.append(max(value - train, 0.0))
        history.seconds.append(time.monotonic() - self.started)
        for metric in self.metrics:
            name = getattr(metric, "__name__", type(metric).__name__)
            history.metrics.setdefault(name, []).append(float(metric(model)))
        self._judge(model, train if self.penalty_free else value)
        for callback in self.callbacks:
            if callback(model, history):
                self.stopped = "callback"
        if self.advance is not None:
            self.advance(history)
        if self.deadline is not None and time.monotonic() > self.deadline:
            self.stopped = "time limit"
        return bool(self.stopped)

    @property
    def penalty_free(self) -> bool:
        return self.objective.penalty is None

    def _judge(self, model: Network, value: float) -> None:
        if self.patience is None or self.judge is None:
            return
        held_out = float(self.objective.data_term(model, self.judge))
        if held_out < self._best:
            self._best, self._since = held_out, 0
        else:
            self._since += 1
            if self._since >= self.patience:
                self.stopped = "early stopping"

    def note(self, text: str) -> None:
        self.history.events.append((len(self.history), text))
