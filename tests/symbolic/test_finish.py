"""The figures of a candidate: a weight counts a row as often as it says."""

import math

import pytest
import sympy
import torch

from edgewise.problems.dataset import Samples
from edgewise.symbolic.evaluate import symbol
from edgewise.symbolic.finish import Rows, error_of, finish

LAW = 2 * symbol("x") ** 2


def rows(weighted: bool, relative: bool) -> Rows:
    """Rows about y = 2 x^2, weighted by 1, 2, 3, 1, ... or repeated so often."""
    generator = torch.Generator().manual_seed(0)
    x = torch.rand(60, 1, generator=generator, dtype=torch.float64) + 0.2
    y = 2 * x**2 * (1 + 0.1 * torch.randn(60, 1, generator=generator, dtype=torch.float64))
    times = torch.arange(60) % 3 + 1

    def part(index: slice) -> Samples:
        part = Samples(x, y, times.double()).rows(index)
        if weighted:
            return part
        again = torch.arange(len(part)).repeat_interleave(times[index])
        return Samples(part.x[again], part.y[again])

    return Rows(part(slice(40)), part(slice(40, 60)), ("x",), ("x",), "y", relative)


@pytest.mark.parametrize("relative", [False, True])
def test_weights_are_repeated_rows(relative: bool) -> None:
    weighted, repeated = rows(True, relative), rows(False, relative)
    for name in ("train", "held_out"):
        error = error_of(LAW, getattr(weighted, name), weighted)
        assert error == pytest.approx(error_of(LAW, getattr(repeated, name), repeated), rel=1e-12)
    rough = sympy.Float(1.9) * symbol("x") ** 2
    found, expected = (finish(rough, r, "", math.inf, snap=False) for r in (weighted, repeated))
    assert found is not None and expected is not None
    for figure in ("rmse", "r2", "train_error", "error"):
        assert getattr(found, figure) == pytest.approx(getattr(expected, figure), rel=1e-7)
