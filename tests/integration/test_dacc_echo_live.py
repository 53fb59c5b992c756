"""The page's live feed as a browser reads it: server-sent events over a bare socket."""

from __future__ import annotations

import http.client
import json
import socket
import threading
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING, Any, NamedTuple

import pytest

from ecolyo_worker.tools.dacc_echo import EchoServer
from ecolyo_worker.tools.twins.dacc.exchange import Ruling
from ecolyo_worker.tools.twins.dacc.live import MOST_LISTENERS, MOST_ROWS
from tests.integration.echo_asking import MONTHLY, ask

if TYPE_CHECKING:
    from collections.abc import Iterator

TEXT = json.dumps(MONTHLY)


@pytest.fixture
def echo() -> Iterator[EchoServer]:
    with EchoServer(seed=1, label="desk") as server:
        yield server


class Event(NamedTuple):
    name: str
    place: str
    data: Any


class Listener:
    """One page's end of the feed."""

    def __init__(self, answer: http.client.HTTPResponse) -> None:
        self.status = answer.status
        self.content_type = answer.headers["Content-Type"]
        self._answer = answer

    def next(self, name: str) -> Event:
        """Give the next event of this name, passing over others."""
        while True:
            event = self._read()
            if event is not None and event.name == name:
                return event

    def rest(self) -> bytes:
        return self._answer.read()

    def _read(self) -> Event | None:
        fields = {}
        while line := self._answer.readline().decode().rstrip("\n"):
            field, _, value = line.partition(": ")
            fields[field] = value
        if "event" not in fields:
            return None
        return Event(fields["event"], fields.get("id", ""), json.loads(fields["data"]))


@contextmanager
def listening(echo: EchoServer, last_id: str = "") -> Iterator[Listener]:
    connection = http.client.HTTPConnection("127.0.0.1", echo.port, timeout=10)
    try:
        headers = {"Last-Event-ID": last_id} if last_id else {}
        connection.request("GET", "/api/events", headers=headers)
        yield Listener(connection.getresponse())
    finally:
        connection.close()


def seqs(event: Event) -> list[int]:
    return [row["seq"] for row in event.data]


def test_what_is_told(echo: EchoServer) -> None:
    """A listener is told what there is, then each request as it comes, and the counts."""
    ask(echo, "POST", "/alice/measure", TEXT)
    with listening(echo) as page:
        assert (page.status, page.content_type) == (200, "text/event-stream")
        begin = page.next("begin").data
        assert (begin["label"], begin["threshold"], begin["strict"]) == ("desk", 5, True)
        assert begin["faults"]["status=503"] == "this status; status=302 leads to another host"
        (row,) = page.next("requests").data
        assert row["time"].endswith("Z")
        del row["time"]
        assert row == {
            "seq": 1,
            "n": 1,
            "measure": "profile-count-monthly",
            "date": "2026-11-01",
            "value": "1",
            "groups": [],
            "stack": "alice",
            "target": "native",
            "verdict": "ok",
            "kinds": ["ok"],
            "sameAs": 0,
            "fault": "",
            "status": 201,
        }
        assert page.next("state").data["counts"]["received"] == 1
        ask(echo, "POST", "/measure", "nonsense")
        (row,) = page.next("requests").data
        assert (row["seq"], row["n"], row["kinds"]) == (2, 0, ["invalid"])
        assert page.next("state").data["counts"]["refused"] == 1


def test_resuming(echo: EchoServer) -> None:
    """A listener that comes back is told only what it has missed."""
    ask(echo, "POST", "/measure", TEXT)
    with listening(echo) as page:
        place = page.next("requests").place
    ask(echo, "POST", "/measure", TEXT)
    ask(echo, "POST", "/measure", "")
    with listening(echo, place) as page:
        first = page._read()
        while first is None:
            first = page._read()
        assert (first.name, seqs(first)) == ("requests", [2, 3])


@pytest.mark.parametrize(
    "place", ["nonsense", "0123456789ab.7", "x.y.z", ".", "²", "a.9" + "9" * 99]
)
def test_resuming_elsewhere(echo: EchoServer, place: str) -> None:
    """A listener that comes from another run, or from nowhere, begins anew."""
    ask(echo, "POST", "/measure", TEXT)
    with listening(echo, place.encode().decode("latin-1")) as page:
        page.next("begin")
        assert seqs(page.next("requests")) == [1]


def test_resuming_after_a_clearing(echo: EchoServer) -> None:
    """What was cleared meanwhile begins anew, though the numbers would fit."""
    ask(echo, "POST", "/measure", TEXT)
    with listening(echo) as page:
        place = page.next("requests").place
    ask(echo, "DELETE", "/api/indicators")
    for _ in range(2):
        ask(echo, "POST", "/measure", TEXT)
    with listening(echo, place) as page:
        page.next("begin")
        assert seqs(page.next("requests")) == [1, 2]


def test_clearing(echo: EchoServer) -> None:
    """Clearing lets every listener begin anew."""
    ask(echo, "POST", "/measure", TEXT)
    with listening(echo) as page:
        run = page.next("begin").place
        page.next("state")
        ask(echo, "DELETE", "/api/indicators")
        assert page.next("begin").place != run
        assert page.next("state").data["counts"]["received"] == 0


def test_faults_are_told(echo: EchoServer) -> None:
    """A listener is told which faults are still to come, in general and for a stack alone."""
    with listening(echo) as page:
        assert page.next("state").data["faults"] == {"": "ok"}
        ask(echo, "PUT", "/api/fault", "status=503*2,reset")
        assert page.next("state").data["faults"] == {"": "status=503*2,reset*1"}
        ask(echo, "POST", "/measure", TEXT)
        assert page.next("state").data["faults"] == {"": "status=503*1,reset*1"}
        ask(echo, "PUT", "/api/fault?stack=alice", "latency=1s@50%")
        assert page.next("state").data["faults"]["alice"] == "latency=1s@50%"
        ask(echo, "PUT", "/api/fault", "ok")
        assert page.next("state").data["faults"][""] == "ok"


def test_faults_are_told_at_once(echo: EchoServer) -> None:
    """A fault that is set is news like a request that comes."""
    before = echo.received.arrivals("", 0).version
    ask(echo, "PUT", "/api/fault", "reset")
    assert echo.received.arrivals("", 0).version > before


def test_long_history(echo: EchoServer) -> None:
    """Of a long history the latest part is told, in several messages, in order."""
    for _ in range(MOST_ROWS + 10):
        echo.received.add(Ruling(None, "ok", stored=True, text="{}", indicator={}, counts=False))
    with listening(echo) as page:
        told = seqs(page.next("requests"))
        assert len(told) < MOST_ROWS
        while told[-1] < MOST_ROWS + 10:
            told += seqs(page.next("requests"))
    assert told == list(range(11, MOST_ROWS + 11))


def test_number_of_listeners(echo: EchoServer) -> None:
    """There are so many listeners at most; one more is sent away until another leaves."""
    with ExitStack() as others:
        for _ in range(MOST_LISTENERS):
            others.enter_context(listening(echo)).next("begin")
        with listening(echo) as page:
            assert page.status == 503
    connections_ended()
    with listening(echo) as page:
        assert page.status == 200


def connections_ended() -> None:
    """Wait until the server is done with every client that has left."""
    for thread in threading.enumerate():
        if thread.name == "dacc-echo-connection":
            thread.join(30)
            assert not thread.is_alive()


def test_slow_listener() -> None:
    """A listener that takes nothing is let go, and holds up nobody."""
    with EchoServer(slow_s=0.1) as echo:
        verdict = "invalid: " + "x" * 300
        for _ in range(15_000):
            echo.received.add(Ruling(None, verdict, stored=True, text="{}", counts=False))
        with socket.create_connection(("127.0.0.1", echo.port), timeout=10) as client:
            client.sendall(b"GET /api/events HTTP/1.1\r\n\r\n")
            assert client.recv(15) == b"HTTP/1.1 200 OK"
            connections_ended()
            assert ask(echo, "GET", "/livez").status == 200


def test_listener_at_the_end(echo: EchoServer) -> None:
    """When the server ends, so does the feed."""
    with listening(echo) as page:
        page.next("state")
        echo.stop()
        page.rest()


def test_feed_is_only_read(echo: EchoServer) -> None:
    """The feed takes neither another method nor parameters."""
    assert ask(echo, "POST", "/api/events").status == 405
    assert ask(echo, "GET", "/api/events?after=1").status == 400
