"""The ledger: equations that hold if nothing was lost and nothing was doubled unseen.

1. Every event is in exactly one state, and what is there or was removed is what was accepted.
2. Every counted day, counted again from its events, gives the indicators that were stored.
3. Every indicator ever made is in the outbox in exactly one state, or was removed.
4. What was sent was received, and nothing was received that was not made.
5. What was received more than once is no more than what may have been delivered twice.
6. Every counter is the count of its rows, and no row points to one that is not there.
7. Readings: points of a series do not overlap, sums are those of the points, and what an account
   says was stored is there.
8. Facts that events said are kept as long as the events are.

A file that is damaged is no row that is lost: of it no equation is told, but that it is damaged.
"""

import hmac
import sqlite3
from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence

from msgspec import Struct

from ecolyo_worker.clock import day_text
from ecolyo_worker.indicators import Definitions
from ecolyo_worker.store import accounts, auditing, destinations, events, outbox
from ecolyo_worker.store.books import Books, StoredCounting, read_books, stored_countings
from ecolyo_worker.store.countings import row_key
from ecolyo_worker.store.troubles import damaged

__all__ = ["Ledger", "balance"]

_MOST_PROBLEMS = 100


class Ledger(Struct, frozen=True, kw_only=True):
    """Both sides' sums, and every equation that does not hold, in words."""

    events: int
    indicators: int
    attempts: int
    received: int | None
    duplicates: int | None
    missing: int | None
    maybe_delivered: int
    recounted: int
    """Countings that were made again from their events and compared."""
    problems: list[str]

    @property
    def balanced(self) -> bool:
        """Whether every equation holds."""
        return not self.problems

    @property
    def line(self) -> str:
        """The reconciliation line; what no echo server was asked for is a dash."""
        sums = {
            "events": self.events,
            "indicators": self.indicators,
            "attempts": self.attempts,
            "received": self.received,
            "duplicates": self.duplicates,
            "missing": self.missing,
            "maybe delivered": self.maybe_delivered,
        }
        return " · ".join(f"{name} {'–' if n is None else n}" for name, n in sums.items())


def balance(
    connection: sqlite3.Connection,
    definitions: Definitions,
    hmac_key: bytes,
    received: Sequence[bytes] | None = None,
    accepted: Collection[tuple[str, str]] = (),
) -> Ledger:
    """Check the equations on a database, and on what an echo server received, if it is given.

    `accepted` are (instance, `_id`) pairs that were acknowledged, if the caller kept them. Raises
    `StateDamaged` if the file is.
    """
    if (words := auditing.damage(connection)) is not None:
        raise damaged(words)
    books = read_books(connection)
    problems = [*_events(books, accepted), *_people(books), *_rows(books), *_counters(books)]
    problems += [f"6: {words}" for words in auditing.references(connection)]
    problems += [f"7: {words}" for words in auditing.readings(connection)]
    problems += [f"7: {words}" for words in auditing.accounts(connection)]
    problems += [f"8: {words}" for words in auditing.facts(connection)]
    recounted = 0
    seals = books.seals
    missing: list[str] = []
    for stored in stored_countings(connection):
        if stored.definitions == definitions.digest:
            recounted += 1
            problems += _recount(stored, definitions, seals, hmac_key, missing)
    # A row that is not there may be one of those that were deleted for their age.
    problems += missing if len(missing) > books.pruned else []
    sides = _Sides(books, received or (), hmac_key)
    if received is not None:
        problems += sides.problems()
    return Ledger(
        events=books.totals.get("events.accepted", 0),
        indicators=books.rows_ever,
        attempts=books.totals.get("attempts", 0),
        received=None if received is None else len(received),
        duplicates=None if received is None else sides.duplicates,
        missing=None if received is None else sides.missing,
        maybe_delivered=books.totals.get("outbox.maybe_delivered", 0),
        recounted=recounted,
        problems=problems[:_MOST_PROBLEMS],
    )


def _people(books: Books) -> Iterator[str]:
    gone = books.removed.get("instances", 0)
    if books.instances + gone != books.instances_ever:
        yield (
            f"1: {books.instances_ever} people were made; {books.instances} are there and {gone}"
            " were removed"
        )
    gone = sum(books.removed.get(f"accounts.{state}", 0) for state in accounts.STATES)
    there = sum(books.accounts.values())
    if there + gone > books.accounts_ever:
        yield (
            f"1: {books.accounts_ever} accounts were made at most; {there} are there and {gone}"
            " were removed"
        )


def _events(books: Books, accepted: Collection[tuple[str, str]]) -> Iterator[str]:
    gone = sum(books.removed.get(f"events.{state}", 0) for state in events.STATES)
    there = sum(books.events.values())
    ever = books.totals.get("events.accepted", 0)
    if there + gone != ever:
        yield f"1: {ever} events were accepted; {there} are there and {gone} were removed"
    yield from (f"1: two countings of {day} pass over the same event" for day in books.overlapping)
    yield from (f"1: {day} waits and is not noted so, or the reverse" for day in books.lost_days)
    lost = [pair for pair in accepted if pair not in books.event_ids]
    if len(lost) > gone:
        yield f"1: {len(lost) - gone} acknowledged events are gone, such as {lost[0]}"


def _rows(books: Books) -> Iterator[str]:
    gone = sum(books.removed.get(f"outbox.{state}", 0) for state in outbox.STATES)
    if len(books.rows) + gone != books.rows_ever:
        yield (
            f"3: {books.rows_ever} indicators were made; {len(books.rows)} are there and {gone}"
            " were removed"
        )
    if books.rows_counted != books.rows_ever:
        yield f"2: {books.rows_counted} indicators were counted, {books.rows_ever} were made"


def _counters(books: Books) -> Iterator[str]:
    rows = Counter(row.state for row in books.rows)
    counted = {f"outbox.{state}": rows[state] for state in outbox.STATES}
    counted |= {f"events.{state}": books.events.get(state, 0) for state in events.STATES}
    counted["instances"] = books.instances
    counted |= {f"accounts.{state}": books.accounts.get(state, 0) for state in accounts.STATES}
    for state in ("ready", *destinations.HELD):
        counted[f"destinations.{state}"] = books.destinations.get(state, 0)
    counted["outbox.maybe_delivered"] = sum(row.maybe_delivered for row in books.rows)
    for name, number in counted.items():
        if books.totals.get(name, 0) != number:
            yield f"6: the counter {name} says {books.totals.get(name, 0)}, there are {number}"
    yield from _attempts(books)


def _attempts(books: Books) -> Iterator[str]:
    ever, gone = books.totals.get("attempts", 0), len(books.rows) < books.rows_ever
    # Those of a row that was removed went with it.
    if books.attempts > ever or (books.attempts < ever and not gone):
        yield f"6: the counter attempts says {ever}, there are {books.attempts}"
    for row in books.unexplained:
        yield f"6: the attempts of row {row} do not say what became of it"


def _recount(
    stored: StoredCounting,
    definitions: Definitions,
    seals: Mapping[bytes, bytes],
    hmac_key: bytes,
    missing: list[str],
) -> Iterator[str]:
    """Say what is different now; `missing` gets the rows that are not there."""
    again = stored.recount(definitions)
    if len(again.rows) != stored.rows:
        yield f"2: {stored.place} made {stored.rows} indicators, counted again {len(again.rows)}"
    for row in again.rows:
        indicator = row.indicator
        key = row_key(
            stored.salt, indicator.measure_name, indicator.start_date, stored.n, row.ordinal
        )
        seal = seals.get(key)
        if seal is None:
            missing.append(f"2: {stored.place}: {indicator.measure_name} is not in the outbox")
        elif not hmac.compare_digest(seal, outbox.body_hmac(hmac_key, indicator.encode())):
            yield f"2: {stored.place}: {indicator.measure_name} is another one in the outbox"


class _Sides:
    """What was sent beside what was received, body by body, as multisets."""

    def __init__(self, books: Books, received: Sequence[bytes], hmac_key: bytes) -> None:
        self.received = Counter(outbox.body_hmac(hmac_key, body) for body in received)
        self.made = Counter(row.body_hmac for row in books.rows)
        self.sent = Counter(row.body_hmac for row in books.rows if row.state == "sent")
        self.maybe: Counter[bytes] = Counter()
        for row in books.rows:
            self.maybe[row.body_hmac] += row.maybe_delivered + (row.state == "in_flight")
        self._restored_on = books.restored_on
        # Nobody knows any more what the rows said that were deleted for their age.
        self.pruned = books.pruned + books.pruned_doubles

    @property
    def missing(self) -> int:
        """How many were sent and not received."""
        return (self.sent - self.received).total()

    @property
    def duplicates(self) -> int:
        """How many were received beyond those that were made."""
        return max((self.received - self.made).total() - self.pruned, 0)

    @property
    def _since(self) -> str:
        """Say what a backup that was put back cannot know."""
        if not self._restored_on:
            return ""
        day = day_text(self._restored_on)
        return f"; the backup put back on {day} does not know what was made after it"

    def problems(self) -> Iterator[str]:
        """Say what does not hold between the two sides."""
        if self.missing:
            yield f"4: {self.missing} indicators are sent here and not received there"
        strange = sum(n for body, n in self.received.items() if body not in self.made)
        if strange > self.pruned:
            yield (
                f"4: {strange} indicators were received there that were not made here{self._since}"
            )
        unseen = (self.received - self.sent - self.maybe).total() - strange
        if unseen > max(self.pruned - strange, 0):
            yield f"5: {unseen} indicators were received more often than may be"
