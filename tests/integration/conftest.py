"""A worker whose HTTP face listens, and clients for it; a worker that explains; an echo server."""

import json
import re
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from datetime import datetime
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import anyio
import httpx
import msgspec
import pytest
from anyio.abc import SocketStream

from ecolyo_worker import Settings, Worker
from ecolyo_worker.commands import Commands
from ecolyo_worker.explanation import EventExplanation, ExplainedCounting, Explanation
from ecolyo_worker.requests import (
    Aggregate,
    EventsImport,
    Explain,
    ExplainEvent,
    InstancesImport,
    Line,
)
from ecolyo_worker.service.client import RemoteCommands, running_service
from ecolyo_worker.service.listen import Tcp
from ecolyo_worker.service.server import ControlSocket, HttpFace
from ecolyo_worker.service.web import Bounds
from ecolyo_worker.settings import Http
from ecolyo_worker.testing.clock import SteppedClock
from ecolyo_worker.tools.dacc_echo import EchoServer

TOKEN = "t0ken-0f-the-h0st"

Serve = Callable[..., AbstractAsyncContextManager["Served"]]


@pytest.fixture(scope="module")
def shared_echo() -> Iterator[EchoServer]:
    with EchoServer() as server:
        yield server


@pytest.fixture
def echo(shared_echo: EchoServer) -> EchoServer:
    """An echo server on a thread of the test, to look inside; `dacc_echo` is one from without."""
    shared_echo.received.clear()
    shared_echo.faults.replace("ok")
    return shared_echo


class Served:
    """A worker, its face, and how to reach it."""

    def __init__(self, worker: Worker, face: HttpFace) -> None:
        self.worker = worker
        self.face = face

    def client(self, token: str | None = TOKEN) -> httpx.AsyncClient:
        headers = {} if token is None else {"authorization": f"Bearer {token}"}
        return httpx.AsyncClient(
            base_url=f"http://{self.face.listen}", headers=headers, trust_env=False, timeout=30
        )

    async def connect(self) -> SocketStream:
        assert isinstance(self.face.listen, Tcp)
        return await anyio.connect_tcp(self.face.listen.host, self.face.listen.port)


@pytest.fixture
def token_file(tmp_path: Path) -> Path:
    path = tmp_path / "http-token"
    path.write_text(f"{TOKEN}\n")
    return path


@pytest.fixture
def serve(state_dir: Path, token_file: Path) -> Serve:
    """Open a worker and let its HTTP face listen on a free port."""

    @asynccontextmanager
    async def served(
        bounds: Bounds | None = None, logger: Any = None, **settings: Any
    ) -> AsyncIterator[Served]:
        http = Http(listen="127.0.0.1:0", token_file=token_file)
        settings = {"state_dir": state_dir, "http": http, **settings}
        async with Worker(Settings(**settings), logger=logger) as worker:
            face = HttpFace(worker, bounds)
            async with anyio.create_task_group() as running:
                await running.start(face.run)
                yield Served(worker, face)
                face.stop()

    return served


@pytest.fixture
async def served(serve: Serve) -> AsyncIterator[Served]:
    async with serve() as served:
        yield served


@pytest.fixture
async def client(served: Served) -> AsyncIterator[httpx.AsyncClient]:
    async with served.client() as client:
        yield client


async def everything(stream: SocketStream) -> bytes:
    """Read until the other side closes."""
    found = b""
    try:
        while True:
            found += await stream.receive()
    except (anyio.EndOfStream, anyio.BrokenResourceError):
        return found


async def one_answer(stream: SocketStream) -> bytes:
    """Read an answer whose length is told; its head may come before its body."""
    found = b""
    while True:
        found += await stream.receive()
        head, blank, body = found.partition(b"\r\n\r\n")
        length = re.search(rb"(?i)content-length: (\d+)", head)
        if blank and length is not None and len(body) >= int(length[1]):
            return found


def code_of(answer: bytes) -> tuple[int, str]:
    head, _, body = answer.partition(b"\r\n\r\n")
    return int(head.split()[1]), json.loads(body)["error"]["code"]


class Asked:
    """Commands, and what explaining by them gives."""

    def __init__(self, commands: Commands) -> None:
        self.commands = commands

    async def tell(self, *facts: dict[str, Any]) -> None:
        """Import what a host says."""
        await self.commands.instances_import(InstancesImport(lines(*facts), withdrawing=True))

    async def record(self, *found: dict[str, Any], instance: str = "ann.example") -> None:
        report = await self.commands.events_import(EventsImport(lines(*found), instance))
        assert not report.refused

    async def run(self, as_of: str = "2026-11-21T01:00:00") -> None:
        await self.commands.aggregate(Aggregate(as_of))

    async def explained(
        self, measure: str, period: str, instance: str | None = None, as_of: str | None = None
    ) -> list[Explanation]:
        request = Explain(measure, period, instance, as_of)
        return [item async for item in self.commands.explain(request)]

    async def one(
        self, measure: str, period: str, instance: str, as_of: str | None = None
    ) -> ExplainedCounting:
        """Explain what has one counting."""
        (found,) = await self.explained(measure, period, instance, as_of)
        (counting,) = found.countings
        return counting

    async def event(self, ident: str, **more: Any) -> EventExplanation:
        """Explain an event that one person has."""
        request = ExplainEvent(ident, **more)
        (found,) = [item async for item in self.commands.explain_event(request)]
        return found


def lines(*documents: dict[str, Any]) -> list[Line]:
    return [Line(n, msgspec.json.encode(item)) for n, item in enumerate(documents, 1)]


@pytest.fixture
def asking(state_dir: Path) -> Callable[..., AbstractAsyncContextManager[Asked]]:
    """Open a state to ask for explanations, at a civil time at which the clock stands still."""

    @asynccontextmanager
    async def opened(at: str = "2026-11-21T03:00:00", **settings: Any) -> AsyncIterator[Asked]:
        clock = SteppedClock(datetime.fromisoformat(at).replace(tzinfo=ZoneInfo("Europe/Paris")))
        worker = Worker(Settings(state_dir=state_dir, **settings), clock=clock)
        async with worker.opened():
            yield Asked(Commands(worker))

    return opened


@asynccontextmanager
async def service(settings: Settings, **options: Any) -> AsyncIterator[Worker]:
    """A worker that answers on its control socket, and does nothing by itself."""
    async with Worker(settings, **options).opened() as worker:
        control = ControlSocket(worker)
        async with anyio.create_task_group() as running:
            await running.start(control.run)
            yield worker
            control.stop()


@asynccontextmanager
async def commands_of(state_dir: Path) -> AsyncIterator[Commands]:
    async with running_service(state_dir) as commands:
        assert isinstance(commands, RemoteCommands)
        yield commands
