"""A discovery as one HTML file that explains itself and needs nothing from outside."""

from __future__ import annotations

import platform
import re
from collections.abc import Mapping, Sequence
from html import escape
from importlib.metadata import version
from importlib.resources import files
from os import PathLike
from pathlib import Path
from typing import Any

from edgewise.errors import EdgewiseError
from edgewise.io import report_figures
from edgewise.io.durable import write_whole
from edgewise.io.svg import any_script
from edgewise.symbolic.evaluate import symbol
from edgewise.symbolic.formula import Formula
from edgewise.symbolic.front import shown_r2

_STATUS = {
    "finished": "The search came to its end.",
    "time limit": "The search was stopped by its time limit; a longer one may find more.",
    "interrupted": "The search was interrupted; these are the formulas found until then.",
}


def write_report(
    discovery: Any, path: str | PathLike[str], settings: Mapping[str, Any] | None = None
) -> Path:
    """Write the report of a ``recipes.Discovery`` to ``path`` and return it.

    settings: what else the report should say about the run, e.g. {"seed": 0}. The file is there
    whole or not at all. Raises FileError when it cannot be written.
    """
    return write_whole(Path(path), html_report(discovery, settings).encode())


def latex_equation(formula: Formula) -> str:
    """The equation in LaTeX, its left side too."""
    left = Formula(symbol(formula.output), (formula.output,))
    return f"{left.latex()} = {formula.latex()}"


def html_report(discovery: Any, settings: Mapping[str, Any] | None = None) -> str:
    """The report's HTML; whatever the columns are called, it stays text."""
    best = discovery.front[discovery.pick]
    title = f"A formula for {discovery.target}"
    with any_script():
        sections = (
            _formula(best.formula),
            _quality(discovery, best),
            _constants(best.formula),
            _pictures(discovery),
            _front(discovery),
            _network(discovery),
            _data(discovery),
            _sources(best.formula),
            _notes(discovery),
        )
    style = files("edgewise.io").joinpath("report.css").read_text(encoding="utf-8")
    return "\n".join(
        (
            "<!DOCTYPE html>",
            '<html lang="en"><head><meta charset="utf-8">',
            '<meta name="viewport" content="width=device-width, initial-scale=1">',
            f"<title>{escape(title)}</title><style>\n{style}</style></head><body><main>",
            f"<h1>{escape(title)}</h1>",
            f'<p class="lead">{_lead(discovery)}</p>',
            *sections,
            _footer(discovery, settings or {}),
            "</main></body></html>\n",
        )
    )


def _lead(discovery: Any) -> str:
    inputs = ", ".join(f"<code>{escape(name)}</code>" for name in discovery.names)
    rows = len(discovery.train) + discovery.unseen
    return (
        f"How <code>{escape(discovery.target)}</code> follows from {inputs}, found in a table of"
        f" {rows:,} rows."
    )


def _breakable(text: str) -> str:
    """Escaped text whose lines break behind operators."""
    return "".join(escape(part) + "<wbr>" for part in re.split(r"(?<=[-+*/^(),])", text))


def _section(heading: str, *content: str) -> str:
    return "\n".join((f"<section><h2>{escape(heading)}</h2>", *content, "</section>"))


def _formula(formula: Formula) -> str:
    size = "formula long" if len(formula.text()) > 60 else "formula"
    logarithm = " Here log is the natural logarithm." if "log(" in formula.text() else ""
    return _section(
        "The formula",
        f'<div class="{size}">{formula.mathml()}</div>',
        f'<p class="aside"><code>{_breakable(str(formula))}</code></p>',
        f'<p class="aside">Numbers are rounded for reading; the Python source below holds all'
        f" digits.{logarithm}</p>",
    )


def _quality(discovery: Any, best: Any) -> str:
    rows = len(discovery.held_out)
    y = discovery.held_out.y[:, 0]
    spread = float((y - y.mean()).square().mean().sqrt())
    where = (
        f"{rows:,} rows that the fit did not see" if discovery.unseen
        else f"the {rows:,} rows of the fit, since there are too few to keep any out"
    )  # fmt: skip
    name = f"<code>{escape(discovery.target)}</code>"
    compared = (
        f" The values of {name} there scatter by {spread:.3g} around their mean: the formula's"
        f" error is {best.rmse / spread:.2g} of that."
        if spread > 0
        else f" There {name} does not vary."
    )
    return _section(
        "How well it holds",
        '<dl class="scores">',
        f"<div><dt>error, in the unit of {name}</dt><dd>{best.rmse:.4g}</dd></div>",
        f"<div><dt>R²</dt><dd>{escape(shown_r2(best.r2))}</dd></div>",
        f"<div><dt>complexity</dt><dd>{best.complexity}</dd></div>",
        "</dl>",
        f"<p>Judged on {where}. The error is the root mean square of measured minus calculated"
        f" values.{compared}</p>",
        '<p class="aside">R² is the share of the variation that the formula explains: 1'
        " is exact, 0 is no better than the mean. Complexity counts the symbols one has to write."
        "</p>",
    )


def _constants(formula: Formula) -> str:
    if not formula.constants:
        text = "<p>The formula holds no fitted constants: all its numbers are exact.</p>"
        return _section("Constants", text)
    rows = []
    for constant in formula.constants:
        relative = "not determined"
        if constant.error is not None and constant.value:
            relative = f"{100 * abs(constant.error / constant.value):.2g} %"
        rows.append((escape(constant.text), relative))
    return _section(
        "Constants",
        _table(("value ± standard error", "relative error"), rows, numbers=()),
        '<p class="aside">The standard error is how far a constant would typically move if the'
        " measurements were repeated with the same scatter.</p>",
    )


def _pictures(discovery: Any) -> str:
    return _section("Calculated and measured", *report_figures.fit(discovery))


def _front(discovery: Any) -> str:
    weighed = discovery.relative
    heads = ["complexity", "error", *(["relative error"] if weighed else []), "R²", "formula"]
    rows = []
    for candidate in discovery.front:
        relative = [f"{candidate.error:.3g}"] if weighed else []
        figures = [str(candidate.complexity), f"{candidate.rmse:.4g}", *relative]
        formula = f"<code>{_breakable(str(candidate.formula))}</code>"
        rows.append((*figures, escape(shown_r2(candidate.r2)), formula))
    return _section(
        "All formulas on the front",
        "<p>Each formula is more precise than every simpler one. The marked row is the choice: the"
        " one that says most about the data with the fewest symbols.</p>",
        _table(heads, rows, numbers=range(len(heads) - 1), pick=discovery.pick),
        report_figures.front(discovery),
    )


def _network(discovery: Any) -> str:
    try:
        picture = report_figures.network(discovery)
    except EdgewiseError as error:
        picture = f"<p>There is no picture of this formula as a network: {escape(str(error))}</p>"
    return _section(
        "The formula as a network",
        "<p>Read from below: every box is a function of one variable, drawn over the range of its"
        " input in the data; lines that meet are added, and a cross multiplies.</p>",
        picture,
    )


def _data(discovery: Any) -> str:
    best = discovery.front[discovery.pick].formula
    rows = []
    columns = [(name, "input", k) for k, name in enumerate(best.variables)]
    for name, role, k in [(discovery.target, "target", -1), *columns]:
        parts = [
            samples.y[:, 0] if k < 0 else samples.x[:, k]
            for samples in (discovery.train, discovery.held_out)
        ]
        least, most = min(float(p.min()) for p in parts), max(float(p.max()) for p in parts)
        used = role == "target" or name in {s.name for s in best.sympy.free_symbols}
        role = role if used else "input, not in the formula"
        rows.append((escape(name), role, f"{least:.6g}", f"{most:.6g}"))
    split = (
        f"{len(discovery.train):,} rows were fitted to, {discovery.unseen:,} were kept out"
        " to judge by."
        if discovery.unseen
        else f"All {len(discovery.train):,} rows were fitted to and judged by."
    )
    return _section(
        "The data",
        f"<p>{split} Outside of these ranges the formula is a guess.</p>",
        _table(("column", "role", "least", "greatest"), rows, numbers=(2, 3)),
    )


def _sources(formula: Formula) -> str:
    try:
        python = formula.python()
    except EdgewiseError as error:
        python = f"# {error}"
    return _section(
        "To copy",
        "<p>Python, with numpy only and all digits:</p>",
        f"<pre>{escape(python)}</pre>",
        "<p>LaTeX:</p>",
        f"<pre>{escape(latex_equation(formula))}</pre>",
    )


def _notes(discovery: Any) -> str:
    notes = (_STATUS.get(discovery.status, discovery.status), *discovery.notes)
    return _section("Notes", "<ul>", *(f"<li>{escape(note)}</li>" for note in notes), "</ul>")


def _footer(discovery: Any, settings: Mapping[str, Any]) -> str:
    about = {
        **settings,
        "time": f"{discovery.seconds:.1f} s",
        "edgewise": version("edgewise"),
        "torch": version("torch"),
        "python": platform.python_version(),
    }
    listing = "; ".join(f"{name} {value}" for name, value in about.items())
    return f"<footer>To find it again: {escape(listing)}.</footer>"


def _table(
    heads: Sequence[str],
    rows: Sequence[Sequence[str]],
    numbers: Sequence[int] | range,
    pick: int = -1,
) -> str:
    """A table of cells that are HTML already."""

    def cell(tag: str, k: int, text: str) -> str:
        kind = "number" if k in numbers else "name"
        return f'<{tag} class="{kind}">{text}</{tag}>'

    head = "".join(cell("th", k, escape(text)) for k, text in enumerate(heads))
    body = []
    for n, row in enumerate(rows):
        mark = ' class="pick"' if n == pick else ""
        body.append(f"<tr{mark}>{''.join(cell('td', k, text) for k, text in enumerate(row))}</tr>")
    return f'<div class="wide"><table><tr>{head}</tr>{"".join(body)}</table></div>'
