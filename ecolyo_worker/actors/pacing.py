"""The pace of sending: starts lie on an even grid, so that there is never a burst."""

from collections.abc import Callable

import anyio

from ecolyo_worker.clock import Clock

__all__ = ["RateGrid"]


# The event loop's timers are no finer: to wait for less would be to wait for longer.
_FINEST_S = 0.001


class RateGrid:
    """An even grid of starts: never two closer together than 1/rate, so never a burst."""

    LONGEST_SLEEP_S = 30.0

    def __init__(self, rate: float, clock: Clock, sign: Callable[[], None] = lambda: None) -> None:
        """`rate` is starts per second; `sign` is called now and then during a long wait."""
        self._interval = 1 / rate
        self._clock = clock
        self._sign = sign
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
        if start - now <= _FINEST_S:
            return True
        with anyio.CancelScope() as waiting:
            self._waits.add(waiting)
            try:
                while (rest := start - self._clock.monotonic()) > 0:
                    self._sign()
                    await self._clock.sleep(min(rest, self.LONGEST_SLEEP_S))
            finally:
                self._waits.discard(waiting)
        return not waiting.cancelled_caught

    def give_up(self) -> None:
        """Let nobody wait for a place any more who does so now."""
        for waiting in self._waits:
            waiting.cancel()
