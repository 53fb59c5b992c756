"""What the sender has in hand: rows in flight, and what became of them until that is on disk."""

import sqlite3
from collections.abc import Iterable

import anyio
import msgspec

from ecolyo_worker.actors.context import Context
from ecolyo_worker.actors.decision import decide, stand
from ecolyo_worker.clock import utc_ms
from ecolyo_worker.crashpoints import reach
from ecolyo_worker.remote.outcome import Outcome, shorten
from ecolyo_worker.store import destinations, outbox
from ecolyo_worker.store.destinations import BLANK, HELD, Standing
from ecolyo_worker.store.draw import Claims
from ecolyo_worker.store.outbox import Claimed, Mark

__all__ = ["Hands"]


class Hands:
    """Rows in flight and how their destinations do.

    What became of a row is kept here until it is on disk, whatever the database does meanwhile:
    that a row was delivered is never forgotten while the process lives.
    """

    def __init__(self, context: Context, token_advice: str) -> None:
        """Nothing is in hand yet. `token_advice` is what is said where a token is refused."""
        self._context = context
        self._token_advice = token_advice
        self._settings = context.settings.dacc
        self._rows: dict[int, Claimed] = {}
        self._standings: dict[int, Standing] = {}
        self._changed: set[int] = set()
        self._troubles: dict[int, tuple[float, int]] = {}
        """Of each destination that is held back: since when, and how many attempts failed since."""
        self._marks: list[Mark] = []
        self._untried: list[int] = []
        self._interrupted: dict[int, int] = {}
        """When each attempt was cut off, by its row."""
        self._abandoned: set[int] = set()
        self._writing = anyio.Lock()
        self.written = anyio.Event()
        """Set when something got onto disk, and made anew then."""
        self.landed = anyio.Event()
        """Set while there is something to write."""
        self.is_urgent = False
        """Whether something landed that says which rows may leave next."""
        self.is_stuck = False
        """Whether the last writing failed: nothing else may leave before one does not."""

    def __repr__(self) -> str:
        return f"<Hands with {len(self._rows)} rows, {len(self._marks)} of them to be marked>"

    def __len__(self) -> int:
        return len(self._rows)

    @property
    def ids(self) -> set[int]:
        """The rows in hand."""
        return set(self._rows)

    @property
    def probing(self) -> set[int]:
        """The destinations to which a row is on its way to find out how they are."""
        return {row.destination for row in self._rows.values() if row.is_probe}

    def take(self, claims: Claims) -> None:
        """Take claimed rows."""
        self._rows.update((row.id, row) for row in claims.rows)
        for ident, standing in claims.standings.items():
            if ident not in self._changed:
                self._standings[ident] = standing

    def may_go(self, row: Claimed) -> bool:
        """Tell whether a row may leave still: its person has not left, nor is it held back."""
        if row.id in self._abandoned:
            return False
        return row.is_probe or self._standings[row.destination].state not in HELD

    def abandon(self, ids: Iterable[int]) -> None:
        """Begin no attempt of these rows any more, for their people left; keep no answer."""
        self._abandoned.update(ids)  # some may have been claimed just now, and come next
        for ident, standing in self._standings.items():
            if standing.reason is not None:
                self._standings[ident] = msgspec.structs.replace(standing, reason=BLANK)

    def land(self, row: Claimed, outcome: Outcome, mark: int) -> None:
        """Take note of an attempt's end; `mark` is what its secret was known by."""
        reach("sender.answered")
        if row.id in self._abandoned:  # what is said now may name who left
            outcome = msgspec.structs.replace(outcome, text="")
        now = utc_ms(self._context.clock.now())
        draw = self._context.random
        decision = decide(row, outcome, self._settings, now, draw, self._token_advice)
        before = self._standings[row.destination]
        after = stand(before, row, outcome, decision, mark, now)
        self._standings[row.destination] = after
        self._changed.add(row.destination)
        is_new = outcome.kind != "delivered" or before.state != "ready"
        shuffle = self._context.random.getrandbits(62) if is_new else 0
        said = None if outcome.kind == "delivered" else shorten(outcome.text.encode())
        self._marks.append(Mark(row.id, decision.settlement, now, shuffle, outcome.status, said))
        self.landed.set()
        if is_new:
            self.is_urgent = True
            self._log(row, outcome, before, after)

    def let_go(self, row: Claimed, *, maybe_delivered: bool) -> None:
        """Put a row back that was not tried, or whose attempt was interrupted."""
        if maybe_delivered:
            self._interrupted[row.id] = utc_ms(self._context.clock.now())
        else:
            self._untried.append(row.id)
        self.landed.set()

    def stir(self) -> None:
        """Let those who wait for something to be written look again."""
        self.written.set()
        self.written = anyio.Event()

    async def write(self) -> None:
        """Bring what is known now onto disk, in one transaction.

        Raises `StoreUnavailable`: then all is kept for the next time.
        """
        async with self._writing:
            if self.landed.is_set():
                await self._write()

    async def _write(self) -> None:
        """Write what there is.

        What is cut off here may be on disk already; written again, it changes nothing.
        """
        batch = (self._marks, self._untried, self._interrupted)
        changed = self._changed
        standings = {ident: self._standings[ident] for ident in changed}
        self._marks, self._untried, self._interrupted, self._changed = [], [], {}, set()
        self.landed, self.is_urgent = anyio.Event(), False
        try:
            with anyio.CancelScope(shield=True):
                await self._context.database.run(self._store, *batch, standings)
        except BaseException:
            marks, untried, interrupted = batch
            self._marks[:0], self._untried[:0] = marks, untried
            self._interrupted = interrupted | self._interrupted
            self._changed |= changed
            self.landed.set()
            self.is_urgent = self.is_stuck = True
            raise
        reach("sender.settled")
        self.is_stuck = False
        self._forget(mark.row for mark in batch[0])
        self._forget(batch[1])
        self._forget(batch[2])
        self.stir()

    def _store(
        self,
        connection: sqlite3.Connection,
        marks: list[Mark],
        untried: list[int],
        interrupted: dict[int, int],
        standings: dict[int, Standing],
    ) -> None:
        outbox.mark(connection, marks)
        outbox.release(connection, untried)
        outbox.interrupt(connection, interrupted, retrying=self._settings.retries_unknown)
        destinations.store(connection, standings)
        reach("sender.settling")

    def _forget(self, ids: Iterable[int]) -> None:
        for ident in ids:
            self._rows.pop(ident, None)
            self._abandoned.discard(ident)
        if not self._rows:
            self._standings = {ident: self._standings[ident] for ident in self._changed}

    def _log(self, row: Claimed, outcome: Outcome, before: Standing, after: Standing) -> None:
        logger = self._context.logger_about(row.instance_name)
        if outcome.kind != "delivered":
            answer = self._context.for_log(outcome.detail, row.instance_name)
            logger.info("indicator not delivered", row=row.id, outcome=outcome.kind, answer=answer)
        if before.state == "ready" and after.state in HELD:
            self._troubles[row.destination] = (self._context.clock.monotonic(), 0)
            reason = self._context.for_log(after.reason or "", row.instance_name)
            logger.warning("destination is held back", destination=row.destination, reason=reason)
        elif before.state in HELD and after.state == "ready":
            since, failed = self._troubles.pop(row.destination, (None, None))
            after_s = None if since is None else round(self._context.clock.monotonic() - since, 1)
            logger.info(
                "destination works again",
                destination=row.destination,
                after_s=after_s,
                failed=failed,
            )
        elif row.destination in self._troubles:
            since, failed = self._troubles[row.destination]
            self._troubles[row.destination] = (since, failed + 1)
