"""Enedis and GRDF out of reach, cut off or silent: whatever comes, or does not, is one reply."""

import gzip
import os
import ssl
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import anyio
import pytest
from anyio.abc import ByteStream

from ecolyo_worker.remote.energy import Ask, EnergyClient, Reply
from ecolyo_worker.remote.http import Clients
from ecolyo_worker.secret import Secret
from tests.machine_time import MachineTime
from tests.raw_server import served

METER, TOKEN = "11111111111111", "t0ken-0f-alice"
OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}"
CERTIFICATE = Path(__file__).parents[1] / "data" / "tls" / "self-signed.pem"
NOW = datetime(2026, 11, 21, tzinfo=UTC)


@pytest.fixture
async def client() -> AsyncIterator[EnergyClient]:
    client = EnergyClient(Clients(), "0.1.0")
    yield client
    await client.close()


def happened(reply: Reply) -> str:
    """Check that a reply counts as the provider's trouble, and give what is told of it."""
    meaning = reply.meaning("enedis", "daily", NOW)
    assert meaning.kind == "vendor_down"
    return meaning.happened


def open_files() -> int:
    """Count the files and sockets that are open."""
    return len(os.listdir("/proc/self/fd"))  # noqa: PTH208


@pytest.mark.fault(41)
async def test_a_provider_that_is_not_there(client: EnergyClient, free_tcp_port: int) -> None:
    """Readings are asked for again later; words tell why Enedis or GRDF cannot be reached."""
    none = "cannot be reached: its address is none of http or https"
    for url, said in (
        (f"http://127.0.0.1:{free_tcp_port}/{METER}", "cannot be reached: Connection refused"),
        (f"http://[::{METER}", none),
        (f"ftp://x/{METER}", none),
    ):
        reply = await client.ask(Ask(url=url), 9)
        assert reply.status is None
        assert happened(reply) == f"Enedis {said}."


@pytest.mark.fault(41)
async def test_a_provider_whose_tls_fails(client: EnergyClient) -> None:
    """Enedis and GRDF get no token; words tell that the certificate is not taken, or not there."""
    heard: list[bytes] = []

    async def listen(stream: ByteStream) -> None:
        heard.append(await stream.receive())
        await stream.send(b"HTTP/1.1 400 Bad Request\r\n\r\n")

    tls = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    tls.load_cert_chain(CERTIFICATE)
    replies = []
    for offered in (tls, None):
        async with served(listen, offered) as place:
            ask = Ask(url=f"https://{place}", bearer=Secret(TOKEN))
            replies.append(await client.ask(ask, 30))
    assert [happened(reply) for reply in replies] == [
        "Enedis cannot be reached: its certificate is not taken: self-signed certificate.",
        "Enedis cannot be reached: TLS fails.",
    ]
    assert TOKEN.encode() not in b"".join(heard)


@pytest.mark.fault(42, 48)
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
async def test_readings_that_cannot_be_read(
    client: EnergyClient, wire: Any, answer: bytes, words: str
) -> None:
    """Readings are asked for again later; words tell why, and hold nothing that came or went."""
    wire.answer, wire.closes = lambda _: answer, True
    ask = Ask(url=f"{wire.url}/pce/{METER}", bearer=Secret(TOKEN))
    reply = await client.ask(ask, 30)
    text = f"{happened(reply)} {reply!r} {reply.trouble} {ask!r}"
    assert words in text
    assert METER not in text
    assert TOKEN not in text


@pytest.mark.fault(48)
async def test_readings_that_unpack_to_something_huge(client: EnergyClient, wire: Any) -> None:
    """Of readings that came packed no more is unpacked than is read; they are asked for again."""
    bomb = gzip.compress(b" " * 33_554_433, 1)
    head = f"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: {len(bomb)}\r\n\r\n"
    wire.answer = lambda _: head.encode() + bomb
    reply = await client.ask(Ask(url=wire.url), 30)
    assert "more than 33554432 bytes" in happened(reply)


@pytest.mark.fault(42)
async def test_a_provider_that_resets_the_connection(client: EnergyClient, wire: Any) -> None:
    """Words tell that Enedis or GRDF broke off; the next request goes by a new connection."""
    wire.answer, wire.resets = lambda _: b"", True
    reply = await client.ask(Ask(url=wire.url), 30)
    assert happened(reply) == "Enedis broke off: Connection reset by peer."
    wire.answer, wire.resets = lambda _: OK, False
    assert (await client.ask(Ask(url=wire.url), 30)).status == 200


@pytest.mark.fault(43)
async def test_a_silent_provider(
    client: EnergyClient, wire: Any, machine_time: MachineTime
) -> None:
    """A request for readings ends at its one deadline; its connection is not used again."""

    async def say_nothing(_: object) -> bytes:
        machine_time.skip(31)
        await anyio.sleep_forever()
        return b""

    wire.answer = say_nothing
    reply = await client.ask(Ask(url=wire.url), 30)
    assert happened(reply) == "Enedis did not answer in time."
    wire.answer = lambda _: OK
    assert (await client.ask(Ask(url=wire.url), 30)).status == 200
    assert wire.connections == 2


@pytest.mark.fault(51)
async def test_a_provider_that_leads_elsewhere(client: EnergyClient, wire: Any) -> None:
    """A token of Enedis or GRDF is not sent there, nor a second time to the same place."""
    moved = f"HTTP/1.1 302 Found\r\nLocation: {wire.url}/else\r\nContent-Length: 0\r\n\r\n"
    wire.answer = lambda _: moved.encode()
    reply = await client.ask(Ask(url=wire.url, bearer=Secret(TOKEN)), 30)
    assert reply.status == 302
    assert happened(reply)
    assert len(wire.requests) == 1


@pytest.mark.fault(52)
async def test_a_burst_of_cancelled_requests(client: EnergyClient, wire: Any) -> None:
    """Each request for readings has its connection closed; the next one is answered."""
    asked = anyio.Event()

    async def say_nothing(_: object) -> bytes:
        if len(wire.requests) == 20:
            asked.set()
        await anyio.sleep_forever()
        return b""

    wire.answer = say_nothing
    before = open_files()
    async with anyio.create_task_group() as burst:
        for _ in range(20):
            burst.start_soon(client.ask, Ask(url=wire.url), 30)
        await asked.wait()
        burst.cancel_scope.cancel()
    assert open_files() == before + 20  # the server's, which did not look
    wire.answer = lambda _: OK
    assert (await client.ask(Ask(url=wire.url), 30)).status == 200
    assert wire.connections == 21


@pytest.mark.fault(53)
async def test_a_provider_that_closes_between_requests(client: EnergyClient, wire: Any) -> None:
    """The next request for readings goes by a new connection; one that was written is not again."""
    wire.answer, wire.closes = lambda _: OK, True
    for _ in range(2):
        assert (await client.ask(Ask(url=wire.url), 30)).status == 200
        while wire.open_connections:
            await anyio.lowlevel.checkpoint()
    wire.closes = False
    assert (await client.ask(Ask(url=wire.url), 30)).status == 200
    wire.answer, wire.closes = lambda _: b"", True
    assert happened(await client.ask(Ask(url=wire.url), 30)) == "Enedis broke off its answer."
    assert (len(wire.requests), wire.connections) == (4, 3)
