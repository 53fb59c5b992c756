"""What is kept of readings, accounts and events must agree with itself; what does not, in words.

Each check reads its tables once, in their order, so that the cost grows as the database does.
"""

import sqlite3
from collections import Counter
from collections.abc import Iterator
from contextlib import closing
from itertools import chain

from ecolyo_worker.clock import civil_days, day_text, instant_text, month_days, month_of
from ecolyo_worker.energy.labels import ZONE
from ecolyo_worker.events import END_TYPES
from ecolyo_worker.store import rollups
from ecolyo_worker.store.events import EVER_TYPES

__all__ = ["accounts", "damage", "facts", "readings", "references"]

_Sums = dict[tuple[str, int], tuple[int, int]]
"""By step and begin of each hour and day: the amount, and whether it is whole."""

_COPIED = ("series", "points", "accounts", "rollups")


def damage(connection: sqlite3.Connection) -> str | None:
    """Say what SQLite finds wrong with the file's structure; None if nothing is."""
    words: str = connection.execute("PRAGMA integrity_check(1)").fetchone()[0]
    return None if words == "ok" else words


def references(connection: sqlite3.Connection) -> Iterator[str]:
    """Find rows that point to others that are not there."""
    lost = Counter(
        (table, parent)
        for table, _, parent, _ in connection.execute("PRAGMA foreign_key_check").fetchall()
    )
    for (table, parent), count in sorted(lost.items()):
        yield f"{count} rows of {table} point to rows of {parent} that are not there"


def readings(connection: sqlite3.Connection) -> Iterator[str]:
    """Find points of a series that overlap, details of none, and sums that are not theirs.

    Days of a home with imported readings went by the zone that the settings said then, which is not
    known: of these no day and hour is added up again.
    """
    for series, count in connection.execute(_OVERLAPS):
        yield f"{count} points of series {series} begin before the one before them ends"
    (count,) = connection.execute(_STRAY_DETAILS).fetchone()
    if count:
        yield f"{count} details of gas are of no point"
    for instance, fluid, is_imported in connection.execute(_HOMES).fetchall():
        wrong = Counter[str]()
        example = dict[str, int]()
        found = _other_than_their_days(connection, instance, fluid)
        if not is_imported:
            found = chain(_other_than_added_up(connection, instance, fluid), found)
        for step, start in found:
            wrong[step] += 1
            example.setdefault(step, start)
        for step, number in sorted(wrong.items()):
            yield (
                f"instance {instance}: {number} sums of {fluid} by the {step} are not what its"
                f" readings come to, such as that of {_place(step, example[step])}"
            )


def accounts(connection: sqlite3.Connection) -> Iterator[str]:
    """Find accounts that say that something was stored which is not there."""
    for account, through, is_gas, end in connection.execute(_HELD).fetchall():
        # A gas day ends on the morning after it.
        found = None if end is None else next(civil_days((end - 1,), ZONE)) - is_gas
        if found is None or found < through:
            held = "nothing" if found is None else day_text(found)
            yield f"account {account}: held through {day_text(through)}; the last is {held}"
    for account, series in connection.execute(_ASKED_TWICE):
        yield f"account {account}: ranges of answered days of {series} touch"
    for account, series, count in connection.execute(_NEVER_ASKED):
        yield f"account {account}: {count} days of {series} are open and were never answered"


def facts(connection: sqlite3.Connection) -> Iterator[str]:
    """Find events that are there, and whose facts were not kept."""
    counts = {"an end": _ENDS, "what counts ever": _EVER, "a first launch": _LAUNCHES}
    for what, query in counts.items():
        (count,) = connection.execute(query).fetchone()
        if count:
            yield f"{count} events are there that say {what}, and it was not kept"
    seen = connection.execute(_CONNECTIONS)
    count = sum((result or "").strip().lower() == "firstconnection" for (result,) in seen)
    if count:
        yield f"{count} events are there that say a first connection, and it was not kept"


def _other_than_added_up(
    connection: sqlite3.Connection, instance: int, fluid: str
) -> Iterator[tuple[str, int]]:
    """Add up a home's readings again, and give the hours and days that come to something else."""
    kept = _sums(connection, instance, fluid)
    with closing(sqlite3.connect(":memory:")) as copy:
        _copy(connection, copy, instance, fluid)
        again = _added_up(copy, instance, fluid)
        if again == kept:
            return
        # Whether a meter that is silent had an account when a day was added up is not known.
        copy.execute("DELETE FROM accounts")
        without = _added_up(copy, instance, fluid)
    for place in sorted(kept.keys() | again.keys()):
        if kept.get(place) not in (again.get(place), without.get(place)):
            yield place


def _copy(
    connection: sqlite3.Connection, copy: sqlite3.Connection, instance: int, fluid: str
) -> None:
    """Copy what a home's sums are made of."""
    for table in _COPIED:
        query = "SELECT sql FROM sqlite_schema WHERE type = 'table' AND name = ?"
        copy.execute(connection.execute(query, (table,)).fetchone()[0])
    home = {"instance": instance, "fluid": fluid}
    mine = "series IN (SELECT id FROM series WHERE instance = :instance AND fluid = :fluid)"
    copied = {"series": "fluid = :fluid AND instance = :instance AND step != 'published'"}
    copied |= {"points": mine, "accounts": "instance = :instance"}
    for table, which in copied.items():
        rows = connection.execute(f"SELECT * FROM {table} WHERE {which}", home)  # noqa: S608
        places = ", ".join("?" * len(rows.description))
        copy.executemany(f"INSERT INTO {table} VALUES ({places})", rows)  # noqa: S608


def _added_up(copy: sqlite3.Connection, instance: int, fluid: str) -> _Sums:
    copy.execute("DELETE FROM rollups")
    first, last = copy.execute(
        "SELECT min(start), max(start) FROM points WHERE series IN (SELECT id FROM series)"
    ).fetchone()
    if first is not None:
        begin, end = civil_days((first, last), ZONE)
        rollups.renew(copy, instance, fluid, range(begin, end + 1), ZONE)
    return _sums(copy, instance, fluid)


def _sums(connection: sqlite3.Connection, instance: int, fluid: str) -> _Sums:
    rows = connection.execute(
        "SELECT step, start, amount, is_whole FROM rollups"
        " WHERE instance = ? AND fluid = ? AND step IN ('hour', 'day')",
        (instance, fluid),
    )
    return {(step, start): (amount, is_whole) for step, start, amount, is_whole in rows}


def _other_than_their_days(
    connection: sqlite3.Connection, instance: int, fluid: str
) -> Iterator[tuple[str, int]]:
    """Give the months and years that are not the sums of their days."""
    query = (
        "SELECT start, amount, is_whole FROM rollups"
        " WHERE instance = ? AND fluid = ? AND step = ? ORDER BY start"
    )
    amounts, whole = Counter[tuple[str, int]](), Counter[tuple[str, int]]()
    for day, amount, is_whole in connection.execute(query, (instance, fluid, "day")):
        month = month_of(day)
        for sum_ in (("month", month), ("year", month // 12)):
            amounts[sum_] += amount
            whole[sum_] += is_whole
    kept = {}
    for step in ("month", "year"):
        for start, *values in connection.execute(query, (instance, fluid, step)):
            kept[step, start] = values
    for sum_ in sorted(kept.keys() | amounts.keys()):
        is_whole = whole[sum_] == _days_in(*sum_)
        if kept.get(sum_) != [amounts[sum_], is_whole] or sum_ not in amounts:
            yield sum_


def _days_in(step: str, start: int) -> int:
    months = (start,) if step == "month" else range(start * 12, start * 12 + 12)
    return sum(len(month_days(month)) for month in months)


def _place(step: str, start: int) -> str:
    if step == "hour":
        return instant_text(start)
    if step == "day":
        return day_text(start)
    return day_text(month_days(start)[0])[:7] if step == "month" else str(start)


def _listed(names: frozenset[str]) -> str:
    return ", ".join(f"'{name}'" for name in sorted(names))


_OVERLAPS = """
    SELECT series, count(*) FROM (
        SELECT series, start,
               lag(start + minutes * 60000) OVER (PARTITION BY series ORDER BY start) AS ended
          FROM points)
     WHERE ended > start GROUP BY series
"""

_STRAY_DETAILS = """
    SELECT count(*) FROM gas_details AS d
     WHERE NOT EXISTS (SELECT 1 FROM points WHERE series = d.series AND start = d.start)
"""

_HOMES = """
    SELECT instance, fluid, max(source = 'import') FROM (
        SELECT instance, fluid, source FROM series WHERE step != 'published'
         UNION ALL
        SELECT DISTINCT instance, fluid, '' FROM rollups)
     GROUP BY instance, fluid
"""

_HELD = """
    SELECT a.id, a.held_through, a.provider = 'grdf',
           (SELECT max(p.start + p.minutes * 60000) FROM series AS s
              JOIN points AS p ON p.series = s.id
             WHERE s.instance = a.instance AND s.source = a.provider AND s.meter = a.meter)
      FROM accounts AS a WHERE a.held_through IS NOT NULL
"""

_ASKED_TWICE = """
    SELECT DISTINCT account, series FROM (
        SELECT account, series, first,
               lag(stop) OVER (PARTITION BY account, series ORDER BY first) AS before
          FROM asked_days)
     WHERE before >= first
"""

# What is suspect was compared with another series, and need not have been answered itself; what was
# not answered time and again was put aside as unread.
_NEVER_ASKED = """
    SELECT account, series, count(*) FROM open_days AS o
     WHERE state NOT IN ('suspect', 'unread') AND NOT EXISTS (
        SELECT 1 FROM asked_days AS d WHERE d.account = o.account AND d.series = o.series
           AND d.first <= o.day AND d.stop > o.day)
     GROUP BY account, series
"""

_ENDS = f"""
    SELECT count(*) FROM events AS e
     WHERE e.type IN ({_listed(END_TYPES)}) AND e.start IS NOT NULL AND NOT EXISTS (
        SELECT 1 FROM ends AS n WHERE n.instance = e.instance AND n.type = e.type
           AND n.target = coalesce(e.target, '') AND n.start = e.start AND n.first_time <= e.time)
"""  # noqa: S608  names of ours

_EVER = f"""
    SELECT count(*) FROM events AS e
     WHERE e.type IN ({_listed(EVER_TYPES)}) AND NOT EXISTS (
        SELECT 1 FROM ever AS v WHERE v.instance = e.instance AND v.id = e.id)
"""  # noqa: S608  names of ours

_LAUNCHES = """
    SELECT count(*) FROM events AS e JOIN instances AS i ON i.id = e.instance
     WHERE e.type = 'ChallengeLaunchEvent'
       AND (i.first_launch_time IS NULL OR i.first_launch_time > e.time)
"""

_CONNECTIONS = """
    SELECT e.result FROM events AS e JOIN instances AS i ON i.id = e.instance
     WHERE e.type = 'ConnectionEvent'
       AND (i.first_connection_seen IS NULL OR i.first_connection_seen > e.time)
"""
