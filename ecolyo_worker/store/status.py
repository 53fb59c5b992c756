"""What can be said of the state at once, from counters alone."""

import sqlite3

from msgspec import Struct

from ecolyo_worker.clock import instant_text
from ecolyo_worker.health import ActorHealth
from ecolyo_worker.store import destinations, events, outbox, totals

__all__ = ["DestinationStatus", "Status", "read_status"]

_STATES = ("ready", "paused", "open")
_MOST_DESTINATIONS = 20
_MOST_ADVICE = 3


class DestinationStatus(Struct, frozen=True):
    """Whether rows may go to a destination, and why not. Instants are ISO 8601 in UTC."""

    name: str
    state: str
    reason: str | None
    next_try: str | None
    last_delivered: str | None


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
    oldest_pending: str | None
    other_values: int
    """Group values sent as `other`."""
    too_large: int
    removed: dict[str, int]
    destinations: list[DestinationStatus]
    """The native target's, or those with a Cozy target that do not work, at most 20."""
    destination_states: dict[str, int]
    """How many destinations are in each state."""
    tasks: list[ActorHealth]
    """The parts that work by themselves; none where the state is only looked at."""
    advice: list[str]
    """What stands in the way, in words, and what to do about it."""


def read_status(connection: sqlite3.Connection, version: str, mode: str, url: str | None) -> Status:
    """Read the status; it costs the same however much the tables hold."""
    counts = totals.read(connection)
    found = _destinations(connection)
    states = {state: counts.get(f"destinations.{state}", 0) for state in _STATES}
    oldest = outbox.oldest_waiting(connection)
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
        oldest_pending=None if oldest is None else instant_text(oldest),
        other_values=counts.get("values.other", 0),
        too_large=counts.get("values.too_large", 0),
        removed=totals.removed(connection),
        destinations=found,
        destination_states=states,
        tasks=[],
        advice=_advice(rows, mode, url) + _destination_advice(found, states),
    )


def _destinations(connection: sqlite3.Connection) -> list[DestinationStatus]:
    native = destinations.native(connection)
    found = destinations.unwell(connection, _MOST_DESTINATIONS) if native is None else [native]
    return [_destination(one) for one in found]


def _destination(found: destinations.Destination) -> DestinationStatus:
    standing = found.standing
    last = standing.last_delivered
    return DestinationStatus(
        name=found.instance or "native",
        state=standing.state,
        reason=standing.reason,
        next_try=instant_text(standing.not_before) if standing.not_before else None,
        last_delivered=None if last is None else instant_text(last),
    )


def _advice(rows: dict[str, int], mode: str, url: str | None) -> list[str]:
    advice = []
    if mode == "off":
        advice.append("mode is off: events are refused; set worker.mode to local or on")
    if rows["pending"] and mode != "on":
        advice.append(f"mode is {mode}: nothing is sent; set worker.mode to on")
    if rows["pending"] and url is None:
        advice.append("dacc.url is not set: indicators wait until it is")
    if rows["dead"]:
        advice.append(
            f"{rows['dead']} indicators are dead: `ecolyo-worker outbox list --state dead` says"
            " why, `outbox retry` sends them again, `outbox discard` gives them up"
        )
    return advice


def _destination_advice(found: list[DestinationStatus], states: dict[str, int]) -> list[str]:
    held = [one for one in found if one.state != "ready"]
    words = {"paused": "is paused", "open": "does not answer"}
    advice = [f"{one.name} {words[one.state]}: {one.reason}" for one in held[:_MOST_ADVICE]]
    more = states["paused"] + states["open"] - len(advice)
    if more > 0:
        advice.append(f"{more} more destinations are held back")
    advice += [
        f"{one.name}: the last attempt failed: {one.reason}; rows are tried again by themselves"
        for one in found[:_MOST_ADVICE]
        if one.state == "ready" and one.reason
    ]
    return advice
