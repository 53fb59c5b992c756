"""Destinations: each person's trouble is her own, and shows without filling a screen."""

import os
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

from ecolyo_worker import Settings, Worker
from ecolyo_worker.clock import parse_civil
from ecolyo_worker.facts import Consent, InstanceFacts
from ecolyo_worker.requests import OutboxDocument
from ecolyo_worker.store import destinations
from ecolyo_worker.testing import Echo
from ecolyo_worker.testing.clock import FakeClock
from ecolyo_worker.testing.ledger import assert_balanced

Filled = Callable[..., Awaitable[None]]
Quick = Callable[..., Settings]
Rows = Callable[..., Awaitable[list[OutboxDocument]]]

NOW = datetime(2026, 11, 21, 2, 0, tzinfo=UTC)
EXPIRED = b'HTTP/1.1 400 Bad Request\r\nContent-Length: 26\r\n\r\n{"error": "Expired token"}'
TAKEN = b"HTTP/1.1 201 CREATED\r\nContent-Length: 2\r\n\r\n{}"


def of(request: Any) -> str:
    """Give whose stack a request came to."""
    name: str = request.path.split("/")[1]
    return name


async def test_one_lost_token_delays_nobody_else(
    state_dir: Path, fill: Filled, quick: Quick, echo: Echo, rows: Rows
) -> None:
    """One person's expired token holds back her own rows alone; they wait, and cost no attempt."""
    for name in ("alice.example", "bob.example", "carol.example"):
        await fill(name)
    await echo.set_token("another", "bob.example")
    settings = quick(echo.url + "/{instance}", target="cozy-v2", concurrency=1)
    async with Worker(settings).opened() as worker:
        report = await worker.send()
        assert report.outcomes == {"delivered": 12, "unauthorized": 1}
        assert (report.reason or "").startswith("bob.example: the DACC does not accept the token")
        assert {row.counted_attempts for row in await rows(worker, "pending")} == {0}
        assert worker.status().destination_states == {"ready": 2, "paused": 1, "open": 0}
        (shown,) = worker.status().destinations
        assert (shown.name, shown.state) == ("bob.example", "paused")
        await echo.set_token("", "bob.example")
        assert (await worker.send()).outcomes == {"delivered": 6}
    await assert_balanced(state_dir, echo.url)


async def test_a_new_token_of_one_person_is_tried_with_one_row(
    fill: Filled, quick: Quick, wire: Any, tmp_path: Path
) -> None:
    """When a person's token file changes, her rows are tried at once, one before the others."""
    await fill("alice.example")
    token = tmp_path / "alice.example"
    token.write_text("old")

    def answer(request: Any) -> bytes:
        return TAKEN if request.headers["authorization"] == "Bearer new" else EXPIRED

    wire.answer = answer
    settings = quick(wire.url + "/{instance}", target="cozy-v1", token_file=tmp_path / "{instance}")
    clock = FakeClock(NOW)
    async with Worker(settings, clock=clock).opened() as worker:
        await worker.send()
        refused = len(wire.requests)
        assert refused <= 4

        token.write_text("new")
        os.utime(token, ns=(1, 1))
        begin = clock.monotonic()
        report = await worker.send(until_empty=True, timeout_s=3600)
        assert (report.outcomes, report.waiting) == ({"delivered": 6}, 0)
        assert clock.monotonic() - begin < 60


async def test_a_new_token_of_the_hosts_ends_a_pause(fill: Filled, quick: Quick, wire: Any) -> None:
    """While `send` waits out a pause, the host's function is asked every ten seconds."""
    await fill("alice.example", ("gas",))
    clock = FakeClock(NOW)
    asked: list[float] = []

    def destination(name: str) -> tuple[str, str]:
        asked.append(clock.monotonic())
        return wire.url, "new" if clock.monotonic() > 25 else "old"

    wire.answer = lambda r: TAKEN if r.headers["authorization"] == "Bearer new" else EXPIRED
    settings = quick(None, target="cozy-v1")
    async with Worker(settings, clock=clock, destination=destination).opened() as worker:
        report = await worker.send(until_empty=True, timeout_s=3600)
    assert report.outcomes == {"delivered": 1, "unauthorized": 1}
    assert clock.monotonic() < 45
    assert len(asked) < 10


async def test_a_pause_is_over_when_its_time_has_come(
    fill: Filled, quick: Quick, wire: Any
) -> None:
    """Without another token one row is tried every 15 minutes, and all follow once it is taken."""
    await fill("alice.example")
    clock = FakeClock(NOW)
    moments: list[float] = []

    def answer(_: Any) -> bytes:
        moments.append(clock.monotonic())
        return TAKEN if clock.monotonic() > 3000 else EXPIRED

    wire.answer = answer
    settings = quick(wire.url + "/{instance}", target="cozy-v2", concurrency=1)
    async with Worker(settings, clock=clock).opened() as worker:
        report = await worker.send(until_empty=True, timeout_s=4000)
    assert report.outcomes == {"delivered": 6, "unauthorized": 4}
    assert [round(at / 900) for at in moments] == [0, 1, 2, 3, 4, 4, 4, 4, 4, 4]


async def test_an_asked_for_wait_is_not_ended_by_a_token(
    fill: Filled, quick: Quick, wire: Any, tmp_path: Path
) -> None:
    """What asked to wait is not asked earlier because a token changed."""
    token = tmp_path / "token"
    token.write_text("one")
    await fill("alice.example", ("gas",))
    clock = FakeClock(NOW)
    moments: list[float] = []

    def answer(_: Any) -> bytes:
        moments.append(clock.monotonic())
        token.write_text(f"token-{len(moments)}")
        slow = b"HTTP/1.1 429 Slow\r\nRetry-After: 120\r\nContent-Length: 0\r\n\r\n"
        return TAKEN if len(moments) > 1 else slow

    wire.answer = answer
    async with Worker(quick(wire.url, token_file=token), clock=clock).opened() as worker:
        report = await worker.send(until_empty=True, timeout_s=3600)
    assert report.outcomes == {"delivered": 1, "throttled": 1}
    assert moments[1] - moments[0] >= 120


async def test_status_stays_short_with_many_people(fill: Filled, quick: Quick, wire: Any) -> None:
    """Of thirty people without a token, status names twenty, and says how many there are."""
    names = [f"p{n}.example" for n in range(30)]
    for name in names:
        await fill(name, ("gas",))
    wire.answer = lambda _: EXPIRED
    async with Worker(quick(wire.url + "/{instance}", target="cozy-v1")).opened() as worker:
        await worker.send()
        status = worker.status()
    assert status.destination_states == {"ready": 0, "paused": 30, "open": 0}
    assert len(status.destinations) == 20
    assert status.advice[-1] == "27 more destinations are held back"
    assert {of(one) for one in wire.requests} == {*names}


async def test_many_lost_tokens_leave_room_for_the_others(
    fill: Filled, quick: Quick, wire: Any
) -> None:
    """Where many destinations are tried again at once, the others get their turn in between."""
    for n in range(12):
        await fill(f"p{n}.example", ("gas",))
    wire.answer = lambda _: EXPIRED
    clock = FakeClock(NOW)
    settings = quick(wire.url + "/{instance}", target="cozy-v1", concurrency=1, rate=50.0)
    async with Worker(settings, clock=clock).opened() as worker:
        await worker.send()
        await fill_one(worker, "good.example")
        wire.requests.clear()
        wire.answer = lambda r: TAKEN if of(r) == "good.example" else EXPIRED
        clock.advance(timedelta(hours=1).total_seconds())
        report = await worker.send()
        assert report.outcomes == {"delivered": 6, "unauthorized": 12}
    last = max(n for n, one in enumerate(wire.requests) if of(one) == "good.example")
    assert last < 14


NOVEMBER = parse_civil("2026-11-01T00:00", ZoneInfo("Europe/Paris"), zulu_is_wall=False)


async def fill_one(worker: Worker, name: str) -> None:
    """Put six rows of a person into the outbox of an open worker."""
    await worker.store_facts(InstanceFacts(name, Consent(NOVEMBER, "1.0.0")))
    pages = ("electricity", "gas", "water", "faq", "options", "analysis")
    await worker.record(
        name,
        [
            {"_id": p, "type": "NavigationEvent", "eventDate": "2026-11-20T10:00", "target": p}
            for p in pages
        ],
    )
    await worker.run_once(datetime(2026, 11, 21, 1, 0))


async def test_who_leaves_takes_the_destination_along(
    state_dir: Path, fill: Filled, quick: Quick, wire: Any
) -> None:
    """Once a person's rows are gone nothing refers to the destination, which can go too."""
    await fill("alice.example")
    wire.answer = lambda _: EXPIRED
    async with Worker(quick(wire.url + "/{instance}", target="cozy-v1")).opened() as worker:
        await worker.send()
        await worker.store_facts(InstanceFacts("alice.example", consent=None))
        assert await worker.database.run(destinations.dissolve, 1) == 1
        assert worker.status().destination_states == {"ready": 0, "paused": 0, "open": 0}
    await assert_balanced(state_dir)
