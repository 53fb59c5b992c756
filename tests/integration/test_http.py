"""The HTTP face: what it takes, what it answers, and whom it lets in."""

import io
import json
import logging
import signal
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import anyio
import httpx
import pytest
import structlog

from .conftest import TOKEN, Serve, Served

Event = Callable[..., dict[str, Any]]

ALICE = "/v1/instances/alice.example"
AT = "2026-11-20T10:00"
CONSENT = {"version": "1.0.0", "accepted_at": "2026-01-05T10:00:00"}
GOOD = json.dumps({"type": "NavigationEvent", "eventDate": AT}).encode()
NAMED = json.dumps({"type": "NavigationEvent", "eventDate": AT, "instance": "b.example"}).encode()
BAD = b'{"type": "NoEvent", "eventDate": "2026-11-20T10:00"}'


def content(directory: Path) -> bytes:
    return b"".join(path.read_bytes() for path in directory.iterdir())


@pytest.mark.parametrize(
    ("body", "kind", "accepted", "refused"),
    [
        (GOOD, "application/json", 1, []),
        (b"\xef\xbb\xbf \n" + GOOD, "application/json", 1, []),
        (b"[" + GOOD + b"," + BAD + b",5," + NAMED + b"]", "application/json", 2, [1, 2]),
        (GOOD + b"\n" + BAD + b"\r\n\n" + NAMED + b"\n", "application/json", 2, [1, 2]),
        (b"{bad\n" + GOOD, "application/x-ndjson; charset=utf-8", 1, [0]),
        (b'{"type": "NavigationEvent",\n"eventDate": "2026-11-20T10:00"}', "text/plain", 1, []),
        (b"[]", "application/json", 0, []),
    ],
)
async def test_events_come_in_three_forms(
    client: httpx.AsyncClient, body: bytes, kind: str, accepted: int, refused: list[int]
) -> None:
    """An object, an array or NDJSON is taken; what is refused is named by its place, 200."""
    headers = {"content-type": kind}
    done = await client.post("/v1/events?instance=a.example", content=body, headers=headers)
    found = done.json()
    assert (done.status_code, found["accepted"], found["known"]) == (200, accepted, 0)
    assert [item["index"] for item in found["refused"]] == refused
    assert all(set(item) == {"index", "field", "reason"} for item in found["refused"])


@pytest.mark.parametrize("query", ["?instnce=a", "?instance=a&instance=b", "?instance=a&x=1"])
async def test_another_query_is_refused(client: httpx.AsyncClient, query: str) -> None:
    """A misspelt or doubled parameter is told, and nothing is stored."""
    done = await client.post(f"/v1/events{query}", content=GOOD)
    assert (done.status_code, done.json()["error"]["code"]) == (400, "invalid_query")
    assert "allowed: instance, once" in done.json()["error"]["message"]


async def test_accepted_means_on_disk(client: httpx.AsyncClient, state_dir: Path) -> None:
    """When the answer comes, another process finds the events; the same again is known."""
    done = await client.post("/v1/events?instance=a.example", content=GOOD[:-1] + b', "_id": "x"}')
    with closing(sqlite3.connect(state_dir / "ecolyo.db")) as other:
        assert other.execute("SELECT id FROM events").fetchall() == [("x",)]
    assert done.json() == {"accepted": 1, "known": 0, "refused": []}
    done = await client.post("/v1/events?instance=a.example", content=GOOD[:-1] + b', "_id": "x"}')
    assert done.json() == {"accepted": 0, "known": 1, "refused": []}


@pytest.mark.parametrize(
    ("body", "query", "field"),
    [
        (BAD, "?instance=a.example", "type"),
        (b"[" + BAD + b"," + BAD + b"]", "?instance=a.example", "type"),
        (GOOD, "", "instance"),
        (GOOD, "?instance=A/b", "instance"),
        (b"5", "?instance=a.example", ""),
        (b'{"a": "\xff"}', "?instance=a.example", ""),
        (b"[" + b'{"x": ' * 30 + b"1" + b"}" * 30 + b"]", "?instance=a.example", "type"),
        (GOOD[:-1] + b', "x": "' + b"x" * 70_000 + b'"}', "?instance=a.example", ""),
        (GOOD[:-1] + b', "result": ' + b"9" * 400 + b"}", "?instance=a.example", "result"),
    ],
)
async def test_when_none_is_taken(
    client: httpx.AsyncClient, body: bytes, query: str, field: str
) -> None:
    """If every event was refused, the same body comes with 422."""
    done = await client.post(f"/v1/events{query}", content=body)
    assert done.status_code == 422
    found = done.json()
    assert (found["accepted"], found["known"]) == (0, 0)
    assert {item["field"] for item in found["refused"]} == {field}


@pytest.mark.parametrize(
    ("body", "status", "code"),
    [
        (b"", 400, "invalid_json"),
        (b" \n", 400, "invalid_json"),
        (b"{", 400, "invalid_json"),
        (b"[1,", 400, "invalid_json"),
        (b'{"value": NaN}', 400, "invalid_json"),
        (b"[" * 100_000, 400, "invalid_json"),
        (b"[" + b"1," * 10_000 + b"1]", 413, "too_many"),
    ],
)
async def test_what_is_no_json_is_refused_as_a_whole(
    client: httpx.AsyncClient, body: bytes, status: int, code: str
) -> None:
    """A body that cannot be read is one error with a code and a sentence."""
    done = await client.post("/v1/events?instance=a.example", content=body)
    assert done.status_code == status
    assert done.json()["error"]["code"] == code
    assert set(done.json()["error"]) == {"code", "message", "details"}


async def test_a_packed_body_is_refused(client: httpx.AsyncClient) -> None:
    """A compressed body is refused before it is read, because nothing bounds what is in it."""
    done = await client.post("/v1/events", content=GOOD, headers={"content-encoding": "gzip"})
    assert (done.status_code, done.json()["error"]["code"]) == (415, "unsupported_encoding")


async def test_in_mode_off_no_event_is_taken(serve: Serve) -> None:
    """In mode off events are not wrong, they are not wanted: 409."""
    async with serve(mode="off") as served, served.client() as client:
        done = await client.post("/v1/events?instance=a.example", content=GOOD)
        assert (done.status_code, done.json()["error"]["code"]) == (409, "mode_off")


async def test_a_full_disk_says_when_to_come_again(
    served: Served, client: httpx.AsyncClient
) -> None:
    """If nothing can be stored the answer is 503 with Retry-After, and nothing is half stored."""

    def limit(connection: sqlite3.Connection, pages: int) -> None:
        connection.execute(f"PRAGMA max_page_count = {pages}")

    many = [{"type": "NavigationEvent", "eventDate": AT, "target": "x" * 200} for _ in range(999)]
    await served.worker.database.run(limit, 1)
    done = await client.post("/v1/events?instance=a.example", json=many)
    assert (done.status_code, done.headers["retry-after"]) == (503, "10")
    assert done.json()["error"]["code"] == "unavailable"
    await served.worker.database.run(limit, 2**30)
    done = await client.post("/v1/events?instance=a.example", json=many)
    assert done.json()["accepted"] == 999


async def test_facts_are_put_and_told(client: httpx.AsyncClient) -> None:
    """PUT adds to the histories and answers with all that is known, as GET does."""
    first = await client.put(ALICE, json={"consent": CONSENT})
    newer = {"version": "1.1.0", "accepted_at": "2026-02-05T10:00:00"}
    second = await client.put(ALICE, json={"instance": "alice.example", "consent": newer})
    assert (first.status_code, second.status_code) == (200, 200)
    assert [consent["version"] for consent in second.json()["consents"]] == ["1.0.0", "1.1.0"]
    assert (await client.get(ALICE)).json() == second.json()


async def test_a_put_may_withdraw(client: httpx.AsyncClient) -> None:
    """`"consent": null` withdraws: whoever puts it to this address has said so."""
    await client.put(ALICE, json={"consent": CONSENT})
    done = await client.put(ALICE, json={"consent": None})
    assert done.json()["withdrawn_through"] == "2026-01-05T10:00:00.000"


@pytest.mark.parametrize(
    ("path", "body", "field"),
    [
        (ALICE, b'{"instance": "bob.example"}', "instance"),
        (ALICE, b'{"consent": {"version": "1.0.0"}}', "consent.accepted_at"),
        (ALICE, b'{"consents": []}', "consents"),
        (ALICE, b"[]", ""),
        (ALICE, b"", ""),
        ("/v1/instances/Alice", b"{}", "instance"),
    ],
)
async def test_wrong_facts_change_nothing(
    client: httpx.AsyncClient, path: str, body: bytes, field: str
) -> None:
    """Facts that are wrong are refused by field, and nobody is known afterwards."""
    done = await client.put(path, content=body)
    assert done.status_code == 422
    assert [item["field"] for item in done.json()["error"]["details"]] == [field]
    assert (await client.get("/v1/status")).json()["instances"] == 0


async def test_deleting_forgets(client: httpx.AsyncClient, state_dir: Path) -> None:
    """DELETE forgets the person and says how many rows of which table went; then she is unknown."""
    await client.put(ALICE, json={"consent": CONSENT})
    await client.post("/v1/events?instance=alice.example", content=GOOD)
    done = await client.delete(ALICE)
    assert done.status_code == 200
    rows = {table: count for table, count in done.json()["rows"].items() if count}
    assert rows == {"consents": 1, "events": 1, "instances": 1, "waiting_days": 1}
    for method in ("GET", "DELETE"):
        done = await client.request(method, ALICE)
        assert (done.status_code, done.json()["error"]["code"]) == (404, "not_found")
    assert b"alice" not in content(state_dir)


async def test_status_is_what_the_command_prints(serve: Serve, cli: Any) -> None:
    """`GET /v1/status` gives the object that `status --json` prints.

    What works by itself works only in a service, and the log is moved into the file as that ends.
    """
    async with serve() as served, served.client() as client:
        found = (await client.get("/v1/status")).json()
    printed = json.loads((await cli("status", "--json")).stdout)
    passing: dict[str, Any] = {"tasks": [], "sizes": {}}
    assert {**found, **passing} == {**printed, **passing}


@pytest.mark.parametrize(
    ("method", "path", "status", "code"),
    [
        ("GET", "/", 404, "not_found"),
        ("GET", "/v1/nothing", 404, "not_found"),
        ("GET", "/v1/status/", 404, "not_found"),
        ("GET", "/livez/", 404, "not_found"),
        ("GET", "/control/v1/status", 404, "not_found"),
        ("POST", "/control/v1/status", 404, "not_found"),
        ("GET", "/v1/events", 405, "method_not_allowed"),
        ("PATCH", ALICE, 405, "method_not_allowed"),
    ],
)
async def test_errors_are_json_everywhere(
    client: httpx.AsyncClient, method: str, path: str, status: int, code: str
) -> None:
    """An address or a method that is not there is an error of the same form; commands are not."""
    done = await client.request(method, path)
    assert (done.status_code, done.json()["error"]["code"]) == (status, code)


async def test_a_bug_is_ours_and_nothing_leaks(serve: Serve) -> None:
    """An error that nobody expected is logged by its place; the client learns that it was ours.

    Neither the token nor anything of the person stands in the log.
    """
    out = io.StringIO()
    logger = structlog.wrap_logger(
        structlog.PrintLogger(out), processors=[structlog.dev.ConsoleRenderer(colors=False)]
    )
    async with serve(logger=logger) as served, served.client() as client:

        def damage(connection: sqlite3.Connection) -> None:
            connection.execute("UPDATE consents SET accepted_at = 9000000000000000000")

        await client.put(ALICE, json={"consent": CONSENT})
        await served.worker.database.run(damage)
        done = await client.get(ALICE)
        assert (done.status_code, done.json()["error"]["code"]) == (500, "internal")
    assert "civil_text" in out.getvalue()
    for secret in (TOKEN, "alice", "1.0.0"):
        assert secret not in out.getvalue() + done.text


async def test_the_process_is_left_as_it_is(serve: Serve) -> None:
    """A face that runs has installed no signal handler and set up no logging."""

    def process() -> list[object]:
        access = logging.getLogger("uvicorn.access")
        handlers = [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)]
        return [*handlers, logging.root.handlers[:], access.propagate, access.handlers[:]]

    before = process()
    async with serve() as served, served.client() as client:
        assert (await client.get("/livez")).status_code == 200
        assert process() == before
    assert process() == before


async def test_what_came_in_balances(served: Served, client: httpx.AsyncClient) -> None:
    """Events of many clients at once are all on disk, each once."""

    async def post(number: int) -> None:
        body = [{"type": "NavigationEvent", "eventDate": AT, "_id": f"{number}-{n}"} for n in "ab"]
        done = await client.post(f"/v1/events?instance={number % 3}.example", json=body)
        assert done.json()["accepted"] == 2

    async with anyio.create_task_group() as clients:
        for number in range(40):
            clients.start_soon(post, number)
    assert served.worker.status().events["waiting"] == 80
