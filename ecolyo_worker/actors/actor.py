"""What an actor is: something that works by itself, is woken by others, and shows that it lives."""

from abc import ABC, abstractmethod
from datetime import datetime, timedelta
from typing import ClassVar

import anyio
from anyio.abc import TaskStatus

from ecolyo_worker.clock import Clock

__all__ = ["Actor", "Channel"]


class Channel:
    """Wakes one actor. It carries no data: a message that is lost costs time and nothing else.

    It holds one message at most: one that is not heard yet stands for all that come meanwhile.
    """

    def __init__(self) -> None:
        """Nobody is woken yet."""
        self._woken = anyio.Event()
        self._closed = False

    def __repr__(self) -> str:
        state = "closed" if self._closed else "woken" if self._woken.is_set() else "quiet"
        return f"<{type(self).__name__} {state}>"

    def wake(self) -> None:
        """Let whoever waits go on, now or when it next waits."""
        self._woken.set()

    def close(self) -> None:
        """Let nobody wait any more."""
        self._closed = True
        self._woken.set()

    @property
    def is_closed(self) -> bool:
        """Whether nobody waits any more."""
        return self._closed

    async def wait(self, clock: Clock, seconds: float | None = None) -> None:
        """Wait until woken; with a number of seconds, no longer than that."""
        if seconds is None:
            await self._woken.wait()
        elif not self._woken.is_set():
            async with anyio.create_task_group() as either:
                either.start_soon(self._sleep, clock, seconds, either.cancel_scope)
                await self._woken.wait()
                either.cancel_scope.cancel()
        if not self._closed:
            self._woken = anyio.Event()

    @staticmethod
    async def _sleep(clock: Clock, seconds: float, scope: anyio.CancelScope) -> None:
        await clock.sleep(seconds)
        scope.cancel()


class Actor(ABC):
    """Works by itself until it is stopped; a supervisor runs it, and runs it again after a crash.

    What others want of it they leave in the database, or in its own lists, and call `wake`. As a
    waking can be lost, it also looks by itself, every `LOOK_S` seconds at the latest.
    """

    name: str
    LOOK_S: ClassVar[float] = 30.0

    longest_step_s = 0.0
    """How long one step of its work may take, between two signs of life."""

    channel: ClassVar[type[Channel]] = Channel
    """What it is woken by; a test puts one here that hears nothing."""

    def __init__(self, clock: Clock) -> None:
        """Nothing runs before `run`."""
        self._clock = clock
        self._wakes = self.channel()
        self.stopping = False
        self.last_sign = clock.monotonic()
        """When it last got through its work, on the monotonic clock: its proof of life."""
        self.last_success: datetime | None = None
        """When it last did what it is for."""
        self.next_due: datetime | None = None
        """When it will next have something to do by itself."""

    def __repr__(self) -> str:
        state = "stopping" if self.stopping else "working"
        return f"<{type(self).__name__} {state}, {self._wakes!r}>"

    @abstractmethod
    async def run(self, *, task_status: TaskStatus[None] = anyio.TASK_STATUS_IGNORED) -> None:
        """Work until `stop`; started means that what it needs is open.

        It begins afresh each time it is run, on the database and on what others handed it.
        """

    def wake(self) -> None:
        """Let it look at once."""
        self._wakes.wake()

    def stop(self) -> None:
        """Let it finish what it has begun, begin nothing more, and return."""
        self.stopping = True
        self._wakes.close()

    def sign(self) -> None:
        """Give a sign of life: it got through its work once more."""
        self.last_sign = self._clock.monotonic()

    def succeeded(self) -> None:
        """Note that it did what it is for."""
        self.last_success = self._clock.now()
        self.sign()

    async def rest(self, seconds: float | None = None) -> None:
        """Wait until woken or stopped, or until something is due, which may be unknown.

        It never waits longer than `LOOK_S`, and not for what is overdue.
        """
        self.sign()
        due_s = self.LOOK_S if seconds is None else max(seconds, 0)
        self.next_due = None if seconds is None else self._clock.now() + timedelta(seconds=seconds)
        if not self.stopping:
            await self._wakes.wait(self._clock, min(due_s, self.LOOK_S))
