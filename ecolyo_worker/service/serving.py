"""Runs uvicorn on one socket, as a part of a worker: no signal handler, no logging set up.

What uvicorn leaves open is closed here: a head that never arrives, an answer that is never read, a
crowd, a cancelled server.
"""

import asyncio
import logging
import socket
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from typing import Any

import h11
import uvicorn
from anyio import CancelScope
from starlette.types import ASGIApp, Receive, Scope, Send
from uvicorn.protocols.http.h11_impl import H11Protocol

from ecolyo_worker.clock import Clock, http_date
from ecolyo_worker.service import codes
from ecolyo_worker.service.codes import ErrorCode
from ecolyo_worker.service.heads import Connection
from ecolyo_worker.service.web import Bounds, error_answer

__all__ = ["serve"]

# So many rounds of the event loop lie between accepting a connection and knowing of it.
_ACCEPTING_TICKS = 5
_CLOSE = {"connection": "close"}


async def serve(
    app: ASGIApp,
    sock: socket.socket,
    bounds: Bounds,
    clock: Clock,
    ready: Callable[[], None],
    rest: Callable[[], Awaitable[bool]],
) -> None:
    """Answer requests on a bound socket until `rest` gives False, then finish those under way.

    Answers in pieces are not finished then, nor those that are not read: the connection ends.
    `clock` gives the date of the answers. `ready` is called when it listens; `rest` waits a while.
    Cancelled, it breaks off what is under way. Whatever ends it, no task and no connection stays
    behind.
    """
    server = _Server(_Config(app, bounds, clock), ready, rest)
    try:
        await server.serve(sockets=[sock])
    finally:
        with CancelScope(shield=True):
            await server.clear()


class _Config(uvicorn.Config):
    """What a server of ours is like."""

    def __init__(self, app: ASGIApp, bounds: Bounds, clock: Clock) -> None:
        super().__init__(
            app,
            http=_Protocol,
            ws="none",
            lifespan="off",
            interface="asgi3",
            log_config=None,
            access_log=False,
            proxy_headers=False,
            server_header=False,
            date_header=False,
            workers=1,
        )
        self.bounds = bounds
        self._clock = clock

    def dated(self) -> list[tuple[bytes, bytes]]:
        """Give the headers of every answer: the date, as of now."""
        return [(b"date", http_date(self._clock.now()).encode())]

    def configure_logging(self) -> None:
        """Leave logging, which is the process's, as it is."""


class _Server(uvicorn.Server):
    """A server that lives as its actor does."""

    def __init__(
        self, config: _Config, ready: Callable[[], None], rest: Callable[[], Awaitable[bool]]
    ) -> None:
        super().__init__(config)
        self._ready = ready
        self._rest = rest

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Leave the signals to whoever owns the process."""
        yield

    async def main_loop(self) -> None:
        """Show life until it is told to end."""
        self._ready()
        while await self._rest():
            pass

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Take no connection any more, and finish the requests under way, but no stream."""
        await _accepted()
        for connection in list(self.server_state.connections):
            assert isinstance(connection, _Protocol)
            connection.end_stream()
        await super().shutdown(sockets)

    async def clear(self) -> None:
        """Break off what is left, and wait until it is gone."""
        await _accepted()  # asyncio loses a connection if its server is closed meanwhile
        for server in getattr(self, "servers", ()):
            server.close()
        await _accepted()
        while self.server_state.connections:
            for connection in list(self.server_state.connections):
                connection.transport.abort()
            await asyncio.sleep(0)
        tasks = list(self.server_state.tasks)
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks)


async def _accepted() -> None:
    """Wait until what was accepted just now is known as a connection."""
    for _ in range(_ACCEPTING_TICKS):
        await asyncio.sleep(0)


class _Protocol(H11Protocol):
    """A connection that is closed if no request arrives in time, and refused in a crowd."""

    def __init__(self, config: _Config, *args: Any, **kwargs: Any) -> None:  # noqa: ANN401  uvicorn's
        super().__init__(config, *args, **kwargs)
        self._bounds = config.bounds
        self._dated = config.dated
        self.conn: Connection = Connection(config.bounds)
        self.timeout_keep_alive = config.bounds.idle_s  # type: ignore[assignment]  # parts of it too
        self._head: asyncio.TimerHandle | None = None
        self._answer: asyncio.TimerHandle | None = None
        # What deserves a line in the log, the application says itself.
        self.logger = logging.Logger("ecolyo_worker.service", logging.CRITICAL + 1)
        self.access_log = False

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        if len(self.connections) > 2 * self._bounds.connections:
            transport.abort()
            return
        if len(self.connections) > self._bounds.connections:
            self.app = _crowded
        # So that writing pauses while anything is left that the client did not read.
        transport.set_write_buffer_limits(high=0)
        self._watch_head()

    def connection_lost(self, exc: Exception | None) -> None:
        self._watch_head(arrived=True)
        super().connection_lost(exc)  # writing goes on, into nothing

    def pause_writing(self) -> None:
        super().pause_writing()
        if self._bounds.answer_s is not None:
            self._answer = self.loop.call_later(self._bounds.answer_s, self.transport.abort)

    def resume_writing(self) -> None:
        super().resume_writing()
        self._forget_answer()

    def end_stream(self) -> None:
        """Break off an answer that comes in pieces, or is not read: it may last as it likes."""
        has_one = self.cycle is not None  # uvicorn begins with None
        has_begun = has_one and self.cycle.response_started
        if self.flow.write_paused or (has_begun and not self.cycle.response_complete):
            self.transport.abort()

    def _forget_answer(self) -> None:
        if self._answer is not None:
            self._answer.cancel()
            self._answer = None

    def data_received(self, data: bytes) -> None:
        self.server_state.default_headers = self._dated()
        super().data_received(data)
        has_one = self.cycle is not None  # uvicorn begins with None
        self._watch_head(arrived=has_one and not self.cycle.response_complete)

    def send_400_response(self, msg: str) -> None:  # noqa: ARG002  it is always the same
        refusal = self.conn.refusal
        self._refuse(refusal.code, refusal.message)

    def _watch_head(self, *, arrived: bool = False) -> None:
        """Wait for the next request for so long, however much of it has come."""
        if arrived and self._head is not None:
            self._head.cancel()
            self._head = None
        elif not arrived and self._head is None and not self.transport.is_closing():
            self._head = self.loop.call_later(self._bounds.head_s, self._head_is_late)

    def _head_is_late(self) -> None:
        if self.conn.our_state is h11.IDLE:
            message = f"the request did not arrive within {self._bounds.head_s:g} s"
            self._refuse(codes.TOO_SLOW, message)
        else:
            self.transport.close()

    def _refuse(self, code: ErrorCode, message: str) -> None:
        """Answer what never became a whole request, unless it was answered before."""
        if self.cycle is not None:
            self.cycle.disconnected = True  # whoever answers it has nothing more to say
        if self.conn.our_state not in {h11.IDLE, h11.SEND_RESPONSE}:
            self.transport.close()
            return
        response = error_answer(code, message, headers=_CLOSE)
        headers = [*self._dated(), *response.raw_headers]
        for event in (
            h11.Response(status_code=code.status, headers=headers),
            h11.Data(data=b"" if self.conn.wants_no_body else bytes(response.body)),
            h11.EndOfMessage(),
        ):
            self.transport.write(self.conn.send(event) or b"")
        self.transport.close()


async def _crowded(scope: Scope, receive: Receive, send: Send) -> None:
    """Send a client away, because too many are there."""
    message = "too many connections; close those that are not needed, and try again"
    await error_answer(codes.BUSY, message, headers=_CLOSE)(scope, receive, send)
