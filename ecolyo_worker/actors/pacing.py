"""The pace of sending: starts lie on an even grid, so that there is never a burst."""

import anyio

from ecolyo_worker.clock import Clock

__all__ = ["RateGrid"]


class RateGrid:
    """An even grid of starts: never two closer together than 1/rate, so never a burst."""

    def __init__(self, rate: float, clock: Clock) -> None:
        """`rate` is starts per second."""
        self._interval = 1 / rate
        self._clock = clock
        self._next = clock.monotonic()
        self._waits: set[anyio.CancelScope] = set()

    async def wait(self, before: float = float("inf")) -> bool:
        """Wait for the next free place on the grid; a place that was missed is lost.

        False if it lies at `before` (of the monotonic clock) or later, which takes no place, or if
        the wait was given up meanwhile.
        """
        now = self._clock.monotonic()
        start = max(self._next, now)
        if start >= before:
            return False
        self._next = start + self._interval
        if start <= now:
            return True
        with anyio.CancelScope() as waiting:
            self._waits.add(waiting)
            try:
                await self._clock.sleep(start - now)
            finally:
                self._waits.discard(waiting)
        return not waiting.cancelled_caught

    def give_up(self) -> None:
        """Let nobody wait for a place any more who does so now."""
        for waiting in self._waits:
            waiting.cancel()
