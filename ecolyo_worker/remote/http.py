"""What all HTTP clients share: how they are made, and how an answer is read up to a limit."""

import logging
import ssl
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    import httpx

__all__ = ["Client", "ClientFactory", "Clients", "read_body"]

ClientFactory = Callable[[], "httpx.AsyncClient"]

_CODINGS = ("gzip", "x-gzip", "deflate")
_OURS = ContextVar("ecolyo_worker_ours", default=False)
"""Whether a request of ours is under way in this task."""
_GZIP_OR_ZLIB = zlib.MAX_WBITS + 32


class Client(Protocol):
    """What requests are sent by."""

    async def send(self, request: "httpx.Request") -> "httpx.Response":
        """Give the answer, whose body is not read yet."""
        ...

    async def aclose(self) -> None:
        """Close its connection."""
        ...


class Clients:
    """Makes HTTP clients of one connection each, which share what is costly to make."""

    def __init__(self, factory: ClientFactory | None = None) -> None:
        """`factory` replaces the client of our own, for a host that needs another one."""
        self._factory = factory
        self._tls: ssl.SSLContext | None = None

    def make(self) -> Client:
        """Make a client, for one request at a time."""
        if self._factory is not None:
            return _OfHost(self._factory())
        if self._tls is None:
            self._tls = ssl.create_default_context()
        # httpx takes a tenth of a second to load: only who sends pays for it.
        from ecolyo_worker.remote.connection import Connection

        return Connection(self._tls)


class _OfHost:
    """A client of the host's: only our headers leave by it, and no cookie."""

    def __init__(self, client: "httpx.AsyncClient") -> None:
        self._client = client

    async def send(self, request: "httpx.Request") -> "httpx.Response":
        self._client.cookies.clear()
        with _shortened_logs():
            return await self._client.send(request, stream=True, follow_redirects=False)

    async def aclose(self) -> None:
        await self._client.aclose()


@contextmanager
def _shortened_logs() -> Iterator[None]:
    """Let what httpx logs of requests made within have no path and no query: they name meters.

    An `AsyncClient` logs each address; what others ask at the same time is logged as ever.
    """
    logger, shortening = logging.getLogger("httpx"), _Shortening()
    mark = _OURS.set(True)
    logger.addFilter(shortening)
    try:
        yield
    finally:
        logger.removeFilter(shortening)
        _OURS.reset(mark)


class _Shortening(logging.Filter):
    """Changes lines of this task, and lets all pass."""

    def filter(self, record: logging.LogRecord) -> bool:
        if _OURS.get() and isinstance(record.args, tuple):
            record.args = tuple(_shown(one) for one in record.args)
        return True


def _shown(logged: object) -> object:
    import httpx  # it is there: it logs just now

    if not isinstance(logged, httpx.URL):
        return logged
    return logged.copy_with(username=None, password=None, path="/", query=None, fragment=None)


async def read_body(response: "httpx.Response", limit: int) -> tuple[bytes | None, bool]:
    """Read an answer up to a limit of bytes, and tell whether that is all of it.

    None if it cannot be read at all.
    """
    answer = bytearray()
    async for chunk in response.aiter_raw():
        answer += chunk
        if len(answer) > limit:
            break
    is_whole = len(answer) <= limit
    coding = response.headers.get("content-encoding", "identity").strip().lower()
    text, is_all = _decoded(bytes(answer[:limit]), coding, limit)
    return text, is_whole and is_all


def _decoded(answer: bytes, coding: str, limit: int) -> tuple[bytes | None, bool]:
    """Undo a compression, which was not asked for, up to the limit; tell whether that is all."""
    if coding in ("", "identity"):
        return answer, True
    if coding not in _CODINGS:
        return None, False
    # httpx would unpack all that is there, however much that comes to.
    unpacking = zlib.decompressobj(_GZIP_OR_ZLIB)
    try:
        text = unpacking.decompress(answer, limit)
    except zlib.error:  # it is coded in another way
        return None, False
    return text, unpacking.eof
