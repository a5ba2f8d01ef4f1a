"""What the command lines of several benchmarks have in common."""

from __future__ import annotations

import argparse
from pathlib import Path


def seeds(text: str) -> list[int]:
    """0-2 or 0,3."""
    first, dash, last = text.partition("-")
    return list(range(int(first), int(last) + 1)) if dash else [int(s) for s in text.split(",")]


def add_kept(parser: argparse.ArgumentParser, results: Path) -> None:
    """Where runs are kept, and what is made of those alone."""
    parser.add_argument("--results", type=Path, default=results)
    parser.add_argument("--table", action="store_true", help="only print what is kept")
    parser.add_argument("--plot", type=Path, metavar="FOLDER", help="only draw what is kept")
