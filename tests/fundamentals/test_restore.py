"""A backup that was put back: what may be sent a second time is counted, and the books say so."""

import shutil
from collections.abc import Awaitable, Callable
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from ecolyo_worker import Settings, StateRefused, Worker
from ecolyo_worker.clock import SystemClock
from ecolyo_worker.commands import Commands
from ecolyo_worker.facts import InstanceFacts
from ecolyo_worker.requests import Retry
from ecolyo_worker.settings import Dacc
from ecolyo_worker.store.restoring import mark_of
from ecolyo_worker.testing.clock import FakeClock
from ecolyo_worker.testing.echo import Echo
from ecolyo_worker.testing.ledger import assert_balanced, check

Agree = Callable[..., Awaitable[None]]
Event = Callable[..., dict[str, Any]]
Quick = Callable[..., Settings]

ALICE = "alice.example"
TODAY = SystemClock().now().astimezone(ZoneInfo("Europe/Paris"))
PAGES = ("electricity", "gas", "water", "faq", "options", "analysis")


def day(ago: int) -> str:
    return f"{TODAY - timedelta(days=ago):%F}"


@pytest.fixture
def backup(tmp_path: Path) -> Path:
    return tmp_path / "backup.db"


async def back_up(worker: Worker, backup: Path) -> None:
    whole = b"".join([piece.data async for piece in Commands(worker).backup()])
    write(backup, whole)


def write(path: Path, text: bytes) -> None:
    path.write_bytes(text)


def lose(state_dir: Path, backup: Path) -> None:
    """Lose a state, and put its backup into a new directory of the same name."""
    shutil.rmtree(state_dir)
    state_dir.mkdir(mode=0o700)
    shutil.copy(backup, state_dir / "ecolyo.db")


@pytest.fixture
async def counted(quick: Quick, echo: Echo, agree: Agree, event: Event) -> Settings:
    """A state with six rows of six pages, of which none was sent."""
    settings = quick(echo.url, concurrency=1)
    async with Worker(settings).opened() as worker:
        consent = {"version": "1.0.0", "accepted_at": f"{day(20)}T00:00"}
        await agree(worker, {"instance": ALICE, "consent": consent})
        found = [event("NavigationEvent", f"{day(3)}T10:00", p, target=p) for p in PAGES]
        await worker.record(ALICE, found)
        await worker.run_once(day=day(3))
    return settings


async def test_what_waited_may_be_sent_twice(
    counted: Settings, state_dir: Path, backup: Path, echo: Echo
) -> None:
    """Rows that were sent after the backup come back as maybe delivered; the books balance."""
    async with Worker(counted).opened() as worker:
        await echo.set_fault("ok*2,status=400,status=401")
        await worker.send()
        before = worker.status().outbox
        await back_up(worker, backup)
        await Commands(worker).outbox_retry(Retry())
        await worker.send(until_empty=True)
    lose(state_dir, backup)
    assert sum(before.values()) == 6
    async with Worker(counted).opened() as worker:
        assert worker.restored is not None
        open_rows = before["pending"] + before["dead"]
        assert worker.restored.rows == worker.status().maybe_delivered == open_rows > 0
        assert worker.status().outbox == before
        await Commands(worker).outbox_retry(Retry())
        await worker.send(until_empty=True)
    ledger = await assert_balanced(state_dir, echo.url)
    doubles = open_rows
    assert (ledger.received, ledger.duplicates, ledger.missing) == (6 + doubles, doubles, 0)
    assert (ledger.maybe_delivered, ledger.recounted) == (doubles, 1)


async def test_it_is_put_back_once(counted: Settings, state_dir: Path, backup: Path) -> None:
    """The second start finds nothing to do, even if the first was cut off behind the key."""
    async with Worker(counted).opened() as worker:
        await back_up(worker, backup)
    key = (state_dir / "outbox.key").read_bytes()
    lose(state_dir, backup)
    write(state_dir / "outbox.key", key)
    async with Worker(counted).opened() as worker:
        assert worker.status().maybe_delivered == 6
        assert (await Commands(worker).migrate()).restored is not None
        assert (await Commands(worker).migrate()).restored is None
        assert await worker.database.read(mark_of) is None
    async with Worker(counted).opened() as worker:
        assert (worker.restored, worker.status().maybe_delivered) == (None, 6)


async def test_what_waited_to_be_counted_may_be_sent_twice(
    counted: Settings, state_dir: Path, backup: Path, echo: Echo, event: Event
) -> None:
    """Rows of days before the backup was put back may have been sent; those of later days not."""
    late = event("QuizEndEvent", f"{day(1)}T10:00", result="4", target="QUIZ001")
    async with Worker(counted).opened() as worker:
        await worker.send(until_empty=True)
        await worker.record(ALICE, late)
        await back_up(worker, backup)
        await worker.run_once(day=day(1))
        await worker.send(until_empty=True)
    lose(state_dir, backup)
    async with Worker(counted).opened() as worker:
        assert worker.status().maybe_delivered == 0
        await worker.run_once(day=day(1))
        assert worker.status().maybe_delivered == 1
        await worker.send(until_empty=True)
    ledger = await assert_balanced(state_dir, echo.url)
    assert (ledger.received, ledger.duplicates, ledger.maybe_delivered) == (8, 1, 1)
    tomorrow = FakeClock(TODAY + timedelta(days=1))
    async with Worker(counted, clock=tomorrow).opened() as worker:
        await worker.record(ALICE, event("QuizEndEvent", f"{day(0)}T10:00", result="4"))
        assert (await worker.run_once(day=day(0))).indicators == {"quiz-stars": 1}
        assert worker.status().maybe_delivered == 1


@pytest.mark.parametrize(("put_back", "doubtful"), [("2026-12-06", 3), ("2026-11-28", 0)])
async def test_a_month_that_was_over_may_be_sent_twice(
    state_dir: Path, backup: Path, agree: Agree, put_back: str, doubtful: int
) -> None:
    """The rows of a month may have been sent if it was over when the backup was put back."""
    at = datetime.fromisoformat(f"{put_back}T12:00+00:00")
    settings = Settings(state_dir=state_dir)
    async with Worker(settings, clock=FakeClock(at - timedelta(days=5))).opened() as worker:
        consent = {"version": "1.0.0", "accepted_at": "2026-11-01T00:00:00"}
        await agree(worker, {"instance": ALICE, "consent": consent, "monthly_summary": SUMMARY})
        await back_up(worker, backup)
    lose(state_dir, backup)
    async with Worker(settings, clock=FakeClock(at)).opened():
        pass
    late = FakeClock(datetime.fromisoformat("2026-12-10T12:00+00:00"))
    async with Worker(settings, clock=late).opened() as worker:
        report = await worker.run_once(month="2026-11")
        assert sum(report.indicators.values()) == 3
        assert worker.status().maybe_delivered == doubtful


SUMMARY = [{"subscribed": True, "since": "2026-11-02T00:00:00"}]


async def test_where_a_double_is_worse_nothing_is_sent_again(
    counted: Settings, state_dir: Path, backup: Path, echo: Echo, event: Event
) -> None:
    """With `on_unknown = "drop"` what waited, or is made of those days, is `sent?` and stays."""
    late = event("QuizEndEvent", f"{day(1)}T10:00", result="4", target="QUIZ001")
    async with Worker(counted).opened() as worker:
        await worker.record(ALICE, late)
        await back_up(worker, backup)
    lose(state_dir, backup)
    dropping = counted.replace(dacc=Dacc(url=echo.url, rate=1000.0, on_unknown="drop"))
    async with Worker(dropping).opened() as worker:
        assert (worker.status().outbox["sent?"], worker.status().maybe_delivered) == (6, 6)
        await worker.run_once(day=day(1))
        assert (worker.status().outbox["sent?"], worker.status().maybe_delivered) == (7, 7)
        assert (await worker.send(until_empty=True)).attempts == 0
    assert (await assert_balanced(state_dir, echo.url)).received == 0


async def test_what_was_made_after_it_is_unknown(
    counted: Settings, state_dir: Path, backup: Path, echo: Echo, event: Event
) -> None:
    """What came in, was counted and sent after the backup is told as strange, and why it may be."""
    async with Worker(counted).opened() as worker:
        await worker.send(until_empty=True)
        await back_up(worker, backup)
        await worker.record(ALICE, event("QuizEndEvent", f"{day(1)}T10:00", result="4"))
        await worker.run_once(day=day(1))
        await worker.send(until_empty=True)
    lose(state_dir, backup)
    async with Worker(counted).opened():
        pass
    ledger = await check(state_dir, echo.url)
    assert [problem.partition(";")[2] for problem in ledger.problems] == [
        f" the backup put back on {day(0)} does not know what was made after it"
    ]


async def test_it_is_told_before_anything_is_read(
    counted: Settings, state_dir: Path, backup: Path, cli: Any
) -> None:
    """Commands that only read refuse a backup that was put back until `migrate` has settled it."""
    async with Worker(counted).opened() as worker:
        await back_up(worker, backup)
    lose(state_dir, backup)
    told = (await cli("migrate", "--dry-run")).stdout.decode()
    assert "ecolyo.db is a backup that was put here: `migrate` makes it the state to go on" in told
    done = await cli("status")
    assert done.returncode == 78
    assert "holds a backup that was put back; run `ecolyo-worker migrate`" in done.stderr.decode()
    told = (await cli("migrate")).stdout.decode()
    assert "is put back: 6 rows waited in it and may have been delivered since" in told
    assert (await cli("status")).returncode == 0


async def test_the_log_of_the_lost_database_is_refused(
    counted: Settings, state_dir: Path, backup: Path
) -> None:
    """A backup copied over the database, beside whose log it lies, is not mixed with it."""
    async with Worker(counted).opened() as worker:
        await back_up(worker, backup)
        await worker.store_facts(InstanceFacts("somebody.example"))
        log = (state_dir / "ecolyo.db-wal").read_bytes()
    shutil.copy(backup, state_dir / "ecolyo.db")
    write(state_dir / "ecolyo.db-wal", log)
    with pytest.raises(StateRefused, match="belongs to the database that was here before"):
        await open_(counted)
    (state_dir / "ecolyo.db-wal").unlink()
    await open_(counted)


async def test_the_key_of_another_state_is_refused(
    counted: Settings, state_dir: Path, backup: Path
) -> None:
    """A backup does not overwrite an `outbox.key` that is not its own."""
    async with Worker(counted).opened() as worker:
        await back_up(worker, backup)
    lose(state_dir, backup)
    write(state_dir / "outbox.key", b"0" * 64)
    with pytest.raises(StateRefused, match=r"outbox\.key is another one than the backup's"):
        await open_(counted)


async def open_(settings: Settings) -> None:
    async with Worker(settings).opened():
        pass
