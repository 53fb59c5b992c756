"""What the stand-in has received: the latest requests, in order of arrival, and its counts."""

from __future__ import annotations

import hashlib
import json
import random
import threading
from collections import Counter, defaultdict, deque
from dataclasses import dataclass, field
from datetime import UTC, datetime
from itertools import takewhile
from typing import TYPE_CHECKING, NamedTuple

from ..exchange import NO_REQUEST
from .cells import Cells
from .record import ANY, Filter, Record

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from ..exchange import Request
    from .exchange import Ruling
    from .indicator import JsonObject
    from .nearest import Wanted

__all__ = ["Arrivals", "Received"]

MOST_RECORDS = 100_000
MOST_REFUSED = 2_000
MOST_CHARACTERS = 256 * 1024 * 1024
# What is counted by name is counted by so many names, each cut; the others share one.
MOST_NAMES = 20_000
LONGEST_NAME = 200
OTHERS = "(others)"


@dataclass(slots=True)
class Tally:
    """What was counted of one measure and start date, of one stack."""

    received: int = 0
    duplicates: int = 0
    unknown: int = 0


@dataclass(slots=True)
class Counts:
    """What was counted of all requests of one stack."""

    refused: int = 0
    too_fast: int = 0
    requests: int = 0
    invalid: int = 0
    leaks: int = 0
    faults: Counter[str] = field(default_factory=Counter)
    played: Counter[str] = field(default_factory=Counter)
    dropped: int = 0
    dropped_refused: int = 0


@dataclass(slots=True)
class Twins:
    """How many equal indicators are kept, and the number of the latest request with one."""

    count: int = 0
    latest_seq: int = 0


class Arrivals(NamedTuple):
    """What came after a place; ``run`` changes whenever all begins anew."""

    run: str
    records: list[Record]
    version: int


class Shelf:
    """Keeps the latest records, up to so many and so many characters."""

    def __init__(self, most_records: int, most_characters: int) -> None:
        self._most_records = most_records
        self._most_characters = most_characters
        self._characters = 0
        self.records: deque[Record] = deque()

    def add(self, record: Record) -> list[Record]:
        """Keep a record; give those that had to make room for it."""
        self.records.append(record)
        self._characters += record.size
        dropped = []
        while len(self.records) > self._most_records or self._characters > self._most_characters:
            dropped.append(self.records.popleft())
            self._characters -= dropped[-1].size
        return dropped

    def after(self, seq: int) -> list[Record]:
        """Give what came after this number, the latest first."""
        return list(takewhile(lambda record: record.seq > seq, reversed(self.records)))


class Received:
    """Keeps the latest requests, and counts everything; safe between threads.

    ``received`` + ``refused`` is always ``requests``, and ``too_fast`` a part of ``refused``.
    ``unknown`` counts indicators that are stored while the sender cannot know it. Older records
    make room for newer ones (``dropped``), and are then no longer recognised when they come again.
    Refused requests have room of their own (``dropped_refused``), so that a storm of them drives
    out no indicator. Beyond ``most_names`` measures, start dates and stacks the counts of new ones
    are put together under other names (``lumped``), and are in the sums of all alone. What
    two stacks send alike is no duplicate: those are two people. ``ever`` counts what is wrong with
    indicators (``dup``, ``invalid``, ``leak``) since the start, whatever is cleared; there an
    invalid one, or its envelope, counts even where a fault or the stack refuses it first.
    """

    def __init__(
        self,
        *,
        most_records: int = MOST_RECORDS,
        most_refused: int = MOST_REFUSED,
        most_characters: int = MOST_CHARACTERS,
        most_names: int = MOST_NAMES,
    ) -> None:
        self._limits = (most_records, most_refused, most_characters)
        self._most_names = most_names
        self._changed = threading.Condition()
        self._closed = False
        self._version = 0
        self.ever: Counter[str] = Counter()
        self._begin()

    def __repr__(self) -> str:
        return f"<Received {self.counts()}>"

    def _begin(self) -> None:
        most_records, most_refused, most_characters = self._limits
        self._run = f"{random.getrandbits(48):012x}"
        self._stored = Shelf(most_records, most_characters)
        self._refused = Shelf(most_refused, most_characters // 8)
        self._last_n = 0
        self._last_seq = 0
        self._lumped = 0
        self._twins: defaultdict[bytes, Twins] = defaultdict(Twins)
        self._tallies: defaultdict[Filter, Tally] = defaultdict(Tally)
        self._by_measure: Counter[str] = Counter()
        self._counts: defaultdict[str, Counts] = defaultdict(Counts)
        self._cells = Cells()

    def add(
        self, ruling: Ruling, request: Request = NO_REQUEST, fault: str | None = None
    ) -> Record:
        """Take note of a request, store its indicator if so ruled, and give what is kept of it.

        ``fault`` is the one that it met as it is written, with its value.
        """
        digest = _digest(ruling) if ruling.stored else b""
        with self._changed:
            self._count(ruling, fault)
            record = self._record(ruling, request, fault, digest)
            self._last_seq = record.seq
            if ruling.stored:
                self._store(record)
            else:
                for oldest in self._refused.add(record):
                    self._of_stack(oldest.subject.stack).dropped_refused += 1
            self._announce()
            return record

    def _of_stack(self, stack: str) -> Counts:
        name = _cut(stack)
        known = name in self._counts or len(self._counts) < self._most_names
        return self._counts[name if known else OTHERS]

    def _of_subject(self, subject: Filter) -> Tally:
        key = _cut_all(subject)
        known = key in self._tallies or len(self._tallies) < self._most_names
        return self._tallies[key if known else Filter(OTHERS, OTHERS, OTHERS)]

    def _count_measure(self, measure: str) -> None:
        name = _cut(measure)
        known = name in self._by_measure or len(self._by_measure) < self._most_names
        self._by_measure[name if known else OTHERS] += 1

    def _is_lumped(self, ruling: Ruling) -> bool:
        key = _cut_all(subject_of(ruling))
        full = len(self._tallies) >= self._most_names and key not in self._tallies
        return key.stack not in self._counts or (ruling.stored and full)

    def _count(self, ruling: Ruling, fault: str | None) -> None:
        counts = self._of_stack(ruling.stack)
        self._lumped += self._is_lumped(ruling)
        counts.requests += 1
        if fault is not None:
            counts.faults[_name(fault)] += 1
            counts.played[fault] += 1
        counts.too_fast += ruling.too_fast
        counts.refused += not ruling.stored
        invalid, leaky = ruling.verdict.startswith("invalid: "), bool(ruling.leaks)
        counts.invalid += invalid
        counts.leaks += leaky
        self.ever["invalid"] += ruling.flawed
        self.ever["leak"] += leaky

    def _record(self, ruling: Ruling, request: Request, fault: str | None, digest: bytes) -> Record:
        now = datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
        is_body = ruling.target == "native" and request is not NO_REQUEST
        twins = self._twins.get(digest)
        return Record(
            seq=self._last_seq + 1,
            n=self._last_n + 1 if ruling.stored else 0,
            time=now,
            method=request.method,
            path=request.path,
            head=request.head,
            raw=request.body,
            target=ruling.target,
            said=ruling.verdict,
            fault=None if fault is None else _name(fault),
            text=None if is_body else ruling.text,
            subject=subject_of(ruling),
            answer=ruling.answer,
            leaks=ruling.leaks,
            digest=digest,
            same_as=twins.latest_seq if twins else 0,
            share=self._cells.add(ruling) if ruling.stored else None,
        )

    def _store(self, record: Record) -> None:
        twins, tally = self._twins[record.digest], self._of_subject(record.subject)
        twins.count += 1
        twins.latest_seq = record.seq
        doubled = record.same_as > 0
        tally.duplicates += doubled
        self.ever["dup"] += doubled
        tally.received += 1
        self._last_n = record.n
        self._count_measure(record.subject.measure)
        for oldest in self._stored.add(record):
            self._forget(oldest)

    def _forget(self, dropped: Record) -> None:
        twins = self._twins[dropped.digest]
        twins.count -= 1
        if not twins.count:
            del self._twins[dropped.digest]
        if dropped.share is not None:
            self._cells.remove(dropped.share)
        self._of_stack(dropped.subject.stack).dropped += 1

    def add_unknown(self, ruling: Ruling) -> None:
        """Take note that the sender of a stored indicator cannot know that it is."""
        with self._changed:
            self._of_subject(subject_of(ruling)).unknown += 1
            self._announce()

    @property
    def closed(self) -> bool:
        """Whether it is over."""
        return self._closed

    def announce(self) -> None:
        """Tell those who follow that something else has changed."""
        with self._changed:
            self._announce()

    def _announce(self) -> None:
        self._version += 1
        self._changed.notify_all()

    def records(self, wanted: Filter = ANY) -> list[Record]:
        """Give the kept indicators, in order of arrival."""
        with self._changed:
            kept = list(self._stored.records)
        return [record for record in kept if wanted.admits(record.subject)]

    def latest(self, wanted: Filter = ANY) -> Record | None:
        """Give the latest kept indicator, if there is any."""
        with self._changed:
            latest = reversed(self._stored.records)
            return next((record for record in latest if wanted.admits(record.subject)), None)

    def requests(self, after: int = 0) -> list[Record]:
        """Give all kept requests after this number, stored or not, in order of arrival."""
        with self._changed:
            kept = self._stored.after(after) + self._refused.after(after)
        return sorted(kept, key=lambda record: record.seq)

    def arrivals(self, run: str, after: int) -> Arrivals:
        """Give what came after this place; all there is where the run is another one."""
        with self._changed:
            records = self.requests(after if run == self._run else 0)
            return Arrivals(self._run, records, self._version)

    def follow(self, version: int, timeout_s: float) -> bool:
        """Wait until something changes after this version; give whether it is still open."""
        with self._changed:
            self._changed.wait_for(lambda: self._closed or self._version != version, timeout_s)
            return not self._closed

    def cells(self, measure: str = "", start_date: str = "") -> list[JsonObject]:
        """Give what Metabase would show of the kept indicators, see ``Cells``."""
        with self._changed:
            return self._cells.as_json(measure, start_date)

    def counts(self, wanted: Filter = ANY) -> dict[str, object]:
        """Give all counts; a stack narrows all, a measure and a start date only three of them.

        Those are ``received``, ``duplicates`` and ``unknown``.
        """
        named = _cut_all(wanted)
        with self._changed:
            tallies = [tally for key, tally in self._tallies.items() if named.admits(key)]
            counts = [count for stack, count in self._counts.items() if named.stack in ("", stack)]
            return {
                "received": sum(tally.received for tally in tallies),
                "duplicates": sum(tally.duplicates for tally in tallies),
                "refused": sum(count.refused for count in counts),
                "too_fast": sum(count.too_fast for count in counts),
                "invalid": sum(count.invalid for count in counts),
                "leaks": sum(count.leaks for count in counts),
                "requests": sum(count.requests for count in counts),
                "faults": dict(sum((count.faults for count in counts), Counter())),
                "unknown": sum(tally.unknown for tally in tallies),
                "dropped": sum(count.dropped for count in counts),
                "dropped_refused": sum(count.dropped_refused for count in counts),
                "lumped": self._lumped,
            }

    def by_measure(self) -> Counter[str]:
        """Give how many indicators of each measure were stored."""
        with self._changed:
            return self._by_measure.copy()

    def faults_played(self) -> Counter[str]:
        """Give how often each fault was played, as it is written."""
        with self._changed:
            return sum((count.played for count in self._counts.values()), Counter[str]())

    def first(self, wanted: Wanted) -> Record | None:
        """Give the first kept indicator that is wanted, if there is any."""
        return next(self._met(wanted), None)

    def all_of(self, wanted: Wanted) -> list[Record]:
        """Give the kept indicators that are wanted, in order of arrival."""
        return list(self._met(wanted))

    def _met(self, wanted: Wanted) -> Iterator[Record]:
        admitted = self.records(Filter(wanted.measure, wanted.start_date, wanted.stack))
        return (record for record in admitted if wanted.is_met_by(record))

    def wait(self, n: int, wanted: Wanted, timeout_s: float) -> tuple[bool, int]:
        """Wait until n indicators that are wanted are stored; give whether, and how many are.

        Those that made room for others are counted by their measure alone.
        """
        count = self._counter(wanted)
        with self._changed:
            self._changed.wait_for(lambda: self._closed or count() >= n, timeout_s)
            stored = count()
            return stored >= n, stored

    def _counter(self, wanted: Wanted) -> Callable[[], int]:
        """Give what counts the wanted indicators, looking at each but once; needs the lock."""
        if not wanted.beyond_measure:
            name = _cut(wanted.measure)
            return lambda: self._by_measure[name] if name else self._last_n
        run, seen, found = "", 0, 0

        def count() -> int:
            nonlocal run, seen, found
            if run != self._run:
                run, seen, found = self._run, 0, 0
            found += sum(wanted.is_met_by(record) for record in self._stored.after(seen))
            seen = self._last_seq
            return found

        return count

    def clear(self) -> int:
        """Begin anew, with all counts at 0; give how many indicators were deleted."""
        with self._changed:
            deleted = len(self._stored.records)
            self._begin()
            self._announce()
            return deleted

    def close(self) -> None:
        """Let nobody wait any longer."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()


def subject_of(ruling: Ruling) -> Filter:
    """Give the measure, start date and stack of a ruling's indicator; empty what is no text."""
    indicator = ruling.indicator or {}
    measure, day = indicator.get("measureName"), indicator.get("startDate")
    return Filter(_text(measure), _text(day), ruling.stack)


def _name(fault: str) -> str:
    return fault.partition("=")[0]


def _cut(name: str) -> str:
    return name[:LONGEST_NAME]


def _cut_all(subject: Filter) -> Filter:
    return Filter(*(_cut(name) for name in subject))


def _text(found: object) -> str:
    return found if isinstance(found, str) else ""


def _digest(ruling: Ruling) -> bytes:
    """Give what is equal for equal JSON values of one stack, whatever the order of their keys.

    What is no JSON object is equal to its like by its text. A value of 1.0 is a value of 1, for the
    DACC stores the same number.
    """
    indicator = ruling.indicator
    value = indicator.get("value") if indicator else None
    if indicator and isinstance(value, float) and value.is_integer():
        indicator = {**indicator, "value": int(value)}
    try:
        canonical = (
            repr(ruling.text) if indicator is None else json.dumps(indicator, sort_keys=True)
        )
    except RecursionError:
        canonical = repr(ruling.text)
    whole = f"{ruling.stack}\n{canonical}".encode("utf-8", "backslashreplace")
    return hashlib.blake2b(whole, digest_size=16).digest()
