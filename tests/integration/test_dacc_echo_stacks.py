"""Several stacks behind one stand-in, told apart by what stands before their paths."""

from __future__ import annotations

import json
import socket
import time
from typing import TYPE_CHECKING, Any

import pytest

from ecolyo_worker.tools.dacc_echo import EchoServer
from ecolyo_worker.tools.twins.dacc.exchange import Ruling
from ecolyo_worker.tools.twins.dacc.lines import Handled, line
from tests.integration.echo_asking import MONTHLY, Reply, ask

if TYPE_CHECKING:
    from collections.abc import Iterator

TEXT = json.dumps(MONTHLY)
ENVELOPE = json.dumps({"data": TEXT})


@pytest.fixture
def echo() -> Iterator[EchoServer]:
    with EchoServer(seed=1) as server:
        yield server


def bearer(token: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {token}"} if token else {}


def post(echo: EchoServer, person: str, token: str = "") -> Reply:
    return ask(echo, "POST", f"/{person}/remote/cc.cozycloud.dacc", ENVELOPE, **bearer(token))


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
    for length, answer in ((b"9", b""), (b"x", b"HTTP/1.1 400 ")):
        with socket.create_connection(("127.0.0.1", echo.port), timeout=10) as client:
            client.sendall(b"POST /bob/measure HTTP/1.1\r\nContent-Length: %s\r\n\r\n{" % length)
            client.shutdown(socket.SHUT_WR)
            assert client.recv(13) == answer

    def count(query: str) -> dict[str, Any]:
        found = ask(echo, "GET", f"/api/count{query}").content
        del found["busiest_second"]
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
        "refused": 2,
        "requests": 3,
        "faults": {"accept-then-cant-connect": 1},
        "unknown": 1,
    }
    assert count("")["requests"] == 6
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


def statuses(echo: EchoServer, person: str, count: int) -> list[int]:
    return [post(echo, person).status for _ in range(count)]


def test_fault_of_a_stack(echo: EchoServer) -> None:
    """A stack's own plan is met by its requests alone, and they meet no other until its end."""
    echo.faults.replace("status=500*2")
    reply = ask(echo, "PUT", "/api/fault?stack=alice", "status=503*2,cant-connect")
    assert (reply.status, reply.content) == (
        200,
        {"fault": "status=503*2,cant-connect", "stack": "alice"},
    )
    assert statuses(echo, "bob", 1) == [500]
    assert statuses(echo, "alice", 4) == [503, 503, 502, 500]
    assert statuses(echo, "bob", 1) == [201]


def test_general_faults_after_those_of_a_stack(echo: EchoServer) -> None:
    """What is set for all is met by all, by stacks that have, or once had, faults of their own."""
    for name in ("alice", "bob"):
        ask(echo, "PUT", f"/api/fault?stack={name}", "cant-connect*2")
    assert statuses(echo, "alice", 2) == [502, 502]
    assert echo.stacks.faults_left() == {"": "ok", "bob": "cant-connect*2"}
    ask(echo, "PUT", "/api/fault", "status=500*4")
    assert statuses(echo, "alice", 2) == statuses(echo, "bob", 2) == [500, 500]
    assert statuses(echo, "alice", 1) == [201]


def test_a_stack_that_is_kept_well(echo: EchoServer) -> None:
    """Where it goes well for ever, a stack meets no fault of all."""
    echo.faults.replace("status=500*2")
    ask(echo, "PUT", "/api/fault?stack=alice", "ok@100%")
    assert statuses(echo, "alice", 3) == [201, 201, 201]
    assert statuses(echo, "bob", 1) == [500]


def test_fault_of_a_stack_removed(echo: EchoServer) -> None:
    """With an empty specification a stack goes by the general plan again, which has none."""
    ask(echo, "PUT", "/api/fault", "status=500*9")
    ask(echo, "PUT", "/api/fault?stack=alice", "status=503*9")
    assert statuses(echo, "alice", 1) == [503]
    assert ask(echo, "PUT", "/api/fault?stack=alice").status == 200
    assert statuses(echo, "alice", 1) == [500]
    assert ask(echo, "PUT", "/api/fault").content == {"fault": "ok"}


def test_draws_of_a_stack(echo: EchoServer) -> None:
    """What a stack draws does not depend on how many requests others made meanwhile."""
    spec = "status=503@50%"
    echo.faults.replace(spec)

    def drawn(others: int) -> list[int]:
        reply = ask(echo, "PUT", "/api/fault?stack=alice", spec)
        assert reply.content == {"fault": spec, "stack": "alice", "seed": 1}
        found = []
        for _ in range(12):
            found += statuses(echo, "alice", 1)
            statuses(echo, "bob", others)
        return found

    assert set(drawn(0)) == {201, 503}
    assert drawn(0) == drawn(1)


def test_wrong_fault_of_a_stack(echo: EchoServer) -> None:
    """A wrong specification changes nothing for a stack either."""
    ask(echo, "PUT", "/api/fault?stack=alice", "status=503")
    reply = ask(echo, "PUT", "/api/fault?stack=alice", "statsu=503")
    assert reply.status == 400
    assert reply.content["error"].startswith("'statsu' is no fault; did you mean status? ")
    assert statuses(echo, "alice", 1) == [503]


def test_token_of_a_stack(echo: EchoServer) -> None:
    """One stack's token can expire while the others' go on, and none can be demanded of one."""
    assert ask(echo, "PUT", "/api/token", "old").content == {"demanded": True}
    changed = ask(echo, "PUT", "/api/token?stack=alice", "new\n")
    assert changed.content == {"demanded": True, "stack": "alice"}
    assert (post(echo, "alice", "old").status, post(echo, "bob", "old").status) == (400, 201)
    assert (post(echo, "alice", "new").status, post(echo, "bob", "new").status) == (201, 400)
    freed = ask(echo, "PUT", "/api/token?stack=alice")
    assert freed.content == {"demanded": False, "stack": "alice"}
    assert (post(echo, "alice").status, post(echo, "bob").status) == (201, 401)
    ask(echo, "PUT", "/api/token")
    assert post(echo, "bob").status == 201


def test_token_of_a_native_path(echo: EchoServer) -> None:
    """A token set on the way is demanded by the DACC itself as well."""
    ask(echo, "PUT", "/api/token?stack=alice", "secret")
    assert ask(echo, "POST", "/measure", TEXT).status == 201
    assert ask(echo, "POST", "/alice/measure", TEXT, **bearer("secret")).status == 201
    echo.stacks.set_token("other", "alice")
    head = b"POST /alice/measure HTTP/1.0\r\nAuthorization: Bearer secret\r\n\r\n"
    with socket.create_connection(("127.0.0.1", echo.port), timeout=10) as client:
        client.sendall(head)
        assert client.recv(100).startswith(b"HTTP/1.1 401 Unauthorized\r\n")


@pytest.mark.parametrize("token", ["a b", "\u00e9", "a\nb"])
def test_wrong_token(echo: EchoServer, token: str) -> None:
    """What no header could carry is refused as a token, and the old one stays."""
    ask(echo, "PUT", "/api/token", "old")
    reply = ask(echo, "PUT", "/api/token", token.encode())
    assert (reply.status, reply.content) == (
        400,
        {"error": "a token is printable ASCII without blanks"},
    )
    assert post(echo, "alice", "old").status == 201


def test_stacks_show_themselves(echo: EchoServer) -> None:
    """Its repr tells which stacks have something of their own, and no token."""
    echo.stacks.set_token("secret", "alice")
    echo.stacks.set_fault("reset", "bob")
    assert repr(echo.stacks) == "<Stacks tokens=['alice'] plans={'bob': <FaultPlan reset*1>}>"


def test_what_is_set_can_be_asked() -> None:
    """What is set, what is left of it and whether a token is demanded is told, never the token."""
    with EchoServer(fault="status=503*2,reset", token="s3cret") as echo:
        ask(echo, "POST", "/measure", "{}")
        ask(echo, "PUT", "/api/fault?stack=alice", "drop@50%")
        ask(echo, "PUT", "/api/token?stack=alice", "")
        spec = {"fault": "status=503*2,reset", "left": "status=503*1,reset*1"}
        assert ask(echo, "GET", "/api/fault").content == spec
        assert ask(echo, "GET", "/api/fault?stack=bob").content == {**spec, "stack": "bob"}
        own = {"fault": "drop@50%", "left": "drop@50%", "stack": "alice", "seed": echo.seed}
        assert ask(echo, "GET", "/api/fault?stack=alice").content == own
        assert ask(echo, "GET", "/api/token").content == {"demanded": True}
        told = {"demanded": False, "stack": "alice"}
        assert ask(echo, "GET", "/api/token?stack=alice").content == told
        assert ask(echo, "PUT", "/api/fault", "").status == 200
        assert ask(echo, "GET", "/api/fault").content == {"fault": "ok", "left": "ok"}
