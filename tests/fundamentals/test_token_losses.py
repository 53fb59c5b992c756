"""A refresh token is good once: neither a disk nor a caller loses what is answered to it."""

import sqlite3
from functools import partial
from typing import Any

import anyio
import pytest

from ecolyo_worker import StoreUnavailable
from ecolyo_worker.actors.tokens import NoToken
from tests.energy_accounts import again
from tests.energy_tokens import ENDED, LIFE_S, LOST, Due, shown


def room(connection: sqlite3.Connection, pages: int) -> None:
    """Let the database grow by so many pages."""
    (size,) = connection.execute("PRAGMA page_count").fetchone()
    connection.execute(f"PRAGMA max_page_count = {size + pages}")


def fill(connection: sqlite3.Connection) -> None:
    """Let there be no room for a token that is stored, nor for a consent that is lost."""
    for name, event in (
        ("token", "UPDATE OF sealed ON main.tokens"),
        ("loss", "UPDATE OF state ON main.accounts"),
    ):
        connection.execute(
            f"CREATE TEMP TRIGGER IF NOT EXISTS greedy_{name} AFTER {event} BEGIN INSERT INTO meta"
            " VALUES (hex(randomblob(16)), hex(zeroblob(200000))); END"
        )
    room(connection, 2)


async def test_a_full_disk_loses_no_pair(due: Due) -> None:
    """What was given is stored when that can be, before it is used, and not asked for again."""
    async with due.worker() as worker:
        due.before = lambda: worker.database.run(fill)
        for _ in range(2):
            with pytest.raises(StoreUnavailable, match="full"):
                await worker.tokens.bearer(due.account)
        await worker.database.run(room, 100_000)
        assert await shown(worker, due.account) == "access-1"
    async with due.worker() as worker:
        assert await shown(worker, due.account) == "access-1"
        due.before = None
        due.polling.clock.advance(LIFE_S)
        assert await shown(worker, due.account) == "access-2"
    assert [b"refresh_token=refresh-1" in request.body for request in due.wire.requests] == [
        False,
        True,
    ]
    assert due.polling.told(LOST) == []


async def test_a_stop_stores_what_was_kept(due: Due) -> None:
    """A pair that is not on disk when the worker is left is stored then; if not, nothing raises."""
    for is_room in (True, False):
        asked = due.asked
        async with due.worker() as worker:
            due.before = partial(worker.database.run, fill)
            with pytest.raises(StoreUnavailable, match="full"):
                await worker.tokens.bearer(due.account)
            if is_room:
                await worker.database.run(room, 100_000)
        assert due.asked == asked + 1
        due.before = None
        async with due.worker() as worker:
            await worker.database.run(room, 100_000)
            found = await shown(worker, due.account)
        assert found == f"access-{asked + 1 if is_room else asked + 2}"
        due.polling.clock.advance(LIFE_S)


async def test_a_full_disk_asks_for_nothing(due: Due) -> None:
    """Where the next pair could not be stored none is asked for: the one that is there stays."""
    async with due.worker() as worker:
        await worker.database.run(fill)
        with pytest.raises(StoreUnavailable, match="full"):
            await worker.tokens.bearer(due.account)
    assert due.asked == 0
    async with due.worker() as worker:
        await worker.database.run(room, 100_000)
        assert await shown(worker, due.account) == "access-1"


async def test_a_full_disk_forgets_no_loss(due: Due) -> None:
    """That a grant has ended is asked once, and noted and told once when that can be."""
    due.answers = [ENDED]
    async with due.worker() as worker:
        due.before = lambda: worker.database.run(fill)
        for _ in range(2):
            with pytest.raises(StoreUnavailable, match="full"):
                await worker.tokens.bearer(due.account)
        await worker.database.run(room, 100_000)
        for _ in range(2):
            found = await worker.tokens.bearer(due.account)
            assert isinstance(found, NoToken)
            assert found.kind == "consent"
        assert (await again(worker, due.account)).state == "needs_consent"
    assert due.asked == 1
    assert len(due.polling.told(LOST)) == 1


async def test_who_leaves_loses_no_pair(due: Due) -> None:
    """Whoever is cancelled while a token is renewed leaves it stored: nobody asks again."""
    asked, answered = anyio.Event(), anyio.Event()

    async def wait() -> None:
        asked.set()
        await answered.wait()

    due.before = wait
    async with due.worker() as worker:
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(worker.tokens.bearer, due.account)
            await asked.wait()
            tasks.cancel_scope.cancel()
            answered.set()
    async with due.worker() as worker:
        assert await shown(worker, due.account) == "access-1"
    assert due.asked == 1


async def test_a_lost_grant_is_asked_once_by_all(due: Due) -> None:
    """Of all who need a token at once a single one hears that its grant has ended, and tells it."""
    due.answers = [ENDED] * 3
    async with due.worker() as worker:
        found: list[Any] = []

        async def ask() -> None:
            found.append(await worker.tokens.bearer(due.account))

        async with anyio.create_task_group() as all_at_once:
            for _ in range(3):
                all_at_once.start_soon(ask)
        assert {one.kind for one in found} == {"consent"}
        assert len({one.trouble.reason for one in found}) == 1
    assert due.asked == 1
    assert len(due.polling.told(LOST)) == 1
