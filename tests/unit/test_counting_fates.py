"""What becomes of each event of a day when it is counted, and what the facts are after it."""

from collections.abc import Callable, Sequence
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from ecolyo_worker.clock import parse_civil, parse_day
from ecolyo_worker.events import Event
from ecolyo_worker.indicators import Definitions
from ecolyo_worker.measures import Counted, End, EndKey, Facts, Rules, count
from ecolyo_worker.measures.period import end_key

Store = Callable[..., Sequence[Event]]
PARIS = ZoneInfo("Europe/Paris")


def civil(text: str) -> int:
    return parse_civil(text, PARIS, zulu_is_wall=True)


NIGHT = civil("2026-11-21T01:00")
START = "2026-11-20T09:00"


def at(time: str, kind: str = "NavigationEvent", **fields: Any) -> dict[str, Any]:
    return {"type": kind, "eventDate": f"2026-11-20T{time}", **fields}


def values(counted: Counted, measure: str) -> list[int | float]:
    made = [row.indicator for row in counted.rows]
    return [indicator.value for indicator in made if indicator.measure_name == measure]


def test_a_day_without_events_is_nothing(rules: Rules) -> None:
    """Of no events there are no rows and no fates, and the facts stay what they were."""
    facts = Facts(acceptance=0)
    counted = count(facts, (), NIGHT, rules)
    assert (counted.rows, counted.fates, counted.facts) == ((), {}, facts)


def test_every_event_has_one_fate(store: Store, rules: Rules) -> None:
    """Each event given is passed over once, those that make no row as well."""
    events = store(at("10:00"), at("11:00", "DuelLaunchEvent"), at("12:00", aggregated=True))
    counted = count(Facts(acceptance=0), events, NIGHT, rules)
    assert counted.fates == {1: "counted", 2: "counted", 3: "imported"}
    assert values(counted, "navigation-count-daily") == [1]


@pytest.mark.parametrize(
    ("accepted", "fate"),
    [
        ("2026-11-20T09:59:59.999", "counted"),
        ("2026-11-20T10:00", "counted"),
        ("2026-11-20T10:00:00.001", "unconsented"),
        ("2026-11-20T10:00:01", "unconsented"),
        ("2026-11-20T23:00", "unconsented"),
    ],
)
def test_there_is_no_grace_before_the_acceptance(
    store: Store, rules: Rules, accepted: str, fate: str
) -> None:
    """An event at the acceptance is counted, one the least time before it is not."""
    counted = count(Facts(acceptance=civil(accepted)), store(at("10:00")), NIGHT, rules)
    assert counted.fates == {1: fate}
    assert len(counted.rows) == (fate == "counted")


@pytest.mark.parametrize(
    ("run", "max_age_days", "fate"),
    [
        ("2026-11-21T00:00", 31, "counted"),
        ("2026-12-21T23:59:59.999", 31, "counted"),
        ("2026-12-22T00:00", 31, "expired"),
        ("2027-06-01T01:00", 31, "expired"),
        ("2026-11-21T23:00", 1, "counted"),
        ("2026-11-22T00:00", 1, "expired"),
        ("2027-11-21T01:00", 366, "counted"),
        ("2027-11-22T01:00", 366, "expired"),
    ],
)
def test_a_day_expires_after_so_many_days(
    store: Store, definitions: Definitions, run: str, max_age_days: int, fate: str
) -> None:
    """A day more than `max_age_days` civil days before the run's day is expired."""
    rules = Rules(definitions, max_age_days=max_age_days)
    counted = count(Facts(acceptance=0), store(at("10:00")), civil(run), rules)
    assert counted.fates == {1: fate}
    assert len(counted.rows) == (fate == "counted")


@pytest.mark.parametrize(
    ("day", "fate"),
    [("2026-11-19", "counted"), ("2026-11-20", "counted"), ("2026-11-21", "imported")],
)
def test_days_before_not_before_are_done(
    store: Store, definitions: Definitions, day: str, fate: str
) -> None:
    """What lies before the day of `not_before` was counted by the older system."""
    rules = Rules(definitions, not_before=parse_day(day))
    counted = count(Facts(acceptance=0), store(at("10:00")), NIGHT, rules)
    assert counted.fates == {1: fate}
    assert len(counted.rows) == (fate == "counted")


def test_what_was_counted_elsewhere_is_imported_above_all(
    store: Store, definitions: Definitions
) -> None:
    """An `aggregated` event is imported, even if it is also old and without consent."""
    rules = Rules(definitions, max_age_days=1)
    events = store(at("10:00", aggregated=True), at("10:01"))
    counted = count(Facts(acceptance=NIGHT), events, civil("2027-01-01T01:00"), rules)
    assert counted.fates == {1: "imported", 2: "unconsented"}


def test_values_that_are_not_allowed_are_counted(store: Store, rules: Rules) -> None:
    """Each group value sent as `other` is told by its group, before equal rows are added up."""
    events = store(
        at("10:00", target="home"),
        at("10:01", target="secret"),
        at("10:02", target="gas"),
        at("10:03", "KonnectorRefreshEvent", target="Enedis", result="maybe"),
    )
    counted = count(Facts(acceptance=0), events, NIGHT, rules)
    assert counted.others == {
        "navigation-count-daily.page": 2,
        "konnector-event-daily.slug": 1,
        "konnector-event-daily.status": 1,
    }
    assert values(counted, "navigation-count-daily") == [2, 1]


def test_rows_are_numbered_by_measure(store: Store, rules: Rules) -> None:
    """The ordinal of a row is its place among those of its measure."""
    events = store(
        at("10:00", "ConnectionEvent", context="mobile"),
        at("10:01", "ConnectionEvent", context="desktop"),
        at("10:02", target="gas"),
    )
    rows = count(Facts(acceptance=0), events, NIGHT, rules).rows
    assert [(row.indicator.measure_name, row.ordinal) for row in rows] == [
        ("connection-count-daily", 0),
        ("connection-count-daily", 1),
        ("navigation-count-daily", 0),
        ("session-duration", 0),
        ("session-duration", 1),
    ]
    assert {row.indicator.start_date for row in rows} == {"2026-11-20"}


LATE = [
    ([at("10:30", target="gas")], {"navigation-count-daily": [1]}),
    (
        [at("10:30", "ConnectionEvent")],
        {"connection-count-daily": [1], "session-duration": [0]},
    ),
    (
        [at("10:30", "ConnectionEvent"), at("10:31", target="gas")],
        {"connection-count-daily": [1], "navigation-count-daily": [1], "session-duration": [60]},
    ),
    ([at("10:30", "DuelLaunchEvent")], {}),
]


@pytest.mark.parametrize(("late", "made"), LATE)
def test_late_events_are_a_supplement(
    store: Store, rules: Rules, late: list[dict[str, Any]], made: dict[str, list[int]]
) -> None:
    """Late events are counted alone: a session is made only for a late ConnectionEvent."""
    early = store(at("10:00", "ConnectionEvent"), at("11:00", target="gas"))
    first = count(Facts(acceptance=0), early, NIGHT, rules)
    assert values(first, "session-duration") == [3600]
    second = count(first.facts, store(*late, first_seq=3), NIGHT, rules)
    found = {row.indicator.measure_name for row in second.rows}
    assert {measure: values(second, measure) for measure in sorted(found)} == made


QUIZ = {"kind": "QuizEndEvent", "target": "QUIZ1", "startDate": START}
KEY = ("QuizEndEvent", "QUIZ1", civil(START))


def place(time: str, seq: int) -> tuple[int, int]:
    return civil(f"2026-11-20T{time}"), seq


@pytest.mark.parametrize("known", [{}, {KEY: End(place("10:00", 1))}])
def test_a_counted_end_is_remembered(store: Store, rules: Rules, known: dict[EndKey, End]) -> None:
    """After the counting it is known which of the equal ends was counted, and made the row."""
    facts = Facts(acceptance=0, ends=known)
    events = store(at("10:00", **QUIZ), at("11:00", **QUIZ), at("09:30"))
    after = count(facts, events, NIGHT, rules).facts
    assert after.ends == {KEY: End(place("10:00", 1), counted=1, row=1)}


def test_an_equal_end_that_arrives_late_makes_no_row(store: Store, rules: Rules) -> None:
    """An equal end makes no row in a supplement, whether it is earlier or later."""
    facts = Facts(acceptance=0, ends={KEY: End(place("10:00", 1))})
    first = count(facts, store(at("10:00", **QUIZ)), NIGHT, rules)
    assert values(first, "event-duration") == [3600]
    for time, found in [("11:00", place("10:00", 1)), ("09:30", place("09:30", 2))]:
        known = Facts(acceptance=0, ends={KEY: End(found, counted=1, row=1)})
        late = count(known, store(at(time, **QUIZ), first_seq=2), NIGHT, rules)
        assert values(late, "event-duration") == []
        assert late.fates == {2: "counted"}
        assert late.facts.ends[KEY] == End(found, counted=1, row=1)


@pytest.mark.parametrize(
    ("accepted", "aggregated", "fate"),
    [(START, True, "imported"), ("2026-11-20T10:30", False, "unconsented")],
)
def test_what_is_not_counted_hides_its_equals(
    store: Store, rules: Rules, accepted: str, aggregated: bool, fate: str
) -> None:
    """The first of equal ends can make a row and no other, though it is never counted itself."""
    facts = Facts(acceptance=civil(accepted), ends={KEY: End(place("10:00", 1))})
    events = store(at("10:00", aggregated=aggregated, **QUIZ), at("11:00", **QUIZ))
    counted = count(facts, events, NIGHT, rules)
    assert counted.fates == {1: fate, 2: "counted"}
    assert values(counted, "event-duration") == []
    assert counted.facts.ends[KEY] == End(place("10:00", 1), counted=2, row=None)


def test_the_first_launch_is_remembered_by_its_row(store: Store, rules: Rules) -> None:
    """The launch that made the row is kept, and no launch that comes later makes another."""
    launch = {"kind": "ChallengeLaunchEvent", "target": "CHALLENGE1"}
    facts = Facts(acceptance=0, first_connection=civil(START), first_launch=place("10:00", 1))
    first = count(facts, store(at("10:00", **launch)), NIGHT, rules)
    assert values(first, "event-duration") == [3600]
    (row,) = (row for row in first.rows if row.indicator.measure_name == "event-duration")
    assert row.events == (1,)
    assert first.facts.launch_row == 1
    earlier = Facts(
        acceptance=0,
        first_connection=civil(START),
        first_launch=place("09:30", 2),
        launch_row=first.facts.launch_row,
    )
    late = count(earlier, store(at("09:30", **launch), first_seq=2), NIGHT, rules)
    assert values(late, "event-duration") == []
    assert values(late, "challenge-launch-daily") == [1]
    assert late.facts.launch_row == 1


def test_a_first_connection_that_is_known_later_makes_no_row(store: Store, rules: Rules) -> None:
    """A launch counted without a known first connection is counted, and never makes the row."""
    launch = {"kind": "ChallengeLaunchEvent", "target": "CHALLENGE1"}
    facts = Facts(acceptance=0, first_launch=place("10:00", 1))
    counted = count(facts, store(at("10:00", **launch)), NIGHT, rules)
    assert values(counted, "event-duration") == []
    assert counted.facts.launch_row is None


def test_a_launch_that_is_not_the_first_leaves_no_fact(store: Store, rules: Rules) -> None:
    """Only the launch that made the row is remembered, not one after an earlier one."""
    launch = {"kind": "ChallengeLaunchEvent", "target": "CHALLENGE1"}
    facts = Facts(acceptance=0, first_connection=civil(START), first_launch=place("09:30", 9))
    assert count(facts, store(at("10:00", **launch)), NIGHT, rules).facts == facts


def test_what_ends_nothing_leaves_no_fact(store: Store, rules: Rules) -> None:
    """A start date on an event that is no end, or that cannot be read, is no fact."""
    facts = Facts(acceptance=0)
    events = store(at("10:00", startDate=START), at("10:00", "QuizEndEvent", startDate="soon"))
    assert count(facts, events, NIGHT, rules).facts == facts


@pytest.mark.parametrize(
    ("through", "fate"),
    [("2026-11-18", "counted"), ("2026-11-19", "counted"), ("2026-11-20", "expired")],
)
def test_a_day_whose_events_were_removed_is_not_counted_again(
    store: Store, rules: Rules, through: str, fate: str
) -> None:
    """What comes to a day up to which events were removed expires, to the midnight behind it."""
    facts = Facts(acceptance=0, removed_through=parse_day(through))
    assert count(facts, store(at("00:00")), NIGHT, rules).fates == {1: fate}


@pytest.mark.parametrize(("day", "fate"), [("2026-11-20", "counted"), ("2026-11-21", "imported")])
def test_counting_begins_with_the_midnight_of_its_first_day(
    store: Store, definitions: Definitions, day: str, fate: str
) -> None:
    """An event at the midnight with which `not_before` begins is of that day."""
    rules = Rules(definitions, not_before=parse_day(day))
    assert count(Facts(acceptance=0), store(at("00:00")), NIGHT, rules).fates == {1: fate}


@pytest.mark.parametrize(
    ("is_supplement", "counted", "rows"),
    [(False, 7, 1), (True, 7, 0), (True, None, 1), (True, 1, 1)],
)
def test_a_late_end_makes_no_row_after_an_equal_one_was_counted(
    store: Store, rules: Rules, is_supplement: bool, counted: int | None, rows: int
) -> None:
    """The first of equal ends makes the row, but not late, once another one was counted."""
    events = store(at("10:00", "DuelEndEvent", startDate=START))
    ends = {end_key(event): End(event.order, counted) for event in events}
    facts = Facts(acceptance=0, ends=ends, is_supplement=is_supplement)
    assert len(values(count(facts, events, NIGHT, rules), "event-duration")) == rows
