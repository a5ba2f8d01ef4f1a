"""Files that are there whole or not at all, also after a crash or a power cut."""

from __future__ import annotations

import os
import secrets
from pathlib import Path

from edgewise.errors import FileError


def read_whole(path: str | os.PathLike[str]) -> bytes:
    """The bytes of a file. Raises FileError: there is none, or it cannot be read."""
    try:
        return Path(path).read_bytes()
    except OSError as error:
        reason = error.strerror or str(error)
        raise FileError(f"{os.fspath(path)} cannot be read: {reason}; check the path") from error


def write_whole(path: Path, data: bytes) -> Path:
    """Put the bytes at ``path`` and return it.

    They go to a new file in the same folder, on to the disk, and take the name in one step; an
    earlier file of that name is untouched until then, and if anything fails. A link is followed.

    Raises FileError: the folder does not exist, or cannot be written to.
    """
    target = Path(os.path.realpath(path))
    unfinished = target.with_name(f".{target.name[:100]}.{secrets.token_hex(8)}")
    try:
        try:
            with unfinished.open("xb") as file:
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
            os.replace(unfinished, target)
        except BaseException:
            unfinished.unlink(missing_ok=True)
            raise
        _sync_folder(target.parent)
    except OSError as error:
        reason = error.strerror or str(error)
        raise FileError(f"{path} cannot be written: {reason}; choose another place") from error
    return path


def _sync_folder(folder: Path) -> None:
    """Bring the folder's new entry to the disk; only POSIX systems open folders."""
    if os.name != "posix":
        return
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
