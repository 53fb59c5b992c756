"""A person who is forgotten: every trace goes, and the books still balance."""

import json
import re
import signal
import sqlite3
from collections.abc import Awaitable, Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import anyio
import pytest

from ecolyo_worker import CommandRefused, Settings, Worker
from ecolyo_worker.commands import Commands
from ecolyo_worker.requests import (
    ConsumptionImport,
    EventsImport,
    Forgotten,
    InstancesImport,
    Line,
    OutboxList,
)
from ecolyo_worker.settings import Dacc
from ecolyo_worker.store import draw, outbox
from ecolyo_worker.testing import Echo, echo_server
from ecolyo_worker.testing.ledger import assert_balanced

from .conftest import NIGHT

Event = Callable[..., dict[str, Any]]
Agree = Callable[..., Awaitable[None]]

ALICE = "alice.example"
WITHDRAWN = {"instance": ALICE, "consent": None}


def lines(path: Path) -> list[Line]:
    return [Line(n, text) for n, text in enumerate(path.read_bytes().splitlines(), 1)]


async def fill(worker: Worker, examples: Path) -> None:
    """Import the worked example, count it, and leave some of it waiting."""
    commands = Commands(worker)
    await commands.instances_import(InstancesImport(lines(examples / "instances.ndjson")))
    await commands.events_import(EventsImport(lines(examples / "events.ndjson")))
    await commands.consumption_import(ConsumptionImport(lines(examples / "consumption.ndjson")))
    await worker.run_once(NIGHT)


async def forget(worker: Worker, name: str = ALICE) -> Forgotten:
    return await Commands(worker).instances_forget(name)


def tables(state_dir: Path) -> dict[str, int]:
    """Count the rows of each table that holds something of people."""
    with closing(sqlite3.connect(state_dir / "ecolyo.db")) as other:
        names = other.execute("SELECT name FROM sqlite_schema WHERE sql LIKE '%REFERENCES inst%'")
        counted = [name for (name,) in names] + ["failures", "instances", "points"]
        counted.remove("destinations")  # the one of the native target is nobody's
        return {n: other.execute(f"SELECT count(*) FROM {n}").fetchone()[0] for n in counted}


async def test_every_table_is_empty_of_her(state_dir: Path, examples: Path) -> None:
    """Forgetting everyone leaves no row of anyone, tells how many went of which table, balances."""
    async with Worker(Settings(state_dir=state_dir)).opened() as worker:
        await fill(worker, examples)
        late = {"type": "NavigationEvent", "eventDate": "2026-12-01T10:00", "_id": "late"}
        await worker.record(ALICE, late)
        before = tables(state_dir)
        names = [document["instance"] async for document in Commands(worker).instances_list()]
        gone = [await forget(worker, str(name)) for name in names]
    assert {n: sum(g.rows[n] for g in gone) for n in before} == before
    assert {before[name] > 0 for name in ("countings", "month_countings", "series", "ever")} == {
        True
    }
    assert sum(g.rows["points"] for g in gone) == 308
    assert set(tables(state_dir).values()) == {0}
    ledger = await assert_balanced(state_dir)
    assert (ledger.events, ledger.recounted) == (88, 0)


async def test_what_others_consumed_stays(state_dir: Path, examples: Path) -> None:
    """Only her readings go; those of the others are there as before."""
    async with Worker(Settings(state_dir=state_dir)).opened() as worker:
        await fill(worker, examples)
        bob = await Commands(worker).instances_show("bob.example")
        gone = await forget(worker)
        assert gone.rows["points"] == 308 - tables(state_dir)["points"] > 0
        assert await Commands(worker).instances_show("bob.example") == bob
        assert bob["consumption"]


async def test_the_others_are_checked_as_before(state_dir: Path, examples: Path) -> None:
    """The ledger counts the days of those again who were not forgotten, and finds their loss."""
    async with Worker(Settings(state_dir=state_dir)).opened() as worker:
        await fill(worker, examples)
        recounted = (await worker.database.read(_countings), await forget(worker))[0]
    ledger = await assert_balanced(state_dir)
    assert 0 < ledger.recounted < recounted
    with closing(sqlite3.connect(state_dir / "ecolyo.db")) as other, other:
        other.execute("UPDATE countings SET rows = rows + 1 WHERE rows > 0")
    with pytest.raises(AssertionError, match="indicators were counted"):
        await assert_balanced(state_dir)


def _countings(connection: sqlite3.Connection) -> int:
    count: int = connection.execute("SELECT count(*) FROM countings").fetchone()[0]
    return count


async def test_no_file_holds_her_any_more(worker: Worker, event: Event, state_dir: Path) -> None:
    """Neither her name nor her events' texts stand in any file of the state afterwards."""
    texts = [ALICE.encode(), b"secret-target", b"secret-context", b"secret-id"]
    fields = {"target": "secret-target", "context": "secret-context"}
    for day in range(10, 21):
        at = f"2026-11-{day}T10:00"
        await worker.record(ALICE, event("ConnectionEvent", at, f"secret-id-{day}", **fields))
    await worker.run_once(NIGHT)
    assert {text for text in texts if text in content(state_dir)} == set(texts)
    assert (await forget(worker)).holding == []
    assert [text for text in texts if text in content(state_dir)] == []


def content(state_dir: Path) -> bytes:
    return b"".join(path.read_bytes() for path in state_dir.iterdir())


async def test_what_may_hold_her_still_is_named(worker: Worker, state_dir: Path) -> None:
    """A copy made before a migration, and a database that another process reads, are told."""
    copy = state_dir / "ecolyo.db.before-0002"
    copy.write_bytes(b"")
    with closing(sqlite3.connect(state_dir / "ecolyo.db", isolation_level=None)) as other:
        other.execute("BEGIN")
        other.execute("SELECT count(*) FROM instances").fetchone()
        holding = (await forget(worker)).holding
    live = [str(state_dir / name) for name in ("ecolyo.db", "ecolyo.db-wal")]
    assert holding == [str(copy), *live]


async def test_who_comes_back_is_a_new_person(
    worker: Worker, event: Event, agree: Agree, state_dir: Path
) -> None:
    """The same name gets a new salt, and its events are counted as those of a new person."""
    visit = event("NavigationEvent", "2026-11-20T10:00", target="gas")
    await worker.record(ALICE, visit)
    await worker.run_once(NIGHT)
    salts = [await worker.database.read(_salt)]
    await forget(worker)
    await agree(worker)
    await worker.record(ALICE, visit)
    assert (await worker.run_once(NIGHT)).indicators == {"navigation-count-daily": 1}
    salts.append(await worker.database.read(_salt))
    assert salts[0] != salts[1]
    assert worker.status().outbox["pending"] == 1


def _salt(connection: sqlite3.Connection) -> bytes:
    salt: bytes = connection.execute("SELECT salt FROM instances").fetchone()[0]
    return salt


async def test_what_was_removed_is_counted(worker: Worker, event: Event, state_dir: Path) -> None:
    """What went is counted, by what it was, under a reason of its own."""
    for day in (20, 21):
        at = f"2026-11-{day}T10:00"
        await worker.record(ALICE, event("NavigationEvent", at, target="gas"))
    await worker.run_once(NIGHT)
    gone = await forget(worker)
    assert worker.status().removed == {
        "events.counted": 1,
        "events.waiting": 1,
        "instances": 1,
        "outbox.pending": 1,
    }
    assert (gone.rows["events"], gone.rows["outbox"], gone.rows["consents"]) == (2, 1, 1)
    assert await worker.database.read(_reasons) == ["forgotten"]


async def test_what_may_have_arrived_stays_as_a_number(
    state_dir: Path, event: Event, agree: Agree
) -> None:
    """A row that may have been delivered stays `sent?`, without text, owner and answer."""
    async with echo_server("--fault", "accept-then-drop") as echo:
        settings = Settings(state_dir=state_dir, dacc=Dacc(url=echo.url))
        async with Worker(settings).opened() as worker:
            await agree(worker)
            await worker.record(ALICE, event("NavigationEvent", "2026-11-20T10:00"))
            await worker.run_once(NIGHT)
            await worker.send()
            gone = await forget(worker)
        assert (gone.kept, gone.rows["outbox"]) == (1, 0)
        await assert_balanced(state_dir, echo.url)
    with closing(sqlite3.connect(state_dir / "ecolyo.db")) as other:
        (row,) = other.execute("SELECT state, body, instance, answer FROM outbox").fetchall()
    assert row == ("sent?", None, None, None)


async def test_what_is_being_sent_loses_its_text_at_once(
    state_dir: Path, event: Event, agree: Agree
) -> None:
    """A row in flight is nobody's at once; cut off, it is `sent?` and never tried again."""
    async with echo_server("--fault", "latency=1min*9") as echo:
        async with Worker(
            Settings(state_dir=state_dir, dacc=Dacc(url=echo.url))
        ).opened() as worker:
            await agree(worker)
            await worker.record(ALICE, event("NavigationEvent", "2026-11-20T10:00"))
            await worker.run_once(NIGHT)
            async with anyio.create_task_group() as sending:
                sending.start_soon(worker.send)
                while not (await echo.count())["requests"]:
                    await anyio.lowlevel.checkpoint()
                gone = await forget(worker)
                assert (gone.in_flight, gone.kept) == (1, 0)
                assert await worker.database.read(_personal) == 0
                (row,) = [row async for row in Commands(worker).outbox_list(OutboxList())]
                assert (row.state, bytes(row.indicator)) == ("in_flight", b"null")
                sending.cancel_scope.cancel()
            assert worker.status().outbox["sent?"] == 1
            assert (await worker.send()).attempts == 0
        await assert_balanced(state_dir)


def _personal(connection: sqlite3.Connection) -> int:
    count: int = connection.execute(
        "SELECT count(*) FROM outbox WHERE instance IS NOT NULL OR length(body) > 0"
    ).fetchone()[0]
    return count


@pytest.mark.parametrize(
    ("how", "left", "removed"),
    [
        ("untried", None, {"outbox.in_flight": 1}),
        ("failed", None, {"outbox.in_flight": 1}),
        ("delivered", "sent", {}),
        ("the process died", "sent?", {}),
    ],
)
async def test_what_is_being_sent_lands_as_forgotten(
    state_dir: Path,
    event: Event,
    agree: Agree,
    how: str,
    left: str | None,
    removed: dict[str, int],
) -> None:
    """However the attempt ends, the row does not wait again, and what goes is counted as forgotten.

    What was delivered stays, as a number.
    """
    settings = Settings(state_dir=state_dir)
    async with Worker(settings).opened() as worker:
        await agree(worker)
        await worker.record(ALICE, event("NavigationEvent", "2026-11-20T10:00"))
        await worker.run_once(NIGHT)
        (row,) = await worker.database.run(_claim)
        assert (await forget(worker)).in_flight == 1
        if how == "untried":
            await worker.database.run(outbox.release, [row.id])
        elif how != "the process died":
            state = "sent" if how == "delivered" else "pending"
            result = outbox.Settlement(state, "delivered" if state == "sent" else "failed")
            await worker.database.run(outbox.mark, [outbox.Mark(row.id, result, at=1, shuffle=1)])
    async with Worker(settings).opened() as worker:
        status = worker.status()
        assert {s: n for s, n in status.outbox.items() if n} == ({left: 1} if left else {})
        assert status.removed == removed | {"events.counted": 1, "instances": 1}
        assert await worker.database.read(_reasons) == ["forgotten"]
    await assert_balanced(state_dir)


def _claim(connection: sqlite3.Connection) -> list[outbox.Claimed]:
    wanted = draw.Draw(now=2**60, due=2**60, latest=2**61, limit=9)
    return draw.claim(connection, wanted, lambda rows: [draw.Verdict("in_flight")] * len(rows)).rows


def _reasons(connection: sqlite3.Connection) -> list[str]:
    return [reason for (reason,) in connection.execute("SELECT DISTINCT reason FROM removed")]


async def test_an_own_destination_goes_too(
    state_dir: Path, echo: Echo, event: Event, agree: Agree
) -> None:
    """With a Cozy target a person has a destination, which goes with the person."""
    dacc = Dacc(target="cozy-v2", url=f"{echo.url}/{{instance}}", rate=1000)
    async with Worker(Settings(state_dir=state_dir, dacc=dacc)).opened() as worker:
        await agree(worker)
        await worker.record(ALICE, event("NavigationEvent", "2026-11-20T10:00"))
        await worker.run_once(NIGHT)
        await worker.send()
        assert await worker.database.read(_destinations) == 1
        assert (await forget(worker)).rows["destinations"] == 1
        assert await worker.database.read(_destinations) == 0
        assert ALICE.encode() not in content(state_dir)
    await assert_balanced(state_dir, echo.url)


def _destinations(connection: sqlite3.Connection) -> int:
    found: int = connection.execute("SELECT count(*) FROM destinations").fetchone()[0]
    return found


async def test_nobody_is_forgotten_twice(worker: Worker) -> None:
    """An unknown person cannot be forgotten, whatever the name looks like."""
    await forget(worker)
    for name in (ALICE, "\udcff", ""):
        with pytest.raises(CommandRefused, match=re.escape(f"no instance is called {name!r}")):
            await forget(worker, name)


async def test_a_list_goes_on_without_her(worker: Worker, agree: Agree) -> None:
    """Who is forgotten while a list is being made is not in it, and the list goes on."""
    for name in ("bob.example", "carol.example"):
        await agree(worker, {"instance": name})
    listed = Commands(worker).instances_list()
    names = [(await anext(listed))["instance"]]
    await forget(worker, "bob.example")
    names += [document["instance"] async for document in listed]
    assert names == [ALICE, "carol.example"]


async def test_forgetting_after_a_withdrawal_balances(
    state_dir: Path, event: Event, agree: Agree
) -> None:
    """Who withdrew can be forgotten, and each thing removed is counted once."""
    async with Worker(Settings(state_dir=state_dir)).opened() as worker:
        await agree(worker)
        await worker.record(ALICE, event("NavigationEvent", "2026-11-20T10:00"))
        await worker.run_once(NIGHT)
        await agree(worker, WITHDRAWN)
        gone = await forget(worker)
    assert (gone.rows["events"], gone.rows["outbox"], gone.rows["countings"]) == (0, 0, 1)
    await assert_balanced(state_dir)


@pytest.mark.parametrize("confirmed", [True, False])
async def test_the_command_wants_a_yes(cli: Any, confirmed: bool) -> None:
    """`instances forget` does nothing without `--yes`, and with it says what went."""
    await cli("instances", "consent", ALICE, "--version", "1.0.0")
    done = await cli("instances", "forget", ALICE, "--json", *["--yes"] * confirmed)
    assert done.returncode == (0 if confirmed else 64)
    assert (await cli("instances", "show", ALICE)).returncode == (64 if confirmed else 0)
    if confirmed:
        assert json.loads(done.stdout)["rows"]["consents"] == 1
    else:
        assert b"say --yes" in done.stderr


async def test_a_crash_forgets_all_or_nothing(cli: Any, state_dir: Path, event: Event) -> None:
    """A process killed in the middle of forgetting leaves the person whole."""
    visit = json.dumps(event("NavigationEvent", "2026-11-20T10:00")).encode()
    await cli("instances", "consent", ALICE, "--version", "1.0.0")
    await cli("events", "import", "-", "--instance", ALICE, stdin=visit)
    before = tables(state_dir)
    armed = {"ECOLYO_CRASH_AT": "forget.deleting:kill:1"}
    done = await cli("instances", "forget", ALICE, "--yes", env=armed)
    assert done.returncode == -signal.SIGKILL
    assert tables(state_dir) == before
    await assert_balanced(state_dir)
