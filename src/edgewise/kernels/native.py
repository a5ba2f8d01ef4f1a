"""The compiled kernels: whether they are used, with which instruction set and how many threads.

The library lies beside this file when it could be built (csrc/, CMakeLists.txt). Without it, or
with ``EDGEWISE_KERNEL=reference``, the plain torch functions compute the same, more slowly;
`kernel_info` says which and why. The environment variable ``EDGEWISE_KERNEL`` is read at the first
use:

========================  =====================================================
auto (or unset)           the best instruction set that the processor has
reference                 no native kernel
v2, v3, v4                x86-64-v2 (SSE4.2), -v3 (AVX2), -v4 (AVX-512)
portable                  what stands for these on other processors, as ARM
========================  =====================================================

``EDGEWISE_LIBRARY`` names another file to load instead, as one built to find errors.
"""

from __future__ import annotations

import ctypes
import os
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec
from pathlib import Path

import torch
from torch.autograd import forward_ad as _forward_ad

from edgewise import kernels
from edgewise.errors import InputError

# The functions this module and the kernels beside it call; csrc/dispatch.cpp holds the same number.
ABI = 4
FILE = "libedgewise_kernels.so"
# name, pointers, integers, pointers: the arguments of the functions in csrc/isa.hpp
_KERNELS = (
    ("edgewise_forward", 8, 1, 1),
    ("edgewise_backward", 9, 2, 4),
)


# Private names of torch, for want of public ones. A torch that has renamed one still computes, by the
# reference; a test says when that is so.
_PRIVATE = (
    (torch._C, "_are_functorch_transforms_active"),
    (torch._C, "_len_torch_dispatch_stack"),
    (torch._C, "_has_storage"),
    (torch.Tensor, "_is_zerotensor"),
    (_forward_ad, "_current_level"),
)
_missing = tuple(f"{part.__name__}.{name}" for part, name in _PRIVATE if not hasattr(part, name))
if not _missing:
    _transforms_active = torch._C._are_functorch_transforms_active
    _dispatch_modes = torch._C._len_torch_dispatch_stack
    _has_storage = torch._C._has_storage
_PLAIN = frozenset((torch.Tensor, torch.nn.Parameter))
_DTYPES = frozenset((torch.float32, torch.float64))


@dataclass(frozen=True)
class KernelInfo:
    """What computes the splines in this process.

    path:      "native" or "reference"
    isa:       the instruction set in use; "" for the reference
    isas:      those that the library holds and this processor has, best first
    openmp:    whether the library was built with threads
    threads:   the number that the next call would use
    reason:    why this path
    library:   the file; None without one
    triton:    whether the kernels for graphics cards can run, or why not
    """

    path: str
    isa: str
    isas: tuple[str, ...]
    openmp: bool
    threads: int
    reason: str
    library: Path | None
    triton: str

    def __str__(self) -> str:
        openmp = "with OpenMP" if self.openmp else "without OpenMP: one thread"
        built = f"{self.library} ({openmp})" if self.isas else str(self.library or "none")
        lines = {
            "kernels": self.path,
            "reason": self.reason,
            "instructions": f"{self.isa or 'none'} (available: {', '.join(self.isas) or 'none'})",
            "threads": str(self.threads),
            "library": built,
            "triton": self.triton,
        }
        return "\n".join(f"{name:<14}{value}" for name, value in lines.items())


@dataclass(frozen=True)
class _Found:
    """The file that was loaded, or why there is none."""

    handle: ctypes.CDLL | None
    file: Path | None
    reason: str
    isas: tuple[str, ...] = ()


@dataclass(frozen=True)
class _Choice:
    """What library() answers; an empty isa is the reference."""

    handle: ctypes.CDLL | None
    isa: str
    reason: str


_choice: _Choice | None = None
_forked = False


def library() -> ctypes.CDLL | None:
    """The loaded library, or None where the reference is to be used.

    Raises InputError when EDGEWISE_KERNEL names what there is not here.
    """
    return _chosen().handle


def threads() -> int:
    """The number of threads that a native kernel may use now: torch's own number.

    1 in a forked process: OpenMP's threads are not there after a fork, and a child of a process that
    has used them waits for them forever.
    """
    return 1 if _forked else torch.get_num_threads()


def _array(tensor: torch.Tensor) -> bool:
    """Whether the tensor is its values, in this processor's memory, and nothing else."""
    kind = type(tensor)
    # sparse ones have no storage
    if kind not in _PLAIN or not tensor.is_cpu or not _has_storage(tensor):
        return False
    # What autograd makes on its way may hold the opposite of its memory, or have none.
    return kind is torch.nn.Parameter or not (tensor.is_neg() or tensor._is_zerotensor())


def eager(*tensors: torch.Tensor) -> bool:
    """Whether torch computes here and now, values and nothing else, and has those of ``tensors``.

    Not so while it compiles, exports or traces, inside a transform of torch.func, and with
    forward-mode derivatives: then it must see operations of its own, and no value may be asked for.
    Nor for a tensor of another device or that is more than an array, as a subclass or a meta tensor.
    """
    if (
        torch.compiler.is_compiling()
        or torch.jit.is_tracing()
        or _missing
        or _transforms_active()
        or _dispatch_modes()
        or _forward_ad._current_level >= 0
    ):
        return False
    return all(map(_array, tensors))


def takes(*tensors: torch.Tensor | None) -> bool:
    """Whether a native kernel may compute with these tensors, here and now.

    It may where nobody sees the difference: ``eager`` torch on plain CPU tensors of one dtype, float32
    or float64.
    """
    if library() is None or not eager():
        return False
    dtype = None
    for tensor in tensors:
        if tensor is None:
            continue
        if not _array(tensor) or tensor.dtype not in _DTYPES:
            return False
        if tensor.dtype is not (dtype := dtype or tensor.dtype):
            return False
    return True


def takes_gpu(*tensors: torch.Tensor | None) -> bool:
    """As ``takes``, for Triton's kernels and plain CUDA tensors."""
    given = [tensor for tensor in tensors if tensor is not None]
    return (
        all(type(t) in _PLAIN and t.is_cuda and t.dtype in _DTYPES for t in given)
        and len({tensor.dtype for tensor in given}) == 1
        and eager()
        and _chosen().reason != "EDGEWISE_KERNEL=reference"
        and find_spec("triton") is not None
    )


@contextmanager
def using(name: str) -> Iterator[None]:
    """Within the block, the whole process uses what EDGEWISE_KERNEL=name would.

    For tests and measurements; other threads see it too. Raises InputError for a name that is
    unknown or not to be had here.
    """
    global _choice
    before = _choice
    _choice = _apply(_choose(name, f"using({name!r})"))
    try:
        yield
    finally:
        _choice = before and _apply(before)


def kernel_info() -> KernelInfo:
    """Which kernels this process uses, and why; print it for a bug report.

    Raises InputError when EDGEWISE_KERNEL names what there is not here.
    """
    choice, found = _chosen(), _found()
    native = choice.handle is not None
    openmp = found.handle is not None and bool(found.handle.edgewise_openmp())
    return KernelInfo(
        path="native" if native else "reference",
        isa=choice.isa,
        isas=found.isas,
        openmp=openmp,
        threads=1 if native and not openmp else threads(),
        reason=choice.reason,
        library=found.file,
        triton=_triton(),
    )


def _chosen() -> _Choice:
    global _choice
    if _choice is None:
        name = os.environ.get("EDGEWISE_KERNEL") or "auto"
        _choice = _apply(_choose(name, f"EDGEWISE_KERNEL={name}"))
    return _choice


def _choose(name: str, source: str) -> _Choice:
    if name == "reference":
        return _Choice(None, "", source)
    found = _found()
    if name == "auto":
        if not found.isas:
            return _Choice(None, "", found.reason)
        return _Choice(found.handle, found.isas[0], "the best that this processor has")
    if name not in found.isas:
        here = ", ".join(("auto", "reference", *found.isas))
        why = "" if found.isas else f" ({found.reason})"
        raise InputError(f"{source} is not to be had here{why}; choose one of: {here}")
    return _Choice(found.handle, name, source)


def _apply(choice: _Choice) -> _Choice:
    if choice.handle is not None:
        choice.handle.edgewise_use(choice.isa.encode())
    return choice


@lru_cache(maxsize=1)
def _found() -> _Found:
    """Look for the library and load it, once."""
    named = os.environ.get("EDGEWISE_LIBRARY")
    # An editable installation has two folders: the sources, and what was built.
    places = [named] if named else [Path(folder, FILE) for folder in kernels.__path__]
    file = next((Path(place).resolve() for place in places if Path(place).is_file()), None)
    if file is None and named:
        raise InputError(f"EDGEWISE_LIBRARY={named} is no file; name a built {FILE}, or unset it")
    if file is None:
        reason = "no native library in this installation: built without a compiler"
        return _Found(None, None, reason)
    try:
        handle = _open(file)
        abi = handle.edgewise_abi()
    except (OSError, AttributeError) as error:
        return _unusable(file, f"it cannot be loaded: {error}", bool(named))
    if abi != ABI:
        return _unusable(file, f"its interface has number {abi}, not {ABI}", bool(named))
    if _missing:
        reason = f"torch {torch.__version__} has no {', '.join(_missing)}"
        return _unusable(file, reason, False, "Another version of edgewise or torch may fit")
    _declare(handle)
    isas = tuple(handle.edgewise_isas().decode().split(","))
    if isas == ("",):
        return _Found(None, file, "this processor is older than x86-64-v2")
    return _Found(handle, file, "", isas)


def _unusable(
    file: Path, reason: str, named: bool, remedy: str = "Install edgewise again"
) -> _Found:
    """Somebody counts on this file: say that it does not serve rather than be slow in silence."""
    if named:
        raise InputError(f"EDGEWISE_LIBRARY={file} does not serve: {reason}; build it again")
    text = f"the native library does not serve: {reason}"
    warnings.warn(
        f"edgewise is slower than it could be: {text}. {remedy}.",
        RuntimeWarning,
        stacklevel=2,
    )
    return _Found(None, file, text)


def _open(file: Path) -> ctypes.CDLL:
    # Its OpenMP functions are looked for among those that torch has loaded for everybody, so that
    # both share their threads; a torch without them leaves it to the system's.
    try:
        return ctypes.CDLL(str(file))
    except OSError as error:
        if "GOMP_" not in str(error) and "omp_" not in str(error):
            raise
        ctypes.CDLL("libgomp.so.1", mode=ctypes.RTLD_GLOBAL)
        return ctypes.CDLL(str(file))


def _declare(handle: ctypes.CDLL) -> None:
    for name in ("edgewise_isas", "edgewise_isa"):
        getattr(handle, name).restype = ctypes.c_char_p
    for name in ("edgewise_abi", "edgewise_openmp", "edgewise_use", "edgewise_team"):
        getattr(handle, name).restype = ctypes.c_int
    pointer = ctypes.c_void_p
    for name, before, orders, after in _KERNELS:
        function = getattr(handle, name)
        function.argtypes = [pointer] * before + [ctypes.c_int] * orders + [pointer] * after
    handle.edgewise_use.argtypes = [ctypes.c_char_p]
    handle.edgewise_team.argtypes = [ctypes.c_int]


def _triton() -> str:
    if find_spec("triton") is None:
        return "not installed"
    try:
        name = version("triton")
    except PackageNotFoundError:  # some builds carry it under another name
        name = "installed"
    if not torch.cuda.is_available():
        return f"{name}, but no graphics card that torch can use"
    return f"{name} on {torch.cuda.get_device_name()}"


def _after_fork() -> None:
    global _forked
    _forked = True


if hasattr(os, "register_at_fork"):  # not on Windows
    os.register_at_fork(after_in_child=_after_fork)
