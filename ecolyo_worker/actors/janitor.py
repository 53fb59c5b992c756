"""The janitor: deletes what is kept no longer, gives the space back, looks for damage at night."""

import math
import sqlite3
from collections import Counter
from datetime import datetime, timedelta

import anyio
from anyio.abc import TaskStatus

from ecolyo_worker.actors.actor import Actor
from ecolyo_worker.actors.context import Context
from ecolyo_worker.actors.evenness import Evenness
from ecolyo_worker.clock import civil_from_instant, day_of, instant_of_ms, utc_ms
from ecolyo_worker.crashpoints import reach
from ecolyo_worker.store import erasing, retention, slots
from ecolyo_worker.store.examining import look_through
from ecolyo_worker.store.status import LARGE_LOG, file_sizes
from ecolyo_worker.store.troubles import damaged

__all__ = ["Janitor"]

_ROUND = timedelta(hours=1)
# Intake's commits wait in the same thread, so a transaction stays small.
_ROWS = 500
_PEOPLE = 200
_PAGES = 256
# When writing a large database anew, while all else waits, disturbs least; a round comes each hour.
_QUIET_HOUR = 3


class Janitor(Actor):
    """Goes round every hour, and looks more often whether the database still works.

    Nothing goes because a clock says that it is old, before it has said so for an hour: a clock
    that was set forward by mistake must not delete anything. What time it was then stands in the
    database, so that it is no matter how often a process begins anew.
    """

    name = "janitor"

    def __init__(self, context: Context) -> None:
        """It works on the state alone."""
        super().__init__(context.clock)
        self._context = context
        self._evenness = Evenness(context.clock)

    async def run(self, *, task_status: TaskStatus[None] = anyio.TASK_STATUS_IGNORED) -> None:
        """Go round until stopped."""
        task_status.started()
        due = self._clock.monotonic()
        while not self.stopping:
            if self._clock.monotonic() >= due:
                due = self._clock.monotonic() + _ROUND.total_seconds()
                await self._go_round()
            await self._context.database.probe()
            await self.rest(due - self._clock.monotonic())

    async def _go_round(self) -> None:
        await self.prune()
        if not self.stopping:
            await self._erase()
        if self._is_quiet and not self.stopping:
            await self._look_through()
        if not self.stopping:
            self._look_at_the_log()
        self.succeeded()

    async def prune(self) -> None:
        """Delete what is kept no longer, also where it does not run. Raises `StoreUnavailable`."""
        now = self._clock.now()
        sure = await self._context.database.run(
            retention.sure_time, utc_ms(now), is_even=self._evenness.look()
        )
        if sure is not None:
            as_of = instant_of_ms(sure)
            await self._prune_sent(as_of)
            await self._prune_people(as_of)
        while await self._context.database.run(retention.give_space_back, _PAGES):
            self.sign()
            if self.stopping:
                return

    async def _look_through(self) -> None:
        """Look whether the whole file is sound; nothing works on a damaged one any more."""
        began = self._clock.monotonic()
        looked = await look_through(self._context.database, math.inf, self._clock)
        if looked.damage:
            self._context.database.condemn(damaged(looked.damage[0]))
            return
        took_s = round(self._clock.monotonic() - began, 3)
        self._context.logger.info(
            "the whole database was looked through", tables=looked.checked, took_s=took_s
        )

    @property
    def _is_quiet(self) -> bool:
        zone = self._context.settings.civil_zone
        return self._clock.now().astimezone(zone).hour == _QUIET_HOUR

    async def _erase(self) -> None:
        """Overwrite what was deleted, by others too; in a large database, at night."""
        database = self._context.database
        if not await database.read(erasing.is_owed):
            await database.truncate_log()
            return
        at_night = self._is_quiet
        size, logger = await database.read(erasing.size_if_large), self._context.logger
        if size and at_night:
            logger.info("the database is written anew; all else waits meanwhile", bytes=size)
        began = self._clock.monotonic()
        holding = await erasing.erase(database, however_large=at_night)
        took_s = round(self._clock.monotonic() - began, 3)
        if not holding:
            logger.info("what was deleted is overwritten", took_s=took_s)
        elif size and not at_night:
            logger.info("what was deleted waits for the night", bytes=size, from_hour=_QUIET_HOUR)
        else:
            logger.info("what was deleted is not overwritten yet", took_s=took_s)

    def _look_at_the_log(self) -> None:
        """Tell that the write-ahead log is large, though it should have been emptied just now."""
        size = file_sizes(self._context.settings.directory, self._context.database.snapshot).log
        if size >= LARGE_LOG:
            self._context.logger.warning("the write-ahead log is not emptied", bytes=size)

    async def _prune_sent(self, now: datetime) -> None:
        settings = self._context.settings
        before = utc_ms(now - timedelta(days=settings.retention.sent_days))
        today = day_of(civil_from_instant(now, settings.civil_zone))
        first_day = today - self._context.rules.max_age_days
        pruned = gone = await self._context.database.run(_prune_some, before, first_day)
        while gone == _ROWS and not self.stopping:
            gone = await self._context.database.run(_prune_some, before, first_day)
            pruned += gone
            self.sign()
        if pruned:
            self._context.logger.info("old rows pruned", rows=pruned)

    async def _prune_people(self, now: datetime) -> None:
        settings = self._context.settings
        age = retention.EventAge(
            as_of=civil_from_instant(now, settings.civil_zone),
            days=settings.retention.events_days,
            rows_days=settings.retention.sent_days,
            rules=self._context.rules,
            consent_version=settings.aggregation.consent_version,
        )
        pruned: Counter[str] = Counter()
        after: int | None = 0
        while after is not None and not self.stopping:
            after, gone = await self._context.database.run(_prune_page, after, age)
            pruned += gone
            self.sign()
        if pruned["events"]:
            self._context.logger.info("old events pruned", events=pruned["events"])
        if pruned["countings"]:
            self._context.logger.info("old countings pruned", countings=pruned["countings"])
        before = day_of(age.as_of) - age.days
        await self._context.database.run(slots.prune, before)


def _prune_some(connection: sqlite3.Connection, before: int, first_day: int) -> int:
    pruned = retention.prune_sent(connection, before, first_day, _ROWS)
    reach("janitor.pruning")
    return pruned


def _prune_page(
    connection: sqlite3.Connection, after: int, age: retention.EventAge
) -> tuple[int | None, Counter[str]]:
    """Prune what is old of some people behind `after`.

    Give behind whom to go on, or None at the end, and how much went.
    """
    people, following = retention.people_with_old(connection, after, age, _PEOPLE)
    gone: Counter[str] = Counter()
    for person in people:
        gone["events"] += retention.prune_events(connection, person, age, _ROWS - gone.total())
        if (left := _ROWS - gone.total()) > 0:
            gone["countings"] += retention.prune_countings(connection, person, age, left)
        if gone.total() >= _ROWS:  # this one may have more
            return person - 1, gone
    return following, gone
