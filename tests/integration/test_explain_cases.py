"""Explaining what is out of the ordinary: late, old, deleted and changed things, and what waits."""

import sqlite3
from collections.abc import AsyncIterator, Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import msgspec
import pytest

from ecolyo_worker import measures
from ecolyo_worker.requests import ConsumptionImport, ExplainEvent, Line
from ecolyo_worker.settings import Aggregation

Asking = Callable[..., Any]
Event = Callable[..., dict[str, Any]]

ANN = {
    "instance": "ann.example",
    "consent": {"version": "1.0.0", "accepted_at": "2026-11-01T00:00"},
}


@pytest.fixture
async def ann(asking: Asking, event: Event) -> AsyncIterator[Any]:
    """One person who agreed on 1 November, with two events of the 20th that were counted."""
    async with asking() as commands:
        await commands.tell(ANN)
        await commands.record(
            event("ConnectionEvent", "2026-11-20T10:00", "c1", context="mobile"),
            event("NavigationEvent", "2026-11-20T10:01", "n1", target="gas"),
        )
        await commands.run()
        yield commands


async def test_a_supplement_is_a_counting_of_its_own(ann: Any, event: Event) -> None:
    """Events that come late are told apart: first as what is to come, then as a supplement."""
    await ann.record(event("NavigationEvent", "2026-11-20T10:02", "n2", target="gas"))
    for state, row_state in (("to come", "to come"), ("done", "pending")):
        (found,) = await ann.explained("navigation-count-daily", "2026-11-20")
        first, late = found.countings
        assert [e["_id"] for row in first.rows for e in row.events] == ["n1"]
        assert (late.n, late.state, late.rows[0].state) == (1, state, row_state)
        assert [e["_id"] for row in late.rows for e in row.events] == ["n2"]
        await ann.run("2026-11-21T02:00:00")
    assert (await ann.event("n2")).why.startswith("it was counted; counting 2 of 2026-11-20")


async def test_a_late_event_comes_too_late_for_its_month(ann: Any, event: Event) -> None:
    """What arrives after its month was counted says so, backwards and forwards."""
    await ann.run("2026-11-21T02:30:00")
    october = {**ANN, "consent": {"version": "1.0.0", "accepted_at": "2026-10-01T00:00"}}
    await ann.tell({**october, "instance": "bea.example"})
    await ann.run("2026-11-21T02:40:00")
    late = event("ConnectionEvent", "2026-10-30T10:00", "late", context="mobile")
    await ann.record(late, instance="bea.example")
    counting = await ann.one("connection-count-monthly", "2026-10", "bea.example")
    assert msgspec.json.decode(counting.rows[0].indicator)["value"] == 0
    assert counting.rows[0].note is None
    assert [item.reason for item in counting.absent] == [
        "it arrived when the month was counted already"
    ]
    found = await ann.event("late")
    assert "2026-10: it arrived when the month was counted already" in found.notes


async def test_what_is_older_than_the_acceptance_says_so(ann: Any, event: Event) -> None:
    """An event before the acceptance names its date, before the run and after."""
    await ann.record(event("NavigationEvent", "2026-10-31T10:02", "old", target="gas"))
    reason = "it is older than the acceptance of the terms, 2026-11-01T00:00:00.000"
    for _ in range(2):
        counting = await ann.one("navigation-count-daily", "2026-10-31", "ann.example")
        assert [item.reason for item in counting.absent] == [reason]
        assert reason in (await ann.event("old")).why
        await ann.run("2026-11-21T02:00:00")
    assert (await ann.event("old")).state == "unconsented"


@pytest.mark.parametrize(
    ("consents", "words"),
    [
        ([], "no consent was ever given"),
        (
            [{"version": "0.9", "accepted_at": "2026-11-01T00:00"}],
            "consent is to version 0.9 on 202",
        ),
        (
            [{"version": "2", "accepted_at": "2026-12-24T00:00"}],
            "is later than the run as of 2026-11",
        ),
        ([{"version": "2", "accepted_at": "2026-11-01T00:00"}, None], "the consent was withdrawn"),
    ],
)
async def test_no_consent_is_told_in_words(
    asking: Asking, event: Event, consents: list[Any], words: str
) -> None:
    """Without a consent in force it is told what there is instead."""
    async with asking() as commands:
        facts = [{"instance": "ann.example", "consent": consent} for consent in consents]
        await commands.tell(*facts)
        await commands.record(event("NavigationEvent", "2026-11-20T10:02", "n1", target="gas"))
        counting = await commands.one("navigation-count-daily", "2026-11-20", "ann.example")
        (left,) = counting.absent
        assert words in left.reason
        (nothing,) = await commands.explained("quiz-stars", "2026-11-19", "ann.example")
        assert nothing.why is not None
        assert words in nothing.why
        assert "no event of this day is there" in nothing.why


@pytest.mark.parametrize(
    ("month", "words"),
    [
        ("2026-10", "the month ended before the terms were accepted, 2026-11-01T00:00"),
        ("2026-11", "what is to come in it counts, too"),
        ("2026-09", "2026-09 is never counted: a person's first run looks at the month before"),
        ("2028-01", "2028-01 is counted from 2028-02-06 on (aggregation.monthly_day)"),
        ("9999-12", "9999-12 is never counted: the calendar ends before it is due"),
    ],
)
async def test_a_month_says_why_it_has_no_row(ann: Any, month: str, words: str) -> None:
    """A month that is not counted says whether and when it will be."""
    (found,) = await ann.explained("profile-count-monthly", month, "ann.example")
    said = [found.why or ""]
    for counting in found.countings:
        said += [*counting.missing, *counting.notes]
    assert words in " ".join(said)


async def test_days_that_count_as_done_say_so(asking: Asking, event: Event) -> None:
    """Days and months before `not_before` name the setting, before the run and after."""
    moving = Aggregation(not_before="2026-11-20")
    early = {
        "instance": "ann.example",
        "consent": {"version": "1.0.0", "accepted_at": "2026-09-01T00:00"},
        "konnectors": [{"fluid": "gas", "connected": True, "since": "2026-09-01T00:00"}],
    }
    async with asking(aggregation=moving) as commands:
        await commands.tell(early)
        await commands.record(event("NavigationEvent", "2026-11-19T10:02", "n1", target="gas"))
        words = "2026-11-19 lies before aggregation.not_before, 2026-11-20, so it counts as done"
        for _ in range(2):
            counting = await commands.one("navigation-count-daily", "2026-11-19", "ann.example")
            assert [item.reason for item in counting.absent] == [words]
            await commands.run()
        counting = await commands.one("konnector-connected-daily", "2026-11-19", "ann.example")
        assert counting.run == "the day lies before aggregation.not_before, 2026-11-20"
        (found,) = await commands.explained("profile-count-monthly", "2026-10", "ann.example")
        assert found.why == (
            "2026-10 ended before aggregation.not_before, 2026-11-20, so it counts as done"
        )


def change(state_dir: Path, statement: str) -> None:
    with closing(sqlite3.connect(state_dir / "ecolyo.db")) as other, other:
        other.execute(statement)


async def test_what_was_deleted_is_said_to_be(asking: Asking, ann: Any, state_dir: Path) -> None:
    """Without its events a counting shows what the outbox still knows; without its row, why."""
    change(state_dir, "DELETE FROM outbox WHERE measure = 'connection-count-daily'")
    (row,) = (await ann.one("connection-count-daily", "2026-11-20", "ann.example")).rows
    assert (row.state, row.outbox) == ("gone", None)
    assert "90 days after it was sent (retention.sent_days)" in str(row.note)
    change(state_dir, "DELETE FROM events WHERE id = 'n1'")
    counting = await ann.one("session-duration", "2026-11-20", "ann.example")
    (note,) = counting.notes
    assert note.startswith("1 of its 2 events were deleted since, by age or with a consent, so it")
    (row,) = counting.rows
    assert (row.state, row.events) == ("pending", [])
    assert msgspec.json.decode(row.indicator)["value"] == 60
    change(
        state_dir,
        "UPDATE outbox SET state = 'sent', waits = NULL, body = NULL WHERE body IS NOT NULL",
    )
    (row,) = (await ann.one("session-duration", "2026-11-20", "ann.example")).rows
    assert (row.state, bytes(row.indicator)) == ("sent", b"null")
    assert (await ann.event("c1")).notes[0].startswith("other events of its counting are deleted")


async def test_a_day_to_come_is_explained_by_its_own_run(asking: Asking, event: Event) -> None:
    """Without a time the run is the first of the schedule that has the day behind it."""
    async with asking("2026-11-20T12:00:00") as commands:
        await commands.tell(ANN)
        for day, run in (
            ("2026-11-19", "2026-11-21T01:00"),
            ("2026-11-20", "2026-11-21T01:00"),
            ("2026-11-25", "2026-11-26T01:00"),
        ):
            await commands.record(event("NavigationEvent", f"{day}T10:00", day, target="gas"))
            counting = await commands.one("navigation-count-daily", day, "ann.example")
            assert counting.run == f"to come: by the next run of the schedule, as of {run}"
            assert len(counting.rows) == 1
        await commands.record(event("NavigationEvent", "9999-12-31T23:59", "far", target="gas"))
        counting = await commands.one("navigation-count-daily", "9999-12-31", "ann.example")
        assert counting.absent[0].reason.startswith("it waits for its day to end")


async def test_a_mode_that_counts_nothing_is_named(asking: Asking, event: Event) -> None:
    """In mode `off` what waits says that nothing is counted."""
    async with asking() as commands:
        await commands.tell(ANN)
        await commands.record(event("NavigationEvent", "2026-11-20T10:02", "n2", target="gas"))
    async with asking(mode="off") as commands:
        counting = await commands.one("navigation-count-daily", "2026-11-20", "ann.example")
        assert counting.run.startswith("the mode is off (worker.mode), so nothing is counted")


async def test_one_id_of_two_people_is_two_events(ann: Any, event: Event) -> None:
    """An `_id` that several instances have is explained for each of them."""
    again = event("NavigationEvent", "2026-11-20T10:01", "n1", target="faq")
    await ann.record(again, instance="bea.example")
    found = [item async for item in ann.commands.explain_event(ExplainEvent("n1"))]
    assert [(item.instance, item.state) for item in found] == [
        ("ann.example", "counted"),
        ("bea.example", "waiting"),
    ]


async def test_rows_of_other_definitions_are_told_from_the_outbox(
    asking: Asking, event: Event, tmp_path: Path
) -> None:
    """A row that today's definitions do not make is shown as it was made, and that is said."""
    async with asking() as asked:
        await asked.tell(ANN)
        await asked.record(event("NavigationEvent", "2026-11-20T10:01", target="gas"))
        await asked.run()
    shipped = (Path(measures.__file__).parent / "measures.toml").read_text(encoding="utf-8")
    other = tmp_path / "other.toml"
    other.write_text(shipped.replace('"navigation-count-daily"', '"navigation-count-hourly"'))
    async with asking(aggregation=Aggregation(measures_file=other)) as asked:
        (found,) = await asked.explained("navigation-count-daily", "2026-11-20", "ann.example")
    assert found.measure.purpose.startswith("It is not in the definitions file")
    (counting,) = found.countings
    assert counting.notes == ["other definitions held when it was counted"]
    (row,) = counting.rows
    assert msgspec.json.decode(row.indicator)["group1"] == {"page": "gas"}
    assert (row.state, row.note) == (
        "pending",
        "it cannot be reckoned again from what is there now",
    )


async def test_a_first_challenge_keeps_its_reason(ann: Any, event: Event) -> None:
    """Of a first launch without a first connection the same reason is told after the run."""
    await ann.record(event("ChallengeLaunchEvent", "2026-11-20T11:00", "l1", target="CHALLENGE1"))
    for _ in range(2):
        reasons = {item.measure: item.reason for item in (await ann.event("l1")).left_out}
        assert reasons["event-duration"] == (
            "it is the first challenge, but the first connection is unknown"
        )
        await ann.run("2026-11-21T02:00:00")


async def test_a_month_tells_what_was_before_the_acceptance(asking: Asking, event: Event) -> None:
    """Events of a month before the acceptance within it are told apart, by the run and after."""
    async with asking() as asked:
        consent = {"version": "1.0.0", "accepted_at": "2026-10-15T00:00"}
        await asked.tell({"instance": "ann.example", "consent": consent})
        await asked.record(event("ConnectionEvent", "2026-10-10T10:00", "early"))
        for _ in range(2):
            counting = await asked.one("connection-count-monthly", "2026-10", "ann.example")
            assert [item.reason for item in counting.absent] == [
                "it is older than the acceptance of the terms, 2026-10-15T00:00:00.000"
            ]
            await asked.run()
        (note,) = (await asked.event("early")).notes
        assert note == "2026-10: it is older than the acceptance, 2026-10-15T00:00:00.000"


async def test_an_event_is_explained_by_the_settings_of_its_run(
    asking: Asking, event: Event
) -> None:
    """Settings that were changed after a counting do not change what is told of it."""
    agreed = {"version": "1.0.0", "accepted_at": "2026-08-01T00:00"}
    old, early = "it expired: 2026-10-10 lies 42 days before the run of 2026-11-21", "2026-11-20"
    moving = Aggregation(not_before=early)
    async with asking() as asked:
        await asked.tell({"instance": "ann.example", "consent": agreed})
        await asked.record(event("NavigationEvent", "2026-10-10T10:00", "old", target="gas"))
        await asked.run()
    async with asking(aggregation=moving) as asked:
        await asked.record(event("NavigationEvent", "2026-11-10T10:00", "early", target="gas"))
        await asked.run("2026-11-21T02:00:00")
    later = Aggregation(max_age_days=60, not_before="2026-01-01")
    async with asking(aggregation=later) as asked:
        counting = await asked.one("navigation-count-daily", "2026-10-10", "ann.example")
        said = [item.reason for item in counting.absent]
        assert said == [f"{old}, and aggregation.max_age_days is 31"]
        assert (await asked.event("old")).why.startswith(said[0])
        words = f"2026-11-10 lies before aggregation.not_before, {early}, so it counts as done"
        counting = await asked.one("navigation-count-daily", "2026-11-10", "ann.example")
        assert [item.reason for item in counting.absent] == [words]
        assert (await asked.event("early")).why.startswith(words)


SINCE_LONG = {
    "instance": "ann.example",
    "consent": {"version": "1.0.0", "accepted_at": "2026-08-01T00:00"},
    "first_connection_at": "2026-08-01T00:00:00",
}


async def test_a_row_is_known_by_its_body_when_facts_came_later(
    asking: Asking, event: Event
) -> None:
    """A fact that was said after a month was done shifts no row, and makes none."""
    name = "summary-subscription-monthly"
    async with asking() as asked:
        await asked.tell(SINCE_LONG)
        await asked.record(
            event("ConnectionEvent", "2026-10-30T10:00", "c1", context="mobile"),
            event("ReportFromEvent", "2026-10-30T10:01", "r1"),
        )
        await asked.run()
        yes = [{"subscribed": True, "since": "2026-10-01T00:00"}]
        await asked.tell({"instance": "ann.example", "monthly_summary": yes})
        subscription, analysis = (await asked.one(name, "2026-10", "ann.example")).rows
        assert (subscription.state, subscription.outbox) == ("not made", None)
        assert str(subscription.note).startswith("not made then: what it rests on")
        assert (analysis.state, analysis.note) == ("pending", None)
        assert [item["_id"] for item in analysis.events] == ["r1"]
        (row,) = [row for row in (await asked.event("r1")).rows if row.measure == name]
        assert (row.state, row.outbox, row.of) == ("pending", analysis.outbox, 1)


async def test_what_was_never_made_is_not_told_as_deleted(
    asking: Asking, event: Event, state_dir: Path
) -> None:
    """Readings that came after their month make no row; with rows deleted, nobody can tell."""
    name = "consumption-variation-monthly"
    async with asking() as asked:
        await asked.tell(SINCE_LONG)
        await asked.record(event("ConnectionEvent", "2026-10-30T10:00", "c1", context="mobile"))
        await asked.run()
        days = [f"2026-09-{day:02}" for day in range(1, 31)]
        days += [f"2026-10-{day:02}" for day in range(1, 32)]
        gas = {"instance": "ann.example", "fluid": "gas", "step": "day", "value": 1}
        found = [Line(1, msgspec.json.encode({**gas, "start": day})) for day in days]
        await asked.commands.consumption_import(ConsumptionImport(found))
        (row,) = (await asked.one(name, "2026-10", "ann.example")).rows
        assert row.state == "not made"
        told = await asked.event("c1")
        assert name not in {row.measure for row in told.rows}
        (left,) = [item for item in told.left_out if item.measure == name]
        assert left.reason.startswith("not made then")
        change(state_dir, "DELETE FROM outbox WHERE measure = 'connection-count-monthly'")
        (row,) = (await asked.one(name, "2026-10", "ann.example")).rows
        assert row.state == "gone"
        assert "or it was never made" in str(row.note)


async def test_a_row_made_otherwise_tells_only_what_is_certain(
    asking: Asking, event: Event, tmp_path: Path, state_dir: Path
) -> None:
    """Of a row that other definitions made, neither today's `other` nor its events are told."""
    async with asking() as asked:
        await asked.tell(ANN)
        await asked.record(event("NavigationEvent", "2026-11-20T10:01", "n1", target="gas"))
        await asked.run()
    shipped = (Path(measures.__file__).parent / "measures.toml").read_text(encoding="utf-8")
    other = tmp_path / "other.toml"
    other.write_text(shipped.replace('"electricity", "gas", "eau"', '"electricity", "eau"'))
    name = "navigation-count-daily"
    async with asking(aggregation=Aggregation(measures_file=other)) as asked:
        (row,) = (await asked.one(name, "2026-11-20", "ann.example")).rows
        assert msgspec.json.decode(row.indicator)["group1"] == {"page": "gas"}
        assert (row.others, row.events) == ([], [])
        (told,) = [row for row in (await asked.event("n1")).rows if row.measure == name]
        assert (told.others, told.of) == ([], 0)
        change(
            state_dir,
            "UPDATE outbox SET state = 'sent', waits = NULL, body = NULL WHERE body IS NOT NULL",
        )
        (row,) = (await asked.one(name, "2026-11-20", "ann.example")).rows
        assert bytes(row.indicator) == b"null"


async def test_an_earlier_end_that_comes_late_is_told_truly(ann: Any, event: Event) -> None:
    """An end that came after an equal, later one was counted does not say that one was earlier."""
    end = {"target": "DUEL0001", "startDate": "2026-11-18T09:00"}
    await ann.record(event("DuelEndEvent", "2026-11-20T11:00", "e1", **end))
    await ann.run("2026-11-21T02:00:00")
    await ann.record(event("DuelEndEvent", "2026-11-19T11:00", "e0", **end))
    for _ in range(2):
        reasons = {item.measure: item.reason for item in (await ann.event("e0")).left_out}
        assert reasons["event-duration"] == (
            "it comes late: an equal end (type, target, startDate) was counted before it"
        )
        await ann.run("2026-11-21T02:30:00")
