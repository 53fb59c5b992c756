"""A part of the service that breaks, or holds up all others, is noticed and begun anew."""

import select
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from signal import SIGABRT
from typing import Any

import anyio
import pytest
import structlog
from anyio.abc import TaskStatus

from ecolyo_worker import Settings, Worker
from ecolyo_worker.actors.actor import Actor
from ecolyo_worker.clock import SystemClock, utc_ms
from ecolyo_worker.service.herald import Herald
from ecolyo_worker.service.notify import Notifier
from ecolyo_worker.testing.clock import SteppedClock
from tests.process.test_ends import spoil

Event = Callable[..., dict[str, Any]]
Run = Any


class Broken(Actor):
    """Raises as often as it is told, each time it is run."""

    name = "broken"
    times = 3
    runs = 0

    async def run(self, *, task_status: TaskStatus[None] = anyio.TASK_STATUS_IGNORED) -> None:
        self.runs += 1
        task_status.started()
        if self.runs <= self.times:
            raise ValueError("broken")
        while not self.stopping:
            await self.rest()


@pytest.mark.fault(16)
async def test_one_part_raises(state_dir: Path, event: Event) -> None:
    """It runs again, after a delay that grows, and all others go on meanwhile."""
    clock = SteppedClock(datetime(2026, 11, 21, 12, 0, tzinfo=UTC))
    async with Worker(Settings(state_dir=state_dir), clock=clock) as worker:
        broken = Broken(clock)
        await worker.supervise(broken)
        for times in range(1, broken.times + 1):
            await clock.sleepers(len(worker.health()) - 1)  # intake goes by the machine's time
            assert {health.name: health.state for health in worker.health()} == {
                **dict.fromkeys(("janitor", "sender", "aggregator", "intake"), "working"),
                "broken": "restarting",
            }
            found = event("NavigationEvent", f"2026-11-20T1{times}:00")
            assert (await worker.record("alice.example", found)).accepted == 1
            assert broken.runs == times
            await clock.step(clock.now() + timedelta(seconds=2**times / 2))
        assert broken.runs == broken.times + 1
        assert all(health.state == "working" for health in worker.health())


@pytest.mark.fault(16)
async def test_one_part_raises_again_and_again(run: Run, state_dir: Path) -> None:
    """After five crashes within a minute the service ends with 70; systemd starts it anew."""
    last = datetime.now(UTC) - timedelta(days=5)
    slot = f"('night', '{last:%F}', {utc_ms(last)})"
    await spoil(state_dir, f"INSERT INTO slots VALUES {slot}", last=last.date())
    async with run(ready=False) as service:
        assert await service.end() == 70
        assert "aggregator crashed 5 times within a minute" in await service.rest()


@pytest.mark.fault(17)
async def test_a_blocked_event_loop_starves_the_watchdog(manager: Any, state_dir: Path) -> None:
    """While something blocks it the manager hears of no life, for all of its patience."""
    notifier = Notifier({**manager.environ, "WATCHDOG_USEC": "100000"}, structlog.get_logger())
    herald = Herald(notifier, SystemClock())
    async with (
        Worker(Settings(state_dir=state_dir)) as worker,
        anyio.create_task_group() as telling,
    ):
        telling.start_soon(herald.run)
        await herald.ready(worker)
        await manager.hear("WATCHDOG")
        manager.heard()
        readable, _, _ = select.select([manager.socket], [], [], 0.1)
        assert readable == []
        await manager.hear("WATCHDOG")
        telling.cancel_scope.cancel()


@pytest.mark.fault(17)
async def test_who_is_ended_by_the_watchdog_says_where_it_hung(run: Run, manager: Any) -> None:
    """Aborted, it leaves in the log where each thread was, and the next start goes on."""
    async with run(**manager.environ) as service:
        service.process.send_signal(SIGABRT)
        assert await service.end() == -SIGABRT
        said = await service.rest()
    assert "Fatal Python error: Aborted" in said
    assert "cli/app.py" in said
    async with run() as service:
        assert service.process.returncode is None
