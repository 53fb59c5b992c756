"""A backup holds the whole state in one file, and nothing else, and harms nobody meanwhile."""

import os
import shutil
import sqlite3
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import aclosing, asynccontextmanager, closing, nullcontext
from pathlib import Path
from subprocess import CompletedProcess
from typing import Any

import anyio
import msgspec
import pytest

from ecolyo_worker import Settings, StateRefused, Worker
from ecolyo_worker.commands import Commands
from ecolyo_worker.crashpoints import VARIABLE
from ecolyo_worker.requests import InstancesImport, Line, Reconcile
from ecolyo_worker.service.server import ControlSocket
from ecolyo_worker.store.backups import check
from ecolyo_worker.store.migrations import latest_version

Cli = Callable[..., Awaitable[CompletedProcess[bytes]]]

ALICE = "alice.example"
PAGES = ("electricity", "gas", "water", "faq", "options", "analysis")


@pytest.fixture
async def filled(state_dir: Path, event: Callable[..., dict[str, Any]]) -> Path:
    """A state with one person, six events and as many rows."""
    async with Worker(Settings(state_dir=state_dir)).opened() as worker:
        consent = {"version": "1.0.0", "accepted_at": "2026-11-01T00:00:00"}
        line = Line(1, msgspec.json.encode({"instance": ALICE, "consent": consent}))
        await Commands(worker).instances_import(InstancesImport([line]))
        found = [event("NavigationEvent", "2026-11-20T10:00", page, target=page) for page in PAGES]
        await worker.record(ALICE, found)
        await worker.run_once()
        assert worker.status().outbox["pending"] >= 6
    return state_dir


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "backups" / "state.db"


@pytest.fixture(autouse=True)
def folder(file: Path) -> Path:
    file.parent.mkdir()
    return file.parent


def read(path: Path) -> bytes:
    return path.read_bytes()


def write(path: Path, text: bytes) -> None:
    path.write_bytes(text)


def mode(path: Path) -> int:
    return path.stat().st_mode & 0o777


async def put_back(file: Path, state_dir: Path) -> dict[str, Any]:
    """Put a backup in the place of a state, and give what its status says."""
    shutil.copytree(file.parent, state_dir)
    (state_dir / file.name).rename(state_dir / "ecolyo.db")
    async with Worker(Settings(state_dir=state_dir)).opened() as worker:
        status = worker.status()
        assert (await Commands(worker).reconcile(Reconcile())).problems == []
    return {"events": status.events, "outbox": status.outbox}


def names(directory: Path) -> set[str]:
    return {path.name for path in directory.iterdir()}


@asynccontextmanager
async def service(state_dir: Path) -> AsyncIterator[None]:
    """A worker that answers on its control socket, and does nothing by itself."""
    async with Worker(Settings(state_dir=state_dir)).opened() as worker:
        control = ControlSocket(worker)
        async with anyio.create_task_group() as running:
            await running.start(control.run)
            yield
            control.stop()


@pytest.mark.parametrize("is_served", [True, False])
async def test_it_holds_the_whole_state(
    cli: Cli, filled: Path, file: Path, tmp_path: Path, is_served: bool
) -> None:
    """Asked of a service or made alone, it is the state, for its owner's eyes; no copy stays."""
    before = names(filled)
    async with service(filled) if is_served else nullcontext():
        done = await cli("backup", file)
    assert (done.returncode, done.stderr) == (0, b"")
    assert f"{file}: 0.2 MB, schema {latest_version()}, made 20".encode() in done.stdout
    assert b", checked" in done.stdout
    assert (mode(file), names(file.parent)) == (0o600, {file.name})
    assert names(filled) == before
    async with Worker(Settings(state_dir=filled)).reading() as there:
        status = there.status()
    found = await put_back(file, tmp_path / "new")
    assert found == {"events": status.events, "outbox": status.outbox}
    key = (filled / "outbox.key").read_text()
    assert (tmp_path / "new" / "outbox.key").read_text() == key


async def test_it_says_what_it_is_as_json(cli: Cli, filled: Path, file: Path) -> None:
    """With `--json` file, size, schema and moment come as one object."""
    told = msgspec.json.decode((await cli("backup", file, "--json")).stdout)
    assert told.pop("made").startswith("20")
    assert told == {"file": str(file), "bytes": len(read(file)), "schema": latest_version()}


async def test_nothing_deleted_is_in_it(cli: Cli, filled: Path, file: Path) -> None:
    """What was deleted and not overwritten in the database is not in the backup."""
    with closing(sqlite3.connect(filled / "ecolyo.db")) as raw, raw:
        raw.execute("PRAGMA secure_delete = OFF")
        raw.execute("INSERT INTO meta VALUES ('x', hex(zeroblob(9000)) || 'private')")
        raw.execute("DELETE FROM meta WHERE key = 'x'")
    assert b"private" in read(filled / "ecolyo.db")
    await cli("backup", file)
    assert b"private" not in read(file)


async def test_others_go_on_meanwhile(
    filled: Path, file: Path, tmp_path: Path, event: Callable[..., dict[str, Any]]
) -> None:
    """What is recorded while it is made is on disk; the backup is of one moment."""
    async with Worker(Settings(state_dir=filled)).opened() as worker:
        whole = b""
        async for piece in Commands(worker).backup():
            whole += piece.data
            await worker.record(ALICE, event("QuizEndEvent", "2026-11-20T11:00"))
        assert worker.status().events["waiting"] == 1
    write(file, whole)
    found = await put_back(file, tmp_path / "new")
    assert found["events"]["counted"] == 6


async def test_one_that_nobody_reads_to_its_end_leaves_nothing(filled: Path) -> None:
    """A backup that is broken off removes its copy, and so does the next start after a crash."""
    before = names(filled)
    async with Worker(Settings(state_dir=filled)).opened() as worker:
        async with aclosing(Commands(worker).backup()) as stream:  # type: ignore[type-var]
            await anext(stream)
            assert any(name.startswith("backup-") for name in names(filled))
        assert not any(name.startswith("backup-") for name in names(filled))
    for name in ("backup-x1.part", "backup-x1.part-journal"):
        (filled / name).write_bytes(b"half a copy")
    async with Worker(Settings(state_dir=filled)).opened():
        pass
    assert names(filled) == before


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("STATE/copy.db", "would be lost together with the state"),
        ("STATE/../state/ecolyo.db", "would be lost together with the state"),
        ("", "is no plain file; name another one"),
        ("nowhere/x.db", "cannot be written: No such file or directory"),
        ("link.db", "is no plain file"),
    ],
)
async def test_a_place_where_something_would_be_lost_is_refused(
    cli: Cli, filled: Path, folder: Path, name: str, words: str
) -> None:
    """The state directory, folders, links and places that are not there are refused with 64."""
    (folder / "link.db").symlink_to(filled / "ecolyo.db")
    path = name.replace("STATE", str(filled)) if name.startswith("STATE") else folder / name
    done = await cli("backup", path, "--force")
    assert (done.returncode, done.stdout) == (64, b"")
    assert words in done.stderr.decode()


async def test_a_file_that_is_there_stays(cli: Cli, filled: Path, file: Path) -> None:
    """Without `--force` no file is replaced; with it, only once the backup is whole."""
    write(file, b"the last one")
    done = await cli("backup", file)
    assert done.returncode == 64
    assert "is there already; name another one, or say --force" in done.stderr.decode()
    assert read(file) == b"the last one"
    assert (await cli("backup", file, "--force")).returncode == 0
    assert check(file).schema == latest_version()
    assert names(file.parent) == {file.name}


async def test_a_full_disk_is_said_and_leaves_nothing(filled: Path, file: Path) -> None:
    """Where the copy cannot be written it ends with 69, and neither file nor copy is there."""
    before = names(filled)
    command = f'ulimit -f 64; exec {sys.executable} -m ecolyo_worker "$@"'
    done = await anyio.run_process(
        ["bash", "-c", command, "-", "backup", str(file), "--state-dir", str(filled)], check=False
    )
    assert done.returncode == 69, done.stderr.decode()
    assert "cannot be written" in done.stderr.decode()
    assert (names(filled), names(file.parent)) == (before, set())


async def test_one_that_is_killed_has_no_name_yet(cli: Cli, filled: Path, file: Path) -> None:
    """Killed, it leaves the database as it was, and at most a file with a temporary name."""
    done = await cli("backup", file, env={VARIABLE: "backup.copied:kill:1"})
    assert done.returncode == -9
    assert all(name.endswith(".part") for name in names(file.parent))
    assert (await cli("reconcile")).returncode == 0
    assert (await cli("backup", file)).returncode == 0


async def test_a_damaged_one_is_found(cli: Cli, filled: Path, file: Path) -> None:
    """A file that was cut, changed in a page, or is another database is no backup."""
    await cli("backup", file)
    whole = read(file)
    write(file, whole[:-4096])
    with pytest.raises(StateRefused, match=r"is damaged|is no whole backup"):
        check(file)
    place = 25 * 4096  # the first page of the outbox
    write(file, whole[:place] + os.urandom(4096) + whole[place + 4096 :])
    with pytest.raises(StateRefused, match=r"is damaged|is no whole backup"):
        check(file)
    write(file, read(filled / "ecolyo.db"))
    with pytest.raises(StateRefused, match="it has no mark"):
        check(file)


async def test_without_a_state_there_is_nothing_to_back_up(cli: Cli, file: Path) -> None:
    """Where there is no database that is said, and nothing is made."""
    done = await cli("backup", file)
    assert done.returncode == 64
    assert "holds no database yet" in done.stderr.decode()
    assert names(file.parent) == set()
