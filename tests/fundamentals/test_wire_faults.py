"""What happens on the wire beside the answers: TLS, redirects, proxies, many cancelled sends."""

import asyncio
import random
from collections.abc import Awaitable, Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import anyio
import pytest

from ecolyo_worker import Settings, Worker
from ecolyo_worker.requests import OutboxDocument
from ecolyo_worker.testing.echo import Echo
from ecolyo_worker.testing.ledger import assert_balanced

Filled = Callable[..., Awaitable[None]]
Quick = Callable[..., Settings]
Rows = Callable[..., Awaitable[list[OutboxDocument]]]


async def test_a_redirect_is_never_followed(
    fill: Filled, quick: Quick, wire: Any, echo: Echo, tmp_path: Path
) -> None:
    """A redirect leads nowhere: neither the indicator nor the token goes to another place."""
    (tmp_path / "token").write_text("secret")
    head = f"HTTP/1.1 307 Temporary Redirect\r\nLocation: {echo.url}/measure\r\n"
    wire.answer = lambda _: f"{head}Content-Length: 0\r\n\r\n".encode()
    await fill(pages=("gas",))
    settings = quick(wire.url, token_file=tmp_path / "token")
    async with Worker(settings).opened() as worker:
        assert (await worker.send()).outcomes == {"misconfigured": 1}
    assert (await echo.count())["requests"] == 0


async def test_a_proxy_of_the_environment_is_not_used(
    fill: Filled, quick: Quick, echo: Echo, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Indicators and tokens go where the settings say, whatever proxy the environment names."""
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    for name in ("no_proxy", "NO_PROXY"):
        monkeypatch.delenv(name, raising=False)
    await fill(pages=("gas",))
    async with Worker(quick(echo.url)).opened() as worker:
        assert (await worker.send()).outcomes == {"delivered": 1}


async def test_a_burst_of_cancelled_sends(
    state_dir: Path, fill: Filled, quick: Quick, echo: Echo
) -> None:
    """After many sends that were cancelled anywhere, natively, the next one delivers everything."""
    draw = random.Random(5)
    await fill("alice.example")
    await fill("bob.example")
    await echo.set_fault("latency=20ms*1000000")
    async with Worker(quick(echo.url, unknown_retry=timedelta(milliseconds=1))).opened() as worker:
        for _ in range(25):
            task = asyncio.ensure_future(worker.send())
            for _ in range(draw.randrange(120)):
                await anyio.lowlevel.checkpoint()
            task.cancel()
            await asyncio.wait([task])
        await echo.set_fault("ok")
        report = await worker.send(until_empty=True, timeout_s=30)
        assert (report.waiting, worker.status().outbox["sent"]) == (0, 12)
    await assert_balanced(state_dir, echo.url)
