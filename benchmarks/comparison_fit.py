"""How kan_vs_mlp.py tunes and trains a contestant: alike for all."""

from __future__ import annotations

import math
import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

from comparison_models import Contestant, budget_of, follow, largest
from comparison_tasks import Rows, Task, standardised

# A trial is a learning rate; its errors on the validation rows tell when to stop, too. The better half
# at the first stop goes on.
RATES = (3e-3, 1e-2, 3e-2, 1e-1)
STOPS = (0.25, 0.5, 1.0)
# The seed that trials start from: none of those that are told.
TRIAL_SEED = 1000
# Ranges follow the values so many times, in the first half of the steps.
FOLLOWED = 5


@dataclass(frozen=True)
class Plan:
    """Adam's steps in all, rows a step, and the seeds 0 .. seeds - 1."""

    steps: int
    batch: int
    seeds: int


@dataclass(frozen=True)
class Score:
    """error: 1 - accuracy, or the root of the mean square in the target's standard deviations."""

    error: float
    loss: float


def measured(contestant: Contestant, task: Task, budget: str, plan: Plan) -> dict:
    """Tuned on a part of the training rows, then trained on all of them once a seed."""
    widths = largest(contestant, budget, task.inputs, task.outputs)
    start = time.process_time()
    trials = tuned(contestant, widths, task, plan)
    rate, stop = min(trials, key=lambda trial: order(trials[trial]))
    tuning = time.process_time() - start
    train, test = standardised(task.train, task.test)
    scores, start = [], time.process_time()
    for seed in range(plan.seeds):
        model = contestant.model(widths, seed)
        for done in training(model, train, task, rate, plan, seed):
            if done == stop:
                break
        scores.append(score(model, test, task))
    seconds = time.process_time() - start
    return {
        "task": task.name,
        "kind": task.kind,
        "classes": task.classes,
        "contestant": contestant.name,
        "is": contestant.kind,
        "budget": budget,
        **asdict(plan),
        "widths": widths,
        "parameters": contestant.parameters(widths),
        "products": contestant.products(widths),
        "most": budget_of(budget, task.inputs, task.outputs),
        "trials": [[*trial, found.error, found.loss] for trial, found in trials.items()],
        "rate": rate,
        "stop": stop,
        "errors": [found.error for found in scores],
        "losses": [found.loss for found in scores],
        "step_ms": 1000 * seconds / (plan.seeds * round(stop * plan.steps)),
        "seconds": tuning + seconds,
    }


def tuned(
    contestant: Contestant, widths: Sequence[int], task: Task, plan: Plan
) -> dict[tuple[float, float], Score]:
    """(rate, stop) -> the score on the validation rows."""
    early, validation = standardised(task.early, task.validation)
    models = {rate: contestant.model(widths, TRIAL_SEED) for rate in RATES}
    going = {
        rate: training(model, early, task, rate, plan, TRIAL_SEED) for rate, model in models.items()
    }
    found: dict[tuple[float, float], Score] = {}
    for stop in STOPS:
        for rate, steps in going.items():
            next(steps)
            found[rate, stop] = score(models[rate], validation, task)
        if stop == STOPS[0]:
            ranked = sorted(going, key=lambda rate: order(found[rate, STOPS[0]]))
            going = {rate: going[rate] for rate in ranked[: len(RATES) // 2]}
    return found


def order(score: Score) -> tuple[float, float]:
    """What is compared: of the same error, the smaller loss is better."""
    return score.error, score.loss


def training(
    model: nn.Module, rows: Rows, task: Task, rate: float, plan: Plan, seed: int
) -> Iterator[float]:
    """Train in place, by Adam with a rate that falls to 0 as a cosine; the share done at each stop."""
    adam = torch.optim.Adam(model.parameters(), rate, fused=True)
    stops = {round(share * plan.steps): share for share in STOPS}
    every = max(1, plan.steps // (2 * FOLLOWED))
    for step, index in enumerate(batches(len(rows.y), plan, seed)):
        if step % every == 0 and step < FOLLOWED * every:
            follow(model, rows.x)
        for group in adam.param_groups:
            group["lr"] = rate * (1 + math.cos(math.pi * step / plan.steps)) / 2
        adam.zero_grad()
        loss_of(model(rows.x[index]), rows.y[index], task).backward()
        adam.step()
        if step + 1 in stops:
            yield stops[step + 1]


def batches(count: int, plan: Plan, seed: int) -> Iterator[Tensor]:
    """Row numbers a step: every row once before one comes again, the last few of a round left out."""
    draw, size = torch.Generator().manual_seed(seed), min(plan.batch, count)
    left = torch.empty(0, dtype=torch.int64)
    for _ in range(plan.steps):
        if len(left) < size:
            left = torch.randperm(count, generator=draw)
        yield left[:size]
        left = left[size:]


def loss_of(output: Tensor, y: Tensor, task: Task) -> Tensor:
    if task.classes:
        return functional.cross_entropy(output, y)
    return (output - y).square().mean()


@torch.no_grad()
def score(model: nn.Module, rows: Rows, task: Task) -> Score:
    """A network that gave up on finite numbers has infinite errors."""
    output = model.eval()(rows.x)
    model.train()
    if not bool(output.isfinite().all()):
        return Score(math.inf, math.inf)
    loss = float(loss_of(output, rows.y, task))
    if task.classes:
        return Score(float((output.argmax(1) != rows.y).double().mean()), loss)
    return Score(math.sqrt(loss), loss)
