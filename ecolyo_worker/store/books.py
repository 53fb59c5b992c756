"""The state's own books, read row by row: what the ledger compares with the counters."""

import sqlite3
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from functools import lru_cache
from typing import Any

import msgspec
from msgspec import Struct

from ecolyo_worker.clock import day_text
from ecolyo_worker.events import Event
from ecolyo_worker.indicators import Definitions
from ecolyo_worker.measures import Counted, End, Facts, Rules, count
from ecolyo_worker.store import events, restoring, totals
from ecolyo_worker.store.attempts import FIRST_KEPT, LAST_KEPT
from ecolyo_worker.store.instances import Instance
from ecolyo_worker.store.instances import get as get_instance

__all__ = [
    "BookedRow",
    "Books",
    "StoredCounting",
    "countings_of_day",
    "lost_events",
    "read_books",
    "stored_countings",
]


_DOUBLES = "outbox.maybe_delivered"


class BookedRow(Struct, frozen=True):
    """An outbox row as far as the ledger needs it."""

    key: bytes
    state: str
    body_hmac: bytes
    maybe_delivered: int


class Books(Struct, frozen=True):
    """All that was found, row by row, beside what the counters say."""

    events: dict[str, int]
    event_ids: set[tuple[str, str]]
    """Instance and `_id` of every event."""
    rows: list[BookedRow]
    destinations: dict[str, int]
    """How many are in each state."""
    rows_ever: int
    rows_counted: int
    """How many rows the countings of days and months say they made, and the connected rows.

    Of people who were forgotten, and of countings that were deleted for their age, it is the sum
    that was kept.
    """
    instances: int
    instances_ever: int
    accounts: dict[str, int]
    """How many are in each state."""
    accounts_ever: int
    """How many there were at most: one that was there already may have taken a number as well."""
    totals: dict[str, int]
    removed: dict[str, int]
    pruned: int
    """How many finished rows were deleted for their age."""
    pruned_doubles: int
    """How many attempts of theirs may have been delivered unseen."""
    attempts: int
    """How many attempts of the rows that are there say they were made."""
    unexplained: list[int]
    """Rows of which the attempts do not say what became of them."""
    restored_on: int
    """The civil day on which a backup was put back; 0 for never."""
    overlapping: list[str]
    """Days of which two countings pass over the same event."""
    lost_days: list[str]
    """Days that have waiting events and are not noted as waiting, or the other way round."""

    @property
    def seals(self) -> dict[bytes, bytes]:
        """The HMAC of each row's body, by the row's key."""
        return {row.key: row.body_hmac for row in self.rows}


class StoredCounting(Struct, frozen=True, kw_only=True):
    """A counting of the past: what it saw, as far as that is there still, and what it made."""

    instance: int
    day: int
    n: int
    as_of: int
    """The civil time of its run, in ms."""
    started: int
    """When its run began, in ms of UTC."""
    definitions: str
    """The digest of the definitions it went by."""
    max_age_days: int
    """The setting it went by, as is `not_before`."""
    not_before: int | None
    fate: str
    after_seq: int
    upto_seq: int
    facts: Facts
    events: tuple[Event, ...]
    """Those that are there still, the failed ones too."""
    errors: Mapping[int, str]
    """Why an event failed, by `seq`."""
    lost: int
    """How many of its events were deleted since."""
    salt: bytes
    rows: int
    """How many indicators it made."""

    @property
    def place(self) -> str:
        """Which counting it is, in words, without naming the person."""
        return f"counting {self.n} of {day_text(self.day)} for instance {self.instance}"

    def recount(self, definitions: Definitions) -> Counted:
        """Count it again, as far as its events are there: they have the fates they had then."""
        not_before = self.day + 1 if self.fate == "imported" else None
        rules = _rules_then(definitions, self.fate, not_before)
        sound = [event for event in self.events if event.seq not in self.errors]
        counted = count(self.facts, sound, self.as_of, rules)
        return msgspec.structs.replace(
            counted,
            fates={**counted.fates, **dict.fromkeys(self.errors, "failed")},
            errors={**counted.errors, **self.errors},
        )


def read_books(connection: sqlite3.Connection) -> Books:
    """Read everything; a full scan of events and outbox."""
    states = Counter(state for _, state in connection.execute(events.select_with_state("e.seq")))
    ever = dict(connection.execute("SELECT name, seq FROM sqlite_sequence"))
    counters = totals.read(connection)
    restored_on = restoring.restored_on(connection)
    # What a backup says may have been delivered once more than its attempts tell.
    explained = {"kept": FIRST_KEPT + LAST_KEPT, "restored": bool(restored_on)}
    return Books(
        events=dict(states),
        event_ids=set(
            connection.execute(
                "SELECT i.name, e.id FROM events AS e JOIN instances AS i ON i.id = e.instance"
            )
        ),
        rows=[
            BookedRow(*row)
            for row in connection.execute(
                "SELECT key, state, body_hmac, maybe_delivered FROM outbox"
            )
        ],
        destinations=dict(
            connection.execute("SELECT state, count(*) FROM destinations GROUP BY state")
        ),
        rows_ever=ever.get("outbox", 0),
        rows_counted=_one(connection, "SELECT coalesce(sum(rows), 0) FROM countings")
        + _one(connection, "SELECT coalesce(sum(rows), 0) FROM month_countings")
        + sum(counters.get(f"rows.{name}", 0) for name in ("connected", "forgotten", "pruned")),
        instances=_one(connection, "SELECT count(*) FROM instances"),
        instances_ever=ever.get("instances", 0),
        accounts=dict(connection.execute("SELECT state, count(*) FROM accounts GROUP BY state")),
        accounts_ever=ever.get("accounts", 0),
        totals=counters,
        removed=totals.removed(connection),
        pruned=sum(
            count
            for what, count in totals.removed(connection, "pruned").items()
            if what.startswith("outbox.") and what != _DOUBLES
        ),
        pruned_doubles=totals.removed(connection, "pruned").get(_DOUBLES, 0),
        attempts=_one(
            connection,
            "SELECT coalesce(sum(made), 0) FROM (SELECT max(n) AS made FROM attempts GROUP BY row)",
        ),
        unexplained=[row for (row,) in connection.execute(_UNEXPLAINED, explained)],
        restored_on=restored_on,
        overlapping=[day_text(row[0]) for row in connection.execute(_OVERLAPPING)],
        lost_days=[day_text(row[0]) for row in connection.execute(_LOST_DAYS)],
    )


@lru_cache(maxsize=8)
def _rules_then(definitions: Definitions, fate: str, not_before: int | None) -> Rules:
    """Give rules that let a counting come out as it did, whatever the settings say now."""
    return Rules(definitions, -1 if fate == "expired" else 1_000_000, not_before)


def _one(connection: sqlite3.Connection, query: str, *values: int) -> int:
    number: int = connection.execute(query, values).fetchone()[0]
    return number


def stored_countings(connection: sqlite3.Connection) -> Iterator[StoredCounting]:
    """Give the countings that counted something and whose events are all there still."""
    rows = connection.execute(
        f"{_COUNTINGS} WHERE c.fate = 'counted' ORDER BY c.instance, c.day, c.n"
    ).fetchall()
    owner, known = None, None
    for row in rows:
        if owner is None or known is None or owner.id != row[0]:
            owner = get_instance(connection, row[0])
            known = _facts_then(connection, owner)
        stored = _stored(connection, owner, known, row)
        if not stored.lost:
            yield stored


def countings_of_day(
    connection: sqlite3.Connection, owner: Instance, day: int
) -> list[StoredCounting]:
    """Give all countings of an instance's day, in their order, whatever they made of it."""
    rows = connection.execute(
        f"{_COUNTINGS} WHERE c.instance = ? AND c.day = ? ORDER BY c.n", (owner.id, day)
    ).fetchall()
    known = _facts_then(connection, owner) if rows else Facts(acceptance=0)
    return [_stored(connection, owner, known, row) for row in rows]


def lost_events(connection: sqlite3.Connection, instance: int, days: range) -> int:
    """Tell how many of the events that were counted of some days were deleted since."""
    return _one(
        connection,
        "SELECT coalesce(sum(c.events - (SELECT count(*) FROM events AS e"
        " WHERE e.instance = c.instance AND e.day = c.day AND e.seq > c.after_seq"
        " AND e.seq <= c.upto_seq AND NOT e.aggregated)), 0) FROM countings AS c"
        " WHERE c.instance = ? AND c.day >= ? AND c.day < ?",
        instance,
        days.start,
        days.stop,
    )


def _stored(
    connection: sqlite3.Connection, owner: Instance, known: Facts, row: Sequence[Any]
) -> StoredCounting:
    instance, day, n, after, upto, fate, accepted, first, number, made, *run = row
    found = events.of_day(connection, instance, day, after, upto)
    as_of, started, definitions, max_age_days, not_before = run
    errors = connection.execute(
        "SELECT f.seq, f.error FROM failures AS f JOIN events AS e ON e.seq = f.seq"
        " WHERE e.instance = ? AND e.day = ? AND f.seq > ? AND f.seq <= ?",
        (instance, day, after, upto),
    )
    return StoredCounting(
        instance=instance,
        day=day,
        n=n,
        as_of=as_of,
        started=started,
        definitions=definitions,
        max_age_days=max_age_days,
        not_before=not_before,
        fate=fate,
        after_seq=after,
        upto_seq=upto,
        facts=msgspec.structs.replace(
            known, acceptance=accepted, first_connection=first, is_supplement=n > 0
        ),
        events=tuple(found),
        errors=dict(errors),
        lost=number - sum(not event.aggregated for event in found),
        salt=owner.salt,
        rows=made,
    )


def _facts_then(connection: sqlite3.Connection, known: Instance) -> Facts:
    """Give the facts as its countings knew them: only what made a row then may make one now."""
    launch = known.first_launch
    if known.launch_row is not None:
        row = connection.execute(
            "SELECT time, seq FROM events WHERE seq = ?", (known.launch_row,)
        ).fetchone()
        launch = None if row is None else (row[0], row[1])
    ends = {}
    for kind, target, start, time, seq in connection.execute(
        "SELECT n.type, n.target, n.start, e.time, n.row_seq FROM ends AS n"
        " LEFT JOIN events AS e ON e.seq = n.row_seq WHERE n.instance = ?",
        (known.id,),
    ):
        ends[kind, target, start] = End((-1, -1), 0) if seq is None else End((time, seq), seq, seq)
    return Facts(
        acceptance=0,
        first_launch=launch,
        launch_row=known.launch_row,
        ends=ends,
    )


_COUNTINGS = """
    SELECT c.instance, c.day, c.n, c.after_seq, c.upto_seq, c.fate, c.acceptance,
           c.first_connection, c.events, c.rows, r.as_of, r.started, r.definitions,
           r.max_age_days, r.not_before
      FROM countings AS c JOIN runs AS r ON r.id = c.run
"""

_OVERLAPPING = """
    SELECT DISTINCT a.day FROM countings AS a
      JOIN countings AS b ON b.instance = a.instance AND b.day = a.day AND b.n > a.n
     WHERE b.after_seq < a.upto_seq
"""

# The greatest `n` goes with its own outcome: that is how SQLite reads a bare column beside max().
_UNEXPLAINED = """
    WITH made (row, last, outcome, kept, doubtful) AS (
        SELECT row, max(n), outcome, count(*), sum(outcome IN ('unknown', 'interrupted'))
          FROM attempts GROUP BY row)
    SELECT o.id FROM outbox AS o LEFT JOIN made AS m ON m.row = o.id
     WHERE (o.state = 'sent') != (m.outcome IS 'delivered')
        OR coalesce(m.kept, 0) != min(coalesce(m.last, 0), :kept)
        OR (m.kept = m.last AND m.doubtful != o.maybe_delivered
            AND NOT (:restored AND o.maybe_delivered > m.doubtful))
        OR (m.row IS NULL AND o.maybe_delivered != 0 AND NOT :restored)
     UNION ALL
    SELECT row FROM made WHERE row NOT IN (SELECT id FROM outbox)
"""

_LOST_DAYS = f"""
    WITH waiting AS (
        SELECT DISTINCT instance, day FROM ({events.select_with_state("e.instance, e.day")})
         WHERE state = 'waiting')
    SELECT day FROM (SELECT * FROM waiting EXCEPT SELECT * FROM waiting_days)
     UNION ALL
    SELECT day FROM (SELECT * FROM waiting_days EXCEPT SELECT * FROM waiting)
"""  # noqa: S608  a statement of ours
