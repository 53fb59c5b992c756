"""How many calls for data there may be: by the second and by the hour, for each generation.

A second is any second, an hour is one of the twin's own clock, from full hour to full hour.
A quota is written as ``2026=1000/h``, ``grdf=2/s`` or ``v5=off``; ``off`` alone ends them all.
"""

from __future__ import annotations

import math
import re
import threading
from collections import Counter
from datetime import UTC
from typing import TYPE_CHECKING

from ..pace import Pace, Rate

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from datetime import datetime

    from .routes import Call

__all__ = ["QuotaSyntaxError", "Quotas"]

_UNITS = ("s", "h")
_USUAL: Mapping[tuple[str, str], int] = {
    ("v4", "s"): 5,
    ("v5", "s"): 5,
    ("v5", "h"): 10_000,
    ("2026", "s"): 5,
    ("2026", "h"): 1000,
    ("grdf", "s"): 1,
}
_QUOTA = re.compile(r"(?P<name>v4|v5|2026|grdf)=(?:off|(?P<number>[1-9][0-9]{0,6})/(?P<unit>[sh]))")


class QuotaSyntaxError(ValueError):
    """A text is no quota; the message says what was found and what may be."""


class Quotas:
    """Counts calls, and says which are too many; safe between threads.

    ``clock`` gives seconds that only grow, ``now`` the time whose hours count. A call that is too
    many is not counted as one made.
    """

    def __init__(
        self,
        clock: Callable[[], float],
        now: Callable[[], datetime],
        changes: tuple[str, ...] = (),
    ) -> None:
        self._clock = clock
        self._now = now
        self._lock = threading.Lock()
        self._limits = dict(_USUAL)
        for change in changes:
            self._change(change)
        self.clear()

    def __repr__(self) -> str:
        return f"<Quotas {self.limits()}>"

    def limits(self) -> list[str]:
        """Give what holds, as it is written."""
        with self._lock:
            return [f"{name}={count}/{unit}" for (name, unit), count in self._limits.items()]

    def busiest_second(self) -> dict[str, int]:
        """Give the greatest number of calls within any one second, by provider."""
        return {provider: pace.busiest_second for provider, pace in self._busiest.items()}

    def change(self, text: str) -> None:
        """Let other quotas hold, several separated by commas; all begin anew.

        Raises QuotaSyntaxError.
        """
        with self._lock:
            before = dict(self._limits)
            try:
                for item in text.split(","):
                    self._change(item.strip())
            except QuotaSyntaxError:
                self._limits = before
                raise
        self.clear()

    def clear(self) -> None:
        """Begin anew, as if nothing had come yet."""
        with self._lock:
            self._paces = {
                name: Pace(Rate(count, 1), self._clock)
                for (name, unit), count in self._limits.items()
                if unit == "s"
            }
            self._hour = ""
            self._in_hour: Counter[str] = Counter()
            self._busiest = {name: Pace(None, self._clock) for name in ("enedis", "grdf")}

    def arrive(self, call: Call) -> str | None:
        """Take note of a call; give the name of the error if it is one too many."""
        name = call.generation or call.family
        with self._lock:
            self._busiest[call.provider].arrive()
            if name in self._paces and self._paces[name].arrive() > 0:
                return "quota-second"
            return None if self._is_within_hour(name) else "quota-hour"

    def _is_within_hour(self, name: str) -> bool:
        """Count a call in its hour, if it is not one too many there."""
        hour = f"{self._now().astimezone(UTC):%Y-%m-%d %H}"
        if hour != self._hour:
            self._hour, self._in_hour = hour, Counter()
        if self._in_hour[name] >= self._limits.get((name, "h"), math.inf):
            return False
        self._in_hour[name] += 1
        return True

    def _change(self, text: str) -> None:
        if text == "off":
            self._limits.clear()
            return
        match = _QUOTA.fullmatch(text)
        if match is None:
            found = repr(text if len(text) <= 60 else text[:60] + "…")
            raise QuotaSyntaxError(
                f"{found} is no quota; allowed are off, and v4, v5, 2026 or grdf with =off, or "
                "with a number a second or hour, as in 2026=1000/h"
            )
        if match["number"]:
            self._limits[match["name"], match["unit"]] = int(match["number"])
        else:
            for unit in _UNITS:
                self._limits.pop((match["name"], unit), None)
