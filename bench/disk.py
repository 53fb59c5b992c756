"""How many bytes of the database a row costs with its indexes, beside the JSON that it came as.

An event that waits, an indicator that waits in the outbox, one that was sent, and a half-hour of a
meter with its share of the hours, days, months and years. They are what the database grows by.
"""

import sqlite3
import tempfile
from pathlib import Path

import anyio
import msgspec

from bench.measure import sized, tell
from bench.nights import DAY, NIGHT, SETTINGS, make_state
from bench.rollup_3y import ANSWERS, store_all
from bench.usage import make_events, opened_worker
from ecolyo_worker import Worker

EVENTS = sized(100_000, 1_000)


def size(connection: sqlite3.Connection) -> int:
    """Give the bytes of the database's pages that hold something."""
    (pages,) = connection.execute("PRAGMA page_count").fetchone()
    (free,) = connection.execute("PRAGMA freelist_count").fetchone()
    (bytes_each,) = connection.execute("PRAGMA page_size").fetchone()
    return int((pages - free) * bytes_each)


def indicators(connection: sqlite3.Connection) -> tuple[int, int]:
    """Give how many wait, and how long they are in all."""
    query = "SELECT count(*), sum(length(body)) FROM outbox WHERE state = 'pending'"
    count, length = connection.execute(query).fetchone()
    return int(count), int(length)


def send(connection: sqlite3.Connection) -> None:
    """Let all that waits have been sent."""
    connection.execute(
        "UPDATE outbox SET state = 'sent', waits = NULL, body = NULL, instance = NULL,"
        " destination = NULL, shuffle = 0 WHERE state = 'pending'"
    )


def remove(connection: sqlite3.Connection) -> None:
    """Delete the outbox."""
    connection.execute("DELETE FROM outbox")


async def of_a_night(directory: Path) -> None:
    """Tell of events and indicators."""
    await make_state(directory, EVENTS)
    json = sum(len(msgspec.json.encode(event)) for _, event in make_events(1_000, start=DAY)) / 1000
    async with Worker(SETTINGS.replace(state_dir=directory)).opened() as worker:
        read, run = worker.database.read, worker.database.run
        with_events = await read(size)
        tell("disk_event", [with_events / EVENTS], [json], "bytes")
        await worker.run_once(NIGHT)
        made, length = await read(indicators)
        sizes = [await read(size)]
        for change in (send, remove):
            await run(change)
            await run(pack)
            sizes.append(await read(size))
        waiting, sent, none = sizes
    tell("disk_indicator", [(waiting - none) / made], [length / made], "bytes")
    tell("disk_sent", [(sent - none) / made], [length / made], "bytes")


def pack(connection: sqlite3.Connection) -> None:
    """Free what the pages have room for."""
    connection.execute("COMMIT")
    connection.execute("VACUUM")
    connection.execute("BEGIN IMMEDIATE")


async def of_a_meter() -> None:
    """Tell of half-hours."""
    async with opened_worker() as worker:
        before = await worker.database.read(size)
        await store_all(worker)
        after = await worker.database.read(size)
        query = "SELECT count(*) FROM points"
        points = await worker.database.read(lambda raw: int(raw.execute(query).fetchone()[0]))
    length = sum(len(body) for _, body in ANSWERS)
    tell("disk_half_hour", [(after - before) / points], [length / points], "bytes")


async def main() -> None:
    """Measure and print."""
    with tempfile.TemporaryDirectory(dir="/var/tmp", prefix="ecolyo-bench-") as directory:
        await of_a_night(Path(directory) / "state")
    await of_a_meter()


if __name__ == "__main__":
    anyio.run(main)
