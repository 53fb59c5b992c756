"""Months of a life, once with its old events and once without: what is sent is the same."""

import random
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import msgspec
import pytest

from ecolyo_worker import Settings, Worker
from ecolyo_worker.commands import Commands
from ecolyo_worker.events import END_TYPES
from ecolyo_worker.requests import EventsImport, InstancesImport, Line
from ecolyo_worker.settings import Retention
from ecolyo_worker.testing.clock import SteppedClock
from ecolyo_worker.testing.ledger import assert_balanced

BEGIN = datetime(2026, 1, 15, tzinfo=UTC)
DAYS = 130
PEOPLE = ("alice.example", "bob.example", "carol.example", "dave.example")
LAUNCH = "ChallengeLaunchEvent"
TYPES = (
    *("ConnectionEvent", "NavigationEvent", "ProfileSetEvent", LAUNCH, "ReportFromEvent"),
    *("KonnectorAttemptEvent", "KonnectorConnectEvent"),
    *sorted(END_TYPES),
)
RESULTS = (None, "firstConnection", "success", "error", "4", "other")
TARGETS = ("enedis-lyon", "grdf", "egl", "faq", "CHALLENGE0001", "QUIZ0002", None)

Day = tuple[list[dict[str, Any]], list[dict[str, Any]]]


def history(seed: int) -> Iterator[Day]:
    """Give what hosts say and the events that come in, day by day: late, again, out of order."""
    draw = random.Random(seed)
    came: list[dict[str, Any]] = []
    for number in range(DAYS):
        today = BEGIN + timedelta(days=number)
        batch = [_event(draw, today, f"{number}-{n}") for n in range(draw.randrange(4, 12))]
        if came:  # what came once comes again, however long ago that was
            batch += draw.choices(came, k=3)
        came += batch
        yield _said(draw, number, today), batch


def _said(draw: random.Random, number: int, today: datetime) -> list[dict[str, Any]]:
    """Alice agreed long ago; Bob agrees late, for the time before too; Carol and Dave change."""
    at = f"{today:%F}T00:00"
    told = {
        0: [_agrees("alice.example", at), _agrees("carol.example", at)],
        1: [_agrees("dave.example", at)],
        60: [_agrees("bob.example", f"{today - timedelta(days=50):%F}T00:00")],
        65: [{"instance": "dave.example", "consent": None}],
        80: [_agrees("dave.example", at)],
        70: [_agrees("carol.example", at, "0.9")],
        100: [_agrees("carol.example", at, "1.1")],
    }.get(number, [])
    if draw.random() < 0.05:
        told.append({"instance": draw.choice(PEOPLE), "first_connection_at": at})
    return told


def _agrees(name: str, at: str, version: str = "1.0.0") -> dict[str, Any]:
    return {"instance": name, "consent": {"version": version, "accepted_at": at}}


def _event(draw: random.Random, today: datetime, ident: str) -> dict[str, Any]:
    days_late = draw.choice((0, 0, 0, 0, 1, 3, 20, 40, 70))
    at = today - timedelta(days=days_late) + timedelta(seconds=draw.randrange(1, 86400))
    start = BEGIN - timedelta(days=draw.choice((0, 40)))
    return {
        "instance": draw.choice(PEOPLE),
        "_id": ident,
        "type": draw.choice(TYPES),
        "eventDate": f"{at:%FT%T}",
        "target": draw.choice(TARGETS),
        "context": draw.choice(("mobile", "CHALLENGE0001", None)),
        "result": draw.choice(RESULTS),
        "startDate": draw.choice((f"{start:%FT%T}", None)),
        "aggregated": draw.random() < 0.05,
    }


async def live(state_dir: Path, seed: int, events_days: int) -> dict[str, int]:
    """Let a worker live through a history, with a night and a round of the janitor each day.

    Give how many events were removed for their age.
    """
    settings = Settings(
        state_dir=state_dir, mode="local", retention=Retention(events_days=events_days)
    )
    clock = SteppedClock(BEGIN)
    async with Worker(settings, clock=clock) as worker:
        commands = Commands(worker)
        await clock.sleepers(len(worker.health()) - 1)  # intake goes by the machine's time
        for number, (said, batch) in enumerate(history(seed), 1):
            await commands.instances_import(InstancesImport(_lines(said), withdrawing=True))
            receipt = await commands.events_import(EventsImport(_lines(batch)))
            assert not receipt.refused
            night = BEGIN + timedelta(days=number, hours=1)
            await clock.step(night)
            await clock.step(night + timedelta(hours=1))
        removed = await worker.database.read(_pruned)
    await assert_balanced(state_dir)
    return removed


def _lines(documents: list[dict[str, Any]]) -> list[Line]:
    return [Line(n, msgspec.json.encode(document)) for n, document in enumerate(documents, 1)]


def _pruned(connection: sqlite3.Connection) -> dict[str, int]:
    return dict(connection.execute("SELECT what, count FROM removed WHERE reason = 'pruned'"))


def made(state_dir: Path) -> list[tuple[str, bytes]]:
    """Give whose each indicator is, and its bytes, in the order in which they were made."""
    with closing(sqlite3.connect(state_dir / "ecolyo.db")) as other:
        return other.execute(
            "SELECT i.name, o.body FROM outbox AS o JOIN instances AS i ON i.id = o.instance"
            " ORDER BY o.id"
        ).fetchall()


@pytest.mark.parametrize("seed", [1, 2])
async def test_no_value_changes_when_old_events_go(tmp_path: Path, seed: int) -> None:
    """A worker that keeps events no longer than it must makes the same bytes as one that keeps all.

    That holds for events that come late too, and for those that come again after they went.
    """
    removed = await live(tmp_path / "short", seed, 31)
    assert await live(tmp_path / "long", seed, 3650) == {}
    assert removed["events.counted"] > 100
    assert {"events.expired", "events.unconsented", "events.imported"} <= set(removed)
    short, long = made(tmp_path / "short"), made(tmp_path / "long")
    assert len(long) > 300
    assert short == long
    measures = {msgspec.json.decode(body)["measureName"] for _, body in long}
    assert {"profile-count-monthly", "konnector-attempts-monthly", "event-duration"} <= measures
