"""Text that is safe to print."""

from __future__ import annotations


def printable(text: str) -> str:
    """The text with control characters made visible: names come from files of others."""
    return "".join(c if c.isprintable() or c == "\n" else repr(c)[1:-1] for c in text)
