"""1,000 callers who record one event at a time, beside durable puts of three queues on SQLite.

Ours is `intake_ack_1000`'s. A queue's puts come from one thread, for which none waits for another;
each is what its page shows, with `PRAGMA synchronous = FULL`, so that it is on disk as ours is.
Ours also checks every event and refuses doubles; they store what they are given.
"""

import json
import sqlite3
import tempfile
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, closing, contextmanager
from pathlib import Path
from time import perf_counter
from typing import Any

import anyio
from huey import SqliteHuey
from litequeue import LiteQueue
from persistqueue import SQLiteQueue

from bench.intake_ack_1000 import ours
from bench.measure import compare, sized
from bench.usage import make_events

PUTS = sized(1_000)
FULL = 2

Put = Callable[[str, dict[str, Any]], object]
Opened = Callable[[Path], AbstractContextManager[Put]]

_EVENTS = make_events(PUTS)


def check(connection: sqlite3.Connection) -> None:
    """Check that a queue's connection waits for the disk."""
    assert connection.execute("PRAGMA journal_mode").fetchone()[0] == "wal"
    assert connection.execute("PRAGMA synchronous").fetchone()[0] == FULL


@contextmanager
def huey_put(directory: Path) -> Iterator[Put]:
    """Call a task of huey, which puts it into its queue."""
    huey = SqliteHuey(filename=str(directory / "huey.db"), fsync=True)

    @huey.task()
    def take(instance: str, event: dict[str, Any]) -> None:
        """Nothing runs it."""

    with closing(huey.storage):
        check(huey.storage.conn)
        yield take


@contextmanager
def litequeue_put(directory: Path) -> Iterator[Put]:
    """Put JSON into a queue of litequeue, which takes text."""
    queue = LiteQueue(str(directory / "litequeue.db"))
    with closing(queue.conn) as connection:
        connection.execute("PRAGMA synchronous = FULL")
        check(connection)
        yield lambda instance, event: queue.put(json.dumps({"instance": instance, **event}))


@contextmanager
def persist_queue_put(directory: Path) -> Iterator[Put]:
    """Put into persist-queue's queue on SQLite, which pickles it."""
    queue = SQLiteQueue(str(directory), auto_commit=True)
    with closing(queue):
        queue._putter.execute("PRAGMA synchronous = FULL")  # noqa: SLF001  there is no other way
        check(queue._putter)  # noqa: SLF001
        yield lambda instance, event: queue.put((instance, event))


QUEUES: dict[str, Opened] = {
    "intake_vs_huey": huey_put,
    "intake_vs_litequeue": litequeue_put,
    "intake_vs_persist_queue": persist_queue_put,
}


def puts(opened: Opened) -> float:
    """Give the events per second that a queue has taken."""
    with (
        tempfile.TemporaryDirectory(dir="/var/tmp", prefix="ecolyo-bench-") as directory,
        opened(Path(directory)) as put,
    ):
        begin = perf_counter()
        for instance, event in _EVENTS:
            put(instance, event)
        return PUTS / (perf_counter() - begin)


async def main() -> None:
    """Measure and print."""
    for name, opened in QUEUES.items():

        async def baseline(opened: Opened = opened) -> float:
            return puts(opened)

        await compare(name, baseline, ours)


if __name__ == "__main__":
    anyio.run(main)
