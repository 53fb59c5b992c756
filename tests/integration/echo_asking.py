"""What tests send to the stand-in, and how they ask it and read its answers."""

from __future__ import annotations

import http.client
import json
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ecolyo_worker.tools.dacc_echo import EchoServer

__all__ = ["CONNECTION", "GOOD", "MONTHLY", "Reply", "ask"]

GOOD: Mapping[str, Any] = {
    "createdBy": "ecolyo",
    "measureName": "konnector-event-daily",
    "startDate": "2026-11-20",
    "value": 2,
    "group1": {"slug": "enedis"},
    "group2": {"event_type": "connexion"},
    "group3": {"status": "error"},
}
CONNECTION: Mapping[str, Any] = {
    "createdBy": "ecolyo",
    "measureName": "connection-count-daily",
    "startDate": "2026-11-20",
    "value": 2,
    "group1": {"device": "mobile"},
}
MONTHLY: Mapping[str, Any] = {
    "createdBy": "ecolyo",
    "measureName": "profile-count-monthly",
    "startDate": "2026-11-01",
    "value": 1,
}


class Reply(NamedTuple):
    """An answer as it came."""

    status: int
    text: str
    headers: Mapping[str, str]

    @property
    def content(self) -> Any:
        """What its JSON says."""
        return json.loads(self.text)


def ask(echo: EchoServer, method: str, path: str, body: str | bytes = "", **headers: str) -> Reply:
    """Ask over a connection of its own."""
    connection = http.client.HTTPConnection("127.0.0.1", echo.port, timeout=10)
    try:
        connection.request(method, path, body, {"Content-Type": "application/json", **headers})
        answer = connection.getresponse()
        return Reply(answer.status, answer.read().decode(), dict(answer.getheaders()))
    finally:
        connection.close()
