"""The nightly run by itself: once a civil day, and caught up if missed."""

import random
from datetime import datetime, timedelta
from pathlib import Path

import anyio
import pytest

from ecolyo_worker import Settings, Worker
from ecolyo_worker.clock import SystemClock, utc_ms
from ecolyo_worker.settings import Dacc
from ecolyo_worker.testing.clock import SteppedClock
from tests.nights import Agree, Nights, asleep, connect, days, paris, runs


class LateClock(SystemClock):
    """The machine's clock, but at each look it is a day later than at the one before."""

    def __init__(self, begin: datetime, looks: int) -> None:
        self._now = begin
        self._left = looks
        self.seen = anyio.Event()
        """It was looked at so many times."""

    def now(self) -> datetime:
        self._now += timedelta(days=1)
        self._left -= 1
        if not self._left:
            self.seen.set()
        return self._now


async def test_a_night_runs_at_its_time(nights: Nights, agree: Agree) -> None:
    """The run comes at its time, not before, once, and again a day later."""
    clock = SteppedClock(paris("2026-11-20T12:00"))
    async with nights(clock) as worker:
        await connect(agree, worker, "2026-11-18T08:00")
        await asleep(worker, clock)
        found = []
        for time in ("2026-11-21T02:29:59", "2026-11-21T02:30", "2026-11-21T14:00"):
            await clock.step(paris(time))
            found.append((await runs(worker), await days(worker)))
        assert found[0] == (0, [])
        assert found[1] == found[2] == (1, ["2026-11-18", "2026-11-19", "2026-11-20"])
        await clock.step(paris("2026-11-22T02:30"))
        assert (await days(worker))[-1] == "2026-11-21"


async def test_the_first_start_runs_nothing(nights: Nights, agree: Agree) -> None:
    """Where no night ever was, none was missed: the first one is the next one."""
    clock = SteppedClock(paris("2026-11-20T12:00"))
    worker = nights(clock)
    async with worker.opened():
        await connect(agree, worker, "2026-11-18T08:00")
    async with worker:
        await asleep(worker, clock)
        assert await runs(worker) == 0


@pytest.mark.parametrize("missed", [1, 5, 30])
async def test_missed_nights_are_caught_up_once(nights: Nights, agree: Agree, missed: int) -> None:
    """After an outage one run, at once, makes up for all nights that were missed."""
    clock = SteppedClock(paris("2026-06-01T12:00"))
    worker = nights(clock)
    async with worker:
        await connect(agree, worker, "2026-06-01T08:00")
        await asleep(worker, clock)
    clock = SteppedClock(paris("2026-06-01T12:00") + timedelta(days=missed))
    worker = nights(clock)
    async with worker:
        await asleep(worker, clock)
        assert (await runs(worker), len(await days(worker))) == (1, missed)


async def test_a_night_that_is_due_before_the_rest_begins(state_dir: Path) -> None:
    """A clock that is set ahead while a night is counted lets the next one run, and none crash."""
    clock = LateClock(paris("2026-11-20T12:00"), looks=60)
    async with Worker(Settings(state_dir=state_dir), clock=clock) as worker:
        await clock.seen.wait()
        assert {part.restarts for part in worker.health()} == {0}
        assert await runs(worker) > 1


async def test_no_night_in_mode_off(state_dir: Path) -> None:
    """In mode off nothing is counted."""
    clock = SteppedClock(paris("2026-11-20T12:00"))
    async with Worker(Settings(state_dir=state_dir, mode="off"), clock=clock) as worker:
        await asleep(worker, clock)
        await clock.step(paris("2026-11-21T12:00"))
        assert await runs(worker) == 0


async def test_a_nights_rows_wait_for_a_moment_of_chance(state_dir: Path, agree: Agree) -> None:
    """All rows of a night are due at one random moment within `dacc.spread`, kept in the rows."""
    moments = set()
    for seed in range(5):
        clock = SteppedClock(paris("2026-11-20T12:00"))
        settings = Settings(state_dir=state_dir / str(seed), dacc=Dacc(url="http://127.0.0.1:9"))
        async with Worker(settings, clock=clock, random=random.Random(seed)) as worker:
            await connect(agree, worker, "2026-11-18T08:00")
            await asleep(worker, clock)
            await clock.step(paris("2026-11-21T01:00"))
            due = await worker.database.read(
                lambda connection: connection.execute("SELECT DISTINCT due FROM outbox").fetchall()
            )
        assert len(due) == 1
        moments.add(due[0][0] - utc_ms(paris("2026-11-21T01:00")))
    assert len(moments) == 5
    assert 0 <= min(moments) < max(moments) <= 1_800_000
