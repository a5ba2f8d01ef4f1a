"""What watches a run: it writes the history, keeps the best model, and says when to stop."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor, nn

from edgewise.bases import Basis
from edgewise.nn import KANLayer, Network, Nodes
from edgewise.problems.dataset import Samples
from edgewise.train.classes import accuracy
from edgewise.train.history import History
from edgewise.train.losses import CrossEntropy
from edgewise.train.objective import Objective, shares

Callback = Callable[[Network, History], bool | None]


@dataclass
class Recorder:
    """Told of every step by the solver.

    Best means the smallest objective, or with ``judge`` the smallest loss on those samples; with
    ``patience`` the run stops after that many steps without a better value. Metrics and callbacks
    get ``shown(model)``, a copy in the units of the user's data.
    """

    history: History
    objective: Objective
    data: Samples
    shown: Callable[[Network], Network]
    test: Samples | None = None
    judge: Samples | None = None
    patience: int | None = None
    callbacks: Sequence[Callback] = ()
    metrics: Sequence[Callable[..., Tensor | float]] = ()
    deadline: float | None = None
    scale: float = 1.0
    advance: Callable[[History], None] | None = None
    stopped: str = ""
    started: float = field(default_factory=time.monotonic)
    best: Snapshot | None = None
    best_value: float = math.inf
    _steps: int = 0
    _best_step: int = 0

    @torch.no_grad()
    def step(
        self,
        model: Network,
        train: float | None = None,
        penalty: float | None = None,
        *,
        steps: int = 1,
    ) -> bool:
        """Note the model after ``steps`` more steps, with its data term and penalty where the
        solver knows them; True asks the solver to stop."""
        objective, history, loss = self.objective, self.history, self.objective.loss
        if train is None or isinstance(loss, CrossEntropy):
            seen = self._measured(model, self.data, "train")
            train = seen if train is None else train
        if penalty is None:
            penalty = objective.penalty_term(model, self.data)
        test = None if self.test is None else self._measured(model, self.test, "test")
        self._steps += steps
        history.step.append(self._steps)
        history.train_loss.append(loss.shown(train) * self.scale)
        history.test_loss.append(None if test is None else loss.shown(test) * self.scale)
        history.penalty.append(penalty)
        history.seconds.append(time.monotonic() - self.started)
        self._keep(model, train + penalty)
        self._show(model)
        return self.late() or bool(self.stopped)

    def late(self) -> bool:
        """Whether the time limit has passed; for loops that note no step for long."""
        if self.deadline is not None and time.monotonic() > self.deadline:
            self.stopped = "time limit"
        return self.stopped == "time limit"

    def note(self, text: str) -> None:
        self.history.events.append((self._steps, text))

    def _measured(self, model: Network, samples: Samples, part: str) -> float:
        """The loss on the samples; of classes the accuracy too, which goes to the history."""
        y, share, loss = model(samples.x), shares(samples), self.objective.loss
        if isinstance(loss, CrossEntropy):
            row = self.history.metrics.setdefault(f"{part}_accuracy", [])
            row.append(accuracy(y, samples.y, share))
        return float(loss(y, samples.y, share))

    def _keep(self, model: Network, value: float) -> None:
        if self.judge is not None:
            value = float(self.objective.data_term(model, self.judge))
        if value < self.best_value:
            self.best, self.best_value = Snapshot.of(model), value
            self._best_step = self._steps
        elif self.patience is not None and self._steps - self._best_step >= self.patience:
            self.stopped = "early stopping"

    def _show(self, model: Network) -> None:
        if self.metrics or self.callbacks:
            model = self.shown(model)
        for metric in self.metrics:
            name = getattr(metric, "__name__", type(metric).__name__)
            self.history.metrics.setdefault(name, []).append(float(metric(model)))
        for callback in self.callbacks:
            if callback(model, self.history):
                self.stopped = "callback"
        if self.advance is not None:
            self.advance(self.history)


@dataclass(frozen=True)
class Snapshot:
    """A model's parts and the values of their tensors: a copy cheap enough for every step."""

    layers: Sequence[KANLayer]
    nodes: Sequence[Nodes]
    parts: tuple[tuple[nn.Module, Basis | None, dict[str, Tensor]], ...]

    @classmethod
    def of(cls, model: Network) -> Snapshot:
        parts = []
        for part in (*model.layers, *model.nodes):
            tensors = {**part._parameters, **part._buffers}
            copies = {name: t.detach().clone() for name, t in tensors.items() if t is not None}
            parts.append((part, getattr(part, "basis", None), copies))
        return cls(model.layers, model.nodes, tuple(parts))

    @torch.no_grad()
    def restore(self, model: Network) -> None:
        """Put the parts and values back into the model."""
        model.layers, model.nodes = self.layers, self.nodes
        for part, basis, tensors in self.parts:
            if basis is not None:
                part.basis = basis  # type: ignore[assignment]  # a layer, which has one
            for name, tensor in tensors.items():
                old = getattr(part, name)
                if isinstance(old, nn.Parameter):
                    tensor = nn.Parameter(tensor, requires_grad=old.requires_grad)
                setattr(part, name, tensor)
