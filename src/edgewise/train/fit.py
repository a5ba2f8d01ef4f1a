"""One fit for every solver: a model and data in, a new model and what happened out."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.utils.data import DataLoader

from edgewise.errors import FitError, InputError
from edgewise.nn import Network
from edgewise.problems.dataset import Dataset, Samples, as_dataset
from edgewise.train.auto import Auto
from edgewise.train.classes import one_hot, with_probabilities
from edgewise.train.history import History
from edgewise.train.loader import all_rows, batches
from edgewise.train.losses import CrossEntropy, Loss, make_loss
from edgewise.train.objective import Objective
from edgewise.train.penalties import EdgeSparsity
from edgewise.train.recorder import Callback, Recorder, Snapshot
from edgewise.train.scaling import Scaling, check_fit, like
from edgewise.train.solvers import LBFGS, Adam, LevenbergMarquardt

Solver = Auto | LevenbergMarquardt | LBFGS | Adam


@dataclass(frozen=True)
class Fitted:
    """A trained model, its history, the solver's name, and the status: "finished", "interrupted",
    "early stopping", "time limit" or "callback"."""

    model: Network
    history: History
    solver: str
    status: str


def fit(
    model: Network,
    data: Dataset | dict[str, Tensor] | tuple | DataLoader,
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

    data: a Dataset, the dict of ``create_dataset``, or (x, y[, weight]); x (N, I), y (N, O). Or a
    DataLoader of such batches: Adam, then the default, takes one a step in the loader's order, and
    everything else (targets' scale, grids, history, other solvers) uses all rows of one pass.
    solver: Auto() by default. loss: "mse", "cross_entropy" or a callable (y, target) -> scalar.
    "cross_entropy" reads the model's C outputs as scores; y is class labels 0 .. C-1, (N,) or (N, 1),
    or class probabilities (N, C). The history then has train_accuracy and test_accuracy.
    penalty: added to the mean square in units of the target's variance (to other losses as it is).
    patience: stop after so many steps without progress on a share ``validation`` of the training
    rows, and return the best model on them. Test data are only reported.
    metrics, callbacks: called with a copy of the model in the data's units; a callback that returns
    True ends the run. Whatever ends it early, Ctrl-C too, the best model so far is returned.
    Raises FitError where no finite result can be had, DataError and ShapeError for unfit data.
    """
    loader = data if isinstance(data, DataLoader) else None
    if loader is not None and patience is not None:
        raise InputError(
            "Early stopping holds rows out, and a DataLoader draws from all of its own; pass "
            "(x, y) with solver=Adam(batch=...)."
        )
    dataset = as_dataset(data if loader is None else all_rows(loader))
    chosen = make_loss(loss)
    solver = solver or (Auto() if loader is None else Adam())
    outputs = model.nodes[-1].out_features
    if isinstance(chosen, CrossEntropy):
        dataset = with_probabilities(dataset, outputs)
    check_fit(model, dataset, chosen)
    rows, judge = _judges(like(model, dataset.train), patience, validation)
    scaling = Scaling.of(rows, chosen)
    work, train = scaling.entered(model, rows), scaling.samples(rows)
    objective = Objective(chosen, penalty if penalty is not None and penalty.strength else None)
    history = History(chosen.name)
    record = Recorder(
        history,
        objective,
        train,
        scaling.shown,
        test=None if dataset.test is None else scaling.samples(like(model, dataset.test)),
        judge=None if judge is None else scaling.samples(judge),
        patience=patience,
        callbacks=callbacks,
        metrics=metrics,
        deadline=None if time_limit is None else time.monotonic() + time_limit,
        scale=scaling.unit,
        best=Snapshot.of(work),
    )
    status = "finished"
    from edgewise.train.progress import bar

    with bar(progress, getattr(solver, "steps", None)) as record.advance:
        try:
            if loader is not None and isinstance(solver, Adam):
                drawn = batches(loader)
                if isinstance(chosen, CrossEntropy):
                    drawn = (one_hot(batch, outputs) for batch in drawn)
                scaled = (scaling.samples(like(model, batch)) for batch in drawn)
                solver.run(work, objective, train, record, scaled)
            else:
                solver.run(work, objective, train, record)
            status = record.stopped or status
        except KeyboardInterrupt:
            status = "interrupted"
    if record.best is not None and (status != "finished" or judge is not None):
        record.best.restore(work)
    if not all(bool(torch.isfinite(p).all()) for p in work.parameters()):
        raise FitError("Training left values that are not finite. Lower lr, or scale the data.")
    scaling.leave(work)
    return Fitted(work, history, solver.name, status)


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
    return train.rows(order[held:]), train.rows(order[:held])
