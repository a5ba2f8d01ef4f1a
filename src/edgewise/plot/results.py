"""Pictures of results: predictions against truth, and formulas by complexity and error."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from edgewise.errors import InputError, ShapeError
from edgewise.plot.curves import array
from edgewise.plot.pairs import diagonal, finite, thinned
from edgewise.plot.text import number, shorten

if TYPE_CHECKING:
    from matplotlib.axes import Axes

POINTS = 5000
ERRORS: dict[str, Callable[[np.ndarray], float]] = {
    "rmse": lambda r: float(np.sqrt(np.mean(r**2))),
    "mae": lambda r: float(np.mean(np.abs(r))),
    "max": lambda r: float(np.max(np.abs(r))),
}


def predicted(
    y_true: Any,
    y_pred: Any,
    ax: Axes | None = None,
    *,
    error: str = "rmse",
    name: str = "y",
    residuals: bool = False,
) -> Axes:
    """Draw predicted against true values (N,); on the diagonal they are equal.

    The title has the error ("rmse", "mae" or "max") and R^2 = 1 - sum r^2 / sum (y - mean y)^2 of
    all pairs; of more than 5000, every n-th is drawn. residuals: a small histogram of
    predicted minus true. Pairs that are not finite are left out, and the title says how many.
    Raises ShapeError when the numbers of values differ, InputError when nothing is left to draw.
    """
    from edgewise.plot.canvas import BLUE, axes_or_new

    if error not in ERRORS:
        raise InputError(f"error is {error!r}; expected one of {sorted(ERRORS)}.")
    true, guess = array(y_true).ravel(), array(y_pred).ravel()
    if true.shape != guess.shape:
        raise ShapeError(f"{true.size} true and {guess.size} predicted values; expected as many.")
    came = true.size
    true, guess = finite(true, guess)
    left_out = came - true.size
    if not true.size:
        raise InputError("No pair of finite values came; expected at least one.")
    ax = axes_or_new(ax, 4.4, 4.2)
    diagonal(ax, true, guess)
    ax.plot(*thinned(true, guess, POINTS), "o", color=BLUE, markersize=3, markeredgewidth=0,
            alpha=0.5, zorder=2, gid="pairs", rasterized=False)  # fmt: skip
    ax.set_xlabel(f"{name}, true", parse_math=False)
    ax.set_ylabel(f"{name}, predicted", parse_math=False)
    shown = "RMSE" if error == "rmse" else "mean |error|" if error == "mae" else "max |error|"
    title = f"{shown} {number(ERRORS[error](guess - true))}, $R^2$ {_r2(true, guess)}"
    if left_out:
        title += f"\n{left_out:,} pairs not finite"
    ax.set_title(title, fontsize=10)
    if residuals:
        _residuals(ax, guess - true)
    return ax


def _r2(true: np.ndarray, guess: np.ndarray) -> str:
    spread = float(np.sum((true - true.mean()) ** 2))
    if spread == 0:
        return "undefined"
    missing = float(np.sum((guess - true) ** 2)) / spread
    # 1 - 3e-12 would be printed as 1.
    return (
        f"1 − {missing:.1g}".replace("e-", "e−") if 0 < missing < 1e-4 else number(1 - missing, 4)
    )


def _residuals(ax: Axes, residual: np.ndarray) -> None:
    from edgewise.plot.canvas import DATA

    inset = ax.inset_axes((0.66, 0.1, 0.31, 0.2))
    inset.hist(residual, bins=30, color=DATA)
    inset.set_yticks([])
    inset.tick_params(labelsize=6)
    inset.locator_params(axis="x", nbins=3)
    inset.set_title("predicted − true", fontsize=7)
    inset.spines[["top", "right", "left"]].set_visible(False)


def pareto(
    front: Sequence[Any],
    best: Any = None,
    ax: Axes | None = None,
    *,
    errors: Sequence[float] | None = None,
    label: str = "held-out RMSE",
) -> Axes:
    """Draw error against complexity of candidates, formulas beside their points where they fit.

    front: candidates with ``complexity``, ``rmse`` and ``formula``. best: the pick, a candidate or
    its formula, or its place in the front; it gets a ring and its whole line of text.
    errors: drawn in place of the candidates' ``rmse``; label: what they are.
    Raises InputError for an empty front, a pick that is not in it, or another number of errors.
    """
    from edgewise.plot.canvas import BLUE, SYMBOLIC, axes_or_new

    if not front:
        raise InputError("The front is empty; expected at least one candidate.")
    pick = None if best is None else _place(front, best)
    errors = [c.rmse for c in front] if errors is None else errors
    if len(errors) != len(front):
        raise InputError(
            f"{len(errors)} errors came for {len(front)} candidates; expected as many."
        )
    ax = axes_or_new(ax, 6.4, 4.2)
    x, y = array([c.complexity for c in front]), array(errors)
    ax.plot(x, y, color=BLUE, marker="o", markersize=5, linewidth=1.0, drawstyle="steps-post")
    if pick is not None:
        ax.plot(x[pick], y[pick], "o", markersize=12, markerfacecolor="none", gid="pick",
                markeredgecolor=SYMBOLIC, markeredgewidth=1.6)  # fmt: skip
    ax.set_xlabel("complexity")
    ax.set_ylabel(label, parse_math=False)
    known = y[np.isfinite(y)]
    if known.size and (known > 0).all():
        ax.set_yscale("log")
    ax.margins(x=0.06, y=0.14)
    ax.set_xlim(0, max(1.0, float(x.max())) * 1.1)
    ax.grid(True, axis="y", alpha=0.25, linewidth=0.6)
    _annotate(ax, [str(c.formula) for c in front], x, y, pick)
    return ax


def _place(front: Sequence[Any], best: Any) -> int:
    if isinstance(best, int) and 0 <= best < len(front):
        return best
    for n, candidate in enumerate(front):
        if best is candidate or best is candidate.formula:
            return n
    for n, candidate in enumerate(front):
        if not isinstance(best, int) and best in (candidate, candidate.formula):
            return n
    raise InputError("The pick is not in the front; expected one of its candidates or formulas.")


def _annotate(
    ax: Axes, texts: Sequence[str], x: np.ndarray, y: np.ndarray, pick: int | None
) -> None:
    """Texts to the right of their points, or to the left; those that would collide are left out."""
    from edgewise.plot.canvas import NUMERIC, SYMBOLIC

    fig: Any = ax.get_figure(root=True)
    fig.draw_without_rendering()
    frame = ax.get_window_extent()
    spots = ax.transData.transform(np.column_stack([x, y]))
    taken = [(px - 6, py - 6, px + 6, py + 6) for px, py in spots if np.isfinite(py)]
    order = ([] if pick is None else [pick]) + [n for n in range(len(texts)) if n != pick]
    for n in order:
        if not np.isfinite(y[n]):
            continue
        colour = SYMBOLIC if n == pick else NUMERIC
        for dx, dy, ha in ((7, 6, "left"), (-7, -14, "right"), (-7, 6, "right"), (7, -14, "left")):
            note = ax.annotate(
                shorten(texts[n], 42), (x[n], y[n]), xytext=(dx, dy), textcoords="offset points",
                ha=ha, fontsize=7.5, color=colour, parse_math=False,
            )  # fmt: skip
            box = note.get_window_extent()
            inside = (box.x0 >= frame.x0 and box.x1 <= fig.bbox.x1 and box.y0 >= frame.y0
                      and box.y1 <= frame.y1)  # fmt: skip
            if inside and not any(
                box.x0 < r and box.x1 > l and box.y0 < t and box.y1 > b for l, b, r, t in taken
            ):
                taken.append((box.x0, box.y0, box.x1, box.y1))
                break
            note.remove()
