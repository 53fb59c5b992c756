"""Instances and what the host says about them."""

import json
import secrets
import sqlite3
from collections.abc import Iterable, Sequence
from typing import Any

import msgspec
from msgspec import UNSET, Struct

from ecolyo_worker.crashpoints import reach
from ecolyo_worker.facts import (
    Consent,
    InstanceFacts,
    KonnectorState,
    Profile,
    Subscription,
    connected_fluids,
)
from ecolyo_worker.store import events, outbox, totals
from ecolyo_worker.store.ladder import Ladder

__all__ = [
    "Instance",
    "consents_of",
    "find",
    "get",
    "identify",
    "identify_all",
    "known_names",
    "next_after",
    "store_facts",
    "withdraw",
]

_COLUMNS = (
    "id, name, salt, withdrawn_through, first_connection_at, heating, hot_water, cooking,"
    " first_connection_seen, first_launch_time, first_launch_seq, launch_row_seq,"
    " connected_through, months_from, pruned_through"
)
_NAMES = Ladder("instances", ["name", "salt"], "DO NOTHING")


class Instance(Struct, frozen=True):
    """One person's Cozy, with all that is known of it. Times are civil, in ms."""

    id: int
    name: str
    salt: bytes
    """What its rows' keys are hashed with."""
    withdrawn_through: int | None
    first_connection_at: int | None
    profile: Profile
    first_connection_seen: int | None
    first_launch: tuple[int, int] | None
    launch_row: int | None
    connected_through: int | None
    months_from: int | None
    """The civil month before which none is looked at; None before the first run."""
    pruned_through: int | None
    """The civil day up to which its events were removed for their age."""
    consents: tuple[Consent, ...]
    konnectors: tuple[KonnectorState, ...]
    subscriptions: tuple[Subscription, ...]

    def first_connection(self, as_of: int) -> int | None:
        """Give the first connection as a run knows it: the host's word, else the events'."""
        for time in (self.first_connection_at, self.first_connection_seen):
            if time is not None and time <= as_of:
                return time
        return None

    def subscribed(self, moment: int) -> bool | None:
        """Tell whether the monthly summary is subscribed to just before a civil time, in ms.

        None if that was not said by then.
        """
        said = [item.subscribed for item in self.subscriptions if item.since < moment]
        return said[-1] if said else None

    def connected(self, moment: int) -> tuple[str, ...]:
        """Give the fluids connected just before a civil time, in ms."""
        return connected_fluids(self.konnectors, moment)


def identify(connection: sqlite3.Connection, name: str) -> int:
    """Give an instance's id; one that is not known yet is made."""
    return identify_all(connection, [name])[name]


def identify_all(connection: sqlite3.Connection, names: Iterable[str]) -> dict[str, int]:
    """Give the id of each of these names; those that are not known yet are made, in this order."""
    wanted = list(dict.fromkeys(names))
    ids = _ids(connection, wanted)
    if unknown := [name for name in wanted if name not in ids]:
        _NAMES.insert(
            connection, [value for name in unknown for value in (name, secrets.token_bytes(16))]
        )
        totals.add(connection, {"instances": len(unknown)})
        ids |= _ids(connection, unknown)
    return ids


def find(connection: sqlite3.Connection, name: str) -> Instance | None:
    """Give an instance by its name, or None."""
    row = connection.execute(
        f"SELECT {_COLUMNS} FROM instances WHERE name = ?",  # noqa: S608  columns of ours
        (name,),
    ).fetchone()
    return None if row is None else _instance(connection, row)


def get(connection: sqlite3.Connection, instance: int) -> Instance:
    """Give an instance by its id, which is known."""
    row = connection.execute(
        f"SELECT {_COLUMNS} FROM instances WHERE id = ?",  # noqa: S608  columns of ours
        (instance,),
    ).fetchone()
    return _instance(connection, row)


def next_after(connection: sqlite3.Connection, instance: int) -> int | None:
    """Give the id of the next instance behind this one, or None."""
    row = connection.execute("SELECT min(id) FROM instances WHERE id > ?", (instance,)).fetchone()
    following: int | None = row[0]
    return following


def known_names(connection: sqlite3.Connection) -> list[str]:
    """Give all names, in order."""
    return [row[0] for row in connection.execute("SELECT name FROM instances ORDER BY name")]


def store_facts(connection: sqlite3.Connection, facts: InstanceFacts) -> list[int]:
    """Add to an instance's histories, and replace its other facts that are named.

    Gives the outbox rows in flight that a withdrawn consent lets go of.
    """
    instance = identify(connection, facts.instance)
    abandoned = []
    if facts.consent is None:
        abandoned = withdraw(connection, instance)
    elif facts.consent is not UNSET:
        connection.execute(
            "INSERT INTO consents (instance, accepted_at, version) VALUES (?, ?, ?)"
            " ON CONFLICT DO UPDATE SET version = excluded.version",
            (instance, facts.consent.accepted_at, facts.consent.version),
        )
    connection.executemany(
        "INSERT INTO konnector_states (instance, fluid, since, connected) VALUES (?, ?, ?, ?)"
        " ON CONFLICT DO UPDATE SET connected = excluded.connected",
        [(instance, state.fluid, state.since, state.connected) for state in facts.konnectors],
    )
    connection.executemany(
        "INSERT INTO subscriptions (instance, since, subscribed) VALUES (?, ?, ?)"
        " ON CONFLICT DO UPDATE SET subscribed = excluded.subscribed",
        [(instance, item.since, item.subscribed) for item in facts.monthly_summary],
    )
    if facts.profile is not UNSET:
        profile = facts.profile or Profile()
        connection.execute(
            "UPDATE instances SET heating = ?, hot_water = ?, cooking = ? WHERE id = ?",
            (profile.heating, profile.hot_water, profile.cooking, instance),
        )
    if facts.first_connection_at is not UNSET:
        connection.execute(
            "UPDATE instances SET first_connection_at = ? WHERE id = ?",
            (facts.first_connection_at, instance),
        )
    return abandoned


def withdraw(connection: sqlite3.Connection, instance: int) -> list[int]:
    """End every consent given so far, and delete what rests on it.

    The waiting indicators, the raw events and the facts derived from them go; that something was
    counted stays known, so that nothing is ever counted twice. Gives the rows that are in flight.
    """
    connection.execute(
        "UPDATE instances"
        " SET withdrawn_through = max(coalesce(withdrawn_through, accepted), accepted)"
        " FROM (SELECT max(accepted_at) AS accepted FROM consents WHERE instance = ?1)"
        " WHERE id = ?1 AND accepted IS NOT NULL",
        (instance,),
    )
    totals.note_removed(connection, "withdrawn", events.remove_all(connection, instance))
    abandoned = outbox.remove_unsent(connection, instance)
    connection.execute(
        "UPDATE instances SET first_connection_seen = NULL, first_launch_time = NULL,"
        " first_launch_seq = NULL WHERE id = ?",
        (instance,),
    )
    reach("withdrawal.deleting")
    return abandoned


def consents_of(
    connection: sqlite3.Connection, ids: Iterable[int]
) -> dict[int, tuple[list[Consent], int | None]]:
    """Give the consents of some instances, and up to when a withdrawal ended them."""
    wanted = (json.dumps(list(ids)),)
    # In one row of JSON each: every row that is fetched gives Python's lock away.
    (people,) = connection.execute(
        "SELECT json_group_array(json_array(id, withdrawn_through)) FROM instances"
        " WHERE id IN (SELECT value FROM json_each(?))",
        wanted,
    ).fetchone()
    (consents,) = connection.execute(
        "SELECT json_group_array(json_array(instance, accepted_at, version)) FROM consents"
        " WHERE instance IN (SELECT value FROM json_each(?))",
        wanted,
    ).fetchone()
    found: dict[int, tuple[list[Consent], int | None]] = {
        ident: ([], withdrawn)
        for ident, withdrawn in msgspec.json.decode(people, type=list[tuple[int, int | None]])
    }
    given = msgspec.json.decode(consents, type=list[tuple[int, int, str]])
    for ident, accepted_at, version in sorted(given):
        found[ident][0].append(Consent(accepted_at, version))
    return found


def _ids(connection: sqlite3.Connection, names: Sequence[str]) -> dict[str, int]:
    """Give the ids of those that are known: one query, and one row."""
    found = connection.execute(
        "SELECT json_group_object(name, id) FROM instances"
        " WHERE name IN (SELECT value FROM json_each(?))",
        (msgspec.json.encode(names).decode(),),
    ).fetchone()
    return msgspec.json.decode(found[0], type=dict[str, int])


def _consents(connection: sqlite3.Connection, instance: int) -> tuple[Consent, ...]:
    rows = connection.execute(
        "SELECT accepted_at, version FROM consents WHERE instance = ? ORDER BY accepted_at",
        (instance,),
    )
    return tuple(Consent(*row) for row in rows)


def _instance(connection: sqlite3.Connection, row: tuple[Any, ...]) -> Instance:
    ident, name, salt, withdrawn, first_at, heating, hot_water, cooking, seen, *rest = row
    launch_time, launch_seq, launch_row, through, months_from, pruned = rest
    return Instance(
        id=ident,
        name=name,
        salt=salt,
        withdrawn_through=withdrawn,
        first_connection_at=first_at,
        profile=Profile(heating, hot_water, cooking),
        first_connection_seen=seen,
        first_launch=None if launch_time is None else (launch_time, launch_seq),
        launch_row=launch_row,
        connected_through=through,
        months_from=months_from,
        pruned_through=pruned,
        consents=_consents(connection, ident),
        konnectors=tuple(
            KonnectorState(fluid, since, bool(connected))
            for fluid, since, connected in connection.execute(
                "SELECT fluid, since, connected FROM konnector_states WHERE instance = ?"
                " ORDER BY since",
                (ident,),
            )
        ),
        subscriptions=tuple(
            Subscription(since, bool(subscribed))
            for since, subscribed in connection.execute(
                "SELECT since, subscribed FROM subscriptions WHERE instance = ? ORDER BY since",
                (ident,),
            )
        ),
    )
