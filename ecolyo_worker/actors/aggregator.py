"""The aggregator: counts the days that wait, and puts what it counted into the outbox."""

import sqlite3
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import datetime, timedelta

import anyio
import msgspec
from anyio.abc import TaskStatus
from msgspec import Struct

from ecolyo_worker.actors.actor import Actor
from ecolyo_worker.actors.context import Context
from ecolyo_worker.actors.night import InstanceNight, Plan, count_instance, store_night
from ecolyo_worker.actors.schedule import Schedule
from ecolyo_worker.clock import (
    civil_datetime,
    civil_from_instant,
    civil_text,
    day_of,
    day_start,
    instant_of_civil,
    utc_ms,
)
from ecolyo_worker.crashpoints import reach
from ecolyo_worker.errors import StoreUnavailable
from ecolyo_worker.store import countings, instances, outbox, slots

__all__ = ["Aggregator", "RunReport"]

# Intake's commits wait in the same thread, so a batch ends after this long, or so many instances.
_BATCH_S = 0.02
_BATCH = 200
_YEAR = 366


class RunReport(Struct, frozen=True, kw_only=True):
    """What a run came to: what was counted, events by fate, indicators by measure."""

    as_of: str
    instances: int
    days: int
    months: int
    events: dict[str, int]
    indicators: dict[str, int]
    too_large: dict[str, int]
    """Values of 1e10 or more, by measure: they make no indicator."""
    without_consent: int
    """People whose events wait, because no consent of theirs is in force."""


class Aggregator(Actor):
    """Runs the night: bounded batches of instances, each instance whole in one transaction.

    By itself it runs once a civil day, when the schedule says so, or later if it was not there.
    """

    name = "aggregator"
    JOB = "night"
    """What its slots are kept under."""

    def __init__(self, context: Context, made: Callable[[], None]) -> None:
        """`made` is told of a run."""
        super().__init__(context.clock)
        self._context = context
        self._made = made
        settings = context.settings
        self._zone = settings.civil_zone
        self._schedule = Schedule(settings.aggregation.schedule, self._zone)

    async def run(self, *, task_status: TaskStatus[None] = anyio.TASK_STATUS_IGNORED) -> None:
        """Run each night when it is due, until stopped."""
        await self._begin(self._clock.now())
        task_status.started()
        while not self.stopping:
            now = self._clock.now()
            if self._context.settings.mode != "off":
                await self._look(now)
            await self.rest((self._schedule.next(now) - self._clock.now()).total_seconds())

    async def _look(self, now: datetime) -> None:
        slot = self._schedule.latest(now)
        if not await self._context.database.read(slots.is_taken, self.JOB, slot):
            plan = self.plan(civil_from_instant(now, self._zone))
            plan = msgspec.structs.replace(plan, due=self._due(now))
            try:
                await self.run_once(plan, slot=slot)
            except StoreUnavailable:
                if not self.stopping:
                    raise

    def _due(self, now: datetime) -> int:
        """Draw the moment before which nothing of a night is sent: it must tell nothing."""
        spread = self._context.settings.dacc.spread
        return utc_ms(now + self._context.random.random() * spread) if spread else 0

    async def _begin(self, now: datetime) -> None:
        """Where no night ever was, none was missed: the first one is the next one."""
        slot = self._schedule.latest(now)
        await self._context.database.run(slots.begin, self.JOB, slot, utc_ms(now))

    def plan(self, as_of: int, day: int | None = None, month: int | None = None) -> Plan:
        """Give the plan of a run as of a civil time; a day or month chooses what to do."""
        return Plan(
            as_of=as_of,
            rules=self._context.rules,
            consent_version=self._context.settings.aggregation.consent_version,
            zone=self._zone,
            day=day,
            month=month,
        )

    def next_plan(self, day: int) -> Plan:
        """Give the plan of the run that counts a civil day, if it is not counted yet.

        It is the first one of the schedule from now on that has the day behind it; of a day that
        is more than a year away, just the next one.
        """
        now = self._context.clock.now()
        today = day_of(civil_from_instant(now, self._zone))
        if today <= day <= today + _YEAR:
            end = instant_of_civil(civil_datetime(day_start(day + 1)), self._zone)
            now = max(now, end - timedelta(milliseconds=1))
        return self.plan(civil_from_instant(self._schedule.next(now), self._zone))

    async def run_once(self, plan: Plan, *, slot: int | None = None) -> RunReport:
        """Count all that waits, as of the plan's time; running it twice changes nothing.

        A run of the schedule takes its slot, a civil day, with the last of its work.
        """
        run = await self._context.database.run(
            countings.begin_run,
            utc_ms(self._context.clock.now()),
            plan.as_of,
            plan.rules.definitions.digest,
            self._context.settings.mode,
        )
        database = self._context.database
        report = await self._add_up(
            plan, lambda after: database.run(self._store_batch, after, plan, run, slot)
        )
        made = sum(report.indicators.values())
        reach("aggregation.finished")
        self.succeeded()
        self._context.logger.info("run finished", days=report.days, indicators=made)
        self._made()
        return report

    async def foresee(self, plan: Plan) -> RunReport:
        """Tell what a run would come to; nothing is stored."""
        return await self._add_up(
            plan, lambda after: self._context.database.read(self._walk, after, plan)
        )

    async def preview(self, plan: Plan) -> AsyncIterator[InstanceNight]:
        """Give what a run would make, instance by instance; nothing is stored."""
        async for batch in self._batches(
            lambda after: self._context.database.read(self._walk, after, plan)
        ):
            for night in batch.nights:
                yield night

    async def _add_up(self, plan: Plan, step: "_Step") -> RunReport:
        tally = _Tally()
        async for batch in self._batches(step):
            tally.without_consent += batch.without_consent
            for night in batch.nights:
                tally.add(night)
                self._log_failures(night)
        return tally.report(plan.as_of)

    async def _batches(self, step: "_Step") -> AsyncIterator["_Batch"]:
        """Take one step after the other, each behind the last one's last instance.

        Each is a sign of life. A stop ends it between two, with `StoreUnavailable`: what is not
        counted is counted next time.
        """
        after: int | None = 0
        while after is not None:
            if self.stopping:
                raise StoreUnavailable(
                    "the worker is stopping: what is not counted yet is counted by the next run"
                )
            batch = await step(after)
            after = batch.last
            self.sign()
            reach("aggregation.committed")
            yield batch

    def _store_batch(
        self, connection: sqlite3.Connection, after: int, plan: Plan, run: int, slot: int | None
    ) -> "_Batch":
        sink = outbox.Sink(
            per_instance=self._context.settings.dacc.is_cozy,
            state="local" if self._context.settings.mode == "local" else "pending",
            due=plan.due,
            now=utc_ms(self._context.clock.now()),
            hmac_key=self._context.hmac_key,
            random=self._context.random,
        )

        def store(night: InstanceNight) -> None:
            store_night(connection, night, plan, run, sink)

        batch = self._walk(connection, after, plan, store)
        if batch.last is None and slot is not None:
            slots.take(connection, self.JOB, slot, sink.now)
        reach("aggregation.counted")
        return batch

    def _walk(
        self,
        connection: sqlite3.Connection,
        after: int,
        plan: Plan,
        store: Callable[[InstanceNight], None] | None = None,
    ) -> "_Batch":
        """Count some instances behind `after`."""
        batch = _Batch()
        begin = self._context.clock.monotonic()
        for _ in range(_BATCH):
            batch.last = instances.next_after(connection, after)
            if batch.last is None:
                break
            after = batch.last
            night = count_instance(connection, after, plan)
            if night is not None:
                batch.nights.append(night)
                if store is not None:
                    store(night)
            elif countings.waiting_days(connection, after, day_of(plan.as_of)):
                batch.without_consent += 1
            if self._context.clock.monotonic() - begin > _BATCH_S:
                break
        return batch

    def _log_failures(self, night: InstanceNight) -> None:
        for seq, error in night.errors:
            self._context.logger.error(
                "event broke a measure and is set aside", seq=seq, error=error
            )


class _Batch:
    """What one transaction came to; `last` is the last instance's id, None at the end."""

    def __init__(self) -> None:
        self.nights: list[InstanceNight] = []
        self.last: int | None = None
        self.without_consent = 0


_Step = Callable[[int], Awaitable[_Batch]]


class _Tally:
    """Adds up what a run makes."""

    def __init__(self) -> None:
        self.without_consent = 0
        self.instances = 0
        self.days = 0
        self.months = 0
        self.fates: Counter[str] = Counter()
        self.made: Counter[str] = Counter()
        self.too_large: Counter[str] = Counter()

    def add(self, night: InstanceNight) -> None:
        self.instances += 1
        self.days += len(night.countings)
        for counting in night.countings:
            self.fates.update(counting.counted.fates.values())
        self.months += len(night.months)
        self.too_large.update(night.too_large)
        self.made.update(row.indicator.measure_name for row in night.rows)

    def report(self, as_of: int) -> RunReport:
        return RunReport(
            as_of=civil_text(as_of),
            instances=self.instances,
            days=self.days,
            months=self.months,
            events=dict(self.fates),
            indicators=dict(sorted(self.made.items())),
            too_large=dict(self.too_large),
            without_consent=self.without_consent,
        )
