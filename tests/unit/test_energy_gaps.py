"""What is wrong with a day, and when it is asked for again."""

from typing import Any

import pytest

from ecolyo_worker.clock import parse_day
from ecolyo_worker.energy.gaps import DayHeld, Gap, Looked, gaps, suspicion
from ecolyo_worker.energy.points import BadPoint, Decoded, Quality
from tests.unit.energy_samples import METER, old, point, read_curve

TODAY = parse_day("2026-11-21")
WHOLE = DayHeld(1440, 5000)
PROVISIONAL = DayHeld(1440, 5000, Quality.PROVISIONAL_MEASURED)


def judged(series: Any, ago: int, held: DayHeld | None = None, **more: Any) -> Gap | None:
    """Judge a day so many days ago."""
    day = TODAY - ago
    looked = Looked(
        series=series,
        window=range(day, day + 1),
        found=Decoded((), more.get("refused", ()), (day,) if more.get("is_empty") else ()),
        held={} if held is None else {day: held},
        lengths={day: more.get("length", 1440)},
        daily={day} if more.get("has_daily") else set(),
        today=TODAY,
    )
    found = gaps(looked)
    return found[0] if found else None


@pytest.mark.parametrize(
    ("series", "more", "state", "last"),
    [
        ("daily", {}, "late", 30),
        ("curve", {}, "late", 30),
        ("daily", {"is_empty": True}, "empty", 7),
        ("curve", {"is_empty": True, "has_daily": True}, "empty", 7),
        ("curve", {"has_daily": True}, "coarse", 7),
        ("curve", {"held": DayHeld(1410, 5000)}, "coarse", 7),
        (
            "gas_days",
            {"held": PROVISIONAL},
            "provisional",
            60,
        ),
    ],
)
def test_a_day_is_open_for_its_time(series: Any, more: Any, state: str, last: int) -> None:
    """It is asked for again until it is too old, and is missing then."""
    for ago, again in ((1, TODAY), (2, TODAY + 1), (last, TODAY + 1)):
        gap = judged(series, ago, **more)
        assert gap is not None
        assert (gap.state, gap.again) == (state, again)
    assert judged(series, last + 1, **more) is None


@pytest.mark.parametrize(
    ("series", "waits", "last"),
    [("gas_days", {2: 1, 30: 1, 31: 28}, 90), ("gas_periods", {2: 7, 60: 7, 61: 28}, 400)],
)
def test_gas_may_come_late(series: Any, waits: dict[int, int], last: int) -> None:
    """What is not there after a month or two is asked again once a month, all of it on one day."""
    for ago, most in waits.items():
        gap = judged(series, ago)
        assert gap is not None
        assert gap.state == "late"
        assert 0 < (gap.again or 0) - TODAY <= most
    old = [judged(series, ago) for ago in (max(waits), last)]
    assert len({gap.again for gap in old if gap is not None}) == 1
    assert judged(series, last + 1) is None


@pytest.mark.parametrize("quality", [Quality.DEFINITIVE_ESTIMATED, Quality.DEFINITIVE_MEASURED])
def test_a_whole_day_is_as_it_should_be(quality: Quality) -> None:
    """What is there, and final, is not asked for again; a long day has more of it."""
    assert judged("gas_days", 1, DayHeld(1440, 5000, quality)) is None
    assert judged("curve", 1, WHOLE, has_daily=True) is None
    gap = judged("curve", 1, WHOLE, length=1500)
    assert gap is not None
    assert gap.reason == "of 25 hours 24 are there"


def test_what_was_refused_is_told() -> None:
    """A day with refused points is an error with the first reason; midnight ends a day."""
    points = [
        BadPoint(f"2026-11-{label}", reason)
        for label, reason in (("20 10:00:00", "v: one"), ("20 10:30:00", "v: two"))
    ]
    gap = judged("curve", 1, DayHeld(1380, 1), refused=tuple(points))
    assert gap == Gap(TODAY - 1, "error", "2 points were refused: v: one", TODAY)
    last = (BadPoint("2026-11-21 00:00:00", "v: three"), BadPoint("point 3", "v: four"))
    gap = judged("curve", 1, refused=last)
    assert gap == Gap(TODAY - 1, "error", "1 point was refused: v: three", TODAY)
    old = BadPoint("2026-11-01", "v: one")
    assert judged("daily", 20, refused=(old,)) == Gap(
        TODAY - 20, "error", "1 point was refused: v: one", None
    )


@pytest.mark.parametrize("time", ["20 01:00:00", "20 12:00:00", "21 00:00:00"])
def test_what_overlaps_is_told_of_its_own_day(time: str) -> None:
    """A day by the clocks of Paris, whose first hour is of the day before by those of UTC."""
    label = f"2026-11-{time}"
    friday = range(TODAY - 1, TODAY)
    found = read_curve(old([point(label, "100"), point(label, "60", "PT60M")]), METER, friday)
    assert [bad.label for bad in found.refused] == [label]
    gap = judged("curve", 1, DayHeld(60, 60), refused=found.refused)
    assert gap is not None
    assert gap.reason.startswith("1 point was refused: date: it overlaps")
    before = judged("curve", 2, refused=found.refused)
    assert before is not None
    assert before.state == "late"


def test_a_sum_that_differs_is_suspect() -> None:
    """To the Wh; it is asked for again for a week."""
    assert suspicion(TODAY - 1, WHOLE, DayHeld(1440, 5000), TODAY) is None
    gap = suspicion(TODAY - 7, WHOLE, DayHeld(1440, 5001), TODAY)
    assert gap is not None
    assert (gap.state, gap.again) == ("suspect", TODAY + 1)
    assert gap.reason == "the half-hours come to 5000 Wh, the day to 5001 Wh"
    old = suspicion(TODAY - 8, WHOLE, DayHeld(1440, 4999), TODAY)
    assert old is not None
    assert old.again is None
