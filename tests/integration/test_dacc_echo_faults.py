"""The faults of the stand-in, seen from a bare socket, and the language that orders them."""

from __future__ import annotations

import json
import select
import socket
import threading
import time
from typing import TYPE_CHECKING

import pytest

from ecolyo_worker.tools.dacc_echo import EchoServer
from ecolyo_worker.tools.twins.faults import Fault, FaultPlan, FaultSyntaxError, duration_s

if TYPE_CHECKING:
    from collections.abc import Iterator

INDICATOR = json.dumps(
    {
        "createdBy": "ecolyo",
        "measureName": "profile-count-monthly",
        "startDate": "2026-11-01",
        "value": 1,
    }
)


@pytest.fixture(scope="module")
def shared() -> Iterator[EchoServer]:
    with EchoServer() as server:
        yield server


@pytest.fixture
def echo(shared: EchoServer) -> EchoServer:
    shared.received.clear()
    shared.faults.replace("ok")
    return shared


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
        ("status=102", "/measure", b"102 Processing", b"Connection: close\r\n\r\n"),
        ("retry-after=30", "/measure", b"503 Service", b'{"error": "fault injected"}'),
        ("html-401", "/measure", b"401 Unauthorized", b"\r\n\r\nUnauthorized Access"),
        ("html-401", "/remote/cc.cozycloud.dacc", b"502 Bad Gateway", b'"source": {}}]}'),
        ("cozy-502", "/remote/cc.cozycloud.dacc", b"502 Bad Gateway", b'"source": {}}]}'),
        ("cozy-502", "/measure", b"502 Bad Gateway", b'"source": {}}]}'),
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
        ("status=302", b"Location: http://elsewhere.invalid/measure"),
        ("html-401", b'WWW-Authenticate: Bearer realm="Authentication Required"'),
    ],
)
def test_headers(echo: EchoServer, spec: str, header: bytes) -> None:
    """A fault carries the header that goes with its status."""
    set_fault(echo, spec)
    assert header in answers(echo, request()).split(b"\r\n")


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
    assert b"'statsu=1' is no fault; allowed are ok, html-401," in answer
    assert answers(echo, request()).split()[1] == b"503"


def test_client_gone_before_the_answer(echo: EchoServer) -> None:
    """A stored indicator counts as unknown when its sender left before the answer."""
    set_fault(echo, "latency=100ms")
    with connected(echo) as client:
        client.sendall(request())
        assert echo.received.wait(1, "", 10) == (True, 1)
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
        assert echo.received.wait(1, "", 10) == (True, 1)
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


@pytest.mark.parametrize(
    ("text", "seconds"), [("2s", 2), ("200ms", 0.2), ("1min", 60), ("1h", 3600), ("0.5s", 0.5)]
)
def test_durations(text: str, seconds: float) -> None:
    """A duration is a number with its unit."""
    assert duration_s(text) == pytest.approx(seconds)


def test_plan() -> None:
    """A plan says what is left of it, and gives ``ok`` without end."""
    plan = FaultPlan("latency=200ms*2,slow-body,ok")
    assert plan.draw() == Fault("latency", 0.2)
    assert repr(plan) == "<FaultPlan latency=0.2s*1,slow-body=1s*1,ok*1>"
    names = [plan.draw().name for _ in range(5)]
    assert names == ["latency", "slow-body", "ok", "ok", "ok"]
    assert repr(plan) == "<FaultPlan ok>"


@pytest.mark.parametrize(
    ("spec", "sentence"),
    [
        ("", "'' is no fault; allowed are ok, html-401, "),
        ("reset,", "'' is no fault; allowed are "),
        ("resett", "'resett' is no fault; allowed are "),
        ("x" * 99, f"'{'x' * 60}…' is no fault; allowed are "),
        ("status", "status needs a value; allowed are "),
        ("status=50", "'50' is no status; allowed are three digits, as in 503"),
        ("status=099", "'099' is no status"),
        ("retry-after=soon", "'soon' is no delay for retry-after; allowed are whole seconds"),
        ("latency=2", "'2' is no duration; allowed are numbers with ms, s, min or h"),
        ("latency=0s", "'0s' is no duration"),
        ("latency=2h", "'2h' is no duration"),
        ("drop=1", "drop takes no value, found '1'"),
        ("drop=", "drop takes no value, found ''"),
        ("drop*0", "'0' is no count; allowed are whole numbers from 1"),
        ("drop*", "'' is no count"),
        ("drop*2*3", "'2*3' is no count"),
        ("drop\n*2", "'drop\\n*2' is no fault"),
    ],
)
def test_wrong_specifications(spec: str, sentence: str) -> None:
    """What is not in the language is refused with what was found and what is allowed."""
    with pytest.raises(FaultSyntaxError) as caught:
        FaultPlan(spec)
    assert str(caught.value).startswith(sentence)
