"""What can be said of the state at once, from counters alone."""

import sqlite3

from msgspec import Struct

from ecolyo_worker.clock import instant_text
from ecolyo_worker.health import ActorHealth
from ecolyo_worker.store import destinations, events, outbox, totals

__all__ = ["DestinationStatus", "Status", "read_status"]


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
    tasks: list[ActorHealth]
    """The parts that work by themselves; none where the state is only looked at."""
    advice: list[str]
    """What stands in the way, in words, and what to do about it."""


def read_status(connection: sqlite3.Connection, version: str, mode: str, url: str | None) -> Status:
    """Read the status; it costs the same however much the tables hold."""
    counts = totals.read(connection)
    found = destinations.all_of(connection)
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
        destinations=[_destination(destination) for destination in found],
        tasks=[],
        advice=list(_advice(rows, mode, url, found)),
    )


def _destination(found: destinations.Destination) -> DestinationStatus:
    return DestinationStatus(
        name=found.name,
        state=found.state,
        reason=found.reason,
        next_try=instant_text(found.not_before) if found.not_before else None,
        last_delivered=None if found.last_delivered is None else instant_text(found.last_delivered),
    )


def _advice(
    rows: dict[str, int], mode: str, url: str | None, found: list[destinations.Destination]
) -> list[str]:
    advice = []
    if mode == "off":
        advice.append("mode is off: events are refused; set worker.mode to local or on")
    if rows["pending"] and mode != "on":
        advice.append(f"mode is {mode}: nothing is sent; set worker.mode to on")
    if rows["pending"] and url is None:
        advice.append("dacc.url is not set: indicators wait until it is")
    advice += [f"{d.name} is paused: {d.reason}" for d in found if d.state == "paused"]
    advice += [
        f"{d.name}: the last attempt failed: {d.reason}; rows are tried again by themselves"
        for d in found
        if d.state == "ready" and d.reason
    ]
    if rows["dead"]:
        advice.append(
            f"{rows['dead']} indicators are dead: `ecolyo-worker outbox list --state dead` says"
            " why, `outbox retry` sends them again, `outbox discard` gives them up"
        )
    return advice
