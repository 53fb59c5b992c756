"""The state directory: whether it is there, ours alone, and on a disk with room."""

import os
import pwd
import re
import stat
from collections.abc import Iterator
from pathlib import Path

from ecolyo_worker.checks.finding import Finding, failed, note, ok
from ecolyo_worker.store.database import DATABASE
from ecolyo_worker.store.migrations import copies
from ecolyo_worker.store.refusing import opened_to

__all__ = ["check_directory", "file_system", "kept_by_systemd", "size_text"]

_CHECK = "state directory"
_DISK = "disk"
_LEAST_FREE = 100_000_000
# On these, locks and the write-ahead log do not hold what SQLite needs of them.
_REMOTE = {
    *("9p", "afs", "beegfs", "ceph", "cifs", "fuse.glusterfs", "fuse.s3fs", "fuse.sshfs"),
    *("glusterfs", "gfs2", "lustre", "ncpfs", "nfs", "nfs4", "ocfs2", "smb3", "smbfs"),
}
_IN_MEMORY = {"ramfs", "tmpfs"}
_OCTAL = re.compile(r"\\([0-7]{3})")


def check_directory(directory: Path, mounts: str | None = None) -> Iterator[Finding]:
    """Look at the directory and at what it lies on; nothing is made or changed.

    `mounts` is the text of `/proc/self/mountinfo`; by default, as it is.
    """
    if problem := kept_by_systemd(directory):
        yield failed(_CHECK, *problem)
        return
    try:
        status = directory.stat()
    except OSError as error:
        advice = "start the service, or `ecolyo-worker migrate`: either makes it"
        if not isinstance(error, FileNotFoundError):
            advice = "name another one by worker.state_dir, or let this user get there"
        yield failed(_CHECK, f"{directory}: {error.strerror}", advice)
        return
    if not stat.S_ISDIR(status.st_mode):
        advice = "name another one by worker.state_dir, or take away what is there"
        yield failed(_CHECK, f"{directory} is no directory", advice)
        return
    yield _owned(directory, status)
    yield _lies_on(directory, _mounts() if mounts is None else mounts)
    yield _room(directory, os.statvfs(directory))
    yield from _copies(directory)


def kept_by_systemd(directory: Path) -> tuple[str, str] | None:
    """Tell that a directory is not the one that systemd keeps for the service, and what to do.

    With `DynamicUser=` the state lies in a folder `private` beside it, and a link leads there. Only
    root can see so. A state begun in place of the link keeps the service from starting.
    """
    private = directory.parent / "private" / directory.name
    try:
        if not private.is_dir() or (directory.exists() and directory.samefile(private)):
            return None
        is_there = directory.exists()
    except OSError:
        return None
    if is_there:
        found = f"{directory} is not what systemd keeps for a service of that name in {private}"
        return found, f"move {directory} away: in its place the service needs a link, and makes it"
    found = f"{directory} is not there, but systemd keeps the state of a service of that name in"
    advice = "start the service, which makes the link to it; before that, use ecolyo-worker-at-rest"
    return f"{found} {private}", advice


def _owned(directory: Path, status: os.stat_result) -> Finding:
    # Root takes the owner's identity wherever that one gets there: this is systemd's DynamicUser.
    is_service = os.geteuid() == 0 and opened_to(directory) is None
    if status.st_uid != os.geteuid() and is_service:
        owner = _user(status.st_uid)
        return ok(_CHECK, f"{directory}, for {owner} alone; commands get there by the service")
    if status.st_uid != os.geteuid():
        owner = _user(status.st_uid)
        found = f"{directory} belongs to {owner}, and this is {_user(os.geteuid())}"
        return failed(_CHECK, found, f"do it as {owner}: sudo -u {owner} ecolyo-worker doctor")
    if (opened := opened_to(directory)) is not None:
        return failed(_CHECK, opened, f"chmod 700 {directory}")
    return ok(_CHECK, f"{directory}, for this user alone")


def _lies_on(directory: Path, mounts: str) -> Finding:
    kind = file_system(directory, mounts)
    if kind in _REMOTE:
        found = f"{kind}: over a network SQLite's locks do not hold, and data can be lost"
        return failed(_DISK, found, "let worker.state_dir be on a disk of this machine")
    if kind in _IN_MEMORY:
        found = f"{kind}: all of it is gone when this machine starts anew"
        return note(_DISK, found, "let worker.state_dir be on a disk")
    return ok(_DISK, f"{kind}, of this machine" if kind else "its kind is not known")


def _room(directory: Path, found_there: os.statvfs_result) -> Finding:
    if found_there.f_flag & os.ST_RDONLY:
        found = f"what {directory} lies on is mounted read-only: nothing can be stored"
        advice = "look in the machine's log why, and mount it for writing (mount -o remount,rw)"
        return failed(_DISK, found, advice)
    free = found_there.f_bavail * found_there.f_frsize
    database = directory / DATABASE
    size = database.stat().st_size if database.exists() else 0
    # Writing the database anew, and a copy before a migration, take as much again.
    needed = max(_LEAST_FREE, size)
    if free < needed:
        found = f"{size_text(free)} free, and {size_text(needed)} may be needed"
        return failed(_DISK, found, "make room: when it is full, events are refused")
    return ok(_DISK, f"{size_text(free)} free; the database has {size_text(size)}")


def _copies(directory: Path) -> Iterator[Finding]:
    """Tell of the copies that migrations made: who is forgotten since is in them still."""
    for path in copies(directory / DATABASE):
        found = f"{path.name}, made by a migration, holds all that the state held then"
        yield note("copy", found, f"when you need no way back: rm {path}")


def file_system(path: Path, mounts: str) -> str | None:
    """Give the kind of file system that a path lies on, by the text of `/proc/self/mountinfo`."""
    real, best, kind = path.resolve(), -1, None
    for line in mounts.splitlines():
        before, _, behind = line.partition(" - ")
        fields = before.split(" ")
        if len(fields) < 5 or not behind:
            continue
        point = Path(_OCTAL.sub(lambda match: chr(int(match[1], 8)), fields[4]))
        # Of two at one place the later one covers the other.
        if real.is_relative_to(point) and len(point.parts) >= best:
            best, kind = len(point.parts), behind.split(" ")[0]
    return kind


def size_text(count: float) -> str:
    """Give a number of bytes as people say it."""
    for unit in ("bytes", "kB", "MB", "GB"):
        if count < 1000:
            return f"{count:.0f} {unit}" if unit in {"bytes", "kB"} else f"{count:.1f} {unit}"
        count /= 1000
    return f"{count:.1f} TB"


def _mounts() -> str:
    try:
        return Path("/proc/self/mountinfo").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""


def _user(uid: int) -> str:
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return f"#{uid}"
