"""Nothing is acknowledged before the disk has it: what a worker asks of the kernel, by `strace`."""

import re
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path

import anyio
import pytest

from ecolyo_worker.store.database import DATABASE
from ecolyo_worker.testing import Echo

LOG = f"{DATABASE}-wal"
CALLS = "fsync,fdatasync,write,pwrite64,ftruncate"
# A call that another thread interrupts is told in two lines: it counts where it has ended.
LINE = re.compile(r"^(\d+) +(\w+)\((\d+)<([^>]*)>(.*)$")
RESUMED = re.compile(r"^(\d+) +<\.\.\. (\w+) resumed>.*= (\d+)$")


def calls(text: str) -> Iterator[tuple[str, str, str]]:
    """Give each call that ended well: its name, the file it was about, and what was written."""
    begun: dict[str, tuple[str, str, str]] = {}
    for line in text.splitlines():
        if (found := LINE.match(line)) is not None:
            thread, name, _, path, rest = found.groups()
            if rest.endswith("<unfinished ...>"):
                begun[thread] = (name, path, rest)
            else:
                assert re.search(r"= \d+$", rest), line
                yield name, path, rest
        elif (found := RESUMED.match(line)) is not None and found[1] in begun:
            yield begun.pop(found[1])


@pytest.mark.fault(8, 22)
async def test_what_is_acknowledged_was_synced(state_dir: Path, tmp_path: Path, echo: Echo) -> None:
    """Before each acknowledgement the log was written and synced, and nothing in it was not.

    The log is emptied only once all of it is in the database, and synced there.
    """
    if (strace := shutil.which("strace")) is None:
        pytest.skip("needs strace (Debian: strace)")
    if (await anyio.run_process([strace, "-o", "/dev/null", "true"], check=False)).returncode:
        pytest.skip("strace may trace nothing here")
    traced = tmp_path / "traced"
    recorder = [sys.executable, "-m", "tests.faults.recorder", str(state_dir), echo.url]
    options = ["-f", "-y", "--seccomp-bpf", "-e", f"trace={CALLS}", "-o", str(traced)]
    done = await anyio.run_process([strace, *options, *recorder], cwd=Path(__file__).parents[2])
    acknowledged, syncs, dirty = 0, 0, set[str]()
    for name, path, rest in calls(traced.read_text()):
        file = Path(path).name
        if file == LOG and name == "ftruncate":
            assert DATABASE not in dirty, rest  # all of it was moved, and synced there
            dirty.discard(file)
        elif file in {DATABASE, LOG} and name in {"fsync", "fdatasync"}:
            syncs += file == LOG and file in dirty
            dirty.discard(file)
        elif file in {DATABASE, LOG}:
            dirty.add(file)
        elif name == "write" and rest.startswith(', "ack '):
            assert (syncs > 0, LOG in dirty) == (True, False), rest
            acknowledged, syncs = acknowledged + 1, 0
    assert acknowledged == done.stdout.count(b"\n") == 24
