"""Durations of events (5.8): starts, equal ends, and the one first challenge."""

from collections.abc import Callable
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from ecolyo_worker.clock import parse_civil
from ecolyo_worker.measures import End

Seen = Callable[..., list[tuple[Any, ...]]]

NAMES = {
    "ChallengeEndEvent": "ChallengeLaunchEvent",
    "ActionEndEvent": "ActionStartEvent",
    "ExplorationEndEvent": "ExplorationStartEvent",
    "DuelEndEvent": "DuelLaunchEvent",
    "QuizEndEvent": "QuizStartEvent",
}


def civil(text: str) -> int:
    return parse_civil(text, ZoneInfo("Europe/Paris"), zulu_is_wall=True)


def at(time: str, kind: str, **fields: Any) -> dict[str, Any]:
    return {"type": kind, "eventDate": f"2026-11-20T{time}", **fields}


def ended(
    time: str, start: object, kind: str = "QuizEndEvent", target: str | None = "QUIZ1"
) -> dict[str, Any]:
    return at(time, kind, target=target, startDate=start)


def launched(time: str, target: str = "CHALLENGE1") -> dict[str, Any]:
    return at(time, "ChallengeLaunchEvent", target=target)


@pytest.mark.parametrize(("end", "start"), NAMES.items())
def test_each_end_has_its_names(seen: Seen, end: str, start: str) -> None:
    """The five end events are sent under the names of the table."""
    rows = seen("event-duration", ended("10:00", "2026-11-20T09:00", end, "THING0001"))
    assert rows == [(3600, start, end, "THING0001")]


@pytest.mark.parametrize(
    ("target", "params"), [(None, "none"), ("  ", "none"), (" QUIZ1 ", "QUIZ1"), ("quiz", "other")]
)
def test_params_are_the_target(seen: Seen, target: str | None, params: str) -> None:
    """The target is sent where it is an id, `none` where there is none."""
    rows = seen("event-duration", ended("10:00", "2026-11-20T09:59", target=target))
    assert rows == [(60, "QuizStartEvent", "QuizEndEvent", params)]


@pytest.mark.parametrize(
    ("start", "seconds"),
    [
        ("2026-11-20T09:59:59.501Z", 0),
        ("2026-11-20T09:59:59.500Z", 1),
        ("2026-11-20T09:59:58.500", 2),
        ("2026-11-20T10:00", 0),
        ("2026-11-20", 36_000),
        ("2026-11-18", 208_800),
        ("2026-11-20T09:00+02:00", 7200),
        ("2026-10-20T10:00", 31 * 86_400),
        ("2016-11-20T10:00:00Z", 3652 * 86_400),
        ("2026-11-20T10:00:00.001", 0),
        ("2026-11-20T12:00", 0),
        ("2026-11-21", 0),
        ("2026-11-21T10:00:00", 0),
        ("2026-11-21T10:00:00.001", None),
        ("2026-11-22", None),
        ("2099-01-01T00:00", None),
        ("2026-11-31", None),
        ("a while ago", None),
        ("", None),
        (None, None),
    ],
)
def test_a_duration_is_from_start_to_end(
    seen: Seen, start: str | None, seconds: int | None
) -> None:
    """Whole seconds, half up; a later start is 0 up to 24 h and nothing beyond that."""
    rows = [] if seconds is None else [(seconds, "QuizStartEvent", "QuizEndEvent", "QUIZ1")]
    assert seen("event-duration", ended("10:00", start)) == rows


@pytest.mark.parametrize("kind", ["DuelLaunchEvent", "NavigationEvent", "ReportFromEvent"])
def test_only_ends_have_a_duration(seen: Seen, kind: str) -> None:
    """A start date on an event that ends nothing makes no row."""
    assert seen("event-duration", ended("10:00", "2026-11-20T09:00", kind)) == []


def durations(rows: list[tuple[Any, ...]]) -> list[int]:
    return [row[0] for row in rows]


def test_of_equal_ends_only_the_first_makes_a_row(seen: Seen) -> None:
    """The app writes an end each time it is looked at; the first in the order of events counts."""
    start = "2026-11-20T09:00"
    rows = seen(
        "event-duration", ended("12:00", start), ended("10:00", start), ended("11:00", start)
    )
    assert durations(rows) == [3600]


@pytest.mark.parametrize(
    "other",
    [
        ended("11:00", "2026-11-20T09:30"),
        ended("11:00", "2026-11-20T09:00", target="QUIZ2"),
        ended("11:00", "2026-11-20T09:00", target="QUIZ1 "),
        ended("11:00", "2026-11-20T09:00", target=None),
        ended("11:00", "2026-11-20T09:00", "ActionEndEvent"),
    ],
)
def test_ends_are_equal_by_type_target_and_start(seen: Seen, other: dict[str, Any]) -> None:
    """An end of another type, target as it came, or start is another end."""
    assert len(seen("event-duration", ended("10:00", "2026-11-20T09:00"), other)) == 2


@pytest.mark.parametrize(
    "start", ["2026-11-20T09:00:00Z", "2026-11-20 09:00", "2026-11-20T10:00+02:00"]
)
def test_starts_are_equal_by_their_civil_time(seen: Seen, start: str) -> None:
    """The same start written in another way is the same start."""
    rows = seen("event-duration", ended("10:00", "2026-11-20T09:00"), ended("11:00", start))
    assert durations(rows) == [3600]


KEY = ("QuizEndEvent", "QUIZ1", civil("2026-11-20T09:00"))


def test_an_end_after_an_earlier_one_makes_no_row(seen: Seen) -> None:
    """If an equal end was stored before it in the order of events, whatever became of it, none."""
    earlier = End((civil("2026-11-19T10:00"), 90))
    rows = seen("event-duration", ended("10:00", "2026-11-20T09:00"), ends={KEY: earlier})
    assert rows == []


def test_ends_without_target_are_equal_too(seen: Seen) -> None:
    """Having no target makes an end equal to the others that have none."""
    key = ("QuizEndEvent", "", civil("2026-11-20T09:00"))
    end = ended("10:00", "2026-11-20T09:00", target=None)
    assert seen("event-duration", end, ends={key: End((civil("2026-11-19T10:00"), 90))}) == []


def test_a_late_end_makes_no_row_after_an_equal_one_counted(seen: Seen) -> None:
    """One that is earlier but arrives late makes none if an equal one was counted before."""
    counted = End((civil("2026-11-20T10:00"), 1), counted=90, row=90)
    rows = seen("event-duration", ended("10:00", "2026-11-20T09:00"), ends={KEY: counted})
    assert rows == []


def test_a_late_end_makes_a_row_if_none_was_counted(seen: Seen) -> None:
    """One that is earlier and arrives late makes the row while its equals still wait."""
    first = End((civil("2026-11-20T10:00"), 1))
    rows = seen("event-duration", ended("10:00", "2026-11-20T09:00"), ends={KEY: first})
    assert durations(rows) == [3600]


def test_an_end_without_a_plausible_start_hides_its_equals(seen: Seen) -> None:
    """The first of equal ends makes no row when its start is implausible, nor do the others."""
    late = "2026-11-21T12:00"
    assert seen("event-duration", ended("11:00", late), ended("12:00", late)) == []


FIRST = civil("2026-11-20T08:00:00.500")


def launch_place(time: str, seq: int) -> tuple[int, int]:
    return civil(f"2026-11-20T{time}"), seq


def test_the_first_challenge_is_measured_from_the_first_connection(seen: Seen) -> None:
    """The earliest launch ever stored makes a row from the first connection."""
    rows = seen(
        "event-duration",
        launched("10:00"),
        first_launch=launch_place("10:00", 1),
        first_connection=FIRST,
    )
    assert rows == [(7200, "ConnectionEvent", "ChallengeLaunchEvent", "CHALLENGE1")]


@pytest.mark.parametrize(
    ("connected", "seconds"),
    [
        ("2026-11-20T10:00", 0),
        ("2026-11-20T11:00", 0),
        ("2026-12-20T11:00", 0),
        ("2025-11-20T10:00", 365 * 86_400),
    ],
)
def test_a_first_connection_after_the_launch_is_0(seen: Seen, connected: str, seconds: int) -> None:
    """However much later the first connection is, the value is 0: no 24 hours matter here."""
    known: dict[str, Any] = {"first_launch": launch_place("10:00", 1)}
    rows = seen("event-duration", launched("10:00"), first_connection=civil(connected), **known)
    assert durations(rows) == [seconds]


def test_only_one_launch_is_the_first(seen: Seen) -> None:
    """Of several launches the earliest in the order of events makes the row, the others none."""
    rows = seen(
        "event-duration",
        launched("11:00", "CHALLENGE2"),
        launched("10:00", "CHALLENGE1"),
        launched("10:00", "CHALLENGE3"),
        first_launch=launch_place("10:00", 2),
        first_connection=FIRST,
    )
    assert rows == [(7200, "ConnectionEvent", "ChallengeLaunchEvent", "CHALLENGE1")]


@pytest.mark.parametrize(
    "known",
    [
        {"first_connection": None},
        {"first_launch": launch_place("09:00", 9)},
        {"first_launch": launch_place("10:00", 9)},
        {"first_launch": None},
        {"launch_row": 9},
    ],
    ids=["no first connection", "an earlier one", "one before it", "none known", "made before"],
)
def test_another_launch_makes_no_row(seen: Seen, known: dict[str, Any]) -> None:
    """No row without a known first connection, for a later launch, or once it was made."""
    facts = {"first_launch": launch_place("10:00", 1), "first_connection": FIRST, **known}
    assert seen("event-duration", launched("10:00"), **facts) == []


def test_rows_stand_in_the_order_of_their_events(seen: Seen) -> None:
    """Ends and the first launch of a day are rows in the order of events."""
    rows = seen(
        "event-duration",
        ended("12:00", "2026-11-20T09:00", "DuelEndEvent", "DUEL1"),
        launched("11:00"),
        ended("10:00", "2026-11-20T09:00"),
        first_launch=launch_place("11:00", 2),
        first_connection=FIRST,
    )
    assert [row[2] for row in rows] == ["QuizEndEvent", "ChallengeLaunchEvent", "DuelEndEvent"]
