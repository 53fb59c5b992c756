"""What the sender has in hand is newer than what it reads from disk."""

import random
import sqlite3
import threading
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from pathlib import Path

import anyio
import structlog

from ecolyo_worker import Settings, Worker
from ecolyo_worker.actors.context import Context
from ecolyo_worker.actors.decision import BREAKER_FAILURES
from ecolyo_worker.actors.hands import Hands
from ecolyo_worker.clock import utc_ms
from ecolyo_worker.remote.outcome import Outcome
from ecolyo_worker.store import draw
from ecolyo_worker.store.database import Database
from ecolyo_worker.store.draw import Claims, Draw, Verdict
from ecolyo_worker.testing.clock import FakeClock

NOW = datetime(2026, 11, 21, 2, 0, tzinfo=UTC)
PAGES = ("electricity", "gas", "water", "faq", "options", "analysis", "home", "challenges")
AWAY = Outcome("unavailable", "nobody listens")


def claim(connection: sqlite3.Connection, limit: int) -> Claims:
    wanted = Draw(now=utc_ms(NOW), due=utc_ms(NOW), latest=utc_ms(NOW) + 1, limit=limit)
    return draw.claim(connection, wanted, lambda rows: [Verdict("in_flight") for _ in rows])


async def test_a_claim_that_was_under_way_does_not_undo_the_breaker(
    state_dir: Path, fill: Callable[..., Awaitable[None]]
) -> None:
    """What a claim read before the breaker opened is not believed behind it.

    Else more rows would leave, and the log would tell twice that the destination is held back.
    """
    await fill(pages=PAGES)
    capture = structlog.testing.LogCapture()
    async with Database.open(state_dir) as database:
        context = Context(
            database=database,
            settings=Settings(state_dir=state_dir),
            rules=Worker(Settings(state_dir=state_dir)).rules,
            clock=FakeClock(NOW),
            random=random.Random(1),
            hmac_key=b"",
            logger=structlog.wrap_logger(structlog.PrintLogger(), processors=[capture]),
        )
        hands = Hands(context, "")
        first = await database.run(claim, BREAKER_FAILURES + 1)
        hands.take(first)
        goes_on = threading.Event()

        async def take_more() -> None:
            hands.take(await database.run(claim, 2))

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(database.run, lambda _: goes_on.wait())
            tasks.start_soon(take_more)  # it reads before the writing that follows
            await anyio.wait_all_tasks_blocked()
            for row in first.rows[:BREAKER_FAILURES]:
                hands.land(row, AWAY, 0)
            tasks.start_soon(hands.write)
            await anyio.wait_all_tasks_blocked()
            goes_on.set()
        last = first.rows[BREAKER_FAILURES]
        assert not hands.may_go(last)
        hands.land(last, AWAY, 0)
        await hands.write()
    about = [line["event"] for line in capture.entries]
    assert about.count("destination is held back") == 1
