"""The learner's pages draw the pictures that they show, and docs/learn/figures.py knows the pages."""

import importlib.util
import re

import pytest
from documents import ROOT, blocks, links

FOLDER = ROOT / "docs/learn"
PAGES = sorted(FOLDER.glob("*.md"))


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_a_page_saves_the_pictures_that_it_shows(page):
    code = "\n".join(block.text for block in blocks(page) if block.info == "python")
    saved = re.findall(r'savefig\(\s*"([^"]+)"', code)
    assert [f"images/{name}" for name in saved] == [l for l in links(page) if l.endswith(".svg")]


def test_every_page_is_drawn_and_nothing_else_is_kept():
    spec = importlib.util.spec_from_file_location("figures", FOLDER / "figures.py")
    figures = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(figures)
    assert sorted(figures.PAGES) == [page.stem for page in PAGES]
    shown = {link for page in PAGES for link in links(page) if link.endswith(".svg")}
    assert {f"images/{path.name}" for path in (FOLDER / "images").iterdir()} == shown
    for page in PAGES:
        texts = [text.lstrip("\n") for text in figures.blocks(page)]
        assert texts == [block.text for block in blocks(page) if block.info == "python"]
