"""What the stand-in remembers of all requests, who waits for them, and what Metabase would show."""

from __future__ import annotations

import http.client
import json
import threading
from typing import TYPE_CHECKING, Any

import pytest

from ecolyo_worker.tools.dacc_echo import EchoServer
from ecolyo_worker.tools.twins.dacc.exchange import Ruling
from ecolyo_worker.tools.twins.dacc.nearest import Wanted
from ecolyo_worker.tools.twins.dacc.received import Received
from tests.integration.echo_asking import GOOD, MONTHLY, Reply, ask

if TYPE_CHECKING:
    from collections.abc import Mapping


def post(echo: EchoServer, base: Mapping[str, Any] = GOOD, **fields: object) -> int:
    return ask(echo, "POST", "/measure", json.dumps({**base, **fields})).status


def requests(echo: EchoServer) -> list[dict[str, Any]]:
    return [json.loads(line) for line in ask(echo, "GET", "/api/requests").text.splitlines()]


def test_latest(echo: EchoServer) -> None:
    """The latest indicator is given, of all or of those that are asked for."""
    assert ask(echo, "GET", "/api/latest").status == 404
    post(echo, MONTHLY)
    post(echo, value=3)
    post(echo, value="x")
    assert ask(echo, "GET", "/api/latest").content["indicator"]["value"] == 3
    monthly = ask(echo, "GET", "/api/latest?measure=profile-count-monthly").content
    assert (monthly["n"], monthly["indicator"]) == (1, MONTHLY)
    assert ask(echo, "GET", "/api/latest?startDate=2026-01-01").status == 404


def test_ndjson(echo: EchoServer) -> None:
    """As NDJSON each indicator is one line, however it was written, in a file to be saved."""
    ask(echo, "POST", "/measure", json.dumps(GOOD, indent=2).replace("\n", "\r\n"))
    post(echo, MONTHLY)
    reply = ask(echo, "GET", "/api/indicators?format=ndjson")
    lines = [json.loads(line) for line in reply.text.splitlines()]
    assert [line["indicator"] for line in lines] == [GOOD, MONTHLY]
    assert lines == ask(echo, "GET", "/api/indicators").content
    assert reply.headers["Content-Type"] == "application/x-ndjson"
    assert reply.headers["Content-Disposition"] == 'attachment; filename="indicators.ndjson"'
    narrowed = ask(echo, "GET", "/api/indicators?format=ndjson&startDate=2026-11-01").text
    assert [json.loads(line)["n"] for line in narrowed.splitlines()] == [2]
    wrong = ask(echo, "GET", "/api/indicators?format=csv")
    assert (wrong.status, wrong.content["error"]) == (
        400,
        "format is 'csv'; allowed are json and ndjson",
    )


def test_ready(echo: EchoServer) -> None:
    """It says that it is ready."""
    reply = ask(echo, "GET", "/readyz")
    assert (reply.status, reply.content) == (200, {"ok": True})


def test_every_request_is_remembered(echo: EchoServer) -> None:
    """Refused requests are remembered beside those that were stored, with what was answered."""
    echo.faults.replace("ok*3,status=503,drop")
    post(echo)
    post(echo, value="x")
    post(echo)
    post(echo)
    with pytest.raises(ConnectionError):
        post(echo)
    ask(echo, "GET", "/nowhere")
    ask(echo, "POST", "/api/nowhere")
    told = [(r["seq"], r["n"], r["verdict"], r["status"], r["sameAs"]) for r in requests(echo)]
    assert told == [
        (1, 1, "ok", 201, 0),
        (2, 0, "invalid: value type is incorrect, it must be a number", 400, 0),
        (3, 2, "dup", 201, 1),
        (4, 0, "fault: status=503", 503, 0),
        (5, 0, "fault: drop", 0, 0),
        (6, 0, "refused: 404 nothing is here; try /measure or /remote/cc.cozycloud.dacc", 404, 0),
    ]
    assert requests(echo)[2]["answer"] == '{"ok": true}'
    assert requests(echo)[4]["answer"] is None


def test_one_request(echo: EchoServer) -> None:
    """Of one request all is told: its bytes, its headers, its wire form, the indicator decoded."""
    body = json.dumps({"data": json.dumps(GOOD), "path": "measure"})
    ask(echo, "POST", "/alice/remote/cc.cozycloud.dacc_v2", body, **{"X-Odd": "é"})
    told = ask(echo, "GET", "/api/requests?seq=1").content
    assert (told["method"], told["path"]) == ("POST", "/alice/remote/cc.cozycloud.dacc_v2")
    assert (told["target"], told["stack"]) == ("cozy-v2", "alice")
    assert (told["raw"], told["body"], told["indicator"]) == (body, json.dumps(GOOD), GOOD)
    assert ["X-Odd", "é"] in told["headers"]
    assert ["Content-Length", str(len(body))] in told["headers"]
    missing = ask(echo, "GET", "/api/requests?seq=2")
    assert (missing.status, missing.content) == (
        404,
        {"error": "request 2 is not kept, or never came"},
    )


def test_no_credential_is_told(echo: EchoServer) -> None:
    """Of a token only its scheme and length are told."""
    headers = {"Authorization": "Bearer s3cret", "Cookie": "s3cret"}
    ask(echo, "POST", "/measure", json.dumps(GOOD), **headers)
    told = ask(echo, "GET", "/api/requests").text
    assert "s3cret" not in told
    assert ["Authorization", "Bearer ••• (length 6)"] in json.loads(told)["headers"]
    assert ["Cookie", "••• (length 6)"] in json.loads(told)["headers"]


def test_unreadable_request_is_remembered(echo: EchoServer) -> None:
    """What is no request at all is remembered with the reason why not."""
    connection = http.client.HTTPConnection("127.0.0.1", echo.port, timeout=10)
    connection.connect()
    connection.sock.sendall(b"\x16\x03\x01 hello\r\n\r\n")
    assert connection.sock.recv(100).startswith(b"HTTP/1.1 400 ")
    connection.close()
    (told,) = requests(echo)
    assert told["verdict"] == "refused: 400 the request line must be METHOD PATH HTTP/1.1"


@pytest.mark.parametrize("body", ["", "[" * 100_000, "\ud800", '{"value": 1' + "0" * 400 + "}"])
def test_odd_bodies_are_told(echo: EchoServer, body: str) -> None:
    """Whatever the body is, the request can be listed."""
    connection = http.client.HTTPConnection("127.0.0.1", echo.port, timeout=10)
    sent = body.encode("utf-8", "surrogatepass")
    connection.request("POST", "/measure", sent, {"Content-Type": "application/json"})
    assert connection.getresponse().status == 500
    connection.close()
    (told,) = requests(echo)
    assert told["raw"] == sent.decode("utf-8", "backslashreplace")


def test_refusals_have_room_of_their_own() -> None:
    """A storm of refusals drives out no indicator, and is itself bounded."""
    received = Received(most_records=2, most_refused=3)
    received.add(Ruling(None, "ok", stored=True, text="{}", indicator=dict(MONTHLY)))
    for _ in range(9):
        received.add(Ruling(None, "refused: 503 …"))
    assert [record.seq for record in received.requests()] == [1, 8, 9, 10]
    assert received.counts()["refused"] == 9


def test_clear_forgets_requests_too(echo: EchoServer) -> None:
    """Beginning anew forgets what was refused, and the cells."""
    post(echo)
    post(echo, value="x")
    ask(echo, "DELETE", "/api/indicators")
    assert requests(echo) == []
    assert ask(echo, "GET", "/api/cells").content == []


WAITED = "waited for 1 indicator, there are 0 (timeout: 0 s)"


@pytest.mark.parametrize(
    ("query", "reached"),
    [
        ("measure=konnector-event-daily", True),
        ("startDate=2026-11-20&value=2", True),
        ("value=2.0", True),
        ("group1=enedis&group3=error", True),
        ("group1=2", False),
        ("group2=error", False),
        ("group1Key=slug&group3Key=status", True),
        ("group1Key=status", False),
        ("value=3", False),
        ("stack=alice", False),
    ],
)
def test_wait_for_one(echo: EchoServer, query: str, reached: bool) -> None:
    """An indicator can be waited for by each of its fields, a number by what it is worth."""
    post(echo)
    reply = ask(echo, "GET", f"/api/wait?timeout=0&{query}")
    assert reply.status == (200 if reached else 504)


def test_wait_for_what_comes(echo: EchoServer) -> None:
    """What is waited for is recognised when it comes, across a clearing, each one but once."""
    post(echo)
    replies: list[Reply] = []
    path = "/api/wait?n=2&group3=success&timeout=10"
    waiting = threading.Thread(target=lambda: replies.append(ask(echo, "GET", path)))
    waiting.start()
    post(echo, group3={"status": "success"})
    ask(echo, "DELETE", "/api/indicators")
    post(echo)
    post(echo, group3={"status": "success"})
    assert replies == []
    post(echo, group3={"status": "success"})
    waiting.join()
    assert (replies[0].status, replies[0].content) == (200, {"count": 2})


def test_nearest(echo: EchoServer) -> None:
    """A time-out names the indicators that came nearest, the nearest first, and what differs."""
    post(echo, MONTHLY)
    post(echo, startDate="2026-11-19", group3={"status": "success"})
    post(echo, value=3)
    post(echo, value=3)
    post(echo, measureName="konnector-event-dayly")
    query = "measure=konnector-event-daily&startDate=2026-11-20&value=2&group3=error&timeout=0"
    told = ask(echo, "GET", f"/api/wait?{query}").content
    groups = "slug=enedis event_type=connexion status"
    assert told["error"] == (
        f"{WAITED}; nearest: konnector-event-dayly 2026-11-20 2 {groups}=error (measure is"
        " konnector-event-dayly, not konnector-event-daily; invalid: No measure definition found"
        f" for: konnector-event-dayly), konnector-event-daily 2026-11-20 3 {groups}=error"
        f" (value is 3, not 2), konnector-event-daily 2026-11-19 2 {groups}=success"
        " (startDate is 2026-11-19, not 2026-11-20; group3 is success, not error)"
    )
    first, second, _ = told["nearest"]
    assert (first["n"], first["verdict"].split(":")[0]) == (None, "invalid")
    assert (second["n"], second["seq"], second["differs"]) == (4, 4, {"value": "3"})


def test_nearest_is_what_was_refused(echo: EchoServer) -> None:
    """What fits and was refused is named with the reason."""
    echo.faults.replace("status=503")
    post(echo, MONTHLY)
    told = ask(echo, "GET", "/api/wait?timeout=0&measure=profile-count-monthly").content
    assert told["error"] == (
        f"{WAITED}; nearest: profile-count-monthly 2026-11-01 1 (fault: status=503)"
    )
    told = ask(echo, "GET", "/api/wait?timeout=0").content
    refused = "refused: 1 (1 × fault: status=503); faults played: 1 (1 × status=503)"
    assert told["error"] == f"{WAITED}; received: nothing; {refused}"
    assert told["nearest"] == []


def test_nothing_is_near(echo: EchoServer) -> None:
    """Where nothing came, nothing is near."""
    told = ask(echo, "GET", "/api/wait?timeout=0&value=1").content
    assert told == {"error": f"{WAITED}; received: nothing", "count": 0, "nearest": []}


def test_wait_counts_what_was_dropped() -> None:
    """By its measure alone an indicator counts even when it had to make room."""
    received = Received(most_records=1)
    for value in (1, 2, 3):
        indicator = {**MONTHLY, "value": value}
        received.add(Ruling(None, "ok", stored=True, text="", indicator=indicator))
    assert received.wait(3, Wanted(measure="profile-count-monthly"), 0) == (True, 3)


def cells(echo: EchoServer, query: str = "") -> list[tuple[object, ...]]:
    found = ask(echo, "GET", f"/api/cells{query}").content
    return [
        (
            cell["startDate"],
            *cell["groups"],
            cell["count"],
            cell["sum"],
            cell["average"],
            cell["shown"],
        )
        for cell in found
    ]


def test_cells(echo: EchoServer) -> None:
    """Rows of one measure, date and groups make one cell, which shows from five rows on."""
    for value in (1, 2, 0.1, 0.2, 3.333):
        post(echo, MONTHLY, value=value)
    post(echo, MONTHLY, startDate="2026-12-01", value=-1)
    assert cells(echo) == [
        ("2026-11-01", 5, 6.63, 1.326, True),
        ("2026-12-01", 1, -1, -1, False),
    ]
    post(echo)
    assert len(cells(echo)) == 3
    assert cells(echo, "?measure=konnector-event-daily&startDate=2026-11-20") == [
        ("2026-11-20", *GOOD_GROUPS, 1, 2, 2, False)
    ]


GOOD_GROUPS = [{"slug": "enedis"}, {"event_type": "connexion"}, {"status": "error"}]


def test_cells_of_their_own(echo: EchoServer) -> None:
    """A number is another group value than its text, and a time of day makes a cell of its own."""
    base = {**GOOD, "measureName": "quiz-stars"}
    del base["group3"]
    for quiz in (1, "1"):
        post(echo, base, group1={"challenge_id": "C", "more": 1}, group2={"quiz_id": quiz})
    post(echo, MONTHLY, startDate="2026-11-01T08:00:00")
    groups = [cell["groups"] for cell in ask(echo, "GET", "/api/cells?measure=quiz-stars").content]
    assert sorted(map(str, groups)) == sorted(
        str([{"challenge_id": "C"}, {"quiz_id": quiz}]) for quiz in (1, "1")
    )
    assert len(cells(echo)) == 3


def test_cells_stopped(echo: EchoServer) -> None:
    """A NaN stops the aggregation of its measure, and of no other."""
    post(echo, MONTHLY, value=float("nan"))
    post(echo, MONTHLY, startDate="2026-12-01")
    post(echo)
    found = ask(echo, "GET", "/api/cells").content
    assert [(cell["measure"], cell["stopped"], cell["count"]) for cell in found] == [
        ("konnector-event-daily", False, 1),
        ("profile-count-monthly", True, 1),
        ("profile-count-monthly", True, 1),
    ]


@pytest.mark.parametrize(
    "fields",
    [{"value": True}, {"value": 1e10}, {"value": "x"}, {"value": None}, {"startDate": "2026-11"}],
)
def test_no_cell_without_a_row(fields: dict[str, object]) -> None:
    """What the DACC would refuse is in no cell, even if it is taken for once."""
    with EchoServer(strict=False) as echo:
        assert post(echo, MONTHLY, **fields) == 201
        assert cells(echo) == []


def test_cells_forget_what_is_dropped() -> None:
    """What made room for others is in no cell any more, and leaves no trace in a sum."""
    received = Received(most_records=2)
    for value in (0.1, 0.2, 0.7):
        indicator = {**MONTHLY, "value": value}
        received.add(Ruling(None, "ok", stored=True, text="", indicator=indicator))
    received.add(Ruling(None, "ok", stored=True, text="", indicator=dict(GOOD)))
    assert [(cell["count"], cell["sum"]) for cell in received.cells()] == [(1, 2), (1, 0.7)]
