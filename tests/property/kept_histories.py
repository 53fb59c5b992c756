"""Histories that are gone through on every change: what failed once, or comes too seldom by chance.

Each is what hypothesis prints of a history that fails, as a function of the machine.
"""

from collections.abc import Callable
from datetime import timedelta
from typing import Any

from tests.property.made import FIRST_DAY

__all__ = ["HISTORIES"]

ALICE = "alice.mycozy.example"
PAGE: dict[str, Any] = {
    **dict.fromkeys(("_id", "context", "result", "startDate", "aggregated")),
    "type": "NavigationEvent",
    "target": "gas",
}


def consent_lapses(state: Any) -> None:
    """What waits is held back while a consent has lapsed, and goes when it may; or is withdrawn."""
    for day in (1, 2, 3):
        at = FIRST_DAY + timedelta(days=day, hours=9)
        night = FIRST_DAY + timedelta(days=day + 1, hours=1)
        state.begin([PAGE | {"eventDate": at.isoformat()}], night, False)
        state.consent(ALICE, "0.9.9", FIRST_DAY + timedelta(days=20))
        state.send()
        state.look()
        if day == 1:
            state.consent(ALICE, "1.0.0", FIRST_DAY + timedelta(days=20))
        elif day == 2:
            state.leave(ALICE, False)
        state.send()
        state.look()
    assert state.delivery.received.total() == 1


def events_come_again(state: Any) -> None:
    """What comes again after a withdrawal, under a consent that is dated back, expires."""
    found = [PAGE | {"eventDate": (FIRST_DAY + timedelta(hours=40)).isoformat()}]
    state.begin(found, FIRST_DAY + timedelta(days=3, hours=1), False)
    state.send()
    state.leave(ALICE, False)
    state.consent(ALICE, "1.0.0", FIRST_DAY + timedelta(hours=33))
    state.tell(ALICE, found)
    state.run(FIRST_DAY + timedelta(days=4, hours=1))
    assert [thing.state for thing in state.people[ALICE].things] == ["expired"]


def crashes_while_sending(state: Any) -> None:
    """A row whose answer was lost in a crash is sent again; so is one that had not left."""
    for hours in (20, 40):
        found = [PAGE | {"eventDate": (FIRST_DAY + timedelta(hours=hours)).isoformat()}]
        state.begin(found, FIRST_DAY + timedelta(hours=hours + 24), False)
        state.crash_while_sending(0, hours == 20)
        assert [row.maybe for row in state.delivery.rows.values()][-1] == 1
        state.send()
    assert sorted(state.delivery.received.values()) == [1, 2]


HISTORIES: list[Callable[[Any], None]] = [
    consent_lapses,
    events_come_again,
    crashes_while_sending,
]
