"""The HTTP face byte by byte: what could be read in two ways, and what is odd."""

import asyncio
import json
import os
import socket
import stat
from collections.abc import Iterator
from contextlib import closing, suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import anyio
import pytest
from anyio.abc import SocketAttribute

from ecolyo_worker import Settings, Worker
from ecolyo_worker.service.listen import Tcp
from ecolyo_worker.service.server import HttpFace
from ecolyo_worker.service.web import Bounds
from ecolyo_worker.settings import Http
from ecolyo_worker.testing.clock import SteppedClock

from .conftest import TOKEN, Serve, code_of, everything, one_answer

AUTH = f"Host: h\r\nAuthorization: Bearer {TOKEN}\r\n".encode()
POST = b"POST /v1/events?instance=a.example HTTP/1.1\r\n" + AUTH
EVENT = b'{"type": "NavigationEvent", "eventDate": "2026-11-20T10:00"}'
LENGTH = f"Content-Length: {len(EVENT)}\r\n".encode()
CHUNKED = b"Transfer-Encoding: chunked\r\n"
CHUNK = f"{len(EVENT):x}\r\n".encode() + EVENT + b"\r\n0\r\n"
CLOSE = b"Connection: close\r\n"
LIVEZ = b"GET /livez HTTP/1.1\r\nHost: h\r\n"
SMUGGLED = b"DELETE /v1/instances/a.example HTTP/1.1\r\n" + AUTH + b"\r\n"


def answers(found: bytes) -> list[tuple[int, Any]]:
    """Cut what came into answers, by their lengths, and give their statuses and bodies."""
    cut = []
    while found:
        head, _, found = found.partition(b"\r\n\r\n")
        fields = dict(line.lower().split(b": ", 1) for line in head.split(b"\r\n")[1:])
        length = int(fields[b"content-length"])
        cut.append((int(head.split()[1]), json.loads(found[:length])))
        found = found[length:]
    return cut


@pytest.mark.parametrize(
    "sent",
    [
        POST + LENGTH + b"Content-Length: 0\r\n\r\n" + EVENT + SMUGGLED,
        POST + b"Content-Length: 0, 60\r\n\r\n" + EVENT + SMUGGLED,
        POST + b"Content-Length: +60\r\n\r\n" + EVENT,
        POST + b"Content-Length: -1\r\n\r\n" + EVENT,
        POST + b"Content-Length: 0x3c\r\n\r\n" + EVENT,
        POST + b"Content-Length: " + b"9" * 40 + b"\r\n\r\n" + EVENT,
        POST + LENGTH + CHUNKED + b"\r\n" + CHUNK + b"\r\n" + SMUGGLED,
        POST + CHUNKED + LENGTH + b"\r\n" + CHUNK + b"\r\n" + SMUGGLED,
        POST + b"Transfer-Encoding: chunked, identity\r\n\r\n" + CHUNK + b"\r\n",
        POST + b"Transfer-Encoding: identity\r\n\r\n" + EVENT,
        POST + CHUNKED + CHUNKED + b"\r\n" + CHUNK + b"\r\n",
        POST + b"Transfer-Encoding : chunked\r\n\r\n" + CHUNK + b"\r\n",
        POST + b"Transfer-Encoding:\r\n chunked\r\n\r\n" + CHUNK + b"\r\n",
        POST + b"X: a\r\n\tb\r\n" + LENGTH + b"\r\n" + EVENT,
        POST + b"X: a\n" + LENGTH + b"\r\n" + EVENT,
        (POST + LENGTH + b"\r\n").replace(b"\r\n", b"\n") + EVENT,
        POST + b"X: a\rContent-Length: 0\r\n" + LENGTH + b"\r\n" + EVENT,
        POST + b"X: a\0b\r\n" + LENGTH + b"\r\n" + EVENT,
        POST + b"Authorization: Bearer another\r\n" + LENGTH + b"\r\n" + EVENT,
        POST + AUTH.partition(b"\r\n")[2] + LENGTH + b"\r\n" + EVENT,
        POST + b"Content-Type: a/b\r\nContent-Type: c/d\r\n" + LENGTH + b"\r\n" + EVENT,
        POST + b"Content-Encoding: identity\r\n" * 2 + LENGTH + b"\r\n" + EVENT,
        POST + b"Expect: 100-continue\r\n" * 2 + LENGTH + b"\r\n" + EVENT,
        POST + b"Host: other\r\n" + LENGTH + b"\r\n" + EVENT,
        POST + b"no colon\r\n" + LENGTH + b"\r\n" + EVENT,
        b"\r\n" + POST + LENGTH + b"\r\n" + EVENT,
        POST.replace(b"HTTP/1.1", b"HTTP/1.0") + CHUNKED + b"\r\n" + CHUNK + b"\r\n",
        POST + CHUNKED + b"\r\n" + CHUNK + b"X: y\r\n\r\n" + SMUGGLED,
        POST + CHUNKED + b"\r\n-3\r\n" + EVENT + b"\r\n0\r\n\r\n",
        POST + CHUNKED + b"\r\n3\n" + EVENT + b"\r\n0\r\n\r\n",
        POST + CHUNKED + b"\r\n" + b"f" * 21 + b"\r\n" + EVENT,
        b"POST /v1/eve nts HTTP/1.1\r\n" + AUTH + LENGTH + b"\r\n" + EVENT,
        b"POST  /v1/events HTTP/1.1\r\n" + AUTH + LENGTH + b"\r\n" + EVENT,
        b"POST /v1/\xc3\xa9 HTTP/1.1\r\n" + AUTH + LENGTH + b"\r\n" + EVENT,
    ],
)
async def test_what_can_be_read_in_two_ways_is_refused(serve: Serve, sent: bytes) -> None:
    """It is answered once, with 400, the connection is closed, and nothing of it is done."""
    async with serve() as served, await served.connect() as stream:
        await stream.send(sent)
        (answer,) = answers(await everything(stream))
        assert (answer[0], answer[1]["error"]["code"]) == (400, "bad_request")
        assert served.worker.status().events["waiting"] == 0


@pytest.mark.parametrize(
    "sent",
    [
        POST + LENGTH + LENGTH + CLOSE + b"\r\n" + EVENT,
        POST + CHUNKED + CLOSE + b"\r\n" + CHUNK + b"\r\n",
        POST.replace(b"POST /v1", b"POST http://elsewhere.example:81/v1")
        + LENGTH + CLOSE + b"\r\n" + EVENT,
        POST.replace(b"/v1/events", b"/%76%31/ev%65nts") + LENGTH + CLOSE + b"\r\n" + EVENT,
        POST.replace(b"HTTP/1.1", b"HTTP/1.0") + LENGTH + b"\r\n" + EVENT,
        POST + LENGTH + CLOSE + b"Content-Encoding: Identity\r\n\r\n" + EVENT,
        POST + LENGTH + CLOSE + b"Upgrade: websocket\r\n\r\n" + EVENT,
        POST.replace(b"Host: h", b"Host: stranger.example") + LENGTH + CLOSE + b"\r\n" + EVENT,
    ],
)  # fmt: skip
async def test_what_is_odd_and_plain_is_taken(serve: Serve, sent: bytes) -> None:
    """What is unusual and can be read in one way only is done, once."""
    async with serve() as served, await served.connect() as stream:
        await stream.send(sent)
        assert answers(await everything(stream)) == [
            (200, {"accepted": 1, "known": 0, "refused": []})
        ]


@pytest.mark.parametrize(
    ("sent", "status", "code"),
    [
        (LIVEZ + b"X: " + b"x" * 16_384 + b"\r\n\r\n", 431, "head_too_large"),
        (LIVEZ + b"X: y\r\n" * 100 + b"\r\n", 431, "head_too_large"),
        (b"GET /" + b"x" * 16_384, 431, "head_too_large"),
        (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 505, "http_version"),
        (b"GET / HTTP/0.9\r\n\r\n", 505, "http_version"),
        (b"OPTIONS * HTTP/1.1\r\nHost: h\r\n" + CLOSE + b"\r\n", 404, "not_found"),
        (b"CONNECT h:1 HTTP/1.1\r\nHost: h\r\n" + CLOSE + b"\r\n", 404, "not_found"),
        (b"GET //livez HTTP/1.1\r\nHost: h\r\n" + CLOSE + b"\r\n", 404, "not_found"),
        (b"GET /v1/../livez HTTP/1.1\r\nHost: h\r\n" + CLOSE + b"\r\n", 401, "unauthorized"),
        (b"GET /livez%00 HTTP/1.1\r\nHost: h\r\n" + CLOSE + b"\r\n", 404, "not_found"),
        (b"TRACE /livez HTTP/1.1\r\nHost: h\r\n" + CLOSE + b"\r\n", 405, "method_not_allowed"),
    ],
)
async def test_what_is_not_done_is_said(serve: Serve, sent: bytes, status: int, code: str) -> None:
    """Heads that are too large, other versions, and targets that are nowhere have their errors."""
    async with serve() as served, await served.connect() as stream:
        await stream.send(sent)
        assert code_of(await everything(stream)) == (status, code)


@pytest.mark.parametrize("name", ["%00", "%ff", "a%2fb", "%2e%2e", "A", "a%0ab", "%F0%9F%98%80"])
@pytest.mark.parametrize("method", ["GET", "PUT", "DELETE"])
async def test_a_name_in_a_path_is_checked(serve: Serve, method: str, name: str) -> None:
    """However a name is written in a path, one that is none is unknown or refused."""
    request = f"{method} /v1/instances/{name} HTTP/1.1\r\n".encode() + AUTH + CLOSE
    async with serve() as served, await served.connect() as stream:
        await stream.send(request + b"Content-Length: 2\r\n\r\n{}")
        status, code = code_of(await everything(stream))
        is_nowhere = "%2f" in name or "%0a" in name
        is_refused = method == "PUT" and not is_nowhere
        assert (status, code) == ((422, "refused") if is_refused else (404, "not_found"))
        assert served.worker.status().instances == 0


async def test_pipelined_requests_are_answered_in_order(serve: Serve) -> None:
    """Several requests at once are answered one by one, each for itself."""
    async with serve() as served, await served.connect() as stream:
        one, two = POST + LENGTH + b"\r\n" + EVENT, LIVEZ + b"\r\n"
        none = b"GET /nowhere HTTP/1.1\r\nHost: h\r\n\r\n"
        await stream.send(one + two + none + one + LIVEZ + CLOSE + b"\r\n")
        found = answers(await everything(stream))
        assert [status for status, _ in found] == [200, 200, 404, 200, 200]
        assert served.worker.status().events["waiting"] == 2


@pytest.mark.parametrize("head", [LENGTH, CHUNKED])
async def test_a_body_that_is_refused_is_no_request(serve: Serve, head: bytes) -> None:
    """The body of a request that is refused before it is read is skipped, not taken for another."""
    body = LIVEZ + b"\r\n"
    sent = f"{len(body):x}\r\n".encode() + body + b"\r\n0\r\n\r\n" if head is CHUNKED else body
    head = head if head is CHUNKED else f"Content-Length: {len(body)}\r\n".encode()
    stranger = b"POST /v1/events HTTP/1.1\r\nHost: h\r\n" + head + b"\r\n" + sent
    async with serve() as served, await served.connect() as stream:
        await stream.send(stranger + b"GET /nowhere HTTP/1.1\r\nHost: h\r\n" + CLOSE + b"\r\n")
        found = answers(await everything(stream))
        assert [status for status, _ in found] == [401, 404]


async def test_nonsense_behind_an_answer_ends_the_connection(serve: Serve) -> None:
    """What is no body any more, where the answer was given already, is hung up on in silence."""
    caught: list[object] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: caught.append(context))
    async with serve() as served, await served.connect() as stream:
        await stream.send(b"POST /v1/events HTTP/1.1\r\nHost: h\r\n" + CHUNKED + b"\r\n")
        ((status, _),) = answers(await one_answer(stream))
        assert status == 401
        await stream.send(b"nonsense\r\n")
        assert await everything(stream) == b""
    assert caught == []


async def test_who_waits_to_go_on_is_not_told_to_if_refused(serve: Serve) -> None:
    """`Expect: 100-continue` is answered at once where the body is not wanted."""
    ask = b"Expect: 100-continue\r\nContent-Length: 9999999\r\n" + CLOSE + b"\r\n"
    async with serve() as served:
        for head, status in ((POST, 413), (POST.replace(TOKEN.encode(), b"x"), 401)):
            async with await served.connect() as stream:
                await stream.send(head + ask)
                assert code_of(await everything(stream))[0] == status


@pytest.mark.parametrize("path", [b"/livez", b"/readyz", b"/metrics", b"/v1/status", b"/nowhere"])
async def test_a_head_is_a_get_without_its_body(serve: Serve, path: bytes) -> None:
    """HEAD is answered with the headers that GET has."""
    async with serve() as served:
        heads = []
        for method in (b"GET ", b"HEAD "):
            async with await served.connect() as stream:
                await stream.send(method + path + b" HTTP/1.1\r\n" + AUTH + CLOSE + b"\r\n")
                head, _, body = (await everything(stream)).partition(b"\r\n\r\n")
                assert bool(body) == (method == b"GET ")
                lines = {line for line in head.split(b"\r\n") if not line.startswith(b"date")}
                heads.append(lines)
        get, head_ = heads
        lengths = {line for line in get ^ head_ if not line.startswith(b"content-length")}
        assert not lengths


async def test_the_date_is_that_of_the_answer(state_dir: Path, token_file: Path) -> None:
    """Each answer says when it was given, also a refusal, and also on one connection."""
    clock = SteppedClock(datetime(2026, 11, 21, 1, 0, tzinfo=UTC))
    http = Http(listen="127.0.0.1:0", token_file=token_file)
    async with Worker(Settings(state_dir=state_dir, http=http), clock=clock).opened() as worker:
        face = HttpFace(worker)
        async with anyio.create_task_group() as running:
            await running.start(face.run)
            assert isinstance(face.listen, Tcp)
            async with await anyio.connect_tcp(face.listen.host, face.listen.port) as stream:
                for second, request in enumerate((LIVEZ, LIVEZ, LIVEZ + b" folded: x\r\n"), 1):
                    await clock.step(datetime(2026, 11, 21, 1, 0, second, tzinfo=UTC), jump=True)
                    await stream.send(request + b"\r\n")
                    found = await one_answer(stream)
                    assert b"date: Sat, 21 Nov 2026 01:00:0%d GMT\r\n" % second in found
            face.stop()


async def test_a_wrong_head_has_no_body_either(serve: Serve) -> None:
    """A HEAD that can be read in two ways is refused without a body."""
    async with serve() as served, await served.connect() as stream:
        await stream.send(b"HEAD /livez HTTP/1.1\r\nHost: h\r\n" + LENGTH + CHUNKED + b"\r\n")
        head, _, body = (await everything(stream)).partition(b"\r\n\r\n")
        assert (head.split()[1], body) == (b"400", b"")


async def test_no_page_of_a_stranger_gets_through(serve: Serve) -> None:
    """A browser's page may not send the token, is never told that it may, and without it gets 401.

    Even a page whose name was made to mean this machine (DNS rebinding) has no token.
    """
    origin = b"Origin: http://evil.example\r\n"
    plain = b"Content-Type: text/plain\r\n" + LENGTH + CLOSE + b"\r\n" + EVENT
    preflight = b"Access-Control-Request-Headers: authorization\r\n" + CLOSE
    requests = {
        b"POST /v1/events?instance=a.example HTTP/1.1\r\nHost: 127.0.0.1\r\n" + origin + plain: 401,
        b"POST /v1/events?instance=a.example HTTP/1.1\r\nHost: evil.example\r\n" + plain: 401,
        b"OPTIONS /v1/events HTTP/1.1\r\nHost: h\r\n" + origin + preflight + b"\r\n": 401,
        b"OPTIONS /livez HTTP/1.1\r\nHost: h\r\n" + origin + CLOSE + b"\r\n": 405,
        b"GET /metrics HTTP/1.1\r\nHost: h\r\n" + origin + CLOSE + b"\r\n": 200,
    }  # fmt: skip
    async with serve() as served:
        for request, status in requests.items():
            async with await served.connect() as stream:
                await stream.send(request)
                found = await everything(stream)
                assert int(found.split()[1]) == status
                assert b"access-control" not in found.partition(b"\r\n\r\n")[0].lower()
        assert served.worker.status().events["waiting"] == 0


async def test_an_idle_connection_is_closed(serve: Serve) -> None:
    """A connection on which nothing follows an answer is closed, without another word."""
    async with serve(Bounds(idle_s=0.05)) as served, await served.connect() as stream:
        await stream.send(LIVEZ + b"\r\n")
        assert len(answers(await everything(stream))) == 1


async def test_a_crowd_beyond_a_crowd_takes_no_more_places(serve: Serve) -> None:
    """While requests are under way on all places, who comes next takes that of who came before."""
    async with serve(Bounds(connections=1)) as served, await served.connect() as busy:
        await busy.send(POST + b"Expect: 100-continue\r\n" + LENGTH + b"\r\n")
        assert (await busy.receive()).startswith(b"HTTP/1.1 100")
        async with await served.connect() as second, await served.connect() as third:
            assert await everything(second) == b""
            await third.send(LIVEZ + b"\r\n")
            assert code_of(await everything(third)) == (503, "busy")
        await busy.send(EVENT)
        assert (await busy.receive()).startswith(b"HTTP/1.1 200")


async def test_who_never_reads_is_left(serve: Serve, tmp_path: Path) -> None:
    """A client that does not read what it asked for loses its connection, and others get its place.

    Whether the answer is under way, or written and the connection closed behind it.
    """
    refused = b"POST /v1/events HTTP/1.1\r\nHost: h\r\n"
    body = b"[" + b'{"type": "NoEvent"},' * 5000 + b"{}]"
    request = refused + f"Content-Length: {len(body)}\r\n".encode()
    http = Http(listen=f"unix:{tmp_path}/s")
    async with serve(Bounds(connections=1, answer_s=0.05, idle_s=60), http=http):
        for more in (b"\r\n", CLOSE + b"\r\n"):
            # A stream of the event loop reads ahead, a bare socket does not.
            with closing(socket.socket(socket.AF_UNIX)) as never_read:
                never_read.setblocking(False)
                never_read.connect(str(tmp_path / "s"))
                assert never_read.send(request + more + body) > len(body)
                await until_served(tmp_path / "s")


async def test_who_does_not_read_keeps_no_stop_waiting(state_dir: Path, tmp_path: Path) -> None:
    """An answer that its client does not read is broken off when the face stops."""
    body = b"[" + b'{"type": "NoEvent"},' * 5000 + b"{}]"
    head = b"POST /v1/events HTTP/1.1\r\nHost: h\r\nContent-Length: %d\r\n\r\n" % len(body)
    http = Http(listen=f"unix:{tmp_path}/s")
    async with Worker(Settings(state_dir=state_dir, http=http)) as worker:
        face = HttpFace(worker, Bounds(answer_s=None))
        async with anyio.create_task_group() as running:
            await running.start(face.run)
            with closing(socket.socket(socket.AF_UNIX)) as never_read:
                never_read.setblocking(False)
                never_read.connect(str(tmp_path / "s"))
                assert never_read.send(head + body) > len(body)
                await anyio.wait_readable(never_read)
                face.stop()
                with anyio.fail_after(30):
                    while await anyio.Path(tmp_path / "s").exists():
                        await anyio.lowlevel.checkpoint()


@pytest.mark.parametrize("host", ["127.0.0.1", "[::1]"])
async def test_answers_are_sent_at_once(serve: Serve, token_file: Path, host: str) -> None:
    """No part of an answer waits until the client has acknowledged the part before.

    Clients may take 40 ms for that. What the system is told of a connection is looked at in the
    face's own socket, which is a file of this process.
    """
    http = Http(listen=f"{host}:0", token_file=token_file)
    async with serve(http=http) as served, await served.connect() as stream:
        await stream.send(LIVEZ + b"\r\n")
        await one_answer(stream)
        client = stream.extra(SocketAttribute.local_address)
        told = [
            sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)
            for sock in own_sockets()
            if is_connected_to(sock, client)
        ]
    assert told == [1]


def own_sockets() -> Iterator[socket.socket]:
    """Give the sockets that this process has open, each as long as it is looked at."""
    for file in Path("/proc/self/fd").iterdir():
        with suppress(FileNotFoundError):
            if stat.S_ISSOCK(file.stat().st_mode):
                with socket.socket(fileno=os.dup(int(file.name))) as sock:
                    yield sock


def is_connected_to(sock: socket.socket, address: object) -> bool:
    with suppress(OSError):
        return sock.family != socket.AF_UNIX and sock.getpeername()[:2] == address
    return False


async def until_served(path: Path) -> None:
    """Ask, again and again, until the place of another is free."""
    status = b""
    with anyio.fail_after(20):
        while status != b"200":
            async with await anyio.connect_unix(path) as stream:
                await stream.send(LIVEZ + CLOSE + b"\r\n")
                status = (await everything(stream)).split()[1]
