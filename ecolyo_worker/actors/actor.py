"""What an actor is: something that works by itself, is woken by others, and shows that it lives."""

from abc import ABC, abstractmethod
from contextlib import suppress
from typing import ClassVar

import anyio
from anyio.abc import TaskStatus
from msgspec import Struct

from ecolyo_worker.clock import Clock

__all__ = ["Actor", "Channel", "Health"]


class Health(Struct, frozen=True):
    """How an actor is: what it is doing, how often it was begun anew, whether it shows life."""

    name: str
    state: str
    restarts: int
    alive: bool


class Channel:
    """Wakes one actor. It carries no data: a message that is lost costs time and nothing else."""

    def __init__(self) -> None:
        """One waking that is not heard yet stands for all that come meanwhile."""
        self._sends, self._receives = anyio.create_memory_object_stream[None](1)

    def __repr__(self) -> str:
        return f"<Channel {self._sends.statistics()}>"

    def wake(self) -> None:
        """Let whoever waits go on, now or when it next waits."""
        try:
            self._sends.send_nowait(None)
        except (anyio.WouldBlock, anyio.ClosedResourceError):
            return  # it is awake already, or never waits again

    def close(self) -> None:
        """Let nobody wait any more."""
        self._sends.close()
        self._receives.close()

    async def wait(self, clock: Clock, seconds: float) -> None:
        """Wait until woken, at most so many seconds."""
        try:
            self._receives.receive_nowait()
        except (anyio.EndOfStream, anyio.ClosedResourceError):
            return
        except anyio.WouldBlock:
            async with anyio.create_task_group() as either:
                either.start_soon(self._sleep, clock, seconds, either.cancel_scope)
                with suppress(anyio.EndOfStream, anyio.ClosedResourceError):
                    await self._receives.receive()
                either.cancel_scope.cancel()

    @staticmethod
    async def _sleep(clock: Clock, seconds: float, scope: anyio.CancelScope) -> None:
        await clock.sleep(seconds)
        scope.cancel()


class Actor(ABC):
    """Works by itself until it is stopped; a supervisor runs it, and runs it again after a crash.

    What others want of it they leave in the database, or in its own lists, and call `wake`. As a
    waking can be lost, it also looks by itself, every `LOOK_S` seconds at the latest.
    """

    name: ClassVar[str]
    LOOK_S: ClassVar[float] = 30.0

    channel: ClassVar[type[Channel]] = Channel
    """What it is woken by; a test puts one here that hears nothing."""

    def __init__(self, clock: Clock) -> None:
        """Nothing runs before `run`."""
        self._clock = clock
        self._wakes = self.channel()
        self.stopping = False
        self.last_sign = clock.monotonic()
        """When it last got through its work, on the monotonic clock: its proof of life."""

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

    async def rest(self, seconds: float = LOOK_S) -> None:
        """Wait until woken or stopped, at most so many seconds and never longer than `LOOK_S`."""
        self.sign()
        if not self.stopping:
            await self._wakes.wait(self._clock, min(seconds, self.LOOK_S))
