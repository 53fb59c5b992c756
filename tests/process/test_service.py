"""The service as a process: it starts, stops, is killed, and nothing it acknowledged is lost."""

import sqlite3
from collections.abc import Awaitable, Callable
from contextlib import closing
from pathlib import Path
from signal import SIGCONT, SIGHUP, SIGINT, SIGKILL, SIGSTOP, SIGTERM, Signals
from subprocess import CompletedProcess
from typing import Any

import anyio
import httpx
import pytest

from ecolyo_worker import Settings, StoreUnavailable, Worker
from ecolyo_worker.service.client import running_service
from ecolyo_worker.settings import Dacc
from ecolyo_worker.testing import Echo, echo_server
from ecolyo_worker.testing.ledger import assert_balanced

Cli = Callable[..., Awaitable[CompletedProcess[bytes]]]
Run = Any

CONSENT = {"consent": {"version": "1.0.0", "accepted_at": "2026-01-01T00:00:00"}}
PAGES = ("electricity", "gas", "water", "faq", "options", "analysis")
LIMIT_S = 30
FAST = {"ECOLYO_DACC__RATE": "1000", "ECOLYO_DACC__UNKNOWN_RETRY": "1ms"}


def events(client: int, batch: int) -> list[dict[str, Any]]:
    """Give fifty events of a client's person, on days that have ended."""
    return [
        {
            "instance": f"p{client}.example",
            "_id": f"{client}-{batch}-{n}",
            "type": "NavigationEvent",
            "eventDate": f"2026-11-{1 + (batch + n) % 20:02}T{n % 24:02}:{batch:02}:00",
            "target": PAGES[n % len(PAGES)],
        }
        for n in range(50)
    ]


async def fill(client: httpx.AsyncClient, people: int = 1, batches: int = 1) -> None:
    """Let people agree and do something over HTTP."""
    for person in range(people):
        answer = await client.put(f"/v1/instances/p{person}.example", json=CONSENT)
        assert answer.status_code == 200, answer.text
        for batch in range(batches):
            answer = await client.post("/v1/events", json=events(person, batch))
            assert answer.json()["accepted"] == 50


async def aggregate(cli: Cli) -> None:
    """Count what there is, through the control socket."""
    result = await cli("aggregate", "--as-of", "2026-11-21T01:00:00")
    assert result.returncode == 0, result.stderr


async def drain(state_dir: Path, echo: Echo) -> None:
    """Count and send the rest, as the next start would, on a worker of our own."""
    dacc = Dacc(url=echo.url, rate=5000)
    async with Worker(Settings(state_dir=state_dir, dacc=dacc)).opened() as worker:
        await worker.run_once()
        report = await worker.send(until_empty=True, timeout_s=60)
        assert (report.waiting, worker.status().outbox["dead"]) == (0, 0)


def count(state_dir: Path, query: str) -> int:
    with closing(sqlite3.connect(state_dir / "ecolyo.db")) as connection:
        found: int = connection.execute(query).fetchone()[0]
        return found


async def test_a_stopped_service_keeps_nobody_waiting(run: Run, state_dir: Path) -> None:
    """A command ends with 69 and a sentence if the service is suspended; continued, it answers."""
    async with run() as service:
        service.process.send_signal(SIGSTOP)
        with pytest.raises(StoreUnavailable, match=r"within 0\.1 s that it lives: it is stopped"):
            await people(state_dir, patience_s=0.1)
        service.process.send_signal(SIGCONT)
        assert await people(state_dir, patience_s=LIMIT_S) == 0


async def people(state_dir: Path, patience_s: float) -> int:
    async with running_service(state_dir, look_s=0.01, patience_s=patience_s) as commands:
        assert commands is not None
        return (await commands.status()).instances


IN_FLIGHT = "SELECT count(*) FROM outbox WHERE state = 'in_flight'"


@pytest.mark.parametrize("signal", [SIGTERM, SIGINT, SIGHUP])
async def test_a_signal_stops_it(run: Run, signal: Signals) -> None:
    """Idle, it ends with 0 at once."""
    async with run() as service:
        service.process.send_signal(signal)
        await service.log("stopped")
        assert await service.end() == 0


async def test_a_token_that_everybody_can_read_is_told(run: Run, tmp_path: Path) -> None:
    """It warns of a token file that is open to all; one of a group, as systemd's, is as it may be.

    It works all the same, as it always did.
    """
    http, dacc = tmp_path / "http-token", tmp_path / "dacc-token"
    dacc.write_text("of-the-dacc")
    http.chmod(0o640)
    dacc.chmod(0o644)
    async with run(ECOLYO_DACC__TOKEN_FILE=str(dacc)) as service:
        told = await service.log("a token is open to everybody")
        found = [told[name] for name in ("level", "setting", "file", "mode")]
        assert found == ["warning", "dacc.token_file", str(dacc), "0644"]
        service.process.send_signal(SIGTERM)
        await service.log("stopping")
        names = [line["event"] for line in service.logged]
        assert names.count("a token is open to everybody") == 1


async def test_killed_under_load(run: Run, cli: Cli, state_dir: Path) -> None:
    """Killed while four clients post 5,000 events and rows are sent, it loses nothing acknowledged.

    Every indicator is received, and there are no more doubles than rows were in flight.
    """
    acknowledged: list[tuple[str, str]] = []
    rows_leave = anyio.Event()
    async with echo_server() as echo:
        async with run(**FAST, ECOLYO_DACC__URL=echo.url) as service:
            async with service.client() as client:
                await fill(client, people=4)
            async with anyio.create_task_group() as clients:
                for number in range(4):
                    clients.start_soon(_post, service, number, acknowledged, rows_leave)
                await aggregate(cli)
                await echo.wait(20)
                rows_leave.set()
                before = len(acknowledged)
                while len(acknowledged) == before:
                    await anyio.lowlevel.checkpoint()
                service.process.send_signal(SIGKILL)
            assert await service.end() == -SIGKILL
        flying = count(state_dir, IN_FLIGHT)
        async with run(**FAST, ECOLYO_DACC__URL=echo.url) as service:  # its lock holds nobody up
            service.process.send_signal(SIGTERM)
            assert await service.end() == 0
        await drain(state_dir, echo)
        ledger = await assert_balanced(state_dir, echo.url, acknowledged)
        assert (ledger.missing, (ledger.duplicates or 0) <= flying) == (0, True)
        assert 0 < len(acknowledged) < 5000  # it was killed in the middle
        assert len(acknowledged) + 200 <= ledger.events


async def _post(
    service: Any, number: int, acknowledged: list[tuple[str, str]], rows_leave: anyio.Event
) -> None:
    """Post 1,250 events, fifty at a time, until the service is gone; note what it took.

    The second half is posted while rows are sent, however long it takes until they are.
    """
    async with service.client() as client:
        for batch in range(1, 26):
            if batch == 13:
                await rows_leave.wait()
            posted = events(number, batch)
            try:
                answer = await client.post("/v1/events", json=posted)
            except httpx.TransportError:
                return
            assert answer.json() == {"accepted": 50, "known": 0, "refused": []}
            acknowledged += [(event["instance"], event["_id"]) for event in posted]


async def test_stopped_under_load_with_a_slow_dacc(run: Run, cli: Cli, state_dir: Path) -> None:
    """With a DACC slower than the grace it ends with 0 in time; no attempt counts, none is lost."""
    async with echo_server("--fault", "latency=1h*4") as echo:
        async with run(**FAST, ECOLYO_DACC__URL=echo.url, ECOLYO_WORKER__GRACE="300ms") as service:
            async with service.client() as client:
                await fill(client)
                await aggregate(cli)
                await echo.wait(4)
                service.process.send_signal(SIGTERM)
                await service.log("stopped before all was finished")
                assert await service.end() == 0
        assert count(state_dir, IN_FLIGHT) == 0
        assert count(state_dir, "SELECT max(attempts) FROM outbox") == 0
        assert count(state_dir, "SELECT sum(maybe_delivered) FROM outbox") == 4
        await echo.set_fault("ok")
        await drain(state_dir, echo)
        await assert_balanced(state_dir, echo.url)


async def test_a_second_signal_waits_for_nothing(run: Run, cli: Cli, state_dir: Path) -> None:
    """Told twice, it does not wait for the grace, and what was in flight is tried again later."""
    async with echo_server("--fault", "latency=1h*4") as echo:
        async with run(**FAST, ECOLYO_DACC__URL=echo.url, ECOLYO_WORKER__GRACE="1h") as service:
            async with service.client() as client:
                await fill(client)
            await aggregate(cli)
            await echo.wait(4)
            service.process.send_signal(SIGTERM)
            await service.log("stopping")
            service.process.send_signal(SIGTERM)
            assert await service.end() == 0
        await echo.set_fault("ok")
        await drain(state_dir, echo)
        await assert_balanced(state_dir, echo.url)


@pytest.fixture
def open_to_all(state_dir: Path) -> Path:
    state_dir.mkdir()
    state_dir.chmod(0o777)
    return state_dir


async def test_a_state_directory_that_others_can_enter(run: Run, open_to_all: Path) -> None:
    """The service starts, and says in its log what `doctor` says of the directory."""
    async with run() as service:
        line = await service.log("the state directory is open to others")
    assert (line["level"], line["reason"]) == (
        "warning",
        f"{open_to_all} is open to others (mode 0777)",
    )
