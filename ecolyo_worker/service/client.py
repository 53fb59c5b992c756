"""Asks a running service for commands, so that they work the same as in process."""

import os
import socket
import stat
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import anyio
import msgspec

from ecolyo_worker.catalogue import Command, catalogue, protocol
from ecolyo_worker.clock import SystemClock
from ecolyo_worker.commands import Commands
from ecolyo_worker.errors import StateRefused, StoreUnavailable
from ecolyo_worker.service.listen import short_path
from ecolyo_worker.service.wire import (
    PROTOCOL_HEADER,
    SOCKET,
    VERSION_HEADER,
    ErrorDocument,
    Piece,
    encode_request,
    recreate,
)
from ecolyo_worker.version import __version__

if TYPE_CHECKING:
    import httpx

__all__ = ["RemoteCommands", "running_service"]

_CONNECT_S = 10.0


@asynccontextmanager
async def running_service(
    directory: Path, *, look_s: float = 10.0, patience_s: float = 10.0
) -> AsyncIterator[Commands | None]:
    """Give the commands of the service that runs on a state directory; None if there is none.

    A command may take as long as it likes. Each `look_s` the service is asked whether it lives; if
    it does not say so within `patience_s`, the block is broken off with `StoreUnavailable`.
    Raises `StateRefused` for a socket that others may use, or made.
    """
    with _socket_of(directory) as path:
        if path is None:
            yield None
            return
        import httpx  # only who finds a service pays for it

        # A connection for each request: one that the service closes meanwhile harms nobody.
        client = httpx.AsyncClient(
            base_url="http://control",
            transport=httpx.AsyncHTTPTransport(
                uds=path, limits=httpx.Limits(max_keepalive_connections=0)
            ),
            timeout=httpx.Timeout(None, connect=_CONNECT_S),
            headers={PROTOCOL_HEADER: protocol(), VERSION_HEADER: __version__},
        )
        async with client, _watched(client, look_s, patience_s):
            yield RemoteCommands(client)


@asynccontextmanager
async def _watched(
    client: "httpx.AsyncClient", look_s: float, patience_s: float
) -> AsyncIterator[None]:
    """Break the block off when the service gives no sign of life: stopped, it would hang for good.

    Raises `StoreUnavailable` then.
    """
    failure: Exception | None = None
    is_silent = False

    async def watch() -> None:
        nonlocal is_silent
        while not is_silent:
            await SystemClock().sleep(look_s)
            is_silent = not await _lives(client, patience_s)
        watching.cancel_scope.cancel()

    async with anyio.create_task_group() as watching:
        watching.start_soon(watch)
        try:
            yield
        except Exception as error:  # noqa: BLE001  it goes on, outside: a group would wrap it
            failure = error
        watching.cancel_scope.cancel()
    if failure is not None:
        raise failure
    if is_silent:
        raise StoreUnavailable(
            f"the service did not say within {patience_s:g} s that it lives: it is stopped, or"
            " hangs; continue or restart it. Whether it still does what was asked is not known"
        )


async def _lives(client: "httpx.AsyncClient", patience_s: float) -> bool:
    """Tell whether the service answers anything. One that went away is for whoever asks it."""
    import httpx

    try:
        await client.post("/control/v1/version", timeout=patience_s)
    except httpx.TimeoutException:
        return False
    except httpx.TransportError:
        pass
    return True


@contextmanager
def _socket_of(directory: Path) -> Iterator[str | None]:
    try:
        with short_path(directory / SOCKET) as path:
            if not _answers(path):
                yield None
                return
            _refuse_stranger(directory, os.lstat(path))
            yield path
    except (FileNotFoundError, NotADirectoryError, PermissionError):
        yield None


def _refuse_stranger(directory: Path, found: os.stat_result) -> None:
    """Refuse a socket that another user made or may use: what is asked through it is not ours.

    Root may ask whoever owns the state directory.
    """
    me = os.geteuid()
    owners = {me, directory.stat().st_uid} if me == 0 else {me}
    if found.st_uid not in owners:
        problem = f"belongs to user {found.st_uid}, and this is user {me}: ask as that user"
    elif not stat.S_ISSOCK(found.st_mode) or found.st_mode & 0o077:
        problem = (
            f"is {stat.filemode(found.st_mode)} and must be a socket of its owner alone"
            " (srw-------): no service made it so; start the service anew, which replaces it"
        )
    else:
        return
    raise StateRefused(f"{directory / SOCKET} {problem}")


def _answers(path: str) -> bool:
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        probe.setblocking(False)  # else, where very many wait, this would too
        try:
            probe.connect(path)
        except BlockingIOError:
            raise StoreUnavailable(
                "very many wait for the service already: it is stopped, or hangs; continue or"
                " restart it, or try again"
            ) from None
        except PermissionError:
            return True  # whoever it is: this user may not ask
        except OSError:
            return False
    return True


class _Line:
    """The connection to a service."""

    def __init__(self, client: "httpx.AsyncClient") -> None:
        self._client = client

    async def ask(self, command: Command, *request: object) -> Any:  # noqa: ANN401  any answer
        async with self._sent(command, *request) as response:
            return msgspec.json.decode(await response.aread(), type=command.result)

    async def stream(self, command: Command, *request: object) -> AsyncIterator[Any]:
        async with self._sent(command, *request) as response:
            async for text in _lines(response):
                piece = msgspec.json.decode(text, type=Piece)
                if piece.error is not None:
                    raise recreate(piece.error)
                yield msgspec.json.decode(piece.item, type=command.result)

    @asynccontextmanager
    async def _sent(self, command: Command, *request: object) -> "AsyncIterator[httpx.Response]":
        import httpx

        url = f"/control/v1/{command.name}"
        body = encode_request(*request) if request else b""
        try:
            async with self._client.stream("POST", url, content=body) as response:
                await _check(response)
                yield response
        except httpx.TransportError as error:
            raise StoreUnavailable(
                f"the service went away while it was asked ({type(error).__name__}); what it had"
                " stored by then is stored"
            ) from None


async def _check(response: "httpx.Response") -> None:
    """Raise what the service says is wrong."""
    if response.headers.get(PROTOCOL_HEADER) != protocol():
        other = response.headers.get(VERSION_HEADER, "of an unknown version")
        raise StoreUnavailable(
            f"the service that runs is ecolyo-worker {other}, this is {__version__}: their commands"
            " differ; use the same version, or restart the service"
        )
    if response.status_code != 200:
        found = msgspec.json.decode(await response.aread(), type=dict[str, ErrorDocument])
        raise recreate(found["error"])


async def _lines(response: "httpx.Response") -> AsyncIterator[bytes]:
    rest = b""
    async for chunk in response.aiter_bytes():
        *whole, rest = (rest + chunk).split(b"\n")
        for line in whole:
            yield line


class RemoteCommands(Commands):
    """The commands of a running service. Each does the same as in process."""

    def __init__(self, client: "httpx.AsyncClient") -> None:
        """`client` knows the way to the service."""
        line = _Line(client)
        for command in catalogue().values():
            ask = line.stream if command.is_stream else line.ask
            setattr(self, command.name, partial(ask, command))
