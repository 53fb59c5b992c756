"""What is kept no longer: only what is finished, only when the time is sure, and counted."""

import re
import sqlite3
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from ecolyo_worker import Settings, Worker
from ecolyo_worker.commands import Commands
from ecolyo_worker.requests import Aggregate, OutboxList
from ecolyo_worker.settings import Retention
from ecolyo_worker.store import totals
from ecolyo_worker.testing import Echo
from ecolyo_worker.testing.clock import FakeClock, SteppedClock
from ecolyo_worker.testing.ledger import assert_balanced

Agree = Callable[..., Awaitable[None]]

ALICE = {"instance": "alice.example"}
HOUR = timedelta(hours=1)

# As the first row that was sent.
SENT_ROWS = """
WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < ?)
INSERT INTO outbox
(key, measure, start_date, body_hmac, state, waits, shuffle, created, attempted)
SELECT randomblob(16), measure, start_date, body_hmac, state, waits, shuffle, created, attempted
FROM n, (SELECT * FROM outbox WHERE state = 'sent' LIMIT 1)
"""


@pytest.fixture
async def sent(
    fill: Callable[..., Awaitable[None]], echo: Echo, quick: Callable[..., Settings]
) -> Settings:
    """A state with six rows: four are sent, one is dead, one waits."""
    await fill()
    await echo.set_fault("ok*4,status=400,status=401")
    settings = quick(echo.url, concurrency=1)
    async with Worker(settings).opened() as worker:
        await worker.send()
        assert _rows(worker) == {"sent": 4, "dead": 1, "pending": 1}
    return settings.replace(mode="off")


def _rows(worker: Worker) -> dict[str, int]:
    return {state: count for state, count in worker.status().outbox.items() if count}


async def later(settings: Settings, *steps: timedelta, **options: Any) -> dict[str, int]:
    """Run a worker from so long after now on, in steps, and give its rows by state."""
    clock = SteppedClock(datetime.now(UTC) + steps[0])
    async with Worker(settings, clock=clock) as worker:
        await clock.sleepers(len(worker.health()) - 1)  # intake goes by the machine's time
        for step in steps[1:]:
            await clock.step(clock.now() + step, **options)
        return _rows(worker)


async def test_old_sent_rows_go(sent: Settings, state_dir: Path, echo: Echo) -> None:
    """Sent rows go after `retention.sent_days`; what waits or is dead stays; the books balance."""
    assert (await later(sent, timedelta(days=89), HOUR))["sent"] == 4
    assert await later(sent, timedelta(days=91), HOUR) == {"dead": 1, "pending": 1}
    async with Worker(sent).reading() as worker:
        assert worker.status().removed == {"outbox.sent": 4}
    ledger = await assert_balanced(state_dir, echo.url)
    assert (ledger.indicators, ledger.received) == (6, 4)


async def test_many_old_rows_go_in_small_transactions(sent: Settings) -> None:
    """One round deletes them all, at most 500 in a transaction: intake waits for no more."""

    def add(connection: sqlite3.Connection) -> None:
        connection.execute(SENT_ROWS, (1_196,))
        totals.add(connection, {"outbox.sent": 1_196})

    said: list[str] = []
    clock = SteppedClock(datetime.now(UTC) + timedelta(days=91))
    async with Worker(sent, clock=clock) as worker:
        await clock.sleepers(len(worker.health()) - 1)  # intake goes by the machine's time
        await worker.database.run(add)
        assert _rows(worker)["sent"] == 1_200
        await worker.database.read(sqlite3.Connection.set_trace_callback, said.append)
        await clock.step(clock.now() + HOUR)
        assert "sent" not in _rows(worker)
    transactions = "\n".join(said).split("BEGIN IMMEDIATE")
    gone = [len(set(re.findall(r"DELETE FROM outbox .*", words))) for words in transactions]
    assert (sum(gone), max(gone)) == (1_200, 500)


@pytest.mark.parametrize(("days_later", "left"), [(2, {"sent"}), (60, set())])
async def test_a_connected_day_chosen_by_hand_is_made_once(
    echo: Echo, quick: Callable[..., Settings], agree: Agree, days_later: int, left: set[str]
) -> None:
    """Its row stays, though it is sent and old, for as long as a run might make that day again."""
    now = datetime.now(UTC)
    days = [f"{now - timedelta(days=ago):%F}" for ago in range(12)]
    settings = quick(echo.url).replace(retention=Retention(sent_days=1))
    async with Worker(settings).opened() as worker:
        consent = {"version": "1.0.0", "accepted_at": f"{days[10]}T00:00"}
        gas = {"fluid": "gas", "connected": True, "since": f"{days[10]}T00:00"}
        await agree(worker, {**ALICE, "consent": consent, "konnectors": [gas]})
        commands = Commands(worker)
        await commands.aggregate(Aggregate(f"{days[6]}T01:00"))
        await commands.aggregate(Aggregate(f"{days[2]}T01:00", days[4]))
        await worker.send()
    clock = SteppedClock(now + timedelta(days=days_later))
    async with Worker(settings.replace(mode="off"), clock=clock) as worker:
        await clock.sleepers(len(worker.health()) - 1)  # intake goes by the machine's time
        await clock.step(clock.now() + HOUR)
    async with Worker(settings, clock=clock).opened() as worker:
        await worker.run_once()
        rows = [row async for row in Commands(worker).outbox_list(OutboxList())]
        assert {row.state for row in rows if row.start_date == days[4]} == left


async def test_nothing_goes_at_once(sent: Settings) -> None:
    """A single look at a clock is not believed: it may have been set wrong."""
    assert (await later(sent, timedelta(days=4000)))["sent"] == 4


async def test_nothing_goes_while_the_clock_jumps(sent: Settings) -> None:
    """A clock that jumps ahead deletes nothing until it has gone evenly for an hour."""
    clock = SteppedClock(datetime.now(UTC))
    async with Worker(sent, clock=clock) as worker:
        await clock.sleepers(len(worker.health()) - 1)  # intake goes by the machine's time
        await clock.step(clock.now() + timedelta(days=3650), jump=True)
        await clock.step(clock.now() + HOUR)
        assert _rows(worker)["sent"] == 4
        await clock.step(clock.now() + HOUR)
        assert "sent" not in _rows(worker)


async def test_restarts_put_nothing_off(sent: Settings) -> None:
    """A worker that never lives for an hour deletes what is old all the same."""
    begin = datetime.now(UTC) + timedelta(days=91)
    for life in range(3):
        clock = SteppedClock(begin + life * timedelta(minutes=50))
        async with Worker(sent, clock=clock) as worker:
            await clock.sleepers(len(worker.health()) - 1)
            left = _rows(worker)
        assert ("sent" in left) == (life < 2)


async def test_a_wrong_clock_in_a_short_life_deletes_nothing(sent: Settings) -> None:
    """What a clock says that was set forward is forgotten once it is set right again."""
    now = datetime.now(UTC)
    wrong = now + timedelta(days=3650)
    for moment in (now, wrong, now + HOUR, wrong + HOUR, now + 2 * HOUR):
        clock = SteppedClock(moment)
        async with Worker(sent, clock=clock) as worker:
            await clock.sleepers(len(worker.health()) - 1)
            assert _rows(worker)["sent"] == 4


async def test_runs_by_hand_delete_what_is_old(sent: Settings) -> None:
    """Where nothing works by itself a run deletes what is old, going by the run before it."""
    settings = sent.replace(mode="local")
    clock = FakeClock(datetime.now(UTC) + timedelta(days=91))
    found = []
    for _ in range(2):
        async with Worker(settings, clock=clock).opened() as worker:
            await worker.run_once()
            found.append(_rows(worker).get("sent"))
        clock.advance(86_400)
    assert found == [4, None]
