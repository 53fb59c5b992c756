"""Whether this process does anything: a start that migrates does, one that hangs does not."""

import time
from contextlib import suppress
from pathlib import Path

__all__ = ["Progress"]

# More than looking takes, in seconds of a processor, and in bytes read and written.
_LEAST_S = 0.05
_LEAST_BYTES = 65_536
_COUNTS = Path("/proc/self/io")


class Progress:
    """Tells if the process computed, read or wrote something since it was last asked."""

    def __init__(self) -> None:
        """It counts from here on."""
        self._computed, self._moved = time.process_time(), _moved()

    def __call__(self) -> bool:
        """Tell it, and count from here on."""
        before = self._computed, self._moved
        self._computed, self._moved = time.process_time(), _moved()
        return self._computed - before[0] >= _LEAST_S or self._moved - before[1] >= _LEAST_BYTES


def _moved() -> int:
    """Give how many bytes were read and written so far; 0 where the system does not tell."""
    with suppress(OSError, ValueError, IndexError):
        lines = [line.split(":") for line in _COUNTS.read_text().splitlines()]
        return sum(int(value) for name, value in lines if name in {"rchar", "wchar"})
    return 0
