"""What a measure looked at and does not count is kept with the reason, beside the rows."""

from collections.abc import Callable, Sequence
from typing import Any

import pytest

from ecolyo_worker.clock import parse_month
from ecolyo_worker.events import Event
from ecolyo_worker.facts import FLUIDS
from ecolyo_worker.measures import (
    CONNECTED,
    DAILY,
    MONTHLY,
    Consumption,
    Day,
    End,
    Facts,
    LeftOut,
    Month,
    Other,
    Rules,
    count,
    count_month,
    end_key,
)

Store = Callable[..., Sequence[Event]]

NIGHT = 2_000_000_000_000
OCTOBER = parse_month("2026-10")


def at(time: str, kind: str, **fields: Any) -> dict[str, Any]:
    return {"type": kind, "eventDate": f"2026-11-20T{time}", **fields}


def on(day: int, kind: str, **fields: Any) -> dict[str, Any]:
    return {"type": kind, "eventDate": f"2026-10-{day:02}T10:00", **fields}


@pytest.fixture
def left_out(rules: Rules, store: Store) -> Callable[..., dict[int | None, str]]:
    """Give the reason by `seq` for which a measure of the day leaves something out."""

    def reasons(measure: str, *found: dict[str, Any], **facts: Any) -> dict[int | None, str]:
        wide = Rules(rules.definitions, max_age_days=100_000)
        counted = count(Facts(**{"acceptance": 0, **facts}), store(*found), NIGHT, wide)
        return {item.event: item.reason for item in counted.left_out.get(measure, ())}

    return reasons


LAUNCH = at("10:00", "ChallengeLaunchEvent", target="CHALLENGE0001")
END = at("10:00", "QuizEndEvent", target="QUIZ0001", startDate="2026-11-20T09:00")


@pytest.mark.parametrize(
    ("measure", "events", "reasons"),
    [
        (
            "session-duration",
            [at("09:00", "NavigationEvent"), at("10:00", "ConnectionEvent")],
            {1: "it comes before the first ConnectionEvent of the day"},
        ),
        (
            "quiz-stars",
            [at("10:00", "QuizEndEvent", result="7"), at("11:00", "QuizEndEvent", result="5")],
            {1: "its result is no digit from 0 to 5: '7'"},
        ),
        (
            "event-duration",
            [END, {**END, "eventDate": "2026-11-20T11:00"}],
            {2: "an equal end (type, target, startDate) was there before it"},
        ),
        (
            "event-duration",
            [at("10:00", "QuizEndEvent"), at("10:01", "QuizEndEvent", startDate="long ago")],
            {1: "it has no startDate", 2: "its startDate cannot be read: 'long ago'"},
        ),
        (
            "event-duration",
            [at("10:00", "QuizEndEvent", startDate="2026-11-22")],
            {1: "its startDate is later than its own time by more than 24 hours"},
        ),
        (
            "event-duration",
            [at("10:00", "QuizEndEvent", startDate="0900-01-01")],
            {1: "its value, 35561066400, is too large to be sent: 1e10 or more"},
        ),
        (
            "event-duration",
            [{**END, "target": target, "startDate": "0900-01-01"} for target in ("Q1", "Q2")],
            dict.fromkeys((1, 2), "its value, 35561066400, is too large to be sent: 1e10 or more"),
        ),
    ],
)
def test_an_event_of_a_day_is_left_out_for_a_reason(
    left_out: Callable[..., dict[int | None, str]],
    measure: str,
    events: list[dict[str, Any]],
    reasons: dict[int | None, str],
) -> None:
    """Each event that a daily measure looks at and does not count comes with the reason."""
    assert left_out(measure, *events) == reasons


@pytest.mark.parametrize(
    ("facts", "reason"),
    [
        (
            {"launch_row": 9, "first_launch": (0, 9)},
            "the first challenge of this home has its row already",
        ),
        ({"first_launch": (0, 9)}, "it is not the first challenge launched in this home"),
        ({}, "it is not the first challenge launched in this home"),
        ({"first_launch": "own"}, "it is the first challenge, but the first connection is unknown"),
    ],
)
def test_a_launch_without_a_row_says_why(
    left_out: Callable[..., dict[int | None, str]],
    store: Store,
    facts: dict[str, Any],
    reason: str,
) -> None:
    """Of a launch that makes no duration it is told what it lacks."""
    if facts.get("first_launch") == "own":
        facts = {"first_launch": store(LAUNCH)[0].order}
    assert left_out("event-duration", LAUNCH, **facts) == {1: reason}


@pytest.mark.parametrize(
    ("later_ms", "known"),
    [(0, {"counted": 9, "row": 9}), (1, {"counted": 9, "row": 9}), (0, {"row": 9})],
)
def test_an_end_that_comes_late_says_so(
    left_out: Callable[..., dict[int | None, str]],
    store: Store,
    later_ms: int,
    known: dict[str, int],
) -> None:
    """The first of equal ends that comes after one was counted is told from a later one."""
    (end,) = store(END)
    first = (end.time + later_ms, end.seq)
    assert left_out("event-duration", END, ends={end_key(end): End(first, **known)}) == {
        1: "it comes late: an equal end (type, target, startDate) was counted before it"
    }


def test_a_day_without_a_connected_fluid_says_so() -> None:
    """The one measure that needs no event tells what it lacks instead."""
    assert list(CONNECTED.observe(Day(Facts(acceptance=0), ()))) == [
        LeftOut(None, "no fluid is connected at the end of the day")
    ]


def test_a_row_knows_what_became_other_in_it(rules: Rules, store: Store) -> None:
    """Beside `other` stands what came, each text once, in the order in which it came."""
    pages = [at("10:00", "NavigationEvent", target=t) for t in ("Gas", None, "Gas", "gas", "Öl")]
    (gas, other) = sorted(
        (
            row
            for row in count(Facts(acceptance=0), store(*pages), NIGHT, _wide(rules)).rows
            if row.indicator.measure_name == "navigation-count-daily"
        ),
        key=lambda row: row.indicator.value,
    )
    assert gas.others == ()
    # A measure of which each value is a row has none either.
    (ended,) = count(Facts(acceptance=0), store(END), NIGHT, _wide(rules)).rows
    assert ended.others == ()
    assert other.others == (Other("page", "Gas"), Other("page", None), Other("page", "Öl"))
    assert other.indicator.value == 4


def _wide(rules: Rules) -> Rules:
    return Rules(rules.definitions, max_age_days=100_000)


def month(store: Store, *found: dict[str, Any], **known: Any) -> Month:
    events = tuple(store(*found))
    facts = Facts(acceptance=0, first_connection=known.pop("first_connection", None))
    return Month(facts, OCTOBER, events=events, ever=events, **known)


COMPLETE = {fluid: Consumption(31, 100) for fluid in FLUIDS}


@pytest.mark.parametrize(
    ("known", "reasons"),
    [
        ({}, [LeftOut(1, "the first connection is unknown")]),
        (
            {
                "first_connection": 0,
                "consumption": {**COMPLETE, "gas": Consumption(30, 9)},
                "consumption_before": {
                    "electricity": Consumption(30, 80),
                    "gas": Consumption(30, 80),
                    "water": Consumption(30, 0),
                },
            },
            [
                LeftOut(None, "water: the sum of 2026-09 is 0"),
                LeftOut(None, "gas: 2026-10 has a value for 30 of its 31 days"),
            ],
        ),
        (
            {"first_connection": 0},
            [
                LeftOut(None, "electricity: 2026-09 has a value for 0 of its 30 days"),
                LeftOut(None, "water: 2026-09 has a value for 0 of its 30 days"),
                LeftOut(None, "gas: 2026-09 has a value for 0 of its 30 days"),
                LeftOut(1, "no fluid has two complete months"),
            ],
        ),
    ],
)
def test_a_variation_that_is_missing_says_why(
    rules: Rules, store: Store, known: dict[str, Any], reasons: list[LeftOut]
) -> None:
    """Of each fluid without a row it is told what its months lack."""
    counted = count_month(month(store, on(3, "ConnectionEvent"), **known), rules)
    assert list(counted.left_out["consumption-variation-monthly"]) == reasons


def attempt(day: int, target: str, result: str = "error") -> dict[str, Any]:
    return on(day, "KonnectorAttemptEvent", target=target, result=result)


def test_an_attempt_without_a_row_says_why(rules: Rules, store: Store) -> None:
    """Attempts on unknown konnectors, after a success, and of connected fluids are told apart."""
    september = {**attempt(1, "grdf", "success"), "eventDate": "2026-09-01T10:00"}
    august = {**attempt(1, "egl"), "eventDate": "2026-08-01T10:00"}
    found = [
        attempt(2, "Enedis"),
        attempt(3, "enedis", "success"),
        attempt(4, "enedis"),
        september,
        attempt(5, "grdf"),
        august,
    ]
    counted = count_month(month(store, *found), rules)
    reasons = {i.event: i.reason for i in counted.left_out["konnector-attempts-monthly"]}
    assert reasons == {
        1: "its target begins like no known konnector: 'Enedis'",
        3: "electricity had its first success before it",
        4: "gas had its first success before the month",
        5: "gas had its first success before it",
        6: "water has no attempt in the month",
    }


def test_an_empty_month_says_what_is_missing(rules: Rules, store: Store) -> None:
    """A measure that makes no row of a month without events says what it would need."""
    left_out = count_month(month(store), rules).left_out
    assert {name: [item.reason for item in items] for name, items in left_out.items()} == {
        "consumption-variation-monthly": ["there is no ConnectionEvent in the month"],
        "summary-subscription-monthly": [
            "subscription: by the end of the month the host had not said it",
            "analysis: there is no ReportFromEvent in the month",
        ],
        "profile-count-monthly": ["there was no ProfileSetEvent up to the end of the month"],
        "konnector-attempts-monthly": [
            "there was no attempt to connect up to the end of the month"
        ],
    }


@pytest.mark.parametrize("measure", [*DAILY, *MONTHLY], ids=lambda measure: measure.name)
def test_a_rule_is_told_in_sentences(measure: Any) -> None:
    """Each measure's rule is whole sentences, paragraph by paragraph, without line breaks."""
    for paragraph in measure.rule.split("\n\n"):
        assert paragraph.endswith(".")
        assert "\n" not in paragraph
        assert len(paragraph) > 40
