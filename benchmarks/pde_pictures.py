"""What was found, beside what it should be: a picture an equation, for benchmarks/pde.py --draw."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import matplotlib
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from torch import Tensor

from pde_problems import Found
from pde_tasks import Task

_CUTS = {"poisson": (-0.5, 0.2, 0.5), "helmholtz": (0.2, 0.5), "burgers": (0.25, 0.4, 0.99)}
_TITLES = {
    "poisson": "Poisson",
    "helmholtz": "Helmholtz",
    "heat": "Heat",
    "burgers": "Burgers",
    "burgers-whole": "Burgers, whole",
    "allen-cahn": "Allen-Cahn",
    "inverse": "Inverse problem",
}


def draw(task: Task, found: Found, folder: Path) -> None:
    """Write ``folder/pde_<task>.svg``; the same run gives the same file."""
    points, truth = task.truth()
    figure = Figure(figsize=(7.6, 2.7), layout="constrained")
    if points.shape[1] == 1:
        _lines(figure, points[:, 0], found.u(points), truth)
    else:
        _maps(figure, task.name, points, found, truth)
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"pde_{task.name.replace('-', '_')}.svg"
    with matplotlib.rc_context({"svg.hashsalt": "edgewise", "svg.fonttype": "none"}):
        figure.savefig(path, metadata={"Date": None}, dpi=130)


def _lines(figure: Figure, t: Tensor, u: Tensor, truth: Tensor) -> None:
    """A system of ordinary equations: its functions in time, and the error."""
    left, right = figure.subplots(1, 2)
    for k, name in enumerate(("prey", "predators")):
        left.plot(t, u[:, k], color=f"C{k}", label=name)
        left.plot(t[::20], truth[::20, k], "k.", markersize=3, label="reference" if k else None)
    left.legend(fontsize="x-small", framealpha=0.8)
    right.semilogy(t, (u - truth).abs().clamp_min(1e-16))
    left.set(xlabel="t", title="Lotka-Volterra")
    right.set(xlabel="t", title="|error|")


def _maps(figure: Figure, name: str, points: Tensor, found: Found, truth: Tensor) -> None:
    """u as a map, cuts through it beside the reference, and a map of the error."""
    first, second = (column.unique() for column in points.T)
    shape = len(first), len(second)
    u, true = found.u(points)[:, 0].reshape(shape), truth[:, 0].reshape(shape)
    left, middle, right = figure.subplots(1, 3)
    across, up = ("x", "y") if name in ("poisson", "helmholtz") else ("t", "x")
    ends = [float(first[0]), float(first[-1]), float(second[0]), float(second[-1])]
    for axes, values, title in ((left, u, _TITLES[name]), (right, (u - true).abs(), "|error|")):
        colours = "RdBu_r" if axes is left else "viridis"
        largest = float(values.abs().max())
        limits = (-largest, largest) if axes is left else (0.0, largest)
        image = axes.imshow(
            values.T, origin="lower", extent=ends, aspect="auto", cmap=colours, clim=limits
        )
        figure.colorbar(image, ax=axes, shrink=0.9, format=None if axes is left else "%.1e")
        axes.set(xlabel=across, ylabel=up, title=title)
    _cuts(middle, _CUTS.get(name, (0.1, 0.5, 1.0)), across, (first, second), (u, true))
    middle.set(xlabel=up, title="u; dots: reference")


def _cuts(
    axes: Axes, at: Sequence[float], across: str, grid: tuple[Tensor, Tensor], values: tuple
) -> None:
    first, second = grid
    u, true = values
    few = max(1, len(second) // 25)
    for k, value in enumerate(at):
        row = int((first - value).abs().argmin())
        axes.plot(second, u[row], color=f"C{k}", label=f"{across} = {float(first[row]):.2g}")
        axes.plot(second[::few], true[row][::few], "k.", markersize=3)
    axes.legend(fontsize="x-small", framealpha=0.8, handlelength=1)
