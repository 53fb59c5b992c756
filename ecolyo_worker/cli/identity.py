"""As whom a command works: never as root on somebody else's state.

A database, a log or a lock that root made in the directory of the service's user would keep the
service out of it.
"""

import os
import pwd
from pathlib import Path

from ecolyo_worker.checks.directory import kept_by_systemd
from ecolyo_worker.errors import StateRefused

__all__ = ["refuse_astray", "refuse_root", "take_identity"]


def take_identity(directory: Path) -> None:
    """As root, become the owner of a state directory, for good.

    Unless it is root's too, or is not there, or its owner cannot reach it by this path: so it is
    with systemd's DynamicUser, whose directories stand behind one that is root's alone.
    """
    owner = _owner(directory)
    if os.geteuid() != 0 or not owner:
        return
    before = os.getgroups()
    os.setgroups(_groups(owner))
    os.setegid(_group(owner, directory))
    os.seteuid(owner)
    can_use = os.access(directory, os.R_OK | os.W_OK | os.X_OK, effective_ids=True)
    os.seteuid(0)
    if can_use:
        os.setgid(_group(owner, directory))
        os.setuid(owner)
    else:
        os.setegid(0)
        os.setgroups(before)


def refuse_root(directory: Path) -> None:
    """Refuse to open somebody else's state as root; raises `StateRefused`."""
    owner = _owner(directory)
    if os.geteuid() == 0 and owner:
        raise StateRefused(
            f"{directory} belongs to user {owner}, who cannot reach it by this path, and root opens"
            " nobody else's state: start the service, and the commands work through it; while it"
            " cannot start, use ecolyo-worker-at-rest"
        )


def refuse_astray(directory: Path) -> None:
    """Refuse a state beside the one that systemd keeps; raises `StateRefused`."""
    if problem := kept_by_systemd(directory):
        raise StateRefused(": ".join(problem))


def _owner(directory: Path) -> int:
    """Give the user whose directory it is; 0 if there is none."""
    try:
        return directory.stat().st_uid
    except OSError:
        return 0


def _group(owner: int, directory: Path) -> int:
    try:
        return pwd.getpwuid(owner).pw_gid
    except KeyError:  # a user without a name
        return directory.stat().st_gid


def _groups(owner: int) -> list[int]:
    try:
        user = pwd.getpwuid(owner)
    except KeyError:
        return []
    return os.getgrouplist(user.pw_name, user.pw_gid)
