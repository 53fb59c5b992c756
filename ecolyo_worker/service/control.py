"""The control socket's application: every command, asked by a process of the same owner."""

from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import anyio
import msgspec
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse
from starlette.routing import Route

from ecolyo_worker.catalogue import catalogue, protocol
from ecolyo_worker.commands import Commands
from ecolyo_worker.errors import CommandRefused, EcolyoError, StoreUnavailable
from ecolyo_worker.service.web import (
    Bodies,
    Bounds,
    Refused,
    answer,
    application,
    log_bug,
)
from ecolyo_worker.service.wire import (
    PROTOCOL_HEADER,
    VERSION_HEADER,
    ErrorDocument,
    decode_request,
    describe,
)
from ecolyo_worker.version import __version__
from ecolyo_worker.worker import Worker

__all__ = ["CONTROL_BOUNDS", "control_app"]

# 500 lines of an import, each as long as it may be, in base64. Who reads a list page by page may
# take as long as that takes: it is the owner.
CONTROL_BOUNDS = Bounds(body_bytes=64 * 1024 * 1024, bodies_bytes=128 * 1024 * 1024, answer_s=None)

_FLUSH_BYTES = 32_768


def control_app(worker: Worker, bounds: Bounds = CONTROL_BOUNDS) -> Starlette:
    """Give the application that runs commands on a worker."""
    desk = _Desk(worker, bounds)
    routes = [Route("/control/v1/{command}", desk.run, methods=["POST"])]
    return application(routes, {EcolyoError: _render, Refused: _render}, worker.logger)


class _Desk:
    """Takes requests for commands."""

    def __init__(self, worker: Worker, bounds: Bounds) -> None:
        self._commands = Commands(worker)
        self._logger = worker.logger
        self._bodies = Bodies(bounds)

    async def run(self, request: Request) -> Response:
        """Run a command and answer with what it gives; break it off if its client goes away."""
        _check_protocol(request)
        command = catalogue().get(str(request.path_params["command"]))
        if command is None:
            raise CommandRefused(f"there is no command {request.path_params['command']!r}")
        asked = decode_request(await self._bodies.read(request), command.request)
        method = getattr(self._commands, command.name)
        arguments = () if command.request is None else (asked,)
        if command.is_stream:
            pieces = self._pieces(method(*arguments))
            return StreamingResponse(pieces, headers=_headers(), media_type="application/x-ndjson")
        return await _while_heard(request, lambda: self._answer(method(*arguments)))

    async def _answer(self, result: Awaitable[Any]) -> Response:
        try:
            return answer(await result, headers=_headers())
        except Exception as error:  # noqa: BLE001  the client is told what class it is of
            return _failed(self._described(error))

    async def _pieces(self, items: AsyncIterator[Any]) -> AsyncIterator[bytes]:
        """Give a stream's lines, several at a time; an error is its last one."""
        lines = bytearray()
        try:
            async for item in items:
                lines += msgspec.json.encode({"item": item}) + b"\n"
                if len(lines) >= _FLUSH_BYTES:
                    yield bytes(lines)
                    lines.clear()
        except Exception as error:  # noqa: BLE001  what was begun must be ended
            lines += msgspec.json.encode({"error": self._described(error)}) + b"\n"
        yield bytes(lines)

    def _described(self, error: Exception) -> ErrorDocument:
        if not isinstance(error, EcolyoError):
            log_bug(self._logger, error)
            error = EcolyoError("the service failed: this is a bug; its log says where")
        return describe(error)


def _headers() -> dict[str, str]:
    return {PROTOCOL_HEADER: protocol(), VERSION_HEADER: __version__}


def _check_protocol(request: Request) -> None:
    if request.headers.get(PROTOCOL_HEADER) != protocol():
        other = request.headers.get(VERSION_HEADER, "another version")
        raise StoreUnavailable(
            f"the service is ecolyo-worker {__version__} and is asked by {other}: their commands"
            " differ; use the same version, or restart the service"
        )


def _render(error: Exception) -> Response:
    if isinstance(error, Refused):
        error = CommandRefused(error.message)
    assert isinstance(error, EcolyoError)
    return _failed(describe(error))


def _failed(document: ErrorDocument) -> Response:
    return answer({"error": document}, 409, _headers())


async def _while_heard(request: Request, work: Callable[[], Awaitable[Response]]) -> Response:
    """Do some work, as long as the client is there to hear of it."""
    done = Response(status_code=499)  # nobody hears it

    async def watch() -> None:
        while (await request.receive())["type"] != "http.disconnect":
            pass
        working.cancel_scope.cancel()

    async with anyio.create_task_group() as working:
        working.start_soon(watch)
        done = await work()
        working.cancel_scope.cancel()
    return done
