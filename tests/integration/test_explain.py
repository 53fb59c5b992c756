"""Explaining: every event of the worked example is in an indicator or left out with a reason."""

import json
from collections import Counter
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest

from ecolyo_worker import requests as ask
from ecolyo_worker.commands import Commands
from ecolyo_worker.errors import CommandRefused
from ecolyo_worker.measures import ALL, DAILY, MONTHLY

NIGHT = "2026-11-21T01:00:00"
ALICE = "alice.example"

Asking = Callable[..., Any]


@pytest.fixture
async def example(asking: Asking, examples: Path) -> AsyncIterator[Any]:
    """The worked example, imported and not counted."""
    async with asking() as asked:
        for name, take in (("instances", asked.tell), ("events", asked.record)):
            text = (examples / f"{name}.ndjson").read_bytes()
            await take(*(msgspec.json.decode(line) for line in text.splitlines()))
        yield asked


async def stored_events(commands: Commands, day: str) -> dict[str, set[str]]:
    """Give the ids of each instance's events."""
    found: dict[str, set[str]] = {}
    async for event in commands.events_list(ask.EventsList(day=day)):
        found.setdefault(event["instance"], set()).add(event["_id"])
    return found


async def made(commands: Commands) -> Counter[str]:
    rows = [row async for row in commands.outbox_list(ask.OutboxList())]
    return Counter(bytes(row.indicator).decode() for row in rows)


async def previewed(commands: Commands) -> Counter[str]:
    rows = commands.preview(ask.Preview(as_of=NIGHT))
    lines = [row.line async for row in rows if row.line is not None]
    return Counter(bytes(line.indicator).decode() for line in lines)


DAYS = ("2026-10-05", "2026-11-18", "2026-11-19", "2026-11-20", "2026-11-21")
COUNTING = {m.name for m in DAILY} - {"session-duration", "event-duration", "quiz-stars"}


@pytest.mark.parametrize("is_counted", [False, True])
async def test_every_event_is_in_a_row_or_left_out(example: Any, is_counted: bool) -> None:
    """Of each day and daily measure every event is told once; all rows are those that are made."""
    rows = await previewed(example.commands)
    if is_counted:
        await example.run()
        assert await made(example.commands) == rows
    told: Counter[str] = Counter()
    for day in DAYS:
        there = await stored_events(example.commands, day)
        for measure in DAILY:
            found = await example.explained(measure.name, day, as_of=NIGHT)
            assert {item.instance for item in found} == set(there)
            for item in found:
                (counting,) = item.countings
                ids = [event["_id"] for row in counting.rows for event in row.events]
                ids += [left.event["_id"] for left in counting.absent]
                assert Counter(ids) == Counter(there[item.instance]), (measure.name, day)
                assert all(left.reason for left in counting.absent)
                for row in counting.rows:
                    told[bytes(row.indicator).decode()] += 1
                    assert row.state == ("pending" if is_counted else "to come")
                    if measure.name in COUNTING:
                        value = msgspec.json.decode(row.indicator)["value"]
                        assert value == len(row.events)
    of_days = {m.name for m in DAILY}
    assert told == Counter(
        {body: n for body, n in rows.items() if json.loads(body)["measureName"] in of_days}
    )


@pytest.mark.parametrize("is_counted", [False, True])
async def test_every_row_of_a_month_is_told(example: Any, is_counted: bool) -> None:
    """The monthly measures' rows are those that are made; each event of the month is told once."""
    rows = await previewed(example.commands)
    if is_counted:
        await example.run()
    there: dict[str, set[str]] = {}
    async for event in example.commands.events_list(ask.EventsList()):
        if event["eventDate"].startswith("2026-10"):
            there.setdefault(event["instance"], set()).add(event["_id"])
    told: Counter[str] = Counter()
    for measure in MONTHLY:
        for item in await example.explained(measure.name, "2026-10-17", as_of=NIGHT):
            (counting,) = item.countings
            told.update(bytes(row.indicator).decode() for row in counting.rows)
            ids = [left.event["_id"] for left in counting.absent]
            ids += {event["_id"] for row in counting.rows for event in row.events}
            assert set(ids) >= there.get(item.instance, set()), measure.name
            assert len(ids) == len(set(ids))
    assert told == Counter(
        {body: n for body, n in rows.items() if "-monthly" in json.loads(body)["measureName"]}
    )


async def test_the_connected_rows_are_told(example: Any) -> None:
    """A connected row is told with the states it rests on, before the run and after."""
    for state in ("to come", "pending"):
        for day, fluids in (
            ("2026-11-18", "electricity:gas"),
            ("2026-11-19", "electricity:water:gas"),
        ):
            name = "konnector-connected-daily"
            counting = await example.one(name, day, ALICE, as_of=NIGHT)
            (row,) = counting.rows
            assert row.state == state
            assert msgspec.json.decode(row.indicator)["group1"] == {"categories": fluids}
            assert "electricity: connected since 2026-02-10T09:10" in counting.facts
        await example.run()


@pytest.mark.parametrize(
    ("instance", "day", "state", "words"),
    [
        (ALICE, "2026-10-20", "never", "32 days before the run of 2026-11-21, and"),
        (ALICE, "2026-11-21", "never", "the day is not over as of 2026-11-21T01:00"),
        (ALICE, "2026-02-10", "never", "284 days before the run"),
        ("bob.example", "2026-11-20", "to come", "no fluid is connected at the end of the day"),
    ],
)
async def test_a_missing_connected_row_says_why(
    example: Any, instance: str, day: str, state: str, words: str
) -> None:
    """A day without a connected row says what is in the way."""
    counting = await example.one("konnector-connected-daily", day, instance, as_of=NIGHT)
    assert (counting.state, counting.rows) == (state, [])
    assert words in " ".join([counting.run, *counting.missing])


EVENTS = {
    "alice-20": (
        "counted",
        {
            ("challenge-launch-daily", "2026-11-18"),
            ("session-duration", "2026-11-18"),
            ("event-duration", "2026-11-18"),
        },
        {},
    ),
    "alice-41": (
        "counted",
        {("challenge-launch-daily", "2026-11-20"), ("session-duration", "2026-11-20")},
        {"event-duration": "the first challenge of this home has its row already"},
    ),
    "alice-40": (
        "counted",
        {("session-duration", "2026-11-20")},
        {"event-duration": "an equal end (type, target, startDate) was there before it"},
    ),
    "alice-05": ("imported", {("konnector-attempts-monthly", "2026-10")}, {}),
    "alice-11": (
        "imported",
        set(),
        {"konnector-attempts-monthly": "electricity had its first success before it"},
    ),
    "alice-01": ("imported", {("profile-count-monthly", "2026-10")}, {}),
    "bob-18": (
        "counted",
        set(),
        {
            "session-duration": "it comes before the first ConnectionEvent of the day",
            "event-duration": "an equal end (type, target, startDate) was there before it",
        },
    ),
    "bob-17": (
        "counted",
        {("challenge-launch-daily", "2026-11-18"), ("session-duration", "2026-11-18")},
        {"event-duration": "it is not the first challenge launched in this home"},
    ),
    "bob-24": (
        "counted",
        {("event-duration", "2026-11-19")},
        {
            "quiz-stars": "its result is no digit from 0 to 5: '7'",
            "session-duration": "it comes before the first ConnectionEvent of the day",
        },
    ),
}


@pytest.mark.parametrize("ident", EVENTS)
async def test_an_event_leads_to_its_indicators(example: Any, ident: str) -> None:
    """From an event one finds every indicator it went into, and each measure that left it out."""
    await example.run()
    state, rows, left_out = EVENTS[ident]
    found = await example.event(ident)
    assert found.state == state
    assert {(row.measure, row.period) for row in found.rows} == rows
    assert {item.measure: item.reason for item in found.left_out} == left_out
    assert {row.state for row in found.rows} <= {"pending"}


async def test_an_event_that_waits_leads_to_what_the_run_would_make(example: Any) -> None:
    """Before the run an event leads to the same indicators as after it."""
    for ident, (_, rows, left_out) in EVENTS.items():
        found = await example.event(ident, as_of=NIGHT)
        assert {(row.measure, row.period) for row in found.rows} == rows, ident
        assert {item.measure: item.reason for item in found.left_out} == left_out, ident
        assert {row.state for row in found.rows} <= {"to come"}


@pytest.mark.parametrize(
    ("ident", "as_of", "why"),
    [
        (
            "dave-01",
            NIGHT,
            "it waits: the last consent is to version 0.9.0 on 2026-01-05T10:00, and",
        ),
        (
            "bob-33",
            NIGHT,
            "it waits for its day to end: 2026-11-21 is not over as of 2026-11-21T01",
        ),
        (
            "alice-08",
            NIGHT,
            "it expired: 2026-10-05 lies 47 days before the run of 2026-11-21, and",
        ),
        (
            "alice-20",
            NIGHT,
            "it waits; to come: by a run, as of 2026-11-21T01:00: it would be coun",
        ),
        ("alice-20", None, "it waits; to come: by the next run of the schedule, as of 2026-11-22T"),
        ("carol-10", NIGHT, "it came with `aggregated`: it was counted elsewhere"),
    ],
)
async def test_an_event_without_counting_says_why(
    example: Any, ident: str, as_of: str | None, why: str
) -> None:
    """An event that no run counted says what it waits for, with the dates."""
    found = await example.event(ident, as_of=as_of)
    assert why in found.why


async def test_a_counted_event_names_its_run(example: Any) -> None:
    """An event that was counted, or expired, says by which run and in which counting."""
    await example.run()
    assert (await example.event("alice-20")).why == (
        "it was counted; counting 1 of 2026-11-18, by the run as of 2026-11-21T01:00"
        " (it began at 2026-11-21T02:00:00Z)"
    )
    expired = await example.event("alice-08")
    assert expired.state == "expired"
    assert expired.why.startswith(
        "it expired: 2026-10-05 lies 47 days before the run of 2026-11-21"
    )
    assert [row.measure for row in expired.rows] == ["connection-count-monthly"]


async def test_what_became_other_is_told(example: Any) -> None:
    """A value sent as `other` is told beside what is allowed, to the operator alone."""
    for _ in range(2):
        counting = await example.one(
            "konnector-event-daily", "2026-11-18", "bob.example", as_of=NIGHT
        )
        (row,) = counting.rows
        assert [(o.group, o.found, o.allowed) for o in row.others] == [
            ("slug", "Engie!", "text like [a-z][a-z0-9-]{0,39}"),
            ("status", "timeout", "success, error"),
        ]
        await example.run()


async def test_what_changed_since_is_said_to_have(example: Any) -> None:
    """A row that was made of other facts than today's is marked, and shown as it was made."""
    await example.run()
    other = {"subscribed": False, "since": "2026-10-31T23:30:00"}
    facts = {"instance": "carol.example", "monthly_summary": [other]}
    await example.tell(facts)
    name = "summary-subscription-monthly"
    (row,) = (await example.one(name, "2026-10", "carol.example")).rows
    assert msgspec.json.decode(row.indicator)["value"] == 1
    assert str(row.note).startswith("made otherwise then: what it rests on, or the definitions, ch")


async def test_explaining_stores_nothing(example: Any, state_dir: Path) -> None:
    """An explanation leaves the database as it was."""
    before = await made(example.commands), await example.commands.status()
    for measure in ALL:
        period = "2026-10-18" if measure in MONTHLY else "2026-11-18"
        await example.explained(measure.name, period)
    await example.event("alice-20")
    assert (await made(example.commands), await example.commands.status()) == before


async def test_an_unknown_event_or_instance_is_refused(example: Any) -> None:
    """What is not there is named, and an event of somebody else is not given away."""
    with pytest.raises(CommandRefused, match="no event has the _id 'nothing': it did not come"):
        await example.event("nothing")
    with pytest.raises(CommandRefused, match="no event has the _id 'alice-20'"):
        await example.event("alice-20", instance="bob.example")
    with pytest.raises(CommandRefused, match=r"no instance is called 'eve\.example'"):
        await example.explained("quiz-stars", "2026-11-20", "eve.example")
    with pytest.raises(CommandRefused, match=r"no measure is called 'quiz-star'; did you mean"):
        await example.explained("quiz-star", "2026-11-20")
