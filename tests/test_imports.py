"""Imports go downwards only, and `import edgewise` loads torch and nothing heavier."""

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import edgewise

ROOT = Path(edgewise.__file__).parent
MODULES = sorted(ROOT.rglob("*.py"))

# Who may import whom: a unit imports from lower layers only. A unit is a package or a top module.
LAYERS = (
    ("kernels", "errors", "workers"),
    ("bases", "optim", "problems"),
    ("nn",),
    ("train", "interpret"),
    ("symbolic",),
    ("plot", "io", "pde"),
    ("model", "discovery", "recipes", "estimators"),
    ("cli", "studio", "__main__"),
)
LEVEL = {unit: level for level, units in enumerate(LAYERS) for unit in units}

# Within one layer nobody imports his neighbour, but for these.
NEIGHBOURS = {
    ("kernels", "errors"),
    ("workers", "errors"),
    ("io", "plot"),  # a report holds pictures
    ("discovery", "model"),  # a formula as a network
    ("recipes", "discovery"),
    ("recipes", "model"),
    ("estimators", "model"),
    ("estimators", "recipes"),
    ("__main__", "cli"),
}

HEAVY = ("sympy", "matplotlib", "pandas", "pyarrow", "rich", "typer", "scipy", "sklearn")


def unit_of(path: Path) -> str:
    """The package or top module that a file belongs to; "" for edgewise/__init__.py itself."""
    parts = path.relative_to(ROOT).with_suffix("").parts
    return "" if parts == ("__init__",) else parts[0]


def imported_names(tree: ast.AST, package: tuple[str, ...]) -> Iterator[tuple[int, str]]:
    """(line, dotted name) of every import in a file of this package, inside functions too."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from ((node.lineno, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = package[: len(package) - node.level + 1] if node.level else ()
            module = ".".join((*base, *(node.module or "").split("."))).rstrip(".")
            yield from ((node.lineno, f"{module}.{alias.name}") for alias in node.names)
        elif (
            isinstance(node, ast.Call)
            and ast.unparse(node.func).rpartition(".")[2] in ("import_module", "__import__")
            and node.args
            and isinstance(node.args[0], ast.Constant)
        ):
            yield node.lineno, str(node.args[0].value)


def imported_units(path: Path) -> Iterator[tuple[int, str]]:
    """(line, unit) of every import from edgewise; "" where a public name of edgewise is taken."""
    package = ("edgewise", *path.relative_to(ROOT).parent.parts)
    tree = ast.parse(path.read_text(encoding="utf-8"))
    for line, name in imported_names(tree, package):
        first, *rest = name.split(".")
        if first == "edgewise":
            yield line, rest[0] if rest and rest[0] in LEVEL else ""


def allowed(importer: str, imported: str) -> bool:
    if importer in ("", imported):
        return True  # edgewise/__init__.py gathers the public names; siblings know each other
    if imported == "":
        return LEVEL[importer] == len(LAYERS) - 1  # public names are for the outermost layer
    return LEVEL[imported] < LEVEL[importer] or (importer, imported) in NEIGHBOURS


def test_every_unit_has_a_layer():
    units = {unit_of(path) for path in MODULES} - {""}
    assert units <= set(LEVEL), f"say in LAYERS where {units - set(LEVEL)} belong"


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(ROOT)))
def test_imports_go_downwards(path):
    unit = unit_of(path)
    wrong = [
        f"{path.relative_to(ROOT)}:{line}: {unit} must not import {imported or 'edgewise itself'}"
        for line, imported in imported_units(path)
        if not allowed(unit, imported)
    ]
    assert not wrong, "\n".join(wrong)


@pytest.mark.parametrize(
    ("importer", "imported", "fine"),
    [
        ("nn", "bases", True),
        ("nn", "nn", True),
        ("bases", "nn", False),
        ("train", "interpret", False),
        ("interpret", "train", False),
        ("symbolic", "interpret", True),
        ("plot", "io", False),
        ("estimators", "recipes", True),
        ("recipes", "estimators", False),
        ("cli", "", True),
        ("train", "", False),
        ("", "cli", True),
    ],
)
def test_the_rule_itself(importer, imported, fine):
    assert allowed(importer, imported) is fine


def test_every_way_of_importing_is_seen():
    source = """
import edgewise.nn.layer
from edgewise import train
from . import trace
from ..bases import base
from .layer import KANLayer
def later():
    from edgewise.io import spec
    importlib.import_module("edgewise.plot")
"""
    seen = [name for _, name in imported_names(ast.parse(source), ("edgewise", "nn"))]
    assert sorted(seen) == [
        "edgewise.bases.base",
        "edgewise.io.spec",
        "edgewise.nn.layer",
        "edgewise.nn.layer.KANLayer",
        "edgewise.nn.trace",
        "edgewise.plot",
        "edgewise.train",
    ]


def loaded_by(statement: str) -> set[str]:
    """The heavy packages that a fresh interpreter has loaded after the statement."""
    code = f"{statement}\nimport sys\nprint(*(m for m in {HEAVY!r} if m in sys.modules))"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return set(run.stdout.split())


def test_import_loads_nothing_heavier_than_torch():
    assert loaded_by("import edgewise") <= loaded_by("import torch")


def test_tables_are_read_without_heavy_packages():
    assert loaded_by("import edgewise.problems.table") <= loaded_by("import torch")
