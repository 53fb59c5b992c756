"""Explaining a counting: each event is in a row or absent for one reason, in words with numbers."""

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import pytest
from msgspec.structs import replace

from ecolyo_worker.clock import parse_day, parse_month
from ecolyo_worker.events import Event
from ecolyo_worker.facts import KonnectorState, Profile, states_at
from ecolyo_worker.indicators import Definitions, GroupRule
from ecolyo_worker.measures import (
    DAILY,
    Consumption,
    Day,
    Facts,
    Month,
    Observation,
    Rules,
    count,
    count_month,
    measure,
)
from ecolyo_worker.measures.explaining import (
    explain_day,
    explain_month,
    facts_of_month,
    why_not_counted,
)

Store = Callable[..., Sequence[Event]]

DAY_MS = 86_400_000
NIGHT = parse_day("2026-11-21") * DAY_MS + 3_600_000
PAGE = {"type": "NavigationEvent", "eventDate": "2026-11-20T10:00", "target": "gas"}


@measure("navigation-count-daily", groups=1)
def brittle(day: Day) -> Iterator[Observation]:
    """Breaks on the page that is called bad."""
    for event in day.of("NavigationEvent"):
        if event.target == "bad":
            message = "bad is no page"
            raise ValueError(message)
        yield Observation((event.target,), events=(event.seq,))


def reasons(found: Sequence[Event], rules: Rules, acceptance: int = 0) -> dict[int, str]:
    counted = count(Facts(acceptance), found, NIGHT, rules)
    told = explain_day("navigation-count-daily", counted, found, NIGHT, rules)
    return {item.event.seq: f"{item.kind}: {item.reason}" for item in told.absent}


def test_each_fate_is_told_with_its_dates(definitions: Definitions, store: Store) -> None:
    """What no measure counts says why: too old, before the acceptance, counted elsewhere, done."""
    found = store(PAGE, {**PAGE, "aggregated": True})
    accepted = parse_day("2026-11-20") * DAY_MS + 12 * 3_600_000
    assert reasons(found, Rules(definitions, max_age_days=0)) == {
        1: "fate: it expired: 2026-11-20 lies 1 days before the run of 2026-11-21, and"
        " aggregation.max_age_days is 0",
        2: "fate: it came with `aggregated`: it was counted elsewhere",
    }
    assert reasons(found, Rules(definitions), accepted)[1] == (
        "fate: it is older than the acceptance of the terms, 2026-11-20T12:00:00.000"
    )
    assert reasons(found, Rules(definitions, not_before=parse_day("2026-11-21")))[1] == (
        "fate: 2026-11-20 lies before aggregation.not_before, 2026-11-21, so it counts as done"
    )


def test_what_comes_again_says_so(definitions: Definitions, store: Store) -> None:
    """An event of a day whose events were removed is expired for that, and not for its age."""
    (event,), rules = store(PAGE), Rules(definitions, max_age_days=1)
    counted = count(Facts(0, removed_through=event.day), (event,), NIGHT, rules)
    assert why_not_counted(event, counted, NIGHT, rules) == (
        "it expired: events of 2026-11-20 were counted and removed since, by retention or a"
        " withdrawal, and it may be one of them that came again"
    )


def test_an_event_that_broke_a_measure_says_how(definitions: Definitions, store: Store) -> None:
    """A failed event tells the error's last line; the others of its day are counted."""
    found = store(PAGE, {**PAGE, "target": "bad"})
    assert reasons(found, Rules(definitions, daily=(brittle,))) == {
        2: "fate: it broke a measure and was set aside, which is a bug of ours:"
        " ValueError: bad is no page"
    }


def test_an_error_without_words_says_so(definitions: Definitions, store: Store) -> None:
    """Where all that is kept of an error is blank, no words are made up for it."""

    @measure("navigation-count-daily", groups=1)
    def mute(day: Day) -> Iterator[Observation]:
        raise ValueError(" " * 3000)
        yield Observation()

    assert reasons(store(PAGE), Rules(definitions, daily=(mute,))) == {
        1: "fate: it broke a measure and was set aside, which is a bug of ours:"
        " for an unknown reason"
    }


def test_what_was_done_under_another_setting_is_told_without_its_date(
    definitions: Definitions, store: Store
) -> None:
    """An event that counts as done by a limit that is no longer set says so without a date."""
    (event,) = store(PAGE)
    then = Rules(definitions, not_before=parse_day("2026-11-21"))
    counted = count(Facts(0), (event,), NIGHT, then)
    assert why_not_counted(event, counted, NIGHT, Rules(definitions)) == (
        "2026-11-20 lies before aggregation.not_before, so it counts as done"
    )


def test_rows_come_with_their_events(rules: Rules, store: Store) -> None:
    """Each row stands beside its events, in their order; other types are no matter."""
    found = store(PAGE, {**PAGE, "type": "ReportFromEvent"}, {**PAGE, "target": "faq"}, PAGE)
    counted = count(Facts(0), found, NIGHT, rules)
    told = explain_day("navigation-count-daily", counted, found, NIGHT, rules)
    assert [[event.seq for event in events] for _, events in told.rows] == [[1, 4], [3]]
    assert [(item.event.seq, item.kind) for item in told.absent] == [(2, "type")]
    assert told.absent[0].reason == "the measure does not look at ReportFromEvent"


def test_every_measure_explains_every_event_once(rules: Rules, store: Store) -> None:
    """Whatever the measure, an event is in its rows or absent."""
    found = store(
        PAGE,
        {**PAGE, "type": "ConnectionEvent"},
        {**PAGE, "type": "QuizEndEvent", "result": "9"},
        {**PAGE, "type": "ChallengeLaunchEvent"},
    )
    counted = count(Facts(0), found, NIGHT, rules)
    for one in DAILY:
        told = explain_day(one.name, counted, found, NIGHT, rules)
        seqs = [event.seq for _, events in told.rows for event in events]
        assert sorted([*seqs, *(item.event.seq for item in told.absent)]) == [1, 2, 3, 4]


OCTOBER = parse_month("2026-10")


def test_a_month_rests_on_facts_in_words() -> None:
    """What a monthly measure rests on beside events is told with sums, units and days."""
    month = Month(
        Facts(0, first_connection=parse_day("2026-02-10") * DAY_MS),
        OCTOBER,
        subscribed=False,
        profile=Profile(heating="gas", hot_water="gas"),
        consumption={"electricity": Consumption(31, 248_125), "water": Consumption(30, 9_000)},
        consumption_before={"electricity": Consumption(30, 300_000)},
        has_half_hours=True,
    )
    assert facts_of_month("consumption-variation-monthly", month) == [
        "first connection: 2026-02-10T00:00:00.000",
        "electricity: 2026-09 300 kWh on 30 of 30 days, 2026-10 248.125 kWh on 31 of 31 days",
        "water: 2026-09 0 litres on 0 of 30 days, 2026-10 9 litres on 30 of 31 days",
        "gas: 2026-09 0 kWh on 0 of 30 days, 2026-10 0 kWh on 0 of 31 days",
        "profile: heating by gas, hot water by gas",
    ]
    assert facts_of_month("summary-subscription-monthly", month) == [
        "subscribed to the monthly summary at the end of 2026-10-31: no"
    ]
    assert facts_of_month("fluid-data-granularity-monthly", month) == [
        "a half-hour value of electricity begins in 2026-10: yes"
    ]
    assert facts_of_month("profile-count-monthly", month) == []


def test_a_month_of_which_nothing_is_known_says_so() -> None:
    """What the host never said is told as unknown, not as a no."""
    month = Month(Facts(0), OCTOBER)
    first, *_, profile = facts_of_month("consumption-variation-monthly", month)
    assert (first, profile) == ("first connection: unknown", "profile: unknown")
    assert facts_of_month("summary-subscription-monthly", month) == [
        "subscribed to the monthly summary at the end of 2026-10-31: never said"
    ]
    assert facts_of_month("summary-subscription-monthly", replace(month, subscribed=True)) == [
        "subscribed to the monthly summary at the end of 2026-10-31: yes"
    ]
    assert facts_of_month("fluid-data-granularity-monthly", month) == [
        "a half-hour value of electricity begins in 2026-10: no"
    ]


def test_an_event_that_broke_a_measure_of_a_month_says_how(
    definitions: Definitions, store: Store
) -> None:
    """It is absent with the error's last line, and the others of the month are in the row."""

    @measure("connection-count-monthly", groups=0, rows="each")
    def brittle_month(month: Month) -> Iterator[Observation]:
        seqs = tuple(event.seq for event in month.of("NavigationEvent") if event.target != "bad")
        if len(seqs) < len(month.events):
            raise ValueError("bad is no page")
        yield Observation((), len(seqs), seqs)

    month = Month(Facts(0), OCTOBER, events=tuple(store(PAGE, {**PAGE, "target": "bad"})))
    counted = count_month(month, Rules(definitions, monthly=(brittle_month,)))
    told = explain_month("connection-count-monthly", counted, month)
    assert [[event.seq for event in events] for _, events in told.rows] == [[1]]
    (absent,) = told.absent
    assert (absent.event.seq, absent.kind) == (2, "fate")
    assert absent.reason == (
        "it broke a measure and was set aside, which is a bug of ours: ValueError: bad is no page"
    )


def test_of_earlier_months_only_what_matters_is_told(rules: Rules, store: Store) -> None:
    """Events of a whole life that are in no row are told only by a measure that looked at them."""
    attempt = {"type": "KonnectorAttemptEvent", "target": "grdf", "result": "success"}
    ever = tuple(
        store(
            {**attempt, "eventDate": "2026-09-01T10:00"},
            {**PAGE, "type": "ProfileSetEvent", "eventDate": "2026-09-02T10:00"},
        )
    )
    month = Month(Facts(0), OCTOBER, ever=ever)
    counted = count_month(month, rules)
    told = explain_month("konnector-attempts-monthly", counted, month)
    assert [(item.event.seq, item.kind, item.reason) for item in told.absent] == [
        (1, "rule", "gas had its first success before the month")
    ]
    assert explain_month("connection-count-monthly", counted, month).absent == ()
    assert told.missing == ()


@pytest.mark.parametrize(
    ("rule", "words"),
    [
        (GroupRule("device", values=("mobile", "desktop")), "mobile, desktop"),
        (GroupRule("id", values=("none",), pattern="[A-Z]"), "none, or text like [A-Z]"),
        (GroupRule("pages", up_to=999, above="1000+"), "0 to 999, then 1000+"),
        (GroupRule("uses", subset=("a", "b")), "some of a, b, in this order, joined by ':'"),
    ],
)
def test_a_group_says_what_it_allows(rule: GroupRule, words: str) -> None:
    """Each kind of rule is told in words."""
    assert rule.allowed == words


def test_states_are_the_last_ones_before_a_moment() -> None:
    """Of each fluid the last state before a moment is given, connected or not, in fixed order."""
    states: list[Any] = [
        KonnectorState("gas", 10, connected=True),
        KonnectorState("electricity", 5, connected=True),
        KonnectorState("gas", 20, connected=False),
        KonnectorState("water", 30, connected=True),
    ]
    assert states_at(states, 30) == [states[1], states[2]]
