"""A worker whose HTTP face listens, and clients for it."""

from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path
from typing import Any

import anyio
import httpx
import pytest
from anyio.abc import SocketStream

from ecolyo_worker import Settings, Worker
from ecolyo_worker.service.listen import Tcp
from ecolyo_worker.service.server import HttpFace
from ecolyo_worker.service.web import Bounds
from ecolyo_worker.settings import Http

TOKEN = "t0ken-0f-the-h0st"

Serve = Callable[..., AbstractAsyncContextManager["Served"]]


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
