"""Tell which Pythons of this machine the package can be checked on, a line for each.

Of each minor version that the package runs on it is the newest release that is found: on the PATH,
and where pyenv and uv keep theirs.
"""

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

OLDEST = (3, 11)

# Without these parts, which a distribution may leave out, it makes no environment or runs nothing.
PROBE = """
import ensurepip, sqlite3, ssl, sys, venv
assert sys.implementation.name == "cpython" and sys.version_info.releaselevel == "final"
print(*sys.version_info[:3])
"""


def folders() -> Iterator[Path]:
    """Give the folders in which interpreters may be."""
    home = Path.home()
    yield from map(Path, os.get_exec_path())
    pyenv = Path(os.environ.get("PYENV_ROOT") or home / ".pyenv")
    yield from sorted(pyenv.glob("versions/*/bin"))
    data = Path(os.environ.get("XDG_DATA_HOME") or home / ".local" / "share")
    uv = Path(os.environ.get("UV_PYTHON_INSTALL_DIR") or data / "uv" / "python")
    yield from sorted(uv.glob("*/bin"))


def version(python: Path) -> tuple[int, ...]:
    """Give the version that an interpreter says; an empty one if it does not work whole."""
    try:
        command = [str(python), "-I", "-c", PROBE]
        done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=60)
        return tuple(map(int, done.stdout.split()))
    except (OSError, ValueError, subprocess.SubprocessError):
        return ()


def found() -> list[Path]:
    """Give the newest release of each minor version, the oldest first."""
    best: dict[tuple[int, ...], tuple[tuple[int, ...], Path]] = {}
    for folder in folders():
        for python in folder.glob("python3.*"):
            if re.fullmatch(r"python3\.\d+", python.name) is None:
                continue
            release = version(python)
            if release >= OLDEST and release > best.get(release[:2], ((), python))[0]:
                best[release[:2]] = release, python
    return [python for _, (_, python) in sorted(best.items())]


if __name__ == "__main__":
    pythons = found()
    if not pythons:
        sys.exit("no Python 3.11 or newer was found, on the PATH or where pyenv and uv keep theirs")
    print(*pythons, sep="\n")
