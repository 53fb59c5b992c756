"""The draw: which rows leave next, at random over all people and all destinations.

What a claim costs does not grow with the rows that wait, nor with those that become due at once,
nor with those of a destination that is held back: it is one look into an index for each destination
that has rows, and for each moment that has come.
"""

import json
import sqlite3
from collections.abc import Callable, Collection, Sequence

import msgspec
from msgspec import Struct

from ecolyo_worker.store import destinations, totals
from ecolyo_worker.store.destinations import Standing
from ecolyo_worker.store.outbox import Claimed, waits

__all__ = ["Claims", "Draw", "Drawn", "Verdict", "claim", "hasten", "next_moment"]

# One transaction looks at no more rows than these, however few of them may leave.
_MOST_LOOKS = 1000
# One transaction makes no more rows due at once than these, whose moments have come.
_MOST_PROMOTED = 2000
# So many destinations that are held back are looked at for when the next may be tried.
_MOST_HELD = 1000


class Draw(Struct, frozen=True, kw_only=True):
    """What is drawn, and when. Instants are ms of UTC."""

    now: int
    due: int
    """Rows that are due later than this are not drawn yet."""
    latest: int
    """No moment is later than this, unless the clock was: then it is over."""
    limit: int
    probing: Collection[int] = ()
    """Destinations whose one row is on its way."""
    probes_first: bool = False


class Drawn(Struct, frozen=True):
    """A row that was drawn, before it is known whether it may be sent."""

    claimed: Claimed
    instance: int
    start_date: str
    body_hmac: bytes


class Verdict(Struct, frozen=True):
    """What becomes of a drawn row: `in_flight`, `dead`, or `pending` until it is due again."""

    state: str
    answer: str | None = None
    due: int = 0


class Claims(Struct, frozen=True):
    """Rows in flight, and how their destinations do."""

    rows: list[Claimed]
    standings: dict[int, Standing]
    more: bool
    """Whether more may be found: one transaction looks at a bounded number of rows."""


Judge = Callable[[Sequence[Drawn]], Sequence[Verdict]]


def claim(connection: sqlite3.Connection, draw: Draw, judge: Judge) -> Claims:
    """Draw up to `limit` due rows at random and mark them as in flight.

    `judge` says of each what it is good for. A destination that is held back gives one row, when
    its time has come.
    """
    claimed: list[Claimed] = []
    looks, more = 0, True
    while more and looks < _MOST_LOOKS and len(claimed) < draw.limit:
        promoted = _promote(connection, draw)
        probing = {*draw.probing, *(row.destination for row in claimed if row.is_probe)}
        drawn = _draw(connection, draw, draw.limit - len(claimed), probing)
        claimed += _judge(connection, drawn, judge)
        looks += max(len(drawn), promoted)
        more = bool(drawn or promoted)
    ids = {row.destination for row in claimed}
    return Claims(claimed, destinations.standings(connection, ids), more)


def hasten(connection: sqlite3.Connection, most: int) -> bool:
    """Make rows due at once that only wait for the moment their run was given.

    No more than `most` of them; gives whether there may be others.
    """
    hastened = connection.execute(
        "UPDATE outbox SET due = 0 WHERE id IN ("
        # Without saying so SQLite looks at all that wait.
        "SELECT id FROM outbox INDEXED BY outbox_due"
        " WHERE state = 'pending' AND due != 0 AND tries = 0 LIMIT ?)",
        (most,),
    ).rowcount
    return hastened == most


def next_moment(connection: sqlite3.Connection, now: int, latest: int) -> int | None:
    """Give when there is something to draw again, in ms of UTC; None for never."""
    due: int | None = connection.execute(
        "SELECT min(due) FROM outbox WHERE state = 'pending' AND due != 0"
    ).fetchone()[0]
    probe = destinations.next_probe(connection, _MOST_HELD)
    ready = connection.execute(
        f"{_WAITING} SELECT 1 FROM waiting AS w JOIN destinations AS d ON d.id = w.id"  # noqa: S608
        " WHERE d.state = 'ready' LIMIT 1"
    ).fetchone()
    moments = [now] if ready else []
    moments += [at if at <= latest else now for at in (due, probe) if at is not None]
    return min(moments, default=None)


def _promote(connection: sqlite3.Connection, draw: Draw) -> int:
    """Let rows be drawn whose moment has come: of each moment, the first by their random place.

    Others of that moment are not drawn before these, but for those of a destination that is held
    back. All at once would hold everything up, for a run gives all of its rows the same moment.
    Gives how many there were.
    """
    before = connection.total_changes  # `rowcount` knows nothing of what begins with `WITH`
    # Two statements, for the index finds either range, and would pass over every row for both.
    for condition, moment in (("<=", draw.due), (">", draw.latest)):
        values = {"moment": moment, "limit": draw.limit, "most": _MOST_PROMOTED}
        connection.execute(_PROMOTE.format(condition=condition), values)
    return connection.total_changes - before


# The moments that have come, each found by one look into the index, and the first rows of each.
_PROMOTE = """
    WITH RECURSIVE come (due) AS (
        SELECT min(due) FROM outbox
         WHERE state = 'pending' AND due != 0 AND due {condition} :moment
         UNION ALL
        SELECT (SELECT min(due) FROM outbox
                 WHERE state = 'pending' AND due != 0 AND due > come.due
                   AND due {condition} :moment)
          FROM come WHERE due IS NOT NULL LIMIT :most)
    UPDATE outbox SET due = 0 WHERE id IN (
        SELECT o.id FROM come
          JOIN outbox AS o ON o.id IN (
                SELECT id FROM outbox WHERE state = 'pending' AND due != 0 AND due = come.due
                 ORDER BY shuffle LIMIT :limit)
         LIMIT :most)
"""


def _draw(
    connection: sqlite3.Connection, draw: Draw, limit: int, probing: Collection[int]
) -> list[Drawn]:
    """Draw from the destinations that are ready, and one row from each that may be tried.

    Neither kind keeps the other waiting: those first in turn take half the places at most.
    """
    if draw.probes_first:
        probes = _probes(connection, draw, (limit + 1) // 2, probing)
        return probes + _ready(connection, limit - len(probes))
    ready = _ready(connection, limit)
    return ready + _probes(connection, draw, limit - len(ready), probing)


# The destinations that have rows which are due, each found by one look into the index.
_WAITING = """
    WITH RECURSIVE waiting (id) AS (
        SELECT min(destination) FROM outbox WHERE state = 'pending' AND due = 0
         UNION ALL
        SELECT (SELECT min(destination) FROM outbox
                 WHERE state = 'pending' AND due = 0 AND destination > waiting.id)
          FROM waiting WHERE id IS NOT NULL)
"""

# The first rows of each of them, by their random place, and the first of all these.
_READY = f"""
    {_WAITING}, first (id) AS (
        SELECT o.id FROM waiting AS w
          JOIN destinations AS d ON d.id = w.id AND d.state = 'ready'
          JOIN outbox AS o ON o.id IN (
                SELECT id FROM outbox WHERE state = 'pending' AND due = 0 AND destination = w.id
                 ORDER BY shuffle LIMIT :limit)
         ORDER BY o.shuffle LIMIT :limit)
"""  # noqa: S608  a statement of ours

_PROBES = """
    WITH first (id) AS (
        SELECT (SELECT id FROM outbox WHERE state = 'pending' AND due = 0 AND destination = d.id
                 ORDER BY shuffle LIMIT 1) AS row
          FROM destinations AS d
         WHERE d.reason IS NOT NULL AND d.state IN ('paused', 'open')
           AND (d.not_before <= :now OR d.not_before > :latest)
           AND d.id NOT IN (SELECT value FROM json_each(:probing)) AND row IS NOT NULL
         LIMIT :limit)
"""

# All in one row of JSON: each row that is fetched gives Python's lock away, and lanes are busy.
_ROWS = """
    SELECT json_group_array(json_array(
           o.shuffle, o.id, o.destination, hex(o.body), o.attempts, o.failing_since,
           d.last_delivered, o.tries, i.name, o.instance, o.start_date, hex(o.body_hmac)))
      FROM first JOIN outbox AS o ON o.id = first.id
      JOIN destinations AS d ON d.id = o.destination
      LEFT JOIN instances AS i ON i.id = d.instance
"""


class _Found(Struct, frozen=True, array_like=True):
    """A row as the database gives it; its texts are in hexadecimal digits."""

    shuffle: int
    id: int
    destination: int
    body: str
    attempts: int
    failing_since: int | None
    last_delivered: int | None
    tries: int
    instance_name: str | None
    instance: int
    start_date: str
    body_hmac: str

    def drawn(self, *, is_probe: bool) -> Drawn:
        claimed = Claimed(
            id=self.id,
            destination=self.destination,
            body=bytes.fromhex(self.body),
            attempts=self.attempts,
            failing_since=self.failing_since,
            last_delivered=self.last_delivered,
            tries=self.tries,
            instance_name=self.instance_name,
            is_probe=is_probe,
        )
        return Drawn(claimed, self.instance, self.start_date, bytes.fromhex(self.body_hmac))


_FOUND = msgspec.json.Decoder(list[_Found])


def _ready(connection: sqlite3.Connection, limit: int) -> list[Drawn]:
    return _rows(connection, _READY, {"limit": limit}) if limit else []


def _probes(
    connection: sqlite3.Connection, draw: Draw, limit: int, probing: Collection[int]
) -> list[Drawn]:
    if not limit:
        return []
    values = {"now": draw.now, "latest": draw.latest, "probing": json.dumps(list(probing))}
    return _rows(connection, _PROBES, {**values, "limit": limit}, is_probe=True)


def _rows(
    connection: sqlite3.Connection, first: str, values: dict[str, object], *, is_probe: bool = False
) -> list[Drawn]:
    (text,) = connection.execute(f"{first} {_ROWS}", values).fetchone()
    found = sorted(_FOUND.decode(text), key=lambda row: row.shuffle)
    return [row.drawn(is_probe=is_probe) for row in found]


def _judge(connection: sqlite3.Connection, drawn: list[Drawn], judge: Judge) -> list[Claimed]:
    """Mark each row by its verdict; those that may leave in one statement. Gives these."""
    leaving: list[Claimed] = []
    changes = {"outbox.pending": 0, "outbox.dead": 0}
    for row, verdict in zip(drawn, judge(drawn), strict=True):
        if verdict.state == "in_flight":
            leaving.append(row.claimed)
            continue
        connection.execute(
            "UPDATE outbox SET state = ?, waits = ?, due = ?, answer = ? WHERE id = ?",
            (verdict.state, waits(verdict.state), verdict.due, verdict.answer, row.claimed.id),
        )
        if verdict.state == "dead":
            changes["outbox.dead"] += 1
    connection.execute(
        "UPDATE outbox SET state = 'in_flight' WHERE id IN (SELECT value FROM json_each(?))",
        (json.dumps([row.id for row in leaving]),),
    )
    changes["outbox.in_flight"] = len(leaving)
    changes["outbox.pending"] = -len(leaving) - changes["outbox.dead"]
    totals.add(connection, changes)
    return leaving
