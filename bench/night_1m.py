"""A night over a million events of 10,000 people and one day, beside its floor.

Ours: `worker.run_once` on the running worker: every event counted and every indicator in the
outbox, in many small transactions, so that nobody else waits for long. Baseline: a bare loop over
the same events in the order of counting, and `executemany` of the same ready rows of the outbox, in
as many transactions that are as durable. The ratio is of times, so less is better.
"""

import gc
import sqlite3
import tempfile
from contextlib import closing
from pathlib import Path
from time import perf_counter
from typing import Any

import anyio

from bench.measure import ROUNDS, sized, tell
from bench.nights import DAY, EVENTS_EACH, NIGHT, SETTINGS, copied, make_state
from ecolyo_worker import Worker
from ecolyo_worker.store.database import DATABASE

EVENTS = sized(1_000_000, EVENTS_EACH)

_ORDERED = """
    SELECT instance, day, time, seq, type, target, context, result, start, aggregated
      FROM events ORDER BY instance, day, time, seq
"""
_COLUMNS = (
    "key, instance, destination, measure, start_date, body, body_hmac, state, due, shuffle, created"
)


async def ours(state: Path) -> tuple[float, int, list[tuple[Any, ...]]]:
    """Run the night on a copy; give the seconds, how many batches it took, and its rows."""
    with copied(state) as directory:
        async with Worker(SETTINGS.replace(state_dir=directory)) as worker:
            batches = 0
            log = worker.aggregator._log  # noqa: SLF001  called for each batch

            def counted(batch: Any) -> None:  # noqa: ANN401
                nonlocal batches
                batches += 1
                log(batch)

            worker.aggregator._log = counted  # type: ignore[method-assign]  # noqa: SLF001
            begin = perf_counter()
            await worker.run_once(NIGHT)
            took = perf_counter() - begin
            return took, batches, await worker.database.read(_rows)


def _rows(connection: sqlite3.Connection) -> list[tuple[Any, ...]]:
    query = f"SELECT {_COLUMNS} FROM outbox WHERE start_date = ?"
    return connection.execute(query, (f"{DAY:%Y-%m-%d}",)).fetchall()


def floor(state: Path, rows: list[tuple[Any, ...]], batches: int) -> float:
    """Read every event in order, and store the ready rows; give the seconds."""
    size = max(len(rows) // batches, 1)
    pieces = [rows[begin : begin + size] for begin in range(0, len(rows), size)]
    insert = f"INSERT INTO outbox ({_COLUMNS}) VALUES ({', '.join('?' * len(rows[0]))})"
    with (
        copied(state) as directory,
        closing(sqlite3.connect(directory / DATABASE, isolation_level=None)) as raw,
    ):
        raw.execute("PRAGMA synchronous = FULL")
        begin = perf_counter()
        for _ in raw.execute(_ORDERED):
            pass
        for piece in pieces:
            raw.execute("BEGIN IMMEDIATE")
            raw.executemany(insert, piece)
            raw.execute("COMMIT")
        return perf_counter() - begin


async def main() -> None:
    """Measure and print."""
    with tempfile.TemporaryDirectory(dir="/var/tmp", prefix="ecolyo-bench-") as directory:
        state = Path(directory) / "state"
        await make_state(state, EVENTS)
        nights, floors = [], []
        for _ in range(ROUNDS):
            gc.collect()
            took, batches, rows = await ours(state)
            nights.append(took)
            floors.append(floor(state, rows, batches))
            del rows  # else the collector would look through them during the next night
        tell("night_1m", nights, floors, "s")


if __name__ == "__main__":
    anyio.run(main)
