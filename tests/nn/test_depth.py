"""Deep and wide networks train from every family's default; benchmarks/depth.py has the long form."""

import math
import runpy
from pathlib import Path

import pytest

from edgewise import bases

DEPTH = runpy.run_path(str(Path(__file__).parents[2] / "benchmarks/depth.py"))


@pytest.mark.slow
@pytest.mark.parametrize("family", sorted(bases.FAMILIES))
@pytest.mark.parametrize("shape", sorted(DEPTH["SHAPES"]))
def test_the_loss_falls_to_an_eighth_of_the_first_epochs(family, shape):
    """In half the epochs of the long form, which asks for a tenth."""
    means = DEPTH["losses"](family, DEPTH["SHAPES"][shape], epochs=20)
    assert all(math.isfinite(mean) for mean in means)
    assert min(means) < means[0] / 8 and means[-1] < means[0] / 2
