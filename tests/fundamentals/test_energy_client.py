"""The client of Enedis and GRDF: whatever comes, or does not, is one reply, and shows nothing."""

import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import anyio
import httpx
import pytest
from anyio.abc import SocketAttribute, SocketStream

from ecolyo_worker.remote.energy import Ask, EnergyClient, Reply
from ecolyo_worker.remote.http import Clients
from ecolyo_worker.secret import Secret

METER, TOKEN = "11111111111111", "t0ken-0f-alice"
OK = b"HTTP/1.1 200 OK\r\nX-Kind: Daily\r\nContent-Length: 2\r\n\r\n{}"


class Raw:
    """A server that answers with bytes, and keeps what it was sent."""

    def __init__(self, answer: bytes, *, hangs: bool = False) -> None:
        self.answer = answer
        self.hangs = hangs
        self.url = ""
        self.heard: list[str] = []
        self.connections = 0

    async def handle(self, stream: SocketStream) -> None:
        self.connections += 1
        async with stream:
            try:
                while True:
                    self.heard.append((await stream.receive()).decode(errors="replace"))
                    if self.hangs:
                        await anyio.sleep_forever()
                    await stream.send(self.answer)
            except (anyio.EndOfStream, anyio.BrokenResourceError):
                pass


@asynccontextmanager
async def serving(answer: bytes = OK, *, hangs: bool = False) -> AsyncIterator[Raw]:
    raw = Raw(answer, hangs=hangs)
    listener = await anyio.create_tcp_listener(local_host="127.0.0.1")
    raw.url = f"http://127.0.0.1:{listener.extra(SocketAttribute.local_port)}"
    async with listener, anyio.create_task_group() as tasks:
        tasks.start_soon(listener.serve, raw.handle)
        yield raw
        tasks.cancel_scope.cancel()


@pytest.fixture
async def client() -> AsyncIterator[EnergyClient]:
    client = EnergyClient(Clients(), "0.1.0")
    yield client
    await client.close()


def shown(reply: Reply, ask: Ask) -> str:
    return f"{reply!r} {reply.trouble} {ask!r}"


async def test_what_is_asked_goes_out_as_it_is(client: EnergyClient) -> None:
    """Query, bearer, form and JSON stand where they should; no other header tells of anybody."""
    async with serving() as raw:
        query = {"start": "2026-11-20"}
        get = Ask(url=f"{raw.url}/daily", query=query, bearer=Secret(TOKEN))
        reply = await client.ask(get, 9)
        assert (reply.status, reply.content.body, reply.headers["x-kind"]) == (200, b"{}", "Daily")
        await client.ask(Ask(method="POST", url=raw.url, form={"a": "b c"}), 9)
        await client.ask(Ask(method="POST", url=raw.url, json={"id_pce": [METER]}), 9)
        await client.ask(Ask(method="PATCH", url=raw.url), 9)
    first, form, json, patch = raw.heard
    assert first.startswith("GET /daily?start=2026-11-20 HTTP/1.1\r\n")
    assert f"Authorization: Bearer {TOKEN}\r\n" in first
    assert "User-Agent: ecolyo-worker/0.1.0\r\n" in first
    assert "Cookie" not in first
    assert form.endswith("\r\n\r\na=b+c")
    assert json.endswith('\r\n\r\n{"id_pce":["11111111111111"]}')
    assert "application/json" in json
    assert patch.startswith("PATCH / ")
    assert raw.connections == 1


async def test_requests_at_once_have_their_own_connections(client: EnergyClient) -> None:
    """None waits for another, and what is idle afterwards is used again."""
    async with serving() as raw:
        for _ in range(2):
            async with anyio.create_task_group() as at_once:
                for _ in range(3):
                    at_once.start_soon(client.ask, Ask(url=raw.url), 9)
        assert len(raw.heard) == 6
        assert raw.connections == 3


async def test_no_proxy_of_the_environment_is_used(
    client: EnergyClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What others set for their programs leads no token elsewhere."""
    async with serving() as proxy, serving() as raw:
        for name in ("http_proxy", "HTTP_PROXY", "ALL_PROXY"):
            monkeypatch.setenv(name, proxy.url)
        assert (await client.ask(Ask(url=raw.url), 9)).status == 200
        assert proxy.heard == []


async def test_what_a_hosts_client_logs_names_no_meter(caplog: pytest.LogCaptureFixture) -> None:
    """A client logs each address: of ours without path and query, of others as ever."""
    caplog.set_level(logging.INFO, "httpx")
    async with serving() as server, httpx.AsyncClient(trust_env=False) as others:
        client = EnergyClient(Clients(lambda: httpx.AsyncClient(trust_env=False)), "0.1.0")
        ask = Ask(url=f"{server.url}/pce/{METER}/days", query={"pointId": METER})
        assert (await client.ask(ask, 5)).status == 200
        await client.close()
        await others.get(f"{server.url}/theirs")
    ours, theirs = [one.getMessage() for one in caplog.records if one.name == "httpx"]
    assert ours == f'HTTP Request: GET {server.url}/ "HTTP/1.1 200 OK"'
    assert f"{server.url}/theirs" in theirs
    assert METER in server.heard[0]
    assert logging.getLogger("httpx").filters == []
