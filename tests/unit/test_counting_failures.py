"""A measure that breaks, and a value that is too large: each costs only what it must."""

from collections.abc import Callable, Iterator, Sequence
from decimal import Decimal
from typing import Any

import pytest

from ecolyo_worker.clock import DAY_MS, parse_day
from ecolyo_worker.events import Event
from ecolyo_worker.indicators import Definitions
from ecolyo_worker.measures import (
    DAILY,
    Counted,
    Day,
    Facts,
    Observation,
    Rules,
    count,
    measure,
)

Store = Callable[..., Sequence[Event]]
NIGHT = parse_day("2026-11-21") * DAY_MS


def page(minute: int, target: str = "gas") -> dict[str, Any]:
    return {"type": "NavigationEvent", "eventDate": f"2026-11-20T10:{minute:02}", "target": target}


def opened(minute: int, context: str = "mobile") -> dict[str, Any]:
    return {**page(minute), "type": "ConnectionEvent", "context": context}


@measure("navigation-count-daily", groups=1)
def careful(day: Day) -> Iterator[Observation]:
    """Count pages, and break on each of which the target is a poison."""
    for event in day.of("NavigationEvent"):
        if event.target is not None and event.target.startswith("poison"):
            message = f"no page is called {event.target}"
            raise ValueError(message)
        yield Observation((event.target,), events=(event.seq,))


@measure("connection-count-daily", groups=1)
def nervous(day: Day) -> Iterator[Observation]:
    """Count connections, and break when one of them has no context."""
    for event in day.of("ConnectionEvent"):
        assert event.context != "broken", "broken context"
        yield Observation((event.context,), events=(event.seq,))


def counted(definitions: Definitions, events: Sequence[Event], *measures: Any) -> Counted:
    return count(Facts(acceptance=0), events, NIGHT, Rules(definitions, daily=measures))


def cells(found: Counted) -> dict[tuple[str, ...], int | float]:
    rows = [row.indicator for row in found.rows]
    return {(i.measure_name, *[v for g in i.groups for v in g.values()]): i.value for i in rows}


@pytest.mark.parametrize("place", range(5))
def test_an_event_that_breaks_a_measure_is_set_aside(
    definitions: Definitions, store: Store, place: int
) -> None:
    """It fails with its error, wherever it stands, and all others are counted as without it."""
    pages = [page(n) for n in range(5)]
    pages[place] = page(place, "poison")
    found = counted(definitions, store(opened(30), *pages), careful, *DAILY[:1])
    culprit = place + 2
    assert {seq for seq, fate in found.fates.items() if fate == "failed"} == {culprit}
    assert set(found.fates.values()) == {"counted", "failed"}
    assert list(found.errors) == [culprit]
    assert "ValueError: no page is called poison" in found.errors[culprit]
    assert cells(found) == {
        ("navigation-count-daily", "gas"): 4,
        ("connection-count-daily", "mobile"): 1,
    }


@pytest.mark.parametrize("places", [(0, 1), (0, 7), (3, 4), (6, 7), (2, 5), tuple(range(8))])
def test_each_broken_event_has_its_own_error(
    definitions: Definitions, store: Store, places: tuple[int, ...]
) -> None:
    """Several events that break a measure fail one by one, each with its own error."""
    pages = [page(n, f"poison{n}" if n in places else "gas") for n in range(8)]
    found = counted(definitions, store(*pages), careful)
    assert sorted(found.errors) == [n + 1 for n in places]
    assert all(f"called poison{seq - 1}\n" in error for seq, error in found.errors.items())
    rest = {("navigation-count-daily", "gas"): 8 - len(places)} if len(places) < 8 else {}
    assert cells(found) == rest


def test_errors_of_two_measures_are_not_mixed_up(definitions: Definitions, store: Store) -> None:
    """When two measures break on two events, each event fails with the error that it caused."""
    events = store(opened(0, "broken"), page(1), page(2, "poison"), opened(3))
    found = counted(definitions, events, careful, nervous)
    assert sorted(found.errors) == [1, 3]
    assert "broken context" in found.errors[1]
    assert "called poison" in found.errors[3]
    assert cells(found) == {
        ("navigation-count-daily", "gas"): 1,
        ("connection-count-daily", "mobile"): 1,
    }


def test_a_failed_event_leaves_no_fact(definitions: Definitions, store: Store) -> None:
    """Facts rest on what was counted: an end that failed was not."""

    @measure("quiz-stars", groups=2)
    def broken(day: Day) -> Iterator[Observation]:
        for event in day.of("QuizEndEvent"):
            yield Observation((None, None), 1 // (event.result != "9"), (event.seq,))

    end = {**page(0, "QUIZ1"), "type": "QuizEndEvent", "startDate": "2026-11-20"}
    found = counted(definitions, store({**end, "result": 9}, end), broken)
    assert found.fates == {1: "failed", 2: "counted"}
    assert [known.counted for known in found.facts.ends.values()] == [2]


def test_an_observation_that_does_not_fit_breaks_too(
    definitions: Definitions, store: Store
) -> None:
    """A measure that gives another number of groups than it said costs its events, not the day."""

    @measure("navigation-count-daily", groups=1)
    def wrong(day: Day) -> Iterator[Observation]:
        for event in day.of("NavigationEvent"):
            yield Observation(("gas", "gas") if event.target == "two" else ("gas",))

    found = counted(definitions, store(page(0), page(1, "two"), page(2)), wrong, *DAILY[:1])
    assert found.fates == {1: "counted", 2: "failed", 3: "counted"}
    assert cells(found) == {("navigation-count-daily", "gas"): 2}


def test_an_error_is_kept_short(definitions: Definitions, store: Store) -> None:
    """Of a very long error its end is kept, where its words are."""

    @measure("navigation-count-daily", groups=1)
    def verbose(day: Day) -> Iterator[Observation]:
        raise ValueError("x" * 10_000 + " the end")
        yield Observation(())

    found = counted(definitions, store(page(0)), verbose)
    assert len(found.errors[1]) <= 2000
    assert found.errors[1].endswith("the end\n")


@pytest.mark.parametrize("rows", ["each", "count"])
def test_a_value_too_large_makes_no_row(definitions: Definitions, store: Store, rows: str) -> None:
    """A value of 1e10 or more is reported and not made; the others of its measure are."""
    name = {"each": "session-duration", "count": "navigation-action-daily"}[rows]
    width = len(definitions[name].groups)
    values = {"big": 10**10, "gas": 10**10 - 1}

    @measure(name, groups=width)
    def huge(day: Day) -> Iterator[Observation]:
        for event in day.of("NavigationEvent"):
            value = values.get(event.target or "", 1)
            groups = ("multifluid" if event.target == "big" else "gas", "1", "1")
            yield Observation(groups[:width], Decimal(value), (event.seq,))

    found = counted(definitions, store(page(0, "big"), page(1), page(2, "big")), huge)
    assert found.too_large == ((name, name) if rows == "each" else (name,))
    assert [row.indicator.value for row in found.rows] == [9_999_999_999]
    assert set(found.fates.values()) == {"counted"}
    assert found.errors == {}


def test_a_sum_too_large_makes_no_row(definitions: Definitions, store: Store) -> None:
    """Values that are small one by one and too large together are one value too large."""

    @measure("navigation-count-daily", groups=1)
    def huge(day: Day) -> Iterator[Observation]:
        for event in day.of("NavigationEvent"):
            yield Observation((event.target,), 5 * 10**9, (event.seq,))

    found = counted(definitions, store(page(0), page(1), page(2, "faq")), huge)
    assert found.too_large == ("navigation-count-daily",)
    assert cells(found) == {("navigation-count-daily", "faq"): 5 * 10**9}
