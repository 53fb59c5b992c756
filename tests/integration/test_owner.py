"""A state directory has one owner, and is refused, untouched, if it is not what it was."""

import os
import random
import sqlite3
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from functools import partial
from pathlib import Path

import pytest

from ecolyo_worker import Settings, StateRefused, StoreOwned, Worker
from ecolyo_worker.indicators import Indicator
from ecolyo_worker.store import instances, outbox
from ecolyo_worker.store.database import DATABASE, Database
from ecolyo_worker.store.owner import Owner

LIMIT_S = 20
OWNER = """
import sys
from pathlib import Path
import anyio
from ecolyo_worker.errors import StoreOwned
from ecolyo_worker.store.database import Database

async def own():
    async with Database.open(Path(sys.argv[1])) as database:
        await database.run(lambda c: c.execute("INSERT INTO meta VALUES ('acknowledged', '')"))
        print("owned", flush=True)
        await anyio.sleep_forever()

try:
    anyio.run(own)
except StoreOwned as error:
    sys.exit(str(error))
"""


@pytest.fixture
def no_umask() -> Iterator[None]:
    before = os.umask(0)
    yield
    os.umask(before)


@pytest.fixture
async def used(state_dir: Path) -> Path:
    """A state directory that a worker has used and left."""
    async with Worker(Settings(state_dir=state_dir)).opened():
        pass
    return state_dir


@contextmanager
def other_process(state_dir: Path) -> Iterator[subprocess.Popen[str]]:
    """A process that owns the directory until it is killed, or says on stderr why it cannot."""
    with subprocess.Popen(
        [sys.executable, "-c", OWNER, str(state_dir)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        try:
            yield process
        finally:
            process.kill()


async def open_and_close(state_dir: Path) -> None:
    async with Database.open(state_dir):
        pass


def content(directory: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in directory.iterdir()}


def modes(directory: Path) -> dict[str, int]:
    found = {path.name: path.stat().st_mode & 0o777 for path in directory.iterdir()}
    return {".": directory.stat().st_mode & 0o777, **found}


# One owner.


async def test_a_second_owner_in_the_same_process(state_dir: Path) -> None:
    """Who opens a directory twice is told which process has it, and the first goes on."""
    async with Database.open(state_dir) as database:
        words = rf"owned by another worker of this process \({os.getpid()}\); one worker at a time"
        with pytest.raises(StoreOwned, match=words):
            await open_and_close(state_dir)
        assert await database.run(lambda _: "goes on") == "goes on"
    await open_and_close(state_dir)


async def test_a_second_owner_in_another_process(state_dir: Path) -> None:
    """Another process is told which one has the directory, and changes nothing."""
    async with Database.open(state_dir) as database:
        before = content(state_dir)
        with other_process(state_dir) as process:
            assert f"owned by process {os.getpid()};" in process.communicate(timeout=LIMIT_S)[1]
        assert content(state_dir) == before
        assert await database.run(lambda _: "goes on") == "goes on"


@pytest.mark.parametrize("text", [b"", b"rubbish\n"])
async def test_an_owner_that_cannot_be_named(state_dir: Path, text: bytes) -> None:
    """A lock counts whatever its file says, so that nobody is told to remove it."""
    await open_and_close(state_dir)
    lock = Owner(state_dir)
    (state_dir / "owner.lock").write_bytes(text)
    with pytest.raises(StoreOwned, match="owned by another process;"):
        await open_and_close(state_dir)
    lock.release()


async def test_after_kill_9_a_new_owner_starts_at_once(state_dir: Path) -> None:
    """The lock of a killed owner is free, what it had acknowledged is there, and its end known."""
    with other_process(state_dir) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "owned\n"
        with pytest.raises(StoreOwned, match=f"owned by process {process.pid};"):
            await open_and_close(state_dir)
        process.kill()
        process.wait(LIMIT_S)
        lock = Owner(state_dir)
        assert not lock.last_stop_was_clean
        lock.release()
        async with Database.open(state_dir) as database:
            query = "SELECT count(*) FROM meta WHERE key = 'acknowledged'"
            assert await database.read(lambda c: c.execute(query).fetchone()) == (1,)


async def test_a_clean_stop_is_known(state_dir: Path) -> None:
    """The lock file tells a stop that came to its end from one that did not."""
    await open_and_close(state_dir)
    lock = Owner(state_dir)
    assert lock.last_stop_was_clean
    lock.release()


async def test_an_unclean_stop_stays_known(state_dir: Path) -> None:
    """An owner that gets no further than the lock does not hide how the last one stopped."""
    await open_and_close(state_dir)
    file = state_dir / "owner.lock"  # as of a killed process that had the number of this one
    file.write_bytes(file.read_bytes().replace(b"true", b"false"))
    Owner(state_dir).release()
    lock = Owner(state_dir)
    assert not lock.last_stop_was_clean
    lock.release()


async def test_the_files_are_the_owners_alone(state_dir: Path, no_umask: None) -> None:
    """Nobody else on the machine can read the state directory or a file in it."""
    async with Worker(Settings(state_dir=state_dir)).opened():
        found = modes(state_dir)
    names = ["ecolyo.db", "ecolyo.db-shm", "ecolyo.db-wal", "outbox.key", "owner.lock"]
    assert found == {".": 0o700, **dict.fromkeys(names, 0o600)}


# The database that was here before.


def remove(path: Path) -> None:
    path.unlink()


def empty(path: Path) -> None:
    path.write_bytes(b"")


def fill_with_text(path: Path) -> None:
    path.write_bytes(b"Not a database at all. " * 1000)


def replace_by_songs(path: Path, version: int = 0) -> None:
    path.unlink()
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("CREATE TABLE songs (title TEXT)")
        connection.execute(f"PRAGMA user_version = {version}")


@pytest.mark.parametrize(
    ("spoil", "words"),
    [
        (remove, "is missing"),
        (empty, "is not the database that was here before"),
        (fill_with_text, "not a database"),
        (replace_by_songs, "another program"),
        (partial(replace_by_songs, version=1), "another program"),
    ],
)
async def test_a_database_that_is_gone(
    used: Path, spoil: Callable[[Path], None], words: str
) -> None:
    """A database that is missing, empty or no database of ours is refused and left as it is.

    Who only reads is told the same.
    """
    spoil(used / DATABASE)
    before = content(used)
    for migrating in (True, False):
        with pytest.raises(StateRefused, match=words):
            async with Database.open(used, migrating=migrating):
                pass
    assert content(used) == before


async def test_a_database_of_another_directory(used: Path, tmp_path: Path) -> None:
    """The database of another worker is refused and left as it is."""
    await open_and_close(tmp_path / "another")
    (tmp_path / "another" / DATABASE).rename(used / DATABASE)
    before = content(used)
    with pytest.raises(StateRefused, match="is not the database that was here before"):
        await open_and_close(used)
    assert content(used) == before


async def test_a_database_taken_over_on_purpose(used: Path, tmp_path: Path) -> None:
    """What the refusals tell the operator to do works: without the lock file it is accepted."""
    await open_and_close(tmp_path / "another")
    (tmp_path / "another" / DATABASE).rename(used / DATABASE)
    (used / "owner.lock").unlink()
    await open_and_close(used)


@pytest.mark.parametrize("text", [b"rubbish\n", b'{"pid": "none"}\n', b"\0", b"\xff\n"])
async def test_a_damaged_lock_file(used: Path, text: bytes) -> None:
    """A lock file that cannot be read is refused with what to do, which then works."""
    (used / "owner.lock").write_bytes(text)
    before = content(used)
    with pytest.raises(StateRefused, match=r"owner\.lock: is damaged.*remove this file"):
        await open_and_close(used)
    assert content(used) == before
    (used / "owner.lock").write_bytes(b"")
    await open_and_close(used)


async def test_a_lock_file_written_over_a_longer_one(used: Path) -> None:
    """A lock file counts though its writer was killed before it cut off the rest of the last."""
    lock = used / "owner.lock"
    lock.write_bytes(lock.read_bytes() + b"true}\n")
    await open_and_close(used)


# The key beside it.


def add_row(connection: sqlite3.Connection, hmac_key: bytes) -> None:
    indicator = Indicator(created_by="ecolyo", measure_name="m", start_date="2026-11-20", value=1)
    sink = outbox.Sink(
        per_instance=False, state="local", now=0, hmac_key=hmac_key, random=random.Random(1)
    )
    instance = instances.identify(connection, "amina")
    outbox.insert(connection, [outbox.NewRow(instance, b"k" * 16, indicator)], sink)


async def test_a_key_that_is_missing(used: Path) -> None:
    """Without `outbox.key` a database with rows is refused; one without rows gets a new key."""
    (used / "outbox.key").unlink()
    async with Worker(Settings(state_dir=used)).opened() as worker:
        await worker.database.run(add_row, worker.hmac_key)
    (used / "outbox.key").unlink()
    before = content(used)
    with pytest.raises(StateRefused, match=r"outbox\.key is missing.*restore it"):
        await Worker(Settings(state_dir=used)).__aenter__()
    assert content(used).keys() == before.keys()
    assert content(used)[DATABASE] == before[DATABASE]


@pytest.mark.parametrize("text", ["xyz", "é", "", "ab"])
async def test_a_key_that_is_damaged(used: Path, text: str) -> None:
    """An `outbox.key` that is no key is refused and left as it is."""
    (used / "outbox.key").write_text(text, encoding="utf-8")
    with pytest.raises(StateRefused, match=r"outbox\.key holds no key: 64 hexadecimal digits"):
        await Worker(Settings(state_dir=used)).__aenter__()
    assert content(used)["outbox.key"].decode() == text


async def test_a_key_stays_the_same(used: Path) -> None:
    """The key is made once, and is of 256 bits."""
    keys = set()
    for _ in range(2):
        async with Worker(Settings(state_dir=used)).opened() as worker:
            keys.add(worker.hmac_key)
    assert [len(key) for key in keys] == [32]
