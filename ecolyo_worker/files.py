"""Reads small files that settings name, and nothing that could hold the reader up."""

import errno
import os
import stat
from pathlib import Path

__all__ = ["changed_at", "read_plain"]


def read_plain(path: Path, most: int | None = None) -> bytes:
    """Give the content of a plain file, `most` bytes of it; raises `OSError`.

    A pipe, a device or a directory is refused: reading a pipe into which nobody writes never ends.
    """
    descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise OSError(errno.EINVAL, "it is no plain file")
    with open(descriptor, "rb") as file:  # noqa: PTH123
        return file.read(-1 if most is None else most)


def changed_at(path: Path) -> int:
    """Give when a file was last changed, in ns; 0 if there is none."""
    try:
        return path.stat().st_mtime_ns
    except (OSError, ValueError):
        return 0
