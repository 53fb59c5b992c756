"""Many events in few statements are stored exactly as one by one."""

import random
import sqlite3
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from ecolyo_worker.clock import DAY_MS
from ecolyo_worker.events import Event
from ecolyo_worker.store import events, instances
from ecolyo_worker.store.database import Database

TABLES = {
    "events": "instance, id, day, time, type, target, context, result, start_text, start,"
    " aggregated, (SELECT count(*) FROM events AS o WHERE o.seq < e.seq) AS place",
    "waiting_days": "*",
    "totals": "*",
    "instances": "name, first_connection_seen, first_launch_time,"
    " (SELECT id FROM events WHERE seq = first_launch_seq)",
    "ends": "instance, type, target, start, first_time,"
    " (SELECT id FROM events WHERE seq = first_seq)",
}
KINDS = ("NavigationEvent", "ConnectionEvent", "ChallengeLaunchEvent", "QuizEndEvent")
Batch = Sequence[tuple[str, Event]]


def make(draw: random.Random, count: int, ids: int) -> list[tuple[str, Event]]:
    """Give events of a few people, whose ids come again the sooner the fewer `ids` there are."""
    return [
        (
            f"p{draw.randrange(5)}.example",
            Event(
                id=str(draw.randrange(ids)),
                type=draw.choice(KINDS),
                time=draw.randrange(-3 * DAY_MS, 3 * DAY_MS),
                target=draw.choice((None, "gas", "water")),
                context=draw.choice((None, "é")),
                result=draw.choice((None, " firstConnection", "4")),
                start_text=None,
                start=draw.choice((None, 0, 1)),
                aggregated=draw.random() < 0.1,
            ),
        )
        for _ in range(count)
    ]


def store(connection: sqlite3.Connection, batch: Batch) -> list[bool]:
    ids = instances.identify_all(connection, (name for name, _ in batch))
    return events.insert(
        connection, [ids[name] for name, _ in batch], [event for _, event in batch]
    )


def store_singly(connection: sqlite3.Connection, batch: Batch) -> list[bool]:
    return [accepted for item in batch for accepted in store(connection, [item])]


def tables(connection: sqlite3.Connection) -> dict[str, list[Any]]:
    return {
        name: sorted(connection.execute(f"SELECT {columns} FROM {name} AS e"), key=repr)
        for name, columns in TABLES.items()
    }


@pytest.mark.parametrize("ids", [10**9, 2000, 50])
@pytest.mark.parametrize("seed", range(3))
async def test_many_at_once_are_stored_as_one_by_one(tmp_path: Path, seed: int, ids: int) -> None:
    """A batch of any size, with ids known before or twice in it, leaves the same in all tables."""
    draw = random.Random(f"{seed} {ids}")
    batches = [make(draw, size, ids) for size in (1, 3, 4, 19, 620, 1_239, 0, 77)]
    async with Database.open(tmp_path / "many") as many, Database.open(tmp_path / "one") as one:
        for batch in batches:
            assert await many.run(store, batch) == await one.run(store_singly, batch)
            assert await many.read(tables) == await one.read(tables)


async def test_numbers_go_on_behind_events_that_are_gone(tmp_path: Path) -> None:
    """What is deleted leaves its numbers unused, and what is new is told from what is known."""
    draw = random.Random(1)
    batch = make(draw, 30, 10**9)
    async with Database.open(tmp_path) as database:
        await database.run(store, batch)
        await database.run(lambda connection: connection.execute("DELETE FROM events"))
        accepted = await database.run(store, [*batch[:5], *batch[:6]])
        assert accepted == [True] * 5 + [False] * 5 + [True]
        seqs = await database.read(lambda c: c.execute("SELECT seq FROM events").fetchall())
        assert min(seqs)[0] > 30


async def test_a_thousand_new_people_at_once(tmp_path: Path) -> None:
    """People are made in the order in which they are named first, and found again."""
    names = [f"p{n}.example" for n in range(1_000)]
    async with Database.open(tmp_path) as database:
        ids = await database.run(instances.identify_all, [*names, *names[:10]])
        assert ids == {name: n for n, name in enumerate(names, 1)}
        assert await database.run(instances.identify_all, ["new.example", names[7]]) == {
            "new.example": 1_001,
            names[7]: 8,
        }
        salts = "SELECT count(DISTINCT salt) FROM instances"
        assert await database.read(lambda c: c.execute(salts).fetchone()[0]) == 1_001
