"""What a night costs: statements and memory by the piece, and no waiting for what is slow."""

import asyncio
import os
import sqlite3
import sys
import threading
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta
from pathlib import Path
from types import FrameType
from typing import Any

import anyio
import device_detector
import pytest

from ecolyo_worker import RunReport, Settings, Worker
from ecolyo_worker.commands import Commands
from ecolyo_worker.events import Event, check_event
from ecolyo_worker.facts import Consent, InstanceFacts
from ecolyo_worker.measures import devices
from ecolyo_worker.requests import Preview
from ecolyo_worker.store import events
from ecolyo_worker.testing.clock import SteppedClock

Forgetful = Callable[..., list[int]]

NIGHT = datetime(2026, 11, 21, 1, 0)
MOST_CALLS = 1000
"""In a turn of the event loop: some tenths of a millisecond."""
KINDS = ("NavigationEvent", "ConnectionEvent", "QuizEndEvent", "KonnectorAttemptEvent")


def day(events: int) -> list[dict[str, Any]]:
    """The events of one person's day."""
    return [
        {
            "_id": f"e{n}",
            "type": KINDS[n % len(KINDS)],
            "eventDate": f"2026-11-20T{n // 60 % 24:02}:{n % 60:02}",
            "target": f"QUIZ{n}",
            "context": "desktop",
            "startDate": "2026-11-19",
        }
        for n in range(events)
    ]


def still() -> SteppedClock:
    """A clock that stands still."""
    return SteppedClock(datetime.fromisoformat("2026-11-22T12:00Z"))


async def fill(worker: Worker, people: int, events: int) -> None:
    """Let so many people, who agreed, have so many events each, on a day after their first one."""
    names = [f"p{n}.example" for n in range(people)]
    await worker.store_facts(*(InstanceFacts(name, Consent(0, "1.0.0")) for name in names))
    await worker.run_once(datetime(2026, 11, 20, 1, 0))
    for name in names:
        await worker.record(name, day(events))


async def fill_alone(worker: Worker, name: str, events: int) -> None:
    """Let one person more have so many events."""
    await worker.store_facts(InstanceFacts(name, Consent(0, "1.0.0")))
    await worker.record(name, day(events))


async def count_browsers(worker: Worker, *names: str) -> RunReport:
    """Let one person come with each of these browsers once, and run the night."""
    await fill(worker, 1, 0)
    found = [{**day(2)[1], "_id": name, "context": name} for name in names]
    await worker.record("p0.example", found)
    return await worker.run_once(NIGHT)


@pytest.fixture
def forgetful(monkeypatch: pytest.MonkeyPatch) -> Forgetful:
    """Forget all browsers, and note in which thread of this process one is classified."""
    classify = device_detector.DeviceDetector

    def forget(broken: str | None = None) -> list[int]:
        threads: list[int] = []

        def noting(text: str, **options: bool) -> Any:
            threads.append(threading.get_ident())
            if text == broken:
                raise RecursionError(text)
            return classify(text, **options)

        monkeypatch.setattr(device_detector, "DeviceDetector", noting)
        monkeypatch.setattr(devices, "_known", {})
        return threads

    return forget


@pytest.fixture
async def worker(state_dir: Path) -> AsyncIterator[Worker]:
    """A worker whose clock stands still, so that nothing depends on how long things take."""
    async with Worker(Settings(state_dir=state_dir), clock=still()).opened() as worker:
        yield worker


async def statements(worker: Worker) -> int:
    """Run the night and give how many statements it took."""
    seen: list[str] = []
    await worker.database.read(sqlite3.Connection.set_trace_callback, seen.append)
    await worker.run_once(NIGHT)
    await worker.database.read(sqlite3.Connection.set_trace_callback, None)
    return len(seen)


@pytest.mark.parametrize(("people", "events"), [(200, 3), (20, 100)])
async def test_statements_are_by_the_batch(worker: Worker, people: int, events: int) -> None:
    """Neither each event nor each person costs statements of its own."""
    await fill(worker, people, events)
    found = await statements(worker)
    assert worker.status().events == Counter(counted=people * events, **_none())
    assert found < people * events / 3
    assert found < 200


async def test_a_person_without_anything_new_costs_nothing(worker: Worker) -> None:
    """A night over people for whom nothing waits takes a few statements for all of them."""
    await fill(worker, 200, 1)
    await worker.run_once(NIGHT)
    assert await statements(worker) < 150  # the janitor's round, which is one for all, among them


class Turns:
    """What is called in the event loop's thread: how much in each turn, and what may block it."""

    _TURN = asyncio.BaseEventLoop._run_once.__code__  # type: ignore[attr-defined]
    _WAITING = (time.sleep, os.fsync, os.waitpid, threading.Condition.wait.__code__)

    def __init__(self) -> None:
        self.calls = [0]
        self.blocking: list[str] = []

    @contextmanager
    def watched(self) -> Iterator[None]:
        """Watch this thread meanwhile."""
        sys.setprofile(self._note)
        try:
            yield
        finally:
            sys.setprofile(None)

    def _note(self, frame: FrameType, event: str, called: Any) -> None:
        if event == "call" and frame.f_code is self._TURN:
            self.calls.append(0)
        if event not in {"call", "c_call"}:
            return
        self.calls[-1] += 1
        function = called if event == "c_call" else frame.f_code
        is_of_database = isinstance(
            getattr(function, "__self__", None), sqlite3.Connection | sqlite3.Cursor
        )
        if is_of_database or function in self._WAITING:
            self.blocking.append(f"{function} in {frame.f_code.co_qualname}")


@pytest.mark.parametrize("previewing", [False, True])
async def test_the_loop_is_never_held_up(worker: Worker, previewing: bool) -> None:
    """Whatever a batch holds, the event loop never waits in it, and does little at a time."""
    await fill(worker, 300, 20)
    await fill_alone(worker, "long.example", 4000)
    turns = Turns()
    with turns.watched():
        if previewing:
            found = [item async for item in worker.preview(NIGHT)]
            assert len(found) == 302
        else:
            assert (await worker.run_once(NIGHT)).events == {"counted": 10_000}
    assert turns.blocking == []
    assert len(turns.calls) > 10
    assert max(turns.calls) < MOST_CALLS


async def test_a_day_of_many_events_is_one_counting(worker: Worker) -> None:
    """A day that is read in several pieces is counted as one, with none lost or doubled."""
    await fill(worker, 1, 0)
    pages = [{**one, "type": "NavigationEvent", "target": "gas"} for one in day(4400)]
    await worker.record("p0.example", pages)
    report = await worker.run_once(NIGHT)
    assert (report.days, report.events) == (1, {"counted": 4400})
    assert await worker.database.read(_values, "navigation-count-daily") == [4400]


class LaboringClock(SteppedClock):
    """Stands still, but that half a millisecond passes each time it is looked at."""

    looks = 0

    def monotonic(self) -> float:
        self.looks += 1
        return super().monotonic() + self.looks * 0.0005


async def test_a_night_takes_short_turns_where_others_need_the_database(tmp_path: Path) -> None:
    """It has several times as many transactions, so that who records waits less for each."""
    batches = []
    for is_shared in (False, True):
        clock = LaboringClock(datetime.fromisoformat("2026-11-22T12:00Z"))
        settings = Settings(state_dir=tmp_path / str(is_shared))
        async with Worker(settings, clock=clock).opened() as worker:
            await fill(worker, 200, 4)
            calls = worker.database.calls
            recorded = 0

            async def keep_recording(worker: Worker = worker) -> None:
                nonlocal recorded
                while True:
                    recorded += 1
                    await worker.record("other.example", day(1))

            async with anyio.create_task_group() as others:
                if is_shared:
                    others.start_soon(keep_recording)
                await worker.run_once(NIGHT)
                others.cancel_scope.cancel()
            batches.append(worker.database.calls - calls - recorded)
    alone, shared = batches
    assert shared > 3 * alone, batches


@pytest.mark.parametrize("seconds", [1, 0])
async def test_a_long_day_is_read_in_steps_by_the_event(
    worker: Worker, monkeypatch: pytest.MonkeyPatch, seconds: int
) -> None:
    """Twice as many events of a day cost twice as much to read, at different times or at one."""
    monkeypatch.setattr(events, "_PAGE", 50)
    zone = worker.settings.civil_zone
    begin = datetime(2026, 11, 20)
    steps = []
    for number, many in enumerate((2000, 4000), 1):
        await worker.store_facts(InstanceFacts(f"p{number}.example", Consent(0, "1.0.0")))
        times = [begin + timedelta(seconds=seconds * n) for n in range(many)]
        made = [
            {"_id": f"e{n}", "type": "NavigationEvent", "eventDate": f"{time:%FT%T}"}
            for n, time in enumerate(times)
        ]
        checked = [check_event(one, zone, "wall") for one in made]
        await worker.database.run(events.insert, [number] * many, checked)
        found, cost = await worker.database.read(_read_day, number, checked[0].day)
        assert [event.id for event in found] == [one["_id"] for one in made]
        steps.append(cost)
    assert steps[1] < 2.2 * steps[0]


def _read_day(connection: sqlite3.Connection, instance: int, day: int) -> tuple[list[Event], int]:
    """Give the events of a day, and how many steps SQLite's machine took for them, in hundreds."""
    steps: list[None] = []
    connection.set_progress_handler(lambda: steps.append(None), 100)
    found = events.of_day(connection, instance, day, 0, 2**62)
    connection.set_progress_handler(None, 0)
    return found, len(steps)


async def test_browsers_are_classified_in_a_process_of_their_own(
    worker: Worker, forgetful: Forgetful
) -> None:
    """Nothing in this process waits for the classifier, which holds Python's lock for long."""
    here = forgetful()
    await count_browsers(worker, "Firefox Mobile", "Firefox")
    assert await worker.database.read(_values, "connection-count-daily") == [1, 1]
    assert here == []


@pytest.mark.parametrize("program", ["/nonexistent", "/bin/false", "/bin/cat", "the host"])
async def test_without_such_a_process_a_thread_does_it(
    worker: Worker,
    forgetful: Forgetful,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    program: str,
) -> None:
    """Where no process can be started, or it fails, neither loop nor database waits either."""
    python = tmp_path / "python3"
    python.symlink_to(program)
    monkeypatch.setattr(sys, "executable", program if program == "the host" else str(python))
    threads = forgetful()
    await count_browsers(worker, "Firefox Mobile", "Firefox")
    assert await worker.database.read(_values, "connection-count-daily") == [1, 1]
    database = await worker.database.read(lambda _: threading.get_ident())
    assert len(threads) == 2
    assert not {database, threading.get_ident()} & {*threads}


async def test_a_name_that_breaks_the_classifier_costs_its_event(
    worker: Worker, forgetful: Forgetful, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A name that the classifier cannot bear is one event set aside, and the night goes on."""
    monkeypatch.setattr(sys, "executable", "/bin/false")
    forgetful("poison")
    report = await count_browsers(worker, "poison", "Firefox")
    assert report.events == {"failed": 1, "counted": 1}


async def test_more_browsers_than_are_remembered_are_counted(
    worker: Worker, forgetful: Forgetful, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A day with more names than are kept in memory is counted all the same."""
    forgetful()
    monkeypatch.setattr(devices, "_MOST", 2)
    names = ("Firefox Mobile", "Chrome Mobile", "Firefox", "Chrome", "Safari")
    await count_browsers(worker, *names)
    assert await worker.database.read(_values, "connection-count-daily") == [2, 3]


async def test_a_text_with_a_zero_in_it_is_counted(worker: Worker) -> None:
    """Any text that was taken in is counted, one with a NUL too."""
    await fill(worker, 1, 0)
    ends = [{**day(3)[2], "_id": str(n), "target": "a\x00b\N{SNOWMAN}"} for n in range(2)]
    await worker.record("p0.example", ends)
    report = await worker.run_once(NIGHT)
    assert report.events == {"counted": 2}
    assert report.indicators["event-duration"] == 1


async def test_a_preview_ends_with_what_the_run_would_come_to(worker: Worker) -> None:
    """A preview is counted once: its lines, then the sums of the same people."""
    await fill(worker, 3, 4)
    for instance, people in ((None, 3), ("p1.example", 1)):
        items = [
            item
            async for item in Commands(worker).preview(
                Preview(as_of="2026-11-21T01:00", instance=instance)
            )
        ]
        *lines, outlook = items
        assert outlook.outlook is not None
        assert outlook.outlook.instances == people
        assert len({item.line.instance for item in lines if item.line}) == people
        assert len(lines) == sum(outlook.outlook.indicators.values())
    assert worker.status().events["waiting"] == 12


def _none() -> dict[str, int]:
    return dict.fromkeys(("waiting", "imported", "expired", "unconsented", "failed"), 0)


def _values(connection: sqlite3.Connection, measure: str) -> list[int]:
    query = "SELECT body ->> 'value' FROM outbox WHERE measure = ? ORDER BY 1"
    return [row[0] for row in connection.execute(query, (measure,))]
