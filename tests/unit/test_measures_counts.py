"""The daily measures that count: one row for each set of groups, its value the number of events."""

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import pytest

from ecolyo_worker.clock import day_start, parse_day
from ecolyo_worker.events import Event
from ecolyo_worker.measures import (
    Day,
    Facts,
    Measure,
    Observation,
    Rules,
    count,
    count_connected,
    measure,
)

Seen = Callable[..., list[tuple[Any, ...]]]


def at(time: str, kind: str, **fields: Any) -> dict[str, Any]:
    return {"type": kind, "eventDate": f"2026-11-20T{time}", **fields}


def test_connections_are_counted_by_device(seen: Seen) -> None:
    """5.1: one row for each device, its value the number of ConnectionEvents."""
    rows = seen(
        "connection-count-daily",
        at("08:00", "ConnectionEvent", context="mobile"),
        at("09:00", "ConnectionEvent", context=" Mobile "),
        at("10:00", "ConnectionEvent", context="desktop"),
        at("11:00", "ConnectionEvent"),
        at("12:00", "NavigationEvent", context="mobile"),
    )
    assert rows == [(2, "mobile"), (2, "desktop")]


def test_the_rows_of_a_measure_are_in_the_order_of_events(seen: Seen) -> None:
    """Rows stand in the order in which their groups are first seen, not in that of arrival."""
    rows = seen(
        "connection-count-daily",
        at("10:00", "ConnectionEvent", context="mobile"),
        at("09:00", "ConnectionEvent", context="desktop"),
    )
    assert rows == [(1, "desktop"), (1, "mobile")]


def test_konnector_events_are_counted_by_slug_kind_and_result(seen: Seen) -> None:
    """5.2: connect events are `connexion`, refresh events are `refresh`."""
    rows = seen(
        "konnector-event-daily",
        at("08:00", "KonnectorConnectEvent", target="enedis", result="error"),
        at("08:01", "KonnectorConnectEvent", target="enedis", result="error"),
        at("08:02", "KonnectorConnectEvent", target="enedis", result="success"),
        at("08:03", "KonnectorRefreshEvent", target="enedis", result="success"),
        at("08:04", "KonnectorRefreshEvent", target="grdf", result="success"),
        at("08:05", "KonnectorAttemptEvent", target="grdf", result="success"),
    )
    assert rows == [
        (2, "enedis", "connexion", "error"),
        (1, "enedis", "connexion", "success"),
        (1, "enedis", "refresh", "success"),
        (1, "grdf", "refresh", "success"),
    ]


@pytest.mark.parametrize(
    ("result", "status"),
    [
        ("success", "success"),
        ("SUCCESS", "success"),
        (" Error\n", "error"),
        ("failed", "other"),
        ("success!", "other"),
        (None, "other"),
        ("", "other"),
        (1, "other"),
    ],
)
def test_a_status_is_the_result_in_lower_case(seen: Seen, result: object, status: str) -> None:
    """5.2: the status is success or error, whatever the case it came in; all else is `other`."""
    event = at("08:00", "KonnectorRefreshEvent", target="egl", result=result)
    assert seen("konnector-event-daily", event) == [(1, "egl", "refresh", status)]


@pytest.mark.parametrize(
    ("target", "slug"), [(" egl ", "egl"), ("Enedis", "other"), (None, "other"), ("a b", "other")]
)
def test_a_slug_is_sent_if_it_is_one(seen: Seen, target: str | None, slug: str) -> None:
    """5.2: a slug is trimmed, and its case is not changed to make it fit."""
    event = at("08:00", "KonnectorRefreshEvent", target=target, result="success")
    assert seen("konnector-event-daily", event) == [(1, slug, "refresh", "success")]


def test_pages_are_counted(seen: Seen) -> None:
    """5.4: one row for each page; pages that are not in the list are one row `other`."""
    targets = ["gas", "legalNotice", "gas", "alice@example.org", " gas", None, "profile", "faq"]
    events = [at(f"08:{n:02}", "NavigationEvent", target=page) for n, page in enumerate(targets)]
    rows = seen("navigation-count-daily", *events)
    assert rows == [(3, "gas"), (1, "legalNotice"), (3, "other"), (1, "faq")]


def test_challenge_launches_are_counted(seen: Seen) -> None:
    """5.5: one row for each challenge; a launch without a target is one of `none`."""
    rows = seen(
        "challenge-launch-daily",
        at("08:00", "ChallengeLaunchEvent", target="CHALLENGE0001"),
        at("08:01", "ChallengeLaunchEvent", target="CHALLENGE0002"),
        at("08:02", "ChallengeLaunchEvent", target="CHALLENGE0001"),
        at("08:03", "ChallengeLaunchEvent"),
        at("08:04", "ChallengeLaunchEvent", target="mine"),
        at("08:05", "DuelLaunchEvent", target="DUEL001"),
    )
    assert rows == [(2, "CHALLENGE0001"), (1, "CHALLENGE0002"), (1, "none"), (1, "other")]


@pytest.mark.parametrize(
    ("kind", "target", "context", "groups"),
    [
        ("ConsumptionChangeTimeStepEvent", "week", "gas", ("gas", "week")),
        ("ConsumptionChangeTimeStepEvent", None, "gas", ("gas", "none")),
        ("ConsumptionChangeTimeStepEvent", "minute", None, ("other", "other")),
        ("ConsumptionCompareEvent", "half_an_hour", "multifluid", ("multifluid", "half_an_hour")),
        ("ConsumptionCompareEvent", "year", "eau", ("other", "year")),
        ("ActionChangeEvent", "ACTION0001", "CHALLENGE0001", ("challenges", "ACTION0001")),
        ("ActionChangeEvent", None, "gas", ("challenges", "none")),
        ("ActionChangeEvent", "wash cold", None, ("challenges", "other")),
        ("ProfileSetEvent", None, None, ("profile", "none")),
        ("ProfileSetEvent", "day", "gas", ("profile", "none")),
    ],
)
def test_actions_by_page_feature_and_params(
    seen: Seen, kind: str, target: str | None, context: str | None, groups: tuple[str, str]
) -> None:
    """5.7: each of the four types has its page and its params; the feature is the type."""
    event = at("08:00", kind, target=target, context=context)
    page, params = groups
    assert seen("navigation-action-daily", event) == [(1, page, kind, params)]


def test_equal_actions_are_one_row(seen: Seen) -> None:
    """5.7: events with equal page, feature and params add up, other types are left out."""
    steps = ["day", "week", "day", "day"]
    rows = seen(
        "navigation-action-daily",
        *[at("08:00", "ConsumptionCompareEvent", target=s, context="water") for s in steps],
        at("08:00", "ConsumptionChangeTimeStepEvent", target="day", context="water"),
        at("08:00", "ActionEndEvent", target="ACTION0001"),
        at("08:00", "NavigationEvent", target="water"),
    )
    assert rows == [
        (3, "water", "ConsumptionCompareEvent", "day"),
        (1, "water", "ConsumptionCompareEvent", "week"),
        (1, "water", "ConsumptionChangeTimeStepEvent", "day"),
    ]


@pytest.mark.parametrize(
    ("result", "stars"),
    [(n, n) for n in range(6)]
    + [("0", 0), (" 3\n", 3), (4.0, 4)]
    + [(result, None) for result in (6, -1, 4.5, "4.0", "05", "five", "٤", "", None, "3/5")],
)
def test_a_quiz_has_as_many_stars_as_its_result(
    seen: Seen, result: object, stars: int | None
) -> None:
    """5.9: a quiz whose result is one digit from 0 to 5 makes a row of it, another makes none."""
    event = at("08:00", "QuizEndEvent", target="QUIZ0001", context="CHALLENGE0001", result=result)
    rows = [] if stars is None else [(stars, "CHALLENGE0001", "QUIZ0001")]
    assert seen("quiz-stars", event) == rows


def test_every_try_of_a_quiz_is_a_row(seen: Seen) -> None:
    """5.9: equal quizzes are a row each, for a quiz can be tried again."""
    quiz: dict[str, Any] = {"target": "QUIZ1", "result": 5, "startDate": "2026-11-20T07:00"}
    rows = seen(
        "quiz-stars", at("08:00", "QuizEndEvent", **quiz), at("09:00", "QuizEndEvent", **quiz)
    )
    assert rows == [(5, "none", "QUIZ1"), (5, "none", "QUIZ1")]


@pytest.mark.parametrize(
    ("connected", "categories"),
    [
        (("electricity",), "electricity"),
        (("electricity", "gas"), "electricity:gas"),
        (("electricity", "water", "gas"), "electricity:water:gas"),
    ],
)
def test_a_connected_home_is_one_row(
    rules: Rules, connected: tuple[str, ...], categories: str
) -> None:
    """5.3: a day with connected fluids is one row of 1, named by all of them."""
    (row,) = count_connected(connected, parse_day("2026-11-20"), rules)
    assert row.ordinal == 0
    assert (
        row.indicator.encode()
        == (
            '{"createdBy":"ecolyo","measureName":"konnector-connected-daily",'
            f'"startDate":"2026-11-20","value":1,"group1":{{"categories":"{categories}"}}}}'
        ).encode()
    )


def test_a_home_without_connection_is_no_row(rules: Rules) -> None:
    """5.3: when no fluid is connected at the end of the day there is nothing to send."""
    assert count_connected((), parse_day("2026-11-20"), rules) == ()


@pytest.mark.parametrize("kind", ["DuelLaunchEvent", "KonnectorAttemptEvent", "ReportFromEvent"])
def test_some_events_make_no_daily_row(seen: Seen, rules: Rules, kind: str) -> None:
    """Types that feed no daily measure of their own make no row on their own."""
    event = at("08:00", kind, target="DUEL1", result="success", startDate="2026-11-20T07:00")
    assert all(seen(measure.name, event) == [] for measure in rules.daily)


def test_a_measure_is_counted_unless_it_says_each() -> None:
    """What a function observes is added up where nothing else is said."""

    def observe(day: Day) -> Iterator[Observation]:
        yield Observation((str(len(day.events)),))

    assert measure("pages", groups=1)(observe) == Measure("pages", 1, observe, "count")
    assert measure("pages", 1, "each")(observe) == Measure("pages", 1, observe, "each")


def test_a_rule_is_the_docstring_of_its_function() -> None:
    """Its first sentence goes on with the paragraph below; line breaks within one are blanks."""

    def observe(day: Day) -> Iterator[Observation]:
        """Pages count.

        Each
        once.

        More is said here.

        And here.
        """
        yield from ()

    made = measure("pages", groups=1)(observe)
    assert made.rule == "Pages count. Each once.\n\nMore is said here.\n\nAnd here."
    observe.__doc__ = None
    assert made.rule == ""


def test_each_row_names_its_events(rules: Rules, store: Callable[..., Sequence[Event]]) -> None:
    """A row knows which events it rests on, whatever its measure."""
    events = store(
        at("10:00", "ConnectionEvent"),
        at("10:01", "KonnectorConnectEvent", target="enedis", result="success"),
        at("10:02", "NavigationEvent", target="gas"),
        at("10:03", "ChallengeLaunchEvent", target="CHALLENGE0001"),
        at("10:04", "ActionChangeEvent", target="ACTION0001"),
        at("10:05", "QuizEndEvent", result="5", startDate="2026-11-20T10:04"),
        at("10:06", "NavigationEvent", target="gas"),
    )
    night = day_start(parse_day("2026-11-21"))
    counted = count(Facts(acceptance=0), events, night, rules)
    assert {row.indicator.measure_name: row.events for row in counted.rows} == {
        "connection-count-daily": (1,),
        "konnector-event-daily": (2,),
        "navigation-count-daily": (3, 7),
        "challenge-launch-daily": (4,),
        "session-duration": (1, 2, 3, 4, 5, 6, 7),
        "navigation-action-daily": (5,),
        "event-duration": (6,),
        "quiz-stars": (6,),
    }
