"""Drawing rows costs the same whatever else waits."""

import sqlite3
from pathlib import Path

from ecolyo_worker.store import destinations, outbox
from ecolyo_worker.store.database import Database

DRAW = outbox.Draw(destination=1, now=1_000, latest=2_000)

WAITING = (
    "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < ?)"
    " INSERT INTO outbox (key, destination, measure, start_date, body, body_hmac, state, due,"
    " shuffle, created) SELECT randomblob(16), 1, 'm', '2026-11-20', x'00', x'00', 'pending', ?, i,"
    " 0 FROM n"
)


def wait(connection: sqlite3.Connection, rows: int, due: int) -> None:
    """Put so many pending rows into the outbox."""
    connection.execute(WAITING, (rows, due))


def steps_of_a_claim(connection: sqlite3.Connection) -> int:
    """Count what SQLite does to draw four rows, in units of ten steps of its machine."""
    steps = 0

    def count() -> int:
        nonlocal steps
        steps += 1
        return 0

    connection.set_progress_handler(count, 10)
    try:
        claimed, _ = outbox.claim(connection, DRAW, 4, lambda _: outbox.Verdict("in_flight"))
    finally:
        connection.set_progress_handler(None, 10)
    assert len(claimed) == 4
    return steps


async def test_a_claim_costs_the_same_with_many_rows_waiting(tmp_path: Path) -> None:
    """A hundred times as many rows, due or in backoff, make a claim no more work for SQLite."""
    async with Database.open(tmp_path) as database:
        await database.run(destinations.identify, "native")
        costs = []
        for rows in (200, 20_000):
            for due in (0, 1_500):
                await database.run(wait, rows, due)
            costs.append(await database.run(steps_of_a_claim))
    assert costs[1] <= 1.2 * costs[0]
