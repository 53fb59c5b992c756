"""Destinations: where rows are sent, and why one of them is held back.

The native target has one; with a Cozy target each instance has its own, so that one person's
lost token holds up nobody else.
"""

import json
import sqlite3
from collections.abc import Collection, Iterable, Mapping

import msgspec
from msgspec import Struct

from ecolyo_worker.store import totals

__all__ = [
    "BLANK",
    "HELD",
    "Destination",
    "Standing",
    "Watched",
    "adopt",
    "allow_probes",
    "blank",
    "dissolve",
    "identify",
    "identify_all",
    "next_probe",
    "standings",
    "store",
    "unwell",
    "watched",
]

HELD = ("paused", "open")
"""The states in which no row leaves but a probe."""
BLANK = "the last answer is deleted, as somebody left"
"""The reason of a destination whose last answer may have named who left."""

_STANDING = "state, not_before, reason, secret_mark, failures, opened, last_delivered"
_ADDRESS = "dacc"


class Standing(Struct, frozen=True):
    """How a destination does, and how long it is held back. Instants are ms of UTC."""

    state: str = "ready"
    not_before: int = 0
    reason: str | None = None
    secret_mark: int | None = None
    """What its secret was known by when it was refused; None if another secret changes nothing."""
    failures: int = 0
    """Failures in a row, of those that the breaker counts."""
    opened: int = 0
    """How often in a row the breaker opened: each time it waits longer."""
    last_delivered: int | None = None

    @property
    def is_throttled(self) -> bool:
        """Whether the other side asked to wait: no other secret helps, nor does asking."""
        return self.state == "paused" and self.secret_mark is None


class Destination(Struct, frozen=True):
    """One URL with one credential."""

    id: int
    instance: str | None
    """Whose stack it is; None for the native target."""
    standing: Standing


class Watched(Struct, frozen=True):
    """A destination that is held back until its secret changes, and which one it refused."""

    id: int
    instance: str | None
    secret_mark: int


def identify(connection: sqlite3.Connection, instance: int | None) -> int:
    """Give the id of an instance's destination, or the native target's; make it if need be."""
    return identify_all(connection, [instance])[instance]


def identify_all(
    connection: sqlite3.Connection, instances: Iterable[int | None]
) -> dict[int | None, int]:
    """Give the id of each of these instances' destination; None is the native target's."""
    wanted = (json.dumps(sorted(instances, key=lambda one: one or 0)),)
    # IS, for the native one has no instance.
    made = connection.execute(
        "INSERT INTO destinations (instance) SELECT value FROM json_each(?)"
        " WHERE NOT EXISTS (SELECT 1 FROM destinations WHERE instance IS value)",
        wanted,
    ).rowcount
    if made:
        totals.add(connection, {"destinations.ready": made})
    (text,) = connection.execute(
        "SELECT json_group_array(json_array(instance, d.id)) FROM json_each(?)"
        " CROSS JOIN destinations AS d ON instance IS value",
        wanted,
    ).fetchone()
    return dict(json.loads(text))


def adopt(connection: sqlite3.Connection, address: str, *, per_instance: bool) -> None:
    """Go by this address from now on.

    Where it is another one than the last time, all that is not finished goes there, and what was
    held back is not any more.
    """
    known = connection.execute("SELECT value FROM meta WHERE key = ?", (_ADDRESS,)).fetchone()
    if known is not None and known[0] == address:
        return
    connection.execute("INSERT OR REPLACE INTO meta VALUES (?, ?)", (_ADDRESS, address))
    _move_rows(connection, per_instance=per_instance)
    connection.execute(
        "DELETE FROM destinations WHERE (instance IS NULL) = ?"
        " AND NOT EXISTS (SELECT 1 FROM outbox WHERE destination = destinations.id)",
        (per_instance,),
    )
    connection.execute(
        "UPDATE destinations SET state = 'ready', not_before = 0, reason = NULL,"
        " secret_mark = NULL, failures = 0, opened = 0"
    )
    connection.execute("DELETE FROM totals WHERE name LIKE 'destinations.%'")
    ready = connection.execute("SELECT count(*) FROM destinations").fetchone()[0]
    totals.add(connection, {"destinations.ready": ready})


def blank(connection: sqlite3.Connection, instance: int) -> None:
    """Delete what was answered last to somebody who leaves, or to anybody on the shared one."""
    connection.execute(
        "UPDATE destinations SET reason = ?"
        " WHERE reason IS NOT NULL AND (instance IS NULL OR instance = ?)",
        (BLANK, instance),
    )


def dissolve(connection: sqlite3.Connection, instance: int) -> int:
    """Delete an instance's own destination, if there is one, and give how many that were.

    No row is left that goes there.
    """
    found = connection.execute(
        "DELETE FROM destinations WHERE instance = ? RETURNING state", (instance,)
    ).fetchall()
    totals.add(connection, {f"destinations.{state}": -1 for (state,) in found})
    return len(found)


def standings(connection: sqlite3.Connection, ids: Collection[int]) -> dict[int, Standing]:
    """Give how some destinations do."""
    rows = connection.execute(
        f"SELECT id, {_STANDING} FROM destinations"  # noqa: S608  columns of ours
        " WHERE id IN (SELECT value FROM json_each(?))",
        (json.dumps(list(ids)),),
    )
    return {ident: Standing(*rest) for ident, *rest in rows}


def store(connection: sqlite3.Connection, changed: Mapping[int, Standing]) -> None:
    """Store how some destinations do now; one that is gone is passed over."""
    for ident, standing in changed.items():
        query = "SELECT state FROM destinations WHERE id = ?"
        before = connection.execute(query, (ident,)).fetchone()
        if before is None:
            continue
        connection.execute(
            "UPDATE destinations SET state = :state, not_before = :not_before, reason = :reason,"
            " secret_mark = :secret_mark, failures = :failures, opened = :opened,"
            " last_delivered = :last_delivered WHERE id = :id",
            msgspec.structs.asdict(standing) | {"id": ident},
        )
        if before[0] != standing.state:
            changes = {f"destinations.{before[0]}": -1, f"destinations.{standing.state}": 1}
            totals.add(connection, changes)


def unwell(connection: sqlite3.Connection, limit: int) -> list[Destination]:
    """Give some destinations of which there is something to say, those held back first."""
    # open, paused, ready: the order of the index.
    columns = ", ".join(f"d.{name}" for name in _STANDING.split(", "))
    rows = connection.execute(
        f"SELECT d.id, i.name, {columns} FROM destinations AS d"  # noqa: S608  columns of ours
        " LEFT JOIN instances AS i ON i.id = d.instance WHERE d.reason IS NOT NULL"
        " ORDER BY d.state, d.id LIMIT ?",
        (limit,),
    )
    return [Destination(ident, name, Standing(*rest)) for ident, name, *rest in rows]


def allow_probes(connection: sqlite3.Connection, ids: Iterable[int] | None = None) -> None:
    """Let one row of each of these that is held back be tried at once; without ids, of all.

    Where the other side asked to wait, that is kept.
    """
    connection.execute(
        "UPDATE destinations SET not_before = 0 WHERE reason IS NOT NULL AND state != 'ready'"
        " AND (state = 'open' OR secret_mark IS NOT NULL)"
        " AND (:ids IS NULL OR id IN (SELECT value FROM json_each(:ids)))",
        {"ids": None if ids is None else json.dumps(list(ids))},
    )


def next_probe(connection: sqlite3.Connection, limit: int) -> int | None:
    """Give when the next destination that is held back and has rows may be tried; None for never.

    With very many of them only the first `limit` are looked at; the others come to it later.
    """
    row = connection.execute(
        "SELECT min(not_before) FROM (SELECT id, not_before FROM destinations AS d"
        " WHERE d.reason IS NOT NULL AND d.state IN ('paused', 'open') AND EXISTS (SELECT 1"
        " FROM outbox WHERE destination = d.id AND state = 'pending' AND due = 0) LIMIT ?)",
        (limit,),
    ).fetchone()
    moment: int | None = row[0]
    return moment


def watched(connection: sqlite3.Connection, now: int, after: int, limit: int) -> list[Watched]:
    """Give some destinations, behind an id, that another secret may help before their time."""
    rows = connection.execute(
        "SELECT d.id, i.name, d.secret_mark FROM destinations AS d"
        " LEFT JOIN instances AS i ON i.id = d.instance"
        " WHERE d.reason IS NOT NULL AND d.state = 'paused' AND d.not_before > ?"
        " AND d.secret_mark IS NOT NULL AND d.id > ? ORDER BY d.id LIMIT ?",
        (now, after, limit),
    )
    return [Watched(*row) for row in rows]


def _move_rows(connection: sqlite3.Connection, *, per_instance: bool) -> None:
    """Give every row that is not finished its destination, under another kind of target."""
    waiting = "state NOT IN ('sent', 'sent?', 'discarded') AND instance IS NOT NULL"
    if not per_instance:
        connection.execute(
            f"UPDATE outbox SET destination = ? WHERE {waiting}",  # noqa: S608  a condition of ours
            (identify(connection, None),),
        )
        return
    owners = connection.execute(
        f"SELECT DISTINCT instance FROM outbox WHERE {waiting}"  # noqa: S608
    ).fetchall()
    for (instance,) in owners:
        connection.execute(
            f"UPDATE outbox SET destination = ? WHERE instance = ? AND {waiting}",  # noqa: S608
            (identify(connection, instance), instance),
        )
