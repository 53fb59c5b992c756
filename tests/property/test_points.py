"""Points of one series, in batches of any steps, begins and qualities: they never overlap."""

import sqlite3
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path
from tempfile import TemporaryDirectory

from hypothesis import given
from hypothesis import strategies as st

from ecolyo_worker.clock import MINUTE_MS
from ecolyo_worker.energy.points import GasDetail, Point, Quality
from ecolyo_worker.store import instances, points
from ecolyo_worker.store.points import Series
from tests.property.made import limits
from tests.property.worked import opened

DAY = 1440
DAYS = 3

Batch = list[Point]


@st.composite
def curves(draw: st.DrawFn) -> Batch:
    """Give some of a day's points of one step, which need not begin where the step would."""
    step = draw(st.sampled_from([5, 10, 15, 20, 30, 60]))
    first = draw(st.integers(0, DAYS - 1)) * DAY + draw(st.sampled_from([0, 0, 5, 30]))
    places = draw(st.sets(st.integers(0, 300 // step), min_size=1, max_size=12))
    return [point(first + place * step, step, draw(qualities())) for place in places]


@st.composite
def days(draw: st.DrawFn) -> Batch:
    """Give some days, in any order, each with a begin and a length of its own."""
    chosen = draw(st.lists(st.integers(0, DAYS - 1), min_size=1, max_size=4))
    begins, lengths = st.sampled_from([0, 0, 360, 420]), st.sampled_from([1380, DAY, 1500])
    return [point(day * DAY + draw(begins), draw(lengths), draw(qualities())) for day in chosen]


def qualities() -> st.SearchStrategy[Quality]:
    return st.sampled_from(Quality)


def point(minute: int, minutes: int, quality: Quality) -> Point:
    """Give a point whose Wh are its own, with a detail beside it."""
    amount = minute * 10_000 + minutes * 4 + quality
    return Point(minute * MINUTE_MS, minutes, amount, quality, GasDetail(1.0, 11.0))


def end(one: Point) -> int:
    return one.start + one.minutes * MINUTE_MS


def over(one: Point, other: Point) -> bool:
    """Tell whether two points overlap."""
    return one.start < end(other) and other.start < end(one)


def read(connection: sqlite3.Connection) -> list[Point]:
    """Give what is stored, with its details."""
    rows = connection.execute(
        "SELECT p.start, p.minutes, p.amount, p.quality, g.volume, g.coefficient"
        " FROM points AS p JOIN gas_details AS g USING (series, start) ORDER BY p.start"
    ).fetchall()
    (details,) = connection.execute("SELECT count(*) FROM gas_details").fetchone()
    assert len(rows) == details
    return [
        Point(start, minutes, amount, Quality(quality), GasDetail(*detail))
        for start, minutes, amount, quality, *detail in rows
    ]


def assert_stored(before: Sequence[Point], batch: Batch, after: Sequence[Point]) -> None:
    """Check that nothing is there twice, and that nothing was lost but to what is as sure."""
    assert all(end(one) <= other.start for one, other in pairwise(after))
    assert set(after) <= {*before, *batch}
    for gone in set(before) - set(after):
        assert any(over(gone, one) and one.quality >= gone.quality for one in after)
    for refused in set(batch) - set(after):
        others = {*before, *batch, *after} - {refused}
        assert any(over(refused, one) and one.quality >= refused.quality for one in others)


@limits(60)
@given(st.lists(curves() | days(), min_size=1, max_size=6))
async def test_points_of_a_series_never_overlap(batches: list[Batch]) -> None:
    """A minute is known once, a surer value stays, and what changed is told."""
    with TemporaryDirectory() as directory:
        async with opened(Path(directory)) as worker:
            home = await worker.database.run(instances.identify, "alice.example")
            series = Series(home, "gas", "day", "1", "grdf")
            ident = await worker.database.run(points.series_of, series)
            before: list[Point] = []
            for batch in batches:
                change = await worker.database.run(points.put, ident, batch)
                after = await worker.database.read(read)
                assert_stored(before, batch, after)
                changed = {one.start for one in {*before} ^ {*after}}
                assert change.starts == tuple(sorted(changed))
                assert change.new == len({p.start for p in after} - {p.start for p in before})
                assert await worker.database.run(points.put, ident, after) == points.Change(
                    0, 0, ()
                )
                before = after
