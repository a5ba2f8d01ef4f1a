"""Bad input on the command line: a finite result, or exit code 2 with place and remedy."""

import os
import re
import signal
import subprocess
import sys
import time

import numpy as np
import pytest
from typer.testing import CliRunner

from edgewise.cli.main import app

ROWS = 20


def lines(change=None, rows=ROWS, header="a,b,y"):
    """A table y = 2 a + b, with the rows (1, 2, ...) that ``change`` replaces."""
    body = [[f"{k / 4}", f"{(k * 7) % 11}", f"{k / 2 + (k * 7) % 11}"] for k in range(1, rows + 1)]
    for (row, column), cell in (change or {}).items():
        body[row - 1][column] = cell
    return [header, *(",".join(cells) for cells in body)]


def refused(path, *words, target="y"):
    ran = CliRunner().invoke(app, ["discover", str(path), "--target", target, *words])
    assert "Traceback" not in ran.output
    assert ran.exit_code == 2, ran.output
    assert ran.stdout == ""
    assert ran.stderr.startswith("error: ")
    return ran.stderr


@pytest.fixture
def write(tmp_path):
    def written(content):
        path = tmp_path / "data.csv"
        path.write_text(content if isinstance(content, str) else "\n".join(content) + "\n")
        return path

    return written


@pytest.mark.parametrize("cell", ["nan", "inf", "-inf", "", "1e999", "n/a"])
@pytest.mark.parametrize(("column", "name"), [(1, "b"), (2, "y")])
def test_a_cell_that_is_no_finite_number(write, cell, column, name):
    said = refused(write(lines({(3, column): cell})))
    assert "line 4 (data row 3)" in said
    assert f"column '{name}'" in said
    assert "correct the cell" in said


def test_a_text_target(write):
    said = refused(write(lines({(k, 2): "high" for k in range(1, ROWS + 1)})))
    assert "column 'y'" in said
    assert "choose a numeric target" in said


def test_a_target_that_is_not_there(write):
    said = refused(write(lines()), target="Yy")
    assert "'Yy'" in said
    assert "did you mean 'y'" in said
    assert "'a', 'b', 'y'" in said


def test_no_target(write):
    ran = CliRunner().invoke(app, ["discover", str(write(lines()))])
    assert ran.exit_code == 2
    assert "its columns are 'a', 'b', 'y'" in ran.stderr


@pytest.mark.parametrize("content", ["", "a,b,y\n", "\n\n", "# only a comment\n"])
def test_an_empty_file(write, content):
    refused(write(content))


def test_a_truncated_file(write):
    text = "\n".join(lines())
    said = refused(write(text[: text.rindex(",")]))
    assert "line 21" in said


def test_a_wrong_delimiter(write):
    refused(write([line.replace(",", " : ") for line in lines()]))


def test_a_binary_file(tmp_path):
    path = tmp_path / "data.csv"
    path.write_bytes(bytes(range(256)) * 20)
    refused(path)


def test_a_folder_and_a_missing_file(tmp_path):
    assert "is a folder" in refused(tmp_path)
    (tmp_path / "data.csv").write_text("x")
    assert "did you mean" in refused(tmp_path / "dat.csv")


def test_a_single_row(write):
    assert "row" in refused(write(lines(rows=1)), "--quiet")


def found(path, *words):
    """stdout of a search that must end well, its last formula's figures checked to be finite."""
    ran = CliRunner().invoke(
        app, ["discover", str(path), "--target", "y", "--time-limit", "5", *words]
    )
    assert "Traceback" not in ran.output
    assert ran.exit_code == 0, ran.output
    pick = next(line for line in ran.stdout.splitlines() if line.startswith(">>>>"))
    assert np.isfinite(float(pick.split()[2]))
    assert not re.search(r"\b(nan|inf|zoo)\b", pick.split("=", 1)[1])
    return ran


@pytest.mark.slow
@pytest.mark.parametrize(
    "content",
    [
        pytest.param(lines({(k, 0): "3" for k in range(1, ROWS + 1)}), id="constant column"),
        pytest.param(lines({(k, 2): "3" for k in range(1, ROWS + 1)}), id="constant target"),
        pytest.param(["a,b,y", *lines()[1:] * 2], id="duplicate rows"),
        pytest.param(["a,b,y", *["1,2,4"] * 12], id="one row twelve times"),
        pytest.param(lines(rows=2), id="two rows"),
        pytest.param(lines(rows=3), id="three rows"),
        pytest.param(
            ["a,b,y", *(f"{k}e30,{k % 5}e-30,{3 * k}e30" for k in range(1, 21))], id="1e30 scale"
        ),
        pytest.param([*lines()[:1], *(f"{line[:-1]}5" for line in lines()[1:])], id="plain"),
    ],
)
def test_unusual_tables_give_a_finite_result(write, content):
    found(write(content))


@pytest.mark.slow
def test_a_text_column_is_left_out_and_named(write):
    text = {(k, 0): f"moon {k}" for k in range(1, ROWS + 1)}
    ran = found(write(lines(text)))
    assert "left out: column a" in ran.stderr


def start(*words, **options):
    environment = {**os.environ, "PYTHONUNBUFFERED": "1", "OMP_NUM_THREADS": "1"}
    return subprocess.Popen(
        [sys.executable, "-m", "edgewise", *map(str, words)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=environment,
        **options,
    )


@pytest.mark.slow
def test_a_real_process_refuses_without_a_traceback(write):
    process = start("discover", write(lines({(3, 1): "nan"})), "--target", "y")
    out, err = process.communicate(timeout=120)
    assert process.returncode == 2
    assert out == ""
    assert err.startswith("error: ")
    assert "Traceback" not in err


@pytest.mark.slow
def test_a_real_process_finds_a_law(write, tmp_path):
    folder = tmp_path / "found"
    process = start(
        "discover", write(lines()), "--target", "y", "--time-limit", 10, "--out", folder
    )
    out, err = process.communicate(timeout=120)
    assert process.returncode == 0, err
    assert ">>>>" in out
    assert len(list(folder.iterdir())) == 7


@pytest.mark.slow
def test_ctrl_c_shows_the_best_so_far(tmp_path):
    x = np.random.default_rng(0).uniform(0.5, 2, (400, 4))
    noise = np.random.default_rng(1).normal(0, 0.1, 400)
    y = np.sin(3 * x[:, 0] * x[:, 1]) + np.exp(-x[:, 2] * x[:, 3]) / x[:, 0] + noise
    path = tmp_path / "hard.csv"
    np.savetxt(path, np.column_stack([x, y]), delimiter=",", header="a,b,c,d,y", comments="")
    folder = tmp_path / "found"
    process = start("discover", path, "--target", "y", "--time-limit", 300, "--out", folder)
    said = ""
    for line in process.stderr:
        said += line
        if "best so far" in line:
            break
    time.sleep(1.0)
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=120)
    assert process.returncode == 130, said + err
    assert "Traceback" not in err
    assert ">>>>" in out
    assert "interrupted" in out
    assert (folder / "report.html").exists()
