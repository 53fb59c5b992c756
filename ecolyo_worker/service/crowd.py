"""Who goes when too many connections are there, and how many file descriptors they may take."""

import asyncio
import resource
from contextlib import suppress

__all__ = ["Crowd", "places", "raise_descriptors"]

# Sending, the database, the classifier and the log go on with these, whoever connects.
_RESERVE = 128
# Two faces may be open at once.
_FACES = 2
_ENOUGH = 4096


def places(wanted: int) -> int:
    """Give how many connections a server may serve: fewer than wanted if descriptors are few."""
    limit, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    if limit == resource.RLIM_INFINITY:
        return wanted
    return max(1, min(wanted, (limit - _RESERVE) // _FACES))


def raise_descriptors() -> None:
    """Let this process open as many files as it needs in a crowd, if it may."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = _ENOUGH if hard == resource.RLIM_INFINITY else min(_ENOUGH, hard)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        with suppress(OSError, ValueError):
            resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))


class Crowd:
    """The connections of which nothing is under way here: they wait for what their client does.

    Those that never asked for anything go first, of them the one that has waited longest. So
    whoever asks something finds a place, however many others only hold one.
    """

    def __init__(self) -> None:
        """Nobody is there."""
        self._strangers: dict[asyncio.Transport, None] = {}
        self._known: dict[asyncio.Transport, None] = {}

    def __repr__(self) -> str:
        return f"<Crowd of {len(self._strangers)} strangers and {len(self._known)} known>"

    def wait_for(self, connection: asyncio.Transport, *, is_known: bool = True) -> None:
        """Know that a connection waits for its client; `is_known` if that one asked before."""
        (self._known if is_known else self._strangers)[connection] = None

    def forget(self, connection: asyncio.Transport) -> None:
        """Know that a request of it is under way, or that it is gone."""
        self._strangers.pop(connection, None)
        self._known.pop(connection, None)

    def send_one_away(self) -> asyncio.Transport | None:
        """Make room for another connection; give the one that goes, None if all are at work."""
        waiting = self._strangers or self._known
        if not waiting:
            return None
        connection = next(iter(waiting))
        self.forget(connection)
        connection.abort()
        return connection
