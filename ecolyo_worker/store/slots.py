"""Slots: which times of a schedule are done, by job and civil day.

A slot is taken in the transaction that does its work, so that none is done twice, and none is lost.
"""

import sqlite3

from ecolyo_worker.clock import day_text

__all__ = ["begin", "is_taken", "latest", "prune", "take", "taken"]


def is_taken(connection: sqlite3.Connection, job: str, day: int) -> bool:
    """Tell whether a job's slot of a civil day is done."""
    query = "SELECT 1 FROM slots WHERE job = ? AND day = ?"
    return connection.execute(query, (job, day_text(day))).fetchone() is not None


def take(connection: sqlite3.Connection, job: str, day: int, now: int) -> None:
    """Note that a job's slot is done; `now` is ms of UTC."""
    connection.execute(
        "INSERT INTO slots (job, day, done) VALUES (?, ?, ?) ON CONFLICT DO NOTHING",
        (job, day_text(day), now),
    )


def begin(connection: sqlite3.Connection, job: str, day: int, now: int) -> None:
    """Take a first slot for a job that never took one; `now` is ms of UTC."""
    if latest(connection, job) is None:
        take(connection, job, day, now)


def latest(connection: sqlite3.Connection, job: str) -> int | None:
    """Give when a job last took a slot, in ms of UTC, or None."""
    row = connection.execute("SELECT max(done) FROM slots WHERE job = ?", (job,)).fetchone()
    done: int | None = row[0]
    return done


def prune(connection: sqlite3.Connection, before: int) -> None:
    """Delete slots of civil days before one, but each job's last: it tells that it ever ran.

    A clock that is set back that far would let a job run a second time, which changes nothing.
    """
    connection.execute(
        "DELETE FROM slots WHERE day < ? AND EXISTS"
        " (SELECT 1 FROM slots AS later WHERE later.job = slots.job AND later.day > slots.day)",
        (day_text(before),),
    )


def taken(connection: sqlite3.Connection, job: str) -> list[str]:
    """Give the civil days of which a job's slot is done, as YYYY-MM-DD, oldest first."""
    rows = connection.execute("SELECT day FROM slots WHERE job = ? ORDER BY day", (job,))
    return [row[0] for row in rows]
