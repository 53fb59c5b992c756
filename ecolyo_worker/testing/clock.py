"""A clock that is set and moved by hand; sleeping moves it and takes no time."""

from datetime import UTC, datetime, timedelta

import anyio
import anyio.lowlevel

from ecolyo_worker.clock import SystemClock

__all__ = ["FakeClock", "FastClock", "SteppedClock"]


class FakeClock:
    """A `Clock` whose time passes only by `sleep` and `advance`."""

    def __init__(self, now: datetime) -> None:
        """`now` is aware, or civil time of UTC."""
        self._now = now if now.tzinfo else now.replace(tzinfo=UTC)
        self._monotonic = 0.0
        self.slept: list[float] = []
        """How long each sleep was, in seconds."""

    def now(self) -> datetime:
        """Return the instant it stands at."""
        return self._now

    def monotonic(self) -> float:
        """Return the seconds that passed by sleeping and advancing."""
        return self._monotonic

    def advance(self, seconds: float) -> None:
        """Move it forwards."""
        self._now += timedelta(seconds=seconds)
        self._monotonic += seconds

    def jump(self, now: datetime) -> None:
        """Set it to another instant, as an operator or a time server does; no time passes."""
        self._now = now

    async def sleep(self, seconds: float) -> None:
        """Move it forwards and let others run once."""
        self.slept.append(seconds)
        self.advance(seconds)
        await anyio.lowlevel.checkpoint()


class SteppedClock:
    """A `Clock` that stands still between `step`s; who sleeps on it waits for the right step.

    It drives what works by itself: a step wakes whom it is time for, and ends when all of them
    sleep again.
    """

    def __init__(self, now: datetime) -> None:
        """`now` is aware."""
        self._now = now
        self._monotonic = 0.0
        self._sleepers: dict[anyio.Event, float] = {}
        self._changed = anyio.Event()

    def now(self) -> datetime:
        """Return the instant it stands at."""
        return self._now

    def monotonic(self) -> float:
        """Return the seconds of all steps."""
        return self._monotonic

    async def sleep(self, seconds: float) -> None:
        """Wait until the steps come to so many seconds."""
        woken = anyio.Event()
        self._sleepers[woken] = self._monotonic + seconds
        self._tell()
        try:
            await woken.wait()
        finally:
            self._sleepers.pop(woken, None)
            self._tell()

    async def step(self, to: datetime, *, jump: bool = False, sleepers: int | None = None) -> None:
        """Move to an instant and wait until so many sleep again; by default, as many as before.

        With `jump` only the wall clock moves, as when a time server sets it, and nobody wakes.
        """
        sleeping = len(self._sleepers) if sleepers is None else sleepers
        if not jump:
            self._monotonic += (to - self._now).total_seconds()
        self._now = to
        woken = [sleeper for sleeper, until in self._sleepers.items() if until <= self._monotonic]
        for sleeper in woken:
            del self._sleepers[sleeper]
            sleeper.set()
        await self.sleepers(sleeping)

    async def sleepers(self, count: int) -> None:
        """Wait until at least so many sleep."""
        with anyio.fail_after(30):
            while len(self._sleepers) < count:
                await self._changed.wait()

    def _tell(self) -> None:
        self._changed.set()
        self._changed = anyio.Event()


class FastClock:
    """A `Clock` that runs so many times as fast as the machine's, from an instant on."""

    def __init__(self, begin: datetime, speed: float) -> None:
        """`begin` is aware."""
        self._begin = begin
        self._speed = speed
        self._real = SystemClock()
        self._start = self._real.monotonic()

    def now(self) -> datetime:
        """Return the instant it has come to."""
        return self._begin + timedelta(seconds=self.monotonic())

    def monotonic(self) -> float:
        """Return the seconds of its own that passed."""
        return (self._real.monotonic() - self._start) * self._speed

    async def sleep(self, seconds: float) -> None:
        """Wait until so many seconds of its own have passed."""
        await self._real.sleep(seconds / self._speed)
