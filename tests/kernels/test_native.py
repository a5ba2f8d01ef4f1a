"""Which kernels are used, who decides it, and that their threads and torch's live together."""

from __future__ import annotations

import os
import subprocess
import sys
import warnings
from pathlib import Path

import pytest
import torch

import edgewise
from edgewise.errors import InputError
from edgewise.kernels import native

ISAS = edgewise.kernel_info().isas
built = pytest.mark.skipif(not ISAS, reason="this installation has no native library")


@pytest.fixture
def afresh(monkeypatch):
    """Before its first use, as in a new process; what was found is forgotten again afterwards."""
    for name in ("EDGEWISE_KERNEL", "EDGEWISE_LIBRARY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(native, "_choice", None)
    native._found.cache_clear()
    yield monkeypatch
    native._found.cache_clear()


def process(code: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-W", "error::RuntimeWarning", "-c", code],
        capture_output=True,
        text=True,
        timeout=100,
        env={**os.environ, **environment},
    )


def test_the_best_is_used_unless_told_otherwise(afresh):
    info = edgewise.kernel_info()
    if ISAS:
        assert (info.path, info.isa) == ("native", info.isas[0])
        assert info.library.is_file() and native.library().edgewise_isa().decode() == info.isa
    else:
        assert (info.path, info.isa, native.library()) == ("reference", "", None)
    assert info.reason and info.triton


def test_info_is_readable():
    lines = dict(line.split(maxsplit=1) for line in str(edgewise.kernel_info()).splitlines())
    assert list(lines) == ["kernels", "reason", "instructions", "threads", "library", "triton"]
    assert lines["kernels"] == edgewise.kernel_info().path


@pytest.mark.parametrize("name", ["reference", *ISAS])
def test_the_environment_decides(name):
    code = "import edgewise; i = edgewise.kernel_info(); print(i.path, i.isa, i.reason)"
    run = process(code, EDGEWISE_KERNEL=name)
    expected = ("reference", "") if name == "reference" else ("native", name)
    assert run.stdout.rstrip("\n") == " ".join((*expected, f"EDGEWISE_KERNEL={name}")), run.stderr


def test_an_unknown_name_is_refused_with_those_there_are(afresh):
    afresh.setenv("EDGEWISE_KERNEL", "v9")
    listed = ", ".join(("auto", "reference", *ISAS))
    for _ in range(2):
        with pytest.raises(InputError, match=rf"EDGEWISE_KERNEL=v9 .*{listed}"):
            native.library()


@pytest.mark.parametrize("name", ["reference", *ISAS])
def test_a_block_uses_what_it_names_and_no_more(name):
    before = edgewise.kernel_info()
    with native.using(name):
        assert edgewise.kernel_info().isa == ("" if name == "reference" else name)
        if name == "reference":
            assert native.library() is None
        else:
            assert native.library().edgewise_isa().decode() == name
    with pytest.raises(ZeroDivisionError), native.using(name):
        raise ZeroDivisionError
    with pytest.raises(InputError, match=r"using\('v9'\)"), native.using("v9"):
        pass
    assert edgewise.kernel_info() == before


def test_without_a_library_the_reference_is_used_and_said(afresh):
    afresh.setattr(native, "FILE", "absent.so")
    info = edgewise.kernel_info()
    assert (info.path, info.isas, info.library) == ("reference", (), None)
    assert info.reason == "no native library in this installation: built without a compiler"
    with pytest.raises(InputError, match="built without a compiler"), native.using("v3"):
        pass


@built
def test_a_library_of_another_version_is_left_alone_loudly(afresh):
    file = edgewise.kernel_info().library
    afresh.setattr(native, "_choice", None)
    afresh.setattr(native, "ABI", native.ABI + 1)
    native._found.cache_clear()
    with pytest.warns(RuntimeWarning, match="Install edgewise again"):
        assert native.library() is None
    assert edgewise.kernel_info().library == file
    assert "number" in edgewise.kernel_info().reason


def test_a_named_library_must_serve(afresh, tmp_path):
    file = tmp_path / native.FILE
    afresh.setenv("EDGEWISE_LIBRARY", str(file))
    with pytest.raises(InputError, match="is no file"):
        native.library()
    file.write_text("text", encoding="utf-8")
    with pytest.raises(InputError, match="cannot be loaded"):
        native.library()
    if ISAS:
        afresh.delenv("EDGEWISE_LIBRARY")
        folder = Path(edgewise.kernel_info().library)
        native._found.cache_clear()
        afresh.setattr(native, "_choice", None)
        afresh.setenv("EDGEWISE_LIBRARY", str(folder))
        assert edgewise.kernel_info().library == folder


def test_threads_are_those_of_torch():
    before = torch.get_num_threads()
    try:
        for count in (1, 2, 3):
            torch.set_num_threads(count)
            info = edgewise.kernel_info()
            assert native.threads() == count
            if info.path == "native" and info.openmp:
                assert info.threads == count == native.library().edgewise_team(count)
    finally:
        torch.set_num_threads(before)


@built
@pytest.mark.skipif(sys.platform != "linux", reason="asks Linux for the files of a process")
def test_torch_and_the_kernels_share_one_openmp():
    code = """
import torch
from edgewise.kernels import native
files = {line.split()[-1] for line in open("/proc/self/maps") if "omp" in line.rpartition("/")[2]}
assert native.library().edgewise_team(2) == (2 if native.kernel_info().openmp else 1)
again = {line.split()[-1] for line in open("/proc/self/maps") if "omp" in line.rpartition("/")[2]}
assert files == again, again - files
"""
    run = process(code, EDGEWISE_KERNEL="auto")
    assert run.returncode == 0, run.stderr


FORK = """
import multiprocessing, os, signal, warnings
import torch
from edgewise.kernels import native

def work():
    signal.alarm(30)        # a child that waits for threads is ended, and its parent sees it
    library = native.library()
    if library is not None:
        assert library.edgewise_team(native.threads()) == 1
    assert native.threads() == native.kernel_info().threads == 1
    assert torch.get_num_threads() == 2

torch.set_num_threads(2)
torch.ones(1 << 20).exp().sum()
if native.library() is not None:
    native.library().edgewise_team(2)
child = multiprocessing.get_context("fork").Process(target=work)
child.start()
child.join()
assert child.exitcode == 0, child.exitcode
assert native.threads() == 2
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork")
def test_a_forked_child_computes_with_one_thread():
    run = process(FORK)
    assert run.returncode == 0, run.stderr


def test_no_warning_by_default(afresh):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        native.library()
