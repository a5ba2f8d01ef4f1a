"""The command itself: help, version, info, and that its page leaves nothing out."""

from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner

from edgewise import __version__, kernel_info
from edgewise.cli.main import app
from edgewise.kernels import native

PAGE = Path(__file__).parents[2] / "docs" / "cli.md"
GROUP = typer.main.get_command(app)


def run(*words):
    return CliRunner().invoke(app, list(words))


def options():
    """(command, option name) of everything that can be typed."""
    for option in GROUP.params:
        yield from (("", name) for name in option.opts)
    for name, command in GROUP.commands.items():
        for option in command.params:
            if option.param_type_name == "option":
                yield from ((name, spelling) for spelling in option.opts)


@pytest.mark.parametrize(("command", "option"), sorted(options()))
def test_every_option_is_documented(command, option):
    page = PAGE.read_text(encoding="utf-8")
    part = page.split(f"## edgewise {command}")[1].split("\n## ")[0] if command else page
    assert f"`{option}" in part or f" {option} " in part


@pytest.mark.parametrize("command", sorted(GROUP.commands))
def test_every_command_is_documented_and_helps(command):
    assert f"## edgewise {command}" in PAGE.read_text(encoding="utf-8")
    ran = run(command, "--help")
    assert ran.exit_code == 0
    assert "Example" in ran.stdout


def test_without_a_command_it_helps():
    assert "discover" in run().output
    assert "discover" in run("--help").stdout


def test_version():
    assert run("--version").stdout == f"edgewise {__version__}\n"


def test_info():
    ran = run("info")
    assert ran.exit_code == 0
    for word in ("edgewise", "torch", "threads", "gpu", "python"):
        assert word in ran.stdout
    assert ran.stdout.endswith(f"\n\n{kernel_info()}\n")


def test_info_says_which_kernels_there_are_when_others_are_asked_for(monkeypatch):
    monkeypatch.setattr(native, "_choice", None)
    monkeypatch.setenv("EDGEWISE_KERNEL", "v9")
    ran = run("info")
    assert ran.exit_code == 2
    assert "torch threads" in ran.stdout and "v9" in ran.stderr and "reference" in ran.stderr
