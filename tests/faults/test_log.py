"""The write-ahead log beside the database: missing, cut, or another database's."""

import os
import shutil
import sqlite3
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, closing
from pathlib import Path

import pytest

from ecolyo_worker import Settings, StateRefused, Worker
from ecolyo_worker.store.database import DATABASE
from ecolyo_worker.store.migrations import latest_version
from ecolyo_worker.store.owner import LOCK
from ecolyo_worker.store.refusing import look
from ecolyo_worker.testing.ledger import assert_balanced

EVENT = {"type": "NavigationEvent", "eventDate": "2026-11-20T10:00", "target": "gas"}
LOG = f"{DATABASE}-wal"


@asynccontextmanager
async def opened(state_dir: Path) -> AsyncIterator[Worker]:
    async with Worker(Settings(state_dir=state_dir)).opened() as worker:
        yield worker


@pytest.fixture
async def killed(state_dir: Path, tmp_path: Path) -> Path:
    """A state directory as a kill leaves it: an event is in the log alone."""
    async with opened(state_dir) as worker:
        await worker.record("alice.example", {**EVENT, "_id": "in-database"})
    async with opened(state_dir) as worker:
        await worker.record("alice.example", {**EVENT, "_id": "in-log"})
        shutil.copytree(state_dir, tmp_path / "killed")
    return tmp_path / "killed"


@pytest.mark.fault(26)
async def test_a_log_that_is_missing_after_a_kill_is_told(killed: Path) -> None:
    """After a kill a database without its log is refused, with since when something may be lost.

    Both ways out work: the log is put back, or the lock's file is removed.
    """
    log = (killed / LOG).rename(killed / "aside")
    (killed / f"{DATABASE}-shm").unlink()
    an_hour_ago = (killed / DATABASE).stat().st_mtime - 3600
    os.utime(killed / DATABASE, (an_hour_ago, an_hour_ago))
    words = rf"{LOG} is missing, .* stored after 20..-..-..T.*Z may be lost with it. Put it back"
    before = (killed / DATABASE).read_bytes()
    for _ in range(2):
        with pytest.raises(StateRefused, match=words):
            async with opened(killed):
                pass
        with pytest.raises(StateRefused, match=words):
            look(killed)
    assert (killed / DATABASE).read_bytes() == before
    other = shutil.copytree(killed, killed.with_name("other"))
    log.rename(killed / LOG)
    await assert_balanced(killed, accepted=[("alice.example", "in-log")])
    (other / LOCK).unlink()
    await assert_balanced(other, accepted=[("alice.example", "in-database")])


@pytest.mark.fault(26)
async def test_a_log_that_is_missing_beside_its_index_is_told(killed: Path) -> None:
    """Whoever removes the log alone leaves its index, which tells that it was there."""
    (killed / LOG).unlink()
    with pytest.raises(StateRefused, match="may be lost with it"):
        async with opened(killed):
            pass


@pytest.mark.fault(26)
async def test_a_log_that_another_program_moved_in_is_not_missed(killed: Path) -> None:
    """Who looks into the database after a kill moves the log into it: nothing is lost then."""
    with closing(sqlite3.connect(killed / DATABASE)) as other:
        assert other.execute("SELECT count(*) FROM events").fetchone() == (2,)
    assert not (killed / LOG).exists()
    await assert_balanced(killed, accepted=[("alice.example", "in-log")])


@pytest.mark.fault(26)
async def test_a_log_that_is_cut_loses_what_was_cut(killed: Path) -> None:
    """Of a log that ends in the middle of a commit, all commits before it count."""
    log = killed / LOG
    log.write_bytes(log.read_bytes()[:-100])
    ledger = await assert_balanced(killed, accepted=[("alice.example", "in-database")])
    assert ledger.events == 1


@pytest.mark.fault(26)
async def test_a_log_of_another_database_is_not_mixed_in(killed: Path, state_dir: Path) -> None:
    """A backup beside the log of the database that was here before is refused, and left alone.

    So is a database that was cleanly left, whose id is another one.
    """
    with (
        closing(sqlite3.connect(state_dir / DATABASE)) as source,
        closing(sqlite3.connect(killed / "backup")) as backup,
    ):
        backup.execute("PRAGMA journal_mode = DELETE")
        source.backup(backup)
        backup.execute("PRAGMA journal_mode = DELETE")
    (killed / "backup").replace(killed / DATABASE)
    before = (killed / LOG).read_bytes()
    with pytest.raises(StateRefused, match=f"{LOG} belongs to the database that was here before"):
        async with opened(killed):
            pass
    assert (killed / LOG).read_bytes() == before


@pytest.mark.fault(26, 28)
async def test_what_is_refused_keeps_its_log(killed: Path) -> None:
    """A database of a newer program is refused after a kill too, and its log is left for that."""
    with closing(sqlite3.connect(killed / DATABASE)) as other:
        other.execute(f"PRAGMA user_version = {latest_version() + 1}")
        content = shutil.copytree(killed, killed.with_name("newer"))
    before = {name: (content / name).read_bytes() for name in (DATABASE, LOG)}
    for _ in range(2):
        with pytest.raises(StateRefused, match="knows schemas up to"):
            async with opened(content):
                pass
    assert {name: (content / name).read_bytes() for name in before} == before
