"""The page as it is served: what stands in it without JavaScript, and what it may load."""

from __future__ import annotations

import base64
import hashlib
import json
import re
from html.parser import HTMLParser
from typing import TYPE_CHECKING

import pytest

from ecolyo_worker.tools.dacc_echo import EchoServer
from tests.integration.echo_asking import CONNECTION, ask

if TYPE_CHECKING:
    from collections.abc import Iterator

HOSTILE = "</td></noscript><script>alert(1)</script><img src=x onerror=alert(2)>&amp;\"'"


class Tables(HTMLParser):
    """Reads the cells of all tables' bodies."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.rows: list[list[str]] = []
        self.tags: list[str] = []
        self._in_cell = False
        self.feed(html)

    def handle_starttag(self, tag: str, _attributes: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        if tag == "tr":
            self.rows.append([])
        elif tag == "td":
            self.rows[-1].append("")
            self._in_cell = True

    def handle_endtag(self, tag: str) -> None:
        self._in_cell &= tag != "td"

    def handle_data(self, data: str) -> None:
        if self._in_cell:
            self.rows[-1][-1] += data


@pytest.fixture
def echo() -> Iterator[EchoServer]:
    with EchoServer(label="<b>desk</b> & more") as server:
        yield server


def rows(echo: EchoServer) -> list[list[str]]:
    found = Tables(ask(echo, "GET", "/").text).rows
    return [row for row in found if row]


def test_served(echo: EchoServer) -> None:
    """The page is HTML with the label in its title, and is no request to the DACC."""
    reply = ask(echo, "GET", "/")
    assert (reply.status, reply.headers["Content-Type"]) == (200, "text/html; charset=utf-8")
    assert "<title>&lt;b&gt;desk&lt;/b&gt; &amp; more · DACC echo</title>" in reply.text
    assert "<!--[" not in reply.text
    assert echo.received.requests() == []


def test_head(echo: EchoServer) -> None:
    """HEAD gives the same head without the page."""
    reply = ask(echo, "HEAD", "/")
    assert (reply.status, reply.text) == (200, "")
    assert int(reply.headers["Content-Length"]) == len(ask(echo, "GET", "/").text.encode())


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [("PUT", "/", 405), ("DELETE", "/", 405), ("GET", "/alice/", 405), ("POST", "/", 201)],
)
def test_only_read(echo: EchoServer, method: str, path: str, status: int) -> None:
    """At the same path other methods are the DACC's, and the page stands nowhere else."""
    assert ask(echo, method, path, json.dumps(CONNECTION)).status == status


def test_policy(echo: EchoServer) -> None:
    """The page may run its own script and style, by their hashes, and load nothing else."""
    reply = ask(echo, "GET", "/")
    policy = reply.headers["Content-Security-Policy"]
    for kind in ("script", "style"):
        (content,) = re.findall(f"<{kind}>(.*?)</{kind}>", reply.text, re.DOTALL)
        digest = base64.b64encode(hashlib.sha256(content.encode()).digest()).decode()
        assert f"{kind}-src 'sha256-{digest}';" in policy
    assert policy.startswith("default-src 'none'; ")
    assert "unsafe" not in policy
    assert re.findall(r"(?:src|href)=\"([^\"]*)\"", reply.text) == [
        "data:,",
        *["/api/indicators?format=ndjson", "/api/requests"] * 2,
    ]
    assert "http://" not in reply.text
    assert "https://" not in reply.text
    assert "innerHTML" not in reply.text


def test_tables(echo: EchoServer) -> None:
    """Without JavaScript there is a table of the requests, refused ones too, and of the cells."""
    for _ in range(5):
        ask(echo, "POST", "/alice/measure", json.dumps(CONNECTION))
    ask(echo, "POST", "/measure", json.dumps({**CONNECTION, "value": "x"}))
    ask(echo, "POST", "/measure", json.dumps({**CONNECTION, "startDate": "2026-11-21"}))
    found = rows(echo)
    assert [row[:1] + row[2:] for row in found[:3]] == [
        ["7", "connection-count-daily", "2026-11-21", "2", "device=mobile", "", "native", "ok"],
        [
            *["6", "connection-count-daily", "2026-11-20", '"x"', "device=mobile", "", "native"],
            "invalid: value type is incorrect, it must be a number",
        ],
        [
            "5",
            "connection-count-daily",
            "2026-11-20",
            "2",
            "device=mobile",
            "alice",
            "native",
            "dup",
        ],
    ]
    assert found[7:] == [
        ["connection-count-daily", "2026-11-20", "device=mobile", "5", "10.0", "2.0", "yes"],
        [
            *["connection-count-daily", "2026-11-21", "device=mobile", "1", "2.0", "2.0"],
            "no, below 5",
        ],
    ]
    counts = "received 6 · duplicates 4 · refused 1 · invalid 1 · leaks 0 · unknown 0 · dropped 0"
    assert counts in ask(echo, "GET", "/").text


def test_counts_of_what_was_dropped() -> None:
    """What made room for others is counted on the page."""
    with EchoServer(most_records=1) as echo:
        for value in (1, 2, 3):
            ask(echo, "POST", "/measure", json.dumps({**CONNECTION, "value": value}))
        assert "received 3 · " in ask(echo, "GET", "/").text
        assert " · dropped 2" in ask(echo, "GET", "/").text


@pytest.mark.parametrize(
    "fields",
    [
        {"measureName": HOSTILE},
        {"startDate": HOSTILE},
        {"value": HOSTILE},
        {"group1": {"device": HOSTILE}},
        {"group1": {HOSTILE: "x"}},
        {"group1": HOSTILE},
        {HOSTILE: 1},
    ],
)
def test_hostile_indicator(echo: EchoServer, fields: dict[str, object]) -> None:
    """Nothing that an indicator says becomes markup."""
    before = Tables(ask(echo, "GET", "/").text).tags
    ask(echo, "POST", "/measure", json.dumps({**CONNECTION, **fields}))
    ask(echo, "POST", "/" + "%3Cscript%3E/measure", json.dumps({**CONNECTION, **fields}))
    page = Tables(ask(echo, "GET", "/").text)
    added = [tag for tag in set(page.tags) if page.tags.count(tag) != before.count(tag)]
    assert set(added) <= {"tr", "td"}
    assert "<script>alert" not in ask(echo, "GET", "/").text


def test_odd_text(echo: EchoServer) -> None:
    """Text that no encoding holds is escaped, and the page is served."""
    ask(echo, "POST", "/measure", json.dumps({**CONNECTION, "group1": {"device": "\ud800"}}))
    assert rows(echo)[0][5] == "device=\\ud800"
