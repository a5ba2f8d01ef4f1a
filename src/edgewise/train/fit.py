"""One fit for every solver: a model and data in, a new model and what happened out."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from edgewise.errors import FitError, InputError, ShapeError
from edgewise.nn import Network
from edgewise.problems.dataset import Dataset, Samples, as_dataset
from edgewise.train.auto import Auto
from edgewise.train.history import History
from edgewise.train.objective import Loss, MeanSquare, Objective, make_loss
from edgewise.train.penalties import EdgeSparsity
from edgewise.train.solvers import LBFGS, Adam, Callback, LevenbergMarquardt, Recorder

Solver = Auto | LevenbergMarquardt | LBFGS | Adam


@dataclass(frozen=True)
class Fitted:
    """A trained model. status: "finished", "interrupted", "early stopping", "time limit", "callback"."""

    model: Network
    history: History
    solver: str
    status: str


def fit(
    model: Network,
    data: Dataset | dict[str, Tensor] | tuple,
    *,
    solver: Solver | None = None,
    loss: str | Loss | Callable[[Tensor, Tensor], Tensor] | None = None,
    penalty: EdgeSparsity | None = None,
    metrics: Sequence[Callable[[Network], float]] = (),
    callbacks: Sequence[Callback] = (),
    patience: int | None = None,
    validation: float = 0.2,
    time_limit: float | None = None,
    progress: bool = False,
) -> Fitted:
    """Train a copy of ``model`` and return it; the model given is not changed.

    data: a Dataset, the dict of ``create_dataset``, or (x, y[, weight]); x (N, I), y (N, O).
    solver: Auto() by default. loss: "mse", "cross_entropy" or a callable (y, target) -> scalar.
    penalty: added to the mean square in units of the target's variance (to other losses as it is).
    patience: stop after so many steps without progress on a share ``validation`` of the training
    rows, and return the best model on them. Test data are only reported.
    Ctrl-C ends the run and returns the best model so far (status "interrupted").
    Raises FitError where no finite result can be had, DataError and ShapeError for unfit data.
    """
    dataset = as_dataset(data)
    chosen, solver = make_loss(loss), solver or Auto()
    work, train, test, scaling = _prepared(model, dataset, chosen)
    train, judge = _judges(train, patience, validation)
    objective = Objective(chosen, penalty if penalty is not None and penalty.strength else None)
    history = History(chosen.name)
    record = Recorder(
        history,
        objective,
        train,
        test,
        judge,
        patience,
        callbacks,
        metrics,
        None if time_limit is None else time.monotonic() + time_limit,
        scaling.shown,
    )
    best = _Best(work, record)
    record.callbacks = [*callbacks, best.look]
    status = "finished"
    from edgewise.train.progress import bar

    with bar(progress, getattr(solver, "steps", None)) as record.advance:
        try:
            solver.run(work, objective, train, record)
            status = record.stopped or status
        except KeyboardInterrupt:
            status = "interrupted"
    if status != "finished":
        best.restore(work)
    if not all(bool(torch.isfinite(p).all()) for p in work.parameters()):
        raise FitError("Training left values that are not finite. Lower lr, or scale the data.")
    _rescale(work, scaling.factor, scaling.offset)
    return Fitted(work, history, solver.name, status)


@dataclass(frozen=True)
class _Scaling:
    """y = factor * (standardised y) + offset, (O,) each; shown: what one unit of error is worth."""

    factor: Tensor
    offset: Tensor
    shown: float


def _prepared(
    model: Network, dataset: Dataset, loss: Loss
) -> tuple[Network, Samples, Samples | None, _Scaling]:
    """A copy that predicts standardised targets, and the samples in that scale and its dtype."""
    work = model.clone()
    train, test = dataset.train, dataset.test
    I, O = work.layers[0].in_features, work.nodes[-1].out_features
    if train.x.shape[1] != I or train.y.shape[1] != O:
        raise ShapeError(
            f"The data have {train.x.shape[1]} inputs and {train.y.shape[1]} outputs; the model has "
            f"{I} and {O}. Make the model with width [{train.x.shape[1]}, ..., {train.y.shape[1]}]."
        )
    y = train.y.to(work.device, work.dtype)
    factor, offset = torch.ones_like(y[0]), torch.zeros_like(y[0])
    if isinstance(loss, MeanSquare):
        offset = y.mean(0)
        spread = (y - offset).square().mean(0).sqrt()
        factor = torch.where(spread > 0, spread, torch.ones_like(spread))
    if not bool(torch.isfinite(factor).all() & torch.isfinite(offset).all()):
        raise FitError("The target's spread overflows. Scale the target to about unit size.")
    if O > 1:  # one factor for all outputs, so that the mean square weighs them as given
        factor = factor.square().mean().sqrt().expand_as(factor).clone()
    _rescale(work, 1.0 / factor, -offset / factor)
    scaling = _Scaling(factor, offset, float(factor[0]) if isinstance(loss, MeanSquare) else 1.0)

    def scaled(samples: Samples) -> Samples:
        weight = samples.weight
        return Samples(
            samples.x.to(work.device, work.dtype),
            (samples.y.to(work.device, work.dtype) - offset) / factor,
            None if weight is None else weight.to(work.device, work.dtype),
        )

    return work, scaled(train), None if test is None else scaled(test), scaling


@torch.no_grad()
def _rescale(model: Network, factor: Tensor, offset: Tensor) -> None:
    """Make the model's outputs factor * y + offset, in place, by the weights of its last layer."""
    layer, nodes = model.layers[-1], model.nodes[-1]
    nodes.node_bias.mul_(factor).add_(offset)
    if nodes.arities:
        nodes.node_scale.mul_(factor)
        return
    layer.coef.mul_(factor[:, None, None])
    layer.scale_base.mul_(factor[:, None])
    layer.symbolic_affine[..., 2:].mul_(factor[:, None, None])
    nodes.sum_bias.mul_(factor)
    if bool((nodes.sum_scale == 1).all() & (nodes.node_scale == 1).all()):
        _settle_bias(layer, nodes)


def _settle_bias(layer: torch.nn.Module, nodes: torch.nn.Module) -> None:
    """Move a sum node's constant into the d of its first symbolic edge, where it has one."""
    for o in range(layer.out_features):
        symbolic = (layer.symbolic_code[o] != 0).nonzero()
        if len(symbolic):
            layer.symbolic_affine[o, int(symbolic[0]), 3] += nodes.node_bias[o] + nodes.sum_bias[o]
            nodes.node_bias[o] = nodes.sum_bias[o] = 0.0


def _judges(
    train: Samples, patience: int | None, validation: float
) -> tuple[Samples, Samples | None]:
    if patience is None:
        return train, None
    if not 0.0 < validation < 1.0:
        raise InputError(f"validation is {validation}; expected a share between 0 and 1.")
    N = len(train)
    order = torch.randperm(N, generator=torch.Generator().manual_seed(0)).to(train.x.device)
    held = max(1, int(N * validation))
    if held >= N:
        raise InputError(f"Early stopping needs at least 2 rows; {N} came.")

    def rows(index: Tensor) -> Samples:
        weight = None if train.weight is None else train.weight[index]
        return Samples(train.x[index], train.y[index], weight)

    return rows(order[held:]), rows(order[:held])


class _Best:
    """The best parameters seen, so that a run that is cut short loses nothing (but the last
    fifth of a second, without early stopping: copies cost time)."""

    def __init__(self, model: Network, record: Recorder) -> None:
        self.record, self.objective, self.judge = record, record.objective, record.judge
        self.value, self.layers, self.taken = math.inf, model.clone(), -math.inf

    @torch.no_grad()
    def look(self, model: Network, history: History) -> None:
        if self.judge is None:
            if time.monotonic() < self.taken + 0.2:
                return
            value = self.record.value
        else:
            value = float(self.objective.data_term(model, self.judge))
        if value < self.value:
            self.value, self.layers, self.taken = value, model.clone(), time.monotonic()

    def restore(self, model: Network) -> None:
        if math.isfinite(self.value):
            model.layers, model.nodes = self.layers.layers, self.layers.nodes
