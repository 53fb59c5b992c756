"""Readings of what was consumed: when an interval begins, how much it was, what is refused."""

from datetime import UTC, datetime
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from ecolyo_worker.clock import utc_ms
from ecolyo_worker.errors import FactsRefused
from ecolyo_worker.readings import Reading, check_reading, start_text

PARIS = ZoneInfo("Europe/Paris")
DAY: dict[str, Any] = {
    "instance": "alice.example",
    "fluid": "electricity",
    "step": "day",
    "start": "2026-10-01",
    "value": 8.038,
}
HALF_HOUR = {**DAY, "step": "half-hour", "start": "2026-10-01T00:30:00+02:00"}


def instant(text: str) -> int:
    return utc_ms(datetime.fromisoformat(text).replace(tzinfo=UTC))


def read(zone: str = "Europe/Paris", **changes: Any) -> Reading:
    return check_reading({**DAY, **changes}, ZoneInfo(zone))


def refusal(**changes: Any) -> FactsRefused:
    with pytest.raises(FactsRefused) as refused:
        read(**changes)
    return refused.value


def test_the_example_lines_are_understood() -> None:
    """A day and a half-hour as the formats show them give their instants, minutes and Wh."""
    midnight = instant("2026-09-30T22:00")
    day = Reading("alice.example", "electricity", "day", midnight, 1440, 8038)
    half_hour = Reading("alice.example", "electricity", "half-hour", midnight + 1_800_000, 30, 8038)
    assert check_reading(DAY, PARIS) == day
    assert check_reading(HALF_HOUR, PARIS) == half_hour


@pytest.mark.parametrize(
    ("zone", "day", "begin", "hours"),
    [
        ("Europe/Paris", "2026-03-28", "2026-03-27T23:00", 24),
        ("Europe/Paris", "2026-03-29", "2026-03-28T23:00", 23),
        ("Europe/Paris", "2026-10-25", "2026-10-24T22:00", 25),
        ("Europe/Paris", "2028-02-29", "2028-02-28T23:00", 24),
        ("Europe/Paris", "2000-01-01", "1999-12-31T23:00", 24),
        ("Europe/Paris", "2099-12-31", "2099-12-30T23:00", 24),
        ("Indian/Reunion", "2026-10-25", "2026-10-24T20:00", 24),
        ("America/Martinique", "2026-10-25", "2026-10-25T04:00", 24),
        ("Australia/Lord_Howe", "2026-10-04", "2026-10-03T13:30", 23.5),
        ("Africa/Cairo", "2026-04-24", "2026-04-23T22:00", 23),  # it has no midnight
        ("America/Havana", "2026-11-01", "2026-11-01T04:00", 25),  # it has two
    ],
)
def test_a_day_is_as_long_as_the_zone_makes_it(
    zone: str, day: str, begin: str, hours: float
) -> None:
    """A bare date is the civil day in the zone: 23, 24 or 25 hours from its first instant on."""
    reading = read(zone, start=day)
    assert (reading.start, reading.minutes) == (instant(begin), hours * 60)
    assert start_text(reading.start, "day", ZoneInfo(zone)) == day


@pytest.mark.parametrize(
    "start",
    [
        "2026-10-01T00:00",
        "2026-10-01 00:00:00.000",
        "2026-10-01T00:00:00+02:00",
        "2026-09-30T22:00:00Z",
        "2026-10-01T03:30+0530",
    ],
)
def test_a_day_may_begin_at_its_midnight(start: str) -> None:
    """The date-time at which a civil day begins is that day, with whatever offset."""
    assert read(start=start) == read(start="2026-10-01")


@pytest.mark.parametrize(
    ("start", "at"),
    [
        ("2026-10-25T01:30:00", "2026-10-24T23:30"),
        ("2026-10-25T02:30:00+02:00", "2026-10-25T00:30"),
        ("2026-10-25T02:30:00+01:00", "2026-10-25T01:30"),
        ("2026-10-25T00:30:00Z", "2026-10-25T00:30"),
        ("2026-10-25T03:00", "2026-10-25T02:00"),
        ("2026-03-29T01:30", "2026-03-29T00:30"),
        ("2026-03-29T03:00", "2026-03-29T01:00"),
    ],
)
def test_a_half_hour_is_an_instant(start: str, at: str) -> None:
    """With any offset, `Z` too, it is a true instant; without one it is civil time."""
    reading = read(step="half-hour", start=start)
    assert (reading.start, reading.minutes) == (instant(at), 30)


def test_both_half_hours_of_the_autumn_night_are_shown_apart() -> None:
    """A start is given with its offset, so that it can be read again as the same instant."""
    for text in ("2026-10-25T02:30:00+02:00", "2026-10-25T02:30:00+01:00"):
        assert start_text(read(step="half-hour", start=text).start, "half-hour", PARIS) == text


def test_the_clock_on_the_wall_says_what_a_half_hour_is() -> None:
    """In a zone a quarter of an hour off the full ones, so are its half-hours."""
    nepal = read("Asia/Kathmandu", step="half-hour", start="2026-10-01T00:30+05:45")
    assert nepal.start == instant("2026-09-30T18:45")
    with pytest.raises(FactsRefused, match="half hour"):
        read("Asia/Kathmandu", step="half-hour", start="2026-09-30T18:30Z")


@pytest.mark.parametrize(
    ("value", "amount"),
    [
        (0, 0),
        (-0.0, 0),
        (8, 8000),
        (0.0005, 1),
        (0.00049999, 0),
        (1e-7, 0),
        (8.0385, 8039),
        (1.0005, 1001),
        (2.6745, 2675),
        (1_000_000, 1_000_000_000),
    ],
)
def test_three_decimals_are_kept_half_up(value: float, amount: int) -> None:
    """A value is kept in Wh, of water in ml; a half is rounded up, as it is written."""
    assert read(value=value).amount == amount
    assert read(value=value, fluid="water").amount == amount


REFUSED: list[tuple[dict[str, Any], str, str]] = [
    ({"instance": None}, "instance", "found nothing; allowed: a lower-case host name"),
    ({"instance": "Alice/"}, "instance", "found 'Alice/'"),
    ({"fluid": "oil"}, "fluid", "found the text 'oil'; allowed: electricity, water, gas"),
    ({"fluid": None}, "fluid", "found nothing"),
    ({"fluid": ["gas"]}, "fluid", "found a list"),
    ({"step": "hour"}, "step", "found the text 'hour'; allowed: day, half-hour"),
    ({"step": None}, "step", "found nothing; allowed: day, half-hour"),
    ({"step": {}}, "step", "found an object"),
    ({"start": None}, "start", "found nothing; allowed: a day as YYYY-MM-DD"),
    ({"start": 20261001}, "start", "found the number 20261001"),
    ({"start": "1.10.2026"}, "start", "found '1.10.2026'; allowed: a date-time"),
    ({"start": "2026-02-29"}, "start", "no such day; allowed: a day as YYYY-MM-DD"),
    ({"start": "2026-10-01T00:30"}, "start", "allowed: a day as YYYY-MM-DD"),
    ({"start": "2026-10-01T00:00Z"}, "start", "allowed: a day as YYYY-MM-DD"),
    ({"start": "2026-10-01T00:00:00.001"}, "start", "allowed: a day as YYYY-MM-DD"),
    ({"start": "1999-12-31"}, "start", "allowed: the years 2000 to 2099"),
    ({"start": "2100-01-01"}, "start", "allowed: the years 2000 to 2099"),
    ({"start": "0001-01-01"}, "start", "allowed: the years 2000 to 2099"),
    ({"start": "9999-12-31T23:59Z"}, "start", "allowed: the years 2000 to 2099"),
    ({"start": "0001-01-01T00:00+02:00"}, "start", "out of the years 1 to 9999"),
    ({"value": None}, "value", "found nothing; allowed: a number of kWh from 0 to 1000000"),
    ({"value": True}, "value", "found true"),
    ({"value": "8.038"}, "value", "found the text '8.038'"),
    ({"value": -0.001}, "value", "found the number -0.001"),
    ({"value": 1_000_000.01}, "value", "found the number 1000000.01"),
    ({"value": 10**400}, "value", "found a huge number"),
    ({"value": float("inf")}, "value", "allowed: a number of kWh"),
    ({"value": float("nan")}, "value", "allowed: a number of kWh"),
    ({"value": -1, "fluid": "water"}, "value", "allowed: a number of litres from 0 to 1000000"),
    ({"vlaue": 8}, "vlaue", "unknown key; known: instance, fluid, step, start, value, minutes"),
    ({"step": "month", "start": "2026-10"}, "step", "months and years are added up of these"),
    ({"minutes": 1440}, "minutes", "found the number 1440; allowed: of a half-hour 30, or 60"),
    ({"step": "half-hour", "minutes": 20}, "minutes", "found the number 20; allowed: of a half"),
    ({"step": "half-hour", "minutes": 60.0}, "minutes", "found the number 60.0"),
    ({"step": "half-hour", "minutes": True}, "minutes", "found true"),
    ({"partial": True}, "partial", "a day that is known in part is added up of its half-hours"),
    ({"step": "half-hour", "partial": 1}, "partial", "found the number 1; allowed: true or false"),
]
HALF_HOURS_REFUSED = [
    ("2026-10-01", "on the hour or the half hour"),
    ("2026-10-01T00:15+02:00", "on the hour or the half hour"),
    ("2026-10-01T00:30:01", "on the hour or the half hour"),
    ("2026-10-01T00:30:00.0001", "on the hour or the half hour"),
    ("2026-10-25T02:30", "comes twice when the clock is set back; allowed: it with an offset"),
    ("2026-10-25T02:00", "comes twice when the clock is set back; allowed: it with an offset"),
    ("2026-03-29T02:30", "skips it when it is set forward"),
    ("2026-03-29T02:00", "skips it when it is set forward"),
    ("1999-12-31T12:00Z", "allowed: the years 2000 to 2099"),
    ("2026-10-01T24:00", "allowed: a date-time"),
]


@pytest.mark.parametrize(("changes", "field", "words"), REFUSED)
def test_what_is_no_reading_is_refused(changes: dict[str, Any], field: str, words: str) -> None:
    """It is refused by its field, with what was found and what is allowed."""
    refused = refusal(**changes)
    assert refused.field == field
    assert words in refused.reason


@pytest.mark.parametrize(("start", "words"), HALF_HOURS_REFUSED)
def test_what_is_no_half_hour_is_refused(start: str, words: str) -> None:
    """A half-hour begins on one; a time that cannot be told apart is not guessed at."""
    refused = refusal(step="half-hour", start=start)
    assert refused.field == "start"
    assert refused.reason.startswith(f"found '{start}'; ")
    assert words in refused.reason


def test_an_hour_that_has_no_halves_begins_on_the_hour() -> None:
    """With 60 minutes a half-hour is an hour; it begins on one by the clock on the wall."""
    reading = read(step="half-hour", start="2026-10-01T02:00+02:00", minutes=60)
    assert (reading.start, reading.minutes) == (instant("2026-10-01T00:00"), 60)
    refused = refusal(step="half-hour", start="2026-10-01T02:30+02:00", minutes=60)
    assert (refused.field, "on the hour, where the minutes are 60" in refused.reason) == (
        "start",
        True,
    )


def test_what_is_known_in_part_is_a_reading_of_half_an_hour() -> None:
    """A half-hour may say `partial`; without it, or with false or null, all of it is known."""
    half_hour = {"step": "half-hour", "start": "2026-10-01T00:30:00+02:00"}
    assert not read(**half_hour, partial=True).is_whole
    assert {read(**half_hour, partial=said).is_whole for said in (False, None)} == {True}
    assert read(**half_hour, minutes=30) == read(**half_hour) == read(**half_hour, minutes=None)
    assert read(partial=False) == read()
