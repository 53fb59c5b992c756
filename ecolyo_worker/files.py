"""Reads small files that settings name, and nothing that could hold the reader up."""

import errno
import os
import stat
from pathlib import Path

__all__ = ["read_plain"]


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
