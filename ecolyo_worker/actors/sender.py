"""The sender: draws due rows at random and delivers them, evenly spaced, over a few lanes."""

import random
import sqlite3
from collections import deque
from datetime import timedelta
from typing import TYPE_CHECKING

import anyio
from msgspec import Struct

from ecolyo_worker.actors.decision import decide
from ecolyo_worker.clock import Clock, utc_ms
from ecolyo_worker.errors import IndicatorRefused
from ecolyo_worker.indicators import Definitions
from ecolyo_worker.remote.dacc import DaccLane, Target, open_lane
from ecolyo_worker.remote.outcome import Outcome
from ecolyo_worker.store import destinations, outbox, totals
from ecolyo_worker.store.database import Database

if TYPE_CHECKING:
    from structlog.typing import FilteringBoundLogger

__all__ = ["DESTINATION", "RateGrid", "SendReport", "Sender"]

DESTINATION = "native"
"""The name of the one destination that the native target has."""

_PATIENCE_S = 60.0


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

    async def wait(self) -> None:
        """Wait for the next free place on the grid; a place that was missed is lost."""
        now = self._clock.monotonic()
        start = max(self._next, now)
        self._next = start + self._interval
        if start > now:
            await self._clock.sleep(start - now)


class Sender:
    """Drains the outbox. What is in its hands is `in_flight` in the database."""

    def __init__(
        self,
        database: Database,
        target: Target,
        definitions: Definitions,
        *,
        clock: Clock,
        draw: random.Random,
        hmac_key: bytes,
        logger: "FilteringBoundLogger",
    ) -> None:
        """Nothing is sent before `drain`."""
        self._database = database
        self._target = target
        self._definitions = definitions
        self._clock = clock
        self._random = draw
        self._hmac_key = hmac_key
        self._logger = logger
        self._grid = RateGrid(target.settings.rate, clock)
        self._drawn: deque[outbox.Claimed] = deque()
        self._drawing = anyio.Lock()
        self._probing = False
        self._deadline = float("inf")
        self._outcomes: dict[str, int] = {}

    async def drain(
        self, *, until_empty: bool = False, timeout_s: float | None = None
    ) -> SendReport:
        """Send what is due now; with `until_empty`, also what becomes due.

        No attempt begins after `timeout_s`. Without one, waiting ends where nothing is due within
        a minute. A destination that is held back gets one try at once.
        """
        self._outcomes = {}
        begin = self._clock.monotonic()
        self._deadline = begin + (float("inf") if timeout_s is None else timeout_s)
        await self._database.run(destinations.allow_probes)
        while True:
            await self._pass()
            wait = await self._wait_s()
            left = self._deadline - self._clock.monotonic()
            if not until_empty or wait is None or wait > (left if timeout_s else _PATIENCE_S):
                return await self._report()
            await self._clock.sleep(wait)

    async def _pass(self) -> None:
        """Send rows until none can be drawn."""
        if self._target.url is None:
            return
        try:
            while await self._draw():
                async with anyio.create_task_group() as lanes:
                    for _ in range(self._target.settings.concurrency):
                        lanes.start_soon(self._lane)
        finally:
            # Rows that were drawn and not tried wait again, as if nothing had been.
            untried = [row.id for row in self._drawn]
            self._drawn.clear()
            with anyio.CancelScope(shield=True):
                await self._database.run(outbox.release, untried, maybe_delivered=False)

    async def _lane(self) -> None:
        async with open_lane(self._target, self._clock) as lane:
            while (row := await self._take()) is not None:
                await self._send(lane, row)

    async def _take(self) -> outbox.Claimed | None:
        async with self._drawing:
            # A probe goes alone; whether the others follow is seen when it is back.
            if not self._drawn and not self._probing:
                await self._draw()
        if self._clock.monotonic() >= self._deadline or not self._drawn:
            return None
        return self._drawn.popleft()

    async def _draw(self) -> bool:
        """Claim as many rows as there are lanes; False if none can be claimed."""
        if self._clock.monotonic() >= self._deadline:
            return False
        now, secret_time = utc_ms(self._clock.now()), self._target.token.time
        with anyio.CancelScope(shield=True):
            claimed = await self._database.run(self._claim, now, secret_time)
        self._drawn.extend(claimed)
        return bool(claimed)

    def _claim(
        self, connection: sqlite3.Connection, now: int, secret_time: int | None
    ) -> list[outbox.Claimed]:
        settings = self._target.settings
        destination = destinations.identify(connection, DESTINATION)
        self._probing = destination.state == "paused"
        if self._probing:
            if now < destination.not_before and secret_time == destination.secret_time:
                return []
            retry = now + settings.auth_retry // timedelta(milliseconds=1)
            destinations.hold(connection, destination.id, retry, secret_time)
        limit = 1 if self._probing else settings.concurrency
        return outbox.claim(connection, destination.id, now, limit, self._hmac_key, self._refusal)

    def _refusal(self, body: bytes) -> str | None:
        try:
            self._definitions.check_body(body)
        except IndicatorRefused as error:
            return str(error)
        return None

    async def _send(self, lane: DaccLane, row: outbox.Claimed) -> None:
        secret_time = self._target.token.time
        lane.was_written = False
        try:
            await self._grid.wait()
            outcome = await lane.post(row.body)
        except BaseException:
            # Interrupted is not failed: the attempt is not counted.
            with anyio.CancelScope(shield=True):
                await self._database.run(outbox.release, [row.id], maybe_delivered=lane.was_written)
            raise
        await self._settle(row, outcome, secret_time)

    async def _settle(self, row: outbox.Claimed, outcome: Outcome, secret_time: int | None) -> None:
        now = utc_ms(self._clock.now())
        decision = decide(row, outcome, self._target.settings, now, self._random)
        shuffle = self._random.getrandbits(62)

        def settle(connection: sqlite3.Connection) -> None:
            outbox.settle(connection, row, decision.settlement, now, shuffle)
            if outcome.kind == "delivered":
                destinations.mark_delivered(connection, row.destination, now)
            elif decision.pause_until is not None:
                until, reason = decision.pause_until, decision.reason or ""
                destinations.pause(connection, row.destination, until, reason, secret_time)

        with anyio.CancelScope(shield=True):
            await self._database.run(settle)
        self._outcomes[outcome.kind] = self._outcomes.get(outcome.kind, 0) + 1
        if outcome.kind != "delivered":
            self._logger.info(
                "indicator not delivered", row=row.id, outcome=outcome.kind, answer=outcome.detail
            )

    async def _wait_s(self) -> float | None:
        """Give how long to wait for the next row that may be sent; None if none will be."""
        waiting = await self._database.read(_look)
        if waiting.due is None or self._target.url is None:
            return None
        return max(waiting.due - utc_ms(self._clock.now()), 1) / 1000

    async def _report(self) -> SendReport:
        waiting = await self._database.read(_look)
        reason = waiting.reason or "they wait for their next try"
        if self._target.url is None:
            reason = "dacc.url is not set: indicators wait until it is"
        return SendReport(
            attempts=sum(self._outcomes.values()),
            outcomes=dict(sorted(self._outcomes.items())),
            waiting=waiting.rows,
            reason=reason if waiting.rows else None,
        )


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
    return _Waiting(rows, max(due, destination.not_before), destination.reason)
