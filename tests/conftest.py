"""Values that tests of several packages need."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch

from edgewise.discovery import Discovery
from edgewise.problems.dataset import Samples
from edgewise.symbolic.formula import Constant, Formula
from edgewise.symbolic.front import Candidate


@pytest.fixture
def invented() -> Callable[..., Discovery]:
    """Builds a Discovery of target = 2.5 first^2 + second without a search."""

    def build(
        names: tuple[str, ...] = ("x", "t"),
        target: str = "y",
        rows: int = 20,
        status: str = "finished",
        **changes: object,
    ) -> Discovery:
        x = torch.linspace(0.5, 3.0, rows * len(names), dtype=torch.float64).reshape(rows, -1)
        y = 2.5 * x[:, [0]] ** 2 + x[:, [1]]
        pick = Formula(f"2.5*`{names[0]}`^2 + `{names[1]}`", names, target, (Constant(2.5, 0.03),))
        front = (
            Candidate(Formula("12.25", names, target), 7.5, 0.0, 7.4, 7.5, "constant"),
            Candidate(pick, 0.02, 0.99999, 0.02, 0.02, "terms"),
        )
        held = rows // 5
        parts = Samples(x[held:], y[held:]), Samples(x[:held], y[:held])
        made = {"seconds": 1.25, "status": status, "notes": ("a note",), **changes}
        return Discovery(front, 1, names, target, *parts, **made)

    return build
