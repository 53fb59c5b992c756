"""Rows of an explanation: what was reckoned, beside what stands in the outbox."""

import hmac
import sqlite3
from collections.abc import Collection, Iterable, Iterator

import msgspec
from msgspec import Raw, Struct

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
from ecolyo_worker.store.countings import row_key

__all__ = [
    "DONE",
    "GONE",
    "NEVER",
    "TO_COME",
    "Place",
    "coming",
    "done",
    "empty",
    "never",
    "only_stored",
    "stored_row",
    "to_come",
]

DONE, TO_COME, NEVER, GONE = "done", "to come", "never", "gone"

_NULL = Raw(b"null")
_CHANGED = "made otherwise then: what it rests on, or the definitions, changed since"
_LOST = "it cannot be reckoned again from what is there now"


class Place(Struct, frozen=True):
    """What rows of one measure and counting have in common, by which the outbox knows them."""

    salt: bytes
    measure: str
    start_date: str
    n: int = 0

    def key(self, ordinal: int) -> bytes:
        """Give the key of a row."""
        return row_key(self.salt, self.measure, self.start_date, self.n, ordinal)


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
    made: int,
    view: View,
) -> ExplainedCounting:
    """Give a counting of the past with its rows, and the events that are in none.

    `made` is how many rows it made of all measures: those that cannot be reckoned any more are
    looked for in the outbox.
    """
    told = [stored_row(connection, place, row, view, events) for row, events in explained.rows]
    rest = set(range(made)) - {row.ordinal for row, _ in explained.rows}
    told += only_stored(connection, place, sorted(rest))
    return _with(counting, told, explained)


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


def stored_row(
    connection: sqlite3.Connection,
    place: Place,
    row: Row,
    view: View,
    events: Collection[Event] = (),
) -> ExplainedRow:
    """Give a row that a counting made, with what became of it."""
    found, body = outbox.of_key(connection, place.key(row.ordinal)), row.indicator.encode()
    if found is None:
        gone = (
            f"its row is deleted: {view.sent_days} days after it was sent (retention.sent_days),"
            " or with a consent"
        )
        return _row(row, view.definitions, events, body, GONE, note=gone)
    stored, seal = found
    note = None
    if not hmac.compare_digest(seal, outbox.body_hmac(view.hmac_key, body)):
        note, body = _CHANGED, stored.body or body
    return _row(row, view.definitions, events, body, stored.state, stored.id, note)


def only_stored(
    connection: sqlite3.Connection, place: Place, ordinals: Iterable[int]
) -> Iterator[ExplainedRow]:
    """Give the rows of a counting that cannot be reckoned again and are in the outbox still."""
    for ordinal in ordinals:
        found = outbox.of_key(connection, place.key(ordinal))
        if found is not None:
            stored, _ = found
            yield ExplainedRow(
                indicator=_NULL if stored.body is None else Raw(stored.body),
                state=stored.state,
                outbox=stored.id,
                others=[],
                events=[],
                note=_LOST,
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
