"""A whole day of the load curve must be what the day is said to be."""

import pytest
from msgspec.structs import replace

from ecolyo_worker.energy.agreement import Disagreement, disagreements
from ecolyo_worker.energy.points import Point
from tests.unit.energy_samples import METER, days, read_curve, read_daily, sample

YEAR = days("2026-01-01", "2027-01-01")
HOUR = 3_600_000


def series(name: str) -> tuple[tuple[Point, ...], tuple[Point, ...]]:
    daily = read_daily(sample(f"enedis-v5-daily-{name}.json"), METER, YEAR)
    return daily.points, read_curve(sample(f"enedis-v5-curve-{name}.json"), METER, YEAR).points


@pytest.mark.parametrize("name", ["normal", "spring", "autumn", "gap"])
def test_the_samples_agree(name: str) -> None:
    """Days of 46, 48 and 50 half-hours do, and one with a hole says nothing."""
    assert disagreements(*series(name)) == ()


@pytest.mark.parametrize("name", ["normal", "spring", "autumn"])
@pytest.mark.parametrize("place", [0, 7, -1])
def test_one_wh_is_told(name: str, place: int) -> None:
    """The first and the last half-hour of a day belong to it."""
    wholes, parts = series(name)
    changed = list(parts)
    changed[place] = replace(changed[place], amount=changed[place].amount + 1)
    [found] = disagreements(wholes, changed)
    assert found.whole.start == parts[0].start
    assert found.parts == found.whole.amount + 1


def test_a_day_that_is_not_covered_says_nothing() -> None:
    """Neither with a hole, nor without any part, nor where a part reaches beyond it."""
    whole = Point(HOUR, 120, 9)
    halves = Point(HOUR, 60, 1), Point(2 * HOUR, 60, 1)
    beyond = Point(HOUR, 30, 1), Point(2 * HOUR, 90, 1)
    around = Point(0, 60, 7), *halves, Point(3 * HOUR, 60, 7)
    assert disagreements([whole], halves) == (Disagreement(whole, 2),)
    assert disagreements([whole], around) == (Disagreement(whole, 2),)
    for parts in (halves[:1], halves[1:], (), beyond, (Point(0, 60, 1), *halves[1:])):
        assert disagreements([whole], parts) == ()


def test_parts_may_be_of_any_length() -> None:
    """The step of the curve may change within a day."""
    whole = Point(0, 60, 6)
    parts = [Point(0, 30, 3), Point(HOUR // 2, 10, 1), Point(HOUR * 2 // 3, 20, 1)]
    assert disagreements([whole], parts) == (Disagreement(whole, 5),)
