"""What the tests of benchmarks/ share."""

from pathlib import Path

import pytest
import torch


@pytest.fixture
def module(monkeypatch):
    """Imports a script of benchmarks/ by name."""
    monkeypatch.syspath_prepend(str(Path(__file__).parents[2] / "benchmarks"))
    threads = torch.get_num_threads()
    yield __import__
    torch.set_num_threads(threads)
