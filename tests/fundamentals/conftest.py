"""A worker on its own state directory, and one person who agreed."""

import contextlib
import random
import socket
import struct
from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import anyio
import msgspec
import pytest
from anyio.abc import SocketAttribute, SocketStream
from anyio.streams.buffered import BufferedByteReceiveStream

from ecolyo_worker import Settings, Worker
from ecolyo_worker.commands import Commands
from ecolyo_worker.requests import InstancesImport, Line, OutboxDocument, OutboxList
from ecolyo_worker.settings import Dacc
from ecolyo_worker.testing import Echo, Twin
from tests.energy_polling import Polling
from tests.energy_tokens import Due
from tests.machine_time import machine_time as machine_time
from tests.nights import nights as nights

NIGHT = datetime(2026, 11, 21, 1, 0)
PAGES = ("electricity", "gas", "water", "faq", "options", "analysis")
ALICE = {
    "instance": "alice.example",
    "consent": {"version": "1.0.0", "accepted_at": "2026-11-01T00:00:00"},
}


@pytest.fixture
def agree() -> Callable[..., Awaitable[None]]:
    """Import what hosts say about people; Alice agreed in November by default."""

    async def tell(worker: Worker, *facts: dict[str, Any]) -> None:
        texts = [msgspec.json.encode(fact) for fact in facts or (ALICE,)]
        lines = [Line(number, text) for number, text in enumerate(texts, 1)]
        report = await Commands(worker).instances_import(InstancesImport(lines, withdrawing=True))
        assert not report.refused, report.refused

    return tell


@pytest.fixture
def settings(state_dir: Path) -> Settings:
    return Settings(state_dir=state_dir)


@pytest.fixture
async def worker(
    settings: Settings, agree: Callable[..., Awaitable[None]]
) -> AsyncIterator[Worker]:
    """A worker whose one person, alice.example, agreed on the first of November."""
    async with Worker(settings) as worker:
        await agree(worker)
        yield worker


@pytest.fixture
def polling(energy_twin: Twin, state_dir: Path) -> Polling:
    """Workers beside an energy twin that goes by their clock."""
    return Polling(energy_twin, state_dir)


@pytest.fixture
def echo(dacc_echo: Echo) -> Echo:
    """A DACC on this machine that does what it should."""
    return dacc_echo


@pytest.fixture
def fill(
    state_dir: Path,
    event: Callable[..., dict[str, Any]],
    agree: Callable[..., Awaitable[None]],
) -> Callable[..., Awaitable[None]]:
    """Put one row for each page into the outbox of a person."""

    async def put(name: str = "alice.example", pages: tuple[str, ...] = PAGES) -> None:
        # A seed of the person's own makes the order of sending the same in every test run.
        async with Worker(
            Settings(state_dir=state_dir), random=random.Random(name)
        ).opened() as worker:
            consent = {"version": "1.0.0", "accepted_at": "2026-11-01T00:00:00"}
            await agree(worker, {"instance": name, "consent": consent})
            await worker.record(
                name, [event("NavigationEvent", "2026-11-20T10:00", p, target=p) for p in pages]
            )
            await worker.run_once(NIGHT)

    return put


@pytest.fixture
def quick(state_dir: Path) -> Callable[..., Settings]:
    """Give settings that send fast to an address, and wait little after a failure."""

    def settings(url: str | None, **more: Any) -> Settings:
        waits = {
            "rate": 1000.0,
            "backoff_base": timedelta(milliseconds=5),
            "unknown_retry": timedelta(milliseconds=5),
        }
        return Settings(state_dir=state_dir, dacc=Dacc(url=url, **{**waits, **more}))

    return settings


@pytest.fixture
def rows() -> Callable[..., Awaitable[list[OutboxDocument]]]:
    """List the rows of a worker's outbox, of one state or of all."""

    async def listed(worker: Worker, state: Any = None) -> list[OutboxDocument]:
        return [row async for row in Commands(worker).outbox_list(OutboxList(state))]

    return listed


class Request(msgspec.Struct):
    """A request as it came over the wire; header names are lower-case."""

    path: str
    headers: dict[str, str]
    body: bytes


OK = b'HTTP/1.1 201 CREATED\r\nContent-Length: 12\r\n\r\n{"ok": true}'


class Wire:
    """A server on a raw socket: what came, and `answer`, which says what goes back."""

    def __init__(self) -> None:
        self.url = ""
        self.requests: list[Request] = []
        self.connections = 0
        self.open_connections = 0
        self.answer: Callable[[Request], bytes | Awaitable[bytes]] = lambda _: OK
        self.closes = False
        """Whether it closes each connection behind an answer, without saying so before."""
        self.resets = False
        """Whether it does so by a reset."""

    async def handle(self, stream: SocketStream) -> None:
        self.connections += 1
        self.open_connections += 1
        try:
            await self._serve(stream)
        finally:
            self.open_connections -= 1

    async def _serve(self, stream: SocketStream) -> None:
        async with stream:
            buffered = BufferedByteReceiveStream(stream)
            with contextlib.suppress(anyio.IncompleteRead, anyio.BrokenResourceError):
                while True:
                    first, *lines = (await buffered.receive_until(b"\r\n\r\n", 9999)).split(b"\r\n")
                    pairs = [line.decode().split(": ", 1) for line in lines]
                    headers = {name.lower(): value for name, value in pairs}
                    body = await buffered.receive_exactly(int(headers.get("content-length", 0)))
                    request = Request(first.split()[1].decode(), headers, body)
                    self.requests.append(request)
                    answer = self.answer(request)
                    await stream.send(answer if isinstance(answer, bytes) else await answer)
                    if self.resets:
                        reset_at_the_end(stream)
                    if self.closes or self.resets:
                        return


def reset_at_the_end(stream: SocketStream) -> None:
    """Let a connection end by a reset when it is closed."""
    linger = struct.pack("ii", 1, 0)
    raw = stream.extra(SocketAttribute.raw_socket)
    raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)


@pytest.fixture
async def wire() -> AsyncIterator[Wire]:
    """A server that shows requests byte by byte, and takes all of them."""
    served = Wire()
    listener = await anyio.create_tcp_listener(local_host="127.0.0.1")
    served.url = f"http://127.0.0.1:{listener.extra(SocketAttribute.local_port)}"
    async with listener, anyio.create_task_group() as serving:
        serving.start_soon(listener.serve, served.handle)
        yield served
        serving.cancel_scope.cancel()


@pytest.fixture
async def due(polling: Polling, wire: Wire) -> Due:
    """An account of Enedis v4 whose token is due, and the server that is asked for the next."""
    return await Due.begin(polling, wire)
