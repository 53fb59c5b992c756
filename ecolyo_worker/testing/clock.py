"""A clock that is set and moved by hand; sleeping moves it and takes no time."""

from datetime import UTC, datetime, timedelta

import anyio
import anyio.lowlevel

from ecolyo_worker.clock import SystemClock

__all__ = ["FakeClock", "FastClock", "SimulatedClock", "SteppedClock"]


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
        self._begin(woken, seconds)
        self._tell()
        try:
            await woken.wait()
        finally:
            self._end(woken)
            self._tell()

    async def step(self, to: datetime, *, jump: bool = False, sleepers: int | None = None) -> None:
        """Move to an instant and wait until so many sleep again; by default, as many as before.

        With `jump` only the wall clock moves, as when a time server sets it, and nobody wakes.
        """
        sleeping = len(self._sleepers) if sleepers is None else sleepers
        if jump:
            self._now = to
        else:
            self._move(to)
        await self.sleepers(sleeping)

    async def sleepers(self, count: int) -> None:
        """Wait until at least so many sleep."""
        with anyio.fail_after(30):
            while len(self._sleepers) < count:
                await self._changed.wait()

    def _move(self, to: datetime) -> None:
        """Let time pass until an instant."""
        self._pass(to, self._monotonic + (to - self._now).total_seconds())

    def _pass(self, now: datetime, monotonic: float) -> None:
        """Set both of its times, and wake whom it is time for."""
        self._now, self._monotonic = now, monotonic
        woken = [sleeper for sleeper, until in self._sleepers.items() if until <= self._monotonic]
        for sleeper in woken:
            self._end(sleeper)
            sleeper.set()

    def _begin(self, woken: anyio.Event, seconds: float) -> None:
        self._sleepers[woken] = self._monotonic + seconds

    def _end(self, woken: anyio.Event) -> None:
        self._sleepers.pop(woken, None)

    def _tell(self) -> None:
        self._changed.set()
        self._changed = anyio.Event()


class SimulatedClock(SteppedClock):
    """A `SteppedClock` for a worker as a whole, over months: no work takes time because of it.

    Who sleeps for `REST_S` or longer rests, and waits for a step that comes so far. Who sleeps for
    less is at work, between two attempts say: that time passes at once, in the order of the sleeps.
    """

    REST_S = 20.0
    """An actor that has nothing to do looks after `Actor.LOOK_S`, which is more."""

    # Who is woken by somebody else needs a few rounds of the event loop to get up.
    _ROUNDS = 10
    # Who waits so long, on this clock, gathers what comes: it gets so long, on the machine's.
    _GATHERING_S = 0.02
    _GATHERED_S = 0.02

    def __init__(self, now: datetime, *, patience_s: float = 60.0) -> None:
        """`now` is aware. `patience_s` is how long a step may take, by the machine's time."""
        super().__init__(now)
        self._patience_s = patience_s
        self._at_work: dict[anyio.Event, float] = {}

    async def step_whole(self, to: datetime, resting: int) -> None:
        """Move to an instant, and let all work go on until so many rest and nobody else sleeps.

        Work may take it a little beyond that instant. Raises `TimeoutError` if that takes too long.
        """
        self._move(to)
        with anyio.move_on_after(self._patience_s):
            while not await self._rests(resting):
                changed = self._changed
                if self._at_work and not await self._is_joined(changed):
                    self._pass_to_work()
                await changed.wait()
            return
        raise TimeoutError(f"at {self._now} {len(self._sleepers)} rest, and {resting} should")

    async def _rests(self, resting: int) -> bool:
        for _ in range(self._ROUNDS):
            if self._at_work or len(self._sleepers) < resting:
                return False
            await anyio.lowlevel.checkpoint()
        return True

    async def _is_joined(self, changed: anyio.Event) -> bool:
        """Tell whether something else comes while one waits who would gather it."""
        if min(self._at_work.values()) - self._monotonic > self._GATHERING_S:
            with anyio.move_on_after(self._GATHERED_S):
                await changed.wait()
        return changed.is_set()

    def _pass_to_work(self) -> None:
        # The moment itself, for what a `datetime` rounds it to may be too early to wake anybody.
        moment = min(self._at_work.values())
        self._pass(self._now + timedelta(seconds=moment - self._monotonic), moment)

    def _begin(self, woken: anyio.Event, seconds: float) -> None:
        super()._begin(woken, seconds)
        if seconds < self.REST_S:
            self._at_work[woken] = self._sleepers[woken]

    def _end(self, woken: anyio.Event) -> None:
        super()._end(woken)
        self._at_work.pop(woken, None)


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
