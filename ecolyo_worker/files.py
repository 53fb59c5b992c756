"""Reads small files that settings name, and nothing that could hold the reader up."""

import errno
import os
import stat
from pathlib import Path
from typing import IO

__all__ = ["changed_at", "open_input", "read_plain"]


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


def open_input(path: Path) -> IO[bytes]:
    """Open a file that a person named, or what a shell puts in its place; raises `OSError`.

    That is `/dev/stdin`, or a pipe that has no name (`<(…)`). To open one that has a name may wait
    for ever, a device may never end, and neither can be broken off: both are refused.
    """
    descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC | os.O_NOCTTY)
    if (words := _why_not(descriptor)) is not None:
        os.close(descriptor)
        raise OSError(errno.EINVAL, words)
    os.set_blocking(descriptor, True)
    return open(descriptor, "rb")  # noqa: PTH123  the caller closes it


def _why_not(descriptor: int) -> str | None:
    mode = os.fstat(descriptor).st_mode
    is_device = stat.S_ISCHR(mode) or stat.S_ISBLK(mode)
    if is_device and not os.isatty(descriptor):
        return "it is a device"
    if stat.S_ISDIR(mode):
        return "it is a directory"
    name = Path(f"/proc/self/fd/{descriptor}").readlink()
    if stat.S_ISFIFO(mode) and not str(name).startswith("pipe:"):
        return "it is a pipe with a name; take <(cat THE-PIPE) for it"
    return None


def changed_at(path: Path) -> int:
    """Give when a file was last changed, in ns; 0 if there is none."""
    try:
        return path.stat().st_mtime_ns
    except (OSError, ValueError):
        return 0
