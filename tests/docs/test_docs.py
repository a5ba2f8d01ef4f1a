"""What the pages show is true: Python runs, links lead somewhere, commands exist."""

from __future__ import annotations

import linecache
import re
import shlex
from pathlib import Path

import pytest
from documents import PAGES, ROOT, Block, blocks, headings, links

from edgewise.cli.main import app

# Shown commands begin with one of these; anything else in a console block is what they print.
COMMANDS = ("edgewise", "make", "pip", "python", "git", ".venv/bin/")
PUBLIC_NAMES = "from edgewise import KAN, create_dataset\nf = lambda x: 3*x[:,[0]]**3"


def name(page: Path) -> str:
    return page.relative_to(ROOT).as_posix()


def runnable(page: Path) -> list[Block]:
    """The Python blocks to run here; those of CONTRIBUTING.md run in test_contributing.py."""
    if page.name == "CONTRIBUTING.md":
        return []
    return [b for b in blocks(page) if b.info == "python"]


every_page = pytest.mark.parametrize("page", PAGES, ids=name)


@pytest.mark.slow
@pytest.mark.parametrize("page", [page for page in PAGES if runnable(page)], ids=name)
def test_python_blocks_run_in_order(page, tmp_path, monkeypatch, capsys):
    """One namespace a page, in a folder of its own that holds the examples.

    A pick that the page shows as printed, ">>>> ...", is among what the blocks print.
    """
    monkeypatch.setenv("MPLBACKEND", "Agg")
    monkeypatch.chdir(tmp_path)
    (tmp_path / "examples").symlink_to(ROOT / "examples")
    namespace = {"__name__": "__main__"}
    for block in runnable(page):
        # Line numbers of the page, so that a failure names the line to look at.
        source = "\n" * (block.line - 1) + block.text
        file = f"<{name(page)}>"
        linecache.cache[file] = (len(source), None, source.splitlines(True), file)
        exec(compile(source, file, "exec"), namespace)  # noqa: S102  (our own pages)
    printed = capsys.readouterr().out
    for block in blocks(page):
        for line in block.text.splitlines():
            if block.info == "text" and line.startswith(">>>>"):
                assert line.rpartition("   ")[2] in printed, f"{name(page)} shows {line!r}"


@every_page
def test_a_block_that_does_not_run_says_why(page):
    for block in blocks(page):
        if block.language != "python" or block.info == "python":
            continue
        assert block.info == "python no-run", f"{name(page)}:{block.line}: {block.info!r}"
        first = block.text.splitlines()[0]
        assert re.match(r"# not run: \S+ \S+", first), f"{name(page)}:{block.line}: no reason given"


def test_the_names_that_users_bring_are_shown_as_written():
    shown = [b.text for page in PAGES for b in runnable(page)]
    assert any(text.startswith(PUBLIC_NAMES) for text in shown)


@every_page
def test_links_lead_somewhere(page):
    for link in links(page):
        if re.match(r"[a-z]+:", link):
            continue
        path, _, anchor = link.partition("#")
        target = (page.parent / path).resolve() if path else page
        assert target.exists(), f"{name(page)} links to {link}, which is not there"
        if anchor:
            assert anchor in headings(target), f"{name(page)}: {link} names no heading"


def shown_commands(page: Path) -> list[str]:
    """Commands in sh blocks; a line that ends in a backslash goes on."""
    found = []
    for block in blocks(page):
        if block.language != "sh":
            continue
        for line in block.text.replace("\\\n", " ").splitlines():
            if line.strip() and not line.lstrip().startswith("#"):
                found.append(line.strip())
    return found


@every_page
def test_commands_shown_exist(page):
    targets = re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(), re.MULTILINE)
    for line in shown_commands(page):
        assert line.startswith(COMMANDS), f"{name(page)}: {line!r}"
        words = [word for word in shlex.split(line, comments=True) if word != ""]
        program = Path(words[0]).name
        if program == "make":
            wanted = [word for word in words[1:] if "=" not in word]
            assert set(wanted) <= set(targets), f"{name(page)}: {line!r}"
        if program == "edgewise":
            check_edgewise(words[1:], f"{name(page)}: {line!r}")
        if program == "python" and words[1:2] and words[1].endswith(".py"):
            assert (ROOT / words[1]).exists(), f"{name(page)}: {line!r}"


def check_edgewise(words: list[str], where: str) -> None:
    """Subcommand and options are known, and files in examples/ are there."""
    import typer

    group = typer.main.get_command(app)
    command, rest = group, words
    if words and not words[0].startswith("-"):
        assert words[0] in group.commands, where
        command, rest = group.commands[words[0]], words[1:]
    known = {option for parameter in command.params for option in parameter.opts}
    known |= {"-h", "--help"}
    for word in rest:
        if word.startswith("-"):
            assert word.partition("=")[0] in known, f"{where}: no option {word}"
        if word.startswith("examples/"):
            assert (ROOT / word).exists(), where


def test_every_command_is_documented():
    import typer

    shown = "\n".join(line for page in PAGES for line in shown_commands(page))
    for command in typer.main.get_command(app).commands:
        assert f"edgewise {command}" in shown
