"""A clock that is set and moved by hand; sleeping moves it and takes no time."""

from datetime import UTC, datetime, timedelta

import anyio.lowlevel

__all__ = ["FakeClock"]


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
