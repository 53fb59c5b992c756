"""How long `status` takes with a million rows in the outbox, beside `version`, which opens nothing.

Each is a process of its own, as an operator starts it: without a service, then beside one.
"""

import os
import sqlite3
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import anyio
from measure import ROUNDS, tell

from ecolyo_worker import Settings, Worker
from ecolyo_worker.store import destinations, instances, totals

ROWS = 1_000_000


def fill(connection: sqlite3.Connection) -> None:
    """Let so many rows wait, a tenth of them dead."""
    person = instances.identify(connection, "alice.example")
    home = destinations.identify(connection, None)
    connection.execute(
        "WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < ?)"
        " INSERT INTO outbox (key, instance, destination, measure, start_date, body, body_hmac,"
        " state, shuffle, created) SELECT randomblob(16), ?, ?, 'quiz-stars', '2026-11-20',"
        " randomblob(150), randomblob(32), iif(i % 10, 'pending', 'dead'), random() >> 2, i FROM n",
        (ROWS, person, home),
    )
    totals.add(connection, {"outbox.pending": ROWS - ROWS // 10, "outbox.dead": ROWS // 10})


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


@contextmanager
def service(state_dir: Path) -> Iterator[None]:
    """Run a service that sends nothing, until left."""
    words = [sys.executable, "-m", "ecolyo_worker", "run", "--state-dir", str(state_dir)]
    env = {**os.environ, "ECOLYO_WORKER__MODE": "off"}
    with subprocess.Popen(words, env=env, stderr=subprocess.PIPE) as process:
        assert process.stderr is not None
        while b"ready" not in process.stderr.readline():
            assert process.poll() is None, "the service did not start"
        try:
            yield
        finally:
            process.terminate()


async def main() -> None:
    """Measure, and print what came of it."""
    with tempfile.TemporaryDirectory(dir="/var/tmp", prefix="ecolyo-bench-") as directory:
        state_dir = Path(directory)
        async with Worker(Settings(state_dir=state_dir)).opened() as worker:
            await worker.database.run(fill)
        compared("status_1m", state_dir)
        with service(state_dir):
            compared("status_1m_service", state_dir)


anyio.run(main)
