"""The sender: draws due rows at random and delivers them, evenly spaced, over a few lanes."""

import hmac
import sqlite3
from collections import deque
from collections.abc import Iterable
from datetime import timedelta
from functools import partial
from typing import TYPE_CHECKING

import anyio
from msgspec import Struct

from ecolyo_worker.actors.context import Context
from ecolyo_worker.actors.decision import decide
from ecolyo_worker.clock import (
    Clock,
    civil_from_instant,
    day_of,
    day_text,
    instant_text,
    utc_ms,
)
from ecolyo_worker.errors import IndicatorRefused
from ecolyo_worker.facts import acceptance
from ecolyo_worker.remote.dacc import DaccLane, Target, open_lane
from ecolyo_worker.remote.outcome import Outcome
from ecolyo_worker.settings import Dacc
from ecolyo_worker.store import destinations, instances, outbox, totals

if TYPE_CHECKING:
    pass

__all__ = ["DESTINATION", "RateGrid", "SendReport", "Sender"]

DESTINATION = "native"
"""The name of the one destination that the native target has."""

_PATIENCE_S = 60.0
_SECRET_LOOK_S = 10.0
# A row exists only if a consent held when it was made; what the host said since decides.
_ALWAYS = 2**62


class SendReport(Struct, frozen=True):
    """What a drain came to: attempts by outcome, and how many rows wait still."""

    attempts: int
    outcomes: dict[str, int]
    waiting: int
    reason: str | None
    """Why the rest waits, in words."""


class RateGrid:
    """An even grid of starts: never two closer together than 1/rate, so never a burst."""

    def __init__(self, rate: float, clock: Clock) -> None:
        """`rate` is starts per second."""
        self._interval = 1 / rate
        self._clock = clock
        self._next = clock.monotonic()

    async def wait(self, before: float = float("inf")) -> bool:
        """Wait for the next free place on the grid; a place that was missed is lost.

        False, and no place is taken, if it lies at `before` (of the monotonic clock) or later.
        """
        now = self._clock.monotonic()
        start = max(self._next, now)
        if start >= before:
            return False
        self._next = start + self._interval
        if start > now:
            await self._clock.sleep(start - now)
        return True


class Sender:
    """Drains the outbox. What is in its hands is `in_flight` in the database."""

    def __init__(self, context: Context, target: Target) -> None:
        """Nothing is sent before `drain`."""
        self._context = context
        self._clock = context.clock
        self._target = target
        self._grid = RateGrid(target.settings.rate, context.clock)
        self._drawn: deque[outbox.Claimed] = deque()
        self._drawing = anyio.Lock()
        self._probing = False
        self._deadline = float("inf")
        self._pass_began = 0
        self._outcomes: dict[str, int] = {}
        self._abandoned: set[int] = set()

    async def drain(
        self, *, until_empty: bool = False, timeout_s: float | None = None
    ) -> SendReport:
        """Send what is due now; with `until_empty`, also what becomes due.

        No attempt begins after `timeout_s`. Without one, waiting ends where nothing was delivered
        for a minute, or will not be. A destination that is held back gets one try at once.
        """
        self._outcomes = {}
        begin = self._clock.monotonic()
        self._deadline = begin + (float("inf") if timeout_s is None else timeout_s)
        await self._context.database.run(destinations.allow_probes)
        while True:
            delivered = self._outcomes.get("delivered", 0)
            await self._pass()
            if self._outcomes.get("delivered", 0) > delivered:
                begin = self._clock.monotonic()
            patience = begin + _PATIENCE_S if timeout_s is None else self._deadline
            wait = await self._wait_s()
            if not until_empty or wait is None or self._clock.monotonic() + wait >= patience:
                return await self._report()
            # A token that changes ends a pause at once.
            await self._clock.sleep(min(wait, _SECRET_LOOK_S))

    def abandon(self, ids: Iterable[int]) -> None:
        """Begin no attempt of these rows any more: their people withdrew."""
        self._abandoned.update(ids)

    async def _pass(self) -> None:
        """Send the rows that are due now; one that fails is not drawn again in this pass."""
        if self._target.url is None:
            return
        self._pass_began = utc_ms(self._clock.now())
        try:
            while await self._draw():
                async with anyio.create_task_group() as lanes:
                    for _ in range(self._target.settings.concurrency):
                        lanes.start_soon(self._lane)
        finally:
            # Rows that were drawn and not tried wait again, as if nothing had been.
            untried = [row.id for row in self._drawn]
            self._drawn.clear()
            await self._release(untried, maybe_delivered=False)

    async def _lane(self) -> None:
        async with open_lane(self._target, self._clock) as lane:
            while (row := await self._take()) is not None:
                await self._send(lane, row)

    async def _take(self) -> outbox.Claimed | None:
        async with self._drawing:
            # A probe goes alone; whether the others follow is seen when it is back.
            if not self._drawn and not self._probing:
                await self._draw()
        return self._drawn.popleft() if self._drawn else None

    async def _draw(self) -> bool:
        """Claim as many rows as there are lanes; False if none can be claimed."""
        more = True
        while more and self._clock.monotonic() < self._deadline:
            now, secret_time = utc_ms(self._clock.now()), self._target.token.time
            with anyio.CancelScope(shield=True):
                claimed, more = await self._context.database.run(self._claim, now, secret_time)
            self._drawn.extend(claimed)
            if claimed:
                return True
        return False

    def _claim(
        self, connection: sqlite3.Connection, now: int, secret_time: int | None
    ) -> tuple[list[outbox.Claimed], bool]:
        settings = self._target.settings
        latest = now + _longest_wait(settings)
        destination = destinations.identify(connection, DESTINATION)
        self._probing = destination.state == "paused"
        if self._probing:
            is_held = now < destination.not_before <= latest
            if is_held and secret_time == destination.secret_time:
                return [], False
            retry = now + settings.auth_retry // timedelta(milliseconds=1)
            destinations.hold(connection, destination.id, retry, secret_time)
        limit = 1 if self._probing else settings.concurrency
        draw = outbox.Draw(destination.id, min(now, self._pass_began), latest)
        return outbox.claim(connection, draw, limit, partial(self._judge, connection, now))

    def _judge(self, connection: sqlite3.Connection, now: int, row: outbox.Drawn) -> outbox.Verdict:
        """Look at a row once more before it leaves: it must be whole, allowed, and agreed to."""
        body = row.claimed.body
        if not hmac.compare_digest(row.body_hmac, outbox.body_hmac(self._context.hmac_key, body)):
            return outbox.Verdict("dead", "the stored text is damaged: its HMAC does not fit")
        try:
            self._context.rules.definitions.check_body(body)
        except IndicatorRefused as error:
            return outbox.Verdict("dead", f"no longer in the definitions: {error}")
        consents, withdrawn = instances.consents_of(connection, row.instance)
        due = now + self._target.settings.backoff_cap // timedelta(milliseconds=1)
        if (
            acceptance(
                consents, withdrawn, _ALWAYS, self._context.settings.aggregation.consent_version
            )
            is None
        ):
            return outbox.Verdict("pending", "it waits: no consent is in force any more", due)
        if not self._target.settings.is_loopback and row.start_date >= self._today():
            # It was made by a trial run as of a time to come, for a DACC on this machine.
            return outbox.Verdict("pending", "it waits: its day has not ended yet", due)
        return outbox.Verdict("in_flight")

    def _today(self) -> str:
        return day_text(
            day_of(civil_from_instant(self._clock.now(), self._context.settings.civil_zone))
        )

    async def _send(self, lane: DaccLane, row: outbox.Claimed) -> None:
        secret_time = self._target.token.time
        lane.was_written = False
        try:
            may_begin = await self._grid.wait(self._deadline)
            if not may_begin:
                self._deadline = self._clock.monotonic()  # no later place is earlier
            if not may_begin or row.id in self._abandoned:
                await self._release([row.id], maybe_delivered=False)
                return
            outcome = await lane.post(row.body)
        except BaseException:
            # Interrupted is not failed: the attempt is not counted.
            await self._release([row.id], maybe_delivered=lane.was_written)
            raise
        await self._settle(row, outcome, secret_time)

    async def _release(self, ids: list[int], *, maybe_delivered: bool) -> None:
        retrying = self._target.settings.on_unknown == "retry"
        with anyio.CancelScope(shield=True):
            await self._context.database.run(
                outbox.release, ids, maybe_delivered=maybe_delivered, retrying=retrying
            )
        self._abandoned.difference_update(ids)

    async def _settle(self, row: outbox.Claimed, outcome: Outcome, secret_time: int | None) -> None:
        now = utc_ms(self._clock.now())
        decision = decide(row, outcome, self._target.settings, now, self._context.random)
        shuffle = self._context.random.getrandbits(62)

        def settle(connection: sqlite3.Connection) -> None:
            outbox.settle(connection, row, decision.settlement, now, shuffle)
            if outcome.kind == "delivered":
                destinations.mark_delivered(connection, row.destination, now)
            elif outcome.kind == "rejected":
                destinations.resume(connection, row.destination)  # the token was taken
            elif decision.pause_until is not None:
                until, reason = decision.pause_until, decision.reason or ""
                destinations.pause(connection, row.destination, until, reason, secret_time)
            else:
                destinations.note_failure(connection, row.destination, outcome.detail)

        with anyio.CancelScope(shield=True):
            await self._context.database.run(settle)
        self._abandoned.discard(row.id)
        self._outcomes[outcome.kind] = self._outcomes.get(outcome.kind, 0) + 1
        if outcome.kind != "delivered":
            self._context.logger.info(
                "indicator not delivered", row=row.id, outcome=outcome.kind, answer=outcome.detail
            )

    async def _wait_s(self) -> float | None:
        """Give how long to wait for the next row that may be sent; None if none will be."""
        waiting = await self._context.database.read(_look)
        if waiting.due is None or self._target.url is None:
            return None
        return max(waiting.due - utc_ms(self._clock.now()), 1) / 1000

    async def _report(self) -> SendReport:
        waiting = await self._context.database.read(_look)
        reason = waiting.reason or f"the next try is due {instant_text(waiting.due or 0)}"
        if self._target.url is None:
            reason = "dacc.url is not set: indicators wait until it is"
        return SendReport(
            attempts=sum(self._outcomes.values()),
            outcomes=dict(sorted(self._outcomes.items())),
            waiting=waiting.rows,
            reason=reason if waiting.rows else None,
        )


def _longest_wait(settings: Dacc) -> int:
    """Give how far ahead a due time can lie, in ms; one beyond is a clock's that was wrong."""
    waits = (settings.backoff_cap, settings.unknown_retry, settings.auth_retry, timedelta(hours=1))
    return max(waits) // timedelta(milliseconds=1)


class _Waiting(Struct, frozen=True):
    """How many rows wait, when the next of them may go, and why not earlier."""

    rows: int
    due: int | None
    reason: str | None


def _look(connection: sqlite3.Connection) -> _Waiting:
    rows = totals.read(connection).get("outbox.pending", 0)
    destination = destinations.get(connection, DESTINATION)
    due = None if destination is None else outbox.next_due(connection, destination.id)
    if destination is None or due is None:
        return _Waiting(rows, None, None)
    reason = destination.reason
    if destination.state == "ready" and reason:
        reason = f"the last attempt failed ({reason}); the next try is due {instant_text(due)}"
    return _Waiting(rows, max(due, destination.not_before), reason)
