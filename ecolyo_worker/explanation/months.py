"""A monthly measure's month of one instance: the one counting of it, or why there is none."""

import sqlite3

import msgspec

from ecolyo_worker.clock import (
    civil_text,
    day_of,
    day_start,
    day_text,
    month_days,
    month_of,
    month_text,
    parse_day,
)
from ecolyo_worker.events import Event, event_document
from ecolyo_worker.explanation import rows
from ecolyo_worker.explanation.documents import AbsentEvent, ExplainedCounting
from ecolyo_worker.explanation.view import View
from ecolyo_worker.measures import Month, count_month
from ecolyo_worker.measures.explaining import explain_month, facts_of_month
from ecolyo_worker.store import books, events, months
from ecolyo_worker.store.instances import Instance
from ecolyo_worker.store.months import MonthCounting, StoredMonth

__all__ = [
    "TOO_LATE",
    "ended_before",
    "explain_event_month",
    "is_lost",
    "month_then",
    "next_month",
]

_EVER = -(2**62)
TOO_LATE = "it arrived when the month was counted already"


def explain_event_month(
    connection: sqlite3.Connection, instance: Instance, measure: str, month: int, view: View
) -> list[ExplainedCounting] | str:
    """Explain a month's counting, or say why there is none."""
    stored = months.stored_month(connection, instance, month)
    if stored is not None:
        return [_done(connection, instance, measure, stored, view)]
    found = next_month(connection, instance, month, view)
    if isinstance(found, str):
        return found
    as_of = civil_text(view.plan.as_of)
    counting = rows.empty(rows.TO_COME, view.next_run(), as_of=as_of)
    if before := ended_before(found.facts.acceptance, month):
        counting.missing.append(before)
        return [counting]
    known = months.month_of_instance(connection, instance, found.facts, month, view.plan.zone)
    counting.facts.extend(facts_of_month(measure, known))
    counting.absent.extend(_unread(connection, instance, known, None))
    if view.today < month_days(month).stop:
        counting.notes.append("the month is not over yet: what is to come in it counts, too")
    explained = explain_month(measure, found.counted, known)
    return [rows.coming(explained, counting, view.definitions)]


def next_month(
    connection: sqlite3.Connection, instance: Instance, month: int, view: View
) -> MonthCounting | str:
    """Give the counting that the next run makes of a month, or why it makes none."""
    night = view.night(connection, instance, month=month)
    if night is None:
        return view.without_consent(instance) or "no consent is in force"
    return night.months[0] if night.months else _why_not_due(instance, month, view)


def month_then(
    connection: sqlite3.Connection, instance: Instance, stored: StoredMonth, view: View
) -> Month:
    """Give what is known now of a month that is done, without the events that came later."""
    zone = view.plan.zone
    known = months.month_of_instance(connection, instance, stored.facts, stored.month, zone)
    upto = stored.upto_seq
    return msgspec.structs.replace(
        known,
        events=tuple(event for event in known.events if event.seq <= upto),
        ever=tuple(event for event in known.ever if event.seq <= upto),
    )


def is_lost(connection: sqlite3.Connection, instance: Instance, month: int) -> bool:
    """Tell whether events of a month were deleted, or may have been: by age or with a consent."""
    days, pruned = month_days(month), instance.pruned_through
    return (pruned is not None and days.start <= pruned) or bool(
        books.lost_events(connection, instance.id, days)
    )


def ended_before(acceptance: int, month: int) -> str | None:
    """Say that a month has no row because it ended before the acceptance, if it did."""
    if day_start(month_days(month).stop) > acceptance:
        return None
    when = civil_text(acceptance)[:16]
    return f"the month ended before the terms were accepted, {when}: it is done without a row"


def _done(
    connection: sqlite3.Connection,
    instance: Instance,
    measure: str,
    stored: StoredMonth,
    view: View,
) -> ExplainedCounting:
    run = view.done(stored.as_of, stored.started)
    counting = rows.empty(rows.DONE, run, as_of=civil_text(stored.as_of))
    if before := ended_before(stored.facts.acceptance, stored.month):
        counting.missing.append(before)
        return counting
    days = month_days(stored.month)
    place = rows.place_of_month(instance.salt, measure, stored, view)
    if stored.definitions != view.definitions.digest:
        counting.notes.append("other definitions held when it was counted")
    if is_lost(connection, instance, stored.month):
        lost = books.lost_events(connection, instance.id, days)
        counting.notes.append(
            f"{lost or 'some'} events of the month were deleted since, by age or with a consent, so"
            " it cannot be reckoned again"
        )
        counting.rows.extend(rows.only_stored(connection, place))
        return counting
    known = month_then(connection, instance, stored, view)
    counting.facts.extend(facts_of_month(measure, known))
    counting.absent.extend(_unread(connection, instance, known, stored))
    explained = explain_month(measure, count_month(known, view.plan.rules), known)
    return rows.done(connection, place, explained, counting, view)


def _unread(
    connection: sqlite3.Connection, instance: Instance, known: Month, stored: StoredMonth | None
) -> list[AbsentEvent]:
    """Give the events of a month that no measure of it reads, and why."""
    read = {event.seq for event in known.events}
    found = events.of_days(connection, instance.id, known.days, _EVER)
    return [_unread_event(event, known, stored) for event in found if event.seq not in read]


def _unread_event(event: Event, known: Month, stored: StoredMonth | None) -> AbsentEvent:
    accepted = known.facts.acceptance
    reason = TOO_LATE
    if stored is None or event.time < accepted:
        reason = f"it is older than the acceptance of the terms, {civil_text(accepted)}"
    return AbsentEvent(event_document(event), reason, "fate")


def _why_not_due(instance: Instance, month: int, view: View) -> str:
    as_of, rules = view.plan.as_of, view.plan.rules
    name, first = month_text(month), instance.months_from
    if first is None:
        first = month_of(day_of(as_of)) - 1
    if rules.not_before is not None and month_days(month).stop <= rules.not_before:
        limit = day_text(rules.not_before)
        return f"{name} ended before aggregation.not_before, {limit}, so it counts as done"
    if month < first:
        return (
            f"{name} is never counted: a person's first run looks at the month before it only,"
            f" which is {month_text(first)}"
        )
    if instance.pruned_through is not None and month_days(month).start <= instance.pruned_through:
        return f"{name} is never counted: of its events some were removed for their age"
    if month_days(month).stop > parse_day("9999-12-31"):
        return f"{name} is never counted: the calendar ends before it is due"
    due = month_days(month).stop + rules.monthly_day - 1
    if day_of(as_of) < due:
        return f"{name} is counted from {day_text(due)} on (aggregation.monthly_day)"
    return f"{name} is never counted: a run looks three months back at most"
