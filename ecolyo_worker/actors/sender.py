"""The sender: delivers what is due, by itself or when it is asked to."""

import sqlite3
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from datetime import timedelta
from functools import partial

import anyio
from anyio.abc import TaskStatus
from msgspec import Struct

from ecolyo_worker.actors.actor import SECRET_LOOK_S, Actor, Channel
from ecolyo_worker.actors.context import Context
from ecolyo_worker.actors.gate import Gate
from ecolyo_worker.actors.hands import Hands
from ecolyo_worker.actors.lanes import Pass
from ecolyo_worker.actors.pacing import RateGrid
from ecolyo_worker.clock import instant_text, utc_ms
from ecolyo_worker.crashpoints import reach
from ecolyo_worker.errors import StoreUnavailable
from ecolyo_worker.remote.http import Clients
from ecolyo_worker.remote.target import Target
from ecolyo_worker.settings import Dacc
from ecolyo_worker.store import destinations, draw, outbox, totals
from ecolyo_worker.store.draw import Claims, Draw

__all__ = ["SendReport", "Sender"]

_PATIENCE_S = 60.0
_SECRET_PATIENCE_S = 2.0
# So many secrets are looked at in one go; the others come next.
_MOST_SECRETS = 200
# So many rows are made due in one go: more would hold everything up.
_MOST_HASTENED = 10_000
_FIRST_RETRY_S = 0.5
# What is due by then is due now.
_NOW_S = 0.001


class SendReport(Struct, frozen=True):
    """What a drain came to: attempts by outcome, and how many rows wait still."""

    attempts: int
    outcomes: dict[str, int]
    waiting: int
    reason: str | None
    """Why the rest waits, in words."""


class Sender(Actor):
    """Drains the outbox. What is in its hands is `in_flight` in the database.

    `run` sends what becomes due; `drain` does so now, whether or not it runs. Only one pass is
    under way at a time, and one of `run` ends early for a `drain`.
    """

    name = "sender"

    def __init__(
        self,
        context: Context,
        target: Target,
        clients: Clients,
        under_way: Callable[[], frozenset[int]] = frozenset,
    ) -> None:
        """Nothing is sent before `run` or `drain`.

        `under_way` gives the runs that are: what one counts first must not leave first.
        """
        super().__init__(context.clock)
        self._context = context
        self._target = target
        self._clients = clients
        self._under_way = under_way
        self._awaited: frozenset[int] = frozenset()
        """The runs to wait for: those that were under way when the waiting began."""
        self._grid = RateGrid(target.settings.rate, context.clock, self.sign)
        self._gate = Gate(context, is_local=target.is_local)
        self._hands = Hands(context, target.token_advice)
        self._turn = anyio.Lock()
        self._stops = Channel()
        self._drains = 0
        self._idle = anyio.Event()
        self._pass: Pass | None = None
        self._claims = 0
        self._may_have_strays = False
        self._secrets_seen = (float("-inf"), 0)
        """When secrets were looked at, and the last destination that was."""

    def __repr__(self) -> str:
        return f"<Sender, {self._hands!r}, {self._pass!r}>"

    async def run(self, *, task_status: TaskStatus[None] = anyio.TASK_STATUS_IGNORED) -> None:
        """Send what is due, and rest until something is. Without a target it only rests."""
        task_status.started()
        delay = _FIRST_RETRY_S
        while not self.stopping:
            wait: float | None = None
            try:
                if self._may_send and not self._drains:
                    wait = await self._round()
                delay = _FIRST_RETRY_S
            except StoreUnavailable as error:
                self._context.logger.warning("nothing can be sent now", error=str(error))
                wait, delay = delay, min(2 * delay, self.LOOK_S)
            await self.rest(wait)
        await self._write_the_rest()
        if self._drains:  # it still has to say what it came to
            await self._idle.wait()

    def stop(self) -> None:
        """Finish the attempts under way, put back what was not tried, and return."""
        super().stop()
        self._stops.close()
        if self._pass is not None:
            self._pass.end()

    async def drain(
        self, *, until_empty: bool = False, timeout_s: float | None = None
    ) -> SendReport:
        """Send what is due now, without the random delay; with `until_empty`, all that becomes due.

        No attempt begins after `timeout_s`. Without one, waiting ends where nothing was delivered
        for a minute, or will not be. A destination that is held back gets one try at once.
        """
        outcomes: Counter[str] = Counter()
        begin = self._clock.monotonic()
        deadline = begin + (float("inf") if timeout_s is None else timeout_s)
        if not self._drains:
            self._idle = anyio.Event()
        self._drains += 1
        try:
            if self._pass is not None and self._drains == 1:
                self._pass.end()
            await self._allow_all()
            while True:
                found = await self._drain_once(deadline)
                if found is None:
                    return await self._report(outcomes)
                outcomes.update(found)
                if found["delivered"]:
                    begin = self._clock.monotonic()
                patience = begin + _PATIENCE_S if timeout_s is None else deadline
                wait, look = await self._wait_s()
                over = wait is None or self._clock.monotonic() + wait >= patience
                if not until_empty or over or self.stopping:
                    return await self._report(outcomes)
                await self._stops.wait(self._clock, look)
        finally:
            self._drains -= 1
            if not self._drains:
                self._idle.set()
            self.wake()

    async def _allow_all(self) -> None:
        """Let what waits for its moment go at once, and one row of what is held back."""
        database = self._context.database
        await database.run(destinations.allow_probes)
        while await database.run(draw.hasten, _MOST_HASTENED):
            pass

    async def _drain_once(self, deadline: float) -> Counter[str] | None:
        """Make a pass when no other is under way; None if its time is over before."""
        if not await self._take_turn(deadline):
            return None
        try:
            if not self._target.is_set:
                return Counter()
            await self._prepare()
            return await self._send(deadline, draining=True)
        finally:
            self._turn.release()

    async def _take_turn(self, deadline: float) -> bool:
        """Wait until no other pass is under way; False at the deadline, or when it is stopped."""
        patience = deadline - self._clock.monotonic()
        if self.stopping or patience < 0:
            return False
        with anyio.move_on_after(patience if patience < float("inf") else None) as waiting:
            await self._turn.acquire()
        if waiting.cancelled_caught:
            return False
        if self.stopping:
            self._turn.release()
        return not self.stopping

    def wake(self) -> None:
        """Let it look at once, also where an attempt that is under way hangs."""
        super().wake()
        if self._pass is not None:
            self._pass.look()

    def abandon(self, ids: Iterable[int]) -> None:
        """Begin no attempt of these rows any more: their people withdrew."""
        self._hands.abandon(ids)

    @property
    def _may_send(self) -> bool:
        return self._target.is_set and self._context.settings.mode == "on"

    def _is_held(self) -> bool:
        """Tell whether to wait for runs. Those that began meanwhile are not waited for as well.

        Else runs that follow each other closely would hold everything up for good.
        """
        under_way = self._under_way()
        self._awaited = self._awaited or under_way
        return bool(self._awaited & under_way)

    async def _round(self) -> float:
        """Send what is due, and give how long there is nothing to do, in seconds."""
        async with self._turn:
            if self._drains or self.stopping or self._is_held():
                return self.LOOK_S
            await self._prepare()
            wait, look = await self._wait_s()
            # To look costs less than a pass, which opens lanes and writes.
            if not self._hands and (wait is None or wait > _NOW_S):
                return look
            await self._send(float("inf"), draining=False)
        return (await self._wait_s())[1]

    async def _prepare(self) -> None:
        """Let go what nobody has in hand, and what waits for a secret that was put right."""
        if self._may_have_strays:
            await self._context.database.run(outbox.release_strays, self._hands.ids)
            self._may_have_strays = False
        await self._look_at_secrets()

    async def _send(self, deadline: float, *, draining: bool) -> Counter[str]:
        """Make one pass; a row that fails in a drain's is not drawn again in it."""
        began = utc_ms(self._clock.now())
        self._pass = Pass(
            hands=self._hands,
            claim=lambda limit: self._claim(limit, began if draining else None),
            target=self._target,
            clients=self._clients,
            grid=self._grid,
            clock=self._clock,
            deadline=deadline,
            patience_s=_PATIENCE_S if draining else float("inf"),
            sign=self.sign,
        )
        try:
            await self._pass.run()
            if self._pass.outcomes["delivered"]:
                self.succeeded()
            return self._pass.outcomes
        finally:
            self._pass = None

    async def _claim(self, limit: int, due: int | None) -> Claims:
        """Claim rows; unless `due` is given, all that are due now, which takes another look."""
        if due is None and self._clock.monotonic() - self._secrets_seen[0] >= SECRET_LOOK_S:
            await self._look_at_secrets()
        now = utc_ms(self._clock.now())
        self._claims += 1
        wanted = Draw(
            now=now,
            due=now if due is None else min(now, due),
            latest=now + _longest_wait(self._target.settings),
            limit=limit,
            probing=self._hands.probing,
            probes_first=self._claims % 2 == 0,
        )
        # If this is cut off, nobody knows whether rows are in flight, and which.
        self._may_have_strays = True
        with anyio.CancelScope(shield=True):
            claims = await self._context.database.run(self._draw, wanted, due is None)
        self._may_have_strays = False
        if claims.rows:
            reach("sender.claimed")
        return claims

    def _draw(
        self,
        connection: sqlite3.Connection,
        wanted: Draw,
        by_itself: bool,  # noqa: FBT001
    ) -> Claims:
        # Told here, as a run or a drain may have begun while this waited for its turn.
        if by_itself and (self._drains or self._is_held()):
            return Claims([], {}, more=False)
        self._awaited = frozenset()
        claims = draw.claim(connection, wanted, partial(self._gate.judge, connection, wanted.now))
        reach("sender.claiming")
        return claims

    async def _look_at_secrets(self) -> None:
        """Let one row be tried of each destination whose secret is another one meanwhile."""
        now = utc_ms(self._clock.now())
        _, after = self._secrets_seen
        watched = await self._context.database.read(destinations.watched, now, after, _MOST_SECRETS)
        changed = await self._changed(watched)
        if changed:
            await self._context.database.run(destinations.allow_probes, changed)
        last = watched[-1].id if len(watched) == _MOST_SECRETS else 0
        self._secrets_seen = (self._clock.monotonic(), last)

    async def _changed(self, watched: Sequence[destinations.Watched]) -> list[int]:
        """Give those whose secret is another one; a host that does not answer is asked later."""
        changed: list[int] = []

        async def look(one: destinations.Watched) -> None:
            if await self._target.mark(one.instance) != one.secret_mark:
                changed.append(one.id)

        with anyio.move_on_after(_SECRET_PATIENCE_S):
            async with anyio.create_task_group() as looking:
                for one in watched:
                    looking.start_soon(look, one)
        return changed

    async def _write_the_rest(self) -> None:
        """Try until it is written what became of the last rows; who cannot wait cancels."""
        while self._hands:
            written = self._hands.written
            try:
                await self._hands.write()
            except StoreUnavailable:
                await self._clock.sleep(_FIRST_RETRY_S)
                continue
            if self._hands:  # a drain has rows on their way
                await written.wait()

    async def _wait_s(self) -> tuple[float | None, float]:
        """Give how long to wait for the next row that may be sent, and when to look again.

        The first is None if none will be. A token that changes ends a pause before its time.
        """
        now = utc_ms(self._clock.now())
        latest = now + _longest_wait(self._target.settings)
        read = self._context.database.read
        moment = await read(draw.next_moment, now, latest)
        if moment is None or not self._target.is_set:
            return None, self.LOOK_S
        wait = max((moment - now) / 1000, _NOW_S)
        is_watching = await read(destinations.watched, now, 0, 1)
        return wait, min(wait, SECRET_LOOK_S) if is_watching else wait

    async def _report(self, outcomes: Counter[str]) -> SendReport:
        now = utc_ms(self._clock.now())
        latest = now + _longest_wait(self._target.settings)
        rows, reason = await self._context.database.read(_why_waiting, now, latest)
        if not self._target.is_set:
            reason = "dacc.url is not set: indicators wait until it is"
        return SendReport(
            attempts=outcomes.total(),
            outcomes=dict(sorted(outcomes.items())),
            waiting=rows,
            reason=reason if rows else None,
        )


def _longest_wait(settings: Dacc) -> int:
    """Give how far ahead a moment can lie, in ms; one beyond is a clock's that was wrong."""
    waits = (settings.backoff_cap, settings.unknown_retry, settings.auth_retry, settings.spread)
    return max(*waits, timedelta(hours=1)) // timedelta(milliseconds=1)


def _why_waiting(connection: sqlite3.Connection, now: int, latest: int) -> tuple[int, str]:
    """Give how many rows wait, and why not earlier, in words."""
    rows = totals.read(connection).get("outbox.pending", 0)
    moment = draw.next_moment(connection, now, latest)
    due = f"the next try is due {instant_text(moment or now)}"
    for held in destinations.unwell(connection, 1):
        words = held.standing.reason or ""
        if held.standing.state == "ready":
            words = f"the last attempt failed ({words}); {due}"
        return rows, words if held.instance is None else f"{held.instance}: {words}"
    return rows, due
