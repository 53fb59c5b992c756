"""What works by itself is kept working, and ended in time; who cannot be helped ends all."""

import asyncio
import random
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from typing import Any

import anyio
import pytest
import structlog
from anyio.abc import TaskStatus

from ecolyo_worker.actors.actor import Actor
from ecolyo_worker.actors.supervisor import Supervisor
from ecolyo_worker.clock import Clock, SystemClock
from ecolyo_worker.errors import ActorFailed, StoreUnavailable
from ecolyo_worker.testing.clock import SteppedClock
from tests.machine_time import MachineTime

BEGIN = datetime(2026, 11, 21, 12, 0, tzinfo=UTC)


class Worker(Actor):
    """Counts its rounds; `does` is what it does in each, beside that."""

    name = "test"

    def __init__(self, clock: Clock, does: Callable[["Worker"], Any] | None = None) -> None:
        super().__init__(clock)
        self.does = does
        self.runs = 0
        self.rounds = 0
        self.ended = ""

    async def run(self, *, task_status: TaskStatus[None] = anyio.TASK_STATUS_IGNORED) -> None:
        self.runs += 1
        task_status.started()
        try:
            while not self.stopping:
                self.rounds += 1
                if self.does is not None and (waits := self.does(self)) is not None:
                    await waits
                await self.rest()
            self.ended = "stopped"
        except anyio.get_cancelled_exc_class():
            self.ended = "cancelled"
            raise


@asynccontextmanager
async def supervised(clock: Clock, grace_s: float = 10) -> AsyncIterator[Supervisor]:
    async with Supervisor(clock, random.Random(1), structlog.get_logger(), grace_s) as supervisor:
        yield supervisor


@pytest.fixture
def clock() -> SteppedClock:
    return SteppedClock(BEGIN)


def fails(times: int, error: type[Exception] = ValueError) -> Callable[[Worker], None]:
    def fail(worker: Worker) -> None:
        if worker.runs <= times:
            raise error(f"run {worker.runs}")

    return fail


async def test_a_crashed_actor_runs_again_after_a_delay(clock: SteppedClock) -> None:
    """A crash is noted, waited out, and the actor runs again; the others never stop."""
    broken, sound = Worker(clock, fails(1)), Worker(clock)
    async with supervised(clock) as supervisor:
        await supervisor.start(sound)
        await supervisor.start(broken)
        await clock.sleepers(2)
        states = [(health.state, health.alive) for health in supervisor.health()]
        assert states == [("working", True), ("restarting", False)]
        await clock.step(BEGIN + timedelta(seconds=0.6))
        found = supervisor.health()[1]
        assert (found.state, found.alive, found.restarts) == ("working", True, 1)
        assert (found.error or "").startswith("ValueError: run 1 (line ")
        assert (broken.runs, sound.runs) == (2, 1)


async def test_the_delay_grows(clock: SteppedClock) -> None:
    """Each further crash is waited out longer, so that nothing spins."""
    broken = Worker(clock, fails(4))
    async with supervised(clock) as supervisor:
        await supervisor.start(broken)
        await clock.sleepers(1)
        for n, (least, most) in enumerate([(0.25, 0.5), (0.5, 1), (1, 2), (2, 4)], 1):
            await clock.step(clock.now() + timedelta(seconds=least - 0.01))
            assert broken.runs == n
            await clock.step(clock.now() + timedelta(seconds=most - least + 0.02))
            assert broken.runs == n + 1


async def test_five_crashes_within_a_minute_end_it_all(clock: SteppedClock) -> None:
    """An actor that cannot be kept running ends the block with its last error as the cause."""
    broken = Worker(clock, fails(99))

    async def host() -> None:
        async with supervised(clock) as supervisor:
            await supervisor.start(broken)
            for _ in range(4):
                await clock.sleepers(1)
                await clock.step(clock.now() + timedelta(seconds=5))
            await anyio.sleep_forever()

    with pytest.raises(ActorFailed, match=r"test crashed 5 times .* ValueError: run 5") as caught:
        await host()
    assert isinstance(caught.value.__cause__, ValueError)
    assert broken.runs == 5


async def test_crashes_far_apart_are_lived_with(clock: SteppedClock) -> None:
    """Crashes that are more than a minute apart never add up."""
    broken = Worker(clock, fails(20))
    async with supervised(clock) as supervisor:
        await supervisor.start(broken)
        await clock.sleepers(1)
        for n in range(1, 21):
            assert broken.runs == n
            await clock.step(clock.now() + timedelta(seconds=30))


async def test_a_database_that_does_not_work_is_waited_for(clock: SteppedClock) -> None:
    """A full disk is no crash of ours: the actor tries again for as long as it takes."""
    broken = Worker(clock, fails(10, StoreUnavailable))
    async with supervised(clock) as supervisor:
        await supervisor.start(broken)
        await clock.sleepers(1)
        for n in range(1, 11):
            assert broken.runs == n
            await clock.step(clock.now() + timedelta(seconds=min(2**n, 30)))
        assert broken.runs == 11


@pytest.mark.parametrize("crash", [False, True])
async def test_a_group_of_errors_is_judged_by_its_worst(clock: SteppedClock, crash: bool) -> None:
    """What fails in several tasks of an actor at once is a crash if one of them crashed."""
    errors = [StoreUnavailable("full"), StoreUnavailable("full")]
    group = ExceptionGroup("of lanes", [*errors, ValueError("of ours")] if crash else errors)

    def fail(worker: Worker) -> None:
        if worker.runs <= 6:
            raise group

    async def host() -> int:
        worker = Worker(clock, fail)
        async with supervised(clock) as supervisor:
            await supervisor.start(worker)
            while worker.runs <= 6:
                await clock.sleepers(1)
                await clock.step(clock.now() + timedelta(seconds=5))
        return worker.runs

    if crash:
        with pytest.raises(ActorFailed, match="ValueError: of ours"):
            await host()
    else:
        assert await host() == 7


async def test_an_actor_that_returns_ends_it_all(clock: SteppedClock) -> None:
    """An actor never ends by itself; if one does, somebody must look."""

    class Idle(Worker):
        async def run(self, *, task_status: TaskStatus[None] = anyio.TASK_STATUS_IGNORED) -> None:
            task_status.started()

    async def host() -> None:
        async with supervised(clock) as supervisor:
            await supervisor.start(Idle(clock))
            await anyio.sleep_forever()

    with pytest.raises(ActorFailed, match="test ended by itself"):
        await host()


async def test_what_is_overdue_is_not_waited_for() -> None:
    """An actor whose work took longer than until the next is due goes on at once."""
    again = anyio.Event()

    async def work(worker: Worker) -> None:
        await worker.rest(-1)
        again.set()

    worker = Worker(SystemClock(), work)
    async with supervised(SystemClock()) as supervisor:
        await supervisor.start(worker)
        with anyio.fail_after(10):
            await again.wait()
    assert worker.runs == 1


async def test_what_fails_before_it_has_started_is_raised(clock: SteppedClock) -> None:
    """An actor that cannot even open what it needs is an error of the one who starts it."""

    class Broken(Worker):
        async def run(self, *, task_status: TaskStatus[None] = anyio.TASK_STATUS_IGNORED) -> None:
            raise OSError(f"no such port, said {task_status}")

    sound = Worker(clock)
    async with supervised(clock) as supervisor:
        await supervisor.start(sound)
        with pytest.raises(OSError, match="no such port"):
            await supervisor.start(Broken(clock))
        assert [health.state for health in supervisor.health()] == ["working"]


async def test_a_stop_waits_for_what_has_begun() -> None:
    """An actor that is stopped finishes its round; nothing is cut off."""
    begun, may_end = anyio.Event(), anyio.Event()

    async def work() -> None:
        begun.set()
        await may_end.wait()

    worker = Worker(SystemClock(), lambda _: work())
    async with anyio.create_task_group() as tasks:
        async with supervised(SystemClock()) as supervisor:
            await supervisor.start(worker)
            await begun.wait()
            tasks.start_soon(_when_stopping, worker, may_end)
    assert worker.ended == "stopped"


async def _when_stopping(worker: Worker, may_end: anyio.Event) -> None:
    while not worker.stopping:
        await anyio.lowlevel.checkpoint()
    may_end.set()


async def test_nothing_is_cancelled_before_the_grace_is_over(machine_time: MachineTime) -> None:
    """What ends in its last minute ends by itself; all the others are cancelled after it."""
    may_end = anyio.Event()
    late = Worker(SystemClock(), lambda _: may_end.wait())
    never = [Worker(SystemClock(), lambda _: anyio.sleep_forever()) for _ in range(3)]
    workers = [late, *never]

    async def host() -> None:
        async with supervised(SystemClock(), grace_s=3600) as supervisor:
            for worker in workers:
                await supervisor.start(worker)

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(host)
        while not all(worker.stopping for worker in workers):
            await anyio.lowlevel.checkpoint()
        machine_time.skip(3540)
        may_end.set()
        await anyio.wait_all_tasks_blocked()
        assert [worker.ended for worker in workers] == ["stopped", "", "", ""]
        machine_time.skip(60)
    assert [worker.ended for worker in never] == ["cancelled"] * 3


async def test_a_stop_can_be_cut_short() -> None:
    """After `abort` nothing is waited for."""
    worker = Worker(SystemClock(), lambda _: anyio.sleep_forever())
    async with supervised(SystemClock(), grace_s=3600) as supervisor:
        await supervisor.start(worker)
        supervisor.abort()
    assert worker.ended == "cancelled"


async def test_the_hosts_own_error_comes_out_as_it_is(clock: SteppedClock) -> None:
    """What the block raises is raised, not wrapped in a group."""
    worker = Worker(clock)

    async def host() -> None:
        async with supervised(clock) as supervisor:
            await supervisor.start(worker)
            raise KeyError("mine")

    with pytest.raises(KeyError, match="mine"):
        await host()
    assert worker.ended == "stopped"


async def test_a_native_cancel_stops_and_a_second_one_aborts() -> None:
    """A host's `task.cancel()` lets actors finish; another one while they do cuts them off."""
    begun = anyio.Event()

    async def hang() -> None:
        begun.set()
        await anyio.sleep_forever()

    worker = Worker(SystemClock(), lambda _: hang())

    async def host() -> None:
        async with supervised(SystemClock(), grace_s=3600) as supervisor:
            await supervisor.start(worker)
            await anyio.sleep_forever()

    task = asyncio.ensure_future(host())
    await begun.wait()
    task.cancel()
    while not worker.stopping:
        await anyio.lowlevel.checkpoint()
    assert not task.done()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert worker.ended == "cancelled"


async def test_a_cancelled_scope_aborts() -> None:
    """A scope around the block is around the actors too: cancelling it cuts them off, and ends."""
    worker = Worker(SystemClock())
    with anyio.CancelScope() as scope:
        async with supervised(SystemClock()) as supervisor:
            await supervisor.start(worker)
            scope.cancel()
            await anyio.sleep_forever()
    assert (worker.ended, scope.cancelled_caught) == ("cancelled", True)


async def test_who_gives_no_sign_is_not_alive(clock: SteppedClock) -> None:
    """An actor that hangs is seen: it gave no sign of life for four times its longest rest."""
    worker = Worker(clock, lambda w: clock.sleep(3600) if w.rounds > 1 else None)
    async with supervised(clock, grace_s=0.01) as supervisor:
        await supervisor.start(worker)
        await clock.sleepers(1)
        await clock.step(BEGIN + timedelta(seconds=30))
        await clock.step(BEGIN + timedelta(seconds=119))
        assert supervisor.health()[0].alive
        await clock.step(BEGIN + timedelta(seconds=121))
        assert not supervisor.health()[0].alive
