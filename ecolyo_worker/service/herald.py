"""Keeps the service manager informed: ready or not, at work on what, alive or hanging.

See sd_notify(3) and sd_watchdog_enabled(3). The watchdog is fed by the event loop itself, and only
while no actor hangs; so a manager that hears nothing restarts the service rightly. A start, which
may take long, has time as long as it gets on.
"""

from collections.abc import Callable

import anyio

from ecolyo_worker.clock import Clock
from ecolyo_worker.health import ActorHealth
from ecolyo_worker.service.notify import Notifier
from ecolyo_worker.store.status import Status, anonymous_advice
from ecolyo_worker.worker import Worker

__all__ = ["Herald", "sentence"]

# A start says so often that it goes on, and asks for so much more time: migrating a large database
# must not be killed, for it would only begin again.
_OFTEN_S = 10.0
_MORE_S = 30.0
_MICROSECONDS = 1_000_000
# A start that did nothing for so long hangs.
_STILL_S = 300.0


class Herald:
    """Tells the service manager what becomes of the service. Run it beside the service."""

    def __init__(
        self, notifier: Notifier, clock: Clock, works: Callable[[], bool] = lambda: True
    ) -> None:
        """Nothing is told yet. `works` tells if the process did some work since it was last asked.

        Only of a start this is asked, each ten seconds.
        """
        self._notifier = notifier
        self._clock = clock
        self._works = works
        self._worker: Worker | None = None
        self._is_starting = False
        self._until = 0.0
        """Without a worker, the service counts as alive until then, on the monotonic clock."""
        self._told = ""
        self.trouble: str | None = None
        """What is wrong beside what the worker knows of itself; it is told with the status."""

    async def run(self) -> None:
        """Tell how the service is, as often as the manager must know, until cancelled."""
        if not self._notifier.is_heard:
            return
        async with anyio.create_task_group() as telling:
            telling.start_soon(self._tell_often)
            if self._notifier.watchdog_s is not None:
                telling.start_soon(self._feed, self._notifier.watchdog_s / 2)

    async def starting(self) -> None:
        """Say that a worker is being entered, which may take long."""
        self._worker, self._is_starting = None, True
        self._wait(_STILL_S)
        await self._ask_for_time()

    async def ready(self, worker: Worker) -> None:
        """Say that a worker does all that it is there for."""
        self._worker, self._is_starting = worker, False
        self._told = self._sentence(worker)
        await self._notifier.tell(READY=1, STATUS=self._told)

    async def reloading(self, worker: Worker) -> None:
        """Say that the settings are read again; `ready` follows."""
        now = int(self._clock.monotonic() * _MICROSECONDS)
        await self._notifier.tell(
            RELOADING=1,
            MONOTONIC_USEC=now,
            STATUS="reading the settings again",
            EXTEND_TIMEOUT_USEC=_leaving_usec(worker),
        )

    async def stopping(self, worker: Worker) -> None:
        """Say that the service ends, and how long that may take."""
        self.leaving(worker)
        grace_s = worker.settings.grace.total_seconds()
        await self._notifier.tell(
            STOPPING=1,
            STATUS=f"stopping: what has begun is finished, for {grace_s:g} s at most",
            EXTEND_TIMEOUT_USEC=_leaving_usec(worker),
        )

    def leaving(self, worker: Worker) -> None:
        """Know that the worker is being left: to enter another one, or to stop."""
        self._worker, self._is_starting = None, False
        self._wait(_leaving_s(worker))

    async def _tell_often(self) -> None:
        while True:
            await self._clock.sleep(_OFTEN_S)
            if self._is_starting:
                if self._works():
                    self._wait(_STILL_S)
                if self._is_in_time:
                    await self._ask_for_time()
            elif self._worker is not None and self._told != (now := self._sentence(self._worker)):
                self._told = now
                await self._notifier.tell(STATUS=now)

    async def _ask_for_time(self) -> None:
        more = int(_MORE_S * _MICROSECONDS)
        await self._notifier.tell(STATUS="starting", EXTEND_TIMEOUT_USEC=more)

    def _wait(self, seconds: float) -> None:
        self._until = self._clock.monotonic() + seconds

    @property
    def _is_in_time(self) -> bool:
        return self._clock.monotonic() < self._until

    async def _feed(self, every_s: float) -> None:
        while True:
            await self._clock.sleep(every_s)
            worker = self._worker
            hanging = [] if worker is None else _hanging(worker.health())
            if worker is not None and hanging:
                worker.logger.error("the watchdog is not fed", hanging=hanging)
            elif worker is not None or self._is_in_time:
                await self._notifier.tell(WATCHDOG=1)

    def _sentence(self, worker: Worker) -> str:
        said = sentence(worker.status())
        return f"{said}; {self.trouble}" if self.trouble is not None else said


def sentence(status: Status) -> str:
    """Say in one line whether it works or what does not, what waits, and what stands in the way.

    Every user of the machine may read it, so it names no person and quotes no error.
    """
    hanging = _hanging(status.tasks)
    parts = [f"{name} hangs" for name in hanging]
    parts += [f"{task.name} crashed and will run again" for task in status.tasks if task.is_down]
    if status.trouble is not None:
        parts.append("the database does not work")
    if not parts:
        parts.append("working")
    parts.append(
        f"events waiting {status.events['waiting']} · indicators waiting {status.outbox['pending']}"
    )
    parts += anonymous_advice(status)
    return "; ".join(parts)


def _hanging(tasks: list[ActorHealth]) -> list[str]:
    return [task.name for task in tasks if task.hangs]


def _leaving_s(worker: Worker) -> float:
    """Give how long leaving a worker may take: the grace, and some time to close the database."""
    return worker.settings.grace.total_seconds() + _MORE_S


def _leaving_usec(worker: Worker) -> int:
    return int(_leaving_s(worker) * _MICROSECONDS)
