"""A night over a million events of 10,000 people and one day, beside its floor.

Ours: `worker.run_once` on the running worker: every event counted and every indicator in the
outbox, in many small transactions, so that nobody else waits for long. Baseline: a bare loop over
the same events in the order of counting, and `executemany` of the same ready rows of the outbox, in
as many transactions that are as durable. The ratio is of rates, so more is better: at 0.56 a night
takes 1.8 times as long as its floor.

`night_1m_pause` is the longest time, in ms, for which the event loop stood still in any of these
nights, beside the 50 that are allowed: there less is better. The first night loads what classifies
browsers.

    python bench/night_1m.py [EVENTS [PEOPLE]]
"""

import gc
import sqlite3
import sys
import tempfile
from collections.abc import Iterator
from contextlib import closing, contextmanager
from datetime import datetime, timedelta
from pathlib import Path
from shutil import copytree
from time import perf_counter
from typing import Any

import anyio
from measure import tell
from usage import make_events

from ecolyo_worker import Settings, Worker
from ecolyo_worker.events import check_event
from ecolyo_worker.facts import Consent, InstanceFacts
from ecolyo_worker.store import events, instances
from ecolyo_worker.store.database import DATABASE

ROUNDS = 3
EVENTS = 1_000_000
PEOPLE = 10_000
PIECE = 20_000
DAY = datetime(2026, 11, 20)  # noqa: DTZ001  civil time
NIGHT = DAY + timedelta(days=1, hours=1)
PAUSE_MS = 50.0
TICK_S = 0.005

_SETTINGS = Settings(state_dir=Path("/nonexistent"))
_ORDERED = """
    SELECT instance, day, time, seq, type, target, context, result, start, aggregated
      FROM events ORDER BY instance, day, time, seq
"""
_COLUMNS = (
    "key, instance, destination, measure, start_date, body, body_hmac, state, due, shuffle, created"
)


async def make_state(directory: Path, count: int, people: int) -> None:
    """Store so many events of one day, as they come in: everybody's by turns."""
    names = [f"household{number:02}.mycozy.cloud" for number in range(people)]
    async with Worker(_SETTINGS.replace(state_dir=directory)).opened() as worker:
        await worker.store_facts(*(InstanceFacts(name, Consent(0, "1.0.0")) for name in names))
        await worker.run_once(DAY + timedelta(hours=1))  # so that it is nobody's first night
        for seed, begin in enumerate(range(0, count, PIECE)):
            size = min(PIECE, count - begin)
            made = make_events(size, seed=seed, people=people, start=DAY, days=1)
            await worker.database.run(_store, made)


def _store(connection: sqlite3.Connection, made: list[tuple[str, dict[str, Any]]]) -> None:
    ids = instances.identify_all(connection, (name for name, _ in made))
    batch = [(ids[name], check_event(event, _SETTINGS.civil_zone, "wall")) for name, event in made]
    events.insert(connection, batch)


@contextmanager
def copied(state: Path) -> Iterator[Path]:
    """Give a copy of a state, in a file of its own, as a database is found in the morning."""
    with tempfile.TemporaryDirectory(dir="/var/tmp", prefix="ecolyo-bench-") as directory:
        yield copytree(state, Path(directory) / "state")


class Ticker:
    """Asks for its turn again and again, and keeps the longest time for which it had none."""

    def __init__(self) -> None:
        self.longest_ms = 0.0

    async def tick(self) -> None:
        """Tick until cancelled."""
        last = perf_counter()
        while True:
            await anyio.sleep(TICK_S)
            now = perf_counter()
            self.longest_ms = max(self.longest_ms, (now - last - TICK_S) * 1000)
            last = now


async def ours(state: Path, ticker: Ticker) -> tuple[float, int, list[tuple[Any, ...]]]:
    """Run the night on a copy; give the seconds, how many batches it took, and its rows."""
    with copied(state) as directory:
        async with Worker(_SETTINGS.replace(state_dir=directory)) as worker:
            batches = 0
            log = worker.aggregator._log  # noqa: SLF001  called for each batch

            def counted(batch: Any) -> None:  # noqa: ANN401
                nonlocal batches
                batches += 1
                log(batch)

            worker.aggregator._log = counted  # type: ignore[method-assign]  # noqa: SLF001
            async with anyio.create_task_group() as ticking:
                ticking.start_soon(ticker.tick)
                begin = perf_counter()
                await worker.run_once(NIGHT)
                took = perf_counter() - begin
                ticking.cancel_scope.cancel()
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


async def main(count: int = EVENTS, people: int = PEOPLE) -> None:
    """Measure and print."""
    with tempfile.TemporaryDirectory(dir="/var/tmp", prefix="ecolyo-bench-") as directory:
        state = Path(directory) / "state"
        await make_state(state, count, people)
        nights, floors = [], []
        ticker = Ticker()
        for _ in range(ROUNDS):
            gc.collect()
            took, batches, rows = await ours(state, ticker)
            nights.append(count / took)
            floors.append(count / floor(state, rows, batches))
            del rows  # else the collector would look through them during the next night
        tell("night_1m", nights, floors, "events/s")
        tell("night_1m_pause", [ticker.longest_ms], [PAUSE_MS], "ms")


if __name__ == "__main__":
    anyio.run(main, *map(int, sys.argv[1:]))
