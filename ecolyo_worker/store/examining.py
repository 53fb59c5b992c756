"""Whether the database is whole, and what SQLite must be able to do for it."""

import sqlite3
from collections.abc import Callable
from itertools import chain

from msgspec import Struct

from ecolyo_worker.clock import Clock, civil_text, instant_text
from ecolyo_worker.store.database import Database
from ecolyo_worker.store.migrations import version_of
from ecolyo_worker.store.tokens import rest_on_key

__all__ = ["Examination", "Looked", "examine", "lacking", "look_through"]

_MOST_WORDS = 20
_OLDEST = (3, 37, 0)
"""The first SQLite that knows strict tables."""
_NEEDED = ("OMIT_AUTOVACUUM", "OMIT_FOREIGN_KEY", "OMIT_JSON", "OMIT_WAL", "THREADSAFE=0")
_STEPS = 10_000
"""After so many steps of SQLite the clock is looked at; they take a fraction of a millisecond."""

_TURN_S = 0.005
"""So long it looks at small tables before others have their turn: a thread is asked each time."""


class Examination(Struct, frozen=True):
    """What looking through the database came to."""

    schema: int
    tables: int
    checked: int
    """How many of the tables were looked through in time."""
    damage: list[str]
    """What is wrong with them, in SQLite's words; at most 20."""
    latest: str | None
    """The latest instant that this program wrote, ISO 8601 in UTC."""
    latest_event: str | None
    """The civil time of the event that came last."""
    tokens: int = 0
    """How many tokens rest on `energy.key` that nobody but a person could give again."""


class Looked(Struct, frozen=True):
    """What was found in the tables that were looked through in time."""

    tables: int
    checked: int
    damage: list[str]


async def look_through(database: Database, seconds: float, clock: Clock) -> Looked:
    """Look through the tables one by one, the small ones first, for so many seconds in all.

    Whoever else waits for the database has its turn between two tables, or after a few milliseconds
    of small ones.
    """
    await database.read(_drop_pages)
    names = await database.read(_tables)
    end = clock.monotonic() + seconds
    checked, damage = 0, list[str]()
    while found := await database.read(_check_some, names[checked:], clock.monotonic, end):
        checked += len(found)
        damage += chain.from_iterable(found)
    return Looked(len(names), checked, damage[:_MOST_WORDS])


async def examine(database: Database, seconds: float, clock: Clock) -> Examination:
    """Look through the tables for so many seconds, and at what else tells of its state."""
    schema = await database.read(version_of)
    looked = await look_through(database, seconds, clock)
    latest = await database.read(_latest)
    event = await database.read(_latest_event)
    return Examination(
        schema=schema,
        tables=looked.tables,
        checked=looked.checked,
        damage=looked.damage,
        latest=None if latest is None else instant_text(latest),
        latest_event=None if event is None else civil_text(event),
        tokens=await database.read(rest_on_key),
    )


def lacking() -> list[str]:
    """Name what the SQLite that runs here cannot do and must."""
    with sqlite3.connect(":memory:") as connection:
        options = {name for (name,) in connection.execute("PRAGMA compile_options")}
    connection.close()
    found = [f"it was built with {option}" for option in _NEEDED if option in options]
    if sqlite3.sqlite_version_info < _OLDEST:
        oldest = ".".join(map(str, _OLDEST))
        found.insert(0, f"it is {sqlite3.sqlite_version}, and the first that will do is {oldest}")
    return found


def _drop_pages(connection: sqlite3.Connection) -> None:
    """Drop the pages that are kept in memory: it is the file that is to be looked at."""
    connection.execute("PRAGMA shrink_memory")


def _tables(connection: sqlite3.Connection) -> list[str]:
    """Name the tables; those that grow come last."""
    query = (
        "SELECT name FROM sqlite_schema WHERE type = 'table' AND name NOT LIKE 'sqlite\\_%' ESCAPE"
        " '\\' ORDER BY name IN ('countings', 'events', 'outbox', 'points'), name"
    )
    return [name for (name,) in connection.execute(query)]


def _check_some(
    connection: sqlite3.Connection, names: list[str], monotonic: Callable[[], float], end: float
) -> list[list[str]]:
    """Look through the first of some tables; give what is wrong with each that was done in time."""
    found: list[list[str]] = []
    turn = monotonic() + _TURN_S
    for name in names:
        wrong = _quick_check(connection, name, lambda: monotonic() >= end)
        if wrong is None:
            break
        found.append(wrong)
        if monotonic() >= turn:
            break
    return found


def _quick_check(
    connection: sqlite3.Connection, table: str, is_over: Callable[[], bool]
) -> list[str] | None:
    """Give what is wrong with a table and its indexes; None if the time was over before the end."""
    if is_over():
        return None
    connection.set_progress_handler(is_over, _STEPS)
    try:
        rows = connection.execute(f"PRAGMA quick_check('{table}')").fetchall()
    except sqlite3.OperationalError:
        if is_over():
            return None
        raise
    except sqlite3.DatabaseError as error:
        return [f"{table}: {error}"]
    finally:
        connection.set_progress_handler(None, 0)
    return [f"{table}: {words}" for (words,) in rows if words != "ok"]


def _latest(connection: sqlite3.Connection) -> int | None:
    query = (
        "SELECT max(at) FROM (SELECT max(last_delivered) AS at FROM destinations"
        " UNION ALL SELECT * FROM (SELECT started FROM runs ORDER BY id DESC LIMIT 1)"
        " UNION ALL SELECT * FROM (SELECT created FROM outbox ORDER BY id DESC LIMIT 1))"
    )
    found: int | None = connection.execute(query).fetchone()[0]
    return found


def _latest_event(connection: sqlite3.Connection) -> int | None:
    row = connection.execute("SELECT time FROM events ORDER BY seq DESC LIMIT 1").fetchone()
    return None if row is None else int(row[0])
