"""What benches share: usage events, and what storing them costs without this package."""

import random
import sqlite3
import tempfile
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, closing
from datetime import datetime, timedelta
from pathlib import Path
from time import perf_counter
from typing import Any

from ecolyo_worker import Settings, Worker
from ecolyo_worker.clock import day_of
from ecolyo_worker.events import check_event
from ecolyo_worker.store.database import DATABASE

__all__ = ["make_events", "opened_worker", "raw_insert"]

INSTANCES = 50
_START = datetime(2026, 11, 20, 6)  # noqa: DTZ001  civil time
_PAGES = ("consumption", "electricity", "gas", "water", "challenges", "ecogestures")
_BROWSER = "Mozilla/5.0 (X11; Linux x86_64; rv:131.0) Gecko/20100101 Firefox/131.0"
_SETTINGS = Settings(state_dir=Path("/nonexistent"))
# type, how often of 100, and what it carries beside its date
_MIX: tuple[tuple[str, int, dict[str, Any]], ...] = (
    ("NavigationEvent", 55, {"target": "electricity"}),
    ("ConnectionEvent", 20, {"context": _BROWSER}),
    ("ConsumptionChangeTimeStepEvent", 8, {"target": "month", "context": "gas"}),
    ("KonnectorRefreshEvent", 5, {"target": "enedissgegrandlyon", "result": "success"}),
    ("ConsumptionCompareEvent", 4, {"target": "month", "context": "water"}),
    ("ActionChangeEvent", 2, {"target": "ECOGESTURE0012", "context": "CHALLENGE0001"}),
    ("ChallengeLaunchEvent", 1, {"target": "CHALLENGE0001"}),
    ("QuizEndEvent", 2, {"target": "QUIZ001", "context": "CHALLENGE0001", "result": "4"}),
    ("ActionEndEvent", 2, {"target": "ECOGESTURE0012", "context": "CHALLENGE0001"}),
    ("ConnectionEvent", 1, {"context": _BROWSER, "result": "firstConnection"}),
)


def make_events(
    count: int,
    *,
    seed: int = 1,
    people: int = INSTANCES,
    start: datetime = _START,
    days: int = 3,
) -> list[tuple[str, dict[str, Any]]]:
    """Give that many events as the app writes them, each with its instance's name."""
    draw = random.Random(seed)
    chosen = draw.choices(_MIX, [often for _, often, _ in _MIX], k=count)
    made = []
    for number, (kind, _, fields) in enumerate(chosen):
        when = start + timedelta(seconds=draw.randrange(days * 86_400), milliseconds=number % 1000)
        event = {
            "_id": f"{draw.getrandbits(128):032x}",
            "type": kind,
            "eventDate": f"{when.isoformat(timespec='milliseconds')}Z",
            "target": None,
            "context": None,
            "result": None,
            "startDate": None,
            "aggregated": False,
            **fields,
        }
        if kind == "NavigationEvent":
            event["target"] = draw.choice(_PAGES)
        if kind.endswith("EndEvent"):
            event["startDate"] = f"{(when - timedelta(days=7)).isoformat()}.000Z"
        made.append((f"household{number % people:02}.mycozy.cloud", event))
    return made


@asynccontextmanager
async def opened_worker(settings: Settings = _SETTINGS) -> AsyncIterator[Worker]:
    """Open a worker on a new state directory, on a disk."""
    with tempfile.TemporaryDirectory(dir="/var/tmp", prefix="ecolyo-bench-") as directory:
        async with Worker(settings.replace(state_dir=Path(directory))).opened() as worker:
            yield worker


async def raw_insert(pieces: Sequence[Sequence[tuple[str, dict[str, Any]]]]) -> float:
    """Store the ready rows of these events by `executemany`, each piece in one durable transaction.

    Into the same tables with the same indexes, but the row of the event is all that is stored.
    Gives the events per second.
    """
    with tempfile.TemporaryDirectory(dir="/var/tmp", prefix="ecolyo-bench-") as directory:
        async with Worker(Settings(state_dir=Path(directory))).opened():
            pass
        with closing(sqlite3.connect(Path(directory) / DATABASE, isolation_level=None)) as raw:
            raw.execute("PRAGMA journal_mode = WAL")
            raw.execute("PRAGMA synchronous = FULL")
            rows = [_rows(raw, piece) for piece in pieces]
            begin = perf_counter()
            for piece in rows:
                raw.execute("BEGIN IMMEDIATE")
                raw.executemany(
                    "INSERT INTO events (instance, id, day, time, type, target, context, result,"
                    " start_text, start, aggregated) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
                    piece,
                )
                raw.execute("COMMIT")
            return sum(map(len, rows)) / (perf_counter() - begin)


def _rows(
    raw: sqlite3.Connection, events: Sequence[tuple[str, dict[str, Any]]]
) -> list[tuple[Any, ...]]:
    raw.executemany(
        "INSERT OR IGNORE INTO instances (name, salt) VALUES (?, randomblob(16))",
        {(name,) for name, _ in events},
    )
    ids = dict(raw.execute("SELECT name, id FROM instances"))
    checked = [
        (ids[name], check_event(event, _SETTINGS.civil_zone, "wall")) for name, event in events
    ]
    return [
        (
            instance,
            event.id,
            day_of(event.time),
            event.time,
            event.type,
            event.target,
            event.context,
            event.result,
            event.start_text,
            event.start,
            event.aggregated,
        )
        for instance, event in checked
    ]
