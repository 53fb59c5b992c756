"""How long `status` takes with a million rows in the outbox, and a service to start with them.

Beside the second, and the two seconds, that these may take. Each is a process of its own, as an
operator starts it; `status` is asked for without a service, then beside one. A service that is
begun again was killed before.
"""

import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import anyio

from bench.measure import ROUNDS, demand, sized, tell
from bench.processes import service
from bench.sending import fill
from ecolyo_worker import Settings, Worker

ROWS = sized(1_000_000)
STATUS_S = 1
START_S = 2


def show(state_dir: Path) -> None:
    """Ask for the status."""
    words = [sys.executable, "-m", "ecolyo_worker", "status", "--state-dir", str(state_dir)]
    subprocess.run(words, check=True, capture_output=True)


def start(state_dir: Path) -> None:
    """Start a service, and kill it when it is ready."""
    with service(state_dir):
        pass


def told(name: str, act: Callable[[], None], allowed_s: float) -> float:
    """Do something again and again, print how often a second holds it, and give its ratio."""
    act()  # what is read once is not its doing
    found = []
    for _ in range(ROUNDS):
        begin = time.perf_counter()
        act()
        found.append(1 / (time.perf_counter() - begin))
    return tell(name, found, [1 / allowed_s] * ROUNDS, "runs/s")


async def main() -> None:
    """Measure, and print what came of it."""
    with tempfile.TemporaryDirectory(dir="/var/tmp", prefix="ecolyo-bench-") as directory:
        state_dir = Path(directory)
        async with Worker(Settings(state_dir=state_dir)).opened() as worker:
            await worker.database.run(fill, ROWS)
        ask, begin = partial(show, state_dir), partial(start, state_dir)
        ratios = [told("status_1m", ask, STATUS_S), told("status_1m_start", begin, START_S)]
        with service(state_dir):
            ratios.append(told("status_1m_service", ask, STATUS_S))
    demand(min(ratios))


if __name__ == "__main__":
    anyio.run(main)
