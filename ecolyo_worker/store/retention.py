"""What is deleted because it is old, and counted as it goes."""

import sqlite3

from ecolyo_worker.store import totals

__all__ = ["give_space_back", "prune_sent"]


def prune_sent(connection: sqlite3.Connection, before: int, limit: int) -> int:
    """Delete finished rows whose last attempt ended before an instant, in ms of UTC.

    At most `limit` of them; gives how many. A row that waits, or is dead, is never among them.
    """
    rows = connection.execute(
        "SELECT id, state, maybe_delivered FROM outbox"
        " WHERE state IN ('sent', 'sent?', 'discarded') AND attempted < ?"
        " ORDER BY attempted LIMIT ?",
        (before, limit),
    ).fetchall()
    counts = {"outbox.maybe_delivered": sum(maybe for _, _, maybe in rows)}
    for _, state, _ in rows:
        counts[f"outbox.{state}"] = counts.get(f"outbox.{state}", 0) + 1
    connection.executemany("DELETE FROM outbox WHERE id = ?", [(ident,) for ident, _, _ in rows])
    totals.note_removed(connection, "pruned", counts)
    return len(rows)


def give_space_back(connection: sqlite3.Connection, pages: int) -> None:
    """Make the file shorter by up to so many of the pages that are free."""
    connection.execute(f"PRAGMA incremental_vacuum({pages:d})").fetchall()
