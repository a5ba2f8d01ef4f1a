"""The report's pictures as HTML figures."""

from __future__ import annotations

from html import escape
from typing import Any

from edgewise import plot
from edgewise.io.svg import inline_svg
from edgewise.plot import fit as pictures


def fit(discovery: Any) -> list[str]:
    """Calculated against measured values, and the residuals."""
    parts = fit_parts(discovery)
    target = discovery.target
    agreement = inline_svg(
        pictures.agreement(parts, target).figure,
        "agreement",
        f"{target}: calculated against measured",
    )
    left = inline_svg(
        pictures.residuals(parts, target, relative=discovery.relative).figure,
        "residuals",
        f"{target}: what the formula leaves over",
    )
    return [
        '<div class="figures">',
        _figure(agreement, "Each point is a row; on the line, formula and measurement agree."),
        _figure(left, "What the formula leaves over. A pattern here would be law still unfound."),
        "</div>",
    ]


def fit_parts(discovery: Any) -> list[tuple[str, Any, Any]]:
    """(name, measured, calculated) of the rows fitted and, where there are any, held out."""
    formula = discovery.front[discovery.pick].formula
    groups = [("fitted", discovery.train)]
    if discovery.unseen:
        groups.append(("held out", discovery.held_out))
    return [(name, s.y[:, 0].numpy(), formula.predict(s.x)) for name, s in groups]


def front(discovery: Any) -> str:
    """Error against complexity."""
    label = "relative error" if discovery.relative else f"error, in the unit of {discovery.target}"
    errors = [c.error for c in discovery.front]  # the search's own, which fall along the front
    drawn = inline_svg(
        plot.pareto(discovery.front, discovery.pick, errors=errors, label=label).figure,
        "front",
        "error against complexity of the formulas",
    )
    caption = "Error against complexity: a steep fall means that the next symbol was worth it."
    return _figure(drawn, caption, kind="front")


def network(discovery: Any) -> str:
    """The diagram of the network that computes the pick."""
    drawn = inline_svg(network_figure(discovery), "network", "the formula as a network")
    return _figure(drawn, "", kind="network")


def network_figure(discovery: Any) -> Any:
    """The matplotlib figure of the pick's network, curves over the range of the fitted rows."""
    model, x = discovery.model, discovery.train.x
    return plot.network(model, model.trace(x), output_names=[discovery.target], formulas=True)


def _figure(svg: str, caption: str, kind: str = "") -> str:
    mark = f' class="{kind}"' if kind else ""
    below = f"<figcaption>{escape(caption)}</figcaption>" if caption else ""
    return f"<figure{mark}>{svg}{below}</figure>"
