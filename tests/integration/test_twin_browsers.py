"""A developer's browser may show pages of others, and these get nothing out of a stand-in."""

from __future__ import annotations

import http.client
from typing import TYPE_CHECKING

import pytest

from ecolyo_worker.tools.dacc_echo import EchoServer
from ecolyo_worker.tools.energy_twin import EnergyTwin

if TYPE_CHECKING:
    from collections.abc import Iterator

OF_OTHERS = [
    {"Host": "evil.example"},
    {"Host": "evil.example:{port}", "Origin": "http://evil.example:{port}"},
    {"Host": "127.0.0.1.evil.example:{port}"},
    {"Host": "192.0.2.1"},
    {"Host": "[::1"},
    {"Origin": "http://evil.example"},
    {"Origin": "http://127.0.0.1"},
    {"Origin": "http://localhost:{port}"},
    {"Origin": "https://127.0.0.1:{port}"},
    {"Origin": "null"},
    {"Origin": ""},
]
OF_ITS_OWN = [
    {},
    {"Origin": "http://127.0.0.1:{port}"},
    {"Host": "localhost:{port}", "Origin": "http://localhost:{port}"},
    {"Host": "LOCALHOST:1"},
    {"Host": "[::1]:{port}", "Origin": "http://[::1]:{port}"},
    {"Host": "127.8.9.10"},
]


@pytest.fixture(scope="module")
def echo() -> Iterator[EchoServer]:
    with EchoServer() as server:
        yield server


@pytest.fixture(scope="module")
def twin() -> Iterator[EnergyTwin]:
    with EnergyTwin() as server:
        yield server


def status(server: EchoServer | EnergyTwin, method: str, path: str, headers: dict[str, str]) -> int:
    """Ask with these headers, of which `Host` is the server's own where it is not among them."""
    port = server.port
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    try:
        sent = {name: text.replace("{port}", str(port)) for name, text in headers.items()}
        connection.request(method, path, "ok" if method == "PUT" else None, sent)
        answer = connection.getresponse()
        answer.read()
        assert not [name for name in answer.headers if name.lower().startswith("access-control")]
        return answer.status
    finally:
        connection.close()


@pytest.mark.parametrize("headers", OF_OTHERS, ids=str)
def test_a_page_of_others_is_turned_away(
    echo: EchoServer, twin: EnergyTwin, headers: dict[str, str]
) -> None:
    """What is asked for by another origin, or under a name that was made to mean this machine.

    It reads no indicator, sees no page, sets no fault, and empties nothing.
    """
    for method, path in [
        ("GET", "/"),
        ("GET", "/api/indicators"),
        ("PUT", "/api/fault"),
        ("DELETE", "/api/indicators"),
    ]:
        assert status(echo, method, path, headers) == 403
    assert status(twin, "PUT", "/api/fault", headers) == 403


@pytest.mark.parametrize("headers", OF_ITS_OWN, ids=str)
def test_its_own_page_and_programs_are_served(
    echo: EchoServer, twin: EnergyTwin, headers: dict[str, str]
) -> None:
    """The page under any name of this machine, and what sends no `Origin`, as programs do."""
    assert status(echo, "GET", "/", headers) == 200
    assert status(echo, "PUT", "/api/fault", headers) == 200
    assert status(twin, "GET", "/livez", headers) == 200


def test_beyond_loopback_it_has_any_name() -> None:
    """Who lets other machines in names it as these do; another origin is turned away there, too."""
    with EchoServer(host="0.0.0.0") as echo:
        assert status(echo, "GET", "/", {"Host": "desk.example"}) == 200
        own = {"Host": "desk.example", "Origin": "http://desk.example"}
        assert status(echo, "PUT", "/api/fault", own) == 200
        assert status(echo, "PUT", "/api/fault", {"Origin": "http://desk.example"}) == 403
