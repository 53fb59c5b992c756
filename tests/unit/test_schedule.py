"""Schedules of a minute of some hours of every day, which most are, come when cron's would."""

from datetime import UTC, datetime
from zoneinfo import ZoneInfo

from hypothesis import example, given, settings
from hypothesis import strategies as st

from ecolyo_worker.actors.schedule import Schedule

PARIS = ZoneInfo("Europe/Paris")
INSTANTS = st.datetimes(datetime(2026, 1, 1), datetime(2027, 1, 1)).map(
    lambda one: one.replace(microsecond=0, tzinfo=UTC)
)
HOURS = st.lists(st.integers(0, 23), min_size=1, max_size=3).map(
    lambda hours: ",".join(map(str, hours))
)


@settings(deadline=None)  # the first one loads the cron reader
@given(now=INSTANTS, hours=HOURS, minute=st.integers(0, 59))
@example(now=datetime(2026, 3, 29, 0, 59, 59, tzinfo=UTC), hours="2", minute=30)  # is skipped
@example(now=datetime(2026, 10, 25, 0, 30, tzinfo=UTC), hours="2", minute=30)  # comes twice
@example(now=datetime(2026, 10, 25, 1, 30, tzinfo=UTC), hours="2", minute=30)
@example(now=datetime(2026, 6, 1, 6, 0, tzinfo=UTC), hours="14,8", minute=0)  # is just due
def test_a_daily_schedule_comes_when_cron_says(now: datetime, hours: str, minute: int) -> None:
    """It comes as the same schedule does that spells out the days of the week."""
    daily = Schedule(f"{minute} {hours} * * *", PARIS)
    spelt = Schedule(f"{minute} {hours} * * 0-6", PARIS)
    assert daily.next(now) == spelt.next(now)
    assert daily.latest(now) == spelt.latest(now)
