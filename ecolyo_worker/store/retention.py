"""What is deleted because it is old, and counted as it goes."""

import sqlite3
from collections import Counter

from msgspec import Struct

from ecolyo_worker.clock import day_of, day_start, day_text, month_days
from ecolyo_worker.crashpoints import reach
from ecolyo_worker.facts import acceptance
from ecolyo_worker.measures import CONNECTED, Rules
from ecolyo_worker.store import countings, events, instances, months, totals
from ecolyo_worker.store.instances import Instance

__all__ = ["EventAge", "give_space_back", "prune_events", "prune_sent"]

_REASON = "pruned"


class EventAge(Struct, frozen=True, kw_only=True):
    """When an event is old, and what tells whether something still needs it."""

    as_of: int
    """The civil time now, in ms."""
    days: int
    """Older than so many civil days is old."""
    rules: Rules
    consent_version: str


def prune_events(connection: sqlite3.Connection, instance: int, age: EventAge, limit: int) -> int:
    """Delete an instance's old events, whole days, the oldest first; give how many.

    It ends with the day that makes it `limit` or more. The first day that is needed still ends it
    too, so that one civil day says up to where events are gone.
    """
    day = events.first_day(connection, instance)
    before = day_of(age.as_of) - age.days
    if day is None or day >= before:
        return 0
    before = min(before, _needed_from(connection, instances.get(connection, instance), age))
    removed: Counter[str] = Counter()
    pruned_through = None
    while day is not None and day < before and removed.total() < limit:
        removed += events.remove_day(connection, instance, day)
        pruned_through, day = day, events.first_day(connection, instance)
    if pruned_through is not None:
        connection.execute(
            "UPDATE instances SET pruned_through = max(coalesce(pruned_through, ?1), ?1)"
            " WHERE id = ?2",
            (pruned_through, instance),
        )
        totals.note_removed(connection, _REASON, removed)
        reach("janitor.pruning_events")
    return removed.total()


def prune_sent(connection: sqlite3.Connection, before: int, first_day: int, limit: int) -> int:
    """Delete finished rows whose last attempt ended before an instant, in ms of UTC.

    At most `limit` of them; gives how many. A row that waits, or is dead, is never among them, nor
    a connected row of a civil day that a run may still make, which is one from `first_day` on.
    """
    # The connected row of a day chosen by hand is all that remembers that the day was made.
    rows = connection.execute(
        "SELECT id, state, maybe_delivered FROM outbox"
        " WHERE state IN ('sent', 'sent?', 'discarded') AND attempted < ?"
        " AND NOT (measure = ? AND start_date >= ?)"
        " ORDER BY attempted LIMIT ?",
        (before, CONNECTED.name, day_text(first_day), limit),
    ).fetchall()
    counts = {"outbox.maybe_delivered": sum(maybe for _, _, maybe in rows)}
    for _, state, _ in rows:
        counts[f"outbox.{state}"] = counts.get(f"outbox.{state}", 0) + 1
    connection.executemany("DELETE FROM outbox WHERE id = ?", [(ident,) for ident, _, _ in rows])
    totals.note_removed(connection, _REASON, counts)
    return len(rows)


def give_space_back(connection: sqlite3.Connection, pages: int) -> None:
    """Make the file shorter by up to so many of the pages that are free."""
    connection.execute(f"PRAGMA incremental_vacuum({pages:d})").fetchall()


def _needed_from(connection: sqlite3.Connection, instance: Instance, age: EventAge) -> int:
    """Give the first civil day whose events a run may still read.

    Where a consent is in force, a day that waits is needed, and so are the months that runs have
    not come to before it. Without one nothing waits for a run.
    """
    today = reached = day_of(age.as_of)
    accepted = acceptance(
        instance.consents, instance.withdrawn_through, age.as_of, age.consent_version
    )
    if accepted is not None:
        waiting = countings.waiting(connection, [instance.id], today)
        reached = min([today, *(item.day for item in waiting.get(instance.id, ()))])
    done = months.done(connection, [instance.id], day_start(reached)).get(instance.id, ())
    month = months.first_open(instance, done, day_start(reached), age.rules)
    return min(reached, month_days(month).start)
