"""A state directory into which somebody put something is refused in words, and followed nowhere."""

import os
import re
import shutil
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from ecolyo_worker import Settings, StateRefused, Worker
from ecolyo_worker.store.backups import check
from ecolyo_worker.store.database import DATABASE
from ecolyo_worker.store.refusing import look

SOMEBODY = 12345
MARK = "INSERT INTO meta VALUES ('backup', '{}')"


@pytest.fixture
async def used(state_dir: Path) -> Path:
    """A state directory that a worker has used and left."""
    async with Worker(Settings(state_dir=state_dir)).opened():
        pass
    return state_dir


async def refusal(state_dir: Path) -> str:
    """Give why a worker refuses a state, and why whoever only looks does; both say the same."""
    with pytest.raises(StateRefused) as refused:
        async with Worker(Settings(state_dir=state_dir)).opened():
            pass
    with pytest.raises(StateRefused) as refused_look:
        look(state_dir)
    assert str(refused.value) == str(refused_look.value)
    return str(refused.value)


def content(directory: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in directory.iterdir()}


def execute(path: Path, *statements: str) -> None:
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        for statement in statements:
            connection.execute(statement)


@pytest.fixture(params=[0o777, 0o1777, 0o703])
def open_dir(request: pytest.FixtureRequest, state_dir: Path) -> Path:
    """A state directory that everybody may write to."""
    state_dir.mkdir()
    state_dir.chmod(request.param)
    return state_dir


async def test_where_everybody_writes_nothing_is_begun(open_dir: Path) -> None:
    """A directory that everybody may write to is refused with its mode, and gets no file."""
    assert re.search(r"written by everybody \(mode (0777|1777|0703)\)", await refusal(open_dir))
    assert content(open_dir) == {}


@pytest.mark.parametrize("name", [DATABASE, f"{DATABASE}-wal", f"{DATABASE}-shm"])
@pytest.mark.parametrize("is_there", [True, False])
async def test_no_link_is_written_through(
    used: Path, tmp_path: Path, name: str, is_there: bool
) -> None:
    """A link in the place of the database or its log is refused, wherever it leads."""
    aim, place = tmp_path / "elsewhere", used / name
    if is_there:
        aim.write_bytes(place.read_bytes() if place.exists() else b"precious")
    held = aim.read_bytes() if is_there else None
    place.unlink(missing_ok=True)
    place.symlink_to(aim)
    if name == DATABASE and not is_there:
        (used / "owner.lock").unlink()  # else the database is just missing
    assert f"{place} is a link" in await refusal(used)
    assert (aim.read_bytes() if aim.exists() else None) == held


async def test_the_directory_itself_may_be_a_link(used: Path, tmp_path: Path) -> None:
    """As systemd has it: what is in the directory counts, and not how one gets there."""
    link = tmp_path / "link"
    link.symlink_to(used)
    async with Worker(Settings(state_dir=link)).opened() as worker:
        assert (await worker.database.read(lambda c: c.execute("SELECT 1").fetchone())) == (1,)


async def test_no_lock_is_taken_through_a_link(used: Path, tmp_path: Path) -> None:
    """A lock file that is a link is refused, and what it leads to keeps its content."""
    aim = tmp_path / "elsewhere"
    aim.write_bytes(b"precious")
    (used / "owner.lock").unlink()
    (used / "owner.lock").symlink_to(aim)
    assert "owner.lock: cannot be opened" in await refusal(used)
    assert aim.read_bytes() == b"precious"


async def test_a_database_that_is_no_file_is_refused(used: Path) -> None:
    """A pipe in its place is refused at once; nobody waits for what never comes."""
    (used / DATABASE).unlink()
    os.mkfifo(used / DATABASE)
    assert "is no plain file" in await refusal(used)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root gives files to others")
async def test_a_database_of_somebody_else_is_refused(used: Path) -> None:
    """Who put it there could go on writing to it; how to take it over is said."""
    os.chown(used / DATABASE, SOMEBODY, SOMEBODY)
    assert f"belongs to another user (number {SOMEBODY})" in await refusal(used)


@pytest.mark.parametrize(
    ("statement", "words"),
    [
        (
            "CREATE TRIGGER spy AFTER INSERT ON events BEGIN DELETE FROM instances; END",
            "the trigger 'spy'",
        ),
        ("CREATE VIEW spied AS SELECT * FROM events", "the view 'spied'"),
        ("CREATE VIRTUAL TABLE found USING fts5(words)", "the virtual table 'found'"),
        ("DELETE FROM meta WHERE key = 'database_id'", "does not say which one it is"),
        (MARK.format("{}"), "the mark of the backup cannot be read"),
        (MARK.format('{"made": 1, "key": "zz"}'), "the mark of the backup cannot be read"),
        (MARK.format('{"made": 9e15, "key": "%s"}' % ("a" * 64)), "cannot be read"),
    ],
)
async def test_a_database_made_in_bad_faith_is_refused(
    used: Path, statement: str, words: str
) -> None:
    """What would run by itself, or cannot be read, is refused before anything is written."""
    execute(used / DATABASE, statement)
    before = (used / DATABASE).read_bytes()
    (used / "owner.lock").unlink()  # as whoever restores a foreign backup is told to
    with pytest.raises(StateRefused, match=words):
        async with Worker(Settings(state_dir=used)).opened():
            pass
    assert (used / DATABASE).read_bytes() == before


async def test_a_backup_with_a_trigger_is_no_backup(used: Path, tmp_path: Path) -> None:
    """A file that does something by itself is not taken for a backup, whatever mark it has."""
    backup = tmp_path / "backup.db"
    shutil.copy(used / DATABASE, backup)
    mark = f'{{"made": 1, "key": "{"a" * 64}"}}'
    execute(backup, MARK.format(mark))
    assert check(backup).made == 1
    execute(backup, "CREATE TRIGGER spy AFTER INSERT ON events BEGIN DELETE FROM meta; END")
    with pytest.raises(StateRefused, match="trigger 'spy'"):
        check(backup)


async def test_what_others_could_read_is_closed(used: Path) -> None:
    """A database that was put back with open rights is its owner's alone once it is opened."""
    (used / DATABASE).chmod(0o666)
    async with Worker(Settings(state_dir=used)).opened():
        assert (used / DATABASE).stat().st_mode & 0o777 == 0o600
