"""How fast requests come: a limit that turns the excess away, and the busiest second seen."""

from __future__ import annotations

import math
import re
import threading
from collections import deque
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["Pace", "Rate", "RateSyntaxError", "parse_rate"]

_UNITS_S = {"s": 1, "min": 60, "h": 3600}
_RATE = re.compile(r"(?P<number>[0-9]{1,6}(?:\.[0-9]{1,6})?)/(?P<unit>s|min|h)")


class RateSyntaxError(ValueError):
    """A text is no rate; the message says what was found and what may be."""


class Rate(NamedTuple):
    """At most so many requests within any window of this length.

    The window is a second, or as long as a slower rate needs for one request. Where the number a
    second is no whole one, both are a little more: ``2.5/s`` is 3 requests in 1.2 s, for 2 in a
    second would refuse a sender that keeps to 2.5.
    """

    requests: int
    window_s: float


def parse_rate(text: str) -> Rate:
    """Read a rate such as ``5/s``, ``0.5/s`` or ``300/min``.

    Raises RateSyntaxError.
    """
    match = _RATE.fullmatch(text)
    number = float(match["number"]) if match else 0
    if match is None or not number:
        shown = repr(text if len(text) <= 60 else text[:60] + "…")
        raise RateSyntaxError(
            f"{shown} is no rate; allowed are numbers above 0 with /s, /min or /h, as in 5/s"
        )
    unit_s = _UNITS_S[match["unit"]]
    requests = math.ceil(number / unit_s)
    return Rate(requests, requests * unit_s / number)


class Pace:
    """Watches the pace of the requests that it is told of; safe between threads.

    Windows slide, and hold the instants after their begin: with ``5/s`` the sixth request is too
    fast until a whole second after the first. What is turned away does not count against the
    limit, or a hasty sender would never get through; it does count for ``busiest_second``, the
    greatest number of requests within any one second. ``clock`` gives seconds that only grow.
    """

    def __init__(self, rate: Rate | None, clock: Callable[[], float]) -> None:
        self._rate = rate
        self._clock = clock
        self._lock = threading.Lock()
        self._busiest = 0
        self._second: deque[float] = deque()
        self._taken: deque[float] = deque()

    def __repr__(self) -> str:
        return f"<Pace {self._rate} busiest_second={self.busiest_second}>"

    @property
    def busiest_second(self) -> int:
        """The greatest number of requests within any one second."""
        with self._lock:
            return self._busiest

    def arrive(self) -> float:
        """Take note of a request; give the seconds until it would be taken, 0 if it is now."""
        with self._lock:
            now_s = self._clock()
            _slide(self._second, now_s - 1)
            self._second.append(now_s)
            self._busiest = max(self._busiest, len(self._second))
            if self._rate is None:
                return 0
            _slide(self._taken, now_s - self._rate.window_s)
            if len(self._taken) < self._rate.requests:
                self._taken.append(now_s)
                return 0
            return self._taken[0] + self._rate.window_s - now_s

    def clear(self) -> None:
        """Begin anew, as if nothing had come yet."""
        with self._lock:
            self._busiest = 0
            self._second.clear()
            self._taken.clear()


def _slide(window: deque[float], begin_s: float) -> None:
    while window and window[0] <= begin_s:
        window.popleft()
