"""The nightly run by itself: once a civil day, whatever the clock does, and caught up if missed."""

import random
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import anyio
import pytest

from ecolyo_worker import Settings, Worker
from ecolyo_worker.clock import SystemClock, utc_ms
from ecolyo_worker.commands import Commands
from ecolyo_worker.requests import OutboxList
from ecolyo_worker.settings import Aggregation, Dacc
from ecolyo_worker.testing.clock import SteppedClock

Agree = Callable[..., Awaitable[None]]
Event = Callable[..., dict[str, Any]]
Nights = Callable[[SteppedClock], Worker]

PARIS = ZoneInfo("Europe/Paris")


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


def paris(text: str, fold: int = 0) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=PARIS, fold=fold).astimezone(UTC)


@pytest.fixture
def nights(state_dir: Path) -> Nights:
    """Make a worker whose night is at 02:30."""
    settings = Settings(state_dir=state_dir, aggregation=Aggregation(schedule="30 2 * * *"))
    return lambda clock: Worker(settings, clock=clock)


async def days(worker: Worker) -> list[str]:
    """Give the days of which connected rows were made: one for each day that a run looked at."""
    rows = Commands(worker).outbox_list(OutboxList())
    return [row.start_date async for row in rows]


async def runs(worker: Worker) -> int:
    return await worker.database.read(
        lambda connection: connection.execute("SELECT count(*) FROM runs").fetchone()[0]
    )


async def connect(agree: Agree, worker: Worker, accepted_at: str) -> None:
    """Make a person of whom every day makes a row."""
    facts = {
        "instance": "alice.example",
        "consent": {"version": "1.0.0", "accepted_at": accepted_at},
        "konnectors": [{"fluid": "gas", "connected": True, "since": accepted_at}],
    }
    await agree(worker, facts)


async def asleep(worker: Worker, clock: SteppedClock) -> None:
    """Wait until everything that works by itself waits for its time."""
    await clock.sleepers(len(worker.health()) - 1)  # intake goes by the machine's time


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


async def test_spring_skips_the_hour_and_not_the_night(nights: Nights, agree: Agree) -> None:
    """On 29 March 2026 there is no 02:30: the run comes when the clock has jumped, at 03:00."""
    clock = SteppedClock(paris("2026-03-28T12:00"))
    async with nights(clock) as worker:
        await connect(agree, worker, "2026-03-28T08:00")
        await asleep(worker, clock)
        await clock.step(datetime(2026, 3, 29, 0, 59, 59, tzinfo=UTC))
        assert await runs(worker) == 0
        await clock.step(paris("2026-03-29T03:00"))
        assert await runs(worker) == 1
        await clock.step(paris("2026-03-29T23:00"))
        assert (await runs(worker), await days(worker)) == (1, ["2026-03-28"])
        await clock.step(paris("2026-03-30T02:30"))
        assert await days(worker) == ["2026-03-28", "2026-03-29"]


async def test_autumn_repeats_the_hour_and_not_the_night(nights: Nights, agree: Agree) -> None:
    """On 25 October 2026 there are two 02:30: the run comes at the first one only."""
    clock = SteppedClock(paris("2026-10-24T12:00"))
    async with nights(clock) as worker:
        await connect(agree, worker, "2026-10-24T08:00")
        await asleep(worker, clock)
        found = []
        for fold in (0, 1):
            for minute in ("02:29", "02:30", "02:59"):
                await clock.step(paris(f"2026-10-25T{minute}", fold))
                found.append(await runs(worker))
        assert found == [0, 1, 1, 1, 1, 1]
        await clock.step(paris("2026-10-26T02:30"))
        assert await days(worker) == ["2026-10-24", "2026-10-25"]


async def test_a_restart_in_the_repeated_hour_runs_nothing_again(
    nights: Nights, agree: Agree
) -> None:
    """The slot is on disk: a worker that starts in the second 02:30 knows that it is done."""
    clock = SteppedClock(paris("2026-10-24T12:00"))
    async with nights(clock) as worker:
        await connect(agree, worker, "2026-10-24T08:00")
        await asleep(worker, clock)
        await clock.step(paris("2026-10-25T02:31", 0))
    clock = SteppedClock(paris("2026-10-25T02:30", 1))
    async with nights(clock) as worker:
        await asleep(worker, clock)
        assert await runs(worker) == 1


async def test_a_clock_set_back_runs_no_night_twice(nights: Nights, agree: Agree) -> None:
    """After the clock was set back by a day, the night that was done is not done again."""
    clock = SteppedClock(paris("2026-11-20T12:00"))
    async with nights(clock) as worker:
        await connect(agree, worker, "2026-11-18T08:00")
        await asleep(worker, clock)
        await clock.step(paris("2026-11-21T02:30"))
        await clock.step(paris("2026-11-20T02:40"), jump=True)
        await clock.step(paris("2026-11-20T12:00"))
        await clock.step(paris("2026-11-21T02:30"))
        assert (await runs(worker), (await days(worker))[-1]) == (1, "2026-11-20")


async def test_a_clock_ten_years_ahead_runs_one_night(nights: Nights, agree: Agree) -> None:
    """A clock that jumps ten years makes one run, not thousands."""
    clock = SteppedClock(paris("2026-11-20T12:00"))
    async with nights(clock) as worker:
        await connect(agree, worker, "2026-11-18T08:00")
        await asleep(worker, clock)
        await clock.step(paris("2036-11-20T12:00"))
        assert await runs(worker) == 1


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
