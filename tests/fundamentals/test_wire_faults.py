"""What happens on the wire beside the answers: redirects, proxies, many cancelled sends."""

import asyncio
import os
import random
from collections.abc import Awaitable, Callable
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import Any

import anyio
import httpx
import pytest

from ecolyo_worker import Settings, Worker
from ecolyo_worker.testing import Echo
from ecolyo_worker.testing.ledger import assert_balanced
from tests.fundamentals.outcomes import assert_outcome, attempt

Filled = Callable[..., Awaitable[None]]
Quick = Callable[..., Settings]


@pytest.mark.parametrize("status", [303, 307])
@pytest.mark.parametrize("place", ["elsewhere", "here"])
@pytest.mark.parametrize("by_host", [False, True])
async def test_a_redirect_is_never_followed(
    state_dir: Path, wire: Any, echo: Echo, tmp_path: Path, status: int, place: str, by_host: bool
) -> None:
    """Neither indicator nor token goes to another place, nor a second time to the same one.

    Not by a host's own client either, though that one follows redirects.
    """
    (tmp_path / "token").write_text("secret")
    location = f"{echo.url if place == 'elsewhere' else wire.url}/measure"
    head = f"HTTP/1.1 {status} Moved\r\nLocation: {location}\r\nContent-Length: 0\r\n\r\n"
    wire.answer = lambda _: head.encode()
    client = partial(httpx.AsyncClient, follow_redirects=True) if by_host else None
    tried = await attempt(state_dir, client, url=wire.url, token_file=tmp_path / "token")
    assert_outcome(tried, "misconfigured", f"{status}: ")
    assert len(wire.requests) == 1
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


def held() -> tuple[set[Any], int]:
    """Give the tasks that run, and how many files and sockets are open."""
    return asyncio.all_tasks(), len(os.listdir("/proc/self/fd"))  # noqa: PTH208


async def test_a_burst_of_cancelled_sends(
    state_dir: Path, fill: Filled, quick: Quick, echo: Echo
) -> None:
    """After many sends that were cancelled anywhere, natively, the next one delivers everything.

    None of them leaves a task or a connection.
    """
    draw = random.Random(5)
    await fill("alice.example")
    await fill("bob.example")
    await echo.set_fault("latency=1min*1000000")
    async with Worker(quick(echo.url, unknown_retry=timedelta(milliseconds=1))).opened() as worker:
        before = held()
        for n in range(60):
            task = asyncio.ensure_future(worker.send())
            for _ in range(draw.randrange(120)):
                await anyio.lowlevel.checkpoint()
            while n == 0 and not (await echo.count())["requests"]:
                await anyio.lowlevel.checkpoint()
            task.cancel()
            await asyncio.wait([task])
            assert held() == before
        assert worker.status().maybe_delivered > 0
        await echo.set_fault("ok")
        report = await worker.send(until_empty=True, timeout_s=30)
        assert (report.waiting, worker.status().outbox["sent"]) == (0, 12)
        assert held() == before
    await assert_balanced(state_dir, echo.url)


@pytest.mark.parametrize("target", ["native", "cozy-v2"])
async def test_a_worker_that_is_left_in_mid_attempt_many_times(
    state_dir: Path, fill: Filled, quick: Quick, echo: Echo, target: str
) -> None:
    """However often a worker is left while rows are on their way, the next one delivers them."""
    draw = random.Random(6)
    await fill("alice.example")
    await fill("bob.example")
    await echo.set_fault("latency=1min*1000000")
    before = held()
    settings = quick(echo.url, target=target, unknown_retry=timedelta(milliseconds=1))
    for n in range(1, 9):
        async with Worker(settings) as worker:
            while (await echo.count())["requests"] < 4 * n:
                await anyio.lowlevel.checkpoint()
            for _ in range(draw.randrange(20)):
                await anyio.lowlevel.checkpoint()
            worker.abort()
        assert held() == before
    await echo.set_fault("ok")
    async with Worker(settings).opened() as worker:
        assert worker.status().maybe_delivered == 8 * 4
        report = await worker.send(until_empty=True, timeout_s=30)
        assert (report.outcomes, report.waiting) == ({"delivered": 12}, 0)
    await assert_balanced(state_dir, echo.url)
    assert held() == before
