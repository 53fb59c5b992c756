"""The echo server as a child process: a real server on a free port of this machine."""

import sys
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from http import HTTPStatus
from pathlib import Path
from subprocess import DEVNULL
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode

import anyio
import msgspec
from anyio.streams.text import TextReceiveStream

import ecolyo_worker

if TYPE_CHECKING:
    import httpx

__all__ = ["Echo", "echo_server"]

_SCRIPT = Path(ecolyo_worker.__file__).parent / "tools" / "dacc_echo.py"
_START_S = 20


class Echo:
    """An echo server that runs: its address, and what it received."""

    def __init__(self, url: str) -> None:
        """`url` is what `dacc.url` is set to."""
        self.url = url

    async def indicators(self, stack: str | None = None) -> list[dict[str, Any]]:
        """Give what it stored, in the order of arrival: all, or what came through one stack.

        A stack is what stands before the path (`{url}/alice`), and empty where nothing does.
        """
        found: list[dict[str, Any]] = await self._get("/api/indicators", stack=stack or "")
        return [record for record in found if stack is None or record["stack"] == stack]

    async def bodies(self) -> list[str]:
        """Give the text of each indicator it stored."""
        return [record["body"] for record in await self.indicators()]

    async def count(self, stack: str = "") -> dict[str, Any]:
        """Give its counters: what was received, doubled, refused, and which faults it played."""
        found: dict[str, Any] = await self._get("/api/count", stack=stack)
        return found

    async def wait(self, n: int, measure: str = "", timeout_s: float = 30) -> int:
        """Wait until it stored at least n indicators, and give how many; raises `TimeoutError`."""
        path = f"/api/wait?{urlencode({'n': n, 'measure': measure, 'timeout': timeout_s})}"
        answer = await self._ask("GET", path, patience_s=timeout_s)
        content = msgspec.json.decode(answer.content)
        if answer.status_code == HTTPStatus.GATEWAY_TIMEOUT:
            raise TimeoutError(content["error"])
        answer.raise_for_status()
        return int(content["count"])

    async def set_fault(self, spec: str, stack: str = "") -> None:
        """Let it misbehave from now on, in the fault language: for all, or for one stack alone.

        With an empty `spec` a stack goes by what holds for all again.
        """
        await self._put("/api/fault", spec, stack)

    async def set_token(self, token: str, stack: str = "") -> None:
        """Let it demand another token, of all or of one stack alone; an empty one demands none."""
        await self._put("/api/token", token, stack)

    async def _put(self, path: str, content: str, stack: str) -> None:
        (
            await self._ask("PUT", f"{path}?{urlencode({'stack': stack})}", content)
        ).raise_for_status()

    async def _get(self, path: str, **parameters: str) -> Any:  # noqa: ANN401  JSON of several shapes
        answer = await self._ask("GET", f"{path}?{urlencode(parameters)}")
        answer.raise_for_status()
        return msgspec.json.decode(answer.content)

    async def _ask(
        self, method: str, path: str, content: str = "", patience_s: float = 0
    ) -> "httpx.Response":
        import httpx  # a command that asks nobody need not wait for it

        async with httpx.AsyncClient(timeout=30 + patience_s, trust_env=False) as client:
            return await client.request(method, f"{self.url}{path}", content=content.encode())


@asynccontextmanager
async def echo_server(*options: str) -> AsyncIterator[Echo]:
    """Run `tools/dacc_echo.py` on a free port with these options, until the block is left."""
    command: Sequence[str] = [sys.executable, str(_SCRIPT), "--port", "0", *options]
    async with await anyio.open_process(command, stdin=DEVNULL, stderr=None) as process:
        try:
            assert process.stdout is not None
            lines = TextReceiveStream(process.stdout)
            with anyio.fail_after(_START_S):
                first = ""
                while "\n" not in first:
                    first += await lines.receive()
            async with anyio.create_task_group() as reading:
                reading.start_soon(_drain, lines)
                yield Echo(first.split('"')[1])
                reading.cancel_scope.cancel()
        finally:
            process.terminate()


async def _drain(lines: TextReceiveStream) -> None:
    """Read on, so that the server never waits for its terminal."""
    async for _ in lines:
        pass
