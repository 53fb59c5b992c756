"""The stand-in on a thread of the test: what it says of odd requests, and what its API tells."""

from __future__ import annotations

import json
import re
import socket
import threading
from contextlib import ExitStack
from typing import TYPE_CHECKING

import pytest

from ecolyo_worker.tools.dacc_echo import EchoServer
from ecolyo_worker.tools.twins.dacc import api
from ecolyo_worker.tools.twins.dacc.exchange import Ruling
from ecolyo_worker.tools.twins.dacc.nearest import Wanted
from ecolyo_worker.tools.twins.dacc.received import Received
from ecolyo_worker.tools.twins.dacc.record import Filter
from tests.integration.echo_asking import CONNECTION, Reply, ask

if TYPE_CHECKING:
    pass

TEXT = json.dumps(CONNECTION)
ABSENT = object()


def post(echo: EchoServer, **fields: object) -> Reply:
    changed = {
        name: value for name, value in {**CONNECTION, **fields}.items() if value is not ABSENT
    }
    return ask(echo, "POST", "/measure", json.dumps(changed))


def raw(echo: EchoServer, request: bytes) -> bytes:
    """Send bytes, and give all that comes back until the server closes."""
    with socket.create_connection(("127.0.0.1", echo.port), timeout=10) as client:
        client.sendall(request)
        return b"".join(iter(lambda: client.recv(65536), b""))


def verdicts(echo: EchoServer) -> list[str]:
    return [record.verdict for record in echo.received.records()]


@pytest.mark.parametrize(
    ("fields", "kept", "verdict"),
    [
        ({"value": True}, False, None),
        ({"value": 1e10}, False, None),
        ({"value": -1e10}, False, None),
        ({"value": 9999999999.999}, False, None),
        ({"value": float("inf")}, False, None),
        ({"value": "-Infinity"}, False, None),
        ({"startDate": "2022-01"}, False, None),
        ({"startDate": "13/04/2022"}, False, None),
        ({"createdBy": "e" * 101}, False, None),
        ({"group1": {"device": "e" * 101}}, False, None),
        ({"value": float("nan")}, True, "value is NaN, which stops the aggregation of the measure"),
        ({"value": "3"}, True, "value is text"),
        ({"value": 0.125}, True, "value has more than two decimals, the rest is cut"),
        (
            {"startDate": "2026-11-20T08:00:00"},
            True,
            "startDate has a time of day, which makes a bucket of its own",
        ),
        (
            {"group1": {"device": "x", "status": "y"}},
            True,
            "group1 has 2 keys, only the first is looked at",
        ),
        ({"group1": {"device": 1}}, True, "the value of group1 is no text"),
        ({"group1": {"device": ""}}, True, "the value of group1 is empty"),
        ({"instance": "alice"}, True, "the unknown field instance is ignored"),
        ({"createdBy": ABSENT}, True, "createdBy is missing or no text"),
        ({"value": "3", "a": 1}, True, "value is text; the unknown field a is ignored"),
    ],
)
def test_silent(
    echo: EchoServer,
    fields: dict[str, object],
    kept: bool,
    verdict: str | None,
) -> None:
    """What the DACC does not notice is answered 201, and kept only if its database would."""
    reply = post(echo, **fields)
    assert (reply.status, reply.content) == (201, {"ok": True})
    assert verdicts(echo) == [f"invalid: {verdict}"] * kept
    counts = echo.received.counts()
    assert (counts["received"], counts["refused"], counts["requests"]) == (kept, not kept, 1)


def test_silent_but_not_strict() -> None:
    """Not strict, even what the database would refuse is kept."""
    with EchoServer(strict=False) as echo:
        post(echo, value=True)
        assert verdicts(echo) == ["invalid: value is a boolean, which the database refuses"]


def test_no_object_but_not_strict() -> None:
    """Not strict, even what is no indicator at all is answered 201, kept and marked."""
    bodies = ["[]", "", "nonsense", "[]"]
    with EchoServer(strict=False) as echo:
        assert [ask(echo, "POST", "/measure", body).status for body in bodies] == [201] * 4
        assert ask(echo, "POST", "/remote/cc.cozycloud.dacc", '{"data": "[1]"}').status == 201
        told = ask(echo, "GET", "/api/indicators").content
        counts = echo.received.counts()
    assert {one["verdict"] for one in told} == {"invalid: the body is no JSON object"}
    assert [one["body"] for one in told] == [*bodies, "[1]"]
    assert [one["indicator"] for one in told] == [None] * 5
    assert (counts["received"], counts["duplicates"], counts["invalid"]) == (5, 1, 5)


def test_list_is_standard_json(echo: EchoServer) -> None:
    """An indicator that standard JSON cannot hold is listed as text, beside its own bytes."""
    post(echo, value=float("nan"), group1={"device": "\ud800é"})
    (record,) = ask(echo, "GET", "/api/indicators").content
    assert record["indicator"]["value"] == "NaN"
    assert '"value": NaN' in record["body"]


NO_VALUE = "a variable is used in the template, but no value was given"
NOT_VALID = "the variables are not valid"


NOT_FOUND = "the doctype has no request defined"
ENVELOPE = json.dumps({"data": TEXT})


@pytest.mark.parametrize(
    ("method", "doctype", "body", "status", "title", "detail"),
    [
        ("POST", "dacc", "{}", 400, "Bad request", NO_VALUE),
        ("POST", "dacc_v2", ENVELOPE, 400, "Bad request", NO_VALUE),
        ("POST", "dacc_v2", '{"path": "measure"}', 400, "Bad request", NO_VALUE),
        ("POST", "dacc", json.dumps({"data": CONNECTION}), 400, "Bad request", NOT_VALID),
        ("POST", "dacc", '{"data": null}', 400, "Bad request", NOT_VALID),
        ("POST", "dacc_v2", '{"data": "{}", "path": 1}', 400, "Bad request", NOT_VALID),
        ("POST", "dacc", '{"data": "{}", "more": 1}', 400, "Bad request", NOT_VALID),
        ("POST", "dacc", "data", 400, "Bad request", NOT_VALID),
        ("POST", "dacc", "[]", 400, "Bad request", NOT_VALID),
        ("POST", "dacc", "", 400, "Bad request", NOT_VALID),
        ("POST", "daccv_2", ENVELOPE, 404, "Not Found", NOT_FOUND),
        ("GET", "dacc", "", 405, "Method Not Allowed", "GET is not allowed on this endpoint"),
        ("PUT", "dacc_v2", "", 405, "Method Not Allowed", "PUT is not allowed on this endpoint"),
    ],
)
def test_stack(
    echo: EchoServer,
    method: str,
    doctype: str,
    body: str,
    status: int,
    title: str,
    detail: str,
) -> None:
    """What is wrong with an envelope is said by the stack, in its own words and form."""
    reply = ask(echo, method, f"/remote/cc.cozycloud.{doctype}", body)
    error = {"status": str(status), "title": title, "detail": detail, "source": {}}
    assert (reply.status, reply.content) == (status, {"errors": [error]})
    assert verdicts(echo) == []


def test_envelope_with_more(echo: EchoServer) -> None:
    """A key that an envelope must not have is marked, though the stack takes it."""
    envelope = json.dumps({"data": TEXT, "secret_token": "x", "path": "measure"})
    assert ask(echo, "POST", "/remote/cc.cozycloud.dacc", envelope).status == 201
    unknown = "the envelope has the unknown key"
    assert verdicts(echo) == [f"invalid: {unknown} path; {unknown} secret_token"]


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/measure", 405),
        ("PUT", "/measure", 405),
        ("BREW", "/measure", 405),
        ("GET", "/remote/cc.cozycloud.dacc", 405),
        ("PUT", "/", 405),
        ("POST", "/measures", 404),
        ("POST", "/measure/", 404),
        ("POST", "/remote/", 404),
        ("GET", "/favicon.ico", 404),
        ("POST", "/api/indicators", 405),
        ("GET", "/api/nothing", 404),
        ("POST", "/livez", 405),
    ],
)
def test_elsewhere(echo: EchoServer, method: str, path: str, status: int) -> None:
    """Another path is a 404 and another method a 405, both in JSON."""
    reply = ask(echo, method, path, TEXT)
    assert (reply.status, reply.headers["Content-Type"]) == (status, "application/json")
    assert isinstance(reply.content, dict)
    assert verdicts(echo) == []


def test_v2_path_elsewhere(echo: EchoServer) -> None:
    """A path other than ``measure`` in an envelope leads to the DACC's 404."""
    envelope = json.dumps({"data": TEXT, "path": "measures"})
    reply = ask(echo, "POST", "/remote/cc.cozycloud.dacc_v2", envelope)
    assert (reply.status, list(reply.content)) == (404, ["error"])


@pytest.mark.parametrize(
    ("request_bytes", "status"),
    [
        (b"POST /measure HTTP/1.1\r\nContent-Length: x\r\n\r\n", 400),
        (b"POST /measure HTTP/1.1\r\nContent-Length: -1\r\n\r\n", 400),
        (b"POST /measure HTTP/1.1\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\n{}", 400),
        (b"POST /measure HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n", 411),
        (b"POST /measure HTTP/1.1\r\nContent-Length: 2097152\r\n\r\n" + b" " * 2097152, 413),
        (b"PUT /api/fault HTTP/1.1\r\nContent-Length: 1048577\r\n\r\n", 413),
        (b"nonsense\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\nno header\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\n folded: x\r\n\r\n", 400),
        (b"GET /" + b"x" * 70_000, 414),
        (b"GET / HTTP/1.1\r\n" + b"a: b\r\n" * 101 + b"\r\n", 431),
        (b"GET / HTTP/1.1\r\na: " + b"b" * 70_000, 431),
    ],
)
def test_unreadable_request(echo: EchoServer, request_bytes: bytes, status: int) -> None:
    """A request that cannot be read is answered, in JSON, and the connection closed."""
    with socket.create_connection(("127.0.0.1", echo.port), timeout=10) as client:
        client.sendall(request_bytes)
        client.shutdown(socket.SHUT_WR)
        answer = b"".join(iter(lambda: client.recv(65536), b""))
    assert answer.startswith(f"HTTP/1.1 {status} ".encode())
    head, body = answer.split(b"\r\n\r\n", 1)
    assert b"\r\nConnection: close" in head
    assert list(json.loads(body)) == ["error"]


def test_requests_on_one_connection(echo: EchoServer) -> None:
    """A connection carries one request after the other until the client asks to close."""
    one = f"Content-Length: {len(TEXT)}\r\nContent-Type: application/json\r\n"
    first = f"POST /measure HTTP/1.1\r\n{one}\r\n{TEXT}".encode()
    last = f"POST /measure HTTP/1.1\r\n{one}Connection: close\r\n\r\n{TEXT}".encode()
    assert raw(echo, first * 3 + last).count(b"201 Created") == 4
    assert raw(echo, first.replace(b"1.1", b"1.0")).count(b"201 Created") == 1
    assert verdicts(echo) == ["ok", "dup", "dup", "dup", "dup"]


def test_body_on_request(echo: EchoServer) -> None:
    """A client that asks whether to send its body is told to go on."""
    length = f"Content-Length: {len(TEXT)}\r\nExpect: 100-continue\r\nConnection: close\r\n"
    request = f"POST /measure HTTP/1.1\r\nContent-Type: application/json\r\n{length}\r\n{TEXT}"
    answer = raw(echo, request.encode())
    assert answer.startswith(b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 201 Created\r\n")


def test_head(echo: EchoServer) -> None:
    """An answer to HEAD has no body."""
    assert raw(echo, b"HEAD /measure HTTP/1.0\r\n\r\n").endswith(b"\r\n\r\n")


def test_body_cut_short(echo: EchoServer) -> None:
    """A body that ends too soon is not answered, and counts as refused."""
    with socket.create_connection(("127.0.0.1", echo.port), timeout=10) as client:
        client.sendall(b"POST /measure HTTP/1.1\r\nContent-Length: 9\r\n\r\n{")
        client.shutdown(socket.SHUT_WR)
        assert client.recv(100) == b""
    assert echo.received.counts()["refused"] == 1


def test_list(echo: EchoServer) -> None:
    """The list keeps the order of arrival, and can be narrowed by measure and start date."""
    for day in ("2026-11-02", "2026-11-01", "2026-11-02"):
        post(echo, startDate=day)
    post(echo, measureName="profile-count-monthly", group1=ABSENT)

    def listed(query: str) -> list[int]:
        return [record["n"] for record in ask(echo, "GET", f"/api/indicators{query}").content]

    assert listed("") == listed("?measure=&startDate=") == [1, 2, 3, 4]
    assert listed("?measure=connection-count-daily") == [1, 2, 3]
    assert listed("?measure=connection-count-daily&startDate=2026-11-02") == [1, 3]
    assert listed("?startDate=2026-11-20") == [4]
    assert listed("?measure=quiz-stars") == []


def test_count() -> None:
    """Every request is either received or refused; the filter narrows what was received."""
    with EchoServer(clock=lambda: 0.0) as echo:
        echo.faults.replace("ok*3,status=503,accept-then-drop")
        post(echo)
        post(echo, startDate="2026-11-01")
        post(echo)
        post(echo)
        with pytest.raises(ConnectionError):
            post(echo, value=3)
        post(echo, value="x")
        assert ask(echo, "GET", "/api/count").content == {
            "received": 4,
            "duplicates": 1,
            "refused": 2,
            "too_fast": 0,
            "invalid": 1,
            "leaks": 0,
            "busiest_second": 6,
            "requests": 6,
            "faults": {"status": 1, "accept-then-drop": 1},
            "unknown": 1,
            "dropped": 0,
            "dropped_refused": 0,
            "lumped": 0,
        }
        narrowed = ask(echo, "GET", "/api/count?startDate=2026-11-01").content
        assert (narrowed["received"], narrowed["duplicates"], narrowed["unknown"]) == (1, 0, 0)


def test_equal_by_value(echo: EchoServer) -> None:
    """Duplicates are told by their JSON values: the order of keys is nothing, a type is much."""
    post(echo, group1={"device": "1"})
    ask(echo, "POST", "/measure", json.dumps(dict(reversed([*CONNECTION.items()]))))
    post(echo)
    post(echo, group1={"device": 1})
    assert [verdict.split(":")[0] for verdict in verdicts(echo)] == ["ok", "ok", "dup", "invalid"]


def test_wait(echo: EchoServer) -> None:
    """Waiting ends as soon as enough indicators are there, and not before."""
    replies: list[Reply] = []
    query = "/api/wait?n=2&measure=connection-count-daily&timeout=10"
    waiting = threading.Thread(target=lambda: replies.append(ask(echo, "GET", query)))
    waiting.start()
    post(echo, measureName="profile-count-monthly", group1=ABSENT)
    post(echo)
    assert replies == []
    post(echo)
    waiting.join()
    assert (replies[0].status, replies[0].content) == (200, {"count": 2})


def test_wait_in_vain(echo: EchoServer) -> None:
    """Waiting longer than the time-out is a 504, with a sentence and the count."""
    post(echo)
    reply = ask(echo, "GET", "/api/wait?n=2&timeout=0.01")
    assert (reply.status, reply.content) == (
        504,
        {
            "error": "waited for 2 indicators, there is 1 (timeout: 0.01 s); received: 1 (1 × "
            "connection-count-daily)",
            "count": 1,
            "nearest": [],
        },
    )


def test_empty(echo: EchoServer) -> None:
    """Deleting the indicators begins anew: numbers, counts, and what is known as a duplicate."""
    post(echo)
    assert ask(echo, "DELETE", "/api/indicators").content == {"deleted": 1}
    assert ask(echo, "GET", "/api/count").content["requests"] == 0
    post(echo)
    assert [(record.n, record.verdict) for record in echo.received.records()] == [(1, "ok")]


def test_live(echo: EchoServer) -> None:
    """It says that it lives."""
    assert ask(echo, "GET", "/livez").status == 200


@pytest.mark.parametrize(
    ("path", "sentence"),
    [
        (
            "/api/count?mesure=x",
            "there is no parameter 'mesure'; did you mean measure? allowed are: measure, ",
        ),
        (
            "/api/count?measure=a&measure=b",
            "measure is given more than once; allowed, once each, are: measure, ",
        ),
        (
            "/api/indicators?measure=quiz-star",
            "no measure is called 'quiz-star'; did you mean 'quiz-stars'?",
        ),
        ("/api/wait?measure=quiz-star", "no measure is called 'quiz-star'; did you mean"),
        ("/api/latest?measure=quiz-star", "no measure is called 'quiz-star'; did you mean"),
        ("/api/cells?measure=quiz-star", "no measure is called 'quiz-star'; did you mean"),
        ("/api/count?startDate=2026-13-45", "startDate is '2026-13-45'; allowed are days, as in"),
        ("/api/wait?startDate=2022-01", "startDate is '2022-01'; allowed are days, as in"),
        ("/api/wait?n=x", "n is 'x'; allowed are whole numbers"),
        ("/api/wait?n=-1", "n is '-1'; allowed are whole numbers"),
        ("/api/wait?timeout=nan", "timeout is 'nan'; allowed are seconds up to 3600"),
        ("/api/wait?timeout=soon", "timeout is 'soon'; allowed are seconds up to 3600"),
        ("/livez?a=b", "there is no parameter 'a'; allowed are: none"),
    ],
)
def test_wrong_query(echo: EchoServer, path: str, sentence: str) -> None:
    """A query that is not understood is a 400 which says what is."""
    reply = ask(echo, "GET", path)
    assert reply.status == 400
    assert reply.content["error"].startswith(sentence)


def test_table_of_the_api(echo: EchoServer) -> None:
    """The table of the API names every path and method there is, and no other."""
    assert api.__doc__ is not None
    table = re.findall(r"^``([A-Z]+) (/[a-z/]+)``", api.__doc__, re.MULTILINE)
    paths = list(dict.fromkeys(path for _, path in table))
    refused = ask(echo, "GET", "/api/nothing").content["error"]
    assert refused == f"there is only {', '.join(paths)}"
    for path in paths:
        allowed = ask(echo, "BREW", path).headers["Allow"].split(", ")
        assert sorted(allowed) == sorted(method for method, named in table if named == path)


def test_stop() -> None:
    """Stopping leaves no port, no connection and no thread, whatever is under way."""
    before = set(threading.enumerate())
    with EchoServer(fault="latency=1h") as echo, ExitStack() as clients:
        address = ("127.0.0.1", echo.port)
        busy, idle = (
            clients.enter_context(socket.create_connection(address, timeout=10)) for _ in range(2)
        )
        headers = f"Content-Type: application/json\r\nContent-Length: {len(TEXT)}\r\n"
        busy.sendall(f"POST /measure HTTP/1.1\r\n{headers}\r\n{TEXT}".encode())
        assert echo.received.wait(1, Wanted(), 10) == (True, 1)
        idle.sendall(b"GET /livez HTTP/1.1\r\n\r\n")
        assert idle.recv(10_000).startswith(b"HTTP/1.1 200 OK\r\n")
        echo.stop()
        assert idle.recv(10_000) == b""
        assert set(threading.enumerate()) <= before
        with pytest.raises(ConnectionRefusedError):
            socket.create_connection(address, timeout=10)


def test_shows_itself(echo: EchoServer) -> None:
    """Its repr tells where it listens and what it counted."""
    post(echo)
    assert repr(echo).startswith(f"<EchoServer {echo.url} <Received {{'received': 1, ")


@pytest.mark.parametrize("limits", [{"most_records": 2}, {"most_characters": 2 * len(TEXT) + 100}])
def test_bounded_memory(limits: dict[str, int]) -> None:
    """Older records make room for newer ones, which is counted; the counts themselves stay."""
    received = Received(**limits)
    for value in (1, 2, 3):
        indicator = {**CONNECTION, "value": value}
        ruling = Ruling(None, "ok", stored=True, text=json.dumps(indicator), indicator=indicator)
        received.add(ruling)
    assert [record.n for record in received.records()] == [2, 3]
    counts = received.counts()
    assert (counts["received"], counts["dropped"]) == (3, 1)


def test_dropped_refusals_are_counted() -> None:
    """Refused requests that made room are counted, too, and are no dropped indicators."""
    received = Received(most_refused=2)
    for _ in range(5):
        received.add(Ruling(None, "refused: 404", stack="alice"))
    counts = received.counts(Filter(stack="alice"))
    assert (counts["refused"], counts["dropped_refused"], counts["dropped"]) == (5, 3, 0)


def test_bounded_names() -> None:
    """However many and long the names are, so many are counted apart, and the sums are right."""
    received = Received(most_names=2)
    for n in range(5):
        indicator = {**CONNECTION, "measureName": f"m{n}", "startDate": f"{n}" + "x" * 999}
        received.add(Ruling(None, "ok", stored=True, indicator=indicator, stack=f"s{n}"))
    counts = received.counts()
    assert (counts["received"], counts["requests"], counts["lumped"]) == (5, 5, 3)
    assert received.counts(Filter(start_date="1" + "x" * 999))["received"] == 1
    assert received.counts(Filter(stack="s1"))["requests"] == 1
    assert dict(received.by_measure()) == {"m0": 1, "m1": 1, "(others)": 3}


def test_long_dates_take_room() -> None:
    """A record takes the room of what was read out of it, too."""
    received = Received(most_characters=3000)
    for n in range(3):
        indicator = {**CONNECTION, "startDate": f"{n}" + "x" * 1500}
        received.add(Ruling(None, "ok", stored=True, indicator=indicator))
    assert received.counts()["dropped"] == 2
