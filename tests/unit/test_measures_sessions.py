"""Sessions (5.6): where one begins, where it ends, how long it lasts and what is in it."""

from collections.abc import Callable
from typing import Any

import pytest

from ecolyo_worker.events import EVENT_TYPES

Seen = Callable[..., list[tuple[Any, ...]]]


def at(time: str, kind: str, **fields: Any) -> dict[str, Any]:
    return {"type": kind, "eventDate": f"2026-11-20T{time}", **fields}


def opened(time: str, **fields: Any) -> dict[str, Any]:
    return at(time, "ConnectionEvent", **fields)


def page(time: str) -> dict[str, Any]:
    return at(time, "NavigationEvent", target="gas")


def test_a_session_lasts_from_its_connection_to_its_last_event(seen: Seen) -> None:
    """Its value is in seconds, its pages are the NavigationEvents in it."""
    rows = seen("session-duration", opened("10:00"), page("10:00:20"), page("10:02"))
    assert rows == [(120, "2", "any")]


def test_a_session_ends_before_the_next_connection(seen: Seen) -> None:
    """Each ConnectionEvent begins another session; the time between two belongs to none."""
    rows = seen(
        "session-duration",
        opened("10:00"),
        page("10:00:30"),
        opened("11:00"),
        page("11:00:01"),
        page("11:00:02"),
        page("11:00:03"),
    )
    assert rows == [(30, "1", "any"), (3, "3", "any")]


@pytest.mark.parametrize("kind", [kind for kind in EVENT_TYPES if kind != "ConnectionEvent"])
def test_an_event_of_any_type_lengthens_a_session(seen: Seen, kind: str) -> None:
    """The last event of a session counts whatever its type, but only navigation is a page."""
    pages = "1" if kind == "NavigationEvent" else "0"
    assert seen("session-duration", opened("10:00"), at("10:05", kind)) == [(300, pages, "any")]


def test_a_session_of_one_event_lasts_no_time(seen: Seen) -> None:
    """A connection with nothing after it is a session of 0 seconds, and a row."""
    assert seen("session-duration", opened("10:00"), opened("10:01")) == [(0, "0", "any")] * 2


def test_equal_sessions_are_rows_of_their_own(seen: Seen) -> None:
    """Two sessions of one day with equal groups and values are two rows."""
    events = [opened("10:00"), page("10:00:30"), opened("11:00"), page("11:00:30")]
    assert seen("session-duration", *events) == [(30, "1", "any"), (30, "1", "any")]


def test_what_lies_before_the_first_connection_is_no_session(seen: Seen) -> None:
    """Events before the first ConnectionEvent make no session and belong to none."""
    assert seen("session-duration", page("09:00"), page("09:30")) == []
    rows = seen("session-duration", page("09:00"), opened("10:00"), page("10:00:05"))
    assert rows == [(5, "1", "any")]


@pytest.mark.parametrize(
    ("result", "kind"),
    [
        ("firstConnection", "first"),
        (" FIRSTCONNECTION ", "first"),
        ("firstconnection", "first"),
        ("first", "any"),
        ("success", "any"),
        (None, "any"),
    ],
)
def test_the_first_session_is_told_apart(seen: Seen, result: str | None, kind: str) -> None:
    """A session is `first` if its own ConnectionEvent says that it was the first connection."""
    rows = seen("session-duration", opened("10:00", result=result), opened("11:00"))
    assert rows == [(0, "0", kind), (0, "0", "any")]


@pytest.mark.parametrize(
    ("end", "seconds"),
    [
        ("10:00:00.000", 0),
        ("10:00:00.499", 0),
        ("10:00:00.500", 1),
        ("10:00:01.499", 1),
        ("10:00:01.500", 2),
        ("10:00:02.500", 3),
        ("23:59:59.999", 50_400),
    ],
)
def test_a_duration_is_rounded_half_up(seen: Seen, end: str, seconds: int) -> None:
    """A session's length is whole seconds, and half a second is one."""
    assert seen("session-duration", opened("10:00"), page(end)) == [(seconds, "1", "any")]


def test_equal_times_stand_in_the_order_of_arrival(seen: Seen) -> None:
    """Of events at one civil time the one that arrived first comes first."""
    assert seen("session-duration", page("10:00"), opened("10:00")) == [(0, "0", "any")]
    assert seen("session-duration", opened("10:00"), page("10:00")) == [(0, "1", "any")]


def test_the_order_of_arrival_is_no_other_order(seen: Seen) -> None:
    """Events that arrive in any order make the sessions of their times."""
    events = [page("10:02"), opened("11:00"), page("10:01"), opened("10:00"), page("11:05")]
    assert seen("session-duration", *events) == [(120, "2", "any"), (300, "1", "any")]


@pytest.mark.parametrize(
    ("pages", "group"), [(0, "0"), (999, "999"), (1000, "1000+"), (1500, "1000+")]
)
def test_many_pages_share_a_word(seen: Seen, pages: int, group: str) -> None:
    """From 1000 on the number of pages is not said any more."""
    rows = seen("session-duration", opened("10:00"), *[page("10:00:09")] * pages)
    assert rows == [(9 if pages else 0, group, "any")]


def test_only_countable_events_lengthen_a_session(seen: Seen) -> None:
    """What is `aggregated` neither lengthens a session nor begins or ends one."""
    rows = seen(
        "session-duration",
        opened("10:00"),
        page("10:01"),
        {**opened("10:02"), "aggregated": True},
        page("10:03"),
        {**page("10:30"), "aggregated": True},
    )
    assert rows == [(180, "2", "any")]


def test_a_session_does_not_reach_into_the_next_day(seen: Seen) -> None:
    """A session ends with its civil day, whose events alone are looked at."""
    rows = seen("session-duration", opened("23:59:50"), page("23:59:59.400"))
    assert rows == [(9, "1", "any")]
