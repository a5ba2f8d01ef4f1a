"""The report: one file, complete, harmless whatever columns are called."""

import re
from dataclasses import replace
from html.parser import HTMLParser

import pytest

from edgewise.errors import FileError
from edgewise.io.report import html_report, latex_equation, write_report
from edgewise.problems.dataset import Samples
from edgewise.symbolic.formula import Formula

EVIL = '<script>alert("1")</script>'
VOID = {"meta", "br", "wbr", "img", "link", "input", "hr"}


class Page(HTMLParser):
    """Tags, attributes and text of a page; raises when tags are not balanced."""

    def __init__(self, source: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: list[str] = []
        self.links: list[str] = []
        self.text = ""
        self.feed(source)
        self.close()
        assert not self.open

    def handle_starttag(self, tag, attributes):
        self.tags.append(tag)
        self.links += [value for name, value in attributes if name in ("src", "href", "xlink:href")]
        assert not any(name.startswith("on") for name, _ in attributes)
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attributes):
        self.handle_starttag(tag, attributes)
        if tag not in VOID:
            self.handle_endtag(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.text += data


def test_needs_nothing_from_outside(invented):
    source = html_report(invented())
    page = Page(source)
    assert all(link.startswith("#") for link in page.links)
    assert not {"script", "link", "img", "iframe", "object"} & set(page.tags)
    assert "@import" not in source
    assert not re.search(r"url\((?!#)", source)


@pytest.mark.parametrize(
    "expected",
    [
        "y = t + 2.5*x^2",
        "2.5 ± 0.03",
        "0.99999",
        "16 rows were fitted to, 4 were kept out",
        "4 rows that the fit did not see",
        "def formula(x, t):",
        "y = t + 2.5 x^{2}",
        "a note",
        "The search came to its end.",
        "time 1.2 s",
        "seed 7",
        "edgewise 0.",
    ],
)
def test_says_what_a_reader_wants_to_know(invented, expected):
    text = " ".join(Page(html_report(invented(), {"seed": 7})).text.split())
    assert expected in text


def test_has_the_formula_and_the_pictures(invented):
    page = Page(html_report(invented()))
    assert page.tags.count("svg") == 4
    assert "math" in page.tags
    assert page.tags.count("section") == 9


def test_ids_are_unique(invented):
    ids = re.findall(r'\bid="([^"]*)"', html_report(invented()))
    assert len(ids) == len(set(ids))


@pytest.mark.parametrize(
    "name", [EVIL, 'a" onload="x', "</style>", "a&b <i>", "x\x1b[31m", "größe"]
)
def test_names_stay_text(invented, name):
    found = invented(names=(name, "t"), target=f"{name} 2", notes=(f"{EVIL} left out",))
    source = html_report(found, {"table": EVIL})
    page = Page(source)
    assert not {"script", "i"} & set(page.tags)
    assert source.count("</style>") == 1
    assert name in page.text


@pytest.mark.parametrize("status", ["finished", "time limit", "interrupted"])
def test_each_status_is_explained(invented, status):
    assert "search" in Page(html_report(invented(status=status))).text


def test_small_tables_are_used_whole(invented):
    found = invented(rows=8)
    found = replace(found, held_out=found.train)
    text = Page(html_report(found)).text
    assert "too few to keep any out" in text
    assert "held out" not in text


def test_constant_target_and_formula(invented):
    found = invented()
    y = Samples(found.train.x, 0 * found.train.y + 3)
    flat = replace(found.front[0], formula=Formula("3", found.names, "y"), rmse=0.0, r2=1.0)
    found = replace(found, train=y, held_out=y, front=(flat,), pick=0)
    assert "does not vary" in Page(html_report(found)).text


def test_relative_errors_are_named(invented):
    assert "relative error" in Page(html_report(invented(relative=True))).text


def test_written_whole_or_not_at_all(invented, tmp_path):
    path = write_report(invented(), tmp_path / "report.html")
    assert path.read_text(encoding="utf-8").startswith("<!DOCTYPE html>")
    assert [p.name for p in tmp_path.iterdir()] == ["report.html"]
    with pytest.raises(FileError, match="cannot be written"):
        write_report(invented(), tmp_path / "no such folder" / "report.html")


def test_same_discovery_same_report(invented):
    found = invented()
    assert html_report(found) == html_report(found)


def test_latex_has_both_sides():
    assert latex_equation(Formula("x^2", ("x",), "E_1")) == "E_{1} = x^{2}"
