"""`edgewise info`: what a bug report should say about the installation."""

from __future__ import annotations

import importlib.metadata
import platform

import typer

from edgewise.cli.failures import plain_failures


def version() -> str:
    """The installed version."""
    return importlib.metadata.version("edgewise")


def info() -> None:
    """Print versions, devices, threads and kernels, for a bug report.

    \b
    Example:
      edgewise info
    """
    import torch

    from edgewise import kernel_info

    lines = {
        "edgewise": version(),
        "python": platform.python_version(),
        "system": f"{platform.system()} {platform.machine()}",
        "torch": torch.__version__,
        "torch threads": str(torch.get_num_threads()),
        "gpu": torch.cuda.get_device_name() if torch.cuda.is_available() else "none",
    }
    for package in ("numpy", "scipy", "sympy", "pandas", "matplotlib", "safetensors", "pyarrow"):
        lines[package] = _installed(package)
    for name, value in lines.items():
        typer.echo(f"{name:<14}{value}")
    typer.echo()
    with plain_failures(debug=False):  # EDGEWISE_KERNEL may name what there is not here
        typer.echo(kernel_info())


def _installed(package: str) -> str:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return "not installed"
