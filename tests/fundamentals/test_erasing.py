"""What people leave behind in the bytes of the files when they go: nothing, however it was kept."""

import random
import sqlite3
from collections.abc import Awaitable, Callable
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import msgspec
import pytest
import structlog

from ecolyo_worker import Settings, Worker
from ecolyo_worker.commands import Commands
from ecolyo_worker.energy.points import GasDetail, Point
from ecolyo_worker.requests import ConsumptionImport, Line
from ecolyo_worker.settings import Dacc, Retention
from ecolyo_worker.store import accounts, consumption, cursors, instances, visits
from ecolyo_worker.store.database import Database
from ecolyo_worker.store.erasing import erase, is_owed, owe
from ecolyo_worker.store.points import Series
from ecolyo_worker.testing.clock import SteppedClock

Event = Callable[..., dict[str, Any]]
Agree = Callable[..., Awaitable[None]]

ALICE = "alice.example"
NIGHT = datetime(2026, 11, 21, 1, 0)
WITHDRAWN = {"instance": ALICE, "consent": None}
PRIVATE = b"private"
HOUR = timedelta(hours=1)
# What holds nobody's words: counters, keys and dates of the program's own.
IMPERSONAL = {"calls", "meta", "pauses", "removed", "runs", "slots", "totals"}


def shreds(state_dir: Path, text: bytes = PRIVATE) -> int:
    """Count how often a text stands in the files of a state."""
    return sum(path.read_bytes().count(text) for path in state_dir.iterdir())


async def live(worker: Worker, agree: Agree, seed: int) -> None:
    """Let people do things in any order, so that their rows lie in each other's pages.

    Alice's texts say that they are private; some are long enough for pages of their own.
    """
    draw = random.Random(seed)
    names = [ALICE, *(f"p{n}.example" for n in range(5))]
    kinds = ("NavigationEvent", "ProfileSetEvent", "KonnectorAttemptEvent", "QuizEndEvent")
    consent = {"version": "1.0.0", "accepted_at": "2026-11-01T00:00:00"}
    await agree(worker, *({"instance": name, "consent": consent} for name in names))
    for number in range(350):
        name = draw.choice(names)
        word = "private" if name == ALICE else "public"
        at = datetime(2026, 11, 1) + timedelta(minutes=draw.randrange(20 * 1440))
        long = {key: word + "😀" * draw.choice((5, 50, 249)) for key in ("target", "context")}
        found = {
            "_id": f"{word}{draw.getrandbits(4 * draw.randrange(8, 99)):x}-{number}",
            "type": draw.choice(kinds),
            "eventDate": f"{at:%FT%T}",
            "startDate": draw.choice((word + "😀" * 249, f"2026-11-01T00:00:{number % 60:02}")),
            "result": word + "😀" * draw.choice((5, 249)),
            **long,
        }
        await worker.record(name, found)
        if number in {150, 250}:
            await worker.run_once(NIGHT)
            await agree(worker, {**WITHDRAWN, "instance": draw.choice(names[1:])})


@pytest.mark.parametrize("seed", [3, 5])
@pytest.mark.parametrize("way", ["forget", "withdraw"])
async def test_no_shred_stays(state_dir: Path, agree: Agree, way: str, seed: int) -> None:
    """No text of the events stays in any file, even where rows had been moved between pages."""
    async with Worker(Settings(state_dir=state_dir)).opened() as worker:
        await live(worker, agree, seed)
        assert shreds(state_dir) > 100
        if way == "forget":
            assert (await Commands(worker).instances_forget(ALICE)).holding == []
        else:
            await Commands(worker).instances_withdraw(ALICE)
        assert shreds(state_dir) == 0
        assert (shreds(state_dir, ALICE.encode()) > 0) is (way == "withdraw")
        assert shreds(state_dir, b"public") > 0


async def test_nothing_of_pruned_events_stays(state_dir: Path, agree: Agree, event: Event) -> None:
    """Of events that retention deleted, and of the facts kept, nothing stays once she goes."""
    texts = {
        "target": "private" + "😀" * 249,
        "context": "private" + "😀" * 249,
        "result": "private",
    }
    stamps = [f"2026-11-{day}T10:00" for day in range(10, 21)]
    settings = Settings(state_dir=state_dir, retention=Retention(events_days=31))
    async with Worker(settings).opened() as worker:
        await worker.record(ALICE, [event("NavigationEvent", at, **texts) for at in stamps])
        kept = [event("QuizEndEvent", at, startDate=at, **texts) for at in stamps]
        await worker.record(ALICE, kept)
    clock = SteppedClock(datetime(2027, 3, 20, 12, tzinfo=UTC))
    async with Worker(settings.replace(mode="off"), clock=clock) as worker:
        await clock.sleepers(len(worker.health()) - 1)  # intake goes by the machine's time
        await clock.step(clock.now() + HOUR)
        assert worker.status().events["waiting"] == 0
        assert shreds(state_dir) >= len(stamps)  # those of equal ends
        await Commands(worker).instances_forget(ALICE)
        assert shreds(state_dir) == 0


WAITS = "what was deleted waits for the night"
BEGINS = "the database is written anew; all else waits meanwhile"
LOOKED = "the whole database was looked through"
LARGE = 34_000_000


@pytest.mark.parametrize(
    ("hour", "is_owed", "told"),
    [
        (12, True, [WAITS]),
        (3, False, [BEGINS, "what was deleted is overwritten", LOOKED]),
    ],
)
async def test_a_large_database_is_written_anew_at_night(
    state_dir: Path, agree: Agree, hour: int, is_owed: bool, told: list[str]
) -> None:
    """Beside a service a large one waits for the night: then no shred stays, and the log says so.

    The file is named meanwhile.
    """
    settings = Settings(state_dir=state_dir)
    async with Worker(settings).opened() as worker:
        await live(worker, agree, 3)
        await worker.database.run(_grow, LARGE)
    settings = settings.replace(mode="off")
    async with Worker(settings, clock=at(12)) as worker:
        gone = await Commands(worker).instances_forget(ALICE)
        assert gone.holding == [str(state_dir / "ecolyo.db")]
        assert (state_dir / "ecolyo.db-wal").stat().st_size == 0
        assert shreds(state_dir) > 0
    clock = at(hour)
    with structlog.testing.capture_logs() as lines:
        async with Worker(settings, clock=clock, logger=structlog.get_logger()) as worker:
            await clock.sleepers(len(worker.health()) - 1)  # intake goes by the machine's time
            assert bool(await worker.database.read(_owed)) is is_owed
            assert (shreds(state_dir) > 0) is is_owed
    assert [line["event"] for line in lines] == told
    assert lines[0]["bytes"] > LARGE
    assert lines[0].get("from_hour") == (3 if is_owed else None)
    assert ("took_s" in lines[-1]) is not is_owed


@pytest.mark.parametrize("way", ["forget", "withdraw"])
async def test_a_command_alone_leaves_no_shred_of_a_large_one(
    state_dir: Path, agree: Agree, cli: Any, way: str
) -> None:
    """Where no service runs, nobody waits: a command overwrites all at once, and says it."""
    async with Worker(Settings(state_dir=state_dir)).opened() as worker:
        await live(worker, agree, 3)
        await worker.database.run(_grow, LARGE)
    ended = await cli("instances", way, ALICE, "--yes")
    assert "the database is written anew, which takes a while" in ended.stderr.decode()
    assert "may hold something" not in ended.stderr.decode()
    assert shreds(state_dir) == 0


@pytest.mark.parametrize("counting", [False, True])
async def test_what_is_owed_is_done_by_the_next_command(
    state_dir: Path, agree: Agree, counting: bool
) -> None:
    """What a service left for the night is overwritten at the end of whatever is done without."""
    settings = Settings(state_dir=state_dir)
    async with Worker(settings).opened() as worker:
        await live(worker, agree, 7)
        await worker.database.run(_grow, LARGE)
    async with Worker(settings.replace(mode="off"), clock=at(12)) as worker:
        await Commands(worker).instances_forget(ALICE)
        assert shreds(state_dir) > 0
    with structlog.testing.capture_logs() as lines:
        async with Worker(settings, logger=structlog.get_logger()).opened() as worker:
            if counting:
                await worker.run_once(NIGHT)
                assert shreds(state_dir) == 0
    assert shreds(state_dir) == 0
    events = [line["event"] for line in lines]
    assert events.count("the database is written anew, which takes a while") == 1
    assert WAITS not in events


async def test_a_withdrawal_names_what_may_hold_something(
    state_dir: Path, agree: Agree, cli: Any
) -> None:
    """What a withdrawal does not overwrite at once is told, with who does it."""
    async with Worker(Settings(state_dir=state_dir)).opened() as worker:
        await agree(worker)
        assert (await Commands(worker).instances_withdraw(ALICE))["holding"] == []
    with closing(sqlite3.connect(state_dir / "ecolyo.db", isolation_level=None)) as other:
        other.execute("BEGIN")
        other.execute("SELECT count(*) FROM instances").fetchone()
        told = (await cli("instances", "withdraw", ALICE, "--yes")).stderr.decode()
    assert "ecolyo.db may hold something" in told
    assert "the next command that changes something does" in told


def at(hour: int) -> SteppedClock:
    """A clock that stands at this hour of a winter's day in Paris."""
    return SteppedClock(datetime(2027, 1, 20, hour - 1, tzinfo=UTC))


def _grow(connection: sqlite3.Connection, size: int) -> None:
    connection.execute("INSERT INTO meta VALUES ('ballast', hex(zeroblob(?)))", (size // 2,))


def _owed(connection: sqlite3.Connection) -> int:
    query = "SELECT count(*) FROM meta WHERE key = 'erasure'"
    count: int = connection.execute(query).fetchone()[0]
    return count


async def test_what_a_reader_holds_up_is_done_later(state_dir: Path, agree: Agree) -> None:
    """While another process reads the database nothing is overwritten; an hour later it is."""
    clock = SteppedClock(datetime(2027, 1, 20, 12, tzinfo=UTC))
    async with Worker(Settings(state_dir=state_dir), clock=clock) as worker:
        await clock.sleepers(len(worker.health()) - 1)  # intake goes by the machine's time
        await agree(worker)
        with closing(sqlite3.connect(state_dir / "ecolyo.db", isolation_level=None)) as other:
            other.execute("BEGIN")
            other.execute("SELECT count(*) FROM instances").fetchone()
            assert (await Commands(worker).instances_forget(ALICE)).holding
            await clock.step(clock.now() + HOUR)
            assert shreds(state_dir, ALICE.encode()) > 0
        await clock.step(clock.now() + HOUR)
        assert shreds(state_dir, ALICE.encode()) == 0
        assert await worker.database.read(_owed) == 0


async def test_what_was_deleted_stays_deleted_without_it(state_dir: Path) -> None:
    """Where nothing can be overwritten now, that is told; it is no failure of what was done."""
    async with Database.open(state_dir) as database:
        await database.run(owe)
    assert await erase(database) == ["ecolyo.db", "ecolyo.db-wal"]
    async with Database.open(state_dir) as database:
        assert await database.read(is_owed)
        assert await erase(database) == []
        assert not await database.read(is_owed)


async def test_every_table_is_thought_of(
    state_dir: Path, examples: Path, agree: Agree, event: Event
) -> None:
    """Forgetting empties each table that can hold something of a person, future ones too."""
    dacc = Dacc(target="cozy-v2", url="http://127.0.0.1:9/{instance}")
    async with Worker(Settings(state_dir=state_dir, dacc=dacc)).opened() as worker:
        commands = Commands(worker)
        await agree(worker)
        facts = {"konnectors": [{"fluid": "gas", "connected": True, "since": "2026-11-01T00:00"}]}
        summary = {"monthly_summary": [{"subscribed": True, "since": "2026-11-01T00:00"}]}
        await agree(worker, {"instance": ALICE, **facts, **summary})
        kinds = ("ProfileSetEvent", "QuizEndEvent")
        for day in (10, 21):
            at = f"2026-11-{day}T10:00"
            batch = [event(kind, at, target="private", startDate="2026-11-01") for kind in kinds]
            await worker.record(ALICE, batch)
        reading = {"fluid": "gas", "step": "day", "start": "2026-11-01", "value": 1.5}
        line = Line(1, msgspec.json.encode({"instance": ALICE, **reading}))
        assert (await commands.consumption_import(ConsumptionImport([line]))).accepted == 1
        await worker.run_once(NIGHT)
        await worker.send()  # nobody answers, which is kept too
        await worker.database.run(_fail)
        await worker.database.run(_poll)
        before = await worker.database.read(_tables)
        assert {name for name, rows in before.items() if not rows} == set()
        gone = await commands.instances_forget(ALICE)
        assert {name: count for name, count in gone.rows.items() if count} == before
        assert set((await worker.database.read(_tables)).values()) == {0}


def _fail(connection: sqlite3.Connection) -> None:
    connection.execute("INSERT INTO failures SELECT min(seq), 'private' FROM events")


def _poll(connection: sqlite3.Connection) -> None:
    alice = instances.find(connection, ALICE)
    assert alice is not None
    day = Point(1_790_805_600_000, 1440, 1500, gas=GasDetail(1.0, 11.27))
    series = Series(alice.id, "gas", "day", "23000000000000", "grdf")
    consumption.store(connection, series, [day], ZoneInfo("Europe/Paris"))
    moment = accounts.Moment(1_790_805_600_000, 1_790_812_800_000)
    account = accounts.add(connection, alice.id, "grdf", series.meter, moment, consented=False)
    connection.execute("INSERT INTO tokens VALUES ('private', ?, x'00', 0)", (account,))
    connection.execute("INSERT INTO authorizations VALUES (?, zeroblob(32), 0)", (account,))
    cursors.begin(connection, account or 0, "gas_days")
    connection.execute("INSERT INTO asked_days VALUES (?, 'gas_days', 1, 2)", (account,))
    connection.execute(
        "INSERT INTO open_days VALUES (?, 'gas_days', 1, 'late', 'private', 2)", (account,)
    )
    visits.note(connection, account or 0, 1, 2)


def _tables(connection: sqlite3.Connection) -> dict[str, int]:
    """Count the rows of every table but those that say nothing of people."""
    query = "SELECT name FROM sqlite_schema WHERE type = 'table' AND name NOT LIKE 'sqlite_%'"
    names = [name for (name,) in connection.execute(query) if name not in IMPERSONAL]
    count = "SELECT count(*) FROM {}"
    return {name: connection.execute(count.format(name)).fetchone()[0] for name in names}
