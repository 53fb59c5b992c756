"""A database that is damaged, or is none: it is kept as it is, and nothing works on it."""

import json
import sqlite3
from collections.abc import Awaitable, Callable
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from subprocess import CompletedProcess
from typing import Any

import pytest

from ecolyo_worker import Settings, StateDamaged, Worker
from ecolyo_worker.store.database import DATABASE
from ecolyo_worker.testing import Echo
from ecolyo_worker.testing.clock import SteppedClock

Cli = Callable[..., Awaitable[CompletedProcess[bytes]]]
Fill = Callable[..., Awaitable[None]]
Run = Any


def damage(database: Path, name: str) -> bytes:
    """Overwrite the page at which a table or an index begins; give what the file holds then."""
    with closing(sqlite3.connect(f"file:{database}?mode=ro", uri=True)) as connection:
        (size,) = connection.execute("PRAGMA page_size").fetchone()
        query = "SELECT rootpage FROM sqlite_schema WHERE name = ?"
        (page,) = connection.execute(query, (name,)).fetchone()
    with database.open("r+b") as file:
        file.seek((page - 1) * size)
        file.write(b"\xff" * size)
    return database.read_bytes()


@pytest.mark.fault(24, 27)
async def test_what_is_no_database_is_kept(run: Run, state_dir: Path) -> None:
    """A file that is no database, and one that is missing, are refused with 78 and what to do.

    Nothing is begun anew in their place, and no byte of them is changed.
    """
    async with Worker(Settings(state_dir=state_dir)).opened():
        pass
    database = state_dir / DATABASE
    for content in (b"no database" * 1000, b"\0" * 100 + database.read_bytes()[100:]):
        database.write_bytes(content)
        async with run(ready=False) as service:
            assert await service.end() == 78
            said = await service.rest()
            assert "stop here, keep the file, restore a backup" in said
        assert database.read_bytes() == content
    database.unlink()
    async with run(ready=False) as service:
        assert await service.end() == 78
        assert "is missing, and what it held with it. Restore it" in await service.rest()
    assert not database.exists()


@pytest.mark.fault(25)
async def test_damage_is_found_at_the_start(
    run: Run, cli: Cli, state_dir: Path, fill: Fill
) -> None:
    """A start looks through the tables, for half a second, and refuses what is damaged with 78.

    The file is left as it is; what was not delivered is read out of it by `outbox export`.
    """
    await fill()
    content = damage(state_dir / DATABASE, "events_by_day")
    async with run(ready=False) as service:
        assert await service.end() == 78
        assert "the database is damaged (events: " in await service.rest()
    assert (state_dir / DATABASE).read_bytes() == content
    done = await cli("outbox", "export", "--state", "pending")
    assert [json.loads(line)["state"] for line in done.stdout.splitlines()] == ["pending"] * 6


@pytest.mark.fault(25)
async def test_damage_is_found_at_night(state_dir: Path, fill: Fill) -> None:
    """Every night the whole file is looked through; where it is damaged, the worker ends."""
    await fill()
    clock = SteppedClock(datetime(2026, 11, 21, 1, 30, tzinfo=UTC))

    async def live() -> None:
        async with Worker(Settings(state_dir=state_dir, mode="off"), clock=clock) as worker:
            await clock.sleepers(len(worker.health()) - 1)  # intake goes by the machine's time
            damage(state_dir / DATABASE, "events_by_day")
            assert (worker.database.broken, clock.now().hour) == (None, 1)
            await clock.step(clock.now() + timedelta(hours=1))

    with pytest.raises(StateDamaged, match=r"damaged \(events: .*restore a backup"):
        await live()


@pytest.mark.fault(25)
async def test_damage_in_a_text_is_found_before_it_leaves(
    state_dir: Path, fill: Fill, quick: Callable[..., Settings], echo: Echo
) -> None:
    """An indicator whose stored text was changed is dead, with the reason; the others are sent."""
    await fill()
    database = state_dir / DATABASE
    content = database.read_bytes()
    place = content.index(b'"value":1', content.index(b'{"createdBy":"ecolyo"'))
    database.write_bytes(content[:place] + b'"value":7' + content[place + 9 :])
    async with Worker(quick(echo.url)).opened() as worker:
        await worker.send()
        rows = worker.status().outbox
    assert (rows["dead"], rows["sent"]) == (1, 5)
    assert not any('"value":7' in body for body in await echo.bodies())
    with closing(sqlite3.connect(database)) as other:
        query = "SELECT answer FROM outbox WHERE state = 'dead'"
        assert "its HMAC does not fit" in other.execute(query).fetchone()[0]
