"""Marks: what became of many rows in one transaction, and never twice."""

import random
import sqlite3
from pathlib import Path

import pytest

from ecolyo_worker.indicators import Indicator
from ecolyo_worker.store import attempts, draw, instances, listing, outbox, totals
from ecolyo_worker.store.attempts import Attempt, Kept
from ecolyo_worker.store.database import Database
from ecolyo_worker.store.listing import Wanted
from ecolyo_worker.store.outbox import Mark, NewRow, Settlement

FAILED = Settlement("pending", "failed", due=900, counted=True, failing_since=5, answer="500: ")
OUTCOMES = (Settlement("sent", "delivered"), FAILED, Settlement("dead", "rejected", counted=True))


def fill(connection: sqlite3.Connection, rows: int, due: int = 0) -> list[int]:
    """Put rows of one person into the outbox, and claim those that are due."""
    sink = outbox.Sink(
        per_instance=True, state="pending", now=1, hmac_key=b"k", random=random.Random(1), due=due
    )
    owner = instances.identify(connection, "alice.example")
    for n in range(rows):
        made = Indicator(
            created_by="ecolyo", measure_name="m", start_date="2026-11-20", value=n, group1=None
        )
        outbox.insert(connection, [NewRow(owner, n.to_bytes(16, "big"), made)], sink)
    wanted = draw.Draw(now=10, due=10, latest=10_000, limit=rows)
    claims = draw.claim(connection, wanted, lambda rows: [draw.Verdict("in_flight") for _ in rows])
    return [row.id for row in claims.rows]


@pytest.mark.parametrize("settlement", OUTCOMES, ids=lambda one: one.outcome)
async def test_marking_again_changes_nothing(tmp_path: Path, settlement: Settlement) -> None:
    """Marks whose writing was cut off may be on disk: written again, nothing is counted twice."""
    async with Database.open(tmp_path) as database:
        ids = await database.run(fill, 5)
        marks = [Mark(ident, settlement, 7, 3) for ident in ids]
        await database.run(outbox.mark, marks)
        once = (
            await database.read(totals.read),
            await database.read(listing.tried_page, 0, 99, Wanted()),
        )
        await database.run(outbox.mark, marks)
        await database.run(outbox.interrupt, dict.fromkeys(ids, 8), retrying=True)
        assert (
            await database.read(totals.read),
            await database.read(listing.tried_page, 0, 99, Wanted()),
        ) == once
        assert once[0]["attempts"] == once[0][f"outcomes.{settlement.outcome}"] == 5
        assert once[0][f"outbox.{settlement.state}"] == 5
        assert once[0]["outbox.in_flight"] == 0


async def test_rows_of_a_run_may_be_due_later(tmp_path: Path) -> None:
    """A run's rows are not drawn before its moment, unless somebody hastens them."""
    async with Database.open(tmp_path) as database:
        assert await database.run(fill, 3, due=500) == []
        assert await database.read(draw.next_moment, 10, 10_000) == 500
        assert await database.run(draw.hasten, 2)
        assert not await database.run(draw.hasten, 2)
        assert await database.read(draw.next_moment, 10, 10_000) == 10


async def test_no_answer_of_someone_who_left_stays_or_comes(tmp_path: Path) -> None:
    """A row in flight whose person is forgotten loses the words it has, and gets no others."""
    async with Database.open(tmp_path) as database:
        ids = await database.run(fill, 2)
        said = [Attempt(ident, 6, "unknown", 504, "of alice") for ident in ids]
        await database.run(attempts.note, said)
        await database.run(outbox.remove_unsent, 1, forgotten=True)
        left = Kept(1, 6, "unknown", 504, None)
        assert await database.read(attempts.of_rows, ids) == {ident: [left] for ident in ids}
        await database.run(attempts.note, said)
        twice = [left, Kept(2, 6, "unknown", 504, None)]
        assert await database.read(attempts.of_rows, ids) == dict.fromkeys(ids, twice)
