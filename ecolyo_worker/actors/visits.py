"""Visits: what is missing of an account is asked for, series by series, and stored.

Each answer comes to a meaning, and each meaning to what is done about it. Series do not hang on
each other: one that fails leaves the others to be asked. What a stop interrupts costs nothing: the
window is asked for again.
"""

import sqlite3
from collections.abc import AsyncGenerator
from contextlib import aclosing

import anyio

from ecolyo_worker.actors.asking import Asking
from ecolyo_worker.actors.series import ALL, End, SeriesVisit, Step, Visit, Wanted
from ecolyo_worker.clock import civil_from_instant, day_of
from ecolyo_worker.energy.labels import ZONE
from ecolyo_worker.energy.windows import SERIES_OF
from ecolyo_worker.errors import StoreUnavailable
from ecolyo_worker.remote.series import depth_of
from ecolyo_worker.store import accounts, cursors, totals
from ecolyo_worker.store.accounts import Account, Trouble
from ecolyo_worker.store.curves import SILENCE, silent_from

__all__ = ["Visits"]

_BY_ITSELF = "It is tried again in the next slot."
_WHICH = "`ecolyo-worker coverage` tells which, and when they are asked for again."


class Visits:
    """The visits to all accounts of one provider."""

    def __init__(self, asking: Asking) -> None:
        """Nothing is asked before the first visit."""
        self.asking = asking
        self._context = asking.context
        self._locks: dict[int, anyio.Lock] = {}
        self._is_stopping = False

    def stop(self) -> None:
        """Begin no further request."""
        self._is_stopping = True
        self.asking.quota.stop()

    async def visit(self, ident: int, wanted: Wanted = ALL) -> AsyncGenerator[Step | End, None]:
        """Ask for what is missing of an account; give each window, and at last how it ended.

        Whoever leaves off closes it, and nothing more is asked. An account has one visit at a time.
        """
        lock = self._locks.setdefault(ident, anyio.Lock())
        async with lock:
            account = await self._context.database.read(accounts.find, ident)
            if account is None or not account.is_polled:
                yield End("gone", reason=None if account is None else account.reason)
                return
            self.asking.prepare()
            visit = Visit(account, wanted, self._today())
            for series in SERIES_OF[self.asking.provider]:
                async with aclosing(SeriesVisit(self.asking, visit, series).steps()) as steps:
                    while visit.end is None and not self._is_stopping:
                        step = await self._next(steps, visit)
                        if step is None:
                            break
                        yield step
            yield await self._close(visit)
        if not lock.statistics().tasks_waiting:
            self._locks.pop(ident, None)

    async def _next(self, steps: AsyncGenerator[Step, None], visit: Visit) -> Step | None:
        """Give the next window; a bug that only this account meets ends its visit alone."""
        try:
            return await anext(steps, None)
        except StoreUnavailable:
            raise
        except Exception as error:  # noqa: BLE001  the edge of an account: others are visited
            await self._break_off(visit, error)
            return None

    async def _break_off(self, visit: Visit, error: Exception) -> None:
        kind, account = type(error).__name__, visit.account.id
        self._context.logger.error(
            "a visit was ended by a bug", account=account, error=kind, exc_info=error
        )
        words = f"A bug of the worker ended the visit ({kind}): please report this. {_BY_ITSELF}"
        visit.troubles.clear()  # the account tells one trouble, and this is the worst
        visit.close("failed", Trouble(words, "UNKNOWN_ERROR.PARTIAL_SYNC"))
        broken = {f"energy.{self.asking.provider}.broken": 1}
        await self._context.database.run(totals.add, broken)

    async def _close(self, visit: Visit) -> End:
        """Note with the account what is wrong with it, in words and in Cozy's."""
        if self._is_stopping:
            return End("later", reason="the worker is stopping: the next start goes on")
        moment, ident = self._context.moment(), visit.account.id
        worst = _worst(visit)

        def close(connection: sqlite3.Connection) -> Trouble | None:
            known = accounts.find(connection, ident)
            if known is None or not known.is_polled:
                return worst  # its consent is gone, or it is being removed
            trouble = worst or _unread(connection, ident) or self._silence(connection, known, visit)
            state = known.state if known.held_through is None else "active"
            accounts.move(connection, ident, state, moment, trouble)
            if visit.is_fed:
                accounts.suspect(connection, ident, None)
            return trouble

        trouble = await self._context.database.run(close)
        reason = None if trouble is None else trouble.reason
        if reason == SILENCE.reason != visit.account.reason:
            self._context.logger.warning("half-hours do not come", account=ident)
        return visit.end or End(
            "failed" if visit.has_failed else "done", None, visit.failures, reason
        )

    def _silence(
        self, connection: sqlite3.Connection, account: Account, visit: Visit
    ) -> Trouble | None:
        """Say where half-hours have not come for days, without anything else that is wrong."""
        if account.provider != "enedis":
            return None
        depth = depth_of(self._context.settings, "curve")
        days = range(visit.today - depth, visit.today)
        return None if silent_from(connection, account, days) is None else SILENCE

    def _today(self) -> int:
        return day_of(civil_from_instant(self._context.clock.now(), ZONE))


def _unread(connection: sqlite3.Connection, account: int) -> Trouble | None:
    """Say what of an account could not be read, and is not asked for today."""
    found = cursors.unread_of(connection, account)
    if found is None:
        return None
    words = f"Days that could not be read: {found.days}. {found.reason} {_WHICH}"
    return Trouble(words, "UNKNOWN_ERROR.PARTIAL_SYNC")


def _worst(visit: Visit) -> Trouble | None:
    """Give the first trouble, with the words of all where nothing stood in the way of all.

    Where something came all the same, it is a part of a success.
    """
    if not visit.troubles:
        return None
    trouble = visit.troubles[0]
    if visit.end is None:
        words = dict.fromkeys(one.reason for one in visit.troubles)
        trouble = Trouble(" ".join(words), trouble.word)
    if visit.is_fed and trouble.word == "VENDOR_DOWN":
        return Trouble(trouble.reason, "UNKNOWN_ERROR.PARTIAL_SYNC")
    return trouble
