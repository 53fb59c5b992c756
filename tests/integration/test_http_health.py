"""Health over HTTP: alive, ready, and if not, why; for anybody, so that nobody is named."""

import sqlite3
import threading
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import anyio
import httpx
import pytest
from anyio.abc import TaskStatus

from ecolyo_worker import Settings, StoreUnavailable, Worker
from ecolyo_worker.actors.actor import Actor
from ecolyo_worker.health import ActorHealth
from ecolyo_worker.service import asgi
from ecolyo_worker.service.herald import sentence
from ecolyo_worker.service.http import http_app
from ecolyo_worker.service.web import Bounds
from ecolyo_worker.settings import Http
from ecolyo_worker.testing.clock import SteppedClock

from .conftest import TOKEN, Served

ALICE = "/v1/instances/alice.example"
CONSENT = {"version": "1.0.0", "accepted_at": "2026-01-05T10:00:00"}


MANY = [{"type": "NavigationEvent", "eventDate": "2026-11-20T10:00", "target": "x" * 200}] * 999


def code_of(done: httpx.Response) -> tuple[int, str]:
    return done.status_code, done.json()["error"]["code"]


@asynccontextmanager
async def ready(
    state_dir: Path, bounds: Bounds | None = None, **options: Any
) -> AsyncIterator[tuple[Worker, httpx.AsyncClient]]:
    """A worker that does nothing by itself, and a client of its HTTP face."""
    async with Worker(Settings(state_dir=state_dir), **options).opened() as worker:
        transport = httpx.ASGITransport(http_app(worker, None, bounds))
        async with httpx.AsyncClient(transport=transport, base_url="http://host") as client:
            yield worker, client


async def test_it_knows_when_it_last_answered(served: Served) -> None:
    """The actor notes when it last answered, for `status` to tell."""
    assert served.face.last_success is None
    async with served.client() as client:
        await client.get("/livez")
    assert served.face.last_success is not None


async def test_health_names_nobody(served: Served, client: httpx.AsyncClient) -> None:
    """`/livez` and `/readyz` are for anybody, so they name no person."""
    await client.put(ALICE, json={"consent": CONSENT})
    for path in ("/livez", "/readyz"):
        done = await client.get(path)
        assert done.status_code == 200
        assert "alice" not in done.text


class Ailing(Worker):
    """A worker of which one actor crashed over a person, and one may show no life any more."""

    stuck = False

    def health(self) -> list[ActorHealth]:
        crashed = ActorHealth("intake", "working", True, 1, "alice.example is odd", None, None)
        return [crashed, ActorHealth("sender", "working", not self.stuck, 0, None, None, None)]


async def test_an_actor_without_life_is_named(state_dir: Path) -> None:
    """`/livez` names the actors, and turns red with the one that shows no life; it names nobody.

    What an actor crashed with may hold a person's name.
    """
    worker = Ailing(Settings(state_dir=state_dir))
    transport = httpx.ASGITransport(asgi(worker, is_guarded=True))
    async with worker, httpx.AsyncClient(transport=transport, base_url="http://host") as client:
        done = await client.get("/livez")
        intake = {"name": "intake", "state": "working", "restarts": 1}
        assert (done.status_code, done.json()["actors"][0]) == (200, intake)
        worker.stuck = True
        done = await client.get("/livez")
        assert (done.status_code, done.json()["error"]["details"]) == (503, ["sender"])
        assert code_of(await client.get("/readyz")) == (503, "actor_dead")


class Crashing(Actor):
    """A part that crashes as soon as it has started."""

    name = "crasher"

    async def run(self, *, task_status: TaskStatus[None] = anyio.TASK_STATUS_IGNORED) -> None:
        task_status.started()
        raise RuntimeError("alice.example is odd")


async def test_a_part_that_crashed_is_waited_for(state_dir: Path) -> None:
    """While a part that crashed is not run again yet, the service is not ready, and says which."""
    clock = SteppedClock(datetime(2026, 11, 21, 1, 0, tzinfo=UTC))  # it stands still
    async with ready(state_dir, clock=clock) as (worker, client):
        assert (await client.get("/readyz")).status_code == 200
        await worker.supervise(Crashing(clock))
        while worker.health()[-1].state != "restarting":
            await anyio.lowlevel.checkpoint()
        done = await client.get("/readyz")
        problem = {"code": "actor_dead", "message": "the part crasher is restarting"}
        assert done.json()["error"] == {**problem, "details": [problem]}


async def test_who_is_not_ready_says_so(state_dir: Path, token_file: Path) -> None:
    """Before the worker is entered and after it was left, requests get 503 and `/readyz` red."""
    worker = Worker(Settings(state_dir=state_dir, http=Http(token_file=token_file)))
    transport = httpx.ASGITransport(asgi(worker))
    headers = {"authorization": f"Bearer {TOKEN}"}
    async with httpx.AsyncClient(
        transport=transport, base_url="http://host", headers=headers
    ) as client:

        async def statuses() -> list[int]:
            paths = ("/livez", "/readyz", "/v1/status")
            return [(await client.get(path)).status_code for path in paths]

        assert await statuses() == [200, 503, 503]
        assert code_of(await client.get("/readyz")) == (503, "starting")
        async with worker:
            assert await statuses() == [200, 200, 200]
        assert (await statuses())[1:] == [503, 503]
        assert code_of(await client.get("/readyz")) == (503, "stopping")


async def test_a_face_that_stops_is_not_ready(state_dir: Path) -> None:
    """From the moment it is told to stop, a face says so to those that are still connected."""
    async with Worker(Settings(state_dir=state_dir)).opened() as worker:
        app = http_app(worker, None, is_stopping=lambda: True)
        transport = httpx.ASGITransport(app)
        async with httpx.AsyncClient(transport=transport, base_url="http://host") as client:
            assert code_of(await client.get("/readyz")) == (503, "stopping")


@pytest.mark.parametrize(
    ("pragma", "words"),
    [("max_page_count = 1", "database or disk is full"), ("query_only = ON", "readonly database")],
)
async def test_a_database_that_takes_nothing(state_dir: Path, pragma: str, words: str) -> None:
    """When a transaction could not be written it is not ready, until one can; nobody need write."""

    def do(connection: sqlite3.Connection, text: str) -> None:
        connection.execute(f"PRAGMA {text}")

    async with ready(state_dir) as (worker, client):
        await worker.database.run(do, pragma)
        with pytest.raises(StoreUnavailable):
            await worker.record("alice.example", MANY)
        for _ in range(2):
            done = await client.get("/readyz")
            assert code_of(done) == (503, "database_failing")
            assert words in done.json()["error"]["message"]
        (advice,) = worker.status().advice
        assert advice.startswith("the database did not work the last time: ")
        assert words in advice
        assert advice in sentence(worker.status())
        for text in ("max_page_count = 1073741823", "query_only = OFF"):
            with suppress(StoreUnavailable):  # a read, so that its own writing proves nothing
                await worker.database.read(do, text)
        assert worker.database.trouble is not None
        assert (await client.get("/readyz")).status_code == 200
        assert worker.database.trouble is None
        assert worker.status().advice == []
        await worker.record("alice.example", MANY)


async def test_a_state_directory_that_cannot_be_reached_any_more(state_dir: Path) -> None:
    """Status goes on, and says why the files cannot be looked at."""
    async with Worker(Settings(state_dir=state_dir)) as worker:
        with out_of_reach(state_dir):
            status = worker.status()
        assert f"{state_dir} cannot be looked into: Too many levels" in status.advice[0]
        assert (status.sizes.database, status.sizes.log) == (0, 0)
        assert worker.status().advice == []


@contextmanager
def out_of_reach(directory: Path) -> Iterator[None]:
    """Put a loop of links in a directory's place, which stops root too."""
    aside = directory.rename(directory.with_name("aside"))
    directory.symlink_to(directory)
    yield
    directory.unlink()
    aside.rename(directory)


async def test_a_ready_service_writes_nothing(state_dir: Path) -> None:
    """While all is well, asking whether it is ready writes nothing."""
    log = anyio.Path(state_dir / "ecolyo.db-wal")
    async with ready(state_dir) as (_, client):
        before = (await log.stat()).st_size, await log.read_bytes()
        for _ in range(3):
            assert (await client.get("/readyz")).status_code == 200
        assert ((await log.stat()).st_size, await log.read_bytes()) == before


async def test_a_database_that_hangs(state_dir: Path) -> None:
    """A database that does not answer in time is not ready; once it does, it is."""
    going = threading.Event()
    async with ready(state_dir, Bounds(ready_s=0.05)) as (worker, client):
        async with anyio.create_task_group() as others:
            others.start_soon(worker.database.run, lambda _: going.wait(20))
            await anyio.lowlevel.checkpoint()
            try:
                assert code_of(await client.get("/readyz")) == (503, "database_busy")
            finally:
                going.set()
        assert (await client.get("/readyz")).status_code == 200


async def test_a_disk_that_is_nearly_full(state_dir: Path) -> None:
    """With less space than is needed it is not ready, before anything had to fail."""
    async with ready(state_dir, Bounds(free_bytes=2**62)) as (_, client):
        done = await client.get("/readyz")
        assert code_of(done) == (503, "disk_full")
        assert "bytes left; needed: 4611686018427387904" in done.json()["error"]["message"]


async def test_a_state_directory_that_is_gone(state_dir: Path, tmp_path: Path) -> None:
    """A state directory that is not at its place any more is no readiness; nothing breaks."""
    async with ready(state_dir) as (_, client):
        await anyio.Path(state_dir).rename(tmp_path / "elsewhere")
        assert code_of(await client.get("/readyz")) == (503, "state_missing")
        assert "\necolyo_disk_free_bytes " not in (await client.get("/metrics")).text
        await anyio.Path(tmp_path / "elsewhere").rename(state_dir)
        assert (await client.get("/readyz")).status_code == 200
