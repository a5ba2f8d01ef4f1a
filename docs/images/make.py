"""Draw the pictures of README.md and docs/ from real runs: ``python docs/images/make.py``.

Takes about a minute. The same seeds give the same pictures; files are written beside this script.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import matplotlib
import numpy as np
import torch
from matplotlib.figure import Figure

import edgewise
from edgewise import KAN, create_dataset
from edgewise.problems import read_table

if TYPE_CHECKING:
    from matplotlib.axes import Axes

HERE = Path(__file__).parent
EXAMPLES = HERE.parents[1] / "examples"
NAMED = ("Mercury", "Earth", "Jupiter", "Neptune", "Eris")


def planets(folder: Path) -> None:
    """Kepler's third law from the table of planets, with what is left over below."""
    table = read_table(
        EXAMPLES / "planets.csv", target="period_years", features=["semi_major_axis_au"]
    )
    names = _first_column(table.path)
    found = edgewise.discover(
        table.x, table.y, table.feature_names, target=table.target_name, time_limit=20
    )
    a, period = table.x[:, 0], table.y
    figure = Figure(figsize=(6.4, 4.6), layout="constrained")
    above, below = figure.subplots(2, 1, sharex=True, height_ratios=(4, 1))
    fine = np.geomspace(0.8 * a.min(), 1.25 * a.max(), 200)
    above.loglog(fine, found.predict(fine[:, None]), color="#c1272d", lw=1.4, label="formula found")
    above.plot(a, period, "o", color="#1a1a1a", ms=5, label="13 planets and dwarf planets")
    for name, x, y in zip(names, a, period, strict=True):
        if name in NAMED:
            above.annotate(name, (x, y), (7, -9), textcoords="offset points", fontsize=9)
    above.set_ylabel("period [years]")
    above.set_title(str(found.best), fontsize=11)
    above.legend(frameon=False)
    below.axhline(0, color="#c1272d", lw=1.2)
    below.plot(a, 100 * (period / found.predict(table.x) - 1), "o", color="#1a1a1a", ms=4)
    below.set_ylim(-0.1, 0.1)
    below.set_ylabel("off by [%]")
    below.set_xlabel("semi-major axis [astronomical units]")
    for axes in (above, below):
        _plain(axes)
    _save(figure, folder / "planets.svg")


def networks(folder: Path) -> None:
    """exp(sin(pi x_1) + x_2^2): the network trained, pruned, and with symbols on its edges."""

    def f(x: torch.Tensor) -> torch.Tensor:
        return torch.exp(torch.sin(torch.pi * x[:, [0]]) + x[:, [1]] ** 2)

    data = create_dataset(f, n_var=2)
    model = KAN([2, 5, 1])
    model.fit(data, lamb=1e-2)
    _save(model.plot(), folder / "network_trained.svg")
    model = model.prune()
    model.fit(data)
    _save(model.plot(), folder / "network_pruned.svg")
    model.auto_symbolic()
    _save(model.plot(), folder / "network_symbolic.svg")
    print(model.formula())


def _first_column(path: Path) -> list[str]:
    lines = [line for line in path.read_text().splitlines() if line and not line.startswith("#")]
    return [line.split(",")[0] for line in lines[1:]]


def _plain(axes: Axes) -> None:
    axes.spines[["top", "right"]].set_visible(False)
    axes.grid(alpha=0.2, linewidth=0.6)


def _save(figure: Figure, path: Path) -> None:
    figure.savefig(path, facecolor="white", metadata={"Date": None})
    print(path.name)


if __name__ == "__main__":
    # The same identifiers on every run, so that a picture changes only when its content does.
    matplotlib.rcParams["svg.hashsalt"] = "edgewise"
    planets(HERE)
    networks(HERE)
