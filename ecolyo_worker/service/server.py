"""The actors that listen: the HTTP face for hosts, and the control socket for commands."""

from contextlib import ExitStack
from typing import TYPE_CHECKING

import anyio
from anyio.abc import TaskStatus
from starlette.types import ASGIApp, Receive, Scope, Send

from ecolyo_worker.actors.actor import Actor
from ecolyo_worker.errors import ConfigurationError, StateRefused
from ecolyo_worker.service.control import CONTROL_BOUNDS, control_app
from ecolyo_worker.service.http import http_app
from ecolyo_worker.service.listen import (
    Tcp,
    bound_tcp,
    bound_unix,
    not_listening,
    parse_access,
    parse_listen,
)
from ecolyo_worker.service.serving import serve
from ecolyo_worker.service.tokens import http_token
from ecolyo_worker.service.web import Bounds
from ecolyo_worker.service.wire import SOCKET
from ecolyo_worker.worker import Worker

if TYPE_CHECKING:
    import socket

__all__ = ["ControlSocket", "HttpFace"]


class _Listener(Actor):
    """Answers what comes in at a socket, until it is stopped."""

    def __init__(self, worker: Worker, bounds: Bounds) -> None:
        super().__init__(worker.clock)
        self._bounds = bounds
        self._logger = worker.logger

    async def _serve(
        self, app: ASGIApp, sock: "socket.socket", task_status: TaskStatus[None]
    ) -> None:
        ready = task_status.started
        app = self._noting(app)
        await serve(app, sock, self._bounds, self._clock, ready, self._rest, self._logger)

    def _noting(self, app: ASGIApp) -> ASGIApp:
        """Give an application of which the actor knows when it last answered."""

        async def answering(scope: Scope, receive: Receive, send: Send) -> None:
            await app(scope, receive, send)
            self.succeeded()

        return answering

    async def _rest(self) -> bool:
        await self.rest()
        return not self.stopping


class HttpFace(_Listener):
    """Listens where `http.listen` says, and answers with the HTTP face."""

    name = "http"

    def __init__(self, worker: Worker, bounds: Bounds | None = None) -> None:
        """Raises `ConfigurationError` for a wrong address or group, or for TCP without a token."""
        settings = worker.settings.http
        listen = parse_listen(settings.listen)
        if listen is None:
            raise ConfigurationError("http.listen: is empty, so there is no HTTP face to run")
        self._access = parse_access(settings)
        token = http_token(settings) if isinstance(listen, Tcp) else None
        super().__init__(worker, bounds or Bounds())
        self._app = http_app(worker, token, self._bounds, lambda: self.stopping)
        self.listen = listen
        """Where it listens; with port 0, once it runs, at which port."""

    async def run(self, *, task_status: TaskStatus[None] = anyio.TASK_STATUS_IGNORED) -> None:
        """Answer requests until `stop`; those under way then are finished."""
        with ExitStack() as stack:
            sock = self._bind(stack)
            if isinstance(self.listen, Tcp):
                self.listen = Tcp(self.listen.host, sock.getsockname()[1])
                self._warn(self.listen)
            await self._serve(self._app, sock, task_status)

    def _bind(self, stack: ExitStack) -> "socket.socket":
        listen = self.listen
        bound = (
            bound_tcp(listen) if isinstance(listen, Tcp) else bound_unix(listen.path, self._access)
        )
        try:
            return stack.enter_context(bound)
        except OSError as error:
            raise not_listening(listen, error) from None

    def _warn(self, listen: Tcp) -> None:
        if not listen.is_loopback:
            self._logger.warning(
                "the HTTP face can be reached from other machines",
                listen=str(listen),
                reason="nothing is encrypted: put a proxy with TLS before it, or listen on"
                " 127.0.0.1",
            )


class ControlSocket(_Listener):
    """Runs the commands of whoever may use the state directory, on `control.sock` in it."""

    name = "control"

    def __init__(self, worker: Worker, bounds: Bounds = CONTROL_BOUNDS) -> None:
        """`worker` is entered: that its lock is held is what makes the socket ours."""
        super().__init__(worker, bounds)
        self._app = control_app(worker, bounds)
        self._path = worker.settings.directory / SOCKET

    async def run(self, *, task_status: TaskStatus[None] = anyio.TASK_STATUS_IGNORED) -> None:
        """Answer commands until `stop`; those under way then are finished."""
        with ExitStack() as stack:
            try:
                sock = stack.enter_context(bound_unix(self._path, is_ours=True))
            except OSError as error:
                raise StateRefused(
                    f"{self._path} cannot be listened on: {error.strerror}"
                ) from None
            await self._serve(self._app, sock, task_status)
