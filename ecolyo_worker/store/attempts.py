"""Attempts: what each try to send a row came to, in the order in which they were made.

They are written in the transaction that marks the row, and go with it. A row that is finished
keeps their times, outcomes and statuses, and no word of what was answered.
"""

import json
import sqlite3
from collections.abc import Collection, Sequence

import msgspec
from msgspec import Struct

__all__ = ["FIRST_KEPT", "LAST_KEPT", "Attempt", "Kept", "blank", "count", "note", "of_rows"]

FIRST_KEPT = 5
LAST_KEPT = 20
"""A row that was tried more often keeps so many of its first and of its last attempts."""


class Attempt(Struct, frozen=True):
    """An attempt of a row in flight that ended, at an instant in ms of UTC."""

    row: int
    ended: int
    outcome: str
    """As the sender decides on it, or `interrupted` where nobody knows how it ended."""
    status: int | None = None
    """Of HTTP; None where no answer came."""
    answer: str | None = None
    """The beginning of what was answered, or what went wrong in words."""


class Kept(Struct, frozen=True, array_like=True):
    """An attempt as it is kept; `n` is its number, from 1, among all that were ever made."""

    n: int
    ended: int
    outcome: str
    status: int | None
    answer: str | None


def note(connection: sqlite3.Connection, ended: Sequence[Attempt]) -> None:
    """Keep attempts of different rows; one whose row is not in flight any more is passed over.

    Of someone who left meanwhile the answer is not written at all.
    """
    if not ended:
        return
    # One statement for all: each one more gives Python's lock away and takes it back.
    connection.execute(_NOTE, (json.dumps([msgspec.structs.astuple(one) for one in ended]),))
    connection.execute(_THIN, (FIRST_KEPT, json.dumps([one.row for one in ended]), LAST_KEPT))


def blank(connection: sqlite3.Connection, rows: Collection[int]) -> None:
    """Forget what was answered to these rows; how often they were tried, and when, stays."""
    connection.execute(
        "UPDATE attempts SET answer = NULL WHERE answer IS NOT NULL"
        " AND row IN (SELECT value FROM json_each(?))",
        (json.dumps(list(rows)),),
    )


def of_rows(connection: sqlite3.Connection, rows: Collection[int]) -> dict[int, list[Kept]]:
    """Give the attempts that are kept of each of these rows, in their order."""
    found: dict[int, list[Kept]] = {row: [] for row in rows}
    (text,) = connection.execute(_OF_ROWS, (json.dumps(list(rows)),)).fetchone()
    for row, kept in _FOUND.decode(text):
        found[row].append(kept)
    for history in found.values():
        history.sort(key=lambda one: one.n)
    return found


def count(connection: sqlite3.Connection, rows: Collection[int]) -> int:
    """Tell how many attempts are kept of these rows together."""
    number: int = connection.execute(
        "SELECT count(*) FROM attempts WHERE row IN (SELECT value FROM json_each(?))",
        (json.dumps(list(rows)),),
    ).fetchone()[0]
    return number


_NOTE = """
    INSERT INTO attempts (row, n, ended, outcome, status, answer)
    SELECT o.id, 1 + coalesce((SELECT max(n) FROM attempts WHERE row = o.id), 0),
           json_extract(value, '$[1]'), json_extract(value, '$[2]'), json_extract(value, '$[3]'),
           iif(o.instance IS NULL, NULL, json_extract(value, '$[4]'))
      FROM json_each(?) CROSS JOIN outbox AS o ON o.id = json_extract(value, '$[0]')
     WHERE o.state = 'in_flight'
"""

_THIN = """
    DELETE FROM attempts WHERE n > ? AND row IN (SELECT value FROM json_each(?))
       AND n <= (SELECT max(n) FROM attempts AS other WHERE other.row = attempts.row) - ?
"""

# In one row of JSON: every row that is fetched gives Python's lock away.
_OF_ROWS = """
    SELECT json_group_array(json_array(row, json_array(n, ended, outcome, status, answer)))
      FROM attempts WHERE row IN (SELECT value FROM json_each(?))
"""

_FOUND = msgspec.json.Decoder(list[tuple[int, Kept]])
