"""A worker that is ended at any of its crash points, under load, loses nothing it acknowledged.

`crashpoints.POINTS` names them, `ecolyo_worker.testing.crash` is the load. Each ends by SIGKILL,
and by an exit that cleans nothing up, with three seeds. Then a worker opens what is left, fetches,
counts and sends the rest, and the ledger is asked.
"""

import shutil
import sqlite3
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, closing
from datetime import timedelta
from pathlib import Path
from subprocess import CompletedProcess
from typing import Any

import msgspec
import pytest

from ecolyo_worker import Worker
from ecolyo_worker import requests as ask
from ecolyo_worker.commands import Commands
from ecolyo_worker.crashpoints import VARIABLE
from ecolyo_worker.testing import Echo, Twin, crash, echo_server, energy_server
from ecolyo_worker.testing.clock import FakeClock
from tests.energy_tokens import LOST
from tests.faults.ended import NOW, Ended, ended_at
from tests.forking import Forks

Cli = Callable[..., Awaitable[CompletedProcess[bytes]]]


@pytest.fixture(scope="module")
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture(scope="module")
async def echo() -> AsyncIterator[Echo]:
    async with echo_server() as server:
        yield server


@pytest.fixture(scope="module")
async def twin() -> AsyncIterator[Twin]:
    """A twin whose tokens live for ten minutes, so that they are renewed again and again."""
    odd = {"enedis": "", "grdf": ":gas"}
    meters = [f"--meter={number}{odd[provider]}" for provider, number in crash.METERS.values()]
    meters.append(f"--meter={crash.GUESTS_METER}")
    today = f"--today={NOW:%Y-%m-%dT%H:%M}"
    async with energy_server("--quota=off", "--expires-in=600", today, *meters) as server:
        yield server


@asynccontextmanager
async def _counted_long_ago(state_dir: Path, echo: Echo, records: int) -> AsyncIterator[Worker]:
    """Open a worker of long ago, on a state in which a night has counted so many records."""
    clock = FakeClock(crash.BEGIN - timedelta(days=100))
    async with Worker(crash.settings(state_dir, echo.url), clock=clock).opened() as worker:
        load = crash.Load(worker, 0)
        await load.agree(*crash.PEOPLE)
        for _ in range(records):
            await load.record()
        await worker.run_once()
        yield worker


@pytest.fixture(scope="module")
async def old_state(tmp_path_factory: pytest.TempPathFactory, echo: Echo) -> Path:
    """A state of long ago, which a janitor prunes."""
    state_dir = tmp_path_factory.mktemp("old") / "state"
    async with _counted_long_ago(state_dir, echo, 20) as worker:
        await worker.send(until_empty=True)
        assert worker.status().outbox["sent"] > 20
    # As if no janitor had looked at the clock yet: its first look comes under load.
    with closing(sqlite3.connect(state_dir / "ecolyo.db")) as connection, connection:
        connection.execute("DELETE FROM meta WHERE key = 'clock_seen'")
    return state_dir


@pytest.fixture(scope="module")
async def left_state(
    tmp_path_factory: pytest.TempPathFactory, echo: Echo, twin: Twin, forks: Forks
) -> Path:
    """A state whose last process was killed with rows in flight."""
    state_dir = tmp_path_factory.mktemp("left") / "state"
    await Ended("sender.claimed", state_dir, echo, twin, set()).end(forks, "kill", 1)
    return state_dir


@pytest.fixture(scope="module")
async def all_readings(
    tmp_path_factory: pytest.TempPathFactory, echo: Echo, twin: Twin
) -> set[Any]:
    """What a worker holds that was never ended."""
    state_dir = tmp_path_factory.mktemp("whole") / "state"
    chosen = crash.fetching(crash.settings(state_dir, echo.url), twin)
    async with Worker(chosen, clock=FakeClock(NOW)).opened() as worker:
        await crash.Load(worker, 0).move_in()
        ends = [one.account async for one in Commands(worker).poll(ask.Poll()) if one.account]
        assert {end.outcome for end in ends} == {"done"}
    return Ended("", state_dir, echo, twin, set()).held()


@pytest.fixture
async def ended(
    request: pytest.FixtureRequest,
    tmp_path: Path,
    echo: Echo,
    twin: Twin,
    forks: Forks,
    old_state: Path,
    left_state: Path,
    all_readings: set[Any],
) -> Ended:
    """What is left by an end at a place."""
    place, kind, seed = request.param
    state_dir = tmp_path / "state"
    begun = {"janitor": old_state, "start": left_state}.get(place.partition(".")[0])
    if begun is not None:
        shutil.copytree(begun, state_dir)
    found = Ended(place, state_dir, echo, twin, all_readings)
    await found.end(forks, kind, seed)
    return found


@pytest.mark.fault(1)
@ended_at("intake.stored")
async def test_before_events_are_committed(ended: Ended) -> None:
    """Nobody had a receipt, and nothing is there: handed over again, events are taken."""
    assert (await ended.settle()).accepted > 0


@pytest.mark.fault(1)
@ended_at("facts.storing", "readings.storing")
async def test_in_another_import(ended: Ended) -> None:
    """Facts about people, and readings of a file, are there as a whole or not at all."""
    agreed = (
        "SELECT count(*) FROM consents JOIN instances AS i ON i.id = instance"
        " WHERE i.name IN (SELECT value FROM json_each(?))"
    )
    people = msgspec.json.encode(crash.PEOPLE).decode()
    assert ended.count(agreed, people) in {0, len(crash.PEOPLE)}
    days = (
        "SELECT count(*) FROM points JOIN series AS s ON s.id = series"
        " WHERE s.source = 'import' GROUP BY s.id"
    )
    assert {number for (number,) in ended.select(days)} <= {crash.GUESTS_DAYS}
    await ended.settle()


@pytest.mark.fault(2)
@ended_at("intake.committed")
async def test_after_events_are_committed(ended: Ended) -> None:
    """The events are there though nobody was told: once more, they are known already."""
    assert (await ended.settle()).known > 0


@pytest.mark.fault(3)
@ended_at("aggregation.storing", "aggregation.counted", "aggregation.committed")
async def test_in_a_night(ended: Ended) -> None:
    """A batch of people is counted with rows, marks and months, or is by the next run."""
    await ended.settle()
    assert ended.count("SELECT count(*) FROM month_countings") > 0


@pytest.mark.fault(4)
@ended_at("aggregation.finished")
async def test_after_a_night(ended: Ended) -> None:
    """The night is not done again; the next start finds its rows and sends them."""
    assert ended.count("SELECT count(*) FROM slots") > 0
    assert ended.count("SELECT count(*) FROM outbox") > 0
    await ended.settle()


@pytest.mark.fault(5)
@ended_at("sender.claiming", "sender.claimed", "start.rescuing")
async def test_after_rows_were_claimed(ended: Ended) -> None:
    """The next start takes the rows back, even if it is killed as well, and sends them."""
    assert (ended.flying > 0) or ended.place == "sender.claiming"
    await ended.settle()


@pytest.mark.fault(7)
@ended_at("sender.answered")
async def test_after_an_answer_was_read(ended: Ended) -> None:
    """The row is sent again, for nobody knows whether it arrived; a double is told."""
    assert ended.flying > 0
    await ended.settle()


@pytest.mark.fault(8)
@ended_at("sender.settling", "sender.settled", "outbox.moving")
async def test_in_the_commit_of_an_answer(ended: Ended) -> None:
    """The row is still on its way, and sent again; or it is what the answer says."""
    assert ended.flying > 0 or ended.place != "sender.settling"
    await ended.settle()


@pytest.mark.fault(9)
@ended_at("tokens.answered", "tokens.stored", "consents.storing", "accounts.adding")
async def test_while_a_token_is_stored(ended: Ended) -> None:
    """What was given and not stored costs a consent, told once; no reading is lost."""
    await ended.settle()
    lost = [line["account"] for line in ended.logged if line["event"] == LOST]
    assert sorted(lost) == sorted(ended.lost)


@pytest.mark.fault(10)
@ended_at("poller.answered", "poller.storing", "poller.stored")
async def test_while_readings_are_stored(ended: Ended) -> None:
    """A window is stored whole and not asked again; or it is, and gives the same."""
    assert ended.held() or ended.times == 1
    await ended.settle()


@pytest.mark.fault(11)
@ended_at("migration.applied")
async def test_in_a_migration(ended: Ended) -> None:
    """The schema is as before the step that was cut off; the next start goes on there."""
    assert ended.version == ended.times - 1
    assert bool(ended.select("SELECT * FROM sqlite_schema")) is (ended.times > 1)
    await ended.settle()


@pytest.mark.fault(12)
@ended_at("backup.copied", "erasing.written")
async def test_while_the_file_is_copied_or_written_anew(ended: Ended) -> None:
    """The database is whole; what a backup left is removed by the next start."""
    assert ended.select("PRAGMA integrity_check") == [("ok",)]
    await ended.settle()
    assert [path.name for path in ended.state_dir.glob("*backup*")] == []


@pytest.mark.fault(13)
@ended_at(
    *("janitor.pruning", "janitor.pruning_events"),
    *("withdrawal.deleting", "forget.deleting", "accounts.removing"),
)
async def test_while_rows_are_deleted(ended: Ended) -> None:
    """They are all there, or all gone and counted; what waits is never among them."""
    assert ended.select("PRAGMA foreign_key_check") == []
    await ended.settle()


SEEN = "INSERT OR REPLACE INTO meta VALUES ('clock_seen', (unixepoch() - 7200) * 1000)"
ROWS = "SELECT state, key FROM outbox"


@pytest.mark.fault(13)
async def test_what_is_not_finished_never_goes(cli: Cli, state_dir: Path, echo: Echo) -> None:
    """However old, what waits or is dead stays: in a run that is killed, and in the next one."""

    def asked(query: str) -> list[Any]:
        with closing(sqlite3.connect(state_dir / "ecolyo.db")) as connection, connection:
            return connection.execute(query).fetchall()

    await echo.set_fault("ok*4,status=422,status=401*99")
    async with _counted_long_ago(state_dir, echo, 5) as worker:
        await worker.send()
    await echo.set_fault("ok")
    before = set(asked(ROWS))
    assert {state for state, _ in before} == {"sent", "dead", "pending"}
    for armed, left in (
        ({VARIABLE: "janitor.pruning:kill:1"}, before),
        ({}, {row for row in before if row[0] != "sent"}),
    ):
        asked(SEEN)  # as if a janitor had been there two hours ago
        done = await cli("aggregate", env={"ECOLYO_WORKER__MODE": "local", **armed})
        assert done.returncode == (-9 if armed else 0), done.stderr
        assert {row for row in asked(ROWS) if row[0] != "local"} == left  # what it made is local
