"""Claiming a hundred due rows out of a million that wait, beside claiming them out of a thousand.

`backlog` is of rows that are due, `backlog_moment` of rows that become due with the first claim,
all at one moment, as those of a night do. Each claim is a transaction that is on disk before it is
measured. The ratio is of times, so at 1 a claim costs the same whatever waits.
"""

import sqlite3
import tempfile
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from statistics import median
from time import perf_counter

import anyio

from bench.measure import ROUNDS, sized, tell
from bench.sending import fill
from ecolyo_worker import Settings, Worker
from ecolyo_worker.store import draw

LIMIT = 100
CLAIMS = 5
FEW = 1_000
MANY = sized(1_000_000, FEW)

_DRAW = draw.Draw(now=10**15, due=10**15, latest=10**16, limit=LIMIT)


@asynccontextmanager
async def waiting(rows: int, due: int) -> AsyncIterator[Worker]:
    """Open a worker with so many rows that are due at a moment, nine tenths of which may leave."""
    with tempfile.TemporaryDirectory(dir="/var/tmp", prefix="ecolyo-bench-") as directory:
        async with Worker(Settings(state_dir=Path(directory))).opened() as worker:
            await worker.database.run(fill, rows, due)
            yield worker


def leaving(drawn: Sequence[draw.Drawn]) -> list[draw.Verdict]:
    """Let every row leave."""
    return [draw.Verdict("in_flight")] * len(drawn)


def put_back(connection: sqlite3.Connection, due: int) -> None:
    """Let what was claimed, or became due, wait again, at its random place."""
    connection.execute(
        "UPDATE outbox SET state = 'pending', due = ?1 WHERE state = 'in_flight'"
        " OR state = 'pending' AND due != ?1",
        (due,),
    )


async def measured(worker: Worker, due: int) -> float:
    """Claim some times; give the ms that one takes."""
    await worker.database.run(put_back, due)
    took = []
    for _ in range(CLAIMS):
        begin = perf_counter()
        claims = await worker.database.run(draw.claim, _DRAW, leaving)
        took.append((perf_counter() - begin) * 1000)
        assert len(claims.rows) == LIMIT
    return median(took)


async def main() -> None:
    """Measure and print."""
    for name, due in (("backlog", 0), ("backlog_moment", 10**14)):
        async with waiting(MANY, due) as many, waiting(FEW, due) as few:
            for worker in (many, few):
                await measured(worker, due)  # what is read once is not the claim's doing
            found = [(await measured(many, due), await measured(few, due)) for _ in range(ROUNDS)]
        tell(name, [one for one, _ in found], [other for _, other in found], "ms")


if __name__ == "__main__":
    anyio.run(main)
