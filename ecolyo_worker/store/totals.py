"""Counters kept beside the rows, and what was removed."""

import json
import sqlite3
from collections import Counter
from collections.abc import Iterable, Mapping

import msgspec

__all__ = ["OTHER", "TOO_LARGE", "add", "note_removed", "of_values", "read", "removed"]

OTHER = "values.other."
"""Before `measure.key`: group values that were sent as `other`."""
TOO_LARGE = "values.too_large."
"""Before a measure's name: values that made no row."""


def of_values(others: Mapping[str, int], too_large: Iterable[str] = ()) -> dict[str, int]:
    """Give the counters of values that are not sent as they came.

    Their names come from the definitions alone, so they are few.
    """
    lost = Counter(f"{TOO_LARGE}{measure}" for measure in too_large)
    return {f"{OTHER}{group}": count for group, count in others.items()} | dict(lost)


def add(connection: sqlite3.Connection, changes: Mapping[str, int]) -> None:
    """Add to counters, in the transaction that changes the rows they count."""
    # One statement: each one more gives the loop's thread away to another and back.
    connection.execute(
        "INSERT INTO totals (name, count) SELECT key, value FROM json_each(?) WHERE true"
        " ON CONFLICT (name) DO UPDATE SET count = count + excluded.count",
        (json.dumps({name: change for name, change in changes.items() if change}),),
    )


def read(connection: sqlite3.Connection) -> dict[str, int]:
    """Give all counters that were ever more than 0."""
    (text,) = connection.execute("SELECT json_group_object(name, count) FROM totals").fetchone()
    return msgspec.json.decode(text, type=dict[str, int])


def note_removed(connection: sqlite3.Connection, reason: str, counts: Mapping[str, int]) -> None:
    """Note that rows went for a reason; `counts` is by what they were, such as `events.waiting`.

    Their counters go down with them.
    """
    connection.executemany(
        "INSERT INTO removed (what, reason, count) VALUES (?, ?, ?)"
        " ON CONFLICT (what, reason) DO UPDATE SET count = count + excluded.count",
        [(what, reason, count) for what, count in counts.items() if count],
    )
    add(connection, {what: -count for what, count in counts.items()})


def removed(connection: sqlite3.Connection, reason: str | None = None) -> dict[str, int]:
    """Give how many rows were removed, by what they were, for one reason or for all together."""
    return dict(
        connection.execute(
            "SELECT what, sum(count) FROM removed WHERE :reason IS NULL OR reason = :reason"
            " GROUP BY what",
            {"reason": reason},
        )
    )
