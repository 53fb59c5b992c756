"""How long `status` takes with a million rows in the outbox, beside `version`, which opens nothing.

Each is a process of its own, as an operator starts it: without a service, then beside one.
"""

import subprocess
import sys
import tempfile
import time
from pathlib import Path

import anyio

from bench.measure import ROUNDS, sized, tell
from bench.processes import service
from bench.sending import fill
from ecolyo_worker import Settings, Worker

ROWS = sized(1_000_000)


def measured(state_dir: Path, command: str) -> float:
    """Give how many times in a second the command could be run."""
    words = [sys.executable, "-m", "ecolyo_worker", command, "--state-dir", str(state_dir)]
    begin = time.perf_counter()
    subprocess.run(words, check=True, capture_output=True)
    return 1 / (time.perf_counter() - begin)


def compared(name: str, state_dir: Path) -> None:
    """Run `status` and `version` by turns, and print what came of it."""
    measured(state_dir, "status")  # what is read once is not the command's doing
    rates = [(measured(state_dir, "status"), measured(state_dir, "version")) for _ in range(ROUNDS)]
    tell(name, [one for one, _ in rates], [other for _, other in rates], "runs/s")


async def main() -> None:
    """Measure, and print what came of it."""
    with tempfile.TemporaryDirectory(dir="/var/tmp", prefix="ecolyo-bench-") as directory:
        state_dir = Path(directory)
        async with Worker(Settings(state_dir=state_dir)).opened() as worker:
            await worker.database.run(fill, ROWS)
        compared("status_1m", state_dir)
        with service(state_dir):
            compared("status_1m_service", state_dir)


if __name__ == "__main__":
    anyio.run(main)
