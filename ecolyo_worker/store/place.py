"""Where an open database is: a file that is deleted or replaced meanwhile goes on being written.

What is stored in one that has no name any more is lost with the process, so it must be noticed.
"""

import os
from pathlib import Path
from typing import Final

__all__ = ["DELETED", "LOST_ADVICE", "REPLACED", "Place"]

DELETED: Final = "its file was deleted while it was open"
REPLACED: Final = "another file was put in the place of its own while it was open"

LOST_ADVICE: Final = (
    "put the file back that was there, or stop the service and restore a backup; nothing is stored"
    " until then"
)
"""What to do about either."""


class Place:
    """Knows which file a database was opened from."""

    def __init__(self, path: Path) -> None:
        """Look at the file, which is there; raises `OSError`."""
        self.path = path
        self._file = _identity(path.stat())

    def trouble(self) -> str | None:
        """Say what became of the file, by its name; None if it is still there.

        What this process may not look at now is not known to be lost.
        """
        try:
            found = self.path.stat()
        except (FileNotFoundError, NotADirectoryError):
            return DELETED
        except OSError:
            return None
        return None if _identity(found) == self._file else REPLACED


def _identity(found: os.stat_result) -> tuple[int, int]:
    return found.st_dev, found.st_ino
