"""Rows of an explanation: what was reckoned, beside what stands in the outbox."""

import hmac
import sqlite3
from collections.abc import Collection, Iterable, Sequence

import msgspec
from msgspec import Raw, Struct

from ecolyo_worker.clock import day_text, month_days
from ecolyo_worker.events import Event, event_document
from ecolyo_worker.explanation.documents import (
    AbsentEvent,
    ExplainedCounting,
    ExplainedRow,
    OtherValue,
)
from ecolyo_worker.explanation.view import View
from ecolyo_worker.indicators import Definitions
from ecolyo_worker.measures import Row
from ecolyo_worker.measures.explaining import Explained
from ecolyo_worker.store import outbox
from ecolyo_worker.store.books import StoredCounting
from ecolyo_worker.store.countings import row_key
from ecolyo_worker.store.months import StoredMonth

__all__ = [
    "DONE",
    "GONE",
    "NEVER",
    "NOT_MADE",
    "TO_COME",
    "Place",
    "Reckoned",
    "coming",
    "done",
    "empty",
    "made_rows",
    "never",
    "only_stored",
    "place_of_day",
    "place_of_month",
    "to_come",
]

DONE, TO_COME, NEVER, GONE, NOT_MADE = "done", "to come", "never", "gone", "not made"

_NULL = Raw(b"null")
_CHANGED = (
    "made otherwise then: what it rests on, or the definitions, changed since, so nobody can tell"
    " its events"
)
_LATER = "not made then: what it rests on, or the definitions, came later"
_LOST = "it cannot be reckoned again from what is there now"


class Place(Struct, frozen=True):
    """What rows of one measure and counting have in common, by which the outbox knows them."""

    salt: bytes
    measure: str
    start_date: str
    n: int = 0
    made: int = 1
    """How many rows the counting made, of all measures."""
    siblings: tuple[str, ...] = ()
    """All measures that it may have made rows of."""

    def key(self, ordinal: int) -> bytes:
        """Give the key of a row."""
        return row_key(self.salt, self.measure, self.start_date, self.n, ordinal)

    def stored(self, connection: sqlite3.Connection) -> "_Stored":
        """Give the measure's rows of the counting that are in the outbox still, by ordinal."""
        found = {n: outbox.of_key(connection, self.key(n)) for n in range(self.made)}
        return {n: row for n, row in found.items() if row is not None}

    def is_whole(self, connection: sqlite3.Connection) -> bool:
        """Tell whether all rows that the counting made are in the outbox still."""
        places = [msgspec.structs.replace(self, measure=name) for name in self.siblings]
        return sum(len(place.stored(connection)) for place in places) == self.made


def place_of_day(salt: bytes, measure: str, stored: StoredCounting, view: View) -> Place:
    """Give the place of a measure's rows of a day's counting."""
    siblings = tuple(one.name for one in view.plan.rules.daily)
    return Place(salt, measure, day_text(stored.day), stored.n, stored.rows, siblings)


def place_of_month(salt: bytes, measure: str, stored: StoredMonth, view: View) -> Place:
    """Give the place of a measure's rows of a month that is done."""
    siblings = tuple(one.name for one in view.plan.rules.monthly)
    first = day_text(month_days(stored.month).start)
    return Place(salt, measure, first, 0, stored.rows, siblings)


_Stored = dict[int, tuple[outbox.OutboxRow, bytes]]


Reckoned = Sequence[tuple[Row, Collection[Event]]]
"""Rows that were reckoned again, each with the events that it rests on."""


def empty(state: str, run: str, n: int = 0, as_of: str | None = None) -> ExplainedCounting:
    """Give a counting of which nothing is told yet."""
    return ExplainedCounting(
        n=n, state=state, run=run, as_of=as_of, rows=[], missing=[], absent=[], facts=[], notes=[]
    )


def done(
    connection: sqlite3.Connection,
    place: Place,
    explained: Explained,
    counting: ExplainedCounting,
    view: View,
) -> ExplainedCounting:
    """Give a counting of the past with its rows, and the events that are in none.

    Rows that cannot be reckoned any more are told as they stand in the outbox.
    """
    told, rest = made_rows(connection, place, explained.rows, view)
    return _with(counting, [*told, *rest], explained)


def coming(
    explained: Explained, counting: ExplainedCounting, definitions: Definitions
) -> ExplainedCounting:
    """Give a counting to come with the rows that it would make."""
    told = [to_come(row, definitions, events) for row, events in explained.rows]
    return _with(counting, told, explained)


def never(n: int, run: str, reasons: Iterable[tuple[Event, str]] = ()) -> ExplainedCounting:
    """Give what stands in place of a counting that no run makes, for now or for good."""
    counting = empty(NEVER, run, n)
    counting.absent.extend(
        AbsentEvent(event_document(event), reason, "fate") for event, reason in reasons
    )
    return counting


def to_come(row: Row, definitions: Definitions, events: Collection[Event] = ()) -> ExplainedRow:
    """Give a row that a run would make."""
    return _row(row, definitions, events, row.indicator.encode(), TO_COME)


def made_rows(
    connection: sqlite3.Connection, place: Place, reckoned: Reckoned, view: View
) -> tuple[list[ExplainedRow], list[ExplainedRow]]:
    """Give the rows that were reckoned again, with what became of each, and further stored ones.

    What a counting rests on may have changed since, and then the ordinals are others: so a row is
    known by its body first.
    """
    stored = place.stored(connection)
    found = _matches(reckoned, stored, view)
    missing = None
    if len(found) < len(reckoned):
        missing = (NOT_MADE, _LATER) if place.is_whole(connection) else (GONE, _gone(view))
    told = []
    for row, events in reckoned:
        body = row.indicator.encode()
        if row.ordinal in found:
            told.append(_stored_row(row, events, body, stored[found[row.ordinal]], view))
        elif missing is not None:
            state, note = missing
            told.append(_row(row, view.definitions, events, body, state, note=note))
    rest = sorted(stored.keys() - found.values())
    return told, [_only_stored(stored[ordinal][0]) for ordinal in rest]


def only_stored(connection: sqlite3.Connection, place: Place) -> list[ExplainedRow]:
    """Give the rows of a counting that cannot be reckoned again and are in the outbox still."""
    return [_only_stored(row) for row, _ in place.stored(connection).values()]


def _matches(reckoned: Reckoned, stored: _Stored, view: View) -> dict[int, int]:
    """Give the ordinals of the stored rows that are reckoned ones: by body, else by ordinal."""
    seals = {
        row.ordinal: outbox.body_hmac(view.hmac_key, row.indicator.encode()) for row, _ in reckoned
    }
    left = {ordinal: seal for ordinal, (_, seal) in stored.items()}
    found: dict[int, int] = {}
    # Equal rows are told apart by their ordinals, as far as these are the same.
    for mine, seal in seals.items():
        if left.get(mine) == seal:
            found[mine] = mine
            del left[mine]
    for mine in [one for one in seals if one not in found]:
        same = next((other for other, seal in left.items() if seal == seals[mine]), None)
        if same is not None:
            found[mine] = same
            del left[same]
    for mine in [one for one in seals if one not in found and one in left]:
        found[mine] = mine
        del left[mine]
    return found


def _stored_row(
    row: Row,
    events: Collection[Event],
    body: bytes,
    found: tuple[outbox.OutboxRow, bytes],
    view: View,
) -> ExplainedRow:
    stored, seal = found
    if hmac.compare_digest(seal, outbox.body_hmac(view.hmac_key, body)):
        return _row(row, view.definitions, events, body, stored.state, stored.id)
    return _only_stored(stored, _CHANGED)


def _only_stored(stored: outbox.OutboxRow, note: str = _LOST) -> ExplainedRow:
    return ExplainedRow(
        indicator=_NULL if stored.body is None else Raw(stored.body),
        state=stored.state,
        outbox=stored.id,
        others=[],
        events=[],
        note=note,
    )


def _gone(view: View) -> str:
    return (
        f"its row is deleted: {view.sent_days} days after it was sent (retention.sent_days), or"
        " with a consent; or it was never made, for what it rests on came later"
    )


def _with(
    counting: ExplainedCounting, told: list[ExplainedRow], explained: Explained
) -> ExplainedCounting:
    absent = [
        AbsentEvent(event_document(item.event), item.reason, item.kind) for item in explained.absent
    ]
    return msgspec.structs.replace(
        counting,
        rows=told,
        missing=list(explained.missing),
        absent=[*absent, *counting.absent],
    )


def _row(
    row: Row,
    definitions: Definitions,
    events: Collection[Event],
    body: bytes,
    state: str,
    outbox: int | None = None,
    note: str | None = None,
) -> ExplainedRow:
    groups = {rule.key: rule for rule in definitions[row.indicator.measure_name].groups}
    return ExplainedRow(
        indicator=Raw(body),
        state=state,
        outbox=outbox,
        others=[OtherValue(item.key, item.found, groups[item.key].allowed) for item in row.others],
        events=[event_document(event) for event in events],
        note=note,
    )
