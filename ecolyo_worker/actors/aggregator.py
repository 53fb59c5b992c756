"""The aggregator: counts the days that wait, and puts what it counted into the outbox."""

import sqlite3
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from datetime import datetime

import anyio
import msgspec
from anyio.abc import TaskStatus
from msgspec import Struct

from ecolyo_worker.actors.actor import Actor
from ecolyo_worker.actors.context import Context
from ecolyo_worker.actors.schedule import Schedule
from ecolyo_worker.clock import DAY_MS, civil_from_instant, civil_text, day_of, day_text, utc_ms
from ecolyo_worker.crashpoints import reach
from ecolyo_worker.errors import StoreUnavailable
from ecolyo_worker.facts import acceptance
from ecolyo_worker.measures import End, EndKey, Row, Rules, count, count_connected
from ecolyo_worker.store import countings, events, instances, outbox, slots
from ecolyo_worker.store.countings import DayCounting
from ecolyo_worker.store.instances import Instance

__all__ = ["Aggregator", "InstanceNight", "Plan", "RunReport"]

# Intake's commits wait in the same thread, so a batch ends after this long, or so many instances.
_BATCH_S = 0.02
_BATCH = 200


class Plan(Struct, frozen=True):
    """What a run looks at. `as_of` is civil time, in ms; `day` chooses one civil day."""

    as_of: int
    rules: Rules
    consent_version: str
    day: int | None = None
    due: int = 0
    """When its rows are due, in ms of UTC; 0 is at once."""


class InstanceNight(Struct, frozen=True):
    """All that a run makes of one instance."""

    instance: Instance
    countings: tuple[DayCounting, ...]
    connected: tuple[tuple[int, Sequence[Row]], ...]
    connected_through: int | None

    @property
    def rows(self) -> Iterator[Row]:
        """Its rows, in the order of the days."""
        days = [(counting.day, counting.counted.rows) for counting in self.countings]
        for _, rows in sorted([*days, *self.connected], key=lambda item: item[0]):
            yield from rows


class RunReport(Struct, frozen=True, kw_only=True):
    """What a run came to: instances and days counted, events by fate, indicators by measure."""

    as_of: str
    instances: int
    days: int
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

    def plan(self, as_of: int, day: int | None = None) -> Plan:
        """Give the plan of a run as of a civil time."""
        return Plan(
            as_of, self._context.rules, self._context.settings.aggregation.consent_version, day
        )

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
            for counting in night.countings:
                countings.store_counting(connection, night.instance, counting, run, sink)
            countings.store_connected(
                connection, night.instance, night.connected, night.connected_through, sink
            )

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
            night = _count_instance(connection, after, plan)
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
        for counting in night.countings:
            for seq, error in counting.counted.errors.items():
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
        self.fates: Counter[str] = Counter()
        self.made: Counter[str] = Counter()
        self.too_large: Counter[str] = Counter()

    def add(self, night: InstanceNight) -> None:
        self.instances += 1
        self.days += len(night.countings)
        for counting in night.countings:
            self.fates.update(counting.counted.fates.values())
            self.too_large.update(counting.counted.too_large)
        self.made.update(row.indicator.measure_name for row in night.rows)

    def report(self, as_of: int) -> RunReport:
        return RunReport(
            as_of=civil_text(as_of),
            instances=self.instances,
            days=self.days,
            events=dict(self.fates),
            indicators=dict(sorted(self.made.items())),
            too_large=dict(self.too_large),
            without_consent=self.without_consent,
        )


def _count_instance(connection: sqlite3.Connection, ident: int, plan: Plan) -> InstanceNight | None:
    """Count one instance's waiting days, oldest first; None without a consent in force."""
    instance = instances.get(connection, ident)
    accepted = acceptance(
        instance.consents, instance.withdrawn_through, plan.as_of, plan.consent_version
    )
    if accepted is None:
        return None
    connected, through = _count_connected(connection, instance, accepted, plan)
    return InstanceNight(
        instance=instance,
        countings=tuple(_count_days(connection, instance, accepted, plan)),
        connected=tuple(connected),
        connected_through=through,
    )


def _count_days(
    connection: sqlite3.Connection, instance: Instance, accepted: int, plan: Plan
) -> Iterator[DayCounting]:
    # What one day's counting finds out holds for the next one, stored or not.
    ends: dict[EndKey, End] = {}
    launch_row = instance.launch_row
    for day in countings.waiting_days(connection, instance.id, day_of(plan.as_of)):
        if plan.day not in {None, day}:
            continue
        n, after_seq, upto_seq = countings.open_range(connection, instance.id, day)
        found = events.of_day(connection, instance.id, day, after_seq, upto_seq)
        facts = countings.facts_of(connection, instance, accepted, plan.as_of, found)
        facts = msgspec.structs.replace(
            facts,
            launch_row=launch_row,
            ends={key: ends.get(key, end) for key, end in facts.ends.items()},
            is_supplement=n > 0,
        )
        counted = count(facts, found, plan.as_of, plan.rules)
        ends.update(counted.facts.ends)
        launch_row = counted.facts.launch_row
        yield DayCounting(
            day=day,
            n=n,
            after_seq=after_seq,
            upto_seq=upto_seq,
            aggregated=sum(event.aggregated for event in found),
            first_connection=facts.first_connection,
            counted=counted,
        )


def _count_connected(
    connection: sqlite3.Connection, instance: Instance, accepted: int, plan: Plan
) -> tuple[list[tuple[int, Sequence[Row]]], int | None]:
    """Make the connected rows of the days since the last run, and tell how far they reach."""
    today = day_of(plan.as_of)
    begins = [day_of(accepted), today - plan.rules.max_age_days, plan.rules.not_before]
    if instance.connected_through is not None:
        begins.append(instance.connected_through + 1)
    made: list[tuple[int, Sequence[Row]]] = []
    for day in range(max(begin for begin in begins if begin is not None), today):
        if plan.day not in {None, day}:
            continue
        rows = count_connected(instance.connected((day + 1) * DAY_MS), day, plan.rules)
        # A day chosen by hand may have been made before its turn.
        if rows and not _is_made(connection, instance, day):
            made.append((day, rows))
    return made, today - 1 if plan.day is None else None


def _is_made(connection: sqlite3.Connection, instance: Instance, day: int) -> bool:
    return outbox.has_key(connection, countings.connected_key(instance, day_text(day)))
