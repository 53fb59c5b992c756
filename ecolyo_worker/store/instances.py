"""Instances and what the host says about them."""

import json
import secrets
import sqlite3
from collections.abc import Iterable, Mapping, Sequence
from operator import attrgetter

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
from ecolyo_worker.store import erasing, events, outbox, totals
from ecolyo_worker.store.ladder import Ladder

__all__ = [
    "Instance",
    "consents_of",
    "find",
    "get",
    "get_all",
    "identify",
    "identify_all",
    "known_names",
    "next_after",
    "note_run",
    "store_facts",
    "withdraw",
]

_NAMES = Ladder("instances", ["name", "salt"], "DO NOTHING")


# A person in one text, with all histories: every row that is fetched gives Python's lock away.
_PERSON = """
    json_array(id, name, hex(salt), withdrawn_through, first_connection_at,
        json_object('heating', heating, 'hot_water', hot_water, 'cooking', cooking),
        first_connection_seen, json(iif(first_launch_time IS NULL, NULL,
            json_array(first_launch_time, first_launch_seq))),
        launch_row_seq, connected_through, months_from, pruned_through, counted_through,
        json((SELECT json_group_array(json_object('accepted_at', accepted_at, 'version', version))
           FROM consents WHERE instance = i.id)),
        json((SELECT json_group_array(json_object('fluid', fluid, 'since', since,
                    'connected', json(iif(connected, 'true', 'false'))))
           FROM konnector_states WHERE instance = i.id)),
        json((SELECT json_group_array(json_object('since', since,
                    'subscribed', json(iif(subscribed, 'true', 'false'))))
           FROM subscriptions WHERE instance = i.id)))
"""


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
    counted_through: int | None
    """The last civil day that was counted when a withdrawal removed all events."""
    consents: tuple[Consent, ...]
    konnectors: tuple[KonnectorState, ...]
    subscriptions: tuple[Subscription, ...]

    @property
    def removed_through(self) -> int | None:
        """The civil day up to which events may have been counted and removed since."""
        days = [day for day in (self.pruned_through, self.counted_through) if day is not None]
        return max(days, default=None)

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
    row = connection.execute("SELECT id FROM instances WHERE name = ?", (name,)).fetchone()
    return None if row is None else get(connection, row[0])


def get(connection: sqlite3.Connection, instance: int) -> Instance:
    """Give an instance by its id, which is known."""
    return get_all(connection, [instance])[0]


def get_all(connection: sqlite3.Connection, ids: Sequence[int]) -> list[Instance]:
    """Give the instances of these ids, in their order, by one statement; all are known."""
    (text,) = connection.execute(
        f"SELECT json_group_array({_PERSON}) FROM instances AS i"  # noqa: S608  columns of ours
        " WHERE id IN (SELECT value FROM json_each(?))",
        (json.dumps(ids),),
    ).fetchone()
    found = {person.id: person for person in map(_instance, _PEOPLE.decode(text))}
    return [found[ident] for ident in ids]


def next_after(
    connection: sqlite3.Connection, instance: int, limit: int, name: str | None = None
) -> list[int]:
    """Give the ids of the next instances behind this one, in order; with a name, only its one."""
    (text,) = connection.execute(
        "SELECT json_group_array(id) FROM (SELECT id FROM instances"
        " WHERE id > :instance AND (:name IS NULL OR name = :name) ORDER BY id LIMIT :limit)",
        {"instance": instance, "limit": limit, "name": name},
    ).fetchone()
    return sorted(json.loads(text))


def known_names(connection: sqlite3.Connection) -> list[str]:
    """Give all names, in order."""
    return [row[0] for row in connection.execute("SELECT name FROM instances ORDER BY name")]


def note_run(
    connection: sqlite3.Connection,
    ids: Sequence[int],
    connected_through: int | None,
    months_from: int,
    launch_rows: Mapping[int, int | None],
) -> None:
    """Note what a run did for some instances.

    Up to which civil day the connected rows are made, if it made all; which civil month is the
    first one to be looked at, of those that have none; and which launch made the row from the first
    connection, by the id of each instance where that is new.
    """
    connection.execute(
        "UPDATE instances SET months_from = coalesce(months_from, :months), connected_through ="
        " max(coalesce(connected_through, :through), coalesce(:through, connected_through))"
        " WHERE id IN (SELECT value FROM json_each(:ids))",
        {"months": months_from, "through": connected_through, "ids": json.dumps(ids)},
    )
    if launch_rows:
        connection.execute(
            "UPDATE instances SET launch_row_seq = json_extract(j.value, '$[1]')"
            " FROM json_each(?) AS j WHERE instances.id = json_extract(j.value, '$[0]')",
            (json.dumps(list(launch_rows.items())),),
        )


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
    reach("facts.storing")
    return abandoned


def withdraw(connection: sqlite3.Connection, instance: int) -> list[int]:
    """End every consent given so far, and delete what rests on it.

    The waiting indicators, the raw events and the facts derived from them go; that something was
    counted stays known, so that nothing is ever counted twice. Gives the rows that are in flight.
    """
    connection.execute(
        "UPDATE instances"
        " SET withdrawn_through = max(coalesce(withdrawn_through, accepted), accepted)"
        " FROM (SELECT max(accepted_at) AS accepted FROM consents WHERE instance = :instance)"
        " WHERE id = :instance AND accepted IS NOT NULL",
        {"instance": instance},
    )
    totals.note_removed(connection, "withdrawn", events.remove_all(connection, instance))
    abandoned = outbox.remove_unsent(connection, instance)
    connection.execute(
        "UPDATE instances SET first_connection_seen = NULL, first_launch_time = NULL,"
        " first_launch_seq = NULL, counted_through = (SELECT max(day) FROM countings"
        " WHERE instance = :instance) WHERE id = :instance",
        {"instance": instance},
    )
    for table in ("countings", "month_countings"):  # it may be the time of an event that is gone
        connection.execute(
            f"UPDATE {table} SET first_connection = NULL WHERE instance = ?",  # noqa: S608
            (instance,),
        )
    erasing.owe(connection)
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


class _Person(Struct, frozen=True, array_like=True):
    """What `_PERSON` gives."""

    id: int
    name: str
    salt: str
    withdrawn_through: int | None
    first_connection_at: int | None
    profile: Profile
    first_connection_seen: int | None
    first_launch: tuple[int, int] | None
    launch_row: int | None
    connected_through: int | None
    months_from: int | None
    pruned_through: int | None
    counted_through: int | None
    consents: list[Consent]
    konnectors: list[KonnectorState]
    subscriptions: list[Subscription]


_PEOPLE = msgspec.json.Decoder(list[_Person])


def _instance(person: _Person) -> Instance:
    return Instance(
        id=person.id,
        name=person.name,
        salt=bytes.fromhex(person.salt),
        withdrawn_through=person.withdrawn_through,
        first_connection_at=person.first_connection_at,
        profile=person.profile,
        first_connection_seen=person.first_connection_seen,
        first_launch=person.first_launch,
        launch_row=person.launch_row,
        connected_through=person.connected_through,
        months_from=person.months_from,
        pruned_through=person.pruned_through,
        counted_through=person.counted_through,
        consents=tuple(sorted(person.consents, key=attrgetter("accepted_at"))),
        konnectors=tuple(sorted(person.konnectors, key=attrgetter("since", "fluid"))),
        subscriptions=tuple(sorted(person.subscriptions, key=attrgetter("since"))),
    )
