"""The faults of the stand-in, seen from a bare socket, and the language that orders them."""

from __future__ import annotations

import json
import select
import socket
import threading
import time
from email.parser import BytesParser
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING

import pytest

from ecolyo_worker.tools.dacc_echo import EchoServer
from ecolyo_worker.tools.twins.dacc.nearest import Wanted

if TYPE_CHECKING:
    pass

INDICATOR = json.dumps(
    {
        "createdBy": "ecolyo",
        "measureName": "profile-count-monthly",
        "startDate": "2026-11-01",
        "value": 1,
    }
)
ENVELOPE = json.dumps({"data": INDICATOR})


def request(path: str = "/measure", body: str = INDICATOR) -> bytes:
    headers = f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n"
    return f"POST {path} HTTP/1.1\r\n{headers}\r\n{body}".encode()


def connected(echo: EchoServer) -> socket.socket:
    return socket.create_connection(("127.0.0.1", echo.port), timeout=10)


def answers(echo: EchoServer, sent: bytes) -> bytes:
    """Send bytes, and give all that comes back until the server closes."""
    with connected(echo) as client:
        client.sendall(sent)
        client.shutdown(socket.SHUT_WR)
        return b"".join(iter(lambda: client.recv(65536), b""))


def set_fault(echo: EchoServer, spec: str) -> bytes:
    return answers(echo, request("/api/fault", spec).replace(b"POST", b"PUT", 1))


def connections_ended() -> None:
    """Wait until the server is done with every client that has left."""
    for thread in threading.enumerate():
        if thread.name == "dacc-echo-connection":
            thread.join(10)
            assert not thread.is_alive()


def outcome(echo: EchoServer) -> tuple[int, int, int]:
    counts = echo.received.counts()
    return tuple(counts[name] for name in ("received", "refused", "unknown"))  # type: ignore[return-value]


@pytest.mark.parametrize(
    ("spec", "path", "start", "end"),
    [
        ("status=503", "/measure", b"503 Service Unavailable", b'{"error": "fault injected"}'),
        ("status=429", "/measure", b"429 Too Many Requests", b'{"error": "fault injected"}'),
        ("status=599", "/measure", b"599 Injected", b'{"error": "fault injected"}'),
        ("status=200", "/measure", b"200 OK", b"<p>fault injected</p>"),
        ("status=204", "/measure", b"204 No Content", b"\r\n\r\n"),
        ("status=302", "/measure", b"302 Found", b"<p>fault injected</p>"),
        ("retry-after=30", "/measure", b"503 Service", b'{"error": "fault injected"}'),
        ("html-401", "/measure", b"401 Unauthorized", b"\r\n\r\nUnauthorized Access"),
        ("html-401", "/remote/cc.cozycloud.dacc", b"502 Bad Gateway", b'"source": {}}]}'),
        ("cozy-502", "/remote/cc.cozycloud.dacc", b"502 Bad Gateway", b'"source": {}}]}'),
        ("cozy-502", "/measure", b"502 Bad Gateway", b'"source": {}}]}'),
        ("throttle", "/measure", b"429 Too Many Requests", b'{"error": "fault injected"}'),
        ("retry-after-garbage", "/measure", b"503 Service", b'{"error": "fault injected"}'),
    ],
)
def test_another_answer(echo: EchoServer, spec: str, path: str, start: bytes, end: bytes) -> None:
    """A fault can take the place of the answer; nothing is stored then."""
    set_fault(echo, spec)
    answer = answers(echo, request(path))
    assert answer.startswith(b"HTTP/1.1 " + start)
    assert answer.endswith(end)
    assert outcome(echo) == (0, 1, 0)


@pytest.mark.parametrize(
    ("spec", "header"),
    [
        ("retry-after=30", b"Retry-After: 30"),
        ("retry-after=999999999999", b"Retry-After: 999999999999"),
        ("retry-after=0", b"Retry-After: 0"),
        ("retry-after-garbage", b"Retry-After: soon"),
        ("throttle=30", b"Retry-After: 30"),
        ("status=302", b"Location: http://elsewhere.invalid/measure"),
        ("html-401", b'WWW-Authenticate: Bearer realm="Authentication Required"'),
    ],
)
def test_headers(echo: EchoServer, spec: str, header: bytes) -> None:
    """A fault carries the header that goes with its status."""
    set_fault(echo, spec)
    assert header in answers(echo, request()).split(b"\r\n")


@pytest.mark.parametrize("spec", ["throttle", "status=503", "status=429"])
def test_no_word_of_when(echo: EchoServer, spec: str) -> None:
    """Without a delay a fault does not say when to come again."""
    set_fault(echo, spec)
    assert b"retry-after" not in answers(echo, request()).lower()


@pytest.mark.parametrize("ahead_s", [30, 0, -30, 999_999_999])
def test_retry_after_a_date(echo: EchoServer, ahead_s: int) -> None:
    """``retry-after-date`` tells the date that lies so many seconds ahead or back."""
    set_fault(echo, f"retry-after-date={ahead_s}")
    before_s = int(time.time())
    head = answers(echo, request()).split(b"\r\n\r\n")[0]
    told = parsedate_to_datetime(BytesParser().parsebytes(head.split(b"\r\n", 1)[1])["Retry-After"])
    assert before_s + ahead_s <= told.timestamp() <= time.time() + ahead_s


def stack_error(status: int, title: str, detail: str) -> bytes:
    error = {"status": str(status), "title": title, "detail": detail, "source": {}}
    return json.dumps({"errors": [error]}).encode()


NO_VALUE = "a variable is used in the template, but no value was given"
CANT_CONNECT = stack_error(502, "Bad Gateway", "can't connect to the remote host")


@pytest.mark.parametrize("path", ["/remote/cc.cozycloud.dacc", "/measure"])
@pytest.mark.parametrize(
    ("spec", "status", "content_type", "body"),
    [
        ("expired-token", 400, b"application/json", b'{"error": "Expired token"}'),
        ("invalid-jwt", 400, b"text/plain; charset=UTF-8", b"Invalid JWT token"),
        ("forbidden", 403, b"application/json", stack_error(403, "Forbidden", "Forbidden")),
        (
            "bad-doctype",
            400,
            b"application/json",
            stack_error(400, "Bad request", "the request is not valid"),
        ),
        (
            "no-token-at-stack",
            400,
            b"application/json",
            stack_error(400, "Bad request", NO_VALUE),
        ),
        ("cant-connect", 502, b"application/json", CANT_CONNECT),
    ],
)
def test_the_stack_says(
    echo: EchoServer, path: str, spec: str, status: int, content_type: bytes, body: bytes
) -> None:
    """What no input brings the stack to say it says by name, on every path; nothing is stored."""
    set_fault(echo, spec)
    head, said = answers(echo, request(path, ENVELOPE)).split(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 %d " % status)
    assert b"Content-Type: " + content_type in head.split(b"\r\n")
    assert said == body
    assert outcome(echo) == (0, 1, 0)


def test_accept_then_cant_connect(echo: EchoServer) -> None:
    """``accept-then-cant-connect`` stores what the stack says it could not deliver."""
    set_fault(echo, "accept-then-cant-connect")
    answer = answers(echo, request("/remote/cc.cozycloud.dacc", ENVELOPE))
    assert answer.startswith(b"HTTP/1.1 502 Bad Gateway")
    assert answer.endswith(CANT_CONNECT)
    assert outcome(echo) == (1, 0, 1)
    assert [record.fault for record in echo.received.records()] == ["accept-then-cant-connect"]


def test_accept_then_cant_connect_of_a_bad_one(echo: EchoServer) -> None:
    """Then, too, nothing is accepted that the DACC would refuse."""
    set_fault(echo, "accept-then-cant-connect")
    envelope = json.dumps({"data": "{}"})
    answer = answers(echo, request("/remote/cc.cozycloud.dacc", envelope))
    assert answer.startswith(b"HTTP/1.1 502 Bad Gateway")
    assert outcome(echo) == (0, 1, 0)


@pytest.mark.parametrize(
    ("spec", "answer", "counted"),
    [
        ("drop", b"", (0, 1, 0)),
        ("accept-then-drop", b"", (1, 0, 1)),
        ("garbage", b"\x15\x03\x01\x00\x02\x02\x16 this is no HTTP answer\r\n\r\n", (0, 1, 0)),
    ],
)
def test_no_answer(
    echo: EchoServer, spec: str, answer: bytes, counted: tuple[int, int, int]
) -> None:
    """A fault can leave a request without an answer; only one of them stores the indicator."""
    set_fault(echo, spec)
    assert answers(echo, request()) == answer
    assert outcome(echo) == counted


def test_reset(echo: EchoServer) -> None:
    """``reset`` breaks the connection after the request was read; nothing is stored."""
    set_fault(echo, "reset")
    with connected(echo) as client:
        client.sendall(request())
        with pytest.raises(ConnectionResetError):
            client.recv(1)
    assert outcome(echo) == (0, 1, 0)


def test_accept_then_drop_of_a_bad_one(echo: EchoServer) -> None:
    """``accept-then-drop`` accepts nothing that the DACC would refuse."""
    set_fault(echo, "accept-then-drop")
    assert answers(echo, request(body="{}")) == b""
    assert outcome(echo) == (0, 1, 0)


def test_latency(echo: EchoServer) -> None:
    """``latency`` answers normally, later."""
    set_fault(echo, "latency=100ms")
    begin = time.monotonic()
    assert answers(echo, request()).startswith(b"HTTP/1.1 201 Created")
    assert time.monotonic() - begin >= 0.1
    assert outcome(echo) == (1, 0, 0)
    assert [record.fault for record in echo.received.records()] == ["latency"]


def test_slow_body(echo: EchoServer) -> None:
    """``slow-body`` answers normally, with a pause before every byte of the body."""
    set_fault(echo, "slow-body=10ms")
    begin = time.monotonic()
    answer = answers(echo, request())
    assert answer.endswith(b'Content-Length: 12\r\n\r\n{"ok": true}')
    assert time.monotonic() - begin >= 12 * 0.01
    assert outcome(echo) == (1, 0, 0)


def test_sequence(echo: EchoServer) -> None:
    """Each fault is used for as many requests as it says, in order; then all is well."""
    set_fault(echo, "status=503*2, status=429,ok,status=500*1")
    statuses = [answers(echo, request()).split()[1] for _ in range(7)]
    assert statuses == [b"503", b"503", b"429", b"201", b"500", b"201", b"201"]
    assert echo.received.counts()["faults"] == {"status": 4}


def test_only_measures_draw(echo: EchoServer) -> None:
    """Only requests that could bring an indicator draw a fault."""
    set_fault(echo, "status=503")
    get = b"GET /measure HTTP/1.1\r\n\r\n"
    for other in (get, get.replace(b"measure", b"livez"), request("/elsewhere")):
        assert answers(echo, other).split()[1] in (b"405", b"200", b"404")
    assert answers(echo, request()).split()[1] == b"503"


def test_wrong_fault_changes_nothing(echo: EchoServer) -> None:
    """A wrong specification is a 400 with the sentence; what was set before stays."""
    set_fault(echo, "status=503")
    answer = set_fault(echo, "reset,statsu=1")
    assert answer.startswith(b"HTTP/1.1 400 ")
    assert b"'statsu' is no fault; did you mean status? allowed are ok, html-401," in answer
    assert answers(echo, request()).split()[1] == b"503"


def test_client_gone_before_the_answer(echo: EchoServer) -> None:
    """A stored indicator counts as unknown when its sender left before the answer."""
    set_fault(echo, "latency=100ms")
    with connected(echo) as client:
        client.sendall(request())
        assert echo.received.wait(1, Wanted(), 10) == (True, 1)
    connections_ended()
    assert outcome(echo) == (1, 0, 1)


def test_client_gone_with_the_answer_unread(echo: EchoServer) -> None:
    """It counts as unknown, too, when the answer came but was never read."""
    with connected(echo) as client:
        client.sendall(request())
        assert select.select([client], [], [], 10)[0] == [client]
    connections_ended()
    assert outcome(echo) == (1, 0, 1)


def test_closing_client_gone(echo: EchoServer) -> None:
    """It counts as unknown where the connection was to end with the answer anyway."""
    set_fault(echo, "latency=100ms")
    with connected(echo) as client:
        client.sendall(request().replace(b"HTTP/1.1", b"HTTP/1.0"))
        assert echo.received.wait(1, Wanted(), 10) == (True, 1)
    connections_ended()
    assert outcome(echo) == (1, 0, 1)


def test_closing_client_gone_with_the_answer_unread(echo: EchoServer) -> None:
    """It counts as unknown even when the server, for its part, had ended the connection."""
    with connected(echo) as client:
        client.sendall(request().replace(b"HTTP/1.1", b"HTTP/1.0"))
        ended = select.poll()
        ended.register(client, select.POLLRDHUP)
        assert ended.poll(10_000)
    connections_ended()
    assert outcome(echo) == (1, 0, 1)


def test_client_gone_from_a_slow_answer(echo: EchoServer) -> None:
    """It counts as unknown when its sender leaves in the middle of the answer."""
    set_fault(echo, "slow-body=10ms")
    with connected(echo) as client:
        client.sendall(request())
        client.recv(1)
    connections_ended()
    assert outcome(echo) == (1, 0, 1)


@pytest.mark.parametrize("version", [b"1.0", b"1.1"])
@pytest.mark.parametrize("half_closed", [False, True])
def test_answer_read(echo: EchoServer, version: bytes, *, half_closed: bool) -> None:
    """It is known when the answer was read, however the client leaves."""
    with connected(echo) as client:
        client.sendall(request().replace(b"HTTP/1.1", b"HTTP/" + version))
        if half_closed:
            client.shutdown(socket.SHUT_WR)
        assert client.recv(65536).endswith(b'{"ok": true}')
    connections_ended()
    assert outcome(echo) == (1, 0, 0)
