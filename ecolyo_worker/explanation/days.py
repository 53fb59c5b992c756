"""A daily measure's day of one instance: each counting of it, and what still waits."""

import sqlite3
from collections.abc import Sequence

from ecolyo_worker.clock import civil_text, day_of, day_text
from ecolyo_worker.events import Event
from ecolyo_worker.explanation import rows
from ecolyo_worker.explanation.documents import ExplainedCounting
from ecolyo_worker.explanation.view import View
from ecolyo_worker.measures.explaining import explain_day
from ecolyo_worker.store import books, events
from ecolyo_worker.store.books import StoredCounting
from ecolyo_worker.store.countings import DayCounting
from ecolyo_worker.store.instances import Instance

__all__ = ["AGGREGATED", "explain_event_day", "next_counting", "waiting_events"]

_LAST = 2**62
AGGREGATED = "it came with `aggregated`: it was counted elsewhere"


def explain_event_day(
    connection: sqlite3.Connection, instance: Instance, measure: str, day: int, view: View
) -> list[ExplainedCounting]:
    """Explain each counting of a day, and then what no counting has passed over."""
    stored = books.countings_of_day(connection, instance, day)
    told = [_done(connection, instance, measure, one, view) for one in stored]
    left = waiting_events(connection, instance, day, stored)
    if left:
        told.append(_waiting(connection, instance, measure, len(stored), left, view))
    return told


def waiting_events(
    connection: sqlite3.Connection, instance: Instance, day: int, stored: Sequence[StoredCounting]
) -> list[Event]:
    """Give the events of a day that no counting has passed over, in the order of events."""
    after = stored[-1].upto_seq if stored else 0
    return events.of_day(connection, instance.id, day, after, _LAST)


def next_counting(
    connection: sqlite3.Connection, instance: Instance, day: int, view: View
) -> DayCounting | str:
    """Give the counting that the next run makes of a day's waiting events, or why it makes none."""
    if (lacking := view.without_consent(instance)) is not None:
        return f"it waits: {lacking}"
    if day >= day_of(view.plan.as_of):
        as_of = civil_text(view.plan.as_of)[:16]
        return f"it waits for its day to end: {day_text(day)} is not over as of {as_of}"
    night = view.night(connection, instance)
    found = [] if night is None else [one for one in night.countings if one.day == day]
    return found[0] if found else AGGREGATED


def _done(
    connection: sqlite3.Connection,
    instance: Instance,
    measure: str,
    stored: StoredCounting,
    view: View,
) -> ExplainedCounting:
    place = rows.place_of_day(instance.salt, measure, stored, view)
    run, as_of = view.done(stored.as_of, stored.started), civil_text(stored.as_of)
    counting = rows.empty(rows.DONE, run, stored.n, as_of)
    if stored.definitions != view.definitions.digest:
        counting.notes.append("other definitions held when it was counted")
    if stored.lost:
        counting.notes.append(
            f"{stored.lost} of its {len(stored.events) + stored.lost} events were deleted since,"
            " by age or with a consent, so it cannot be reckoned again"
        )
        counting.rows.extend(rows.only_stored(connection, place))
        return counting
    counted = stored.recount(view.definitions)
    rules = view.rules_then(stored)
    explained = explain_day(measure, counted, stored.events, stored.as_of, rules)
    return rows.done(connection, place, explained, counting, view)


def _waiting(
    connection: sqlite3.Connection,
    instance: Instance,
    measure: str,
    n: int,
    left: Sequence[Event],
    view: View,
) -> ExplainedCounting:
    found = next_counting(connection, instance, left[0].day, view)
    if isinstance(found, str):
        reasons = [(event, AGGREGATED if event.aggregated else found) for event in left]
        return rows.never(n, "not counted yet", reasons)
    as_of, rules = view.plan.as_of, view.plan.rules
    counting = rows.empty(rows.TO_COME, view.next_run(), n, civil_text(as_of))
    explained = explain_day(measure, found.counted, left, as_of, rules)
    return rows.coming(explained, counting, view.definitions)
