"""What both faces share: bounds, answers in JSON, and the edge at which every error ends."""

import traceback
from collections.abc import Awaitable, Callable, Mapping, Sequence
from pathlib import Path

import anyio
import msgspec
from msgspec import Struct
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.routing import BaseRoute
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from ecolyo_worker.log import Logger
from ecolyo_worker.service import codes
from ecolyo_worker.service.codes import ErrorCode
from ecolyo_worker.store.status import LEAST_FREE

__all__ = [
    "Bodies",
    "Bounds",
    "Refused",
    "Renderer",
    "answer",
    "application",
    "error_answer",
    "log_bug",
]

Renderer = Callable[[Exception], Response]


class Bounds(Struct, frozen=True, kw_only=True):
    """How much clients may ask for, how long they may take, and what readiness needs."""

    body_bytes: int = 1024 * 1024
    bodies_bytes: int = 32 * 1024 * 1024
    """So much of all bodies together is held while they are read."""
    body_s: float = 30.0
    """The longest that a body may take to arrive."""
    head_bytes: int = 16 * 1024
    head_lines: int = 100
    head_s: float = 10.0
    """The longest that the head of a request may take to arrive."""
    idle_s: float = 5.0
    """How long a connection may stay without a request."""
    answer_s: float | None = 30.0
    """The longest that a client may take to read each piece of an answer; None: for ever."""
    connections: int = 200
    """For more than these, those go that wait for their client; if none does, requests are refused.

    They are fewer where the process may open few files.
    """
    free_bytes: int = LEAST_FREE
    """With less space left on the disk, the service is not ready."""
    ready_s: float = 5.0
    """A database that takes longer to answer is not ready."""


class Refused(Exception):
    """A request is not taken: a code for programs, a sentence for people."""

    def __init__(
        self,
        code: ErrorCode,
        message: str,
        details: Sequence[object] = (),
        headers: Mapping[str, str] | None = None,
    ) -> None:
        """`headers` go with the answer."""
        super().__init__(message)
        self.code = code
        self.message = message
        self.details = details
        self.headers = headers

    def response(self) -> Response:
        """Give what the client is told."""
        return error_answer(self.code, self.message, self.details, self.headers)


def answer(
    document: object, status: int = 200, headers: Mapping[str, str] | None = None
) -> Response:
    """Give an answer in JSON."""
    return Response(
        msgspec.json.encode(document), status, headers=headers, media_type="application/json"
    )


def error_answer(
    code: ErrorCode,
    message: str,
    details: Sequence[object] = (),
    headers: Mapping[str, str] | None = None,
) -> Response:
    """Give an error as section 3 of the interfaces has it."""
    error = {"code": code.name, "message": message, "details": list(details)}
    if code.retry_after_s is not None:
        headers = {"retry-after": str(code.retry_after_s), **(headers or {})}
    return answer({"error": error}, code.status, headers)


class Bodies:
    """Reads the bodies of requests, each and all of them together within their bounds."""

    def __init__(self, bounds: Bounds) -> None:
        """Nothing is read yet."""
        self._bounds = bounds
        self._held = 0

    def __repr__(self) -> str:
        return f"<Bodies of {self._held} bytes>"

    async def read(self, request: Request) -> bytes:
        """Read a request's body; raises `Refused`."""
        bounds = self._bounds
        coding = request.headers.get("content-encoding", "identity")
        if coding.strip().lower() != "identity":
            raise Refused(codes.UNSUPPORTED_ENCODING, "allowed: a body without Content-Encoding")
        declared = request.headers.get("content-length", "0")
        if len(declared) > 15 or int(declared) > bounds.body_bytes:
            raise self._too_large()
        body = bytearray()
        try:
            with anyio.fail_after(bounds.body_s):
                async for chunk in request.stream():
                    self._held += len(chunk)
                    body += chunk
                    self._check(len(body))
        except TimeoutError:
            message = f"the body did not arrive within {bounds.body_s:g} s"
            raise Refused(codes.TOO_SLOW, message, headers={"connection": "close"}) from None
        finally:
            self._held -= len(body)
        return bytes(body)

    def _check(self, length: int) -> None:
        if length > self._bounds.body_bytes:
            raise self._too_large()
        if self._held > self._bounds.bodies_bytes:
            message = "too many bodies arrive at once; try again"
            raise Refused(codes.BUSY, message, headers={"connection": "close"})

    def _too_large(self) -> Refused:
        most = self._bounds.body_bytes
        message = f"found a body of more than {most} bytes, which is the most"
        return Refused(codes.TOO_LARGE, message)


def application(
    routes: Sequence[BaseRoute],
    render: Mapping[type[Exception], Renderer],
    logger: Logger,
) -> Starlette:
    """Give an application that answers every error in JSON.

    `render` says how the errors look that are expected; others are logged, and are ours.
    """
    known: dict[type[Exception], Renderer] = {HTTPException: _http, Refused: _refused, **render}
    handlers = {kind: _handler(renderer) for kind, renderer in known.items()}
    app = Starlette(
        routes=routes,
        exception_handlers=handlers,
        middleware=[Middleware(_Edge, logger=logger)],
    )
    app.router.redirect_slashes = False
    return app


def _handler(renderer: Renderer) -> Callable[[Request, Exception], Awaitable[Response]]:
    async def handle(_: Request, error: Exception) -> Response:  # one without async gets a thread
        return renderer(error)

    return handle


def _http(error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    known = {404: codes.NOT_FOUND, 405: codes.METHOD_NOT_ALLOWED}
    code = known.get(error.status_code, codes.BAD_REQUEST)
    return error_answer(code, _words(error), headers=error.headers)


def _words(error: HTTPException) -> str:
    """Say what there is instead of what was asked for."""
    if error.status_code == 405:
        return f"the method is not allowed here; allowed: {(error.headers or {}).get('Allow', '–')}"
    if error.status_code == 404:
        return "there is nothing at this path"
    return str(error.detail)


def _refused(error: Exception) -> Response:
    assert isinstance(error, Refused)
    return error.response()


def log_bug(logger: Logger, error: Exception) -> None:
    """Log where an error came from that nobody expected.

    Neither its words nor the values around it are logged: they may be a person's, or the token.
    """
    frames = traceback.extract_tb(error.__traceback__)
    places = [f"{Path(frame.filename).name}:{frame.lineno} {frame.name}" for frame in frames]
    logger.error("request failed: this is a bug", error=type(error).__name__, places=places)


class _Edge:
    """Where errors end that nobody expected: logged for us, and said without a word of it."""

    def __init__(self, app: ASGIApp, logger: Logger) -> None:
        self._app = app
        self._logger = logger

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        has_begun = False

        async def sending(message: Message) -> None:
            nonlocal has_begun
            has_begun = True
            await send(message)

        try:
            await self._app(scope, receive, sending)
        except ClientDisconnect:
            return
        except Exception as error:  # noqa: BLE001  the edge: the server behind would print it
            log_bug(self._logger, error)
            if not has_begun:
                message = "this is a bug in ecolyo-worker; its log says more"
                await error_answer(codes.INTERNAL, message)(scope, receive, send)
