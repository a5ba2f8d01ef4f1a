"""The kernels built to find wrong memory accesses and undefined behaviour, on random shapes.

This builds what stands for all instruction sets on other processors, which takes a tenth of the time;
``make sanitize TESTS=...`` builds those of this one, and ``fuzz_shapes.py`` runs as many shapes as asked.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest
from spline_cases import process

ROOT = Path(__file__).parents[2]
COMPILER = shutil.which(os.environ.get("CXX", "g++"))


def sanitizer() -> str:
    """The file of the AddressSanitizer's library, which must be loaded before all others."""
    if COMPILER is None or shutil.which("cmake") is None:
        pytest.skip("no compiler or no cmake")
    named = subprocess.run(
        [COMPILER, "-print-file-name=libasan.so"], capture_output=True, text=True
    )
    if not Path(named.stdout.strip()).is_absolute():
        pytest.skip("this compiler has no AddressSanitizer in a library of its own")
    return named.stdout.strip()


@pytest.fixture(scope="module")
def checked(tmp_path_factory) -> dict[str, str]:
    """The environment of a process that uses a library built to find errors."""
    preloaded, folder = sanitizer(), tmp_path_factory.mktemp("sanitized")
    kinds = ("-DEDGEWISE_SANITIZE=ON", "-DEDGEWISE_X86=OFF", f"-DCMAKE_CXX_COMPILER={COMPILER}")
    for step in (["-S", str(ROOT), "-B", str(folder), *kinds], ["--build", str(folder)]):
        done = subprocess.run(["cmake", *step], capture_output=True, text=True)
        assert done.returncode == 0, done.stdout + done.stderr
    return {
        "EDGEWISE_LIBRARY": str(folder / "libedgewise_kernels.so"),
        "EDGEWISE_KERNEL": "portable",
        "LD_PRELOAD": preloaded,
        "ASAN_OPTIONS": "detect_leaks=0",  # those of Python and torch
        "OMP_NUM_THREADS": "2",
    }


@pytest.mark.slow
def test_random_shapes_are_right_and_touch_no_memory_but_their_own(checked):
    done = process(str(Path(__file__).with_name("fuzz_shapes.py")), "150", **checked)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "150 shapes on portable: 0 wrong" in done.stdout


SHORT = """
import torch
from edgewise.kernels.bspline import cpu
from edgewise.kernels.bspline.contract import Spline

x, grid = torch.zeros(40, 1), torch.linspace(-1, 1, 6)[None]
for functions in (8, 7):
    cpu.forward(x, grid, torch.ones(3, 1, functions), None, 0, Spline(3, True, "linear"))
    print(functions, flush=True)
"""


@pytest.mark.slow
def test_a_wrong_access_would_be_found(checked):
    done = process("-c", SHORT, **checked)
    assert done.stdout.split() == ["8"] and done.returncode != 0
    assert "AddressSanitizer: heap-buffer-overflow" in done.stderr
