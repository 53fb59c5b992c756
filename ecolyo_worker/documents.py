"""What commands answer, made of what is stored."""

from zoneinfo import ZoneInfo

import msgspec
from msgspec import Raw

from ecolyo_worker import requests as ask
from ecolyo_worker.clock import civil_text, day_text, instant_text, month_text
from ecolyo_worker.energy.labels import ZONE
from ecolyo_worker.facts import facts_document
from ecolyo_worker.readings import start_text
from ecolyo_worker.store import consumption, outbox
from ecolyo_worker.store.attempts import Kept
from ecolyo_worker.store.instances import Instance
from ecolyo_worker.store.listing import Tried

__all__ = [
    "held_document",
    "history_document",
    "instance_document",
    "interval_start",
    "row_document",
]


def instance_document(instance: Instance) -> dict[str, object]:
    """Give what hosts and events say of one person."""
    document = facts_document(
        instance.name,
        instance.consents,
        instance.konnectors,
        instance.subscriptions,
        instance.profile,
        instance.first_connection_at,
    )
    withdrawn, seen = instance.withdrawn_through, instance.first_connection_seen
    document["withdrawn_through"] = None if withdrawn is None else civil_text(withdrawn)
    document["first_connection_seen"] = None if seen is None else civil_text(seen)
    return document


def held_document(held: consumption.Held, zone: ZoneInfo) -> dict[str, object]:
    """Give how much of a consumption is held, and from when to when; `zone` is the worker's."""
    clocks = zone if held.source == "import" else ZONE
    return {
        "fluid": held.fluid,
        "step": held.step,
        "source": held.source,
        "points": held.points,
        "first": start_text(held.first, held.step, clocks),
        "last": start_text(held.last, held.step, clocks),
    }


def interval_start(start: int, step: ask.ConsumptionStep, zone: ZoneInfo) -> str:
    """Give where an interval begins: with its offset where it is an instant, else the civil one."""
    match step:
        case "half-hour" | "hour":
            return start_text(start, "half-hour", zone)
        case "day":
            return day_text(start)
        case "month":
            return month_text(start)
        case "year":
            return f"{start:04}"


def row_document(row: outbox.OutboxRow) -> ask.OutboxDocument:
    """Give a row of the outbox."""
    return ask.OutboxDocument(
        id=row.id,
        state=row.state,
        measure=row.measure,
        start_date=row.start_date,
        indicator=Raw(row.body or b"null"),
        counted_attempts=row.attempts,
        failed_tries=row.tries,
        maybe_delivered=row.maybe_delivered,
        created=instant_text(row.created),
        next_try=instant_text(row.due) if row.state == "pending" and row.due else None,
        last_attempt=None if row.attempted is None else instant_text(row.attempted),
        answer=row.answer,
    )


def history_document(tried: Tried) -> ask.OutboxHistory:
    """Give a row of the outbox with its attempts."""
    return ask.OutboxHistory(
        **msgspec.structs.asdict(row_document(tried.row)),
        attempts=tried.made,
        history=[_attempt_document(attempt) for attempt in tried.attempts],
    )


def _attempt_document(attempt: Kept) -> ask.AttemptDocument:
    return ask.AttemptDocument(
        n=attempt.n,
        ended=instant_text(attempt.ended),
        outcome=attempt.outcome,
        status=attempt.status,
        answer=attempt.answer,
    )
