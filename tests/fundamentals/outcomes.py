"""What each outcome of an attempt means: for row, destination, next time and log."""

import random
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import httpx
import structlog
from msgspec import Struct

from ecolyo_worker import Settings, Worker
from ecolyo_worker.clock import parse_civil
from ecolyo_worker.commands import Commands
from ecolyo_worker.facts import Consent, InstanceFacts
from ecolyo_worker.remote.outcome import Kind
from ecolyo_worker.requests import OutboxDocument, OutboxList
from ecolyo_worker.settings import Dacc
from ecolyo_worker.store.status import DestinationStatus
from ecolyo_worker.testing.clock import FakeClock

__all__ = ["Tried", "assert_outcome", "attempt"]

NOW = datetime(2026, 11, 21, 2, 0, tzinfo=UTC)
AGREED = parse_civil("2026-11-01T00:00", ZoneInfo("Europe/Paris"), zulu_is_wall=False)
VISIT = {"type": "NavigationEvent", "eventDate": "2026-11-20T10:00", "target": "gas"}
BACKOFF = "2026-11-21T02:00:15Z"  # half of 30 s, as `Half` draws
QUARTER = "2026-11-21T02:15:00Z"  # dacc.auth_retry and dacc.unknown_retry


class Half(random.Random):
    """Draws the middle of every backoff."""

    def random(self) -> float:
        return 0.5


class Must(Struct, frozen=True):
    """What must be after one attempt: of the row, of its destination, and in the log."""

    row: str
    counted: int = 0
    maybe_delivered: int = 0
    due: str | None = None
    held: str | None = None
    """Until when the destination is paused; None where it is not."""
    because: str = ""
    fails: bool = False
    """Whether it counts for the breaker, so that the destination shows what it was told."""


REFUSED = "the DACC does not accept the token"
ASTRAY = "the DACC's address does not answer as a DACC"

MUST: dict[Kind, Must] = {
    "delivered": Must("sent"),
    "rejected": Must("dead", counted=1),
    "unauthorized": Must("pending", held=QUARTER, because=REFUSED),
    "misconfigured": Must("pending", held=QUARTER, because=ASTRAY),
    "throttled": Must("pending", held=BACKOFF, because="the DACC asks to wait"),
    "failed": Must("pending", counted=1, due=BACKOFF, fails=True),
    "unavailable": Must("pending", due=BACKOFF, fails=True),
    "unknown": Must("pending", counted=1, maybe_delivered=1, due=QUARTER, fails=True),
}


class Tried(Struct, frozen=True):
    """What there is after an attempt."""

    outcomes: dict[str, int]
    row: OutboxDocument
    shown: list[DestinationStatus]
    log: list[Any]


async def attempt(
    state_dir: Path, http: Callable[[], httpx.AsyncClient] | None = None, **dacc: Any
) -> Tried:
    """Make a person's one row and try once to send it, by these settings of the section."""
    log = structlog.testing.LogCapture()
    worker = Worker(
        Settings(state_dir=state_dir, dacc=Dacc(**dacc)),
        clock=FakeClock(NOW),
        random=Half(1),
        logger=structlog.wrap_logger(structlog.PrintLogger(), processors=[log]),
        http=http,
    )
    async with worker.opened():
        await worker.store_facts(InstanceFacts("alice.example", Consent(AGREED, "1.0.0")))
        await worker.record("alice.example", {**VISIT, "_id": "visit"})
        await worker.run_once(datetime(2026, 11, 21, 1, 0))
        log.entries.clear()
        report = await worker.send()
        (row,) = [row async for row in Commands(worker).outbox_list(OutboxList())]
        return Tried(report.outcomes, row, worker.status().destinations, log.entries)


def assert_outcome(tried: Tried, kind: Kind, said: str = "", until: str | None = None) -> None:
    """Check all that an outcome says.

    `said` stands in the answer that is kept; `until` is how long the other side asked to wait.
    """
    must = MUST[kind]
    until = until or must.held
    assert tried.outcomes == {kind: 1}
    assert_row(tried.row, must, said)
    assert_destination(tried.shown, must, until, tried.row.answer)
    because = tried.shown[0].reason if until else None
    assert tried.log == lines(kind, tried.row.answer, because)


def assert_row(row: OutboxDocument, must: Must, said: str) -> None:
    found = (row.state, row.counted_attempts, row.maybe_delivered, row.next_try)
    assert found == (must.row, must.counted, must.maybe_delivered, must.due)
    assert row.failed_tries == (must.row != "sent")
    assert said in (row.answer or "")


def assert_destination(
    shown: list[DestinationStatus], must: Must, until: str | None, answer: str | None
) -> None:
    """Check how the destination does; a person's own that does well is not shown."""
    for one in shown:
        assert (one.state, one.next_try) == ("paused" if until else "ready", until)
        if until:
            # What did not even get an answer says so itself.
            said = f"{must.because} ({answer})" if (answer or "")[:1].isdigit() else answer
            assert (one.reason or "").startswith(f"{said}, next try {until}")
        else:
            assert one.reason == (answer if must.fails else None)
    assert shown or not (until or must.fails)


def lines(kind: Kind, answer: str | None, held_because: str | None) -> list[dict[str, Any]]:
    """Give what the log must say."""
    said: list[dict[str, Any]] = []
    about = {"row": 1, "destination": 1, "outcome": kind, "answer": answer}
    if kind != "delivered" and held_because is None:
        status, _, _ = (answer or "").partition(": ")
        about["status"] = int(status) if status.isdigit() else None
        said.append({"event": "indicator not delivered", "log_level": "info", **about})
    if held_because is not None:
        said.append({"event": "destination does not work", "log_level": "debug", **about})
        words = {"event": "destination is held back", "log_level": "warning"}
        said.append({**words, "destination": 1, "reason": held_because})
    return said
