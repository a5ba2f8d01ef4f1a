"""`edgewise discover`: what is printed and written, with a search that is made up."""

import csv
import re

import numpy as np
import pytest
from rich.console import Console
from typer.testing import CliRunner

import edgewise
from edgewise import recipes
from edgewise.cli import show
from edgewise.cli.main import app
from edgewise.errors import DataError

FILES = {
    "formula.txt",
    "formula.tex",
    "front.csv",
    "model.safetensors",
    "network.svg",
    "predicted.svg",
    "report.html",
}


@pytest.fixture
def table(tmp_path):
    path = tmp_path / "data.csv"
    rows = [f"{x},{x * 2 % 7},{x**2},Mars" for x in range(1, 21)]
    path.write_text("\n".join(["x,t,y,planet", *rows]))
    return path


@pytest.fixture
def search(monkeypatch, invented):
    """Takes the search's place; ``asked`` is what it was called with, ``answer`` what it gives."""

    class Search:
        def __init__(self):
            self.answer = invented()
            self.asked = {}

        def __call__(self, X, y, names, *, progress, **options):
            self.asked = {"X": X, "y": y, "names": names, **options}
            progress("simple formulas", None, 0.1)
            progress("networks", self.answer.front[-1] if self.answer.front else None, 0.2)
            if isinstance(self.answer, BaseException):
                raise self.answer
            return self.answer

    made = Search()
    monkeypatch.setattr(recipes, "discover", made)
    return made


def run(*words):
    return CliRunner().invoke(app, [str(word) for word in words])


def test_front_on_stdout_and_progress_on_stderr(table, search):
    ran = run("discover", table, "--target", "y")
    assert ran.exit_code == 0
    assert str(search.answer) in ran.stdout
    assert "20 rows; y explained by 2 columns: x, t" in ran.stderr
    assert "left out: column planet (the column holds text, here 'Mars')" in ran.stderr
    assert "simple formulas" in ran.stderr
    assert "best so far: y = t + 2.5*x^2" in ran.stderr
    for said in ("formula         y = t + 2.5*x^2", "4 rows that the fit did not see",
                 "0.99999", "2.5 ± 0.03", "a note"):  # fmt: skip
        assert said in ran.stdout


def test_quiet_prints_the_result_only(table, search):
    ran = run("discover", table, "-t", "y", "--quiet")
    assert ran.stderr == ""
    assert str(search.answer) in ran.stdout


@pytest.mark.parametrize(
    ("words", "names"),
    [
        ([], ["x", "t"]),
        (["--features", "t"], ["t"]),
        (["--features", "t,x"], ["t", "x"]),
        (["-f", "t", "-f", " x "], ["t", "x"]),
    ],
)
def test_features(table, search, words, names):
    run("discover", table, "-t", "y", *words)
    assert search.asked["names"] == names
    assert search.asked["X"].shape == (20, len(names))


def test_a_name_with_a_comma_is_quoted(tmp_path, search):
    path = tmp_path / "data.csv"
    path.write_text('"a, m",b,y\n1,2,3\n2,3,4\n')
    run("discover", path, "-t", "y", "-f", '"a, m",b')
    assert search.asked["names"] == ["a, m", "b"]


def test_options_reach_the_search(table, search):
    run("discover", table, "-t", "y", "--time-limit", "7", "--seed", "3", "--jobs", "2",
        "--primitives", "x,sin", "--primitives", "exp")  # fmt: skip
    asked = {key: search.asked[key] for key in ("time_limit", "seed", "jobs", "lib", "target")}
    assert asked == {
        "time_limit": 7.0, "seed": 3, "jobs": 2, "lib": ["x", "sin", "exp"], "target": "y"
    }  # fmt: skip


def test_what_is_asked_of_the_formula_reaches_the_search(table, search):
    run("discover", table, "-t", "y", "--stop-at", "0.01", "--forbid", "sin(exp),tan",
        "--forbid", "exp(exp)", "--start", "a + 1", "--start", "x^2",
        "--unit", "x=m/s", "--unit", "t = s", "--unit", "y=")  # fmt: skip
    keys = ("stop_at", "forbid", "template", "start", "units")
    assert {key: search.asked[key] for key in keys} == {
        "stop_at": 0.01, "forbid": ["sin(exp)", "tan", "exp(exp)"], "template": None,
        "start": ["a + 1", "x^2"], "units": {"x": "m/s", "t": "s", "y": ""},
    }  # fmt: skip
    run("discover", table, "-t", "y", "--template", "a*sin(b*x) + c")
    assert search.asked["template"] == "a*sin(b*x) + c"
    assert search.asked["start"] is None and search.asked["units"] is None


def test_what_was_saved_is_begun_with(table, search, tmp_path):
    file = tmp_path / "found.edgewise"
    ran = run("discover", table, "-t", "y", "--save", file)
    assert ran.exit_code == 0, ran.output
    assert str(edgewise.Discovery.load(file)) == str(search.answer)
    run("discover", table, "-t", "y", "--start", file)
    (start,) = search.asked["start"]
    assert str(start) == str(search.answer)


def test_a_place_to_save_is_looked_at_before_the_search(table, search, tmp_path):
    for place in (tmp_path, tmp_path / "none" / "file"):
        ran = run("discover", table, "-t", "y", "--save", place)
        assert ran.exit_code == 2
        assert "--save" in ran.stderr
    assert not search.asked


def test_options_are_in_the_report(table, search, tmp_path):
    run("discover", table, "-t", "y", "--template", "a*x", "--unit", "x=m", "--out", tmp_path)
    report = (tmp_path / "report.html").read_text()
    assert "a*x" in report and "x: m" in report


def test_files(table, search, tmp_path):
    folder = tmp_path / "a" / "found"
    ran = run("discover", table, "-t", "y", "--out", folder)
    assert ran.exit_code == 0, ran.output
    assert {p.name for p in folder.iterdir()} == FILES
    assert all(name in ran.stdout for name in FILES)
    assert (folder / "formula.tex").read_text() == "y = t + 2.5 x^{2}\n"
    with (folder / "front.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["pick"] for row in rows] == ["", "yes"]
    assert float(rows[1]["held_out_rmse"]) == 0.02
    found = search.answer
    predicted = edgewise.load(folder / "model.safetensors")(found.train.x)[:, 0].detach().numpy()
    np.testing.assert_allclose(predicted, found.predict(found.train.x), rtol=1e-12)
    scope: dict = {}
    python = (folder / "formula.txt").read_text().split("\n\n", 2)[2]
    exec(python, scope)  # noqa: S102 (our own file: that it runs is the claim)
    assert scope["formula"](2.0, 1.0) == 11.0
    assert "column planet was left out" in (folder / "report.html").read_text()


def test_other_files_stay_and_ours_are_replaced(table, search, tmp_path):
    folder = tmp_path / "found"
    folder.mkdir()
    (folder / "notes.md").write_text("mine")
    (folder / "formula.tex").write_text("old")
    run("discover", table, "-t", "y", "--out", folder)
    assert {p.name for p in folder.iterdir()} == FILES | {"notes.md"}
    assert (folder / "notes.md").read_text() == "mine"
    assert (folder / "formula.tex").read_text() != "old"


def test_what_was_written_before_a_failure_stays(table, search, tmp_path):
    folder = tmp_path / "found"
    (folder / "front.csv").mkdir(parents=True)  # no file can take this name
    ran = run("discover", table, "-t", "y", "--out", folder)
    assert ran.exit_code == 2
    assert "front.csv cannot be written" in ran.stderr
    assert str(search.answer) in ran.stdout
    assert {p.name for p in folder.iterdir()} == {"formula.txt", "formula.tex", "front.csv"}


def test_a_file_in_the_way_of_the_folder_is_found_before_the_search(table, search):
    ran = run("discover", table, "-t", "y", "--out", table)
    assert ran.exit_code == 2
    assert "a file of that name is in the way" in ran.stderr
    assert not search.asked


def test_interrupted_search_shows_and_writes_the_best(table, search, invented, tmp_path):
    search.answer = invented(status="interrupted")
    ran = run("discover", table, "-t", "y", "--out", tmp_path / "found")
    assert ran.exit_code == 130
    assert str(search.answer) in ran.stdout
    assert "interrupted" in ran.stdout
    assert {p.name for p in (tmp_path / "found").iterdir()} == FILES


def test_interrupted_before_anything_was_found(table, monkeypatch):
    def stopped(*_, **__):
        raise KeyboardInterrupt

    monkeypatch.setattr(recipes, "discover", stopped)
    ran = run("discover", table, "-t", "y")
    assert ran.exit_code == 130
    assert "Stopped by Ctrl-C" in ran.stderr
    assert ran.stdout == ""


@pytest.mark.parametrize(
    ("error", "code", "said"),
    [
        (DataError("column 'x', row 3: no\nnumber"), 2, "error: column 'x', row 3: no number"),
        (ZeroDivisionError("oops"), 1, "error: edgewise itself failed (ZeroDivisionError: oops)"),
    ],
)
def test_failures_are_a_paragraph(table, monkeypatch, error, code, said):
    def failing(*_, **__):
        raise error

    monkeypatch.setattr(recipes, "discover", failing)
    ran = run("discover", table, "-t", "y", "--quiet")
    assert ran.exit_code == code
    assert ran.stderr.startswith(said)
    assert ran.stderr.count("\n") == 1
    assert "Traceback" not in ran.output
    debugged = run("discover", table, "-t", "y", "--debug")
    assert debugged.exception is error


@pytest.mark.parametrize(
    "words",
    [
        ["--time-limit", "0"],
        ["--time-limit", "nan"],
        ["--time-limit", "-3"],
        ["--time-limit", "soon"],
        ["--seed", "-1"],
        ["--jobs", "0"],
        ["--primitives", "sinn"],
        ["--features", "nobody"],
        ["--stop-at", "-1"],
        ["--unit", "x"],
        ["--unit", "=m"],
        ["--no-such-option"],
    ],
)
def test_options_that_do_not_fit(table, search, words):
    ran = run("discover", table, "-t", "y", *words)
    assert ran.exit_code == 2
    assert ran.stderr
    assert "Traceback" not in ran.output
    assert not search.asked


@pytest.mark.parametrize("width", [30, 50, 80, 140])
def test_a_formula_is_never_cut(invented, width):
    found = invented(names=("semi_major_axis_of_the_orbit", "temperature"))
    console = Console(width=width, record=True, file=None, quiet=False, highlight=False)
    with console.capture() as captured:
        console.print(show._front(found, width))
    lines = captured.get().splitlines()
    assert all(len(line) <= width for line in lines)
    packed = re.sub(r"\s", "", captured.get())
    for candidate in found.front:
        text = re.sub(r"\s", "", str(candidate.formula))
        if width >= 80:  # in a column the lines of other columns stand between
            text = text.split("=")[0]
        assert text in packed
    assert "…" not in packed


def test_control_characters_are_shown_not_obeyed(tmp_path, search, invented):
    path = tmp_path / "data.csv"
    path.write_text("x\x1b[31m,t,y\n1,2,3\n2,3,4\n")
    search.answer = invented(names=("x\x1b[31m", "t"))
    ran = run("discover", path, "-t", "y")
    assert "\x1b" not in ran.output
