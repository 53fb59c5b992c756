"""Made-up people: the same seed makes the same, and of all that a worker counts something."""

from collections import Counter
from collections.abc import Iterator
from datetime import date
from typing import Any

from ecolyo_worker.testing.people import Delivery
from ecolyo_worker.testing.simulate import World

WEEK = World(first_day=date(2027, 11, 29), days=7)


def events(came: list[Delivery]) -> Iterator[dict[str, Any]]:
    for delivery in came:
        yield from delivery.events


def test_a_seed_makes_the_same_people() -> None:
    """Events, facts and readings come of the seed alone."""
    other = World(first_day=WEEK.first_day, days=7, seed=2)
    assert WEEK.deliveries() == WEEK.deliveries() != other.deliveries()


def test_some_events_come_late_and_some_twice() -> None:
    """A few come the day after they were written, and a few once more."""
    late = [
        event
        for delivery in WEEK.deliveries()
        for event in delivery.events
        if event["eventDate"][:10] < str(delivery.day)
    ]
    times = Counter(event["_id"] for event in events(WEEK.deliveries()))
    assert 0 < len(late) < len(times) / 10
    assert 0 < times.total() - len(times) < len(times) / 10


def test_every_day_has_its_delivery() -> None:
    """The days follow each other, with that of the late events as the last one."""
    came = [delivery.day.toordinal() for delivery in WEEK.deliveries()]
    first = WEEK.first_day.toordinal()
    assert came in (list(range(first, first + 7)), list(range(first, first + 8)))


def test_meters_know_the_clock() -> None:
    """A day of half-hours has 48 of them, 46 in March and 50 in October, all different."""
    world = World(first_day=date(2028, 1, 1), days=330, people=4)
    lines = [line for delivery in world.deliveries() for line in delivery.consumption]
    starts: dict[tuple[str, str], set[str]] = {}
    for line in lines:
        if line["step"] == "half-hour":
            starts.setdefault((line["instance"], line["start"][:10]), set()).add(line["start"])
    sizes = {day: len(found) for (_, day), found in starts.items()}
    assert (sizes.pop("2028-03-26"), sizes.pop("2028-10-29")) == (46, 50)
    assert set(sizes.values()) == {48}


def test_meters_give_each_day_once() -> None:
    """Each fluid of each person has one value for each day, from two months before on."""
    lines = [line for delivery in WEEK.deliveries() for line in delivery.consumption]
    found = Counter(
        (line["instance"], line["fluid"], line["start"]) for line in lines if line["step"] == "day"
    )
    assert set(found.values()) == {1}
    assert min(start for _, _, start in found) == "2027-10-01"


def test_a_connection_takes_its_tries() -> None:
    """Whoever connects a fluid in these days fails twice before, on that day."""
    tries: dict[tuple[str, str], list[str]] = {}
    found = events(World(first_day=WEEK.first_day, days=60).deliveries())
    for event in sorted(found, key=lambda event: event["eventDate"]):
        if event["type"] == "KonnectorAttemptEvent":
            tries.setdefault((event["instance"], event["target"]), []).append(event["result"])
    assert tries
    assert all(results[-3:] == ["error", "error", "success"] for results in tries.values())


def test_who_leaves_does_so_once() -> None:
    """They are of those who use the app seldom, and nothing comes of them after their day."""
    world = World(first_day=WEEK.first_day, days=200, people=12, seldom=8, leaving=4)
    often, seldom = world.households()[:4], world.households()[4:]
    assert [one.left is not None for one in seldom] == [False] * 4 + [True] * 4
    assert {one.is_forgotten for one in seldom[4:]} == {True, False}
    assert min(len(one.events) for one in often) > max(len(one.events) for one in seldom)
    came = [one.name for delivery in world.deliveries() for one in delivery.left]
    assert sorted(came) == sorted(one.name for one in seldom[4:])
    for one in seldom[4:]:
        assert all(event["eventDate"][:10] <= str(one.left) for event in one.events)
