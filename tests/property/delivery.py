"""What becomes of rows by the rules, with dictionaries alone: the outbox, its DACC, the janitor."""

from collections import Counter, deque
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from ecolyo_worker.requests import OutboxDocument

__all__ = ["KEPT", "LOST", "TAKEN", "Delivery", "Row"]

HOUR = timedelta(hours=1)
KEPT = timedelta(days=30)
"""How long a row is kept that is finished."""
FAILURES = 5

TAKEN = {"accept-then-drop": "unknown", "accept-then-cant-connect": "unknown"}
"""Faults in which the DACC has the row, and the worker cannot know."""
LOST = {"drop": "unknown", "status=504": "unknown"}
"""Faults in which the worker cannot know either, and the DACC has nothing."""
OUTCOMES = {
    "ok": "delivered",
    "status=400": "rejected",
    "status=422": "rejected",
    "status=500": "failed",
    "status=503": "unavailable",
    "html-401": "unauthorized",
    "status=404": "misconfigured",
    "throttle=30": "throttled",
    **TAKEN,
    **LOST,
}
PAUSES = {"unauthorized", "misconfigured", "throttled"}
FINISHED = {"sent", "sent?", "discarded"}


@dataclass
class Row:
    """A row, as its history says."""

    owner: str | None
    line: str
    measure: str
    start_date: str
    touched: datetime
    """When it was made, and from then on when its last attempt ended."""
    state: str = "pending"
    maybe: int = 0
    tries: int = 0
    counted: int = 0
    waits: bool = False
    """Whether it is not due before some time has passed."""


@dataclass
class Delivery:
    """All rows by their id, how the DACC does, and what it got."""

    rows: dict[int, Row] = field(default_factory=dict)
    script: deque[str] = field(default_factory=deque)
    """The faults that the next requests meet."""
    received: Counter[str] = field(default_factory=Counter)
    held: str = ""
    """Why nothing leaves but a probe, if that is so; `asked` lets not even that."""
    failures: int = 0
    has_taken: bool = False
    """Whether the DACC has the rows of which the worker does not know."""
    _seen: datetime | None = None

    def unsent(self, owner: str) -> Counter[str]:
        """Give the texts of somebody's rows that have one still."""
        rows = self.rows.values()
        return Counter(row.line for row in rows if row.owner == owner)

    def later(self) -> None:
        """Let so much time pass that whatever waits is due, and may be asked for."""
        for row in self.rows.values():
            row.waits = False
        self.held = "paused" if self.held else ""

    def trouble(self, script: Collection[str]) -> None:
        """Let the next requests meet faults; those that came before are over."""
        self.script = deque(script)
        self.has_taken = bool(TAKEN.keys() & {*script})

    def send(
        self, agreed: Collection[str], found: Mapping[int, OutboxDocument], now: datetime
    ) -> Counter[str]:
        """Take over what became of each row in a drain, and give how many had which outcome.

        Which of them had which is chance. Raises `AssertionError` for what cannot be.
        """
        candidates = self._candidates(agreed)
        expected = self._outcomes(len(candidates))
        kinds: Counter[str] = Counter()
        for ident, row in self.rows.items():
            kind = _outcome(row, found[ident])
            if kind:
                assert ident in candidates, f"row {ident} was not to leave: {row}"
                kinds[kind] += 1
                self._land(row, kind, found[ident], now)
            elif row.state == "pending" and row.owner not in agreed:
                # It was looked at, and will be again: later, or when a drain is asked for.
                row.waits = row.tries > 0 and found[ident].next_try is not None
        assert kinds == Counter("paused" if kind in PAUSES else kind for kind in expected)
        return Counter(expected)

    def _candidates(self, agreed: Collection[str]) -> set[int]:
        return {
            ident
            for ident, row in self.rows.items()
            if row.state == "pending" and not row.waits and row.owner in agreed
        }

    def _outcomes(self, left: int) -> list[str]:
        """Give what a drain of so many rows comes to, one after the other."""
        outcomes: list[str] = []
        while left > len(outcomes) and self.held != "asked":
            outcomes.append(OUTCOMES[self.script.popleft() if self.script else "ok"])
            self._stand(outcomes[-1])
            if self.held:
                break
        return outcomes

    def _stand(self, kind: str) -> None:
        if kind in {"delivered", "rejected"}:
            self.held, self.failures = "", 0
        elif kind in PAUSES:
            self.held, self.failures = "asked" if kind == "throttled" else "paused", 0
        else:
            self.failures += 1
            if self.held or self.failures >= FAILURES:
                self.held = "open"

    def _land(self, row: Row, kind: str, found: OutboxDocument, now: datetime) -> None:
        if kind == "delivered" or (kind == "unknown" and self.has_taken):
            self.received[row.line] += 1
        row.state, row.touched = found.state, now
        row.maybe, row.tries = found.maybe_delivered, found.failed_tries
        row.counted, row.waits = found.counted_attempts, found.next_try is not None
        if kind == "delivered":
            row.owner = None

    def crash(
        self, found: Mapping[int, OutboxDocument], passed: Collection[str], now: datetime
    ) -> None:
        """Take over what a crash left, in the midst of a drain in which all was answered well.

        Of what was in flight nobody knows: it is sent again. Nothing is `sent` that was not.
        """
        self.received.update(passed)
        sent: Counter[str] = Counter()
        for ident, row in self.rows.items():
            if row.state == "pending" and found[ident].state == "sent":
                sent[row.line] += 1
                row.state, row.owner, row.touched = "sent", None, now
            elif found[ident].maybe_delivered != row.maybe:
                row.maybe, row.touched = row.maybe + 1, now
        assert sent <= Counter(passed)
        for ident, row in self.rows.items():
            assert (row.state, row.maybe) == (found[ident].state, found[ident].maybe_delivered)

    def recover(self, *, held: bool, failures: int) -> None:
        """Take over how the DACC is known to do after such a crash: as before, or well."""
        assert failures in (self.failures, 0)
        assert self.held or not held
        self.held, self.failures = self.held if held else "", failures

    def remove(self, owner: str) -> None:
        """Let somebody's unsent rows go, but for those that the DACC may have."""
        for ident, row in list(self.rows.items()):
            if row.owner == owner and row.maybe:
                row.state, row.owner = "sent?", None
            elif row.owner == owner:
                del self.rows[ident]

    def retry(self, ident: int | None) -> int:
        """Make a dead row wait again as if it was never tried, or all of them; give how many."""
        dead = [row for n, row in self.rows.items() if row.state == "dead" and ident in (n, None)]
        for row in dead:
            row.state, row.tries, row.counted, row.waits = "pending", 0, 0, False
        return len(dead)

    def discard(self, ident: int) -> None:
        """Give a dead row up."""
        self.rows[ident].state, self.rows[ident].owner = "discarded", None

    def prune(self, now: datetime, *, is_even: bool) -> None:
        """Let the janitor look at the clock, and delete what is old by his look before."""
        then = self._seen if is_even else None
        if then is not None and then <= now < then + timedelta(minutes=59):
            return
        self._seen = now
        if then is None or then > now:
            return
        first_day = (then - timedelta(days=31)).date().isoformat()
        for ident, row in list(self.rows.items()):
            is_kept = row.measure == "konnector-connected-daily" and row.start_date >= first_day
            if row.state in FINISHED and row.touched < then - KEPT and not is_kept:
                del self.rows[ident]


def _outcome(row: Row, found: OutboxDocument) -> str | None:
    """Tell what an attempt came to, by what is different; None if there was none."""
    if row.state != "pending" or found.failed_tries == row.tries:
        return "delivered" if row.state != found.state == "sent" else None
    if found.state == "dead":
        return "rejected"
    if found.maybe_delivered > row.maybe:
        return "unknown"
    if found.counted_attempts > row.counted:
        return "failed"
    return "unavailable" if found.next_try is not None else "paused"
