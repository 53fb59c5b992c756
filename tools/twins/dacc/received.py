"""What the stand-in has received: the stored indicators, in order of arrival, and its counts."""

from __future__ import annotations

import hashlib
import json
import threading
from collections import Counter, defaultdict, deque
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from .exchange import Ruling

__all__ = ["Filter", "Received", "Record"]

MOST_RECORDS = 200_000
MOST_CHARACTERS = 256 * 1024 * 1024


class Filter(NamedTuple):
    """Which indicators are meant, by fields as they were received and by stack; empty means any."""

    measure: str = ""
    start_date: str = ""
    stack: str = ""

    def admits(self, cell: Filter) -> bool:
        """Say whether indicators of this measure, start date and stack are meant."""
        pairs = zip(self, cell, strict=True)
        return all(wanted in ("", found) for wanted, found in pairs)


ANY = Filter()


@dataclass(frozen=True, slots=True)
class Record:
    """One indicator that the DACC would have stored."""

    n: int
    time: str
    target: str
    path: str
    verdict: str
    fault: str | None
    body: str
    cell: Filter
    digest: bytes

    def as_json(self) -> str:
        """Give the record as the API shows it, the indicator decoded beside its own text."""
        about = {
            "n": self.n,
            "time": self.time,
            "target": self.target,
            "path": self.path,
            "stack": self.cell.stack,
            "verdict": self.verdict,
            "fault": self.fault,
            "body": self.body,
        }
        return f'{json.dumps(about)[:-1]}, "indicator": {_standard_json(self.body)}}}'


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
    faults: Counter[str] = field(default_factory=Counter)
    dropped: int = 0


class Received:
    """Keeps the latest indicators, and counts everything; safe between threads.

    ``received`` + ``refused`` is always ``requests``, and ``too_fast`` a part of ``refused``.
    ``unknown`` counts indicators that are stored while the sender cannot know it. Older records
    make room for newer ones (``dropped``), and are then no longer recognised when they come again.
    What two stacks send alike is no duplicate: those are two people.
    """

    def __init__(
        self, *, most_records: int = MOST_RECORDS, most_characters: int = MOST_CHARACTERS
    ) -> None:
        self._most_records = most_records
        self._most_characters = most_characters
        self._changed = threading.Condition()
        self._closed = False
        self._begin()

    def __repr__(self) -> str:
        return f"<Received {self.counts()}>"

    def _begin(self) -> None:
        self._records: deque[Record] = deque()
        self._characters = 0
        self._last_n = 0
        self._seen: Counter[bytes] = Counter()
        self._tallies: defaultdict[Filter, Tally] = defaultdict(Tally)
        self._by_measure: Counter[str] = Counter()
        self._counts: defaultdict[str, Counts] = defaultdict(Counts)

    def add(self, ruling: Ruling, path: str, fault: str | None = None) -> str:
        """Take note of a request, store its indicator if so ruled, and give the final verdict."""
        digest = _digest(ruling) if ruling.stored else b""
        with self._changed:
            counts = self._counts[ruling.stack]
            counts.requests += 1
            if fault is not None:
                counts.faults[fault] += 1
            counts.too_fast += ruling.too_fast
            if not ruling.stored:
                counts.refused += 1
                return ruling.verdict
            record = self._record(ruling, path, fault, digest)
            self._store(record)
            self._changed.notify_all()
            return record.verdict

    def _record(self, ruling: Ruling, path: str, fault: str | None, digest: bytes) -> Record:
        cell = cell_of(ruling)
        now = datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
        return Record(
            self._last_n + 1,
            now,
            ruling.target,
            path,
            self._recognise(digest, cell, ruling.verdict),
            fault,
            ruling.text or "",
            cell,
            digest,
        )

    def _recognise(self, digest: bytes, cell: Filter, verdict: str) -> str:
        if not self._seen[digest]:
            return verdict
        self._tallies[cell].duplicates += 1
        return "dup" if verdict == "ok" else verdict

    def _store(self, record: Record) -> None:
        self._last_n = record.n
        self._records.append(record)
        self._seen[record.digest] += 1
        self._characters += _size(record)
        self._tallies[record.cell].received += 1
        self._by_measure[record.cell.measure] += 1
        while len(self._records) > self._most_records or self._characters > self._most_characters:
            self._drop_oldest()

    def _drop_oldest(self) -> None:
        oldest = self._records.popleft()
        self._characters -= _size(oldest)
        self._seen[oldest.digest] -= 1
        if not self._seen[oldest.digest]:
            del self._seen[oldest.digest]
        self._counts[oldest.cell.stack].dropped += 1

    def add_unknown(self, ruling: Ruling) -> None:
        """Take note that the sender of a stored indicator cannot know that it is."""
        with self._changed:
            self._tallies[cell_of(ruling)].unknown += 1

    def records(self, wanted: Filter = ANY) -> list[Record]:
        """Give the kept records, in order of arrival."""
        with self._changed:
            kept = list(self._records)
        return [record for record in kept if wanted.admits(record.cell)]

    def counts(self, wanted: Filter = ANY) -> dict[str, object]:
        """Give all counts; a stack narrows all, a measure and a start date only three of them.

        Those are ``received``, ``duplicates`` and ``unknown``.
        """
        with self._changed:
            tallies = [tally for cell, tally in self._tallies.items() if wanted.admits(cell)]
            counts = [count for stack, count in self._counts.items() if wanted.stack in ("", stack)]
            return {
                "received": sum(tally.received for tally in tallies),
                "duplicates": sum(tally.duplicates for tally in tallies),
                "refused": sum(count.refused for count in counts),
                "too_fast": sum(count.too_fast for count in counts),
                "requests": sum(count.requests for count in counts),
                "faults": dict(sum((count.faults for count in counts), Counter())),
                "unknown": sum(tally.unknown for tally in tallies),
                "dropped": sum(count.dropped for count in counts),
            }

    def wait(self, n: int, measure: str, timeout_s: float) -> tuple[bool, int]:
        """Wait until n indicators are stored; give whether they are, and how many."""
        with self._changed:
            self._changed.wait_for(lambda: self._closed or self._stored(measure) >= n, timeout_s)
            stored = self._stored(measure)
            return stored >= n, stored

    def _stored(self, measure: str) -> int:
        return self._by_measure[measure] if measure else self._last_n

    def clear(self) -> int:
        """Begin anew, with all counts at 0; give how many records were deleted."""
        with self._changed:
            deleted = len(self._records)
            self._begin()
            self._changed.notify_all()
            return deleted

    def close(self) -> None:
        """Let nobody wait any longer."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()


def cell_of(ruling: Ruling) -> Filter:
    """Give the measure, start date and stack of a ruling's indicator; empty what is no text."""
    indicator = ruling.indicator or {}
    measure, day = indicator.get("measureName"), indicator.get("startDate")
    return Filter(_text(measure), _text(day), ruling.stack)


def _text(found: object) -> str:
    return found if isinstance(found, str) else ""


def _digest(ruling: Ruling) -> bytes:
    """Give what is equal for equal JSON values of one stack, whatever the order of their keys."""
    try:
        canonical = json.dumps(ruling.indicator, sort_keys=True)
    except RecursionError:
        canonical = repr(ruling.text)
    whole = f"{ruling.stack}\n{canonical}".encode("utf-8", "backslashreplace")
    return hashlib.blake2b(whole, digest_size=16).digest()


def _size(record: Record) -> int:
    return len(record.body) + len(record.verdict) + len(record.path) + len(record.cell.stack)


def _standard_json(text: str) -> str:
    """Give an indicator as JSON that every reader takes: NaN and the like become text."""
    if text.isascii() and "NaN" not in text and "Infinity" not in text:
        return text
    try:
        return json.dumps(json.loads(text, parse_constant=str))
    except RecursionError:
        return "null"
