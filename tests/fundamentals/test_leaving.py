"""A consent that is withdrawn: what waits goes, what was counted is never counted again."""

import sqlite3
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import anyio
import msgspec
import pytest

from ecolyo_worker import Settings, Worker
from ecolyo_worker.commands import Commands
from ecolyo_worker.requests import ConsumptionImport, InstancesImport, Line, OutboxList
from ecolyo_worker.settings import Aggregation, Dacc
from ecolyo_worker.testing import Echo, echo_server
from ecolyo_worker.testing.clock import FakeClock
from ecolyo_worker.testing.ledger import assert_balanced

Event = Callable[..., dict[str, Any]]
Agree = Callable[..., Awaitable[None]]

NIGHT = datetime(2026, 11, 21, 1, 0)
WITHDRAWN = {"instance": "alice.example", "consent": None}


def consent(accepted_at: str) -> dict[str, Any]:
    return {
        "instance": "alice.example",
        "consent": {"version": "1.0.0", "accepted_at": accepted_at},
    }


async def test_withdrawing_deletes_what_waits(
    worker: Worker, event: Event, agree: Agree, state_dir: Path
) -> None:
    """A withdrawal deletes the waiting indicators and the raw events, and counts them."""
    await worker.record("alice.example", event("NavigationEvent", "2026-11-20T10:00", target="gas"))
    await worker.record("alice.example", event("NavigationEvent", "2026-11-21T10:00", target="gas"))
    await worker.run_once(NIGHT)
    await agree(worker, WITHDRAWN)
    status = worker.status()
    assert status.outbox["pending"] == 0
    assert status.removed == {"events.counted": 1, "events.waiting": 1, "outbox.pending": 1}
    with sqlite3.connect(state_dir / "ecolyo.db") as other:
        tables = ("events", "outbox", "waiting_days", "ends")
        assert [other.execute(f"SELECT count(*) FROM {t}").fetchone()[0] for t in tables] == [0] * 4
    other.close()


async def test_no_time_of_a_deleted_event_stays(
    settings: Settings, event: Event, agree: Agree, state_dir: Path
) -> None:
    """That days and months were counted stays known, but not when her first connection was."""
    connected = event("ConnectionEvent", "2026-10-19T10:11:12", result="firstConnection")
    async with Worker(settings).opened() as worker:
        await agree(worker, consent("2026-10-01T00:00:00"))
        await worker.record("alice.example", connected)
        for as_of in (datetime(2026, 10, 20, 1, 0), NIGHT):
            await worker.run_once(as_of)
        before = await worker.database.read(_counted)
        assert before == {"countings": (1, 1), "month_countings": (2, 2)}
        await agree(worker, WITHDRAWN)
        after = await worker.database.read(_counted)
        assert after == {"countings": (1, 0), "month_countings": (2, 0)}
    await assert_balanced(state_dir)


def _counted(connection: sqlite3.Connection) -> dict[str, tuple[int, int]]:
    """Give how often something was counted, and how many of these know a first connection."""
    query = "SELECT count(*), count(first_connection) FROM "
    return {
        table: connection.execute(query + table).fetchone()
        for table in ("countings", "month_countings")
    }


async def test_consumption_stays_after_a_withdrawal(worker: Worker, agree: Agree) -> None:
    """What she consumed serves herself: a withdrawal leaves it as it was."""
    commands = Commands(worker)
    reading = {"instance": "alice.example", "fluid": "gas", "step": "day", "value": 1}
    days = [{**reading, "start": f"2026-10-{day:02}"} for day in range(1, 32)]
    lines = [Line(number, msgspec.json.encode(day)) for number, day in enumerate(days, 1)]
    await commands.consumption_import(ConsumptionImport(lines))
    before = (await commands.instances_show("alice.example"))["consumption"]
    await agree(worker, WITHDRAWN)
    after = (await commands.instances_show("alice.example"))["consumption"]
    assert after == before != []


async def test_an_old_consent_revives_nothing(worker: Worker, event: Event, agree: Agree) -> None:
    """After a withdrawal only a consent later than all known ones counts again."""
    await agree(worker, WITHDRAWN)
    await worker.record("alice.example", event("NavigationEvent", "2026-11-20T10:00", target="gas"))
    await agree(worker)
    assert (await worker.run_once(NIGHT)).indicators == {}
    await agree(worker, consent("2026-11-20T09:00:00"))
    assert (await worker.run_once(NIGHT)).indicators == {"navigation-count-daily": 1}


async def test_what_was_counted_is_not_counted_again(
    worker: Worker, event: Event, agree: Agree
) -> None:
    """An event sent anew after a withdrawal and a new consent is older than it, so not counted."""
    visit = event("NavigationEvent", "2026-11-20T10:00", "v", target="gas")
    await worker.record("alice.example", visit)
    await worker.run_once(NIGHT)
    await agree(worker, WITHDRAWN)
    await agree(worker, consent("2026-11-20T12:00:00"))
    await worker.record("alice.example", visit)
    assert (await worker.run_once(NIGHT)).events == {"unconsented": 1}


async def test_withdrawing_by_import_wants_a_yes(worker: Worker) -> None:
    """A file that withdraws is refused line by line unless that was allowed."""
    line = Line(7, b'{"instance": "alice.example", "consent": null}')
    report = await Commands(worker).instances_import(InstancesImport([line]))
    (refusal,) = report.refused
    assert (refusal.line, refusal.field) == (7, "consent")
    assert "--yes" in refusal.reason


async def test_what_may_have_arrived_is_kept_without_the_person(
    state_dir: Path, event: Event, agree: Agree
) -> None:
    """A row that may have been delivered stays in the books, without text and without owner."""
    async with echo_server("--fault", "accept-then-drop") as echo:
        settings = Settings(state_dir=state_dir, dacc=Dacc(url=echo.url))
        async with Worker(settings).opened() as worker:
            await agree(worker)
            visit = event("NavigationEvent", "2026-11-20T10:00", target="gas")
            await worker.record("alice.example", visit)
            await worker.run_once(NIGHT)
            await worker.send()
            await agree(worker, WITHDRAWN)
            assert worker.status().outbox["sent?"] == 1
        ledger = await assert_balanced(state_dir, echo.url)
    assert ledger.received == 1
    with sqlite3.connect(state_dir / "ecolyo.db") as other:
        assert other.execute("SELECT body, instance FROM outbox").fetchall() == [(None, None)]
    other.close()


@pytest.mark.parametrize("confirmed", [True, False])
async def test_the_command_wants_a_yes(cli: Any, confirmed: bool) -> None:
    """`instances withdraw` does nothing without `--yes`."""
    await cli("instances", "consent", "alice.example", "--version", "1.0.0")
    done = await cli("instances", "withdraw", "alice.example", *["--yes"] * confirmed)
    assert done.returncode == (0 if confirmed else 64)
    shown = (await cli("instances", "show", "alice.example", "--json")).stdout
    assert (b'"withdrawn_through":null' in shown) is not confirmed


async def test_after_a_withdrawal_no_attempt_begins(
    state_dir: Path, event: Event, agree: Agree, echo: Echo
) -> None:
    """What the sender has in its hands when a person withdraws is not sent any more."""
    settings = Settings(state_dir=state_dir, dacc=Dacc(url=echo.url, rate=2.0, concurrency=4))
    async with Worker(settings).opened() as worker:
        await agree(worker)
        stamps = [f"2026-11-{day}T10:00" for day in range(10, 21)]
        await worker.record(
            "alice.example", [event("NavigationEvent", at, target="gas") for at in stamps]
        )
        await worker.run_once(NIGHT)
        async with anyio.create_task_group() as sending:
            sending.start_soon(worker.send)
            while not (await echo.count())["received"]:
                await anyio.lowlevel.checkpoint()
            await agree(worker, WITHDRAWN)
            withdrawn_at = (await echo.count())["requests"]
        received = (await echo.count())["received"]
        assert received <= withdrawn_at + 1 < len(stamps)
        assert worker.status().outbox["pending"] == worker.status().outbox["in_flight"] == 0
    await assert_balanced(state_dir, echo.url)


async def test_an_interrupted_row_of_someone_who_left_is_not_tried_again(
    state_dir: Path, event: Event, agree: Agree
) -> None:
    """A row in flight whose person withdraws does not come back when its attempt is cut off."""
    async with echo_server("--fault", "latency=1min*9") as echo:
        async with Worker(
            Settings(state_dir=state_dir, dacc=Dacc(url=echo.url))
        ).opened() as worker:
            await agree(worker)
            await worker.record("alice.example", event("NavigationEvent", "2026-11-20T10:00"))
            await worker.run_once(NIGHT)
            async with anyio.create_task_group() as sending:
                sending.start_soon(worker.send)
                while not (await echo.count())["requests"]:
                    await anyio.lowlevel.checkpoint()
                await agree(worker, WITHDRAWN)
                sending.cancel_scope.cancel()
            assert worker.status().outbox["sent?"] == 1
            assert (await worker.send()).attempts == 0


async def test_a_consent_to_come_lets_nothing_out_yet(
    state_dir: Path, event: Event, agree: Agree, echo: Echo
) -> None:
    """What counts is the consent in force now, not one that is dated after now."""
    settings = Settings(state_dir=state_dir, dacc=Dacc(url=echo.url))
    clock = FakeClock(datetime(2026, 11, 22, 12, 0, tzinfo=UTC))
    async with Worker(settings, clock=clock).opened() as worker:
        await agree(worker)
        await worker.record("alice.example", event("NavigationEvent", "2026-11-20T10:00"))
        await worker.run_once(NIGHT)
        for version, at in (("0.9.0", "2026-11-21T12:00:00"), ("1.0.0", "2026-12-01T00:00:00")):
            consent = {"version": version, "accepted_at": at}
            await agree(worker, {"instance": "alice.example", "consent": consent})
        assert (await worker.send()).attempts == 0
        clock.jump(datetime(2026, 12, 1, 12, 0, tzinfo=UTC))
        assert (await worker.send()).outcomes == {"delivered": 1}


@pytest.mark.parametrize("change", ["consent", "setting"])
async def test_without_a_consent_in_force_nothing_is_sent(
    state_dir: Path, event: Event, agree: Agree, change: str, echo: Echo
) -> None:
    """A consent that no longer suffices holds back what was counted under it, until one does."""
    settings = Settings(state_dir=state_dir, dacc=Dacc(url=echo.url))
    async with Worker(settings).opened() as worker:
        await agree(worker)
        await worker.record("alice.example", event("NavigationEvent", "2026-11-20T10:00"))
        await worker.run_once(NIGHT)
        if change == "consent":
            old = {"version": "0.9.0", "accepted_at": "2026-11-20T12:00:00"}
            await agree(worker, {"instance": "alice.example", "consent": old})
    stricter = Aggregation(consent_version="2.0.0" if change == "setting" else "1.0.0")
    async with Worker(settings.replace(aggregation=stricter)).opened() as worker:
        report = await worker.send()
        assert (report.attempts, report.waiting) == (0, 1)
        (row,) = [r async for r in Commands(worker).outbox_list(OutboxList())]
        assert row.answer == "it waits: no consent is in force any more"
    await echo.expect_nothing()
