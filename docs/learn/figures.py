"""Draw the pictures of docs/learn/: ``python docs/learn/figures.py [page ...]``.

A page draws its own pictures: this runs its Python blocks in docs/learn/images/, where they save
them. The same code gives the same files.
"""

from __future__ import annotations

import os
import re
import sys
from pathlib import Path

import matplotlib
import torch

HERE = Path(__file__).parent
PAGES = ("bezier", "splines", "theorem", "first_kan", "answers")
STYLE = {
    # the same identifiers on every run, so that a picture changes only when its content does
    "svg.hashsalt": "edgewise",
    "figure.constrained_layout.use": True,
    "savefig.facecolor": "white",
    "axes.spines.top": False,
    "axes.spines.right": False,
    "legend.frameon": False,
}


def blocks(page: Path) -> list[str]:
    """The Python blocks of a page, each at the line where it stands there."""
    text = page.read_text(encoding="utf-8")
    found = re.finditer(r"^```python\n(.*?)^```", text, re.MULTILINE | re.DOTALL)
    return ["\n" * text.count("\n", 0, match.start(1)) + match[1] for match in found]


def draw(page: Path) -> None:
    namespace: dict[str, object] = {"__name__": "__main__"}
    for source in blocks(page):
        exec(compile(source, str(page), "exec"), namespace)  # noqa: S102  (our own pages)


if __name__ == "__main__":
    os.environ["SOURCE_DATE_EPOCH"] = "0"  # matplotlib then writes no date of its own
    matplotlib.use("Agg")
    matplotlib.rcParams.update(STYLE)
    torch.set_num_threads(1)
    os.chdir(HERE / "images")
    for name in sys.argv[1:] or PAGES:
        draw(HERE / f"{name}.md")
        print(name)
