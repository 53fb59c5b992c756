"""What is wrong with one person's stack, token or host function stays that person's trouble."""

import sqlite3
from collections.abc import Awaitable, Callable
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import anyio
import httpx
import pytest

from ecolyo_worker import Settings, Worker
from ecolyo_worker.cli.logs import make_logger
from ecolyo_worker.commands import Commands
from ecolyo_worker.errors import CommandRefused, StoreUnavailable
from ecolyo_worker.facts import InstanceFacts
from ecolyo_worker.requests import EventsImport, Line, OutboxDocument
from ecolyo_worker.settings import Dacc
from ecolyo_worker.testing import echo_server
from ecolyo_worker.testing.clock import FakeClock
from tests.machine_time import MachineTime

from .conftest import OK

Agree = Callable[..., Awaitable[None]]
Event = Callable[..., dict[str, Any]]
Filled = Callable[..., Awaitable[None]]
Quick = Callable[..., Settings]
Rows = Callable[..., Awaitable[list[OutboxDocument]]]

NIGHT = datetime(2026, 11, 21, 1, 0)
NOW = datetime(2026, 11, 21, 2, 0, tzinfo=UTC)
PAGES = ("electricity", "gas", "water")


async def test_a_name_that_is_no_address(fill: Filled, quick: Quick, rows: Rows) -> None:
    """A name that no address can be made of pauses its own rows, and crashes nothing."""
    await fill("xn--a.example", PAGES[:1])
    async with Worker(quick("https://{instance}", target="cozy-v2")).opened() as worker:
        assert (await worker.send()).outcomes == {"misconfigured": 1}
        (row,) = await rows(worker)
        assert (row.state, row.counted_attempts, row.maybe_delivered) == ("pending", 0, 0)


@pytest.mark.parametrize("error", [RuntimeError, OSError, httpx.StreamClosed, ValueError])
async def test_a_hosts_client_may_raise_anything(
    fill: Filled, quick: Quick, rows: Rows, error: type[Exception]
) -> None:
    """An attempt that breaks in a way nobody foresaw is one whose end is unknown."""

    class Broken(httpx.AsyncBaseTransport):
        async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
            raise error(*([f"of {request.url}"] if error is not httpx.StreamClosed else []))

    await fill(pages=PAGES[:1])
    settings = quick("http://127.0.0.1:9", unknown_retry=timedelta(days=1))
    client = lambda: httpx.AsyncClient(transport=Broken())  # noqa: E731
    async with Worker(settings, http=client).opened() as worker:
        assert (await worker.send()).outcomes == {"unknown": 1}
        (row,) = await rows(worker)
        assert (row.state, row.maybe_delivered) == ("pending", 1)
        assert error.__name__ in (row.answer or "")


async def test_a_host_that_never_answers_for_one(
    fill: Filled, quick: Quick, wire: Any, machine_time: MachineTime
) -> None:
    """Attempts for which a host function hangs end at their deadline; others leave meanwhile."""
    arrived = anyio.Event()

    async def function(name: str) -> tuple[str, str]:
        if name == "bob.example":
            return wire.url, "good"
        await arrived.wait()
        while worker.status().outbox["sent"] < len(PAGES):
            await anyio.lowlevel.checkpoint()
        machine_time.skip(31)
        await anyio.sleep_forever()
        raise AssertionError

    def answer(_: object) -> bytes:
        if len(wire.requests) == len(PAGES):
            arrived.set()
        return OK

    wire.answer = answer
    await fill("alice.example", PAGES)
    await fill("bob.example", PAGES)
    settings = quick(None, target="cozy-v2", concurrency=len(PAGES) + 1)
    async with Worker(settings, destination=function).opened() as worker:
        assert (await worker.send()).outcomes == {"delivered": 3, "unavailable": 3}


async def test_an_unusable_token_file_is_not_asked_again_and_again(
    fill: Filled, quick: Quick, wire: Any, tmp_path: Path
) -> None:
    """A token file that holds no token is tried again every `dacc.auth_retry`, and not sooner."""
    await fill(pages=PAGES[:1])
    token = tmp_path / "token"
    token.write_text("")
    clock = FakeClock(NOW)
    async with Worker(quick(wire.url, token_file=token), clock=clock).opened() as worker:
        report = await worker.send(until_empty=True, timeout_s=3600)
        assert 3 <= report.outcomes["unauthorized"] <= 6  # in an hour, every 15 minutes
    assert wire.requests == []


@pytest.mark.parametrize("token", ["s3cret", "c2VzYW1l/c2VzYW1l+c2VzYW1l="])
async def test_a_token_in_the_place_of_its_file_is_told_to_nobody(
    fill: Filled, quick: Quick, wire: Any, rows: Rows, capsys: Any, token: str
) -> None:
    """Status, rows and log say what stands there, and what should, and do not repeat it."""
    await fill(pages=PAGES[:1])
    settings = quick(wire.url, token_file=Path(token))
    logger = make_logger("json", "debug")
    async with Worker(settings, logger=logger).opened() as worker:
        assert (await worker.send()).outcomes == {"unauthorized": 1}
        (row,) = await rows(worker)
        told = [*worker.status().advice, str(row.answer), capsys.readouterr().err]
    assert wire.requests == []
    assert not any(token in text for text in told)
    said = "dacc.token_file: found what seems to be the token itself; allowed: the path of a file"
    assert all(said in text for text in told)


async def test_what_was_answered_goes_with_the_person(
    state_dir: Path, fill: Filled, quick: Quick, tmp_path: Path
) -> None:
    """An answer may hold a name, such as a file's: a finished row keeps none, nor one withdrawn."""
    await fill(pages=PAGES[:2])
    async with echo_server("--fault", "accept-then-drop*2") as echo:
        settings = quick(echo.url, target="cozy-v2", token_file=tmp_path / "{instance}")
        async with Worker(settings).opened() as worker:
            (tmp_path / "alice.example").write_text("token")
            await worker.send()
            (tmp_path / "alice.example").unlink()
            await worker.send()
            await worker.store_facts(InstanceFacts("alice.example", consent=None))
        with closing(sqlite3.connect(state_dir / "ecolyo.db")) as other:
            found = other.execute("SELECT state, answer FROM outbox").fetchall()
    assert found
    assert {answer for _, answer in found} == {None}


async def test_a_trial_of_the_future_needs_this_machine(state_dir: Path) -> None:
    """With a host's function nobody knows where it leads, so no time to come is counted."""
    far = lambda _: ("https://far.invalid", None)  # noqa: E731
    dacc = Dacc(target="cozy-v2", url="http://127.0.0.1:9")
    local = Settings(state_dir=state_dir, dacc=dacc)
    async with Worker(local, destination=far).opened() as worker:
        with pytest.raises(CommandRefused, match="later than now"):
            await worker.run_once(datetime(2099, 1, 1))
    async with Worker(local).opened() as worker:
        await worker.run_once(datetime(2099, 1, 1))


async def test_a_stop_ends_a_drain_that_waits(fill: Filled, quick: Quick) -> None:
    """A drain that waits for what becomes due ends with the worker, and says what waits."""
    await fill(pages=PAGES[:1])
    reports = []
    settings = quick("http://127.0.0.1:9", backoff_base=timedelta(hours=1))
    async with anyio.create_task_group() as tasks:
        async with Worker(settings) as worker:

            async def drain() -> None:
                reports.append(await worker.send(until_empty=True, timeout_s=3600))

            tasks.start_soon(drain)
            while worker.status().attempts < 1:
                await anyio.lowlevel.checkpoint()
        with anyio.fail_after(10):
            while not reports:
                await anyio.lowlevel.checkpoint()
    assert reports[0].waiting == 1


async def test_after_it_was_left_nothing_works(state_dir: Path) -> None:
    """Who asks a worker that was left is told so, by one error whatever is asked."""
    async with Worker(Settings(state_dir=state_dir)) as worker:
        pass
    for asked in (worker.send, worker.run_once, lambda: anext(worker.preview())):
        with pytest.raises(StoreUnavailable):
            await asked()


async def test_a_run_that_is_stopped_says_so(state_dir: Path, agree: Agree, event: Event) -> None:
    """A run that is cut off by a stop is no run that came to its end."""
    async with Worker(Settings(state_dir=state_dir)).opened() as worker:
        await agree(worker)
        await worker.record("alice.example", event("NavigationEvent", "2026-11-20T10:00"))
        worker.aggregator.stop()
        with pytest.raises(StoreUnavailable, match="counted by the next run"):
            await worker.run_once(NIGHT)
        assert worker.status().events["waiting"] == 1


@pytest.mark.parametrize("instance", [0, False, [], {}])
async def test_only_an_absent_instance_is_the_callers(state_dir: Path, instance: Any) -> None:
    """An event that names an instance wrongly is refused, not taken as somebody else's."""
    text = f'{{"type": "NavigationEvent", "eventDate": "2026-11-20T10:00", "instance": {instance}}}'
    text = text.replace("False", "false")
    async with Worker(Settings(state_dir=state_dir)).opened() as worker:
        request = EventsImport([Line(1, text.encode())], "alice.example")
        (refusal,) = (await Commands(worker).events_import(request)).refused
    assert refusal.field == "instance"
