"""What can be said of the state at once, from counters alone."""

import os
import sqlite3
from collections import Counter
from collections.abc import Mapping
from pathlib import Path

import msgspec
from msgspec import Struct

from ecolyo_worker.clock import day_text, instant_text
from ecolyo_worker.health import ActorHealth
from ecolyo_worker.store import accounts, events, outbox, totals
from ecolyo_worker.store.database import DATABASE
from ecolyo_worker.store.place import DELETED, LOST_ADVICE, REPLACED

__all__ = [
    "LARGE_LOG",
    "LEAST_FREE",
    "DestinationStatus",
    "HeldThrough",
    "ProviderPause",
    "Sizes",
    "Snapshot",
    "Status",
    "anonymous_advice",
    "energy_advice",
    "file_sizes",
    "free_bytes",
    "make_status",
    "take_snapshot",
    "trouble_advice",
]

LEAST_FREE = 16 * 1024 * 1024
"""With fewer bytes left on the disk, the service says that it is not ready."""

LARGE_LOG = 256 * 1024 * 1024
"""A write-ahead log of so many bytes is one that something keeps from being emptied."""

_STATES = ("ready", "paused", "open")
_MOST_DESTINATIONS = 20
_MOST_ADVICE = 3
_NATIVE = "native"


class DestinationStatus(Struct, frozen=True):
    """Whether rows may go to a destination, and why not. Instants are ISO 8601 in UTC."""

    name: str
    state: str
    reason: str | None
    next_try: str | None
    last_delivered: str | None


class HeldThrough(Struct, frozen=True):
    """The last civil days held of a provider's active accounts, as YYYY-MM-DD."""

    least: str
    """Of the account that is furthest behind, among those of which something is held."""
    most: str


class ProviderPause(Struct, frozen=True):
    """Until when Enedis or GRDF is left alone: ISO 8601 in UTC; and why."""

    until: str
    reason: str | None


class Sizes(Struct, frozen=True):
    """How large the files are, in bytes."""

    database: int
    log: int
    """What is committed and not yet moved into the database, or was once so much."""
    free: int
    """What of the database holds nothing: it is used again, or given back."""


class Status(Struct, frozen=True, kw_only=True):
    """How many events and rows there are in each state, and how the destinations are."""

    version: str
    mode: str
    url: str | None
    instances: int
    events: dict[str, int]
    outbox: dict[str, int]
    maybe_delivered: int
    """Attempts of which nobody knows the end: as many doubles there may be at most."""
    attempts: int
    accounts: dict[str, int]
    """Energy accounts, by state."""
    held_through: dict[str, HeldThrough]
    """By provider, of whose active accounts something is held."""
    suspect_days: int
    """Days of accounts of which the parts do not come to the whole.

    Those that are not asked for any more count too: what is held of them stays contradictory.
    """
    unread_days: int = 0
    """Days of accounts of which what came cannot be read; they are asked for again."""
    pauses: dict[str, ProviderPause]
    """By provider, of those that are left alone."""
    oldest_pending: str | None
    """Since when the oldest row waits to be sent."""
    trouble: str | None
    """Why nothing could be stored the last time, or the files not be reached; None if all works."""
    sizes: Sizes
    other_values: dict[str, int]
    """Group values sent as `other`, by `measure.key`."""
    too_large: dict[str, int]
    """Values of 1e10 or more, by measure: they made no indicator."""
    removed: dict[str, int]
    """Rows that were deleted, by what they were."""
    removed_for: dict[str, dict[str, int]] = {}
    """The same, by the reason: `pruned` by age, `withdrawn`, `forgotten`, or `removed` by hand."""
    destinations: list[DestinationStatus]
    """The native target's, or those with a Cozy target that do not work, at most 20."""
    destination_states: dict[str, int]
    """How many destinations are in each state."""
    tasks: list[ActorHealth]
    """The parts that work by themselves; none where the state is only looked at."""
    advice: list[str]
    """What stands in the way, in words, and what to do about it."""


class Snapshot(Struct, frozen=True):
    """What a status is made of, as the database gave it; it is read after every commit."""

    totals: str
    removed: str
    destinations: str
    oldest_pending: int | None
    free: int
    held_through: str = "{}"
    suspect_days: int = 0
    unread_days: int = 0
    pauses: str = "{}"


def take_snapshot(connection: sqlite3.Connection) -> Snapshot:
    """Read what a status is made of; it costs the same however much the tables hold.

    All in one row: each further one would give Python's lock away to the event loop and back.
    """
    return Snapshot(*connection.execute(_SNAPSHOT, (_MOST_DESTINATIONS,)).fetchone())


def _all_together(removed: Mapping[str, Mapping[str, int]]) -> dict[str, int]:
    found = Counter[str]()
    for counts in removed.values():
        found.update(counts)
    return dict(found)


def file_sizes(directory: Path, snapshot: Snapshot) -> Sizes:
    """Give how large the files of a state are now; what cannot be looked at counts as nothing."""
    path = directory / DATABASE
    return Sizes(_size(path), _size(path.with_name(f"{DATABASE}-wal")), snapshot.free)


def free_bytes(directory: Path) -> int | None:
    """Give how many bytes a directory's disk has left for those who are not root; None if gone."""
    try:
        found = os.statvfs(directory)
    except OSError:
        return None
    return found.f_bavail * found.f_frsize


def make_status(
    snapshot: Snapshot,
    version: str,
    mode: str,
    url: str | None,
    sizes: Sizes,
    tasks: list[ActorHealth],
    trouble: str | None = None,
    free: int | None = None,
    now: int = 0,
) -> Status:
    """Make a status of what was read, for whoever asks, `now`, in ms of UTC.

    `free` are the bytes left on the disk.
    """
    counts = msgspec.json.decode(snapshot.totals, type=dict[str, int])
    destinations = [
        _destination(*one)
        for one in msgspec.json.decode(snapshot.destinations, type=list[_Destination])
    ]
    states = {state: counts.get(f"destinations.{state}", 0) for state in _STATES}
    states_of_accounts: dict[str, int] = {
        state: counts.get(f"accounts.{state}", 0) for state in accounts.STATES
    }
    removed = msgspec.json.decode(snapshot.removed, type=dict[str, dict[str, int]])
    oldest = snapshot.oldest_pending
    rows = {state: counts.get(f"outbox.{state}", 0) for state in outbox.STATES}
    return Status(
        version=version,
        mode=mode,
        url=url,
        instances=counts.get("instances", 0),
        events={state: counts.get(f"events.{state}", 0) for state in events.STATES},
        outbox=rows,
        maybe_delivered=counts.get("outbox.maybe_delivered", 0),
        attempts=counts.get("attempts", 0),
        accounts=states_of_accounts,
        held_through=_held(snapshot.held_through),
        suspect_days=snapshot.suspect_days,
        unread_days=snapshot.unread_days,
        pauses=(pauses := _pauses(snapshot.pauses, now)),
        oldest_pending=None if oldest is None else instant_text(oldest),
        trouble=trouble,
        sizes=sizes,
        other_values=_behind(counts, totals.OTHER),
        too_large=_behind(counts, totals.TOO_LARGE),
        removed=_all_together(removed),
        removed_for=removed,
        destinations=destinations,
        destination_states=states,
        tasks=tasks,
        advice=[
            *trouble_advice(trouble),
            *_room_advice(free),
            *_advice(rows, mode, url),
            *_task_advice(tasks),
            *_destination_advice(destinations, states),
            *energy_advice(states_of_accounts, snapshot.suspect_days, snapshot.unread_days, pauses),
            *_log_advice(sizes),
        ],
    )


def anonymous_advice(status: Status) -> list[str]:
    """Give a status's advice as everybody may read it: no person's destination is named."""
    native = [one for one in status.destinations if one.name == _NATIVE]
    return [
        *trouble_advice(status.trouble),
        *_advice(status.outbox, status.mode, status.url),
        *_destination_advice(native, status.destination_states),
    ]


def energy_advice(
    states: dict[str, int],
    suspect_days: int,
    unread_days: int,
    pauses: dict[str, ProviderPause],
) -> list[str]:
    """Say what stands in the way of readings: accounts by state, pauses, and days in doubt."""
    return [*_account_advice(states), *_reading_advice(suspect_days, unread_days, pauses)]


def trouble_advice(trouble: str | None) -> list[str]:
    """Say of what keeps anything from being stored what to look at; nothing if nothing does."""
    if trouble is None:
        return []
    if trouble in {DELETED, REPLACED}:
        return [f"the database does not work: {trouble}; {LOST_ADVICE}"]
    words = (
        f"the database did not work the last time: {trouble}; look at the disk, and at who may use"
        " the state directory; it is tried again by itself"
    )
    return [words]


# The native destination, or of the people's own those of which there is something to say.
_SNAPSHOT = """
    SELECT (SELECT json_group_object(name, count) FROM totals),
           (SELECT json_group_object(reason, json(counts))
              FROM (SELECT reason, json_group_object(what, count) AS counts
                      FROM removed GROUP BY reason)),
           (SELECT json_group_array(json_array(name, state, reason, not_before, last_delivered))
              FROM (SELECT NULL AS name, state, reason, not_before, last_delivered
                      FROM destinations WHERE instance IS NULL
                     UNION ALL
                    SELECT * FROM (
                        SELECT i.name, d.state, d.reason, d.not_before, d.last_delivered
                          FROM destinations AS d JOIN instances AS i ON i.id = d.instance
                         WHERE d.reason IS NOT NULL ORDER BY d.state, d.id LIMIT ?))),
           (SELECT min(created) FROM outbox WHERE waits IS NOT NULL),
           (SELECT freelist_count * page_size FROM pragma_freelist_count, pragma_page_size),
           (SELECT json_group_object(provider, json_array(
                    (SELECT min(held_through) FROM accounts
                      WHERE state = 'active' AND provider = p.provider),
                    (SELECT max(held_through) FROM accounts
                      WHERE state = 'active' AND provider = p.provider)))
              FROM (SELECT 'enedis' AS provider UNION ALL SELECT 'grdf') AS p),
           (SELECT count(*) FROM open_days WHERE state = 'suspect'),
           (SELECT count(*) FROM open_days WHERE state = 'unread'),
           (SELECT json_group_object(provider, json_array(until, reason))
              FROM pauses WHERE until > 0)
"""

_Destination = tuple[str | None, str, str | None, int, int | None]


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except OSError:
        return 0


def _behind(counts: dict[str, int], prefix: str) -> dict[str, int]:
    """Give the counters whose name begins so, by the rest of it, the greatest first."""
    found = [(name, n) for name, n in counts.items() if name.startswith(prefix)]
    found.sort(key=lambda item: (-item[1], item[0]))
    return {name.removeprefix(prefix): n for name, n in found}


def _destination(
    instance: str | None, state: str, reason: str | None, not_before: int, last: int | None
) -> DestinationStatus:
    return DestinationStatus(
        name=instance or _NATIVE,
        state=state,
        reason=reason,
        next_try=instant_text(not_before) if not_before else None,
        last_delivered=None if last is None else instant_text(last),
    )


def _task_advice(tasks: list[ActorHealth]) -> list[str]:
    advice = [
        f"{task.name} crashed, and runs again by itself: {task.error}"
        for task in tasks
        if task.state == "restarting"
    ]
    advice += [
        f"{task.name} hangs: it gave no sign of life for long; restart the service"
        for task in tasks
        if task.state == "working" and not task.alive
    ]
    return advice


def _held(text: str) -> dict[str, HeldThrough]:
    """Read the last days held; where nothing is held yet there are none."""
    found = msgspec.json.decode(text, type=dict[str, tuple[int | None, int | None]])
    return {
        provider: HeldThrough(day_text(least), day_text(most))
        for provider, (least, most) in found.items()
        if least is not None and most is not None
    }


def _pauses(text: str, now: int) -> dict[str, ProviderPause]:
    found = msgspec.json.decode(text, type=dict[str, tuple[int, str | None]])
    return {
        provider: ProviderPause(instant_text(until), reason)
        for provider, (until, reason) in found.items()
        if until > now
    }


def _reading_advice(
    suspect_days: int, unread_days: int, pauses: dict[str, ProviderPause]
) -> list[str]:
    advice = [
        f"{provider} is left alone until {pause.until}: {pause.reason}"
        for provider, pause in pauses.items()
    ]
    if suspect_days:
        advice.append(
            f"days of which half-hours and daily values differ: {suspect_days};"
            " `ecolyo-worker coverage` tells which, and which are still asked for"
        )
    if unread_days:
        advice.append(
            f"days of which what came cannot be read: {unread_days};"
            " `ecolyo-worker coverage` tells which, and when they are asked for again"
        )
    return advice


def _account_advice(states: dict[str, int]) -> list[str]:
    words = {
        "needs_consent": "need a consent",
        "suspended": "are suspended",
        "removing": "wait for their consent to be revoked",
    }
    return [
        f"energy accounts that {said}: {states[state]}; `ecolyo-worker accounts list` tells why"
        for state, said in words.items()
        if states[state]
    ]


def _room_advice(free: int | None) -> list[str]:
    if free is None or free >= LEAST_FREE:
        return []
    words = (
        f"the disk has {free // 2**20} MiB left, and {LEAST_FREE // 2**20} are needed: make room;"
        " when it is full, events are refused"
    )
    return [words]


def _log_advice(sizes: Sizes) -> list[str]:
    if sizes.log < LARGE_LOG:
        return []
    words = (
        f"{DATABASE}-wal holds {sizes.log // 2**20} MiB: something reads the database for long, or"
        " holds it; it is emptied within the hour once that ends"
    )
    return [words]


def _advice(rows: dict[str, int], mode: str, url: str | None) -> list[str]:
    advice = []
    if mode == "off":
        advice.append("mode is off: events are refused; set worker.mode to local or on")
    if rows["pending"] and mode != "on":
        advice.append(f"mode is {mode}: nothing is sent; set worker.mode to on")
    if rows["pending"] and url is None:
        advice.append("dacc.url is not set: indicators wait until it is")
    if rows["dead"]:
        are = "indicator is" if rows["dead"] == 1 else "indicators are"
        advice.append(
            f"{rows['dead']} {are} dead: `ecolyo-worker outbox list --state dead` says"
            " why, `outbox retry` sends them again, `outbox discard` gives them up"
        )
    return advice


def _destination_advice(found: list[DestinationStatus], states: dict[str, int]) -> list[str]:
    held = [one for one in found if one.state != "ready"]
    words = {"paused": "is paused", "open": "does not answer"}
    advice = [f"{one.name} {words[one.state]}: {one.reason}" for one in held[:_MOST_ADVICE]]
    more = states["paused"] + states["open"] - len(advice)
    if more > 0:
        noun = "destination is" if more == 1 else "destinations are"
        advice.append(f"{more} {'more ' if advice else ''}{noun} held back")
    advice += [
        f"{one.name}: the last attempt failed: {one.reason}; rows are tried again by themselves"
        for one in found[:_MOST_ADVICE]
        if one.state == "ready" and one.reason
    ]
    return advice
