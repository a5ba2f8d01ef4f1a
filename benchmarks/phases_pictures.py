"""The pictures of docs/phases.md: ``python benchmarks/phases.py --pictures FOLDER``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import matplotlib
import numpy as np
import sympy
import torch
from matplotlib.figure import Figure

from edgewise import KAN
from phases import classifier
from phases_boundary import boundary, search
from phases_tasks import Task, chain, exponents, moons

if TYPE_CHECKING:
    from matplotlib.axes import Axes

RED, BLUE, FOUND = "#c1272d", "#2b6ca3", "#1a1a1a"
ALPHA = 0.5
# rings for the picture of one potential at many strengths
_RINGS = (89, 233)


def draw(folder: Path, chain_task: Task | None = None) -> None:
    """Write moons.svg and mobility_edge.svg; without the chain's rows they are made, in minutes."""
    # The same identifiers on every run, so that a picture changes only when its content does.
    matplotlib.rcParams["svg.hashsalt"] = "edgewise"
    folder.mkdir(parents=True, exist_ok=True)
    _moons(folder)
    _chain(folder, chain_task or chain(0))


def _moons(folder: Path) -> None:
    figure = Figure(figsize=(7.2, 3.0), layout="constrained")
    for axes, noise in zip(figure.subplots(1, 2, sharey=True), (0.1, 0.2), strict=True):
        task = moons(noise, 0)
        model = classifier(task)
        _, edge = search(task, boundary(model, task.x, task.y), 0, 60.0)
        _points(axes, task.x[:, 0], task.x[:, 1], task.y)
        a, b = np.meshgrid(np.linspace(-1.6, 2.6, 200), np.linspace(-1.2, 1.7, 200))
        _shares(axes, model, a, b, np.stack([a, b], -1))
        line = np.linspace(-1.6, 2.6, 200)
        values = sympy.lambdify(sympy.Symbol("x_1"), edge.expression)(line)
        axes.plot(line, values, "--", color="0.5", lw=1.5, label="formula")
        axes.plot([], [], color=FOUND, lw=1.5, label="network")
        axes.set(title=f"noise {noise}", xlabel="$x_1$", xlim=(-1.6, 2.6), ylim=(-1.2, 1.7))
    figure.axes[0].legend(frameon=False, loc="lower left")
    _save(figure, folder / "moons.svg")


def _chain(folder: Path, task: Task) -> None:
    """States of one alpha and many lambda by tau, the network's boundary and the known one."""
    model = classifier(task)
    figure = Figure(figsize=(7.2, 3.6), layout="constrained")
    axes = figure.subplots()
    for strength in np.linspace(0.25, 1.75, 31):
        energies, tau = exponents(ALPHA, strength, 1.0, _RINGS)
        marks = axes.scatter(
            np.full_like(energies, strength),
            energies,
            c=tau,
            s=3,
            rasterized=True,
            cmap="coolwarm_r",
            vmin=0,
            vmax=1,
        )
    a, b = np.meshgrid(np.linspace(0.2, 1.8, 200), np.linspace(-4, 7, 200))
    rows = np.stack([np.full_like(a, ALPHA), a, b], -1)
    _shares(axes, model, a, b, rows)
    known = np.array([0.2, 1.8])
    axes.plot(known, 2 * (1 - known) / ALPHA, "--", color="0.45", lw=1.5, label="2 (1 - λ) / α")
    axes.plot([], [], color=FOUND, lw=1.5, label="network")
    axes.set(xlabel="λ", ylabel="energy E", title=f"Extended and localised states, α = {ALPHA}")
    axes.set_ylim(-4, 7)
    axes.legend(frameon=False, loc="upper left")
    bar = figure.colorbar(marks, ax=axes)
    bar.set_label("τ: 1 extended, 0 localised")
    _save(figure, folder / "mobility_edge.svg")


def _points(axes: Axes, x: torch.Tensor, y: torch.Tensor, label: torch.Tensor) -> None:
    for value, colour in ((0, BLUE), (1, RED)):
        mask = label == value
        axes.plot(x[mask], y[mask], ".", ms=2, color=colour, alpha=0.6, rasterized=True)


def _shares(axes: Axes, model: KAN, a: np.ndarray, b: np.ndarray, rows: np.ndarray) -> None:
    """The line on which both classes are equally likely."""
    share = model.predict_proba(torch.as_tensor(rows))[..., 1].numpy()
    axes.contour(a, b, share, levels=[0.5], colors=[FOUND], linewidths=1.5)


def _save(figure: Figure, path: Path) -> None:
    for axes in figure.axes:
        axes.spines[["top", "right"]].set_visible(False)
    figure.savefig(path, facecolor="white", dpi=150, metadata={"Date": None})
    print(path.name)
