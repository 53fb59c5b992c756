"""What is deleted because it is old, and counted as it goes."""

import json
import sqlite3
from collections import Counter

from msgspec import Struct

from ecolyo_worker.clock import day_of, day_start, day_text, month_days
from ecolyo_worker.crashpoints import reach
from ecolyo_worker.facts import acceptance
from ecolyo_worker.measures import CONNECTED, Rules
from ecolyo_worker.store import countings, events, instances, months, totals
from ecolyo_worker.store.instances import Instance

__all__ = [
    "EventAge",
    "give_space_back",
    "people_with_old",
    "prune_countings",
    "prune_events",
    "prune_sent",
    "sure_time",
]

_REASON = "pruned"
_SEEN = "clock_seen"
# A little less than the hour after which the janitor looks again.
_AGREED_MS = 3_540_000
_SPARE = 16
"""Of so many pages one may be free: what comes next takes it, and nothing need be moved."""
# A counting is needed as long as an event of its day, or of one before, is there.
_WITH_OLD = """
    WITH people AS MATERIALIZED (
        SELECT id, (SELECT min(day) FROM events WHERE instance = instances.id) AS first_day
          FROM instances WHERE id > :after ORDER BY id LIMIT :limit
    )
    SELECT count(*), max(id), json_group_array(id) FILTER (
        WHERE first_day < :before
           OR (SELECT min(day) FROM countings WHERE instance = people.id)
              < min(:rows_before, coalesce(first_day, :rows_before))
    ) FROM people
"""


class EventAge(Struct, frozen=True, kw_only=True):
    """When an event is old, and what tells whether something still needs it."""

    as_of: int
    """The civil time now, in ms."""
    days: int
    """Older than so many civil days is old."""
    rows_days: int = 0
    """For so many days the rows that were made are kept."""
    rules: Rules
    consent_version: str


def sure_time(connection: sqlite3.Connection, now: int, *, is_even: bool) -> int | None:
    """Look at the clock, and give as of when what is old may go; None if that is not sure.

    That is what time it was at the last look, an hour ago or longer: a clock that is wrong now was
    not yet then, or has been for an hour. `now` is ms of UTC; `is_even` tells that the clock did
    not jump since the last look of this process.
    """
    row = connection.execute("SELECT value FROM meta WHERE key = ?", (_SEEN,)).fetchone()
    then = int(row[0]) if row is not None and is_even else None
    if then is not None and then <= now < then + _AGREED_MS:
        return None
    connection.execute("INSERT OR REPLACE INTO meta VALUES (?, ?)", (_SEEN, str(now)))
    return then if then is not None and then <= now else None


def people_with_old(
    connection: sqlite3.Connection, after: int, age: EventAge, limit: int
) -> tuple[list[int], int | None]:
    """Give those of the next instances behind one that have old events or countings, in order.

    At most `limit` are looked at; also gives behind whom to go on, None after the last one.
    """
    before = day_of(age.as_of) - age.days
    looked_at, last, old = connection.execute(
        _WITH_OLD,
        {
            "after": after,
            "limit": limit,
            "before": before,
            "rows_before": min(before, day_of(age.as_of) - age.rows_days),
        },
    ).fetchone()
    return sorted(json.loads(old)), last if looked_at == limit else None


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
        _note_pruned(connection, instance, pruned_through)
        totals.note_removed(connection, _REASON, removed)
        reach("janitor.pruning_events")
    return removed.total()


def prune_countings(
    connection: sqlite3.Connection, instance: int, age: EventAge, limit: int
) -> int:
    """Delete an instance's old countings, whole days, the oldest first; give how many.

    Those of which the events are gone, and the rows that were sent. That nothing of these days is
    counted again is known all the same: an event of them that comes expires.
    """
    days = [events.first_day(connection, instance), day_of(age.as_of) - age.days]
    days.append(day_of(age.as_of) - age.rows_days)
    before = min(day for day in days if day is not None)
    if not countings.oldest_days(connection, instance, before, 1):
        return 0
    before = min(before, _needed_from(connection, instances.get(connection, instance), age))
    found = countings.oldest_days(connection, instance, before, limit)
    if found:
        totals.add(connection, {"rows.pruned": countings.remove(connection, instance, found[-1])})
        _note_pruned(connection, instance, found[-1])
    return len(found)


def prune_sent(connection: sqlite3.Connection, before: int, first_day: int, limit: int) -> int:
    """Delete finished rows whose last attempt ended before an instant, in ms of UTC.

    Of one that was never tried, which was made before it.

    At most `limit` of them; gives how many. A row that waits, or is dead, is never among them, nor
    a connected row of a civil day that a run may still make, which is one from `first_day` on.
    """
    # The connected row of a day chosen by hand is all that remembers that the day was made.
    finished = (
        "SELECT id, state, maybe_delivered FROM outbox"
        " WHERE state IN ('sent', 'sent?', 'discarded')"
        " AND NOT (measure = :connected AND start_date >= :first_day)"
    )
    rows = connection.execute(
        f"{finished} AND attempted < :before UNION ALL"
        f" {finished} AND attempted IS NULL AND created < :before LIMIT :limit",
        {
            "before": before,
            "connected": CONNECTED.name,
            "first_day": day_text(first_day),
            "limit": limit,
        },
    ).fetchall()
    counts = {"outbox.maybe_delivered": sum(maybe for _, _, maybe in rows)}
    for _, state, _ in rows:
        counts[f"outbox.{state}"] = counts.get(f"outbox.{state}", 0) + 1
    connection.executemany("DELETE FROM outbox WHERE id = ?", [(ident,) for ident, _, _ in rows])
    totals.note_removed(connection, _REASON, counts)
    return len(rows)


def give_space_back(connection: sqlite3.Connection, pages: int) -> bool:
    """Make the file shorter by up to so many pages that are free; tell whether there are more.

    Some stay, for what comes next.
    """
    count, free = connection.execute(
        "SELECT page_count, freelist_count FROM pragma_page_count, pragma_freelist_count"
    ).fetchone()
    surplus = free - max(count // _SPARE, pages)
    if surplus > 0:
        connection.execute(f"PRAGMA incremental_vacuum({min(pages, surplus):d})").fetchall()
    return bool(surplus > pages)


def _note_pruned(connection: sqlite3.Connection, instance: int, day: int) -> None:
    """Note up to which civil day an instance's events, and what was made of them, are gone."""
    connection.execute(
        "UPDATE instances SET pruned_through = max(coalesce(pruned_through, :day), :day)"
        " WHERE id = :instance",
        {"day": day, "instance": instance},
    )


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
