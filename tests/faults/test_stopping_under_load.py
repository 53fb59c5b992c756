"""Stopped in the midst of everything, the service keeps what it acknowledged, and ends in time."""

import json
import socket
from collections import Counter
from collections.abc import Awaitable, Callable
from pathlib import Path
from signal import SIGTERM
from subprocess import CompletedProcess
from typing import Any

import anyio
import httpx
import pytest

from ecolyo_worker import StoreUnavailable
from ecolyo_worker.requests import Aggregate, EventsImport, Line, Send
from ecolyo_worker.service.client import running_service
from ecolyo_worker.testing import Echo, echo_server
from ecolyo_worker.testing.ledger import assert_balanced

Cli = Callable[..., Awaitable[CompletedProcess[bytes]]]
Run = Any

CONSENT = {"consent": {"version": "1.0.0", "accepted_at": "2026-01-01T00:00:00"}}
PAGES = ("electricity", "gas", "water", "faq", "options", "analysis")
NIGHT = "2026-11-21T01:00:00"
CLIENTS = 8
LANES = 4
BATCH = 50
LIMIT_S = 60
FAST = {
    "ECOLYO_DACC__RATE": "1000",
    "ECOLYO_DACC__UNKNOWN_RETRY": "1ms",
    "ECOLYO_DACC__CONCURRENCY": str(LANES),
}


class Load:
    """All that hosts and an operator do with a service, until it is gone.

    What was acknowledged is noted; `acknowledge` tells when so much of it was.
    """

    def __init__(self, state_dir: Path, seed: int) -> None:
        self.state_dir = state_dir
        self.seed = seed
        self.acknowledged: dict[str, list[tuple[str, str]]] = {"http": [], "control": []}
        self.unavailable = 0
        """How many were told that the service is not there any more."""
        self._changed = anyio.Event()

    async def post(self, service: Any, number: int) -> None:
        """Post batches over HTTP."""
        async with service.client() as client:
            for batch in range(10_000):
                posted = self._events(f"p{number}.example", batch)
                try:
                    answer = await client.post("/v1/events", json=posted)
                except httpx.TransportError:
                    return
                if answer.status_code == 503:  # it is stopping, and took nothing
                    self.unavailable += 1
                    return
                assert answer.json() == {"accepted": BATCH, "known": 0, "refused": []}
                self._note("http", posted)

    async def bring_in(self) -> None:
        """Import a file of events, a piece after the other, as `events import` does."""
        try:
            async with running_service(self.state_dir) as commands:
                assert commands is not None
                for piece in range(10_000):
                    made = self._events("imported.example", piece)
                    lines = [Line(n, json.dumps(event).encode()) for n, event in enumerate(made, 1)]
                    report = await commands.events_import(EventsImport(lines))
                    assert (report.accepted, report.known, report.refused) == (BATCH, 0, [])
                    self._note("control", made)
        except StoreUnavailable:
            self.unavailable += 1

    async def count(self) -> None:
        """Let one run follow the other."""
        try:
            async with running_service(self.state_dir) as commands:
                assert commands is not None
                while True:
                    await commands.aggregate(Aggregate(as_of=NIGHT))
        except StoreUnavailable:
            self.unavailable += 1

    async def acknowledge(self, batches: int) -> None:
        """Wait until so many batches were acknowledged on each way."""
        with anyio.fail_after(LIMIT_S):
            while min(map(len, self.acknowledged.values())) < batches * BATCH:
                await self._changed.wait()

    def _note(self, way: str, events: list[dict[str, Any]]) -> None:
        self.acknowledged[way] += [(event["instance"], event["_id"]) for event in events]
        self._changed.set()
        self._changed = anyio.Event()

    def _events(self, name: str, batch: int) -> list[dict[str, Any]]:
        """Give events of somebody, on days that have ended."""
        return [
            {
                "instance": name,
                "_id": f"{self.seed}-{batch}-{n}",
                "type": "NavigationEvent",
                "eventDate": f"2026-11-{1 + (batch + n) % 20:02}T{n % 24:02}:{batch % 60:02}:00",
                "target": PAGES[(n + self.seed) % len(PAGES)],
            }
            for n in range(BATCH)
        ]


async def agree(service: Any) -> None:
    """Let everybody who is in the load agree."""
    async with service.client() as client:
        for name in [*(f"p{n}.example" for n in range(CLIENTS)), "imported.example"]:
            answer = await client.put(f"/v1/instances/{name}", json=CONSENT)
            assert answer.status_code == 200, answer.text


async def fly(service: Any, state_dir: Path, echo: Echo, seed: int) -> None:
    """Let some rows be sent, and one hang in each lane of the sender."""
    delivered = 3 * seed
    await echo.set_fault(f"latency=20ms*{delivered},latency=1h*{LANES}")
    async with service.client() as client:
        first = [
            {"_id": f"first-{day}", "type": "NavigationEvent", "target": "gas"}
            | {"instance": "p0.example", "eventDate": f"2026-11-{day:02}T10:00:00"}
            for day in range(1, 21)
        ]
        assert (await client.post("/v1/events", json=first)).json()["accepted"] == len(first)
    async with running_service(state_dir) as commands:
        assert commands is not None
        await commands.aggregate(Aggregate(as_of=NIGHT))
    await echo.wait(delivered + LANES)


def hang(service: Any) -> socket.socket:
    """Begin a request of which the rest never comes."""
    host, _, port = service.url.removeprefix("http://").rpartition(":")
    connection = socket.create_connection((host, int(port)))
    connection.sendall(b"POST /v1/events HTTP/1.1\r\nHost: a\r\nContent-Length: 100\r\n\r\n[")
    return connection


async def assert_interrupted(cli: Cli, delivered: int) -> None:
    """Raise if what hung is not told as interrupted, or counts as an attempt."""
    listed = await cli("outbox", "list", "--json")
    exported = await cli("outbox", "export")
    (counted, rows) = (
        [json.loads(line) for line in done.stdout.splitlines()] for done in (listed, exported)
    )
    assert {row["state"] for row in rows} == {"pending", "sent"}
    assert max(row["counted_attempts"] for row in counted) == 0
    outcomes = Counter(one["outcome"] for row in rows for one in row["history"])
    assert outcomes == {"delivered": delivered, "interrupted": LANES}


@pytest.mark.fault(14)
@pytest.mark.parametrize("seed", [1, 2, 3])
async def test_stopped_in_the_midst_of_everything(
    run: Run, cli: Cli, state_dir: Path, seed: int
) -> None:
    """Under load it ends with 0 within the grace: what it took is stored, what hung goes again.

    Many clients post, a file is imported, runs count, the DACC is slow, and one client hangs.
    Started again, it delivers all, and the books balance.
    """
    load = Load(state_dir, seed)
    async with echo_server() as echo:
        slow = {"ECOLYO_DACC__URL": echo.url, "ECOLYO_WORKER__GRACE": "500ms"}
        async with run(**FAST, **slow) as service:
            await agree(service)
            await fly(service, state_dir, echo, seed)
            with hang(service):
                async with anyio.create_task_group() as tasks:
                    for number in range(CLIENTS):
                        tasks.start_soon(load.post, service, number)
                    tasks.start_soon(load.bring_in)
                    tasks.start_soon(load.count)
                    await load.acknowledge(seed)
                    service.process.send_signal(SIGTERM)
                    await service.log("stopped before all was finished")
                    assert await service.end() == 0
        assert load.unavailable >= 2  # whoever imported or counted was told
        await assert_interrupted(cli, delivered=3 * seed)
        await echo.set_fault("ok")
        async with run(**FAST, ECOLYO_DACC__URL=echo.url) as service:
            async with running_service(state_dir) as commands:
                assert commands is not None
                await commands.aggregate(Aggregate(as_of=NIGHT))
                assert (await commands.send(Send(until_empty=True))).waiting == 0
            service.process.send_signal(SIGTERM)
            assert await service.end() == 0
        done = await cli("reconcile", "--echo", echo.url)
        assert done.returncode == 0, done.stdout
        acknowledged = [pair for pairs in load.acknowledged.values() for pair in pairs]
        ledger = await assert_balanced(state_dir, echo.url, acknowledged)
        assert (ledger.missing, ledger.duplicates) == (0, LANES)
