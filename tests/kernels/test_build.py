"""What an installation is made from, and that one without a compiler works."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import sysconfig
import tarfile
import zipfile
from pathlib import Path

import pytest

pytest.importorskip("scikit_build_core")
ROOT = Path(__file__).parents[2]


def build(kind: str, source: Path, target: Path, **environment: str) -> Path:
    """The sdist or wheel that a tool like pip would get from the sources."""
    code = f"import sys; from scikit_build_core.build import build_{kind} as b; b(sys.argv[1])"
    run = subprocess.run(
        [sys.executable, "-c", code, str(target)],
        cwd=source,
        capture_output=True,
        text=True,
        env={**os.environ, **environment},
    )
    assert run.returncode == 0, run.stdout + run.stderr
    (file,) = target.iterdir()
    return file


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("cmake") is None, reason="no cmake: pip would bring it")
def test_sources_without_a_compiler_become_a_pure_wheel_that_works(tmp_path):
    for name in ("packed", "wheel"):
        (tmp_path / name).mkdir()
    with tarfile.open(build("sdist", ROOT, tmp_path / "packed")) as archive:
        archive.extractall(tmp_path / "source", filter="data")
    (source,) = (tmp_path / "source").iterdir()
    kept = {path.name for path in (ROOT / "csrc").iterdir()}
    assert kept == {path.name for path in (source / "csrc").iterdir()}

    absent = {"CC": "/nonexistent", "CXX": "/nonexistent"}
    wheel = build("wheel", source, tmp_path / "wheel", **absent)
    assert wheel.name.endswith("-py3-none-any.whl")
    with zipfile.ZipFile(wheel) as archive:
        assert not [name for name in archive.namelist() if name.endswith(".so")]
        archive.extractall(tmp_path / "installed")

    # -S: an editable installation would answer before the path does.
    code = """
import torch, edgewise
print(edgewise.__file__)
model = edgewise.KAN([2, 2, 1])
assert model(torch.zeros(3, 2)).isfinite().all()
info = edgewise.kernel_info()
assert (info.path, info.library) == ("reference", None), info
assert "built without a compiler" in info.reason
"""
    path = os.pathsep.join((str(tmp_path / "installed"), sysconfig.get_path("platlib")))
    run = subprocess.run(
        [sys.executable, "-S", "-c", code],
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONPATH": path, "EDGEWISE_KERNEL": "", "EDGEWISE_LIBRARY": ""},
    )
    assert run.returncode == 0, run.stderr
    assert Path(run.stdout.strip()).is_relative_to(tmp_path)
