"""Every answer of the DACC, and of the stack before it: what then becomes of row and destination.

The answers come over real sockets, on all three targets. What each outcome means stands in
`outcomes`, which answer is which outcome in `ANSWERS`.
"""

import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from msgspec import Struct

from ecolyo_worker.remote.outcome import Kind
from ecolyo_worker.testing import Echo, echo_server
from tests.fundamentals.outcomes import assert_outcome, attempt

TARGETS = ("native", "cozy-v1", "cozy-v2")
STACKS = ("cozy-v1", "cozy-v2")


class Case(Struct, frozen=True):
    """An answer, the outcome that it is, and the words of it that are kept."""

    name: str
    kind: Kind
    answer: str | bytes
    """A fault of the echo server, or an answer byte by byte."""
    said: str = ""
    until: str | None = None
    """Until when its destination is held back, where it says so itself."""
    targets: tuple[str, ...] = TARGETS
    demands: str = ""
    """The token that the echo server wants."""
    settings: dict[str, Any] = {}


def http(status: int, body: bytes = b"", kind: str = "text/html", **headers: str) -> bytes:
    """Write an answer."""
    told = {"Content-Type": kind, "Content-Length": str(len(body)), **headers}
    lines = "".join(f"{name.replace('_', '-')}: {text}\r\n" for name, text in told.items())
    return f"HTTP/1.1 {status} Some words\r\n{lines}\r\n".encode() + body


def dacc(status: int, sentence: str) -> bytes:
    """Write an error as the DACC does."""
    return http(status, json.dumps({"error": sentence}).encode(), "application/json")


def stack(status: int, detail: str) -> bytes:
    """Write an error as the stack does."""
    error = {"status": str(status), "title": "Error", "detail": detail, "source": {}}
    return http(status, json.dumps({"errors": [error]}).encode(), "application/json")


OK = b'{"ok": true}'
HTML = b"<html><h1>Unauthorized Access</h1></html>"

ANSWERS = [
    # Section 2: what the DACC answers.
    Case("good-measure", "delivered", "ok"),
    Case("wrong-token", "unauthorized", "ok", "401: Unauthorized Access", None, ("native",), "T"),
    Case("html-401", "unauthorized", "html-401", "401: Unauthorized Access", targets=("native",)),
    Case("html-401-behind-a-stack", "unauthorized", "html-401", "not authorized", None, STACKS),
    *(
        Case(f"400-{words}", "rejected", dacc(400, words), f'400: {{"error": "{words}"}}')
        for words in (
            "No measure definition found for: X",
            "A value must be given",
            "value type is incorrect, it must be a number",
            "startDate must be given",
            "startDate type is incorrect, it must be a date",
            "groups format is incorrect",
            "Group1 key does not match measure definition: None",
        )
    ),
    Case("500-in-json", "failed", dacc(500, "float() argument must be …"), "500: "),
    Case("404-in-json", "misconfigured", dacc(404, "not found"), '404: {"error": "not found"}'),
    Case("405-in-json", "misconfigured", dacc(405, "not allowed"), "405: "),
    # Section 3: what a stack adds. The echo server says it by the same bytes as a DACC, too.
    Case("html-refused-by-the-stack", "unauthorized", "cozy-502", "the content-type for the resp"),
    Case("dacc-out-of-reach", "unknown", "cant-connect", "can't connect to the remote host"),
    Case("stored-out-of-reach", "unknown", "accept-then-cant-connect", "502: "),
    Case("no-dacc-token", "misconfigured", "no-token-at-stack", "a variable is used in the temp"),
    Case("no-strings", "misconfigured", stack(400, "the variables are not valid"), "400: "),
    Case("bad-doctype", "misconfigured", "bad-doctype", "400: "),
    Case(
        "unknown-doctype",
        *("misconfigured", "ok", "the doctype has no request defined", None, STACKS),
        settings={"doctype": "cc.cozycloud.other"},
    ),
    Case("no-token-for-the-stack", "unauthorized", "ok", "No token in requ", None, STACKS, "T"),
    Case("no-permission", "unauthorized", "forbidden", "403: "),
    Case("expired-token", "unauthorized", "expired-token", '400: {"error": "Expired token"}'),
    Case("expired-as-text", "unauthorized", http(400, b"Expired token", "text/plain"), "400: "),
    Case("invalid-jwt", "unauthorized", "invalid-jwt", "400: Invalid JWT token"),
    Case("invalid-as-json", "unauthorized", dacc(400, "Invalid JWT token"), "400: "),
    # Section 4: what each status is, whoever says it.
    Case("200-json", "delivered", http(200, OK)),
    Case("202-json", "delivered", http(202, b" []\n")),
    Case("201-without-a-length", "delivered", b"HTTP/1.0 201 OK\r\n\r\n" + OK),
    Case(
        "201-in-chunks",
        "delivered",
        b"HTTP/1.1 201 OK\r\nTransfer-Encoding: chunked\r\n\r\nc\r\n" + OK + b"\r\n0\r\n\r\n",
    ),
    Case("201-behind-100", "delivered", b"HTTP/1.1 100 Continue\r\n\r\n" + http(201, OK)),
    Case("200-html", "misconfigured", "status=200", "200: <p>"),
    Case("201-empty", "misconfigured", http(201), "201: "),
    Case("201-cut-json", "misconfigured", http(201, b'{"ok": tru'), '201: {"ok": tru'),
    Case("201-no-unicode", "misconfigured", http(201, b'"\xff"'), "201: "),
    Case("201-deep-json", "misconfigured", http(201, b"[" * 60_000), "201: [["),
    Case("204", "misconfigured", b"HTTP/1.1 204 No Content\r\n\r\n", "204: "),
    Case(
        "101", "unknown", b"HTTP/1.1 101 Switching\r\nUpgrade: x\r\n\r\n", "RemoteProtocolError: "
    ),
    *(
        Case(f"{status}", "misconfigured", f"status={status}", f"{status}: ")
        for status in (300, 301, 304, 307)
    ),
    Case("400-empty", "rejected", http(400), "400: "),
    Case("400-no-unicode", "rejected", http(400, b"\xff\xfe"), "400: "),
    *(Case(f"{status}", "rejected", f"status={status}", f"{status}: ") for status in (413, 422)),
    Case("401", "unauthorized", http(401), "401: "),
    *(
        Case(f"{status}", "misconfigured", f"status={status}", f"{status}: ")
        for status in (402, 408, 410, 431, 499)
    ),
    Case("429", "throttled", "throttle", "429: "),
    Case("429-30", "throttled", "throttle=30", "429: ", "2026-11-21T02:00:30Z"),
    Case("503-30", "throttled", "retry-after=30", "503: ", "2026-11-21T02:00:30Z"),
    Case("503-garbage", "throttled", "retry-after-garbage", "503: "),
    *(
        Case(f"{status}", "failed", f"status={status}", f"{status}: ")
        for status in (500, 501, 507, 520, 599)
    ),
    Case("500-with-retry-after", "failed", http(500, Retry_After="30"), "500: "),
    Case("502", "unavailable", "status=502", "502: "),
    Case("502-html", "unavailable", http(502, HTML), "502: <html>"),
    Case("502-of-the-stack", "unavailable", stack(502, "something else"), "502: "),
    Case("502-with-retry-after", "unavailable", http(502, Retry_After="30"), "502: "),
    Case("503", "unavailable", "status=503", "503: "),
    Case("503-html", "unavailable", http(503, HTML), "503: <html>"),
    Case("504", "unknown", "status=504", "504: "),
    Case("504-with-retry-after", "unknown", http(504, Retry_After="30"), "504: "),
    # What is no answer, after the request was written. What hangs or is broken is in faults.
    Case("drop", "unknown", "drop", "RemoteProtocolError: "),
    Case("reset", "unknown", "reset", "ReadError"),
    Case("accept-then-drop", "unknown", "accept-then-drop", "RemoteProtocolError: "),
]


@pytest.fixture(scope="module")
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture(scope="module")
async def dacc_or_stack() -> AsyncIterator[Echo]:
    """One echo server for all."""
    async with echo_server() as echo:
        yield echo


@pytest.mark.parametrize(
    ("target", "case"),
    [
        pytest.param(target, case, id=f"{target}-{case.name}")
        for case in ANSWERS
        for target in case.targets
    ],
)
async def test_an_answer(
    state_dir: Path, wire: Any, dacc_or_stack: Echo, target: str, case: Case
) -> None:
    """Row, destination, next time and log are what the outcome of the answer says."""
    if isinstance(case.answer, bytes):
        wire.answer, wire.closes, url = lambda _: case.answer, True, wire.url
    else:
        # Each case has a stack of its own, so that no other one's fault or token is left on it.
        name = f"{target}-{case.name}"
        url = f"{dacc_or_stack.url}/{name}"
        await dacc_or_stack.set_fault(case.answer, name)
        if case.demands:
            await dacc_or_stack.set_token(case.demands, name)
    tried = await attempt(state_dir, target=target, url=url, **case.settings)
    assert_outcome(tried, case.kind, case.said, case.until)
