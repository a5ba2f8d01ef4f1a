"""Models in files and back."""

from edgewise.io.checkpoint import load, save

__all__ = ["load", "save"]
