"""Forgetting a person: every trace goes in one transaction, and only numbers stay."""

import sqlite3

from msgspec import Struct

from ecolyo_worker import crashpoints
from ecolyo_worker.store import attempts, destinations, erasing, events, instances, outbox, totals

__all__ = ["Forgetting", "forget"]

_REASON = "forgotten"
# What goes beside the events and what was derived from them, which `events.remove_all` deletes.
_OWN_TABLES = ("countings", "month_countings", "consents", "konnector_states", "subscriptions")
_OF_SERIES = ("points", "gas_details")
_OF_ACCOUNTS = ("tokens", "authorizations", "asked_days", "open_days", "cursors", "visits")
# How to find a person's rows, table by table, to say how many there were.
_TABLES = {
    "failures": "seq IN (SELECT seq FROM events WHERE instance = ?)",
    **dict.fromkeys(("events", "waiting_days", "ends", "ever", *_OWN_TABLES), "instance = ?"),
    **dict.fromkeys(_OF_SERIES, "series IN (SELECT id FROM series WHERE instance = ?)"),
    **dict.fromkeys(_OF_ACCOUNTS, "account IN (SELECT id FROM accounts WHERE instance = ?)"),
    **dict.fromkeys(("series", "rollups", "accounts"), "instance = ?"),
}


class Forgetting(Struct, frozen=True):
    """What went: how many rows of which table."""

    rows: dict[str, int]
    kept: int
    """Outbox rows that may have been delivered: they stay `sent?`, without text and owner."""
    in_flight: list[int]
    """Outbox rows that are being sent: without text and owner already, they go when they land."""
    holding: list[str] = []
    """Names of the files that may hold shreds of it still."""
    unrevoked: list[str] = []
    """Consents at GRDF that could not be revoked before: the last digits of their meters."""
    rights_kept: int = 0
    """Consents at GRDF that stay, for others' accounts are asked for by them."""


def forget(connection: sqlite3.Connection, name: str) -> Forgetting | None:
    """Delete all that is known of a person, the salt of the rows' keys too; None if unknown.

    What was sent is the other side's already, and anonymous: of it stays a hash of a key, which
    nothing can be compared with any more. Who comes back under the same name is a new person.
    """
    person = instances.find(connection, name)
    if person is None:
        return None
    unsent = outbox.ids_of(connection, person.id)
    tries = attempts.count(connection, unsent)
    before = _outbox_removed(connection)
    in_flight = outbox.remove_unsent(connection, person.id, forgotten=True)
    gone = _outbox_removed(connection) - before
    rows = _delete_tables(connection, person.id)
    rows["outbox"] = gone
    rows["attempts"] = tries - attempts.count(connection, unsent)
    rows["destinations"] = destinations.dissolve(connection, person.id)
    rows["instances"] = 1
    connection.execute("DELETE FROM instances WHERE id = ?", (person.id,))
    totals.note_removed(connection, _REASON, {"instances": 1})
    erasing.owe(connection)
    crashpoints.reach("forget.deleting")
    return Forgetting(rows, len(unsent) - gone - len(in_flight), in_flight)


def _delete_tables(connection: sqlite3.Connection, instance: int) -> dict[str, int]:
    rows = {table: _count(connection, table, found, instance) for table, found in _TABLES.items()}
    # The ledger adds up how many indicators the countings made; their sum is all that stays.
    made = sum(
        connection.execute(
            f"SELECT coalesce(sum(rows), 0) FROM {table} WHERE instance = ?",  # noqa: S608
            (instance,),
        ).fetchone()[0]
        for table in ("countings", "month_countings")
    )
    totals.add(connection, {"rows.forgotten": made})
    totals.note_removed(connection, _REASON, events.remove_all(connection, instance))
    totals.note_removed(connection, _REASON, _accounts(connection, instance))
    for table in (*_OF_SERIES, "series", "rollups", *_OF_ACCOUNTS, "accounts", *_OWN_TABLES):
        query = f"DELETE FROM {table} WHERE {_TABLES[table]}"  # noqa: S608  names of ours
        connection.execute(query, (instance,))
    return rows


def _accounts(connection: sqlite3.Connection, instance: int) -> dict[str, int]:
    query = "SELECT 'accounts.' || state, count(*) FROM accounts WHERE instance = ? GROUP BY state"
    return dict(connection.execute(query, (instance,)))


def _count(connection: sqlite3.Connection, table: str, found: str, instance: int) -> int:
    query = f"SELECT count(*) FROM {table} WHERE {found}"  # noqa: S608  names of ours
    number: int = connection.execute(query, (instance,)).fetchone()[0]
    return number


def _outbox_removed(connection: sqlite3.Connection) -> int:
    number: int = connection.execute(
        "SELECT coalesce(sum(count), 0) FROM removed WHERE what LIKE 'outbox.%' AND reason = ?",
        (_REASON,),
    ).fetchone()[0]
    return number
