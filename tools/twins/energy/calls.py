"""What was called for: of each meter, series and period how often, and how it was answered."""

from __future__ import annotations

import threading
from collections import Counter
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .routes import Call

__all__ = ["Calls"]

_MOST = 100_000
_NAMES = ("provider", "generation", "series", "meter", "start", "end")


class Calls:
    """Counts the calls for data; safe between threads.

    Of more than 100,000 different ones, the others are only in the total.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._counts: dict[tuple[str, ...], Counter[str]] = {}
        self._after_revocation: Counter[str] = Counter()
        self._total = 0

    def __repr__(self) -> str:
        return f"<Calls {self._total}>"

    def note(self, call: Call, status: int, *, revoked: bool) -> None:
        """Count a call; status 0: there was no answer. ``revoked``: its consent was taken back."""
        key = (call.provider, call.generation, call.series, call.meter, call.start, call.end)
        with self._lock:
            self._total += 1
            if key in self._counts or len(self._counts) < _MOST:
                self._counts.setdefault(key, Counter())[str(status)] += 1
            if revoked:
                self._after_revocation[call.meter] += 1

    def counted(self, meter: str | None, series: str | None) -> dict[str, object]:
        """Give the counts, in the order of their first calls: all, of a meter, of a series."""
        with self._lock:
            found = [
                {
                    **dict(zip(_NAMES, key, strict=True)),
                    "count": counts.total(),
                    "statuses": dict(counts),
                }
                for key, counts in self._counts.items()
                if meter in (None, key[3]) and series in (None, key[2])
            ]
            after = dict(self._after_revocation)
            return {"calls": found, "after_revocation": after, "total": self._total}

    def clear(self) -> int:
        """Begin anew; give how many calls there were."""
        with self._lock:
            total, self._total = self._total, 0
            self._counts.clear()
            self._after_revocation.clear()
            return total
