"""edgewise: Kolmogorov-Arnold networks for PyTorch, from data to formula.

The public names are loaded when they are first used, so that ``import edgewise`` loads torch and
nothing heavier.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

import torch as _torch  # noqa: F401  (the one heavy import, made at a known place)

if TYPE_CHECKING:
    from edgewise import bases, interpret, io, nn, pde, plot, problems, symbolic, train
    from edgewise.discovery import Discovery
    from edgewise.kernels.native import kernel_info
    from edgewise.model import KAN, compile_formula, load, save
    from edgewise.problems import create_dataset
    from edgewise.recipes import discover

__version__ = "0.1.0"

# public name -> the module that holds it; None: the name is itself a subpackage
_NAMES = {
    "KAN": "edgewise.model",
    "compile_formula": "edgewise.model",
    "load": "edgewise.model",
    "save": "edgewise.model",
    "kernel_info": "edgewise.kernels.native",
    "create_dataset": "edgewise.problems",
    "discover": "edgewise.recipes",
    "Discovery": "edgewise.discovery",
    "bases": None,
    "interpret": None,
    "io": None,
    "nn": None,
    "pde": None,
    "plot": None,
    "problems": None,
    "symbolic": None,
    "train": None,
}

__all__ = [
    "KAN",
    "Discovery",
    "bases",
    "compile_formula",
    "create_dataset",
    "discover",
    "interpret",
    "io",
    "kernel_info",
    "load",
    "nn",
    "pde",
    "plot",
    "problems",
    "save",
    "symbolic",
    "train",
]


def __getattr__(name: str) -> Any:
    if name not in _NAMES:
        raise AttributeError(f"module 'edgewise' has no attribute {name!r}")
    module = _NAMES[name]
    if module is None:
        return import_module(f"edgewise.{name}")
    return getattr(import_module(module), name)


def __dir__() -> list[str]:
    return sorted([*globals(), *_NAMES])
