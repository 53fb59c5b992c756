"""The echo server as a child process: a real server on a free port of this machine."""

import sys
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from subprocess import DEVNULL
from typing import Any

import anyio
import msgspec
from anyio.streams.text import TextReceiveStream

import ecolyo_worker

__all__ = ["Echo", "echo_server"]

_SCRIPT = Path(ecolyo_worker.__file__).parent / "tools" / "dacc_echo.py"
_START_S = 20


class Echo:
    """An echo server that runs: its address, and what it received."""

    def __init__(self, url: str) -> None:
        """`url` is what `dacc.url` is set to."""
        self.url = url

    async def indicators(self) -> list[dict[str, Any]]:
        """Give what it stored, in the order of arrival."""
        found: list[dict[str, Any]] = await self._get("/api/indicators")
        return found

    async def bodies(self) -> list[str]:
        """Give the text of each indicator it stored."""
        return [record["body"] for record in await self.indicators()]

    async def count(self) -> dict[str, Any]:
        """Give its counters: what was received, doubled, refused, and which faults it played."""
        found: dict[str, Any] = await self._get("/api/count")
        return found

    async def set_fault(self, spec: str) -> None:
        """Let it misbehave from now on, in the fault language."""
        import httpx  # see `_get`

        async with httpx.AsyncClient(trust_env=False) as client:
            answer = await client.put(f"{self.url}/api/fault", content=spec.encode())
        answer.raise_for_status()

    async def _get(self, path: str) -> Any:  # noqa: ANN401  JSON of several shapes
        import httpx  # a command that asks nobody need not wait for it

        async with httpx.AsyncClient(timeout=30, trust_env=False) as client:
            answer = await client.get(f"{self.url}{path}")
        answer.raise_for_status()
        return msgspec.json.decode(answer.content)


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
