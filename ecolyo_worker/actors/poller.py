"""The pollers: each visits the accounts of one provider, in the slots of its schedule.

An account has a second of its own in each slot, so that they do not come all at once; it follows
from the state's secret, and tells nothing of the account. Slots that were missed are caught up by
one visit. What could not be asked is asked again after a growing while, in the next slot at last.
"""

import hashlib
import sqlite3
from contextlib import aclosing

import anyio
from anyio.abc import TaskStatus

from ecolyo_worker.actors.actor import SECRET_LOOK_S, Actor
from ecolyo_worker.actors.consents import Consents
from ecolyo_worker.actors.context import Context
from ecolyo_worker.actors.schedule import Schedule
from ecolyo_worker.actors.series import End
from ecolyo_worker.actors.visits import Visits
from ecolyo_worker.clock import instant_of_ms, utc_ms
from ecolyo_worker.store import accounts, visits
from ecolyo_worker.store.accounts import Account

__all__ = ["Poller"]

_PAGE = 200
_FIRST_RETRY_MS = 300_000
_LONGEST_RETRY_MS = 4 * 3_600_000
_SOON_MS = 1_000
_REMOVAL_MS = 3_600_000
_SHORTEST_METER_MS = 600_000
# In one step: a token, what is asked for, both once more, and the same for a right in doubt.
_MOST_REQUESTS = 8


class Poller(Actor):
    """Visits accounts one after the other, those first that wait the longest."""

    def __init__(self, context: Context, visits: Visits, consents: Consents) -> None:
        """It looks for accounts when it is run."""
        super().__init__(context.clock)
        self._context = context
        self._visits = visits
        self._consents = consents
        self._provider = visits.asking.provider
        self.name = self._provider
        settings = context.settings
        section = settings.providers[self._provider]
        self.has_application = section.is_set
        """Whether the provider knows us; else there is nothing to run for."""
        self.longest_step_s = _MOST_REQUESTS * section.attempt_timeout.total_seconds()
        self._spread_s = int(section.spread.total_seconds())
        self._marks: tuple[int, ...] | None = None
        self._schedule = Schedule(section.schedule, settings.civil_zone)

    async def run(self, *, task_status: TaskStatus[None] = anyio.TASK_STATUS_IGNORED) -> None:
        """Visit each account when it is due, until stopped."""
        await self._plan()
        task_status.started()
        while not self.stopping:
            await self._look_at_secrets()
            seconds = await self._go_round()
            is_lacking = self._visits.asking.tokens.lacks_secret(self._provider)
            await self.rest(_sooner(seconds, SECRET_LOOK_S) if is_lacking else seconds)

    def stop(self) -> None:
        """Let the request under way end, and begin no further one."""
        super().stop()
        self._visits.stop()

    async def _plan(self) -> None:
        """Look anew when each account is due: the schedule may be another one now."""
        after = 0
        database = self._context.database
        while page := await database.read(visits.visited, self._provider, after, _PAGE):
            due = [(self.slot_after(visited, ident), ident) for ident, visited in page]
            await database.run(visits.put_off, due)
            self.sign()
            after = page[-1][0]

    async def _look_at_secrets(self) -> None:
        """Let accounts be visited at once that wait for a secret, or a key, if it is another one.

        So they are after a start: it may have been put right before.
        """
        tokens = self._visits.asking.tokens
        marks, before = tokens.marks(self._provider), self._marks
        self._marks = marks
        if before is None or (marks != before and tokens.lacks_secret(self._provider)):
            run = self._context.database.run
            await run(visits.hasten_lacking, self._provider, self._now())

    async def _go_round(self) -> float | None:
        """Visit who is due; give after how many seconds the next one is, None if nobody is."""
        while not self.stopping and self._context.settings.mode != "off":
            now = self._now()
            until = await self._visits.asking.quota.paused_until()
            if until is not None:
                return (until - now) / 1000
            found = await self._context.database.read(
                visits.due, self._provider, now, self._latest(now), _PAGE
            )
            for ident in found.accounts:
                if await self._visits.asking.quota.paused_until() is not None:
                    break
                await self._visit(ident)
            if not found.accounts:
                return None if found.following is None else (found.following - now) / 1000
        return None

    async def _visit(self, ident: int) -> None:
        account = await self._context.database.run(_begin, ident)
        if account is None or self.stopping:
            return
        if account.is_polled:
            due = await self._poll(ident)
        else:
            due = await self._settle(account)
        if not self.stopping:
            await self._context.database.run(visits.note, ident, self._now(), due)
        self.sign()

    async def _poll(self, ident: int) -> int:
        """Fetch what is missing; give when to come again."""
        end = End("gone")
        async with aclosing(self._visits.visit(ident)) as steps:
            async for step in steps:
                self.sign()
                if isinstance(step, End):
                    end = step
        if end.kind == "done":
            self.succeeded()
        return self._again(ident, end)

    def _again(self, ident: int, end: End) -> int:
        """Give when to come again: in the next slot, earlier if something came to nothing."""
        now = self._now()
        slot = self.slot_after(now, ident)
        if end.kind == "later":
            return min(slot, max(end.until or now + _FIRST_RETRY_MS, now + _SOON_MS))
        if end.kind == "failed" and end.failures:
            wait = min(_FIRST_RETRY_MS << 2 * min(end.failures - 1, 4), _LONGEST_RETRY_MS)
            return min(slot, now + wait)
        return slot

    async def _settle(self, account: Account) -> int:
        """Go on with an account that is not polled: ask for its meter, or remove it."""
        if account.state == "removing":
            removal = await self._consents.remove_again(account)
            if not removal.is_gone:
                self._context.logger.warning(
                    "an energy account is not removed yet",
                    account=account.id,
                    reason=removal.reason,
                )
            return self._now() + _REMOVAL_MS
        if account.consent is not None:
            found = await self._consents.find_meter(account)
            if found.is_polled:
                return self._now()
        return self._meter_due(account)

    def _meter_due(self, account: Account) -> int:
        """Give when to ask for a meter again: after as long as it is waited for already."""
        now = self._now()
        # A wrong clock dated what lies ahead: since when it is waited for is not known.
        waited = now - account.since if account.since <= now else _LONGEST_RETRY_MS
        wait = min(max(waited, _SHORTEST_METER_MS), _LONGEST_RETRY_MS)
        return min(self.slot_after(now, account.id), now + wait)

    def slot_after(self, instant: int, ident: int) -> int:
        """Give an account's first time of the schedule after an instant, both in ms of UTC."""
        offset = self._offset_ms(ident)
        return utc_ms(self._schedule.next(instant_of_ms(instant - offset))) + offset

    def _latest(self, now: int) -> int:
        """Give how far ahead a visit can be due, in ms of UTC; one beyond is a wrong clock's."""
        slot = utc_ms(self._schedule.next(instant_of_ms(now)))
        return max(slot + self._spread_s * 1000, now + _REMOVAL_MS)

    def _offset_ms(self, ident: int) -> int:
        """Give an account's own place in a slot, which is always the same."""
        if not self._spread_s:
            return 0
        key = self._context.hmac_key
        digest = hashlib.blake2b(str(ident).encode(), key=key, digest_size=8).digest()
        return int.from_bytes(digest) % self._spread_s * 1000

    def _now(self) -> int:
        return utc_ms(self._clock.now())


def _sooner(seconds: float | None, most: float) -> float:
    return most if seconds is None else min(seconds, most)


def _begin(connection: sqlite3.Connection, ident: int) -> Account | None:
    visits.begin(connection, ident)
    return accounts.find(connection, ident)
