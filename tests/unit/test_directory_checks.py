"""What `doctor` says of the state directory and of what it lies on."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from ecolyo_worker.checks.directory import check_directory, file_system, size_text

MOUNTS = """\
22 1 8:1 / / rw,relatime shared:1 - ext4 /dev/sda1 rw
30 22 0:26 / /run rw,nosuid shared:5 - tmpfs tmpfs rw,size=10%
40 22 0:40 / /srv/with\\040blank rw shared:9 master:1 - nfs4 host:/export rw
41 22 8:2 / /srv/data rw - xfs /dev/sdb rw
42 22 0:41 / /srv/data rw - fuse.sshfs me@host: rw
broken line
"""


@pytest.mark.parametrize(
    ("path", "kind"),
    [
        ("/var/lib/ecolyo-worker", "ext4"),
        ("/run", "tmpfs"),
        ("/runner", "ext4"),
        ("/srv/with blank/state", "nfs4"),
        ("/srv/data/state", "fuse.sshfs"),
    ],
)
def test_the_nearest_mount_tells_the_kind(path: str, kind: str) -> None:
    """The longest mount point that a path is below says what it lies on, the later one of two."""
    assert file_system(Path(path), MOUNTS) == kind
    assert file_system(Path(path), "") is None


@pytest.mark.parametrize(
    ("count", "text"),
    [
        (0, "0 bytes"),
        (999, "999 bytes"),
        (160_000, "160 kB"),
        (12_345_678, "12.3 MB"),
        (80_000_000_000, "80.0 GB"),
        (3.2e15, "3200.0 TB"),
    ],
)
def test_sizes_are_said_in_few_letters(count: float, text: str) -> None:
    """A size has the unit of which there are some."""
    assert size_text(count) == text


def test_a_directory_of_this_user_alone_is_right(tmp_path: Path) -> None:
    """The mode 0700 and enough space are what is wanted."""
    tmp_path.chmod(0o700)
    owned, _, room = check_directory(tmp_path)
    assert (owned.result, room.result) == ("ok", "ok")


def test_a_directory_that_others_look_into_is_not(tmp_path: Path) -> None:
    """Any right of the group or of others is told with its mode, and how it is taken away."""
    for mode in (0o701, 0o740, 0o755):
        tmp_path.chmod(mode)
        owned, *_ = check_directory(tmp_path)
        assert (owned.result, owned.advice) == ("failed", f"chmod 700 {tmp_path}")
        assert f"{mode:04o}" in owned.found


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a directory away")
def test_a_directory_of_somebody_else_is_not(tmp_path: Path) -> None:
    """Whose it is and whose it should be is told by name, or by number where there is no name."""
    os.chown(tmp_path, 4_000_000, -1)
    tmp_path.chmod(0o755)
    owned, *_ = check_directory(tmp_path)
    assert owned.found == f"{tmp_path} belongs to #4000000, and this is root"
    assert owned.result == "failed"
    tmp_path.chmod(0o700)  # as systemd makes it for a user that is there only while it runs
    owned, *_ = check_directory(tmp_path)
    assert (owned.result, "for #4000000 alone" in owned.found) == ("ok", True)


def test_what_is_no_directory_is_told(tmp_path: Path) -> None:
    """A file in its place, one on the way to it, and nothing at all are each told."""
    file = tmp_path / "file"
    file.touch()
    for path, words in [
        (file, "is no directory"),
        (file / "state", "Not a directory"),
        (tmp_path / "absent", "No such file or directory"),
    ]:
        (found,) = check_directory(path)
        assert found.result == "failed"
        assert words in found.found


def test_a_full_disk_is_told(tmp_path: Path) -> None:
    """As much space as the database has must be free: it is written anew now and then."""
    try:
        with (tmp_path / "ecolyo.db").open("wb") as file:
            file.truncate(10**13)  # ten terabytes that take none
    except OSError:
        pytest.skip("this file system takes no file of ten terabytes")
    *_, room = check_directory(tmp_path)
    assert room.result == "failed"
    assert "10.0 TB may be needed" in room.found


READ_ONLY = """
mount -t tmpfs -o size=4m none "$1"
mkdir -m 700 "$1/state"
mount -o remount,ro "$1"
exec "$2" -m ecolyo_worker doctor --state-dir "$1/state"
"""


def test_a_disk_that_cannot_be_written_is_told(tmp_path: Path) -> None:
    """Where the state lies on what is mounted read-only, `doctor` says that, and how to mend it."""
    alone = ["unshare", "--map-root-user", "--mount"]
    if subprocess.run(
        [*alone, "mount", "-t", "tmpfs", "none", str(tmp_path)], check=False
    ).returncode:
        pytest.skip("nothing can be mounted here")
    command = [*alone, "bash", "-euc", READ_ONLY, "-", str(tmp_path), sys.executable]
    done = subprocess.run(command, check=False, capture_output=True, text=True)
    assert done.returncode == 1, done.stderr
    assert f"disk: what {tmp_path}/state lies on is mounted read-only" in done.stdout
    assert "mount it for writing" in done.stdout
    assert "make room" not in done.stdout
