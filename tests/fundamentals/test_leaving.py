"""A consent that is withdrawn: what waits goes, what was counted is never counted again."""

import sqlite3
from collections.abc import Awaitable, Callable
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from ecolyo_worker import Settings, Worker
from ecolyo_worker.commands import Commands
from ecolyo_worker.requests import InstancesImport, Line
from ecolyo_worker.settings import Dacc
from ecolyo_worker.testing.echo import echo_server
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
        async with Worker(settings) as worker:
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
