"""Three years of half-hours of one meter, from the answers of Enedis to all roll-ups.

Ours: each of 157 answers is judged, decoded and stored with its hours, days, months and years in a
durable transaction of its own, newest first, as history is loaded. Baseline: `sqlite3`'s
`executemany` of the ready points and roll-ups in one transaction, as durable, into the same tables.
"""

import random
import sqlite3
import tempfile
from contextlib import closing
from datetime import UTC, datetime
from itertools import groupby
from pathlib import Path
from time import perf_counter
from typing import Any
from zoneinfo import ZoneInfo

import anyio
import msgspec

from bench.measure import compare, sized
from bench.usage import opened_worker
from ecolyo_worker import Settings, Worker
from ecolyo_worker.clock import civil_days, day_bounds, day_text, parse_day
from ecolyo_worker.energy.answers import read_answer
from ecolyo_worker.energy.content import Content
from ecolyo_worker.energy.enedis import read_curve
from ecolyo_worker.facts import InstanceFacts
from ecolyo_worker.store import consumption, instances
from ecolyo_worker.store.database import DATABASE
from ecolyo_worker.store.points import Series

NAME = "household.mycozy.cloud"
METER = "11111111111111"
PARIS = ZoneInfo("Europe/Paris")
END = parse_day("2026-11-01")
DAYS = range(END - sized(END - parse_day("2023-11-01"), 14), END)
WEEK = 7
HALF_HOUR_MS = 1_800_000
NOW = datetime(2026, 11, 1, 9, tzinfo=UTC)

Rows = dict[str, list[tuple[Any, ...]]]


def answer(days: range, draw: random.Random) -> bytes:
    """Give the load curve of some days as Enedis writes it in 2026."""
    begin, end = day_bounds(days[0], PARIS)[0], day_bounds(days[-1], PARIS)[1]
    ends = (
        datetime.fromtimestamp(ms // 1000, PARIS)
        for ms in range(begin + HALF_HOUR_MS, end + 1, HALF_HOUR_MS)
    )
    points = [
        {"v": str(2 * draw.randrange(1500)), "d": f"{at:%Y-%m-%d %H:%M:%S}", "p": "PT30M", "n": "B"}
        for at in ends
    ]
    quantity = {"grandeurMetier": "CONS", "grandeurPhysique": "PA", "unite": "W", "points": points}
    period = {"dateDebut": day_text(days.start), "dateFin": day_text(days.stop)}
    return msgspec.json.encode(
        {"idPrm": METER, "etapeMetier": "BRUT", "periode": period, "grandeur": [quantity]}
    )


def answers() -> list[tuple[range, bytes]]:
    """Give all answers, the newest first."""
    draw = random.Random(1)
    weeks = [
        range(begin, min(begin + WEEK, DAYS.stop)) for begin in range(DAYS.start, DAYS.stop, WEEK)
    ]
    return [(days, answer(days, draw)) for days in reversed(weeks)]


ANSWERS = answers()


async def store_all(worker: Worker) -> float:
    """Read and store all answers; give how many seconds it took."""
    await worker.store_facts(InstanceFacts(NAME))
    person = await worker.database.read(instances.find, NAME)
    assert person is not None
    series = Series(person.id, "electricity", "half-hour", METER, "enedis")
    begin = perf_counter()
    for days, body in ANSWERS:
        content = Content(body)
        meaning = read_answer("enedis", "curve", 200, {}, content, NOW)
        assert meaning.kind == "ok"
        found = read_curve(content.json, METER, days)
        await worker.database.run(consumption.store, series, found.points, PARIS)
    return perf_counter() - begin


async def load() -> tuple[float, Rows]:
    """Load all answers; give how many seconds it took, and the rows that came of it."""
    async with opened_worker() as worker:
        took_s = await store_all(worker)
        return took_s, await worker.database.read(_rows)


def _rows(connection: sqlite3.Connection) -> Rows:
    tables = ("instances", "series", "points", "rollups")
    return {name: connection.execute(f"SELECT * FROM {name}").fetchall() for name in tables}


async def ours() -> float:
    """Give the points per second from raw answers to roll-ups."""
    took_s, rows = await load()
    return len(rows["points"]) / took_s


async def baseline() -> float:
    """Give the points per second of a plain insert of what comes of it."""
    with tempfile.TemporaryDirectory(dir="/var/tmp", prefix="ecolyo-bench-") as directory:
        async with Worker(Settings(state_dir=Path(directory))).opened():
            pass
        with closing(sqlite3.connect(Path(directory) / DATABASE, isolation_level=None)) as raw:
            raw.execute("PRAGMA journal_mode = WAL")
            raw.execute("PRAGMA synchronous = FULL")
            begin = perf_counter()
            raw.execute("BEGIN IMMEDIATE")
            for table, rows in READY.items():
                marks = ", ".join("?" * len(rows[0]))
                raw.executemany(f"INSERT INTO {table} VALUES ({marks})", rows)
            raw.execute("COMMIT")
            return len(READY["points"]) / (perf_counter() - begin)


async def check(rows: Rows) -> None:
    """Check that what was loaded is whole and adds up, so that the right work is measured."""
    days = list(civil_days((row[1] for row in rows["points"]), PARIS))
    assert len(set(days)) == len(DAYS)
    assert {len(list(group)) for _, group in groupby(days)} <= {46, 48, 50}
    total = sum(row[3] for row in rows["points"])
    for step in ("hour", "day", "month", "year"):
        assert sum(row[4] for row in rows["rollups"] if row[2] == step) == total


async def main() -> None:
    """Make the ready rows once, then compare."""
    _, rows = await load()
    await check(rows)
    READY.update(rows)
    await compare("rollup_3y", baseline, ours, "points/s")


READY: Rows = {}

if __name__ == "__main__":
    anyio.run(main)
