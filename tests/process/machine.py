"""A machine of its own for a test: systemd is its first process, its disk is this one's copy.

It takes root, for it is made of namespaces; where there is none, the tests that need it say so.
"""

import os
import shutil
import subprocess
import sys
import sysconfig
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from signal import SIGKILL
from subprocess import DEVNULL, PIPE

import pytest

__all__ = ["PROGRAMS", "Machine", "booted", "require", "why_not"]

ROOT = Path(__file__).parents[2]
CHECKOUT = "/opt/checkout"
"""Where this checkout is seen from inside."""

_NAMESPACES = ["--mount", "--uts", "--ipc", "--net", "--cgroup", "--pid"]
PROGRAMS = {
    "systemctl": "systemd",
    "unshare": "util-linux",
    "curl": "curl",
    "dbus-daemon": "dbus",
}
"""What it needs, and Debian's package that has it."""
_TRY_OUT = """
mount -t tmpfs tmpfs /tmp
mkdir /tmp/{upper,work,new}
mount -t overlay -o lowerdir=/,upperdir=/tmp/upper,workdir=/tmp/work overlay /tmp/new
mount -t cgroup2 cgroup2 /tmp/work
"""
_PATIENCE_S = 60

FORBIDDEN = "needs namespaces"
"""How the reason begins where the kernel, or what this runs in, lets nobody make any."""


class Machine:
    """A running machine, with a network of its own in which there is nobody else."""

    def __init__(self, pid: int) -> None:
        self._enter = ["nsenter", f"--target={pid}", *_NAMESPACES, "--root"]

    def run(self, script: str) -> str:
        """Run some shell inside and give what it prints; raises if it fails."""
        done = subprocess.run(self._command(script), capture_output=True, text=True, check=False)
        assert done.returncode == 0, f"{script}\n{done.stdout}{done.stderr}"
        return done.stdout

    def start_echo(self, *options: str) -> None:
        """Start an echo server on port 8081, where another terminal would."""
        python = "/opt/python/bin/python3 -u tools/dacc_echo.py --port 8081"
        self.run(
            "systemd-run --quiet --collect --unit=echo --working-directory=$PWD"
            f" {python} {' '.join(options)}"
        )
        self.wait_for("echo", "http://127.0.0.1:8081")

    def wait_for(self, unit: str, words: str) -> None:
        """Wait until the journal has some words of a unit, or of systemd about it."""
        follow = f"journalctl --boot --follow --lines=all --output=cat --unit={unit}"
        self.run(f'timeout {_PATIENCE_S} grep --max-count=1 --quiet "{words}" < <({follow})')

    def show(self, *properties: str) -> dict[str, str]:
        """Give properties of the service, as systemd knows them."""
        wanted = ",".join(properties)
        lines = self.run(f"systemctl show --property={wanted} ecolyo-worker").splitlines()
        return dict(line.split("=", 1) for line in lines)

    def _command(self, script: str) -> list[str]:
        settings = [
            "HOME=/root",
            "PATH=/opt/python/bin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
        ]
        settings.append("LD_LIBRARY_PATH=/opt/python/lib")
        shell = ["bash", "-euo", "pipefail", "-c", script]
        return [*self._enter, "env", "-i", f"--chdir={CHECKOUT}", *settings, *shell]


def why_not() -> str | None:
    """Say why no machine can be made here, None if one can."""
    if os.geteuid() != 0:
        return "needs root, to make namespaces"
    for program, package in PROGRAMS.items():
        if shutil.which(program) is None:
            return f"needs Debian's package {package}"
    try_out = ["unshare", *_NAMESPACES, "--fork", "bash", "-euc", _TRY_OUT]
    done = subprocess.run(try_out, capture_output=True, text=True, check=False)
    return None if done.returncode == 0 else f"{FORBIDDEN}: {done.stderr.strip()}"


def require() -> None:
    """Skip a test where no machine can be made; let it fail if `REQUIRE_MACHINE` is set.

    Where the kernel forbids namespaces it is a skip all the same: no package helps.
    """
    if (reason := why_not()) is None:
        return
    if os.environ.get("REQUIRE_MACHINE") and not reason.startswith(FORBIDDEN):
        pytest.fail(reason)
    pytest.skip(reason)


@contextmanager
def booted(folder: Path) -> Iterator[Machine]:
    """Give a machine on which nothing runs but systemd, its journal and D-Bus.

    `python3` is there, this checkout in `/opt/checkout`, and nothing of the service.
    """
    boot = [ROOT / "tests" / "process" / "boot.sh", folder, ROOT]
    python = [sys.base_prefix, sysconfig.get_path("purelib")]
    with subprocess.Popen(
        ["unshare", *_NAMESPACES, "--fork", "--kill-child", *boot, *python],
        stdin=DEVNULL, stdout=DEVNULL, stderr=PIPE, text=True, start_new_session=True,
    ) as process:  # fmt: skip
        try:
            machine = Machine(_first_process(process))
            machine.run(f"timeout {_PATIENCE_S} systemctl is-system-running --wait > /dev/null")
            machine.run("systemctl start systemd-journald dbus.socket")
            yield machine
        finally:
            process.send_signal(SIGKILL)  # which goes on to systemd, and to all that it runs


def _first_process(process: "subprocess.Popen[str]") -> int:
    """Give the number by which this machine knows the other one's first process, once it runs."""
    children = Path(f"/proc/{process.pid}/task/{process.pid}/children")
    while process.poll() is None:
        for child in children.read_text().split():
            if Path(f"/proc/{child}/comm").read_text() == "systemd\n" and _listens(child):
                return int(child)
    assert process.stderr is not None
    raise AssertionError(process.stderr.read())


def _listens(pid: str) -> bool:
    return Path(f"/proc/{pid}/root/run/systemd/private").exists()
