"""The clock of simulations: work takes no time on it, and rest waits for a step."""

from datetime import UTC, datetime, timedelta

import anyio
import pytest

from ecolyo_worker.testing.clock import SimulatedClock

BEGIN = datetime(2028, 2, 29, 12, 0, tzinfo=UTC)
HOUR = timedelta(hours=1)


async def test_short_sleeps_pass_at_once_and_in_order() -> None:
    """Who sleeps for less than a rest is woken at its moment, whatever the machine's clock says."""
    clock = SimulatedClock(BEGIN)
    woken = []

    async def work(seconds: float) -> None:
        for _ in range(3):
            await clock.sleep(seconds)
            woken.append((round(clock.monotonic(), 6), seconds))
        await clock.sleep(3600)

    async with anyio.create_task_group() as tasks:
        for seconds in (0.0000003, 0.7, 19.0):
            tasks.start_soon(work, seconds)
        await clock.step_whole(BEGIN, resting=3)
        tasks.cancel_scope.cancel()
    for seconds in (0.7, 19.0):
        moments = [moment for moment, slept in woken if slept == seconds]
        assert moments == [pytest.approx(n * seconds) for n in (1, 2, 3)]
    assert abs(clock.now() - BEGIN - timedelta(seconds=57)) < timedelta(milliseconds=1)


async def test_rest_waits_for_its_step() -> None:
    """Who rests is woken by the step that comes so far, and by none before."""
    clock = SimulatedClock(BEGIN)
    woken: list[datetime] = []

    async def rest() -> None:
        while True:
            await clock.sleep(5400)
            woken.append(clock.now())

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(rest)
        await clock.step_whole(BEGIN, resting=1)
        for hours in (1, 2, 3, 4):
            await clock.step_whole(BEGIN + hours * HOUR, resting=1)
        tasks.cancel_scope.cancel()
    assert woken == [BEGIN + 2 * HOUR, BEGIN + 4 * HOUR]


async def test_work_that_is_no_sleep_is_waited_for() -> None:
    """A step ends when all rest again, though nobody sleeps in between."""
    clock = SimulatedClock(BEGIN)
    done = []

    async def work() -> None:
        while True:
            await clock.sleep(3600)
            done.append(await anyio.to_thread.run_sync(lambda: sum(range(100_000))))

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(work)
        await clock.step_whole(BEGIN, resting=1)
        await clock.step_whole(BEGIN + HOUR, resting=1)
        found = len(done)
        tasks.cancel_scope.cancel()
    assert found == 1


async def test_a_step_that_hangs_says_so() -> None:
    """Where too few come to rest, the step ends with words."""
    clock = SimulatedClock(BEGIN, patience_s=0)
    with pytest.raises(TimeoutError, match=r"12:00:00.* 0 rest, and 1 should"):
        await clock.step_whole(BEGIN, resting=1)
