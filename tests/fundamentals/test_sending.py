"""Sent at least once, evenly, in no telling order; what waits says why."""

import contextlib
import json
import random
import sqlite3
from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import anyio
import httpx
import pytest
from anyio.abc import SocketStream
from anyio.streams.buffered import BufferedByteReceiveStream

from ecolyo_worker import Settings, Worker, __version__
from ecolyo_worker.actors.sender import RateGrid
from ecolyo_worker.commands import Commands
from ecolyo_worker.errors import CommandRefused
from ecolyo_worker.requests import OutboxDocument, OutboxList, Retry
from ecolyo_worker.settings import Aggregation, Dacc
from ecolyo_worker.testing.clock import FakeClock
from ecolyo_worker.testing.echo import Echo, echo_server
from ecolyo_worker.testing.ledger import assert_balanced

Event = Callable[..., dict[str, Any]]
Agree = Callable[..., Awaitable[None]]
Filled = Callable[..., Awaitable[None]]

NIGHT = datetime(2026, 11, 21, 1, 0)
PAGES = ("electricity", "gas", "water", "faq", "options", "analysis")


@pytest.fixture
async def echo() -> AsyncIterator[Echo]:
    async with echo_server() as echo:
        yield echo


@pytest.fixture
def fill(state_dir: Path, event: Event, agree: Agree) -> Filled:
    """Put one row for each page into the outbox of a person."""

    async def put(name: str = "alice.example", pages: tuple[str, ...] = PAGES) -> None:
        async with Worker(Settings(state_dir=state_dir)) as worker:
            consent = {"version": "1.0.0", "accepted_at": "2026-01-01T00:00:00"}
            await agree(worker, {"instance": name, "consent": consent})
            await worker.record(
                name, [event("NavigationEvent", "2026-11-20T10:00", p, target=p) for p in pages]
            )
            await worker.run_once(NIGHT)

    return put


def quick(state_dir: Path, url: str, **more: Any) -> Settings:
    waits = {
        "rate": 1000.0,
        "backoff_base": timedelta(milliseconds=5),
        "unknown_retry": timedelta(milliseconds=5),
    }
    return Settings(state_dir=state_dir, dacc=Dacc(url=url, **{**waits, **more}))


async def rows(worker: Worker, state: Any = None) -> list[OutboxDocument]:
    return [row async for row in Commands(worker).outbox_list(OutboxList(state))]


async def test_a_sent_row_keeps_nothing_personal(state_dir: Path, fill: Filled, echo: Echo) -> None:
    """Once sent, a row has neither its text nor whose it was."""
    await fill()
    async with Worker(quick(state_dir, echo.url)) as worker:
        report = await worker.send()
    assert (report.outcomes, report.waiting) == ({"delivered": 6}, 0)
    with sqlite3.connect(state_dir / "ecolyo.db") as other:
        found = other.execute("SELECT DISTINCT state, body, instance FROM outbox").fetchall()
    other.close()
    assert found == [("sent", None, None)]


async def test_the_order_mixes_people(state_dir: Path, fill: Filled, echo: Echo) -> None:
    """Rows are drawn at random over all people, not person by person."""
    await fill("alice.example", PAGES[:3])
    await fill("bob.example", PAGES[3:])
    async with Worker(quick(state_dir, echo.url, concurrency=1), random=random.Random(3)) as worker:
        await worker.send()
    pages = [record["indicator"]["group1"]["page"] for record in await echo.indicators()]
    assert sorted(pages) == sorted(PAGES)
    assert set(pages[:3]) not in ({*PAGES[:3]}, {*PAGES[3:]})


async def test_no_header_tells_who_it_is(state_dir: Path, fill: Filled) -> None:
    """Every request has the same headers, but for its length; the agent names the program only."""
    heads: list[list[bytes]] = []

    async def answer(stream: SocketStream) -> None:
        async with stream:
            buffered = BufferedByteReceiveStream(stream)
            with contextlib.suppress(anyio.IncompleteRead):
                while True:
                    head = (await buffered.receive_until(b"\r\n\r\n", 9999)).split(b"\r\n")
                    (length,) = (x for x in head if x.lower().startswith(b"content-length: "))
                    await buffered.receive_exactly(int(length.split()[1]))
                    heads.append([line for line in head if line != length])
                    await stream.send(b'HTTP/1.1 201 OK\r\nContent-Length: 12\r\n\r\n{"ok": true}')

    await fill("alice.example", PAGES[:3])
    await fill("bob.example", PAGES[3:])
    listener = await anyio.create_tcp_listener(local_host="127.0.0.1")
    port = listener.extra(anyio.abc.SocketAttribute.local_port)
    async with listener, anyio.create_task_group() as serving:
        serving.start_soon(listener.serve, answer)
        async with Worker(quick(state_dir, f"http://127.0.0.1:{port}")) as worker:
            assert (await worker.send()).outcomes == {"delivered": 6}
        serving.cancel_scope.cancel()
    assert len(heads) == 6
    assert all(head == heads[0] for head in heads)
    names = {line.partition(b":")[0].lower() for line in heads[0][1:]}
    assert names == {
        b"host",
        b"connection",
        b"accept",
        b"accept-encoding",
        b"content-type",
        b"user-agent",
    }
    assert f"User-Agent: ecolyo-worker/{__version__}".encode() in heads[0]


async def test_starts_lie_on_an_even_grid() -> None:
    """Starts are 1/rate apart, never closer; time that was lost is not made up by a burst."""
    clock = FakeClock(datetime(2026, 11, 21, tzinfo=UTC))
    grid = RateGrid(5.0, clock)
    starts = []
    for _ in range(4):
        await grid.wait()
        starts.append(clock.monotonic())
    clock.advance(3.05)
    for _ in range(3):
        await grid.wait()
        starts.append(clock.monotonic())
    assert starts == pytest.approx([0.0, 0.2, 0.4, 0.6, 3.65, 3.85, 4.05])


async def test_a_refused_row_is_dead_with_its_answer(state_dir: Path, fill: Filled) -> None:
    """A 400 is final: the row is dead, says what it was told, and others go on."""
    await fill()
    async with (
        echo_server("--fault", "status=400,ok") as echo,
        Worker(quick(state_dir, echo.url)) as worker,
    ):
        report = await worker.send()
        assert report.outcomes == {"delivered": 5, "rejected": 1}
        (dead,) = await rows(worker, "dead")
        assert dead.answer is not None
        assert dead.answer.startswith("400: ")
        assert any("1 indicators are dead" in advice for advice in worker.status().advice)


async def test_a_dead_row_is_moved_by_hand_only(state_dir: Path, fill: Filled) -> None:
    """`retry` sends a dead row again, `discard` gives it up; no other row can be moved."""
    await fill("alice.example", PAGES[:2])
    async with (
        echo_server("--fault", "status=400*2,ok") as echo,
        Worker(quick(state_dir, echo.url)) as worker,
    ):
        commands = Commands(worker)
        await worker.send()
        first, second = await rows(worker, "dead")
        assert (await commands.outbox_retry(Retry(first.id))).rows == 1
        assert (await commands.outbox_discard(second.id)).rows == 1
        await worker.send()
        assert [row.state for row in await rows(worker)] == ["sent", "discarded"]
        for refused in (commands.outbox_discard(first.id), commands.outbox_retry(Retry(second.id))):
            with pytest.raises(CommandRefused, match="only a dead one"):
                await refused
        with pytest.raises(CommandRefused, match="no row 99"):
            await commands.outbox_show(99)
    await assert_balanced(state_dir)


async def test_a_backoff_survives_a_restart(state_dir: Path, fill: Filled) -> None:
    """When a row is tried again stands in the row: a new process waits as long as the old one."""
    await fill("alice.example", PAGES[:1])
    async with echo_server("--fault", "status=500,ok") as echo:
        settings = quick(state_dir, echo.url, backoff_base=timedelta(hours=1))
        # The seed draws a wait of minutes, which is more than `send` has patience for.
        async with Worker(settings, random=random.Random(1)) as worker:
            assert (await worker.send()).outcomes == {"failed": 1}
            (row,) = await rows(worker)
            assert (row.state, row.attempts) == ("pending", 1)
        async with Worker(settings) as worker:
            report = await worker.send(until_empty=True)
            assert (report.attempts, report.waiting) == (0, 1)
            assert (await rows(worker))[0].next_try == row.next_try


async def test_at_most_once_gives_an_unknown_row_up(state_dir: Path, fill: Filled) -> None:
    """With `on_unknown = "drop"` a row whose end is unknown becomes `sent?` and is not resent."""
    await fill("alice.example", PAGES[:1])
    async with echo_server("--fault", "accept-then-drop") as echo:
        async with Worker(quick(state_dir, echo.url, on_unknown="drop")) as worker:
            report = await worker.send(until_empty=True)
            assert (report.attempts, report.waiting) == (1, 0)
            assert worker.status().outbox["sent?"] == 1
        await assert_balanced(state_dir, echo.url)


async def test_the_deadline_holds_for_the_whole_attempt(state_dir: Path, fill: Filled) -> None:
    """An answer that drips byte by byte is cut at the total deadline, as an unknown end."""
    await fill("alice.example", PAGES[:1])
    async with echo_server("--fault", "slow-body*9") as echo:
        settings = quick(
            state_dir, echo.url, attempt_timeout=timedelta(seconds=0.2), unknown_retry=timedelta(1)
        )
        async with Worker(settings) as worker:
            report = await worker.send()
            assert report.outcomes == {"unknown": 1}
            (row,) = await rows(worker)
    assert (row.state, row.maybe_delivered, row.answer) == ("pending", 1, "no answer in time")


async def test_nobody_there_costs_no_attempt(state_dir: Path, fill: Filled) -> None:
    """A refused connection is no attempt of the row, and surely no double."""
    await fill("alice.example", PAGES[:1])
    settings = quick(state_dir, "http://127.0.0.1:9", backoff_base=timedelta(hours=1))
    async with Worker(settings) as worker:
        assert (await worker.send()).outcomes == {"unavailable": 1}
        (row,) = await rows(worker)
    assert (row.state, row.attempts, row.maybe_delivered) == ("pending", 0, 0)
    assert row.failed_tries == 1


async def test_interrupted_is_not_failed(state_dir: Path, fill: Filled) -> None:
    """A shutdown in mid-attempt puts the row back, uncounted, as possibly delivered."""
    await fill("alice.example", PAGES[:3])
    async with echo_server("--fault", "latency=1min*9") as echo:
        async with Worker(quick(state_dir, echo.url, concurrency=1)) as worker:
            async with anyio.create_task_group() as sending:
                sending.start_soon(worker.send)
                async with httpx.AsyncClient(trust_env=False) as client:
                    while (await client.get(f"{echo.url}/api/count")).json()["requests"] == 0:
                        await anyio.lowlevel.checkpoint()
                sending.cancel_scope.cancel()
            found = [(r.state, r.attempts, r.maybe_delivered) for r in await rows(worker)]
    assert sorted(found) == [("pending", 0, 0), ("pending", 0, 0), ("pending", 0, 1)]


async def test_what_a_dead_process_had_in_flight_is_sent_again(
    state_dir: Path, fill: Filled, echo: Echo
) -> None:
    """At the start, rows in flight belong to a dead process: pending, and possibly delivered."""
    await fill("alice.example", PAGES[:2])
    with sqlite3.connect(state_dir / "ecolyo.db") as other:
        other.execute("UPDATE outbox SET state = 'in_flight' WHERE id = 1")
        other.execute("UPDATE totals SET count = 1 WHERE name = 'outbox.pending'")
        other.execute("INSERT INTO totals VALUES ('outbox.in_flight', 1)")
    other.close()
    async with Worker(quick(state_dir, echo.url)) as worker:
        assert worker.status().maybe_delivered == 1
        assert (await worker.send()).outcomes == {"delivered": 2}
    await assert_balanced(state_dir, echo.url)


async def test_definitions_that_changed_stop_a_row(
    state_dir: Path, fill: Filled, echo: Echo, tmp_path: Path
) -> None:
    """A stored indicator that the definitions no longer allow is dead, never re-written."""
    await fill("alice.example", ("gas", "faq"))
    narrower = tmp_path / "measures.toml"
    narrower.write_text(
        '[[measure]]\nname = "navigation-count-daily"\npurpose = "p"\nunit = "u"\nperiod = "day"\n'
        'rows = "count"\ngroup1 = { key = "page", values = ["gas"] }\n'
    )
    settings = quick(state_dir, echo.url).replace(aggregation=Aggregation(measures_file=narrower))
    async with Worker(settings) as worker:
        assert (await worker.send()).outcomes == {"delivered": 1}
        (dead,) = await rows(worker, "dead")
    assert dead.answer is not None
    assert dead.answer.startswith("no longer in the definitions: ")
    assert "'faq'" in dead.answer


async def test_a_damaged_text_is_never_sent(state_dir: Path, fill: Filled, echo: Echo) -> None:
    """A body that changed on the disk no longer fits its HMAC: dead, and not sent."""
    await fill("alice.example", ("gas",))
    with sqlite3.connect(state_dir / "ecolyo.db") as other:
        (body,) = other.execute("SELECT body FROM outbox").fetchone()
        changed = json.dumps(json.loads(body) | {"value": 2}, separators=(",", ":")).encode()
        other.execute("UPDATE outbox SET body = ?", (changed,))
    other.close()
    async with Worker(quick(state_dir, echo.url)) as worker:
        assert (await worker.send()).attempts == 0
        (dead,) = await rows(worker, "dead")
    assert dead.answer == "the stored text is damaged: its HMAC does not fit"
    assert await echo.indicators() == []


async def test_a_paused_destination_is_asked_with_one_row(
    state_dir: Path, fill: Filled, tmp_path: Path
) -> None:
    """After a refused token one row finds out whether it is accepted now, then all follow."""
    token = tmp_path / "token"
    token.write_text("wrong")
    await fill()
    async with echo_server("--token", "right") as echo:
        settings = quick(state_dir, echo.url, token_file=token, concurrency=4)
        async with Worker(settings) as worker:
            assert (await worker.send()).outcomes == {"unauthorized": 4}
            assert (await worker.send()).outcomes == {"unauthorized": 1}
            token.write_text("right")
            assert (await worker.send()).outcomes == {"delivered": 6}


async def test_many_rows_that_may_not_leave_hold_nothing_up(
    state_dir: Path, fill: Filled, echo: Echo
) -> None:
    """Thousands of rows that became dead at once cost no recursion, and the good one leaves."""
    await fill("alice.example", PAGES[:1])
    copies = (
        "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 3000)"
        " INSERT INTO outbox (key, instance, destination, measure, start_date, body, body_hmac,"
        " state, shuffle, created) SELECT randomblob(16), instance, destination, measure,"
        " start_date, body, x'00', state, -i, created FROM outbox, n"
    )
    with sqlite3.connect(state_dir / "ecolyo.db") as other:
        other.execute(copies)
        other.execute("UPDATE totals SET count = 3001 WHERE name = 'outbox.pending'")
    other.close()
    async with Worker(quick(state_dir, echo.url)) as worker:
        report = await worker.send()
        assert (report.outcomes, report.waiting) == ({"delivered": 1}, 0)
        assert worker.status().outbox["dead"] == 3000


async def test_no_cookie_comes_back(state_dir: Path, fill: Filled) -> None:
    """A cookie that the other side sets is forgotten: it would tie requests together."""
    heads: list[bytes] = []

    async def answer(stream: SocketStream) -> None:
        async with stream:
            with contextlib.suppress(anyio.EndOfStream):
                while True:
                    heads.append(await stream.receive())
                    await stream.send(
                        b"HTTP/1.1 201 OK\r\nSet-Cookie: person=1; Path=/\r\n"
                        b'Content-Length: 12\r\n\r\n{"ok": true}'
                    )

    await fill("alice.example", PAGES[:3])
    listener = await anyio.create_tcp_listener(local_host="127.0.0.1")
    port = listener.extra(anyio.abc.SocketAttribute.local_port)
    async with listener, anyio.create_task_group() as serving:
        serving.start_soon(listener.serve, answer)
        async with Worker(quick(state_dir, f"http://127.0.0.1:{port}", concurrency=1)) as worker:
            assert (await worker.send()).outcomes == {"delivered": 3}
        serving.cancel_scope.cancel()
    assert b"cookie:" not in b"".join(heads).lower()


async def test_a_transport_that_says_nothing_makes_a_broken_attempt_unknown(
    state_dir: Path, fill: Filled
) -> None:
    """A host's own client that does not trace its writing may have delivered what broke."""

    class Mute(httpx.AsyncBaseTransport):
        async def handle_async_request(self, _: httpx.Request) -> httpx.Response:
            message = "gone"
            raise httpx.ReadError(message)

    await fill("alice.example", PAGES[:1])
    settings = quick(state_dir, "http://127.0.0.1:9", unknown_retry=timedelta(days=1))
    async with Worker(settings, http=lambda: httpx.AsyncClient(transport=Mute())) as worker:
        assert (await worker.send()).outcomes == {"unknown": 1}


async def test_at_most_once_holds_for_a_shutdown_too(state_dir: Path, fill: Filled) -> None:
    """With `on_unknown = "drop"` an attempt that is cut off after writing is not made again."""
    await fill("alice.example", PAGES[:1])
    async with echo_server("--fault", "latency=1min") as echo:
        async with Worker(quick(state_dir, echo.url, on_unknown="drop")) as worker:
            async with anyio.create_task_group() as sending:
                sending.start_soon(worker.send)
                while not (await echo.count())["requests"]:
                    await anyio.lowlevel.checkpoint()
                sending.cancel_scope.cancel()
            assert worker.status().outbox["sent?"] == 1


async def test_waiting_for_a_dead_server_ends(state_dir: Path, fill: Filled) -> None:
    """`send --until-empty` without a timeout gives up a minute after the last delivery."""
    await fill("alice.example", PAGES[:1])
    clock = FakeClock(datetime(2026, 11, 21, 2, 0, tzinfo=UTC))
    settings = quick(state_dir, "http://127.0.0.1:9", backoff_base=timedelta(seconds=5))
    async with Worker(settings, clock=clock) as worker:
        report = await worker.send(until_empty=True)
        assert report.waiting == 1
        assert clock.monotonic() < 70
        assert (await worker.send(until_empty=True, timeout_s=0)).attempts == 0


async def test_a_new_token_ends_the_waiting_at_once(
    state_dir: Path, fill: Filled, tmp_path: Path
) -> None:
    """While `send` waits out a pause it looks at the token file every ten seconds."""
    token = tmp_path / "token"
    token.write_text("wrong")
    await fill("alice.example", PAGES[:1])

    class Rotating(FakeClock):
        async def sleep(self, seconds: float) -> None:
            await super().sleep(seconds)
            if self.monotonic() >= 30:
                token.write_text("right")

    clock = Rotating(datetime(2026, 11, 21, 2, 0, tzinfo=UTC))
    async with echo_server("--token", "right") as echo:
        settings = quick(state_dir, echo.url, token_file=token)
        async with Worker(settings, clock=clock) as worker:
            report = await worker.send(until_empty=True, timeout_s=3600)
    assert report.outcomes == {"delivered": 1, "unauthorized": 1}
    assert clock.monotonic() < 60


async def test_a_refused_row_shows_that_the_token_is_good(
    state_dir: Path, fill: Filled, tmp_path: Path
) -> None:
    """An answer about the row itself ends the pause for a refused token."""
    token = tmp_path / "token"
    token.write_text("wrong")
    await fill("alice.example", PAGES[:3])
    async with echo_server("--token", "right") as echo:
        async with Worker(quick(state_dir, echo.url, token_file=token)) as worker:
            await worker.send()
            token.write_text("right")
            await echo.set_fault("status=400,ok")
            assert (await worker.send()).outcomes == {"delivered": 2, "rejected": 1}


async def test_a_trial_of_a_time_to_come_stays_on_this_machine(
    state_dir: Path, event: Event, agree: Agree
) -> None:
    """A row made as of next year for a local DACC is not sent to another address today."""
    clock = FakeClock(datetime(2026, 11, 21, 2, 0, tzinfo=UTC))
    async with Worker(quick(state_dir, "http://127.0.0.1:9"), clock=clock) as worker:
        await agree(worker)
        await worker.record("alice.example", event("NavigationEvent", "2027-03-02T10:00"))
        await worker.run_once(datetime(2027, 3, 3, 1, 0))
    async with Worker(quick(state_dir, "https://dacc.invalid"), clock=clock) as worker:
        assert (await worker.send()).attempts == 0
        (row,) = await rows(worker)
    assert row.answer == "it waits: its day has not ended yet"


async def test_a_clock_that_was_wrong_holds_no_row_back(
    state_dir: Path, fill: Filled, echo: Echo
) -> None:
    """A due time that lies farther ahead than any wait was set by a clock that was wrong."""
    await fill("alice.example", PAGES[:1])
    clock = FakeClock(datetime(2036, 11, 21, 2, 0, tzinfo=UTC))
    async with Worker(quick(state_dir, "http://127.0.0.1:9"), clock=clock) as worker:
        assert (await worker.send()).outcomes == {"unavailable": 1}
        clock.jump(datetime(2026, 11, 21, 2, 0, tzinfo=UTC))
    async with Worker(quick(state_dir, echo.url), clock=clock) as worker:
        assert (await worker.send()).outcomes == {"delivered": 1}


async def test_a_token_that_comes_back_is_not_kept(
    state_dir: Path, fill: Filled, tmp_path: Path
) -> None:
    """An answer that repeats the token is kept and shown without it."""
    token = tmp_path / "token"
    token.write_text("s3cr3t")

    async def answer(stream: SocketStream) -> None:
        async with stream:
            await stream.receive()
            await stream.send(b"HTTP/1.1 403 No\r\nContent-Length: 18\r\n\r\ndenied: s3cr3t you")

    await fill("alice.example", PAGES[:1])
    listener = await anyio.create_tcp_listener(local_host="127.0.0.1")
    port = listener.extra(anyio.abc.SocketAttribute.local_port)
    async with listener, anyio.create_task_group() as serving:
        serving.start_soon(listener.serve, answer)
        settings = quick(state_dir, f"http://127.0.0.1:{port}", token_file=token)
        async with Worker(settings) as worker:
            report = await worker.send()
            assert "403: denied: [token] you" in (report.reason or "")
            assert "s3cr3t" not in f"{report}{worker.status()}{await rows(worker)}"
        serving.cancel_scope.cancel()


async def test_a_failing_dacc_is_named(state_dir: Path, fill: Filled) -> None:
    """What the last attempt was told stands in the report and in the status, until one succeeds."""
    await fill("alice.example", PAGES[:1])
    async with echo_server("--fault", "status=500,ok") as echo:
        settings = quick(state_dir, echo.url)
        async with Worker(settings) as worker:
            report = await worker.send()
            assert (report.reason or "").startswith("the last attempt failed (500: ")
            assert "the last attempt failed: 500: " in " ".join(worker.status().advice)
            await worker.send(until_empty=True)
            assert worker.status().advice == []


async def test_no_attempt_begins_after_the_timeout(
    state_dir: Path, fill: Filled, echo: Echo
) -> None:
    """`send` with a timeout leaves what it cannot begin in time, and says how much waits."""
    await fill()
    clock = FakeClock(datetime(2026, 11, 21, 2, 0, tzinfo=UTC))
    async with Worker(quick(state_dir, echo.url, rate=1.0, concurrency=1), clock=clock) as worker:
        report = await worker.send(until_empty=True, timeout_s=2.5)
    assert (report.attempts, report.waiting) == (3, 3)
