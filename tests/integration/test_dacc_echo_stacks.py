"""Several stacks behind one stand-in, told apart by what stands before their paths."""

from __future__ import annotations

import http.client
import json
import socket
import time
from typing import TYPE_CHECKING, Any, NamedTuple

import pytest

from ecolyo_worker.tools.dacc_echo import EchoServer
from ecolyo_worker.tools.twins.dacc.exchange import Ruling
from ecolyo_worker.tools.twins.dacc.lines import Handled, line

if TYPE_CHECKING:
    from collections.abc import Iterator

TEXT = json.dumps(
    {
        "createdBy": "ecolyo",
        "measureName": "profile-count-monthly",
        "startDate": "2026-11-01",
        "value": 1,
    }
)
ENVELOPE = json.dumps({"data": TEXT})


class Reply(NamedTuple):
    status: int
    content: Any


@pytest.fixture
def echo() -> Iterator[EchoServer]:
    with EchoServer(seed=1) as server:
        yield server


def ask(echo: EchoServer, method: str, path: str, body: str | bytes = "", token: str = "") -> Reply:
    headers = {"Content-Type": "application/json"}
    if token:
        headers["Authorization"] = f"Bearer {token}"
    connection = http.client.HTTPConnection("127.0.0.1", echo.port, timeout=10)
    try:
        connection.request(method, path, body, headers)
        answer = connection.getresponse()
        return Reply(answer.status, json.loads(answer.read()))
    finally:
        connection.close()


def post(echo: EchoServer, person: str, token: str = "") -> Reply:
    return ask(echo, "POST", f"/{person}/remote/cc.cozycloud.dacc", ENVELOPE, token)


@pytest.mark.parametrize(
    ("path", "stack"),
    [
        ("/alice/remote/cc.cozycloud.dacc", "alice"),
        ("/alice/measure", "alice"),
        ("/alice/", "alice"),
        ("/house/alice/measure", "house/alice"),
        ("/alice.example/measure", "alice.example"),
        ("/%C3%A9lo%20dupont/measure", "\u00e9lo dupont"),
        ("/remote/cc.cozycloud.dacc", ""),
        ("/measure", ""),
        ("//measure", ""),
        ("/", ""),
    ],
)
def test_stack_of_a_record(echo: EchoServer, path: str, stack: str) -> None:
    """A record names its stack by what stands before its path; none is empty."""
    body = ENVELOPE if "remote" in path else TEXT
    assert ask(echo, "POST", path, body).status == 201
    assert [record["stack"] for record in ask(echo, "GET", "/api/indicators").content] == [stack]


def test_list_of_a_stack(echo: EchoServer) -> None:
    """The list can be narrowed to one stack, with the other filters beside it."""
    for person in ("alice", "bob", "alice"):
        post(echo, person)

    def listed(query: str) -> list[int]:
        return [record["n"] for record in ask(echo, "GET", f"/api/indicators{query}").content]

    assert listed("?stack=alice") == [1, 3]
    assert listed("?stack=bob&startDate=2026-11-01") == [2]
    assert listed("?stack=alice&measure=quiz-stars") == []
    assert listed("?stack=carol") == []
    assert listed("?stack=") == [1, 2, 3]


def test_count_of_a_stack(echo: EchoServer) -> None:
    """Every count can be narrowed to one stack, those of refused requests too."""
    echo.faults.replace("ok*2,status=503,accept-then-cant-connect")
    for person in ("alice", "alice", "alice", "bob"):
        post(echo, person)
    with socket.create_connection(("127.0.0.1", echo.port), timeout=10) as client:
        client.sendall(b"POST /bob/measure HTTP/1.1\r\nContent-Length: 9\r\n\r\n{")
        client.shutdown(socket.SHUT_WR)
        assert client.recv(100) == b""

    def count(query: str) -> dict[str, Any]:
        found = ask(echo, "GET", f"/api/count{query}").content
        return {name: number for name, number in found.items() if number}

    assert count("?stack=alice") == {
        "received": 2,
        "duplicates": 1,
        "refused": 1,
        "requests": 3,
        "faults": {"status": 1},
    }
    assert count("?stack=bob") == {
        "received": 1,
        "refused": 1,
        "requests": 2,
        "faults": {"accept-then-cant-connect": 1},
        "unknown": 1,
    }
    assert count("")["requests"] == 5
    assert count("")["faults"] == {"status": 1, "accept-then-cant-connect": 1}


def test_two_people_are_no_duplicate(echo: EchoServer) -> None:
    """The same indicator is a duplicate only where it comes twice through one stack."""
    for person in ("alice", "bob", "alice"):
        post(echo, person)
    assert [record.verdict for record in echo.received.records()] == ["ok", "ok", "dup"]


@pytest.mark.parametrize(
    ("stack", "fault", "end"),
    [
        ("alice", None, "  ok (stack alice)"),
        ("alice", "latency", "  ok (stack alice, fault latency)"),
        ("", "latency", "  ok (fault latency)"),
        ("", None, "  ok"),
        ("a\nb", None, "  ok (stack a\\nb)"),
    ],
)
def test_line_of_a_stack(stack: str, fault: str | None, end: str) -> None:
    """A printed line tells its stack after the verdict, and nothing where there is none."""
    ruling = Ruling(None, "ok", stored=True, stack=stack)
    assert line(Handled(time.time(), ruling, "ok", fault)).endswith(end)
