"""A model and a problem in, a solution out."""

from __future__ import annotations

import math
import time
from collections.abc import Sequence

import torch
from torch import Tensor

from edgewise.errors import FitError, InputError
from edgewise.nn import Network
from edgewise.optim.levenberg_marquardt import minimise
from edgewise.pde.objective import Residuals
from edgewise.pde.points import Collocation
from edgewise.pde.problem import Problem
from edgewise.pde.solution import Solution
from edgewise.train import Adam, Callback, History, LevenbergMarquardt, refine

# Samples from which the first layer's ranges are taken, at least.
_MANY = 20_000
# Room at both ends of a hidden range, as a share of it, for points that were not seen.
_ROOM = 0.02


def solve(
    start: Network | Solution,
    problem: Problem,
    *,
    solver: LevenbergMarquardt | Adam | None = None,
    grids: Sequence[int | list[int] | None] = (None,),
    collocation: Collocation | None = None,
    callbacks: Sequence[Callback] = (),
    time_limit: float | None = None,
) -> Solution:
    """Make the squares that the problem leaves small; a copy of the model is trained.

    start: a model that takes the coordinates, or what the ansatz's inputs give; or a solution to go on
    from. solver: LevenbergMarquardt() by default, Gauss-Newton on all residuals at once, without its
    prior of smoothness; or Adam. Its ``steps`` are for each of ``grids``, the sizes (one, or one a
    layer) that the model is refined to in turn; None stays. Ranges of the first layer are those of the
    domain from the beginning. callbacks(model, history): True ends the run; Ctrl-C ends it too, and
    keeps what was reached.
    Raises FitError where the loss is not finite at the start.
    """
    solver, collocation = solver or LevenbergMarquardt(), collocation or Collocation()
    if not isinstance(solver, LevenbergMarquardt | Adam):
        raise InputError(f"{type(solver).__name__} does not solve equations; use LM or Adam.")
    if isinstance(solver, Adam) and solver.batch is not None:
        raise InputError("Equations take all points a step; give Adam no batch, or fewer points.")
    unknowns = dict(problem.unknowns)
    if isinstance(start, Solution):
        unknowns |= {name: start.unknowns[name] for name in unknowns if name in start.unknowns}
    model = start.model.clone() if isinstance(start, Solution) else start.clone()
    run = _Run(model, problem, unknowns, solver, collocation, tuple(callbacks), time_limit)
    if not isinstance(start, Solution) or start.problem.domain.ranges != problem.domain.ranges:
        run.follow()
    for grid in grids:
        if grid is not None:
            run.model = refine(run.model, grid)[0]
            run.note(f"grid refined to {grid}")
        run.stage()
        if run.status != "finished":
            break
    return Solution(run.model, problem, run.unknowns, run.history, run.loss, run.status)


class _Run:
    """What changes while a problem is solved."""

    def __init__(
        self,
        model: Network,
        problem: Problem,
        unknowns: dict[str, float],
        solver: LevenbergMarquardt | Adam,
        collocation: Collocation,
        callbacks: tuple[Callback, ...],
        time_limit: float | None,
    ) -> None:
        self.model, self.problem, self.unknowns = model, problem, unknowns
        self.solver, self.collocation, self.callbacks = solver, collocation, callbacks
        self.history, self.status, self.loss = History("residual"), "finished", math.inf
        self.started, self.time_limit = time.monotonic(), time_limit
        self.rounds = self.steps = 0
        self.damping = getattr(solver, "damping", 0.0)
        self.points = collocation.draw(problem, 0)
        self.weights: list[Tensor | None] = [None] * len(self.points)

    def note(self, text: str) -> None:
        self.history.events.append((self.steps, text))

    def follow(self) -> None:
        """Let the grids' ranges and knots follow what arrives at each layer."""
        d = len(self.problem.domain.names)
        x = torch.cat([self.problem.domain.corners(), *(points[:, :d] for points in self.points)])
        inputs = self.problem.ansatz.inputs
        _follow(self.model, (x if inputs is None else inputs(x)).to(self.model.layers[0].coef))

    def stage(self) -> None:
        """The solver's steps on one grid, in rounds of the same points."""
        done = 0
        while done < self.solver.steps and self.status == "finished":
            stop = min(self.solver.steps, done + (self.collocation.every or self.solver.steps))
            stop = self.solver.grids.stop(done, stop)
            if self.solver.grids.lasting(done):
                self.follow()
            residuals = Residuals(self.problem, self.model, self.unknowns)
            residuals.place(self.points, self.weights)
            theta = residuals.theta(self._numbers())
            if not math.isfinite(residuals.value(theta)):
                raise FitError(
                    "What the equation leaves is not finite at the start. Look for a division by zero "
                    "or a logarithm of the unknown function, or scale the coordinates."
                )
            if isinstance(self.solver, Adam):
                self._adam(self.solver, residuals, stop - done)
            else:
                self._second_order(self.solver, residuals, theta, stop - done)
            done = stop
            if self.collocation.every:
                self._renew(residuals)

    def _numbers(self) -> Tensor:
        coef = self.model.layers[0].coef
        return coef.new_tensor(list(self.unknowns.values()))

    def _second_order(
        self, solver: LevenbergMarquardt, residuals: Residuals, theta: Tensor, steps: int
    ) -> None:
        last = theta, math.inf

        def record(_: int, theta: Tensor, loss: float) -> bool:
            nonlocal last
            last = theta, loss
            return self._step(residuals.unpack(theta), loss)

        try:
            result = minimise(
                residuals.linearise,
                residuals.value,
                theta,
                steps=steps,
                damping=self.damping,
                tolerance=solver.tolerance,
                callback=record,
            )
        except KeyboardInterrupt:
            self.status = "interrupted"
        else:
            last, self.damping = (result.theta, result.loss), min(result.damping, 1.0)
        theta, self.loss = last
        self._keep(residuals.unpack(theta))

    def _adam(self, solver: Adam, residuals: Residuals, steps: int) -> None:
        unknown = self._numbers().requires_grad_()
        parameters = [p for p in self.model.parameters() if p.requires_grad]
        optimiser = torch.optim.Adam([*parameters, unknown], lr=solver.lr)
        try:
            for _ in range(steps):
                optimiser.zero_grad()
                loss = residuals.loss(unknown)
                loss.backward()
                self.loss = float(loss.detach())
                if not math.isfinite(self.loss):
                    raise FitError(f"The loss became {self.loss}. Lower lr, now {solver.lr}.")
                optimiser.step()
                if self._step(unknown.detach(), self.loss):
                    break
            self.loss = float(residuals.loss(unknown).detach())
        except KeyboardInterrupt:
            self.status = "interrupted"
        self._keep(unknown.detach())

    def _keep(self, unknown: Tensor) -> None:
        self.unknowns = dict(zip(self.unknowns, unknown.tolist(), strict=True))

    def _step(self, unknown: Tensor, loss: float) -> bool:
        """Note a step; True ends the run."""
        self.steps += 1
        history, seconds = self.history, time.monotonic() - self.started
        history.step.append(self.steps)
        history.train_loss.append(math.sqrt(max(loss, 0.0)))
        history.test_loss.append(None)
        history.penalty.append(0.0)
        history.seconds.append(seconds)
        for name, value in zip(self.unknowns, unknown.tolist(), strict=True):
            history.metrics.setdefault(name, []).append(value)
        if self.time_limit is not None and seconds > self.time_limit:
            self.status = "time limit"
        elif any(callback(self.model, history) for callback in self.callbacks):
            self.status = "callback"
        return self.status != "finished"

    def _renew(self, residuals: Residuals) -> None:
        """New points, or new weights on the old ones."""
        self.rounds += 1
        if self.collocation.attention:
            sizes = [residuals.size(t.condition, t.x, self._numbers()) for t in residuals.terms]
            self.weights = self.collocation.weights(self.weights, sizes)
        else:
            self.points = self.collocation.draw(
                self.problem,
                self.rounds,
                lambda condition, x: residuals.size(condition, x, self._numbers()),
            )


@torch.no_grad()
def _follow(model: Network, x: Tensor) -> None:
    """As ``update_grids``, but the first layer's ranges end where x (B, I) does.

    A range that went on beyond the domain would have its last interval half outside, where no point
    tells what the curve must do there: conditions would be kept in a narrow layer at the edge alone.
    """
    first = x.repeat(-(-_MANY // len(x)), 1)  # adapt widens a range by 2 / B
    for l, (layer, nodes) in enumerate(zip(model.layers, model.nodes, strict=True)):
        lower, upper = x.amin(0), x.amax(0)
        room = _ROOM * (upper - lower)
        layer.update_grid(
            torch.cat([x, (lower - room)[None], (upper + room)[None]]) if l else first
        )
        x = nodes(layer(x))
