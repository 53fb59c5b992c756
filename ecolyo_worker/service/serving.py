"""Runs uvicorn on one socket, as a part of a worker: no signal handler, no logging set up.

What uvicorn leaves open is closed here: a head that never arrives, an answer that is never read, a
crowd, a cancelled server. It accepts connections by itself, one after the other, so that those that
nobody knows of yet take no file descriptors.
"""

import asyncio
import logging
import socket
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from typing import Any

import anyio
import h11
import uvicorn
from anyio import CancelScope
from starlette.types import ASGIApp, Receive, Scope, Send
from uvicorn.protocols.http.h11_impl import H11Protocol

from ecolyo_worker.clock import Clock, http_date
from ecolyo_worker.log import Logger
from ecolyo_worker.service import codes
from ecolyo_worker.service.codes import ErrorCode
from ecolyo_worker.service.crowd import Crowd, places
from ecolyo_worker.service.heads import Connection
from ecolyo_worker.service.web import Bounds, error_answer

__all__ = ["serve"]

# Where no connection can be accepted, it is tried again after so long.
_AGAIN_S = 0.2
# So large a part of the places is given away at once: who has one can ask before it is wanted.
_SHARE = 4
_CLOSE = {"connection": "close"}


async def serve(
    app: ASGIApp,
    sock: socket.socket,
    bounds: Bounds,
    clock: Clock,
    ready: Callable[[], None],
    rest: Callable[[], Awaitable[bool]],
    logger: Logger,
) -> None:
    """Answer requests on a bound socket until `rest` gives False, then finish those under way.

    Answers in pieces are not finished then, nor those that are not read: the connection ends.
    `clock` gives the date of the answers. `ready` is called when it listens; `rest` waits a while.
    Cancelled, it breaks off what is under way. Whatever ends it, no task and no connection stays
    behind.
    """
    server = _Server(_Config(app, bounds, clock), sock, ready, rest, logger)
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
        self.crowd = Crowd()
        self._clock = clock

    def dated(self) -> list[tuple[bytes, bytes]]:
        """Give the headers of every answer: the date, as of now."""
        return [(b"date", http_date(self._clock.now()).encode())]

    def configure_logging(self) -> None:
        """Leave logging, which is the process's, as it is."""


class _Server(uvicorn.Server):
    """A server that lives as its actor does."""

    config: _Config

    def __init__(
        self,
        config: _Config,
        sock: socket.socket,
        ready: Callable[[], None],
        rest: Callable[[], Awaitable[bool]],
        logger: Logger,
    ) -> None:
        super().__init__(config)
        self._socket = sock
        self._ready = ready
        self._rest = rest
        self._logger = logger

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Leave the signals to whoever owns the process."""
        yield

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:  # noqa: ARG002
        """Listen; raises `OSError`."""
        self.servers = []
        self._socket.setblocking(False)
        self._socket.listen(self.config.backlog)
        self.started = True

    async def main_loop(self) -> None:
        """Accept connections, and show life, until it is told to end."""
        async with anyio.create_task_group() as accepting:
            accepting.start_soon(self._accept)
            self._ready()
            while await self._rest():
                pass
            accepting.cancel_scope.cancel()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Take no connection any more, and finish the requests under way, but no stream."""
        for connection in list(self.server_state.connections):
            assert isinstance(connection, _Protocol)
            connection.end_stream()
        await super().shutdown(sockets)

    async def clear(self) -> None:
        """Break off what is left, and wait until it is gone."""
        while self.server_state.connections:
            for connection in list(self.server_state.connections):
                connection.transport.abort()
            await asyncio.sleep(0)
        await asyncio.sleep(0)  # for those that were sent away for another
        tasks = list(self.server_state.tasks)
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks)

    async def _accept(self) -> None:
        """Take connections, a few at a time: the others wait outside, where they cost nothing."""
        loop = asyncio.get_running_loop()
        while True:
            await anyio.wait_readable(self._socket)
            try:
                accepted = list(self._accepted())
            except OSError as error:
                self._logger.warning("no connection can be accepted", reason=str(error.strerror))
                self.config.crowd.send_one_away()
                await asyncio.sleep(_AGAIN_S)
                continue
            async with anyio.create_task_group() as connecting:
                for sock in accepted:
                    connecting.start_soon(loop.connect_accepted_socket, self._connection, sock)

    def _accepted(self) -> Iterator[socket.socket]:
        """Give those that are there; raises `OSError` if not even one can be had."""
        for number in range(max(1, places(self.config.bounds.connections) // _SHARE)):
            try:
                yield self._socket.accept()[0]
            except (BlockingIOError, ConnectionAbortedError):
                return
            except OSError:
                if not number:
                    raise
                return

    def _connection(self) -> "_Protocol":
        return _Protocol(self.config, self.server_state, {})


class _Protocol(H11Protocol):
    """A connection that is closed if no request arrives in time, and refused in a crowd."""

    def __init__(self, config: _Config, *args: Any, **kwargs: Any) -> None:  # noqa: ANN401  uvicorn's
        super().__init__(config, *args, **kwargs)
        self._bounds = config.bounds
        self._dated = config.dated
        self._crowd = config.crowd
        self.conn: Connection = Connection(config.bounds)
        self.timeout_keep_alive = config.bounds.idle_s  # type: ignore[assignment]  # parts of it too
        self._head: asyncio.TimerHandle | None = None
        self._answer: asyncio.TimerHandle | None = None
        # What deserves a line in the log, the application says itself.
        self.logger = logging.Logger("ecolyo_worker.service", logging.CRITICAL + 1)
        self.access_log = False

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        most = places(self._bounds.connections)
        if len(self.connections) > most and (gone := self._crowd.send_one_away()) is not None:
            self.connections.discard(gone.get_protocol())
        if len(self.connections) > most:
            self.app = _crowded
        # So that writing pauses while anything is left that the client did not read.
        transport.set_write_buffer_limits(high=0)
        self._watch_head()

    def connection_lost(self, exc: Exception | None) -> None:
        self._crowd.forget(self.transport)
        self._watch_head(arrived=True)
        super().connection_lost(exc)  # writing goes on, into nothing

    def pause_writing(self) -> None:
        super().pause_writing()
        if self._bounds.answer_s is not None:
            self._answer = self.loop.call_later(self._bounds.answer_s, self.transport.abort)
            self._crowd.wait_for(self.transport)

    def resume_writing(self) -> None:
        super().resume_writing()
        self._forget_answer()
        if self._head is None:
            self._crowd.forget(self.transport)

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
            self._crowd.forget(self.transport)
        elif not arrived and self._head is None and not self.transport.is_closing():
            self._head = self.loop.call_later(self._bounds.head_s, self._head_is_late)
            self._crowd.wait_for(self.transport, is_known=self.cycle is not None)

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
