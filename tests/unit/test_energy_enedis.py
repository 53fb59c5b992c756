"""What Enedis answers, of every generation, becomes the same points; what is none is told."""

import json
from typing import Any

import pytest

from ecolyo_worker.clock import day_text, parse_day
from ecolyo_worker.energy.enedis import is_of_enedis
from ecolyo_worker.energy.points import Quality
from ecolyo_worker.errors import AnswerUnreadable
from tests.unit.energy_samples import (
    METER,
    curve,
    daily,
    days,
    new,
    old,
    point,
    read_curve,
    read_daily,
    sample,
    seen,
)

FEBRUARY = days("2026-02-10", "2026-02-11")
SPRING = days("2026-03-29", "2026-03-30")
AUTUMN = days("2026-10-25", "2026-10-26")
WHOLE_DAYS = [
    ("normal", "2026-02-10", 48, "2026-02-09T23:00:00Z"),
    ("spring", "2026-03-29", 46, "2026-03-28T23:00:00Z"),
    ("autumn", "2026-10-25", 50, "2026-10-24T22:00:00Z"),
]


@pytest.mark.parametrize(("name", "day", "count", "begin"), WHOLE_DAYS)
def test_the_curve_of_a_whole_day_is_its_daily_value(
    name: str, day: str, count: int, begin: str
) -> None:
    """46, 48 or 50 half-hours follow each other from midnight on; their sum is the day's, to Wh."""
    number = parse_day(day)
    found = read_curve(sample(f"enedis-v5-curve-{name}.json"), METER, range(number, number + 1))
    whole = read_daily(sample(f"enedis-v5-daily-{name}.json"), METER, range(number - 9, number + 9))
    assert not found.refused
    assert len(found.points) == count
    [of_day] = [point for point in whole.points if point.start == found.points[0].start]
    assert seen(found)[0][0] == begin
    assert of_day.amount == sum(point.amount for point in found.points)
    assert of_day.minutes == count * 30
    starts = [of_day.start + n * 1_800_000 for n in range(count)]
    assert [point.start for point in found.points] == starts
    assert {point.quality for point in found.points} == {Quality.DEFINITIVE_MEASURED}


def test_what_is_absent_is_no_point() -> None:
    """Of a day with a hole the other points are there; absent days are none, not even empty."""
    found = read_curve(sample("enedis-v5-curve-gap.json"), METER, days("2026-02-11", "2026-02-12"))
    assert (len(found.points), sum(point.amount for point in found.points)) == (44, 7149)
    whole = read_daily(sample("enedis-v5-daily-gap.json"), METER, days("2026-02-12", "2026-02-17"))
    assert [amount for _, _, amount in seen(whole)] == [8934, 9102, 10377]
    assert found.empty_days == whole.empty_days == ()


@pytest.mark.parametrize("name", ["normal", "spring", "autumn"])
def test_both_shapes_of_the_curve_give_the_same_points(name: str) -> None:
    """The first points of a day in the shape of 2026 are those of v5, and so is a day of it."""
    body = json.loads(sample(f"enedis-v5-curve-{name}.json"))["meter_reading"]
    asked = days(body["start"], body["end"])
    whole = read_curve(sample(f"enedis-v5-curve-{name}.json"), METER, asked)
    start = read_curve(sample(f"enedis-2026-curve-{name}-start.json"), METER, asked)
    assert 0 < len(start.points) < len(whole.points)
    assert start.points == whole.points[: len(start.points)]
    renamed = [
        {"v": item["value"], "d": item["date"], "p": item["interval_length"]}
        for item in body["interval_reading"]
    ]
    assert read_curve(new(renamed), METER, asked) == whole
    assert read_curve(json.dumps(body).encode(), METER, asked) == whole


def test_both_shapes_of_the_days_give_the_same_points() -> None:
    """The days of v5 are those of 2026, with and without the outer object."""
    asked = days("2026-02-08", "2026-02-12")
    answer = sample("enedis-v5-daily-normal.json")
    whole = read_daily(answer, METER, asked)
    assert len(whole.points) == 4
    assert read_daily(sample("enedis-2026-daily.json"), METER, asked) == whole
    inner = json.dumps(json.loads(answer)["meter_reading"]).encode()
    assert read_daily(inner, METER, asked) == whole


def test_a_null_is_no_point() -> None:
    """Nulls within a day are left out without a word; a day of nothing else is empty."""
    body = sample("enedis-2026-curve-nulls-start.json")
    found = read_curve(body, METER, FEBRUARY)
    assert (len(found.points), found.refused, found.empty_days) == (6, (), ())
    nulls = json.loads(body)
    for item in nulls["grandeur"][0]["points"]:
        item["v"] = None
    empty = read_curve(json.dumps(nulls).encode(), METER, FEBRUARY)
    assert (empty.points, empty.refused) == ((), ())
    assert [day_text(day) for day in empty.empty_days] == ["2026-02-10"]
    of_day = read_daily(old([daily("2026-02-10", None)], "Wh"), METER, FEBRUARY)
    assert of_day.empty_days == empty.empty_days


def test_a_null_at_midnight_belongs_to_the_day_that_ends() -> None:
    """A label is the end of its interval, so midnight says nothing of the day that begins."""
    asked = days("2026-02-09", "2026-02-11")
    found = read_curve(old([point("2026-02-10 00:00:00", None)]), METER, asked)
    assert [day_text(day) for day in found.empty_days] == ["2026-02-09"]


def test_a_bad_value_is_no_null() -> None:
    """A day of which something was said, however wrong, is not empty."""
    items = [point("2026-02-10 00:30:00", None), point("2026-02-10 01:00:00", "-1")]
    found = read_curve(old(items), METER, FEBRUARY)
    assert (len(found.refused), found.empty_days) == (1, ())


def test_zero_is_a_value() -> None:
    """An unused dwelling has points of 0 Wh."""
    found = read_curve(old([point("2026-02-10 00:30:00", "0")]), METER, FEBRUARY)
    assert seen(found) == [("2026-02-09T23:00:00Z", 30, 0)]


def test_the_order_of_points_and_keys_says_nothing() -> None:
    """Backwards, with all keys the other way round, the points are the same."""
    body = json.loads(sample("enedis-v5-curve-normal.json"))["meter_reading"]
    whole = read_curve(sample("enedis-v5-curve-normal.json"), METER, FEBRUARY)
    body["interval_reading"] = [
        dict(reversed(item.items())) for item in reversed(body["interval_reading"])
    ]
    turned = {"meter_reading": dict(reversed(body.items()))}
    assert read_curve(json.dumps(turned).encode(), METER, FEBRUARY) == whole


def test_each_point_has_its_own_length() -> None:
    """The step may change within a day; what was consumed is the power over that very interval."""
    items = [
        point("2026-02-10 00:30:00", "120", "PT30M"),
        point("2026-02-10 00:40:00", "120", "PT10M"),
        point("2026-02-10 00:45:00", "120", "PT5M"),
        point("2026-02-10 01:00:00", "120", "PT15M"),
        point("2026-02-10 01:20:00", "120", "PT20M"),
        point("2026-02-10 03:00:00", "121", "PT60M"),
        point("2026-02-10 04:00:00", "122", "PT1H"),
    ]
    assert seen(read_curve(old(items), METER, FEBRUARY)) == [
        ("2026-02-09T23:00:00Z", 30, 60),
        ("2026-02-09T23:30:00Z", 10, 20),
        ("2026-02-09T23:40:00Z", 5, 10),
        ("2026-02-09T23:45:00Z", 15, 30),
        ("2026-02-10T00:00:00Z", 20, 40),
        ("2026-02-10T01:00:00Z", 60, 121),
        ("2026-02-10T02:00:00Z", 60, 122),
    ]


NIGHT = ["2026-10-25 02:00:00", "2026-10-25 02:30:00"]


@pytest.mark.parametrize(
    "labels",
    [[*NIGHT, *NIGHT], [NIGHT[0], NIGHT[0], NIGHT[1], NIGHT[1]], [NIGHT[1], *NIGHT, NIGHT[0]]],
)
def test_the_label_that_comes_again_is_the_later_hour(labels: list[str]) -> None:
    """The n-th of a label is the n-th time that the clocks show it, whatever stands between."""
    found = read_curve(old(curve("2026-10-25 03:00:00", *labels)), METER, AUTUMN)
    starts = [f"2026-10-{time}:00Z" for time in ("24T23:30", "25T00:00", "25T00:30", "25T01:00")]
    assert [start for start, _, _ in seen(found)] == [*starts, "2026-10-25T01:30:00Z"]
    for label, places in ((NIGHT[0], (0, 2)), (NIGHT[1], (1, 3))):
        amounts = [n for n, text in enumerate(labels, 2) if text == label]
        assert [found.points[place].amount for place in places] == amounts


def test_a_null_too_is_one_of_two() -> None:
    """If the first hour of the two is null, what follows is still the second."""
    items = [point(NIGHT[0], None), point(NIGHT[0], "4"), point(NIGHT[1], "x"), point(NIGHT[1])]
    found = read_curve(old(items), METER, AUTUMN)
    assert [start for start, _, _ in seen(found)] == [
        "2026-10-25T00:30:00Z",
        "2026-10-25T01:00:00Z",
    ]


def test_an_hour_of_the_night_comes_twice_and_no_more() -> None:
    """The first of an only label is the first hour; a third one is refused."""
    found = read_curve(old(curve(NIGHT[1])), METER, AUTUMN)
    assert seen(found) == [("2026-10-25T00:00:00Z", 30, 1)]
    found = read_curve(old(curve(*NIGHT, NIGHT[0], NIGHT[0])), METER, AUTUMN)
    assert len(found.points) == 3
    assert found.refused[0].label == NIGHT[0]
    assert "third time" in found.refused[0].reason


def test_hours_of_the_autumn_day_are_25() -> None:
    """Points of an hour are folded like half-hours."""
    clock = [*range(1, 3), 2, *range(3, 24)]
    labels = [*(f"2026-10-25 {hour:02}:00:00" for hour in clock), "2026-10-26 00:00:00"]
    found = read_curve(old(curve(*labels, length="PT60M")), METER, AUTUMN)
    assert (len(found.points), found.refused) == (25, ())
    assert found.points[-1].start - found.points[0].start == 24 * 3_600_000


@pytest.mark.parametrize(
    ("label", "start"),
    [
        ("2026-02-10T00:30:00", "2026-02-09T23:00:00Z"),
        ("2026-02-10T00:30", "2026-02-09T23:00:00Z"),
        ("2026-02-10T00:30:00.000", "2026-02-09T23:00:00Z"),
        ("2026-02-10T00:30:00+01:00", "2026-02-09T23:00:00Z"),
        ("2026-02-10 00:30:00+0100", "2026-02-09T23:00:00Z"),
        ("2026-02-11T00:00:00", "2026-02-10T22:30:00Z"),
        ("2026-02-11T00:00:00+01", "2026-02-10T22:30:00Z"),
    ],
)
def test_a_label_may_be_written_as_iso_does(label: str, start: str) -> None:
    """With a T, without seconds, and with the offset that Paris has."""
    assert seen(read_curve(old([point(label)]), METER, FEBRUARY)) == [(start, 30, 50)]


def test_an_offset_tells_which_of_two_hours() -> None:
    """With offsets the order in which they come says nothing."""
    labels = [f"{NIGHT[0]}+01:00", f"{NIGHT[0]}+02:00"]
    assert seen(read_curve(old(curve(*labels)), METER, AUTUMN)) == [
        ("2026-10-24T23:30:00Z", 30, 2),
        ("2026-10-25T00:30:00Z", 30, 1),
    ]


NO_TIMES: list[tuple[Any, str]] = [
    ("2026-02-10 00:30:00Z", "offset Paris did not have"),
    ("2026-02-10 00:30:00+02:00", "offset Paris did not have"),
    ("2026-02-10 00:30:00+99:99", "the offset +99:99"),
    ("2026-02-10", "allowed: a time of Paris"),
    ("2026-02-10 24:00:00", "allowed: a time of Paris"),
    ("2026-02-10 00:30:01", "allowed: a time of Paris"),
    ("2026-02-10  00:30:00", "allowed: a time of Paris"),
    ("2026-02-10 00:30:00\n", "allowed: a time of Paris"),
    ("2026-02-30 00:30:00", "no such day"),
    ("10/02/2026 00:30", "allowed: a time of Paris"),
    ("٢٠٢٦-02-10 00:30:00", "allowed: a time of Paris"),
    ("2026-02-10 00:15:00", "ends at minute 15"),
    ("2026-02-10 00:00:00", "not asked for"),
    ("2026-02-11 00:30:00", "not asked for"),
    ("2026-02-09 12:00:00", "not asked for"),
    ("0001-01-01 00:00:00", "not asked for"),
    ("9999-12-31 23:30:00", "not asked for"),
    (None, "found nothing"),
    (20260210, "found the number 20260210"),
    (["2026-02-10 00:30:00"], "found a list"),
    ("", "found the text ''"),
]


@pytest.mark.parametrize(("label", "words"), NO_TIMES)
def test_a_label_that_is_no_time_of_the_days_asked_for(label: Any, words: str) -> None:
    """Its point is refused in words, the others are kept."""
    items = [point("2026-02-10 12:00:00"), point(label), point("2026-02-11 00:00:00")]
    found = read_curve(old(items), METER, FEBRUARY)
    assert [start for start, _, _ in seen(found)] == [
        "2026-02-10T10:30:00Z",
        "2026-02-10T22:30:00Z",
    ]
    [refused] = found.refused
    assert words in refused.reason
    assert refused.label in (label, "point 2")


def test_the_midnight_that_ends_the_days_lets_no_more_in() -> None:
    """Its label has the date of a day that was not asked for; others of that date are refused."""
    labels = ["2026-02-11 00:00:00", "2026-02-11 00:30:00"]
    found = read_curve(old(curve(*labels)), METER, FEBRUARY)
    assert (len(found.points), [bad.label for bad in found.refused]) == (1, labels[1:])


@pytest.mark.parametrize("label", ["2026-03-29 02:00:00", "2026-03-29 02:30:00"])
def test_a_label_that_the_clocks_skip(label: str) -> None:
    """In spring there is no such time: what has it is refused."""
    found = read_curve(old(curve("2026-03-29 01:30:00", label)), METER, SPRING)
    assert len(found.points) == 1
    assert "skipped" in found.refused[0].reason
    assert found.refused[0].label == label


NO_ENERGY: list[tuple[Any, str]] = [
    ("-1", "found the text '-1'"),
    (-2, "found the number -2"),
    ("105", "found the text '105', in W; allowed: what makes whole Wh"),
    ("106.5", "allowed: a whole number"),
    (106.5, "found the number 106.5; allowed: a whole number"),
    ("NaN", "found the text 'NaN'"),
    (float("nan"), "found the number NaN"),
    (float("inf"), "found the number Infinity"),
    (10**30, "found a number of many digits"),
    ("1" + "0" * 30, "found a text of 31 characters"),
    ("1e400", "allowed: a number from 0"),
    ("1" * 5000, "found a text of 5000 characters"),
    (10**4000, "found a number of many digits"),
    (True, "found true"),
    (False, "found false"),
    ("", "found the text ''"),
    ("1 000", "found the text '1 000'"),
    ("1_000", "a text of 5 characters"),
    ("٣", "a text of 1 characters"),
    ("0x10", "a text of 4 characters"),
    ({"v": "100"}, "found an object"),
    ([["100"]], "found a list"),
    (METER, "a text of 14 characters"),
    ("GI999055", "a text of 8 characters"),
]


@pytest.mark.parametrize(("value", "words"), NO_ENERGY)
def test_a_value_that_is_no_energy(value: Any, words: str) -> None:
    """Its point is refused in words, the others are kept."""
    items = [point("2026-02-10 00:30:00", value), point("2026-02-10 01:00:00")]
    found = read_curve(old(items), METER, FEBRUARY)
    assert seen(found) == [("2026-02-09T23:30:00Z", 30, 50)]
    [refused] = found.refused
    assert refused.label == "2026-02-10 00:30:00"
    assert refused.reason.startswith("value: found ")
    assert words in refused.reason


@pytest.mark.parametrize("text", ["1e400", "-1e400", "1e99999999999999999999", "0." + "1" * 999])
def test_a_number_beyond_all_bounds_costs_only_its_point(text: str) -> None:
    """It stands in the answer as a number, which other readers would fail on as a whole."""
    body = old([point("2026-02-10 00:30:00", 77), point("2026-02-10 01:00:00")])
    found = read_curve(body.replace(b"77", text.encode()), METER, FEBRUARY)
    assert (len(found.points), len(found.refused)) == (1, 1)


@pytest.mark.parametrize("value", ["106", 106, 106.0, "106.0", " 106 ", "1.06e2", "0106"])
def test_a_number_may_be_text(value: Any) -> None:
    """However it is written, it is read exactly."""
    found = read_curve(old([point("2026-02-10 00:30:00", value)]), METER, FEBRUARY)
    assert [amount for _, _, amount in seen(found)] == [53]


@pytest.mark.parametrize("length", [None, "", "PT45M", "PT0M", "PT30S", "P1D", 30, "30", ["PT30M"]])
def test_a_point_without_a_known_length(length: Any) -> None:
    """It is refused: no other point's length stands for its own."""
    items = [point("2026-02-10 00:30:00", length=length), point("2026-02-10 01:00:00")]
    found = read_curve(old(items), METER, FEBRUARY)
    assert (len(found.points), len(found.refused)) == (1, 1)
    assert found.refused[0].reason.startswith("interval_length: found ")


def of_2026(step: Any, *points: dict[str, Any]) -> bytes:
    """Give a curve of 2026 that says a length for all its points."""
    return json.dumps(json.loads(new(list(points))) | {"pas": step}).encode()


HALF = {"v": "100", "d": "2026-02-10 00:30:00"}
HOUR = {"v": "100", "d": "2026-02-10 02:00:00"}


def test_in_2026_a_length_may_be_said_for_all() -> None:
    """A point that has one goes by its own, others by that of the answer; null is none."""
    body = of_2026(
        "PT30M", HALF, HOUR | {"p": "PT60M"}, HOUR | {"d": "2026-02-10T02:30", "p": None}
    )
    found = read_curve(body, METER, FEBRUARY)
    assert (found.refused, [(minutes, amount) for _, minutes, amount in seen(found)]) == (
        (),
        [(30, 50), (60, 100), (30, 50)],
    )


@pytest.mark.parametrize(
    ("step", "item", "words"),
    [
        (None, HALF, "p: found nothing; allowed: PT5M"),
        ("PT60M", HALF, "pas: found the text 'PT60M' that ends at minute 30"),
        ("P1D", HALF, "pas: found a text of 3 characters; allowed: PT5M"),
        (30, HALF, "pas: found the number 30; allowed: PT5M"),
        ("PT30M", HALF | {"p": ""}, "p: found the text ''; allowed: PT5M"),
        ("PT30M", HALF | {"p": "PT45M"}, "p: found the text 'PT45M'; allowed: PT5M"),
    ],
)
def test_in_2026_no_length_is_guessed(step: Any, item: dict[str, Any], words: str) -> None:
    """Where none is said, or one that cannot be, the point is refused, with what field it was."""
    found = read_curve(of_2026(step, item, HOUR | {"p": "PT60M"}), METER, FEBRUARY)
    assert len(found.points) == 1
    [refused] = found.refused
    assert refused.reason.startswith(words)


@pytest.mark.parametrize("item", [None, "2026-02-10 00:30:00", 5, [], True])
def test_an_item_that_is_no_point(item: Any) -> None:
    """Whatever stands among the points, they are kept; it is named by its place."""
    found = read_curve(old([point("2026-02-10 01:00:00"), item]), METER, FEBRUARY)
    assert len(found.points) == 1
    assert found.refused[0].label == "point 2"
    assert "allowed: an object" in found.refused[0].reason


def test_twice_the_same_point_is_once() -> None:
    """Only in the night that repeats an hour does a label count; elsewhere a copy is a copy."""
    items = curve("2026-02-10 00:30:00", "2026-02-10 01:00:00")
    once = read_curve(old(items), METER, FEBRUARY)
    assert read_curve(old([*items, *items]), METER, FEBRUARY) == once


def test_of_two_values_the_later_one_holds() -> None:
    """An answer that says two things of one interval means the last one."""
    items = [point("2026-02-10 00:30:00", "100"), point("2026-02-10 00:30:00", "200")]
    assert seen(read_curve(old(items), METER, FEBRUARY)) == [("2026-02-09T23:00:00Z", 30, 100)]
    twice = [daily("2026-02-10", "1"), daily("2026-02-10", "2")]
    assert [amount for _, _, amount in seen(read_daily(old(twice), METER, FEBRUARY))] == [2]


def test_no_minute_is_counted_twice() -> None:
    """Of two points that overlap the one that begins first is kept, the other is told."""
    items = [point("2026-02-10 01:00:00", "100"), point("2026-02-10 01:00:00", "60", "PT60M")]
    found = read_curve(old(items), METER, FEBRUARY)
    assert seen(found) == [("2026-02-09T23:00:00Z", 60, 60)]
    assert "overlaps" in found.refused[0].reason


@pytest.mark.parametrize("date", ["2026-02-10", "2026-02-10 00:00:00", "2026-02-10T00:00:00"])
def test_a_day_may_be_written_as_its_midnight(date: str) -> None:
    """A daily value is that of the day that begins there, unlike a label of the curve."""
    assert seen(read_daily(old([daily(date)], "Wh"), METER, FEBRUARY)) == [
        ("2026-02-09T23:00:00Z", 1440, 8038)
    ]


NO_DAYS: list[tuple[Any, Any, str]] = [
    ("2026-02-10 00:30:00", "1", "date: found the text '2026-02-10 00:30:00'; allowed: a day"),
    ("2026-02-09", "1", "date: the day was not asked for"),
    ("2026-02-11", "1", "date: the day was not asked for"),
    ("2026-02-30", "1", "date: there is no such day"),
    (None, "1", "date: found nothing"),
    ("2026-02-10", "8038.5", "value: found the text '8038.5'; allowed: a whole number"),
    ("2026-02-10", "-1", "value: found the text '-1'"),
    ("2026-02-10", True, "value: found true"),
]


@pytest.mark.parametrize(("date", "value", "words"), NO_DAYS)
def test_what_is_no_day_is_refused(date: Any, value: Any, words: str) -> None:
    """It names the field, what was found and what is allowed."""
    found = read_daily(old([daily(date, value)], "Wh"), METER, FEBRUARY)
    assert not found.points
    assert found.refused[0].reason.startswith(words)


OTHER = "22222222222222"
UNREADABLE: list[tuple[bytes, str]] = [
    (b"", "found nothing"),
    (b" \n", "found nothing"),
    (b"\xef\xbb\xbf", "found nothing"),
    (b"{}", "found an object without measures"),
    (b"[]", "found a list without measures"),
    (b"null", "found nothing without measures"),
    (b'"meter_reading"', "without measures"),
    (b'{"meter_reading":null}', "found nothing without measures"),
    (b'{"meter_reading":{}}', "found an object without measures"),
    (b"<html><body>503</body></html>", "found HTML"),
    (b"Service unavailable", "found no valid JSON"),
    (old([])[:-2], "found no valid JSON"),
    (b"[" * 100_000, "nested too deep"),
    (b'{"a":' * 100_000, "nested too deep"),
    (b"\xff\xfe\x00", "found no valid JSON"),
    (old([], meter=OTHER), "usage_point_id: found another; allowed: the meter"),
    (old([], meter=None), "usage_point_id: found none"),
    (old([], meter=int(METER)), "usage_point_id: found another"),
    (new([], meter=OTHER), "idPrm: found another"),
    (old([], "kW"), "reading_type.unit: found the text 'kW'; allowed: W"),
    (old([], "Wh"), "reading_type.unit: found the text 'Wh'; allowed: W"),
    (new([], unite="kW"), "unite: found the text 'kW'; allowed: W"),
    (new([], unite=None), "unite: found nothing; allowed: W"),
    (new([], "Wh"), "grandeur: found 0 with CONS and PA of 1"),
    (new([], grandeurMetier="PROD"), "grandeur: found 0 with CONS"),
    (old("junk"), "interval_reading: found the text 'junk'; allowed: a list"),  # type: ignore[arg-type]
    (b'{"idPrm":"11111111111111","grandeur":{}}', "grandeur: found an object; allowed: a list"),
    (b'{"error":"no_data_found"}', "without measures"),
]


@pytest.mark.parametrize(("body", "words"), UNREADABLE)
def test_an_answer_that_is_not_as_agreed_is_refused_as_a_whole(body: bytes, words: str) -> None:
    """Not its shape, its unit or its meter: nothing of it is taken, and no meter is named."""
    with pytest.raises(AnswerUnreadable) as refused:
        read_curve(body, METER, FEBRUARY)
    assert words in str(refused.value)
    assert METER not in str(refused.value)
    assert OTHER not in str(refused.value)


def test_an_answer_that_is_too_long_is_not_read(monkeypatch: pytest.MonkeyPatch) -> None:
    """There is a most, far above what can be asked for."""
    monkeypatch.setattr("ecolyo_worker.energy.decoding.MOST_BYTES", 100)
    with pytest.raises(AnswerUnreadable, match="more than 100 bytes"):
        read_curve(old(curve("2026-02-10 00:30:00")), METER, FEBRUARY)


def test_an_answer_without_points_says_nothing() -> None:
    """No point is nothing to store, and no error."""
    for body in (old([]), old([], "W"), new([]), b'{"idPrm":"11111111111111","grandeur":[]}'):
        found = read_curve(body, METER, FEBRUARY)
        assert (found.points, found.refused, found.empty_days) == ((), (), ())


def test_production_beside_consumption_is_passed_over() -> None:
    """Of several quantities the one that was asked for is read; two of them are not as agreed."""
    body = json.loads(new([{"v": "100", "d": "2026-02-10 00:30:00", "p": "PT30M"}]))
    [consumption] = body["grandeur"]
    body["grandeur"] = [consumption | {"grandeurMetier": "PROD"}, "junk", consumption]
    found = read_curve(json.dumps(body).encode(), METER, FEBRUARY)
    assert len(found.points) == 1
    body["grandeur"].append(consumption)
    with pytest.raises(AnswerUnreadable, match="found 2 with CONS"):
        read_curve(json.dumps(body).encode(), METER, FEBRUARY)


@pytest.mark.parametrize(
    ("found", "is_one"),
    [
        ({"meter_reading": None}, True),
        ({"grandeur": []}, True),
        ({"error": "x"}, False),
        ([], False),
        (None, False),
    ],
)
def test_measures_are_told_by_their_content(found: object, is_one: bool) -> None:
    """Neither a header nor a setting says which generation answered."""
    assert is_of_enedis(found) is is_one
