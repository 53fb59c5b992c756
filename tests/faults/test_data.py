"""Events that are poison, hostile, twice, late or too many, and words that must not leave."""

import json
import sqlite3
import threading
from collections import Counter
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import anyio
import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ecolyo_worker import IntakeFull, IntakeRefused, Settings, UsageEvent, Worker
from ecolyo_worker import requests as ask
from ecolyo_worker.clock import civil_from_instant
from ecolyo_worker.commands import Commands
from ecolyo_worker.events import MAX_EVENT_BYTES
from ecolyo_worker.measures import Day, Observation, Rules, measure
from ecolyo_worker.settings import Intake
from ecolyo_worker.testing.clock import FakeClock
from ecolyo_worker.testing.ledger import assert_balanced
from tests.fundamentals.conftest import ALICE as AGREED
from tests.fundamentals.conftest import NIGHT, OK
from tests.integration.conftest import Serve
from tests.property.allowed import Judge
from tests.property.model import Person
from tests.property.worked import agree as agree_all
from tests.property.worked import bodies

Agree = Callable[..., Awaitable[None]]
Event = Callable[..., dict[str, Any]]
Filled = Callable[..., Awaitable[None]]
Quick = Callable[..., Settings]

ALICE, BOB = "alice.example", "bob.example"
GOOD = b'{"type": "NavigationEvent", "eventDate": "2026-11-20T10:00"}'


async def told(worker: Worker) -> dict[str, str]:
    """Give what became of each event, by its id."""
    found = Commands(worker).events_list(ask.EventsList())
    return {document["_id"]: document["state"] async for document in found}


async def sums(worker: Worker) -> Counter[str]:
    """Give what the rows of each measure come to."""
    found = Counter[str]()
    async for row in Commands(worker).outbox_list(ask.OutboxList()):
        found[row.measure] += json.loads(bytes(row.indicator))["value"]
    return found


@measure("quiz-stars", groups=2)
def poisoned(day: Day) -> Any:
    """Break on some events that intake takes."""
    for found in day.of("QuizEndEvent"):
        yield Observation((None, None), 1 // (found.target != "POISON"), (found.seq,))


@pytest.mark.fault(54)
async def test_poison(state_dir: Path, agree: Agree, event: Event) -> None:
    """The event is found among all others, and failed with its traceback; they are counted.

    It is so of the first run on: nothing is tried again that would break again.
    """
    agreed = [AGREED, {**AGREED, "instance": BOB}]
    async with Worker(Settings(state_dir=state_dir)).opened() as worker:
        await agree(worker, *agreed)
        quiz = partial(event, "QuizEndEvent")
        made = [quiz(f"2026-11-20T10:{n:02}", str(n), target="QUIZ") for n in range(20)]
        await worker.record(ALICE, [*made, quiz("2026-11-20T10:10", "bad", target="POISON")])
        await worker.record(BOB, quiz("2026-11-20T10:00", "of bob", target="QUIZ"))
        plan = worker.aggregator.plan(civil_from_instant(NIGHT, worker.settings.civil_zone))
        plan = msgspec.structs.replace(plan, rules=Rules(worker.definitions, daily=(poisoned,)))
        report = await worker.aggregator.run_once(plan)
        assert report.events == {"counted": 21, "failed": 1}
        states = await told(worker)
        assert {ident for ident, state in states.items() if state == "failed"} == {"bad"}
        assert await sums(worker) == {"quiz-stars": 21}
        ((trace,),) = await worker.database.read(_errors)
        assert trace.startswith("Traceback (most recent call last):")
        assert "ZeroDivisionError" in trace
        assert (await worker.aggregator.run_once(plan)).events == {}
        [found] = [one async for one in Commands(worker).explain_event(ask.ExplainEvent("bad"))]
        assert "ZeroDivisionError" in found.why


def _errors(connection: sqlite3.Connection) -> list[tuple[str]]:
    return connection.execute("SELECT error FROM failures").fetchall()


HOSTILE = {
    "huge": b'{"target": "' + b"x" * MAX_EVENT_BYTES + b'"}',
    "deep": b"[" * 30_000 + b"]" * 30_000,
    "deep-object": b'{"a":' * 10_000 + b"1" + b"}" * 10_000,
    "nan": GOOD[:-1] + b', "result": NaN}',
    "infinite": GOOD[:-1] + b', "result": -Infinity}',
    "1e999": GOOD[:-1] + b', "result": 1e999}',
    "2-to-63": GOOD[:-1] + b', "target": 9223372036854775808}',
    "10-to-5000": GOOD[:-1] + b', "result": ' + b"9" * 5000 + b"}",
    "no-time": b'{"type": "NavigationEvent", "eventDate": "2026-11-20"}',
    "year-0": b'{"type": "NavigationEvent", "eventDate": "0000-01-01T00:00"}',
    "no-utf-8": GOOD[:-1] + b', "target": "\xff"}',
    "half-a-pair": GOOD[:-1] + b', "target": "\\ud800"}',
    "bom-inside": b"\xef\xbb\xbf" + GOOD,
    "no-object": b"[1]",
    "cut": GOOD[:-5],
}


@pytest.mark.fault(55)
async def test_hostile_lines(serve: Serve) -> None:
    """Each is refused by its place, its field and the reason; the good ones around are taken.

    A line has 64 KiB at most, which is looked at before it is parsed.
    """
    lines = [line for hostile in HOSTILE.values() for line in (GOOD, hostile)]
    async with serve() as served, served.client() as client:
        answer = await client.post(
            f"/v1/events?instance={ALICE}",
            content=b"\n".join(lines),
            headers={"content-type": "application/x-ndjson"},
        )
        found = answer.json()
        refused = {one["index"]: one["field"] for one in found["refused"]}
        assert (answer.status_code, found["accepted"]) == (200, len(HOSTILE))
        named = {"2-to-63": "target", "no-time": "eventDate", "year-0": "eventDate"}
        fields = [named.get(name, "") for name in HOSTILE]
        assert refused == {2 * n + 1: field for n, field in enumerate(fields)}
        assert all(one["reason"] for one in found["refused"])
        assert len(await told(served.worker)) == len(HOSTILE)


@pytest.mark.fault(55)
@pytest.mark.parametrize("name", ["instances_import", "consumption_import"])
async def test_hostile_lines_of_hosts(worker: Worker, name: str) -> None:
    """What hosts say of people, and readings, are refused line by line in the same way."""
    lines = [ask.Line(n, line) for n, line in enumerate(HOSTILE.values(), 1)]
    asked: Any = (
        ask.InstancesImport(lines, withdrawing=True)
        if name == "instances_import"
        else ask.ConsumptionImport(lines)
    )
    report = await getattr(Commands(worker), name)(asked)
    assert [one.line for one in report.refused] == [line.number for line in lines]


@pytest.mark.fault(55)
@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("result", float("nan")),
        ("result", float("inf")),
        ("target", 2**63),
        ("target", "\udc00"),
        ("target", "x" * 257),
        ("target", {"a": []}),
        ("event_date", "2026-11-20"),
        ("event_date", datetime.max.replace(tzinfo=UTC)),
        ("event_date", float("nan")),
    ],
)
async def test_hostile_values_of_a_host(worker: Worker, field: str, value: Any) -> None:
    """`record` raises `IntakeRefused`, which names the field; it trusts a `UsageEvent` no more."""
    good = {"type": "NavigationEvent", "event_date": "2026-11-20T10:00"}
    made = UsageEvent(**{**good, field: value})
    with pytest.raises(IntakeRefused) as refused:
        await worker.record(ALICE, made)
    name = "eventDate" if field == "event_date" else field
    assert [one.field for one in refused.value.refusals] == [name]


@pytest.mark.fault(55)
async def test_what_is_odd_and_no_fault(worker: Worker) -> None:
    """Unknown fields are passed over; of a key that comes twice the last one holds.

    A time without an offset is the wall clock's, which is what the app sends.
    """
    line = b'{"_id": "a", "_id": "b", "type": "NavigationEvent", "x": [{}],'
    line += b' "eventDate": "2026-11-20T10:00"}'
    report = await Commands(worker).events_import(ask.EventsImport([ask.Line(1, line)], ALICE))
    assert (report.accepted, report.refused) == (1, [])
    assert set(await told(worker)) == {"b"}
    naive = UsageEvent(type="NavigationEvent", event_date=datetime(2026, 11, 20, 10))
    assert (await worker.record(ALICE, naive)).accepted == 1


@pytest.mark.fault(56)
async def test_events_twice_late_and_in_any_order(
    state_dir: Path, agree: Agree, event: Event
) -> None:
    """Each `_id` counts once; late events are a supplement of their day, or expire, and say so."""
    visit = partial(event, "NavigationEvent", target="gas")
    first = [visit(f"2026-11-{day}T{hour}:00") for day in (20, 18, 19) for hour in (11, 10, 12)]
    late = [visit("2026-11-18T13:00"), visit("2026-11-02T10:00")]
    clock = FakeClock(datetime(2026, 12, 12, tzinfo=UTC))
    async with Worker(Settings(state_dir=state_dir), clock=clock).opened() as worker:
        await agree(worker)
        receipt = await worker.record(ALICE, [*first, *first[::-1]])
        assert (receipt.accepted, receipt.known) == (9, 9)
        assert (await worker.run_once(NIGHT)).events == {"counted": 9}
        receipt = await worker.record(ALICE, [*late, *first])
        assert (receipt.accepted, receipt.known) == (2, 9)
        assert (await worker.run_once()).events == {"counted": 1, "expired": 1}
        assert (await sums(worker))["navigation-count-daily"] == 10
        assert Counter((await told(worker)).values()) == {"counted": 10, "expired": 1}
    await assert_balanced(state_dir)


@pytest.mark.fault(57)
async def test_when_too_much_waits_the_client_waits(serve: Serve) -> None:
    """While as many events wait as may, the next are refused: 503, or `record`'s `IntakeFull`."""
    stored = threading.Event()
    path = "/v1/events?instance=a.example"
    async with serve(intake=Intake(max_waiting=1)) as served, served.client() as client:
        async with anyio.create_task_group() as others:
            others.start_soon(served.worker.database.run, lambda _: stored.wait(20))
            while served.worker.intake.statistics().waiting < 1:
                # The first one is being stored, until the database goes on; the next one waits.
                others.start_soon(partial(client.post, path, content=GOOD))
                await client.get("/livez")
            done = await client.post(path, content=GOOD)
            with pytest.raises(IntakeFull, match=r"nothing of these 1 was taken; try again"):
                await served.worker.record(ALICE, msgspec.json.decode(GOOD))
            stored.set()
        assert (done.status_code, done.headers["retry-after"]) == (503, "1")
        assert done.json()["error"]["code"] == "busy"


MANY = (
    "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < ?)"
    " INSERT INTO outbox (key, instance, destination, measure, start_date, body, body_hmac, state,"
    " due, shuffle, created) SELECT randomblob(16), instance, destination, measure, start_date,"
    " body, body_hmac, state, 0, abs(random() >> 12), created FROM n, outbox WHERE id = 1"
)


class Steps:
    """What SQLite did on all connections, in tens of steps of its machine."""

    taken = 0

    def count(self) -> int:
        """Count ten steps more, and let it go on."""
        self.taken += 1
        return 0


@pytest.fixture
def steps(monkeypatch: pytest.MonkeyPatch) -> Steps:
    """Count them on each connection that is opened, whoever else looks at its progress."""
    steps = Steps()

    class Counting(sqlite3.Connection):
        def __init__(self, *args: Any, **options: Any) -> None:
            super().__init__(*args, **options)
            super().set_progress_handler(steps.count, 10)

        def set_progress_handler(self, *_: Any, **__: Any) -> None:
            pass

    monkeypatch.setattr(sqlite3, "connect", partial(sqlite3.connect, factory=Counting))
    return steps


@pytest.mark.fault(57)
async def test_many_rows_wait(fill: Filled, quick: Quick, wire: Any, steps: Steps) -> None:
    """A start, and the sending of each row, is as much work for SQLite however many rows wait."""
    await fill(pages=("faq",))
    answers = [OK] * 40 + [b"HTTP/1.1 401 No\r\nContent-Length: 0\r\n\r\n"] * 5
    costs: list[tuple[int, int]] = []
    for rows in (200, 40_000):
        clock = FakeClock(datetime(2026, 11, 21, 2, tzinfo=UTC) + len(costs) * timedelta(days=1))
        settings = quick(wire.url, concurrency=1)
        async with Worker(settings, clock=clock).opened() as worker:
            await worker.database.run(_multiply, rows)
        left = iter(answers)
        wire.answer = lambda _, left=left: next(left)
        begin = steps.taken
        async with Worker(settings, clock=clock).opened() as worker:
            started = steps.taken
            report = await worker.send()
            assert report.outcomes["delivered"] == 40
            costs.append((started - begin, steps.taken - started))
    (start, sending), (start_of_many, sending_of_many) = costs
    assert start_of_many <= 1.2 * start
    assert sending_of_many <= 1.2 * sending


def _multiply(connection: sqlite3.Connection, rows: int) -> None:
    """Let so many more rows wait."""
    connection.execute(MANY, (rows,))
    connection.execute("UPDATE totals SET count = count + ? WHERE name = 'outbox.pending'", (rows,))


@pytest.mark.fault(58)
async def test_words_that_are_not_allowed(worker: Worker, event: Event) -> None:
    """A group value that the definitions do not name is `other` in the row, and is counted."""
    visit = partial(event, "NavigationEvent")
    await worker.record(
        ALICE,
        [
            visit("2026-11-20T10:00", target="gas"),
            visit("2026-11-20T11:00", target="ann@example.org"),
            visit("2026-11-20T12:00", target="12345678901234"),
        ],
    )
    await worker.run_once(NIGHT)
    rows = [row async for row in Commands(worker).outbox_list(ask.OutboxList())]
    found = [json.loads(bytes(row.indicator)) for row in rows]
    assert {one["group1"]["page"]: one["value"] for one in found} == {"gas": 1, "other": 2}
    assert worker.status().other_values == {"navigation-count-daily.page": 2}


@pytest.mark.fault(58)
@settings(max_examples=8, deadline=None)
@given(st.lists(st.text(st.characters(exclude_categories=["Cs"]), max_size=40), max_size=30))
async def test_any_word_is_allowed_or_other(texts: list[str]) -> None:
    """Whatever text an event has: what is in a row is a word of the definitions."""
    kinds = ("NavigationEvent", "QuizEndEvent", "ChallengeLaunchEvent", "ConsumptionCompareEvent")
    events = [
        {"type": kind, "eventDate": "2026-11-20T10:00", "target": text, "context": text}
        for text in ["gas", *texts]
        for kind in kinds
    ]
    with TemporaryDirectory() as directory:
        async with Worker(Settings(state_dir=Path(directory))).opened() as worker:
            await agree_all(worker, {ALICE: Person()}, datetime(2026, 11, 1))
            await worker.record(ALICE, events)
            await worker.run_once(NIGHT)
            made = await bodies(worker)
    assert len(made) >= len(kinds) - 1
    for body in made:
        Judge().refuse(body)
