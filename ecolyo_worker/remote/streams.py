"""TCP and TLS for httpcore, straight on asyncio's transports.

httpcore's own streams are made of anyio's, which cost a small request more than all else it does.
"""

import asyncio
import ipaddress
import select
import ssl
from collections.abc import Iterable
from typing import Any, Self

import httpcore

__all__ = ["Network", "Stream"]

# So much that was not read yet is kept; then the other side has to wait.
_MOST_BYTES = 262_144
# After so long the next address of a name is tried beside the one before (RFC 8305).
_STAGGER_S = 0.25


class Network(httpcore.AsyncNetworkBackend):
    """Connects by asyncio. Time-outs are left to the caller, who has one for all of a request."""

    async def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,  # noqa: ASYNC109  httpcore's name for it
        local_address: str | None = None,
        socket_options: Iterable[Any] | None = None,
    ) -> "Stream":
        """Connect, or raise `httpcore.ConnectError`."""
        assert (timeout, local_address, socket_options) == (None, None, None)  # none is ours
        loop = asyncio.get_running_loop()
        try:
            _, stream = await loop.create_connection(
                Stream, host, port, happy_eyeballs_delay=_stagger_s(host)
            )
        except OSError as error:
            raise httpcore.ConnectError(str(error)) from error
        return stream


class Stream(asyncio.Protocol, httpcore.AsyncNetworkStream):
    """A connection: one reads and one writes at a time."""

    def __init__(self) -> None:
        """It is connected by an event loop."""
        self._transport: asyncio.Transport
        self._received = bytearray()
        self._is_over = False
        self._is_full = False
        """Whether what is written is no longer taken by the machine."""
        self._error: Exception | None = None
        self._changed: asyncio.Future[None] | None = None
        self._lost = asyncio.get_running_loop().create_future()

    async def read(self, max_bytes: int, timeout: float | None = None) -> bytes:  # noqa: ASYNC109
        """Give what has come, at least one byte; nothing at the end."""
        assert timeout is None
        while not self._received:
            if self._error is not None:
                raise httpcore.ReadError(str(self._error)) from self._error
            if self._is_over:
                return b""
            await self._change()
        chunk = bytes(self._received[:max_bytes])
        del self._received[:max_bytes]
        if len(self._received) <= _MOST_BYTES and not self._is_over:
            self._transport.resume_reading()
        return chunk

    async def write(self, buffer: bytes, timeout: float | None = None) -> None:  # noqa: ASYNC109
        """Hand over some bytes, and wait until most of them are taken."""
        assert timeout is None
        self._transport.write(buffer)
        while self._is_full and not self._lost.done():
            await self._change()
        if self._lost.done():
            raise httpcore.WriteError(str(self._error or "closed")) from self._error

    async def start_tls(
        self,
        ssl_context: ssl.SSLContext,
        server_hostname: str | None = None,
        timeout: float | None = None,  # noqa: ASYNC109
    ) -> Self:
        """Go on in TLS, or raise `httpcore.ConnectError`; it is closed then."""
        assert timeout is None
        loop = asyncio.get_running_loop()
        try:
            transport = await loop.start_tls(
                self._transport, self, ssl_context, server_hostname=server_hostname
            )
        except BaseException as error:
            # Of the end of a handshake asyncio tells nobody.
            self._transport.abort()
            self.connection_lost(None)
            if isinstance(error, OSError):  # what TLS says is one, too
                raise httpcore.ConnectError(str(error)) from error
            raise
        assert transport is not None
        self._transport = transport
        return self

    async def aclose(self) -> None:
        """Close at once: all that was asked for has come, or is no longer wanted."""
        self._transport.abort()
        await asyncio.shield(self._lost)

    def get_extra_info(self, info: str) -> Any:  # noqa: ANN401  httpcore's
        """Give what httpcore asks for; with `is_readable`, whether the other side closed."""
        if info != "is_readable":
            return self._transport.get_extra_info(info)
        return bool(self._received) or self._is_over or self._is_readable()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Be connected."""
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        """Keep what came until it is read."""
        self._received += data
        if len(self._received) > _MOST_BYTES:
            self._transport.pause_reading()
        self._tell()

    def eof_received(self) -> None:
        """Know that no more comes."""
        self._is_over = True
        self._tell()

    def connection_lost(self, exc: Exception | None) -> None:
        """Know that it is closed, and why."""
        self._is_over, self._error = True, exc
        if not self._lost.done():
            self._lost.set_result(None)
        self._tell()

    def pause_writing(self) -> None:
        """Let who writes wait."""
        self._is_full = True

    def resume_writing(self) -> None:
        """Let who writes go on."""
        self._is_full = False
        self._tell()

    def _is_readable(self) -> bool:
        """Ask the machine, for the event loop may not have looked yet."""
        poll = select.poll()
        poll.register(self._transport.get_extra_info("socket").fileno(), select.POLLIN)
        return bool(poll.poll(0))

    async def _change(self) -> None:
        self._changed = asyncio.get_running_loop().create_future()
        try:
            await self._changed
        finally:
            self._changed = None

    def _tell(self) -> None:
        if self._changed is not None and not self._changed.done():
            self._changed.set_result(None)


def _stagger_s(host: str) -> float | None:
    """Give None where there is but one address; asyncio's race for it may lose a socket."""
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return _STAGGER_S
    return None
