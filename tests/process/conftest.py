"""The service as operators run it: `ecolyo-worker run`, in a process of its own."""

import os
import sys
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager, suppress
from pathlib import Path
from signal import SIGKILL
from subprocess import DEVNULL, PIPE
from typing import Any

import anyio
import httpx
import msgspec
import pytest
from anyio.abc import Process
from anyio.streams.buffered import BufferedByteReceiveStream

TOKEN = "let-me-in-0123456789"
LIMIT_S = 30


class Service:
    """A service that runs: its process, its HTTP face, and what it logged so far."""

    def __init__(self, process: Process, logs: BufferedByteReceiveStream, heard: list[str]) -> None:
        self.process = process
        self._heard = heard
        self._logs = logs
        self.logged: list[dict[str, Any]] = []
        self.url = ""

    async def log(self, event: str) -> dict[str, Any]:
        """Read on until it logs an event, and give it."""
        with anyio.fail_after(LIMIT_S):
            while True:
                line = await self._logs.receive_until(b"\n", 100_000)
                self._heard.append(line.decode("utf-8", "replace"))
                try:
                    found: dict[str, Any] = msgspec.json.decode(line)
                except msgspec.DecodeError:  # a message that is no log line
                    found = {"event": line.decode()}
                self.logged.append(found)
                if found["event"] == event:
                    return found

    async def rest(self) -> str:
        """Read all that it still says."""
        text = b""
        with anyio.fail_after(LIMIT_S), suppress(anyio.EndOfStream):
            while True:
                text += await self._logs.receive()
        self._heard.append(text.decode("utf-8", "replace"))
        return text.decode()

    async def end(self) -> int:
        """Wait until the process has ended and give its exit code."""
        with anyio.fail_after(LIMIT_S):
            return await self.process.wait()

    def client(self, **options: Any) -> httpx.AsyncClient:
        """Make a client of the HTTP face, with the right token."""
        headers = {"Authorization": f"Bearer {TOKEN}"}
        return httpx.AsyncClient(
            base_url=self.url,
            headers=headers,
            timeout=60,
            trust_env=False,
            event_hooks={"response": [self._hear]},
            **options,
        )

    async def _hear(self, response: httpx.Response) -> None:
        """Let what monitoring sees be searched for secrets."""
        if response.request.url.path in {"/metrics", "/v1/status"}:
            await response.aread()
            self._heard.append(response.text)


Run = Callable[..., AbstractAsyncContextManager[Service]]


@pytest.fixture
def run(state_dir: Path, tmp_path: Path, overheard: list[str]) -> Run:
    """Run the service on `state_dir` until the block is left; more settings as `ECOLYO_…`.

    One that is None is left to the settings file.
    """
    token_file = tmp_path / "http-token"
    token_file.write_text(TOKEN)
    token_file.chmod(0o600)
    base = {
        "ECOLYO_HTTP__LISTEN": "127.0.0.1:0",
        "ECOLYO_HTTP__TOKEN_FILE": str(token_file),
        "ECOLYO_DACC__SPREAD": "0s",
    }

    @asynccontextmanager
    async def started(
        *arguments: str, ready: bool = True, **settings: str | None
    ) -> AsyncIterator[Service]:
        clean = {key: value for key, value in os.environ.items() if not key.startswith("ECOLYO_")}
        command: Sequence[str] = [
            *(sys.executable, "-m", "ecolyo_worker", "run", "--log-format", "json"),
            *("--state-dir", str(state_dir)),
            *arguments,
        ]
        given = {**clean, **base, **settings}
        env = {key: value for key, value in given.items() if value is not None}
        async with await anyio.open_process(
            command, stdin=DEVNULL, stdout=DEVNULL, stderr=PIPE, env=env
        ) as process:
            assert process.stderr is not None
            service = Service(process, BufferedByteReceiveStream(process.stderr), overheard)
            try:
                if ready:
                    service.url = f"http://{(await service.log('ready'))['http']}"
                yield service
            finally:
                if process.returncode is None:
                    process.send_signal(SIGKILL)
                await service.rest()

    return started
