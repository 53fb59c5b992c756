"""What a worker with nothing to do costs for a minute: memory, processor and wake-ups.

Memory is beside that of a process with bare asyncio, SQLite and msgspec; `idle_cpu` beside 0.02 %
of a core, `idle_wakeups` beside one a second. The worker is a host's; `idle_service_memory` is that
of `ecolyo-worker run`. All processes of all rounds wait at the same time.
"""

import os
import re
import tempfile
import time
from contextlib import ExitStack
from pathlib import Path
from typing import NamedTuple

from bench.measure import ROUNDS, sized, tell
from bench.processes import BARE, HOST, service, started

SECONDS = sized(60_000, 200) / 1000
SETTLING_S = sized(5_000, 200) / 1000
ALLOWED_PERCENT = 0.02
ALLOWED_WAKEUPS = 1.0


class Spent(NamedTuple):
    """What a process has spent so far: ns of a processor, and how often it woke up."""

    cpu_ns: int
    wakeups: int


def spent(pid: int) -> Spent:
    """Tell it of all threads of a process."""
    threads = list(Path(f"/proc/{pid}/task").iterdir())
    cpu = sum(int((thread / "schedstat").read_text().split()[0]) for thread in threads)
    woken = re.compile(r"^voluntary_ctxt_switches:\s+(\d+)$", re.MULTILINE)
    return Spent(
        cpu, sum(int(woken.findall((thread / "status").read_text())[0]) for thread in threads)
    )


def memory_mib(pid: int) -> float:
    """Give the memory that a process has."""
    pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 2**20


def main() -> None:
    """Measure and print."""
    with ExitStack() as opened:
        root = opened.enter_context(
            tempfile.TemporaryDirectory(dir="/var/tmp", prefix="ecolyo-bench-")
        )

        def directory(name: str, number: int) -> Path:
            path = Path(root) / f"{name}{number}"
            path.mkdir(mode=0o700)
            return path

        numbers = range(ROUNDS)
        ours = [opened.enter_context(started(HOST, directory("host", n))) for n in numbers]
        bare = [opened.enter_context(started(BARE, directory("bare", n))) for n in numbers]
        services = [opened.enter_context(service(directory("service", n))) for n in numbers]
        time.sleep(SETTLING_S)
        before = [spent(pid) for pid in ours]
        time.sleep(SECONDS)
        used = [
            Spent(now.cpu_ns - then.cpu_ns, now.wakeups - then.wakeups)
            for now, then in zip(map(spent, ours), before, strict=True)
        ]
        bares = [memory_mib(pid) for pid in bare]
        tell("idle_memory", [memory_mib(pid) for pid in ours], bares, "MiB")
        tell("idle_service_memory", [memory_mib(pid) for pid in services], bares, "MiB")
    percents = [one.cpu_ns / 1e9 / SECONDS * 100 for one in used]
    tell("idle_cpu", percents, [ALLOWED_PERCENT] * ROUNDS, "% of a core")
    tell("idle_wakeups", [one.wakeups / SECONDS for one in used], [ALLOWED_WAKEUPS] * ROUNDS, "1/s")


if __name__ == "__main__":
    main()
