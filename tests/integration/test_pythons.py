"""`make check-pythons` goes by what is on the machine."""

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parents[2] / "requirements" / "pythons.py"

Put = Callable[..., Path]


@pytest.fixture
def put(tmp_path: Path) -> Put:
    """Put an interpreter into a folder: its name, and what a shell does in its place."""

    def write(folder: str, name: str, does: str) -> Path:
        path = tmp_path / folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"#!/bin/sh\n{does}\n")
        path.chmod(0o755)
        return path

    return write


def told(home: Path, **environ: str) -> subprocess.CompletedProcess[str]:
    """Run it where the home folder, and `bin` in it on the PATH, are all that there is."""
    return subprocess.run(
        [sys.executable, str(SCRIPT)],
        env={"HOME": str(home), "PATH": str(home / "bin"), **environ},
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )


def test_the_newest_of_each_minor_version_is_found(tmp_path: Path, put: Put) -> None:
    """On the PATH, and where pyenv and uv keep theirs; the oldest comes first."""
    put("bin", "python3.12", "echo 3 12 1")
    put(".pyenv/versions/3.12.2/bin", "python3.12", "echo 3 12 2")
    newest = put(".pyenv/versions/3.12.10/bin", "python3.12", "echo 3 12 10")
    other = put(".local/share/uv/python/cpython-3.13.0/bin", "python3.13", "echo 3 13 0")
    oldest = put("bin", "python3.11", "echo 3 11 7")
    assert told(tmp_path).stdout.split() == [str(path) for path in (oldest, newest, other)]


def test_of_equals_the_one_of_the_path_is_taken(tmp_path: Path, put: Put) -> None:
    """What a shell would start is what is checked."""
    first = put("bin", "python3.13", "echo 3 13 0")
    put(".pyenv/versions/3.13.0/bin", "python3.13", "echo 3 13 0")
    assert told(tmp_path).stdout.split() == [str(first)]


def test_folders_may_be_elsewhere(tmp_path: Path, put: Put) -> None:
    """The variables of pyenv and uv that say where theirs are hold."""
    one = put("elsewhere/versions/3.12.1/bin", "python3.12", "echo 3 12 1")
    two = put("third/cpython-3.13.0/bin", "python3.13", "echo 3 13 0")
    places = {"PYENV_ROOT": "elsewhere", "UV_PYTHON_INSTALL_DIR": "third"}
    environ = {name: str(tmp_path / place) for name, place in places.items()}
    assert told(tmp_path, **environ).stdout.split() == [str(one), str(two)]


def test_this_one_is_one(tmp_path: Path, put: Put) -> None:
    """A real interpreter is asked, and answers."""
    found = put("bin", f"python3.{sys.version_info.minor}", f'exec "{sys.executable}" "$@"')
    assert told(tmp_path).stdout.split() == [str(found)]


@pytest.mark.parametrize(
    ("name", "does"),
    [
        pytest.param("python3.10", "echo 3 10 13", id="too old"),
        pytest.param("python3.12", "exit 127", id="a shim of pyenv for none that is active"),
        pytest.param("python3.13t", "echo 3 13 0", id="of another kind"),
        pytest.param("python3.12-config", "echo 3 12 1", id="no interpreter"),
    ],
)
def test_what_cannot_run_it_is_left_out(tmp_path: Path, put: Put, name: str, does: str) -> None:
    """Where nothing else is there, that is an error in words, and not a check of nothing."""
    put("bin", name, does)
    done = told(tmp_path)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith("no Python 3.11 or newer was found")
