"""From functions on edges to formulas: primitives, search, simplification, and back."""

from importlib import import_module
from typing import Any

# name -> module; loaded on first use, because most of these modules need sympy.
_HOMES = {
    "PRIMITIVES": "primitives",
    "Primitive": "primitives",
    "primitive": "primitives",
    "register": "registry",
    "add_symbolic": "registry",
    "symbol": "evaluate",
    "Constant": "formula",
    "Formula": "formula",
    "network_formulas": "compose",
    "compile_formula": "compile",
    "compile_structure": "form",
    "augment": "auxiliary",
    # The function `evaluate` stays in its module of the same name, and so does `parse`: a package
    # cannot hold a module and a function under one name.
}

__all__ = sorted(_HOMES)


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f".{_HOMES[name]}", __name__), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *_HOMES})
