"""What the benches of sending share: a server, a full outbox, and bare clients."""

import random
import sqlite3
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path

import anyio
import httpx
import structlog

from ecolyo_worker import Settings, Worker
from ecolyo_worker.clock import SystemClock
from ecolyo_worker.facts import Consent, InstanceFacts
from ecolyo_worker.indicators import Indicator
from ecolyo_worker.remote.dacc import open_lane
from ecolyo_worker.remote.http import Clients
from ecolyo_worker.remote.target import Target
from ecolyo_worker.settings import Dacc
from ecolyo_worker.store import destinations, instances, outbox, totals

PAGES = ("electricity", "gas", "water", "faq", "options", "analysis")


@contextmanager
def server(delay: float = 0.0) -> Iterator[str]:
    """Run `server.py` in a process of its own; give its address."""
    script = Path(__file__).with_name("server.py")
    command = [sys.executable, str(script), str(delay)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            yield f"http://127.0.0.1:{int(process.stdout.readline())}"
        finally:
            process.terminate()


@asynccontextmanager
async def outbox_of(rows: int, settings: Dacc) -> AsyncIterator[Worker]:
    """Open a worker on a new state whose outbox holds so many rows of a hundred people."""
    with tempfile.TemporaryDirectory(dir="/var/tmp", prefix="ecolyo-bench-") as directory:
        quiet = structlog.wrap_logger(structlog.PrintLogger(sys.stderr), processors=[_drop])
        state = Settings(state_dir=Path(directory), dacc=settings)
        async with Worker(state, logger=quiet).opened() as worker:
            await worker.store_facts(
                *(InstanceFacts(f"i{n}.example", Consent(0, "1.0.0")) for n in range(100))
            )
            await worker.database.run(_fill, rows, worker.hmac_key)
            yield worker


def _drop(*_: object) -> dict[str, object]:
    raise structlog.DropEvent


def bodies(rows: int) -> list[bytes]:
    """Make so many indicators, most of them unlike the others."""
    return [indicator(n).encode() for n in range(rows)]


def indicator(n: int) -> Indicator:
    """Make one indicator."""
    return Indicator(
        created_by="ecolyo",
        measure_name="navigation-count-daily",
        start_date="2026-01-02",
        value=1 + n // 6,
        group1={"page": PAGES[n % 6]},
    )


def fill(connection: sqlite3.Connection, rows: int, due: int = 0) -> None:
    """Let so many rows wait, a tenth of them dead: quickly, and with bodies that are noise.

    They are due at once, or at an instant in ms of UTC.
    """
    person = instances.identify(connection, "alice.example")
    home = destinations.identify(connection, None)
    connection.execute(
        "WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < ?)"
        " INSERT INTO outbox (key, instance, destination, measure, start_date, body, body_hmac,"
        " state, waits, due, shuffle, created) SELECT randomblob(16), ?, ?, 'quiz-stars',"
        " '2026-11-20', randomblob(150), randomblob(32), iif(i % 10, 'pending', 'dead'),"
        " iif(i % 10, 1, NULL), ?, random() >> 2, i FROM n",
        (rows, person, home, due),
    )
    totals.add(connection, {"outbox.pending": rows - rows // 10, "outbox.dead": rows // 10})


def _fill(connection: sqlite3.Connection, rows: int, hmac_key: bytes) -> None:
    sink = outbox.Sink(
        per_instance=False, state="pending", now=0, hmac_key=hmac_key, random=random.Random(1)
    )
    owners = [instances.identify(connection, f"i{n}.example") for n in range(100)]
    for n in range(rows):
        key = n.to_bytes(16, "big")
        outbox.insert(connection, [outbox.NewRow(owners[n % 100], key, indicator(n))], sink)


async def headers_of(url: str) -> dict[str, str]:
    """Give the headers that an attempt to send has."""
    return dict((await Target(Dacc(url=url), "0").address(None)).headers)


async def bare(url: str, rows: int, lanes: int) -> float:
    """Post so many indicators with httpx's own clients, one a lane; give posts per second."""
    waiting = bodies(rows)
    headers = await headers_of(url)
    limits = httpx.Limits(max_connections=1)

    async def lane() -> None:
        async with httpx.AsyncClient(timeout=None, limits=limits, trust_env=False) as client:
            while waiting:
                answer = await client.post(url + "/measure", content=waiting.pop(), headers=headers)
                assert answer.status_code == 201

    return await _posted(rows, lanes, lane)


async def bare_lanes(url: str, rows: int, lanes: int) -> float:
    """Post so many indicators with the sender's own lanes, without its outbox."""
    waiting = bodies(rows)
    target, clients = Target(Dacc(url=url), "0"), Clients()

    async def lane() -> None:
        async with open_lane(target, clients, SystemClock()) as lane:
            while waiting:
                outcome = await lane.post(waiting.pop())
                assert outcome.kind == "delivered"

    return await _posted(rows, lanes, lane)


async def _posted(rows: int, lanes: int, lane: Callable[[], Awaitable[None]]) -> float:
    begin = time.perf_counter()
    async with anyio.create_task_group() as group:
        for _ in range(lanes):
            group.start_soon(lane)
    return rows / (time.perf_counter() - begin)


async def drained(url: str, rows: int, lanes: int, rate: float = 10_000.0) -> float:
    """Drain an outbox of so many rows; give deliveries per second."""
    settings = Dacc(url=url, rate=rate, concurrency=lanes)
    async with outbox_of(rows, settings) as worker:
        begin = time.perf_counter()
        report = await worker.send()
        took = time.perf_counter() - begin
    assert report.outcomes == {"delivered": rows}, report
    return rows / took
