"""Answers without end, compressed ones, none at all: flat memory, a deadline, the right outcome."""

import gzip
import ssl
import tracemalloc
import zlib
from collections.abc import Awaitable, Callable
from datetime import timedelta
from functools import partial
from itertools import repeat
from pathlib import Path
from typing import Any

import anyio
import pytest
from anyio.abc import ByteStream

from ecolyo_worker import Settings, Worker
from ecolyo_worker.remote.energy import Ask, EnergyClient
from ecolyo_worker.remote.http import Clients
from ecolyo_worker.remote.outcome import Kind
from tests.fundamentals.conftest import PAGES
from tests.fundamentals.outcomes import assert_outcome, attempt
from tests.machine_time import MachineTime
from tests.raw_server import Handler, served

Filled = Callable[..., Awaitable[None]]
Quick = Callable[..., Settings]

CERTIFICATE = Path(__file__).parents[1] / "data" / "tls" / "self-signed.pem"
TARGETS = ("native", "cozy-v2")
MUCH = 100_000_000
OK = b'{"ok": true}'
TAKEN = b"HTTP/1.1 201 CREATED\r\nConnection: close\r\nContent-Length: 12\r\n\r\n" + OK


def talking(head: bytes, piece: bytes, pause: Callable[[], object] = lambda: None) -> Handler:
    """Answer with a head, and with one piece after the other for ever."""

    async def handle(stream: ByteStream) -> None:
        await stream.receive()
        await stream.send(head)
        for one in repeat(piece):
            await stream.send(one)
            pause()

    return handle


CHUNKED = b"HTTP/1.1 201 CREATED\r\nTransfer-Encoding: chunked\r\n\r\n"


@pytest.mark.fault(44)
@pytest.mark.parametrize("target", TARGETS)
@pytest.mark.parametrize(
    ("head", "piece"),
    [
        pytest.param(b"", b"H", id="no-status-line"),
        pytest.param(b"HTTP/1.1 201 CREATED\r\nX: ", b"x", id="head"),
        pytest.param(CHUNKED, b"1\r\n[\r\n", id="body"),
        pytest.param(b"", b"HTTP/1.1 100 Continue\r\n\r\n", id="interim-answers"),
    ],
)
async def test_a_drip_without_end_is_cut_at_the_deadline(
    state_dir: Path, machine_time: MachineTime, head: bytes, piece: bytes, target: str
) -> None:
    """The attempt ends at its one deadline, and nobody knows whether the indicator arrived."""
    drip = talking(head, piece, partial(machine_time.skip, 9))
    async with served(drip) as place:
        tried = await attempt(state_dir, url=f"http://{place}", target=target)
    assert_outcome(tried, "unknown", "no answer in time")


@pytest.mark.fault(44)
async def test_a_drip_of_a_provider_is_cut_as_well(machine_time: MachineTime) -> None:
    """Readings that drip in are given up at the one deadline of their request."""
    client = EnergyClient(Clients(), "0.1.0")
    async with served(talking(CHUNKED, b"1\r\n[\r\n", partial(machine_time.skip, 9))) as place:
        reply = await client.ask(Ask(url=f"http://{place}"), 30)
    assert (reply.status, reply.trouble) == (None, "did not answer in time")


@pytest.mark.fault(44)
async def test_a_drip_for_one_person_holds_up_nobody_else(
    fill: Filled, quick: Quick, machine_time: MachineTime
) -> None:
    """Meanwhile indicators of others leave by other lanes; at the deadline all lanes are free."""
    drips, gone = anyio.Event(), anyio.Event()
    others: list[bytes] = []

    async def handle(stream: ByteStream) -> None:
        request = await stream.receive()
        if b"/alice.example/" in request:
            await stream.send(CHUNKED)
            drips.set()
            await gone.wait()
            while True:
                await stream.send(b"1\r\n[\r\n")
                machine_time.skip(9)
        others.append(request)
        if others == [request]:  # it keeps its lane until the other one drips
            await drips.wait()
        await stream.send(TAKEN)
        if len(others) == len(PAGES):
            gone.set()

    await fill("alice.example", PAGES[:1])
    await fill("bob.example")
    async with served(handle) as place:
        settings = quick(f"http://{place}/{{instance}}", target="cozy-v2", concurrency=2)
        async with Worker(settings).opened() as worker:
            report = await worker.send()
            assert report.outcomes == {"delivered": 6, "unknown": 1}
            assert worker.status().destination_states == {"ready": 2, "paused": 0, "open": 0}


def huge(status: int, head: str = f"Content-Length: {MUCH}") -> Handler:
    """Answer with a text that is far too long."""
    return talking(f"HTTP/1.1 {status} Long\r\n{head}\r\n\r\n".encode(), b"x" * 65_536)


@pytest.mark.fault(48)
@pytest.mark.parametrize("target", TARGETS)
@pytest.mark.parametrize(
    ("handler", "kind"),
    [
        pytest.param(huge(201), "unknown", id="201"),
        pytest.param(huge(200, "Connection: close"), "unknown", id="200-without-a-length"),
        pytest.param(huge(400), "rejected", id="400"),
        pytest.param(huge(401), "unauthorized", id="401"),
        pytest.param(huge(500), "failed", id="500"),
        pytest.param(huge(502), "unavailable", id="502"),
        pytest.param(talking(b"HTTP/1.1 201 OK\r\n", b"X: y\r\n" * 9999), "unknown", id="head"),
    ],
)
async def test_an_answer_of_100_mb_is_read_in_part(
    state_dir: Path, handler: Handler, kind: Kind, target: str
) -> None:
    """Of an answer 64 KiB are read, and memory stays flat.

    A yes that is not read to its end may be one; else the status counts.
    """
    async with served(handler) as place:
        tracemalloc.start()
        try:
            tried = await attempt(state_dir, url=f"http://{place}", target=target)
            peak = tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()
    assert_outcome(tried, kind)
    assert peak < 8_000_000
    assert len(tried.row.answer or "") <= len("400: ") + 200


@pytest.mark.fault(48)
async def test_after_an_answer_without_end_the_next_row_leaves(
    fill: Filled, quick: Quick, wire: Any
) -> None:
    """What was not read of an answer is never taken for the answer to the next indicator."""
    answers = iter([b"HTTP/1.1 422 Long\r\nContent-Length: 200000\r\n\r\n" + b"x" * 200_000])
    taken = b"HTTP/1.1 201 CREATED\r\nContent-Length: 12\r\n\r\n" + OK
    wire.answer = lambda _: next(answers, taken)
    await fill()
    async with Worker(quick(wire.url, concurrency=1)).opened() as worker:
        assert (await worker.send()).outcomes == {"delivered": 5, "rejected": 1}
    assert wire.connections == 2


def coded(status: int, coding: str, body: bytes) -> bytes:
    head = f"HTTP/1.1 {status} Coded\r\nContent-Encoding: {coding}\r\nContent-Length: {len(body)}"
    return f"{head}\r\n\r\n".encode() + body


TWICE = gzip.compress(gzip.compress(OK))
EXPIRED = gzip.compress(b'{"error": "Expired token"}')


@pytest.mark.fault(48)
@pytest.mark.parametrize("target", TARGETS)
@pytest.mark.parametrize(
    ("answer", "kind", "said"),
    [
        pytest.param(coded(201, "identity", OK), "delivered", "", id="identity"),
        pytest.param(coded(201, "gzip", gzip.compress(OK)), "delivered", "", id="gzip"),
        pytest.param(coded(201, "GZIP", gzip.compress(OK)), "delivered", "", id="capitals"),
        pytest.param(coded(201, "x-gzip", gzip.compress(OK)), "delivered", "", id="x-gzip"),
        pytest.param(coded(201, "deflate", zlib.compress(OK)), "delivered", "", id="deflate"),
        pytest.param(coded(400, "gzip", EXPIRED), "unauthorized", "Expired token", id="expired"),
        pytest.param(coded(201, "gzip", gzip.compress(OK)[:-4]), "unknown", "201: ", id="cut"),
        pytest.param(coded(201, "gzip", OK), "unknown", "201: ", id="none-at-all"),
        pytest.param(coded(201, "br", b"\x0b\x05\x80{}\x03"), "unknown", "201: ", id="brotli"),
        pytest.param(coded(400, "br", b"\x0b\x05\x80{}\x03"), "unknown", "400: ", id="brotli-400"),
        pytest.param(coded(201, "gzip, gzip", TWICE), "unknown", "201: ", id="twice"),
        pytest.param(coded(500, "br", b"\x0b\x05\x80{}\x03"), "failed", "500: ", id="brotli-500"),
    ],
)
async def test_an_answer_that_is_compressed_unasked(
    state_dir: Path, wire: Any, answer: bytes, kind: Kind, said: str, target: str
) -> None:
    """What is compressed is judged by its text; a yes whose text cannot be had may be one."""
    wire.answer = lambda _: answer
    assert_outcome(await attempt(state_dir, url=wire.url, target=target), kind, said)
    assert {request.headers["accept-encoding"] for request in wire.requests} == {"identity"}


LENGTHS = TAKEN.replace(b"Connection: close", b"Content-Length: 9")


@pytest.mark.fault(48)
@pytest.mark.parametrize("target", TARGETS)
@pytest.mark.parametrize(
    "answer",
    [
        pytest.param(b"\x00\x01 garbage\r\n\r\n", id="garbage"),
        pytest.param(TAKEN[:-4], id="cut"),
        pytest.param(TAKEN.replace(b"201 CREATED", b"400 NO")[:-4], id="cut-400"),
        pytest.param(b"HTTP/1.1 201 CREATED\r\n", id="cut-in-the-head"),
        pytest.param(CHUNKED + b"x\r\n", id="no-chunk"),
        pytest.param(LENGTHS, id="two-lengths"),
    ],
)
async def test_an_answer_that_is_none(
    state_dir: Path, wire: Any, answer: bytes, target: str
) -> None:
    """What is no HTTP, or not to its end, tells nothing: the indicator may have arrived."""
    wire.answer, wire.closes = lambda _: answer, True
    tried = await attempt(state_dir, url=wire.url, target=target)
    assert_outcome(tried, "unknown", "RemoteProtocolError: ")


@pytest.fixture(scope="module")
def bomb() -> bytes:
    """Pack so much into less than is read of an answer."""
    packing = zlib.compressobj(9, wbits=31)
    pieces = [packing.compress(b'"')]
    pieces += [packing.compress(b"x" * 1_000_000) for _ in range(60)]
    packed = b"".join([*pieces, packing.compress(b'"'), packing.flush()])
    assert len(packed) < 65_536
    return packed


@pytest.mark.fault(48)
@pytest.mark.parametrize("target", TARGETS)
@pytest.mark.parametrize(("status", "kind"), [(201, "unknown"), (400, "rejected")])
async def test_a_bomb_is_unpacked_in_part(
    state_dir: Path, wire: Any, bomb: bytes, status: int, kind: Kind, target: str
) -> None:
    """Of what unpacks to a thousand times its length no more is unpacked than is ever read."""
    answer = coded(status, "gzip", bomb)
    wire.answer = lambda _: answer
    tracemalloc.start()
    try:
        tried = await attempt(state_dir, url=wire.url, target=target)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert_outcome(tried, kind)
    assert peak < 8_000_000


async def silent(stream: ByteStream, machine_time: MachineTime) -> None:
    machine_time.skip(31)
    await anyio.sleep_forever()


async def plain(stream: ByteStream, **_: object) -> None:
    await stream.receive()
    await stream.send(b"HTTP/1.1 400 Bad Request\r\n\r\n")


async def gone(stream: ByteStream, **_: object) -> None:
    await stream.receive()


@pytest.mark.fault(41)
@pytest.mark.parametrize("target", TARGETS)
@pytest.mark.parametrize(
    ("handler", "kind", "said"),
    [
        pytest.param(silent, "unavailable", "no answer in time", id="no-handshake"),
        pytest.param(gone, "unavailable", "ConnectError", id="gone-in-the-handshake"),
        pytest.param(plain, "misconfigured", "SSL", id="no-tls"),
    ],
)
async def test_before_a_byte_of_the_request_nothing_is_unknown(
    state_dir: Path, machine_time: MachineTime, handler: Any, kind: Kind, said: str, target: str
) -> None:
    """Where TLS breaks off, indicators wait; where there is none, the operator is told."""
    async with served(partial(handler, machine_time=machine_time)) as place:
        tried = await attempt(state_dir, url=f"https://{place}", target=target)
    assert_outcome(tried, kind, said)


@pytest.mark.fault(41)
@pytest.mark.parametrize("target", TARGETS)
async def test_a_certificate_that_nobody_vouches_for(state_dir: Path, target: str) -> None:
    """A DACC that cannot show who it is gets neither indicator nor token; the operator is told."""
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    tls.load_cert_chain(CERTIFICATE)
    came: list[bytes] = []

    async def handle(stream: ByteStream) -> None:
        came.append(await stream.receive())

    async with served(handle, tls) as place:
        tried = await attempt(state_dir, url=f"https://{place}", target=target)
    assert_outcome(tried, "misconfigured", "CERTIFICATE_VERIFY_FAILED")
    assert came == []


@pytest.mark.fault(41)
@pytest.mark.parametrize("target", TARGETS)
@pytest.mark.parametrize(
    "url", ["http://127.0.0.1:9", "https://127.0.0.1:9", "https://dacc.invalid"]
)
async def test_nobody_is_there(state_dir: Path, url: str, target: str) -> None:
    """Where it is refused, or the name not known, an indicator waits for its backoff."""
    tried = await attempt(state_dir, url=url, target=target, attempt_timeout=timedelta(seconds=5))
    assert_outcome(tried, "unavailable")
