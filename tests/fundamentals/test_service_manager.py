"""The service manager knows how the service is, and hears of life only where there is life."""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import anyio
import pytest
import structlog
from anyio.abc import TaskStatus

from ecolyo_worker import Settings, Worker
from ecolyo_worker.actors.actor import Actor
from ecolyo_worker.clock import SystemClock
from ecolyo_worker.service.herald import Herald, sentence
from ecolyo_worker.service.notify import Notifier
from ecolyo_worker.testing.clock import SteppedClock
from ecolyo_worker.testing.echo import Echo

BEGIN = datetime(2026, 11, 21, 12, 0, tzinfo=UTC)
MINUTE = {"WATCHDOG_USEC": "60000000"}
FED = {"WATCHDOG": "1"}


class Frozen(Actor):
    """Never gives a sign of life."""

    name = "frozen"
    LOOK_S = 10.0

    async def run(self, *, task_status: TaskStatus[None] = anyio.TASK_STATUS_IGNORED) -> None:
        task_status.started()
        while not self.stopping:
            await self._wakes.wait(self._clock)


class Broken(Frozen):
    """Crashes once it is started, each time."""

    name = "broken"

    async def run(self, *, task_status: TaskStatus[None] = anyio.TASK_STATUS_IGNORED) -> None:
        task_status.started()
        await anyio.lowlevel.checkpoint()
        raise ValueError("alice.example broke it")


@pytest.fixture
def clock() -> SteppedClock:
    return SteppedClock(BEGIN)


@asynccontextmanager
async def told(
    clock: Any, manager: Any, works: Callable[[], bool] = lambda: True, /, **environ: str
) -> AsyncIterator[Herald]:
    """Run a herald who speaks to the manager."""
    notifier = Notifier({**manager.environ, **environ}, structlog.get_logger())
    herald = Herald(notifier, clock, works)
    async with anyio.create_task_group() as telling:
        telling.start_soon(herald.run)
        yield herald
        telling.cancel_scope.cancel()


async def step(clock: SteppedClock, seconds: float, worker: Worker | None = None) -> None:
    await clock.step(clock.now() + timedelta(seconds=seconds))
    if worker is not None:
        worker.intake.wake()  # it goes by the machine's time, which does not pass


def names(messages: list[dict[str, str]]) -> list[str]:
    return [name for message in messages for name in message]


async def test_a_long_start_asks_for_time(clock: SteppedClock, manager: Any) -> None:
    """While a worker is being entered, the manager is asked for more time, again and again."""
    asked = {"STATUS": "starting", "EXTEND_TIMEOUT_USEC": "30000000"}
    async with told(clock, manager) as herald:
        await herald.starting()
        assert manager.heard() == [asked]
        await clock.sleepers(1)
        for _ in range(3):
            await step(clock, 10)
            assert manager.heard() == [asked]


async def test_a_start_that_does_nothing_gets_no_more_time(
    clock: SteppedClock, manager: Any
) -> None:
    """After five minutes without any work neither time is asked for nor the watchdog fed."""
    works = [True] * 30 + [False] * 60
    async with told(clock, manager, lambda: works.pop(0), **MINUTE) as herald:
        await herald.starting()
        await clock.sleepers(2)
        heard = []
        for _ in range(90):
            await step(clock, 10)
            heard.append(manager.heard())
    asked = [n for n, messages in enumerate(heard, 1) if "STATUS" in names(messages)]
    fed = [n for n, messages in enumerate(heard, 1) if FED in messages]
    assert asked == list(range(1, 60))  # in steps of ten seconds: it worked for five minutes
    assert fed == list(range(3, 60, 3))


async def test_leaving_a_worker_has_its_time(
    clock: SteppedClock, manager: Any, state_dir: Path
) -> None:
    """Between two workers the watchdog is fed for the grace and half a minute, and no longer."""
    worker = Worker(Settings(state_dir=state_dir, grace=timedelta(seconds=60)))
    async with told(clock, manager, **MINUTE) as herald:
        herald.leaving(worker)
        await clock.sleepers(2)
        fed = []
        for _ in range(6):
            await step(clock, 30)
            fed.append(FED in manager.heard())
    assert fed == [True, True, False, False, False, False]


async def test_the_watchdog_is_fed_while_all_is_well(
    clock: SteppedClock, manager: Any, state_dir: Path
) -> None:
    """A sign of life comes each time that half of the manager's patience is over."""
    async with Worker(Settings(state_dir=state_dir), clock=clock) as worker:
        async with told(clock, manager, **MINUTE) as herald:
            await herald.ready(worker)
            assert names(manager.heard()) == ["READY", "STATUS"]
            await clock.sleepers(len(worker.health()) + 1)
            for _ in range(10):
                await step(clock, 29, worker)
                assert manager.heard() == []
                await step(clock, 1, worker)
                assert manager.heard() == [FED]


async def test_an_actor_that_hangs_starves_the_watchdog(
    clock: SteppedClock, manager: Any, state_dir: Path
) -> None:
    """One actor without a sign of life is enough; the status names it; its sign ends the hunger."""
    async with Worker(Settings(state_dir=state_dir), clock=clock) as worker:
        frozen = Frozen(clock)
        await worker.supervise(frozen)
        async with told(clock, manager, **MINUTE) as herald:
            await herald.ready(worker)
            await clock.sleepers(len(worker.health()))
            manager.heard()
            await step(clock, 30)
            assert manager.heard() == [FED]
            for _ in range(5):
                await step(clock, 30, worker)
                assert FED not in manager.heard()
            assert sentence(worker.status()).startswith("frozen hangs; ")
            frozen.sign()
            await step(clock, 30)
            assert FED in manager.heard()


async def test_an_actor_that_waits_to_run_again_starves_nobody(
    clock: SteppedClock, manager: Any, state_dir: Path
) -> None:
    """A crash is the supervisor's to mend; the status tells of it, without the error's words."""
    async with Worker(Settings(state_dir=state_dir), clock=clock) as worker:
        await worker.supervise(Broken(clock))
        async with told(clock, manager, WATCHDOG_USEC="100000") as herald:
            await herald.ready(worker)
            await clock.sleepers(len(worker.health()) + 1)
            manager.heard()
            await step(clock, 0.05)
            assert manager.heard() == [FED]
            said = sentence(worker.status())
            assert said.startswith("broken crashed and will run again; ")
            assert "alice" not in said


async def test_the_status_follows(
    clock: SteppedClock,
    manager: Any,
    state_dir: Path,
    agree: Callable[..., Awaitable[None]],
    event: Callable[..., dict[str, Any]],
) -> None:
    """What waits and what stands in the way is told when it changes, and not again and again."""
    async with Worker(Settings(state_dir=state_dir), clock=clock) as worker:
        async with told(clock, manager) as herald:
            await herald.ready(worker)
            waits = "working; events waiting 0 · indicators waiting 0"
            assert manager.heard() == [{"READY": "1", "STATUS": waits}]
            await clock.sleepers(len(worker.health()))
            await step(clock, 10)
            assert manager.heard() == []
            await agree(worker)
            await worker.record("alice.example", event("NavigationEvent", "2026-11-20T10:00"))
            await step(clock, 10)
            waits = "working; events waiting 1 · indicators waiting 0"
            assert manager.heard() == [{"STATUS": waits}]
            await worker.run_once(datetime(2026, 11, 21, 1, 0))
            await step(clock, 10)
            waits = "working; events waiting 0 · indicators waiting 1; dacc.url is not set:"
            assert manager.heard()[0]["STATUS"].startswith(waits)


async def test_the_status_names_no_person(
    fill: Callable[..., Awaitable[None]], quick: Callable[..., Settings], echo: Echo
) -> None:
    """Everybody on the machine may read it, so of people's own destinations it gives the number."""
    await fill("bob.example")
    await echo.set_token("another", "bob.example")
    settings = quick(echo.url + "/{instance}", target="cozy-v2", concurrency=1)
    async with Worker(settings).opened() as worker:
        await worker.send()
        assert "bob.example is paused" in worker.status().advice[0]
        assert sentence(worker.status()) == (
            "working; events waiting 0 · indicators waiting 6; 1 destination is held back"
        )


async def test_an_end_says_how_long_it_may_take(
    clock: SteppedClock, manager: Any, state_dir: Path
) -> None:
    """The grace and some time to close is what the manager is asked for; meanwhile it is fed."""
    settings = Settings(state_dir=state_dir, grace=timedelta(minutes=10))
    worker = Worker(settings, clock=clock)
    async with told(clock, manager, **MINUTE) as herald:
        await clock.sleepers(2)
        async with worker:
            await herald.ready(worker)
            manager.heard()
            await herald.stopping(worker)
        (said,) = manager.heard()
        assert list(said) == ["STOPPING", "STATUS", "EXTEND_TIMEOUT_USEC"]
        assert said["EXTEND_TIMEOUT_USEC"] == "630000000"
        assert "for 600 s at most" in said["STATUS"]
        await step(clock, 30)
        assert manager.heard() == [FED]


async def test_without_a_manager_there_is_nothing_to_do(state_dir: Path) -> None:
    """A herald to whom nobody listens ends at once, and says nothing."""
    herald = Herald(Notifier({}, structlog.get_logger()), SystemClock())
    await herald.run()
    async with Worker(Settings(state_dir=state_dir)) as worker:
        await herald.ready(worker)
        await herald.stopping(worker)
