"""The client of Enedis and GRDF: whatever comes, or does not, is one reply, and shows nothing."""

import logging
import socket
import ssl
import struct
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path

import anyio
import httpx
import pytest
from anyio.abc import SocketAttribute, SocketStream
from anyio.streams.tls import TLSListener, TLSStream

from ecolyo_worker.remote.energy import Ask, EnergyClient, Reply
from ecolyo_worker.remote.http import Clients
from ecolyo_worker.secret import Secret

METER, TOKEN = "11111111111111", "t0ken-0f-alice"
OK = b"HTTP/1.1 200 OK\r\nX-Kind: Daily\r\nContent-Length: 2\r\n\r\n{}"
CERTIFICATE = Path(__file__).parents[1] / "data" / "tls" / "self-signed.pem"
NOW = datetime(2026, 11, 21, tzinfo=UTC)


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


async def test_no_redirect_is_followed(client: EnergyClient) -> None:
    """A token is sent to no address that the settings do not name."""
    async with serving() as other:
        moved = f"HTTP/1.1 302 Found\r\nLocation: {other.url}\r\nContent-Length: 0\r\n\r\n"
        async with serving(moved.encode()) as raw:
            reply = await client.ask(Ask(url=raw.url, bearer=Secret(TOKEN)), 9)
        assert (reply.status, other.heard) == (302, [])
        assert reply.meaning("enedis", "daily", NOW).kind == "vendor_down"


async def test_no_proxy_of_the_environment_is_used(
    client: EnergyClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What others set for their programs leads no token elsewhere."""
    async with serving() as proxy, serving() as raw:
        for name in ("http_proxy", "HTTP_PROXY", "ALL_PROXY"):
            monkeypatch.setenv(name, proxy.url)
        assert (await client.ask(Ask(url=raw.url), 9)).status == 200
        assert proxy.heard == []


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        (b"", "broke off its answer"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 99\r\n\r\n{}", "broke off its answer"),
        (b"\x00\x01" + METER.encode() + b"\r\n\r\n", "did not answer in HTTP"),
        (
            b"HTTP/1.1 200 OK\r\nContent-Encoding: br\r\nContent-Length: 2\r\n\r\n{}",
            "a coding that cannot be read",
        ),
        (
            b"HTTP/1.1 200 OK\r\nContent-Length: 33554433\r\n\r\n" + b" " * 33_554_433,
            "more than 33554432 bytes",
        ),
    ],
    ids=["nothing", "cut", "garbage", "coding", "too long"],
)
async def test_what_cannot_be_read_is_said_in_words(
    client: EnergyClient, answer: bytes, words: str
) -> None:
    """It counts as the provider's trouble; the words hold nothing that came or went."""

    class Once(Raw):
        async def handle(self, stream: SocketStream) -> None:
            async with stream:
                await stream.receive()
                await stream.send(answer) if answer else None

    raw = Once(answer)
    listener = await anyio.create_tcp_listener(local_host="127.0.0.1")
    async with listener, anyio.create_task_group() as tasks:
        tasks.start_soon(listener.serve, raw.handle)
        port = listener.extra(SocketAttribute.local_port)
        ask = Ask(url=f"http://127.0.0.1:{port}/pce/{METER}", bearer=Secret(TOKEN))
        reply = await client.ask(ask, 30)
        tasks.cancel_scope.cancel()
    assert words in (reply.trouble or "")
    meaning = reply.meaning("grdf", "gas_days", NOW)
    assert meaning.kind == "vendor_down"
    text = f"{shown(reply, ask)} {meaning}"
    assert METER not in text
    assert TOKEN not in text


async def test_who_does_not_answer_in_time_is_left(client: EnergyClient) -> None:
    """One deadline holds for all of a request; its connection is not used again."""
    async with serving(hangs=True) as raw:
        ask = Ask(url=raw.url)
        assert (await client.ask(ask, 0.05)).trouble == "did not answer in time"
        raw.hangs = False
        assert (await client.ask(ask, 9)).status == 200
        assert raw.connections == 2


async def test_nobody_there_and_no_address(client: EnergyClient, free_tcp_port: int) -> None:
    """A closed port, and what is no address at all, are replies too."""
    none = "cannot be reached: its address is none of http or https"
    for url, said in (
        (f"http://127.0.0.1:{free_tcp_port}/{METER}", "cannot be reached: Connection refused"),
        (f"http://[::{METER}", none),
        (f"ftp://x/{METER}", none),
    ):
        reply = await client.ask(Ask(url=url), 9)
        assert (reply.status, reply.trouble) == (None, said)
        assert reply.meaning("enedis", "daily", NOW).happened == f"Enedis {said}."


async def test_tls_that_fails_is_said_so(client: EnergyClient) -> None:
    """Whether the certificate is not taken, or the other side has none at all."""
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(CERTIFICATE)
    listener = await anyio.create_tcp_listener(local_host="127.0.0.1")
    port = listener.extra(SocketAttribute.local_port)
    tls = TLSListener(listener, context, standard_compatible=False)
    async with serving() as raw, tls, anyio.create_task_group() as tasks:
        tasks.start_soon(tls.serve, TLSStream.aclose)
        untrusted = await client.ask(Ask(url=f"https://127.0.0.1:{port}/{METER}"), 9)
        plain = await client.ask(Ask(url=raw.url.replace("http:", "https:")), 9)
        tasks.cancel_scope.cancel()
    assert untrusted.trouble == (
        "cannot be reached: its certificate is not taken: self-signed certificate"
    )
    assert plain.trouble == "cannot be reached: TLS fails"


async def test_a_connection_that_is_reset_broke_off(client: EnergyClient) -> None:
    """It is not said that there was an answer, nor by which Python class it was noticed."""

    async def reset(stream: SocketStream) -> None:
        await stream.receive()
        linger = struct.pack("ii", 1, 0)
        stream.extra(SocketAttribute.raw_socket).setsockopt(
            socket.SOL_SOCKET, socket.SO_LINGER, linger
        )
        await stream.aclose()

    listener = await anyio.create_tcp_listener(local_host="127.0.0.1")
    async with listener, anyio.create_task_group() as tasks:
        tasks.start_soon(listener.serve, reset)
        port = listener.extra(SocketAttribute.local_port)
        reply = await client.ask(Ask(url=f"http://127.0.0.1:{port}/"), 30)
        tasks.cancel_scope.cancel()
    assert reply.trouble == "broke off: Connection reset by peer"


async def test_a_cancelled_request_leaves_nothing_open(client: EnergyClient) -> None:
    """Who is cancelled while waiting has the connection closed."""
    async with serving(hangs=True) as raw:
        with anyio.move_on_after(0.05):
            await client.ask(Ask(url=raw.url), 9)
        raw.hangs = False
        assert (await client.ask(Ask(url=raw.url), 9)).status == 200
        assert raw.connections == 2


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
