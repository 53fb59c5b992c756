"""The end of the write-ahead log is torn off, anywhere: what was acknowledged before is there.

A real worker takes events, fetches readings, counts, sends and lets somebody leave, while nothing
is moved out of its log; after each acknowledgement the log's length is noted. Then the log is cut
at the edge of every frame and at random bytes, beside the database as it was before.
"""

import random
import shutil
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from datetime import datetime
from hashlib import sha256
from pathlib import Path

import msgspec
import pytest
from msgspec import Struct

from ecolyo_worker import Settings, Worker
from ecolyo_worker.commands import Commands
from ecolyo_worker.requests import InstancesImport, Line, Poll
from ecolyo_worker.settings import Dacc
from ecolyo_worker.store.database import DATABASE
from ecolyo_worker.testing import Echo
from ecolyo_worker.testing.ledger import assert_balanced
from tests.energy_accounts import PRM, add, settings
from tests.energy_polling import Polling

NIGHT = datetime(2026, 11, 21, 1, 0)
RANDOM_CUTS = 200
PAGES = ("electricity", "gas", "water", "faq")
PEOPLE = ("alice.example", "bob.example")
LOG = f"{DATABASE}-wal"
HEADER, FRAME_HEADER, PAGE = 32, 24, 4096
FRAME = FRAME_HEADER + PAGE

Sums = dict[str, int]


class Acknowledged(Struct, frozen=True):
    """How long the log was when something had been acknowledged, and what that was."""

    length: int
    least: Sums
    """By what it is, how many of it must be there."""
    events: tuple[tuple[str, str], ...] = ()


class Recorded(Struct, frozen=True):
    """A state directory as it was before, the log of all that came then, and what was told."""

    before: Path
    log: bytes
    told: list[Acknowledged]

    def commits(self) -> list[int]:
        """Give where each transaction ends in the log."""
        edges = range(HEADER + FRAME, len(self.log) + 1, FRAME)
        return [end for end in edges if any(self.log[end - FRAME + 4 : end - FRAME + 8])]

    def lay(self, directory: Path, length: int) -> Path:
        """Make a state directory of it, of whose log so many bytes are there."""
        shutil.copytree(self.before, directory)
        (directory / LOG).write_bytes(self.log[:length])
        return directory


def sums(connection: sqlite3.Connection) -> Sums:
    """Count what can be acknowledged."""
    queries = {
        "consents": "SELECT count(*) FROM consents",
        "points": "SELECT count(*) FROM points",
        "made": "SELECT coalesce(max(seq), 0) FROM sqlite_sequence WHERE name = 'outbox'",
        "sent": "SELECT count(*) FROM outbox WHERE state = 'sent'",
        "left": "SELECT coalesce(sum(count), 0) FROM removed WHERE reason = 'withdrawn'",
    }
    return {what: connection.execute(query).fetchone()[0] for what, query in queries.items()}


@contextmanager
def pinned(state_dir: Path) -> Iterator[None]:
    """Keep all that is written from now on in the log: somebody still reads what was before."""
    with closing(sqlite3.connect(state_dir / DATABASE, isolation_level=None)) as reader:
        reader.execute("BEGIN")
        reader.execute("SELECT * FROM meta").fetchall()
        yield


class Recording:
    """Notes what is acknowledged while a worker works."""

    def __init__(self, worker: Worker) -> None:
        self._worker = worker
        self.log = worker.settings.directory / LOG
        self.told: list[Acknowledged] = []

    async def note(self, events: tuple[tuple[str, str], ...] = ()) -> None:
        length = self.log.stat().st_size
        found = await self._worker.database.read(sums)
        self.told.append(Acknowledged(length, found, events))

    async def agree(self) -> None:
        consent = {"version": "1.0.0", "accepted_at": "2026-11-01T00:00:00"}
        texts = [msgspec.json.encode({"instance": name, "consent": consent}) for name in PEOPLE]
        lines = [Line(n, text) for n, text in enumerate(texts, 1)]
        await Commands(self._worker).instances_import(InstancesImport(lines))
        await self.note()

    async def visit(self, day: int) -> None:
        for name in PEOPLE:
            for page in PAGES:
                event = {"_id": f"{day}-{page}", "type": "NavigationEvent", "target": page}
                await self._worker.record(name, {**event, "eventDate": f"2026-11-{day}T10:00"})
                await self.note(((name, event["_id"]),))

    async def fetch(self) -> None:
        await add(self._worker, "enedis", PRM, instance=PEOPLE[0])
        async for _ in Commands(self._worker).poll(Poll("enedis")):
            await self.note()

    async def count_and_send(self) -> None:
        await self._worker.run_once(NIGHT)
        await self.note()
        await self._worker.send()
        await self.note()


@pytest.fixture
async def recorded(polling: Polling, echo: Echo, tmp_path: Path) -> Recorded:
    state_dir, before = polling.state_dir, tmp_path / "before"
    chosen = settings(state_dir, polling.twin, history_days=4, curve_days=3)
    chosen = chosen.replace(dacc=Dacc(url=echo.url, rate=1000.0, concurrency=2))
    await polling.stand()
    async with Worker(chosen).opened():
        pass
    async with Worker(chosen, clock=polling.clock, random=random.Random(1)).opened() as worker:
        await worker.database.truncate_log()
        with pinned(state_dir):
            shutil.copytree(state_dir, before, ignore=shutil.ignore_patterns("*-wal", "*-shm"))
            recording = Recording(worker)
            await recording.agree()
            await recording.visit(19)
            await recording.fetch()
            await recording.count_and_send()
            await recording.visit(20)
            await Commands(worker).instances_withdraw(PEOPLE[1])
            await recording.note()
            await recording.count_and_send()
            return Recorded(before, recording.log.read_bytes(), recording.told)


def is_there(directory: Path, told: list[Acknowledged], length: int) -> str:
    """Look that whatever was acknowledged before the cut is there; give what all comes to."""
    with closing(sqlite3.connect(f"file:{directory / DATABASE}?mode=ro", uri=True)) as cut:
        found = sums(cut)
        ids = set(
            cut.execute("SELECT i.name, e.id FROM events e JOIN instances i ON i.id = e.instance")
        )
        for one in told:
            if one.length <= length:
                assert all(found[what] >= least for what, least in one.least.items()), length
                assert all(pair in ids for pair in one.events) or found["left"], length
        return sha256(cut.serialize()).hexdigest()


@pytest.mark.fault(8)
async def test_what_was_acknowledged_before_the_tear_is_there(
    recorded: Recorded, tmp_path: Path
) -> None:
    """Wherever the log is torn, all transactions before count, and of the torn one nothing does.

    At each edge of a frame and at random bytes the state is that after one of the commits, and the
    books of each of these balance.
    """
    edges = range(HEADER, len(recorded.log) + 1, FRAME)
    draw = random.Random(8)
    cuts = {*edges, *(draw.randrange(len(recorded.log)) for _ in range(RANDOM_CUTS))}
    commits, states = recorded.commits(), dict[int, str]()
    assert len(commits) > 30
    assert sum(one.length in commits for one in recorded.told) == len(recorded.told)
    for number, length in enumerate(sorted(cuts)):
        directory = recorded.lay(tmp_path / "cut", length)
        last = max((end for end in commits if end <= length), default=0)
        state = is_there(directory, recorded.told, length)
        if last not in states:
            states[last] = state
            await assert_balanced(directory)
        assert state == states[last], (number, length)
        shutil.rmtree(directory)
    assert len(states) == len(commits) + 1


@pytest.mark.fault(8)
async def test_an_answer_that_was_torn_off_is_asked_for_again(
    recorded: Recorded, echo: Echo, tmp_path: Path
) -> None:
    """A row whose answer was torn off is in flight still: it is sent once more, and all is sent."""
    *_, before_last, _last = recorded.commits()
    directory = recorded.lay(tmp_path / "cut", before_last + FRAME // 2)
    with closing(sqlite3.connect(f"file:{directory / DATABASE}?mode=ro", uri=True)) as cut:
        states = dict(cut.execute("SELECT state, count(*) FROM outbox GROUP BY state"))
    assert states["in_flight"] > 0
    chosen = Settings(state_dir=directory, dacc=Dacc(url=echo.url, rate=1000.0))
    async with Worker(chosen).opened() as worker:
        report = await worker.send(until_empty=True)
        assert (report.outcomes, report.waiting) == ({"delivered": states["in_flight"]}, 0)
    ledger = await assert_balanced(directory, echo.url)
    assert (ledger.missing, ledger.duplicates) == (0, states["in_flight"])
