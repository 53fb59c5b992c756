"""Civil time: what is read, what is refused, and which instants become which wall clock."""

from datetime import UTC, datetime, timedelta, timezone
from zoneinfo import ZoneInfo

import pytest

from ecolyo_worker.clock import (
    DAY_MS,
    SystemClock,
    civil_datetime,
    civil_from_instant,
    civil_text,
    day_interval,
    day_of,
    day_text,
    instant_text,
    instants_of_civil,
    month_days,
    month_of,
    month_text,
    parse_civil,
    parse_day,
    parse_instant,
    parse_month,
    utc_ms,
)

PARIS = ZoneInfo("Europe/Paris")
TOKYO = ZoneInfo("Asia/Tokyo")

FORMS = [
    ("2026-11-20T18:04", "2026-11-20T18:04:00.000"),
    ("2026-11-20T18:04:11", "2026-11-20T18:04:11.000"),
    ("2026-11-20 18:04:11", "2026-11-20T18:04:11.000"),
    ("2026-11-20T18:04:11.5", "2026-11-20T18:04:11.500"),
    ("2026-11-20T18:04:11.05", "2026-11-20T18:04:11.050"),
    ("2026-11-20T18:04:11.123", "2026-11-20T18:04:11.123"),
    ("2026-11-20T18:04:11,25", "2026-11-20T18:04:11.250"),
    ("2026-11-20T18:04:11.1239", "2026-11-20T18:04:11.123"),
    ("2026-11-20T18:04:11.999999999", "2026-11-20T18:04:11.999"),
    ("2026-11-20T18:04:11." + "9" * 300, "2026-11-20T18:04:11.999"),
    ("2026-11-20T00:00:00", "2026-11-20T00:00:00.000"),
    ("2026-11-20T23:59:59.999", "2026-11-20T23:59:59.999"),
    ("2028-02-29T12:00", "2028-02-29T12:00:00.000"),
    ("0001-01-01T00:00", "0001-01-01T00:00:00.000"),
    ("9999-12-31T23:59:59.999", "9999-12-31T23:59:59.999"),
]
ZEROS = ["Z", "+00", "+0000", "+00:00", "-00", "-0000", "-00:00"]


@pytest.mark.parametrize(("text", "civil"), FORMS)
@pytest.mark.parametrize("zulu_is_wall", [True, False])
def test_what_has_no_offset_is_civil_time(text: str, civil: str, zulu_is_wall: bool) -> None:
    """Every allowed form without an offset is civil time as written, cut to milliseconds."""
    assert civil_text(parse_civil(text, PARIS, zulu_is_wall=zulu_is_wall)) == civil


@pytest.mark.parametrize("zero", ZEROS)
@pytest.mark.parametrize(("text", "civil"), FORMS)
def test_an_offset_of_zero_is_the_wall_clock(text: str, civil: str, zero: str) -> None:
    """The app's `Z`, and zero in any other form, change nothing when `Z` is the wall clock."""
    assert civil_text(parse_civil(text + zero, PARIS, zulu_is_wall=True)) == civil


@pytest.mark.parametrize("zero", ZEROS)
def test_an_offset_of_zero_is_an_instant_with_the_utc_clock(zero: str) -> None:
    """When `Z` is not the wall clock, zero in any form is a true instant."""
    found = parse_civil(f"2026-11-20T18:04:11.25{zero}", PARIS, zulu_is_wall=False)
    assert civil_text(found) == "2026-11-20T19:04:11.250"


@pytest.mark.parametrize("zulu_is_wall", [True, False])
@pytest.mark.parametrize(
    ("text", "civil"),
    [
        ("2026-11-20T18:04:11+02:00", "2026-11-20T17:04:11.000"),
        ("2026-11-20T18:04:11+0200", "2026-11-20T17:04:11.000"),
        ("2026-11-20T18:04:11+02", "2026-11-20T17:04:11.000"),
        ("2026-11-20T18:04:11,5-05:30", "2026-11-21T00:34:11.500"),
        ("2026-11-20T18:04+01:00", "2026-11-20T18:04:00.000"),
        ("2026-07-20 18:04+01:00", "2026-07-20T19:04:00.000"),
        ("2026-11-20T18:04+23:59", "2026-11-19T19:05:00.000"),
        ("2026-11-20T18:04-23:59", "2026-11-21T19:03:00.000"),
        ("2026-12-31T23:59:59.9999-01:00", "2027-01-01T01:59:59.999"),
    ],
)
def test_another_offset_is_a_true_instant(text: str, civil: str, zulu_is_wall: bool) -> None:
    """A time with an offset that is not zero is converted to the zone, whatever `Z` means."""
    assert civil_text(parse_civil(text, PARIS, zulu_is_wall=zulu_is_wall)) == civil


@pytest.mark.parametrize(
    ("text", "civil"),
    [
        ("2026-03-29T00:59:59.999Z", "2026-03-29T01:59:59.999"),
        ("2026-03-29T01:00Z", "2026-03-29T03:00:00.000"),
        ("2026-03-29T02:30+01:00", "2026-03-29T03:30:00.000"),
        ("2026-03-29T03:30+02:00", "2026-03-29T03:30:00.000"),
        ("2026-10-25T00:59:59.999Z", "2026-10-25T02:59:59.999"),
        ("2026-10-25T01:00Z", "2026-10-25T02:00:00.000"),
        ("2026-10-25T02:30+02:00", "2026-10-25T02:30:00.000"),
        ("2026-10-25T02:30+01:00", "2026-10-25T02:30:00.000"),
        ("2026-10-25T03:00+01:00", "2026-10-25T03:00:00.000"),
    ],
)
def test_the_clock_changes_of_2026(text: str, civil: str) -> None:
    """Instants around both clock changes become what the clocks of Paris showed."""
    assert civil_text(parse_civil(text, PARIS, zulu_is_wall=False)) == civil


@pytest.mark.parametrize("hour", ["2026-03-29T02:30", "2026-10-25T02:30"])
def test_an_hour_that_the_zone_does_not_have_once_is_read_as_written(hour: str) -> None:
    """A wall clock in the hour that is skipped, or comes twice, is that wall clock."""
    assert civil_text(parse_civil(hour + "Z", PARIS, zulu_is_wall=True)) == f"{hour}:00.000"


def test_the_two_meanings_of_a_z_are_an_hour_apart_in_winter() -> None:
    """The same text with a `Z` is one or two hours later as an instant than as a wall clock."""
    for text, hours in [("2026-11-20T18:04Z", 1), ("2026-07-20T18:04Z", 2)]:
        wall = parse_civil(text, PARIS, zulu_is_wall=True)
        assert parse_civil(text, PARIS, zulu_is_wall=False) - wall == hours * 3_600_000


@pytest.mark.parametrize("zulu_is_wall", [True, False])
@pytest.mark.parametrize(
    "text",
    [
        "",
        " ",
        "today",
        "2026-11-20",
        "2026-11-20T",
        "2026-11-20T18",
        "2026-11-20T18Z",
        "2026-11-20T24:00",
        "2026-11-20T18:60",
        "2026-11-20T18:04:60",
        "2026-13-01T00:00",
        "2026-00-01T00:00",
        "2026-11-31T00:00",
        "2026-11-00T00:00",
        "2026-02-29T00:00",
        "0000-01-01T00:00",
        "26-11-20T18:04",
        "12026-11-20T18:04",
        "-2026-11-20T18:04",
        "+2026-11-20T18:04",
        "2026-1-20T18:04",
        "2026-11-20T8:04",
        "2026-11-20T18:4",
        "20261120T180411",
        "2026-W47-5T18:04",
        "2026-324T18:04",
        "2026-11-20t18:04",
        "2026-11-20T18:04z",
        "2026-11-20  18:04",
        "2026-11-20\t18:04",
        "2026-11-20_18:04",
        "2026-11-20T18:04:11.",
        "2026-11-20T18:04:11.Z",
        "2026-11-20T18:04.5",
        "2026-11-20T18:04:11.5.5",
        "2026-11-20T18:04:11;5",
        "2026-11-20T18:04 Z",
        "2026-11-20T18:04 +01:00",
        "2026-11-20T18:04ZZ",
        "2026-11-20T18:04Z+01:00",
        "2026-11-20T18:04+1",
        "2026-11-20T18:04+100",
        "2026-11-20T18:04+1:00",
        "2026-11-20T18:04+01:0",
        "2026-11-20T18:04+01:00:00",
        "2026-11-20T18:04±01:00",
        "2026-11-20T18:04\N{MINUS SIGN}01:00",
        "2026-11-20T18:04+24:00",
        "2026-11-20T18:04-24",
        "2026-11-20T18:04+99:99",
        "2026-11-20T18:04+01:60",
        "2026-11-20T18:04+0160",
        "2026-11-20T18:04[Europe/Paris]",
        " 2026-11-20T18:04",
        "2026-11-20T18:04 ",
        "2026-11-20T18:04\n",
        "2026-11-20T18:04Z\n",
        "٢٠٢٦-11-20T18:04",
        "2026-11-20T１８:04",
        "2026-11-20T18:04:11.٥",
        "2026-11-20T18:04+٠١:00",
        "1795197851",
        "2026-11-20T18:04:11\x00",
    ],
)
def test_what_is_no_date_time_is_refused(text: str, zulu_is_wall: bool) -> None:
    """Anything but the allowed forms is refused with a sentence, and with no other error."""
    with pytest.raises(ValueError, match=r"\w+ \w+"):
        parse_civil(text, PARIS, zulu_is_wall=zulu_is_wall)


@pytest.mark.parametrize("zulu_is_wall", [True, False])
@pytest.mark.parametrize(
    ("text", "zone"),
    [
        ("0001-01-01T00:00+00:01", PARIS),
        ("0001-01-01T23:58+23:59", ZoneInfo("America/New_York")),
        ("9999-12-31T23:59:59-00:01", PARIS),
        ("9999-12-31T16:00+00:30", TOKYO),
    ],
)
def test_an_offset_may_not_leave_the_years(text: str, zone: ZoneInfo, zulu_is_wall: bool) -> None:
    """An offset, or the zone, that leads out of the years 1 to 9999 is refused, saying so."""
    with pytest.raises(ValueError, match="years 1 to 9999"):
        parse_civil(text, zone, zulu_is_wall=zulu_is_wall)


def test_an_instant_becomes_civil_time() -> None:
    """An aware `datetime` is converted to the zone, whatever its own; a naive one is civil."""
    civil = parse_civil("2026-11-20T18:04:11.25", PARIS, zulu_is_wall=True)
    plain = datetime(2026, 11, 20, 18, 4, 11, 250_999)
    assert civil_from_instant(plain, PARIS) == civil
    assert civil_from_instant(plain.replace(hour=17, tzinfo=UTC), PARIS) == civil
    indian = timezone(timedelta(hours=5, minutes=30))
    assert civil_from_instant(plain.replace(hour=22, minute=34, tzinfo=indian), PARIS) == civil
    assert civil_datetime(civil) == plain.replace(microsecond=250_000)


@pytest.mark.parametrize(
    ("text", "day"),
    [
        ("1970-01-01T00:00", 0),
        ("1970-01-01T23:59:59.999", 0),
        ("1970-01-02T00:00", 1),
        ("1969-12-31T23:59:59.999", -1),
        ("2026-11-20T12:00", 20_777),
    ],
)
def test_a_civil_day_is_the_date_of_its_times(text: str, day: int) -> None:
    """The day of a civil time is its date, before 1970 too, and is written as that date."""
    found = parse_civil(text, PARIS, zulu_is_wall=True)
    assert day_of(found) == day
    assert day_text(day) == text[:10]
    assert parse_day(text[:10]) == day
    assert 0 <= found - day * DAY_MS < DAY_MS


@pytest.mark.parametrize(
    "text",
    [
        *["", "2026-11-31", "2026-02-29", "0000-01-01", "2026-11-20T00:00", "2026-11-20 "],
        *["2026-11-20\n", "20261120", "2026-W47-5", "2026-1-1", "20-11-2026", "2026/11/20"],
        "٢٠٢٦-11-20",
    ],
)
def test_a_day_is_written_in_one_way_only(text: str) -> None:
    """A civil day is `YYYY-MM-DD`; anything else is refused, and the allowed form named."""
    with pytest.raises(ValueError, match="YYYY-MM-DD"):
        parse_day(text)


@pytest.mark.parametrize(
    ("moment", "text"),
    [
        (datetime(2026, 11, 20, 18, 4, 11, 999_999, UTC), "2026-11-20T18:04:11Z"),
        (datetime(2026, 11, 20, 0, 30, tzinfo=PARIS), "2026-11-19T23:30:00Z"),
        (datetime(1970, 1, 1, tzinfo=UTC), "1970-01-01T00:00:00Z"),
    ],
)
def test_instants_are_kept_and_shown_in_utc(moment: datetime, text: str) -> None:
    """An instant is milliseconds of UTC, whatever its zone, and shown with a `Z`."""
    assert instant_text(utc_ms(moment)) == text


async def test_the_machines_clock_is_aware_and_goes_forwards() -> None:
    """The system clock gives instants of UTC, and a monotonic time that sleeping moves."""
    clock = SystemClock()
    assert clock.now().utcoffset() == timedelta(0)
    before = clock.monotonic()
    await clock.sleep(0)
    assert clock.monotonic() >= before


@pytest.mark.parametrize(
    ("text", "at"),
    [
        ("2026-11-20T18:04:11", "2026-11-20T17:04:11"),
        ("2026-11-20T18:04:11Z", "2026-11-20T18:04:11"),
        ("2026-11-20 18:04+05:30", "2026-11-20T12:34"),
        ("2026-07-01T00:00", "2026-06-30T22:00"),
        ("2026-10-25T02:30+02:00", "2026-10-25T00:30"),
        ("2026-10-25T02:30+01:00", "2026-10-25T01:30"),
        ("2026-03-29T02:30+01:00", "2026-03-29T01:30"),
    ],
)
def test_an_instant_is_read(text: str, at: str) -> None:
    """With any offset, `Z` too, it is as written; without one it is civil time of the zone."""
    assert parse_instant(text, PARIS) == datetime.fromisoformat(at).replace(tzinfo=UTC)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("2026-10-25T02:00", "comes twice"),
        ("2026-10-25T02:59:59.999", "comes twice"),
        ("2026-03-29T02:00", "skips it"),
        ("2026-03-29T02:59", "skips it"),
        ("0001-01-01T00:00", "years 1 to 9999"),
        ("9999-12-31T23:00-02:00", "years 1 to 9999"),
        ("2026-11-20", "a date-time as"),
    ],
)
def test_what_is_no_one_instant_is_refused(text: str, words: str) -> None:
    """A civil time that comes twice or never is no instant, nor is what is no date-time."""
    with pytest.raises(ValueError, match=words):
        parse_instant(text, PARIS)


@pytest.mark.parametrize("hour", ["2026-10-25T01:59", "2026-10-25T03:00", "2026-03-29T03:00"])
def test_the_hours_beside_a_change_are_instants(hour: str) -> None:
    """What comes once is read without an offset, however near the change."""
    assert parse_instant(hour, PARIS).astimezone(PARIS).isoformat()[:16] == hour


@pytest.mark.parametrize(
    ("month", "first", "last"),
    [
        ("2026-10", "2026-10-01", "2026-10-31"),
        ("2026-11", "2026-11-01", "2026-11-30"),
        ("2026-12", "2026-12-01", "2026-12-31"),
        ("2027-01", "2027-01-01", "2027-01-31"),
        ("2026-02", "2026-02-01", "2026-02-28"),
        ("2028-02", "2028-02-01", "2028-02-29"),
        ("1900-02", "1900-02-01", "1900-02-28"),
        ("2000-02", "2000-02-01", "2000-02-29"),
        ("1969-12", "1969-12-01", "1969-12-31"),
        ("0001-01", "0001-01-01", "0001-01-31"),
        ("9999-12", "9999-12-01", "9999-12-31"),
    ],
)
def test_a_month_is_its_days(month: str, first: str, last: str) -> None:
    """A month is read and written as YYYY-MM, and has the days from its first to its last."""
    number = parse_month(month)
    days = month_days(number)
    assert (day_text(days[0]), day_text(days[-1])) == (first, last)
    assert month_text(number) == month
    assert {month_of(day) for day in days} == {number}


def test_months_follow_each_other() -> None:
    """The month after another begins where that one ends, over the turn of the year too."""
    begin = parse_month("2025-11")
    months = [begin + n for n in range(4)]
    assert [month_text(month) for month in months] == ["2025-11", "2025-12", "2026-01", "2026-02"]
    assert all(month_days(month).stop == month_days(month + 1).start for month in months)


@pytest.mark.parametrize(
    "text", ["", "2026", "2026-13", "2026-00", "2026-1", "26-01", "2026-10-01", "2026/10", "oct",
             "2026-10 ", "2026-10\n", "٢٠٢٦-10", "0000-01", "+2026-10"]
)  # fmt: skip
def test_a_month_is_written_in_one_way_only(text: str) -> None:
    """What is not YYYY-MM of a real month is refused, in words."""
    with pytest.raises(ValueError, match="a month as YYYY-MM"):
        parse_month(text)


@pytest.mark.parametrize(
    ("civil", "instants"),
    [
        ("2026-10-25T01:59", ["2026-10-24T23:59"]),
        ("2026-10-25T02:00", ["2026-10-25T00:00", "2026-10-25T01:00"]),
        ("2026-10-25T03:00", ["2026-10-25T02:00"]),
        ("2026-03-29T02:00", []),
        ("2026-03-29T03:00", ["2026-03-29T01:00"]),
    ],
)
def test_a_wall_clock_shows_a_time_once_twice_or_never(civil: str, instants: list[str]) -> None:
    """All instants are given, the first one first."""
    found = instants_of_civil(datetime.fromisoformat(civil), PARIS)
    assert [f"{instant:%Y-%m-%dT%H:%M}" for instant in found] == instants


def test_a_civil_day_is_as_long_as_the_clocks_make_it() -> None:
    """It begins at its first instant and has 23, 24 or 25 hours."""
    for day, begin, hours in (
        ("2026-03-29", "2026-03-28T23:00:00Z", 23),
        ("2026-07-01", "2026-06-30T22:00:00Z", 24),
        ("2026-10-25", "2026-10-24T22:00:00Z", 25),
    ):
        start, minutes = day_interval(parse_day(day), PARIS)
        assert (instant_text(start), minutes) == (begin, hours * 60)
