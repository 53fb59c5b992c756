"""`outbox export`: rows with their attempts, as lines of JSON, however many there are."""

import json
import random
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from ecolyo_worker import Settings, Worker
from ecolyo_worker.commands import Commands
from ecolyo_worker.indicators import Indicator
from ecolyo_worker.requests import OutboxExport, OutboxList
from ecolyo_worker.store import outbox
from ecolyo_worker.store.outbox import NewRow

ROWS = 10_600
"""More than are looked at in one reading."""

Export = Callable[..., Any]


def fill(connection: sqlite3.Connection) -> None:
    """Make many rows of two measures and two days, each of which was cut off once; one is dead."""
    sink = outbox.Sink(
        per_instance=False, state="in_flight", now=1, hmac_key=b"k", random=random.Random(1)
    )
    connection.execute("INSERT INTO instances (id, name, salt) VALUES (1, 'a', zeroblob(16))")
    made = [
        NewRow(
            1,
            n.to_bytes(16, "big"),
            Indicator(
                created_by="ecolyo",
                measure_name=("quiz-stars", "session-duration")[n % 2],
                start_date=f"2026-11-2{n // 2 % 2}",
                value=n,
                group1=None,
            ),
        )
        for n in range(ROWS)
    ]
    outbox.insert(connection, made, sink)
    outbox.interrupt(connection, dict.fromkeys(range(1, ROWS + 1), 7_000), retrying=True)
    connection.execute("UPDATE outbox SET state = 'dead', waits = NULL WHERE id = ?", (ROWS,))


@pytest.fixture
async def full(state_dir: Path) -> Settings:
    settings = Settings(state_dir=state_dir)
    async with Worker(settings).opened() as worker:
        await worker.database.run(fill)
    return settings


async def test_all_rows_are_given_once_with_their_attempts(full: Settings) -> None:
    """Rows come in the order in which they were made, each with its attempts."""
    async with Worker(full).reading() as worker:
        rows = [row async for row in Commands(worker).outbox_export(OutboxExport())]
    assert [row.id for row in rows] == list(range(1, ROWS + 1))
    assert {(row.attempts, row.history[0].outcome) for row in rows} == {(1, "interrupted")}


@pytest.mark.parametrize(
    ("wanted", "count"),
    [
        (OutboxExport(state="dead"), 1),
        (OutboxExport(measure="quiz-stars"), ROWS // 2),
        (OutboxExport(day="2026-11-20"), ROWS // 2),
        (OutboxExport("pending", "session-duration", "2026-11-21"), ROWS // 4 - 1),
        (OutboxExport(state="local"), 0),
        (OutboxExport(measure="quiz-star"), 0),
    ],
)
async def test_what_is_wanted_is_found_wherever_it_is(
    full: Settings, wanted: OutboxExport, count: int
) -> None:
    """State, measure and start date choose, also what stands behind very many others."""
    async with Worker(full).reading() as worker:
        rows = [row async for row in Commands(worker).outbox_export(wanted)]
        listed = [row async for row in Commands(worker).outbox_list(OutboxList(wanted.state))]
    assert len(rows) == count
    assert {row.id for row in rows} <= {row.id for row in listed}
    assert wanted.measure in {None, *(row.measure for row in rows)} or not count
    assert wanted.day in {None, *(row.start_date for row in rows)} or not count


async def test_a_line_is_a_row(full: Settings, cli: Any) -> None:
    """The command prints a line of JSON for each row, with or without `--json`."""
    done = await cli("outbox", "export", "--state", "dead")
    assert (await cli("outbox", "export", "--state", "dead", "--json")).stdout == done.stdout
    (line,) = done.stdout.splitlines()
    row = json.loads(line)
    assert (row["id"], row["state"], row["indicator"]["value"]) == (ROWS, "dead", ROWS - 1)
    assert row["history"] == [
        {
            "n": 1,
            "ended": "1970-01-01T00:00:07Z",
            "outcome": "interrupted",
            "status": None,
            "answer": None,
        }
    ]
    assert "attempts" not in json.loads(
        (await cli("outbox", "list", "--state", "dead", "--json")).stdout
    )


async def test_nothing_is_said_to_be_nothing(full: Settings, cli: Any) -> None:
    """Where no row is wanted, stdout stays empty and a sentence says so."""
    done = await cli("outbox", "export", "--measure", "quiz-star")
    assert (done.returncode, done.stdout, done.stderr) == (0, b"", b"no such row\n")


async def test_a_row_that_is_not_there_is_not_the_next_one(full: Settings, cli: Any) -> None:
    """A number between others whose row was deleted shows nothing."""
    with closing(sqlite3.connect(full.directory / "ecolyo.db")) as other, other:
        other.execute("DELETE FROM outbox WHERE id = 5")
    assert (await cli("outbox", "show", "5")).returncode == 64
