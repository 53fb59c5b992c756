"""Whatever bytes come over the HTTP face's socket, it answers well or hangs up, and lives on."""

import asyncio
import json
import re
import socket
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import anyio
import pytest
import structlog
from anyio.from_thread import start_blocking_portal
from hypothesis import example, given
from hypothesis import strategies as st
from msgspec import Struct

from ecolyo_worker import Settings, Worker
from ecolyo_worker.service.listen import Tcp
from ecolyo_worker.service.server import HttpFace
from ecolyo_worker.service.web import Bounds
from ecolyo_worker.settings import Http
from tests.property.made import events, odd_texts, tried

pytestmark = pytest.mark.timeout(600)  # a failure is told in its smallest form

TOKEN = "t0ken-0f-the-h0st"
AUTH = f"Host: h\r\nAuthorization: Bearer {TOKEN}\r\n".encode()
GOOD = b'{"type": "NavigationEvent", "eventDate": "2026-11-20T10:00", "instance": "good.example"}'
ACCEPTED = {"accepted": 1, "known": 0, "refused": []}
# Who sends less than was announced is not waited for long.
BOUNDS = Bounds(head_s=0.05, body_s=0.05, idle_s=0.05, body_bytes=4096)
LIMIT_S = 30

METHODS = [
    "GET",
    "POST",
    "PUT",
    "DELETE",
    "OPTIONS",
    "PATCH",
    "CONNECT",
    "TRACE",
    "get",
    "M-SEARCH",
]
PATHS = [
    "/v1/events",
    "/v1/instances/a.example",
    "/v1/status",
    "/livez",
    "/readyz",
    "/metrics",
    "/v1",
]
PATHS += [
    "/",
    "*",
    "//",
    "/control/v1/status",
    "http://h/v1/events",
    "http://h",
    "h:80",
    "/v1/instances/",
]
QUERIES = [
    "",
    "?",
    "?instance=a.example",
    "?instance=%ff",
    "?instance=%00",
    "?instance=A",
    "?x=1&x=2",
]
HEADERS = [
    *("Content-Type: application/x-ndjson", "Content-Encoding: gzip", "Expect: 100-continue"),
    *("Expect: 200-ok", "Connection: keep-alive, upgrade", "Upgrade: websocket", "X: \x80\xff"),
    *("Transfer-Encoding: chunked", "Transfer-Encoding: gzip", "Content-Length: 5"),
    "Range: bytes=0-",
    *("If-None-Match: *", "Cookie: a=b", "Authorization: Basic x", "Host: other", ": x", " X: y"),
]  # fmt: skip


class Answer(Struct):
    """An answer as it came: its status and its body."""

    status: int
    body: bytes


class Face:
    """A face that runs in a thread of its own; `bugs` is what its log has of errors."""

    def __init__(self, address: Tcp, bugs: list[Any]) -> None:
        self.address = address
        self.bugs = bugs

    def send(self, sent: bytes) -> list[Answer]:
        """Send some bytes, and give what was answered until the other side hung up."""
        found = b""
        with socket.create_connection((self.address.host, self.address.port), LIMIT_S) as sock:
            try:
                sock.sendall(sent)
                while piece := sock.recv(65536):
                    found += piece
            except ConnectionError:
                pass  # it hung up before it had read all
        return list(answers(found))

    def lives(self) -> None:
        """Check that a good event is taken, and that nothing was a bug."""
        head = f"POST /v1/events HTTP/1.1\r\nContent-Length: {len(GOOD)}\r\n".encode()
        (answer,) = self.send(head + AUTH + b"Connection: close\r\n\r\n" + GOOD)
        assert json.loads(answer.body) == ACCEPTED
        assert self.bugs == []


def answers(found: bytes) -> Iterator[Answer]:
    """Cut what came into answers; fails where one is no well-formed HTTP, or breaks off."""
    while found:
        head, end, found = found.partition(b"\r\n\r\n")
        first, *lines = head.split(b"\r\n")
        match = re.fullmatch(rb"HTTP/1\.1 (\d{3}) [ -~]*", first)
        assert end, head
        assert match is not None, head
        if match[1] == b"100":
            continue
        length = int(dict(line.lower().split(b": ", 1) for line in lines)[b"content-length"])
        assert len(found) >= length, head
        yield Answer(int(match[1]), found[:length])
        found = found[length:]


@asynccontextmanager
async def running(folder: Path) -> AsyncIterator[Face]:
    """Let a face listen, and note what it logs of errors and what the event loop catches."""
    bugs: list[Any] = []

    def note(_: Any, level: str, line: Any) -> Any:
        if level == "error":
            bugs.append(line)
        raise structlog.DropEvent

    asyncio.get_running_loop().set_exception_handler(lambda _, context: bugs.append(context))
    token = anyio.Path(folder / "token")
    await token.write_text(TOKEN)
    http = Http(listen="127.0.0.1:0", token_file=Path(token))
    logger = structlog.wrap_logger(None, processors=[note])
    async with Worker(Settings(state_dir=folder / "state", http=http), logger=logger) as worker:
        face = HttpFace(worker, BOUNDS)
        async with anyio.create_task_group() as serving:
            await serving.start(face.run)
            assert isinstance(face.listen, Tcp)
            yield Face(face.listen, bugs)
            face.stop()


@pytest.fixture(scope="module")
def face(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Face]:
    folder = tmp_path_factory.mktemp("fuzz")
    with (
        start_blocking_portal() as portal,
        portal.wrap_async_context_manager(running(folder)) as found,
    ):
        yield found


def check(face: Face, sent: bytes) -> None:
    """Send some bytes: each answer is one of ours, in our form, and no bug of ours."""
    for answer in face.send(sent):
        assert answer.status in range(200, 600), answer
        assert answer.status != 500, answer
        if answer.status >= 400 and answer.status != 422:
            assert set(json.loads(answer.body)["error"]) == {"code", "message", "details"}
    face.lives()


@st.composite
def requests(draw: st.DrawFn) -> bytes:
    """Give requests that are nearly right: any method, path, headers, and a body of some kind."""
    body = draw(bodies())
    lines = draw(st.lists(st.sampled_from(HEADERS), max_size=2, unique=True))
    target = draw(st.sampled_from(PATHS)) + draw(st.sampled_from(QUERIES) | odd_targets())
    length = draw(st.sampled_from([0, 0, 0, 0, 1, -1])) + len(body)
    head = f"{draw(st.sampled_from(METHODS))} {target} HTTP/1.1\r\n" + "".join(
        f"{line}\r\n" for line in lines
    )
    auth = draw(st.sampled_from([AUTH, AUTH, AUTH, b"Host: h\r\n"]))
    close = b"Connection: close\r\n" if draw(st.booleans()) else b""
    return (
        head.encode("latin-1")
        + auth
        + f"Content-Length: {length}\r\n".encode()
        + close
        + (b"\r\n" + body)
    )


def odd_targets() -> st.SearchStrategy[str]:
    """Give what may stand at the end of a target: any bytes, escaped or bare."""
    escaped = st.binary(max_size=6).map(lambda text: "".join(f"%{byte:02x}" for byte in text))
    return escaped | st.text(st.characters(max_codepoint=255), max_size=6)


def bodies() -> st.SearchStrategy[bytes]:
    """Give bodies: events, facts, any JSON, lines of it, and any bytes."""
    keys = st.sampled_from(["instance", "consent", "type", "konnectors", "profile", "_id"])
    leaves = st.none() | st.booleans() | st.integers() | st.floats() | odd_texts()
    names = keys | odd_texts()

    def some_of(inner: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
        return st.lists(inner, max_size=3) | st.dictionaries(names, inner, max_size=3)

    values = st.recursive(leaves, some_of, max_leaves=8)
    documents = (events() | values).map(lambda value: json.dumps(value).encode())
    joined = st.lists(documents, max_size=4).map(b"\n".join)
    array = st.lists(documents, max_size=4).map(lambda some: b"[" + b",".join(some) + b"]")
    return documents | joined | array | st.binary(max_size=40) | st.just(b"[" * 3000)


@tried(40)
@given(st.binary(max_size=200))
@example(b"")
@example(b"\r\n\r\n")
@example(b"GET / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\nzz")
@example(b"POST /v1/events HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nab")
def test_any_bytes(face: Face, sent: bytes) -> None:
    """Any bytes at all get an error or nothing, and the next good event is taken."""
    check(face, sent)


@tried(100)
@given(st.lists(requests(), min_size=1, max_size=2))
def test_any_request(face: Face, sent: list[bytes]) -> None:
    """Any request, or two at once, gets a well-formed answer; none of them is a bug of ours."""
    check(face, b"".join(sent))


@tried(40)
@given(requests(), st.data())
def test_a_request_that_is_damaged(face: Face, sent: bytes, data: st.DataObject) -> None:
    """A request of which a byte was changed, or the end lost, harms nobody either."""
    place = data.draw(st.integers(0, len(sent) - 1))
    byte = data.draw(st.binary(min_size=0, max_size=2))
    cut = data.draw(st.sampled_from([None, None, place]))
    check(face, (sent[:place] + byte + sent[place + 1 :])[:cut])
