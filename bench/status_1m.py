"""How long `status` takes with a million rows in the outbox, beside the second that it may take.

Each is a process of its own, as an operator starts it: without a service, then beside one.
"""

import subprocess
import sys
import tempfile
import time
from pathlib import Path

import anyio

from bench.measure import ROUNDS, demand, sized, tell
from bench.processes import service
from bench.sending import fill
from ecolyo_worker import Settings, Worker

ROWS = sized(1_000_000)
ALLOWED_S = 1


def measured(state_dir: Path) -> float:
    """Give how many times in a second the command could be run."""
    words = [sys.executable, "-m", "ecolyo_worker", "status", "--state-dir", str(state_dir)]
    begin = time.perf_counter()
    subprocess.run(words, check=True, capture_output=True)
    return 1 / (time.perf_counter() - begin)


def told(name: str, state_dir: Path) -> float:
    """Run it again and again, print what came of it, and give its ratio."""
    measured(state_dir)  # what is read once is not the command's doing
    found = [measured(state_dir) for _ in range(ROUNDS)]
    return tell(name, found, [1 / ALLOWED_S] * ROUNDS, "runs/s")


async def main() -> None:
    """Measure, and print what came of it."""
    with tempfile.TemporaryDirectory(dir="/var/tmp", prefix="ecolyo-bench-") as directory:
        state_dir = Path(directory)
        async with Worker(Settings(state_dir=state_dir)).opened() as worker:
            await worker.database.run(fill, ROWS)
        alone = told("status_1m", state_dir)
        with service(state_dir):
            beside = told("status_1m_service", state_dir)
    demand(min(alone, beside))


if __name__ == "__main__":
    anyio.run(main)
