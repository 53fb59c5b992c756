"""A disk of its own for a state, which can be filled up."""

import shutil
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

__all__ = ["Disk", "mounted"]

_MIB = 1 << 20
_SIZE = 128 * _MIB


class Disk:
    """A directory; where it is a small disk of its own, it can be filled up and emptied."""

    def __init__(self, directory: Path, *, is_small: bool) -> None:
        self.is_small = is_small
        self._directory = directory
        self._ballast = directory / "ballast"

    def fill(self) -> None:
        """Leave no byte free."""
        assert self.is_small, "it would be the machine's own"
        with self._ballast.open("ab", buffering=0) as file:
            for size in (_MIB, 4096, 1):
                self._pour(file.write, bytes(size))

    def empty(self) -> None:
        """Give the space back."""
        self._ballast.unlink(missing_ok=True)

    def keep(self, target: Path) -> None:
        """Copy what is on it to where it stays."""
        shutil.copytree(self._directory, target, ignore=shutil.ignore_patterns("control.sock"))

    @staticmethod
    def _pour(write: Callable[[bytes], int], piece: bytes) -> None:
        try:
            while write(piece) == len(piece):
                pass
        except OSError:
            pass  # it is full


@contextmanager
def mounted(directory: Path) -> Iterator[Disk]:
    """Mount a small disk at a directory, if this user may do so; else it is the machine's."""
    directory.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", f"size={_SIZE}", "tmpfs", str(directory)]
    is_small = (
        shutil.which("mount") is not None
        and subprocess.run(command, check=False, capture_output=True).returncode == 0
    )
    try:
        yield Disk(directory, is_small=is_small)
    finally:
        if is_small:
            subprocess.run(["umount", str(directory)], check=True)
