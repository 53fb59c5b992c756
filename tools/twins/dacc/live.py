"""The page's live feed: server-sent events, each listener at a pace of its own.

=============  ===================================================================================
``begin``      the list begins anew; what the page needs to know once
``requests``   requests in order of arrival, as lines of the list; its id is where to go on
``state``      the counts, and the faults that are still to come
=============  ===================================================================================

A listener that comes back says by ``Last-Event-ID`` where it was, and is given what came since.
Each reads from what is kept, so a slow one costs no memory; one that takes nothing for long is
let go by the server.
"""

from __future__ import annotations

import json
import threading
from typing import TYPE_CHECKING

from .views import row

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from .indicator import JsonObject
    from .received import Received

__all__ = ["HEARTBEAT_S", "MOST_LISTENERS", "MOST_ROWS", "Feed", "Live"]

MOST_LISTENERS = 16
# What a page shows at most; of what is older it only tells the number.
MOST_ROWS = 20_000
MOST_AT_ONCE = 500
# Often, for only a write tells that a listener has left.
HEARTBEAT_S = 1.0
# Between two messages, so that a burst is told in few of them.
PAUSE_S = 0.05


class Live:
    """Gives feeds of what is received, ``MOST_LISTENERS`` at a time."""

    def __init__(
        self, received: Received, about: JsonObject, state: Callable[[], JsonObject]
    ) -> None:
        self._received = received
        self._about = about
        self._state = state
        self._free = threading.BoundedSemaphore(MOST_LISTENERS)

    def feed(self, last_id: str) -> Feed | None:
        """Open a feed from a place on; None if there are as many as there may be."""
        if not self._free.acquire(blocking=False):
            return None
        return Feed(self._received, self._about, self._state, last_id, self._free)


class Feed:
    """What one listener is sent."""

    def __init__(
        self,
        received: Received,
        about: JsonObject,
        state: Callable[[], JsonObject],
        last_id: str,
        slot: threading.BoundedSemaphore,
    ) -> None:
        self._received = received
        self._about = about
        self._state = state
        run, _, seq = last_id.partition(".")
        self._run = run
        self._seq = int(seq) if seq.isascii() and seq.isdigit() and len(seq) < 16 else 0
        self._slot = slot
        self._pause = threading.Event()

    def close(self) -> None:
        """Leave room for another one."""
        self._slot.release()

    def __iter__(self) -> Iterator[bytes]:
        version, told = -1, b""
        while self._received.follow(version, HEARTBEAT_S):
            arrivals = self._received.arrivals(self._run, self._seq)
            version = arrivals.version
            if arrivals.run != self._run:
                self._run, self._seq = arrivals.run, 0
                yield _event("begin", {**self._about, "mostRows": MOST_ROWS}, f"{self._run}.0")
            records = arrivals.records[-MOST_ROWS:]
            for begin in range(0, len(records), MOST_AT_ONCE):
                part = records[begin : begin + MOST_AT_ONCE]
                self._seq = part[-1].seq
                rows = [row(record) for record in part]
                yield _event("requests", rows, f"{self._run}.{self._seq}")
            state = _event("state", self._state())
            yield state if state != told else b": still here\n\n"
            told = state
            self._pause.wait(PAUSE_S)


def _event(name: str, content: object, place: str = "") -> bytes:
    lines = [f"event: {name}", *([f"id: {place}"] if place else []), f"data: {json.dumps(content)}"]
    return ("\n".join(lines) + "\n\n").encode()
