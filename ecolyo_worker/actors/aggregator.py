"""The aggregator: counts the days that wait, and puts what it counted into the outbox."""

import sqlite3
from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import datetime, timedelta

import anyio
import msgspec
from anyio.abc import TaskStatus
from msgspec import Struct

from ecolyo_worker.actors.actor import Actor
from ecolyo_worker.actors.classifier import Classifier
from ecolyo_worker.actors.context import Context
from ecolyo_worker.actors.evenness import Evenness
from ecolyo_worker.actors.night import (
    InstanceNight,
    Plan,
    UnseenDevices,
    Without,
    count_nights,
    store_nights,
)
from ecolyo_worker.actors.report import RunReport, Tally
from ecolyo_worker.actors.schedule import Schedule
from ecolyo_worker.clock import (
    DAY_MS,
    civil_datetime,
    civil_from_instant,
    day_of,
    day_start,
    instant_of_civil,
    utc_ms,
)
from ecolyo_worker.crashpoints import reach
from ecolyo_worker.errors import StoreUnavailable
from ecolyo_worker.store import countings, instances, outbox, slots

__all__ = ["Aggregator"]

# All else that is stored waits in the same thread: so the counting of a batch is to take no longer
# than this, and storing what it made takes about as long again, and its commit. Where others need
# the database too, it takes the shorter time, and the night is slower for it.
_ALONE_S = 0.01
_SHARED_S = 0.002
# So long after others needed it they may need it again.
_SHARED_FOR_S = 1.0
_MOST_PEOPLE = 500
_MOST_EVENTS = 4_000
_FEWEST_EVENTS = 10
_YEAR = 366
# So long a clock must go evenly before it is believed that everything that waits is too old.
_SURE_S = 3600.0
_NAMES = 50  # of browsers, which take some 20 ms each


class Aggregator(Actor):
    """Runs the night: bounded batches of instances, each instance whole in one transaction.

    By itself it runs once a civil day, when the schedule says so, or later if it was not there.
    Where the clock says that it was not there for so long that all that waits would expire, the
    clock may be wrong: it must have gone evenly for an hour first.
    """

    name = "aggregator"
    JOB = "night"
    """What its slots are kept under."""

    def __init__(self, context: Context, made: Callable[[], None]) -> None:
        """`made` is told of a run."""
        super().__init__(context.clock)
        self._context = context
        self._made = made
        self._begun = 0
        self.under_way: frozenset[int] = frozenset()
        """The runs of which some people's rows are there, and others' are not yet."""
        settings = context.settings
        self._zone = settings.civil_zone
        self._schedule = Schedule(settings.aggregation.schedule, self._zone)
        self._evenness = Evenness(context.clock)
        self._doubts = False

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
        is_taken = await self._context.database.read(slots.is_taken, self.JOB, slot)
        if await self._is_sure(now) and not is_taken:
            plan = self.plan(civil_from_instant(now, self._zone))
            plan = msgspec.structs.replace(plan, due=self._due(now))
            try:
                await self.run_once(plan, slot=slot)
            except StoreUnavailable:
                if not self.stopping:
                    raise

    async def _is_sure(self, now: datetime) -> bool:
        """Tell whether the clock is right, as far as that can be known."""
        self._evenness.look()
        last = await self._context.database.read(slots.latest, self.JOB)
        longest = self._context.rules.max_age_days * DAY_MS
        is_far = last is not None and utc_ms(now) - last > longest
        doubts = is_far and self._evenness.lasted_s < _SURE_S
        if doubts and not self._doubts:
            self._context.logger.warning("the night waits: the clock may be wrong", now=f"{now:%F}")
        self._doubts = doubts
        return not doubts

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
        self._begun += 1
        own = {self._begun}
        self.under_way |= own
        try:
            return await self._run_once(plan, slot)
        finally:
            self.under_way -= own
            self._made()  # what a run made that was cut off waits no longer, either

    async def _run_once(self, plan: Plan, slot: int | None) -> RunReport:
        run = await self._context.database.run(
            countings.begin_run,
            utc_ms(self._context.clock.now()),
            plan.as_of,
            plan.rules,
            self._context.settings.mode,
        )
        tally = Tally()
        database = self._context.database
        async for batch in self._batches(
            lambda begin: database.run(self._store_batch, begin, plan, run, slot)
        ):
            tally.update(batch.tally)
            self._log(batch)
        report = tally.report(plan)
        reach("aggregation.finished")
        self.succeeded()
        made = sum(report.indicators.values())
        self._context.logger.info("run finished", days=report.days, indicators=made)
        return report

    async def preview(self, plan: Plan) -> AsyncIterator[InstanceNight | RunReport]:
        """Give what a run would make, instance by instance, and at the end what it comes to.

        Nothing is stored.
        """
        tally = Tally()
        database = self._context.database
        async for batch in self._batches(lambda begin: database.read(self._walk, begin, plan)):
            tally.update(batch.tally)
            self._log(batch)
            for night in batch.nights:
                yield night
        yield tally.report(plan)

    async def _batches(self, step: "_Step") -> AsyncIterator["_Batch"]:
        """Take one step after the other, each behind the last one's last instance.

        Each is a sign of life.
        """
        begin: _Begin | None = _Begin()
        classifier = Classifier()
        shared_until = 0.0
        try:
            while begin is not None:
                batch = await self._classifying(step, begin, classifier)
                now = self._context.clock.monotonic()
                if batch.is_shared:
                    shared_until = now + _SHARED_FOR_S
                begin = batch.following
                if begin is not None:
                    begin = begin.paced(_SHARED_S if now < shared_until else _ALONE_S)
                self.sign()
                reach("aggregation.committed")
                yield batch
        finally:
            await classifier.aclose()

    async def _classifying(
        self, step: "_Step", begin: "_Begin", classifier: Classifier
    ) -> "_Batch":
        """Take a step; if its events name devices that are not known yet, learn these first.

        Outside the transaction, for it takes long, and others wait for the database.
        """
        while True:
            self._check_going()
            calls = self._context.database.calls
            try:
                batch = await step(begin)
            except UnseenDevices as unseen:
                names = sorted(unseen.names)
                for first in range(0, len(names), _NAMES):
                    self._check_going()
                    await classifier.learn(names[first : first + _NAMES])
                    self.sign()
                # So that it ends, even if they are more than can be remembered.
                begin = msgspec.structs.replace(begin, learned=begin.learned | unseen.names)
            else:
                batch.is_shared = self._context.database.calls > calls + 1
                return batch

    def _check_going(self) -> None:
        """Raise `StoreUnavailable` once it is being stopped: the next run counts what is left."""
        if self.stopping:
            raise StoreUnavailable(
                "the worker is stopping: what is not counted yet is counted by the next run"
            )

    def _store_batch(
        self,
        connection: sqlite3.Connection,
        begin: "_Begin",
        plan: Plan,
        run: int,
        slot: int | None,
    ) -> "_Batch":
        sink = outbox.Sink(
            per_instance=self._context.settings.dacc.is_cozy,
            state="local" if self._context.settings.mode == "local" else "pending",
            due=plan.due,
            now=utc_ms(self._context.clock.now()),
            hmac_key=self._context.hmac_key,
            random=self._context.random,
            retrying=self._context.settings.dacc.retries_unknown,
        )
        batch = self._walk(connection, begin, plan)
        store_nights(connection, batch.nights, plan, run, sink)
        batch.nights.clear()  # what is stored is not kept for whoever hears of it
        if batch.following is None and slot is not None:
            slots.take(connection, self.JOB, slot, sink.now)
        reach("aggregation.counted")
        return batch

    def _walk(self, connection: sqlite3.Connection, begin: "_Begin", plan: Plan) -> "_Batch":
        """Count some instances, until it has taken long enough."""
        batch = _Batch()
        started = self._context.clock.monotonic()
        took = 0.0
        ids = instances.next_after(connection, begin.after, begin.people, plan.instance)
        people = 0
        for found in count_nights(connection, ids, plan, begin.events, begin.learned):
            people += 1
            batch.add(found)
            took = self._context.clock.monotonic() - started
            if took > 2 * begin.seconds:  # months, or a machine that has much else to do
                break
        if people < len(ids) or people == begin.people:
            batch.following = begin.following(ids[people - 1], people, took)
        return batch

    def _log(self, batch: "_Batch") -> None:
        for instance, seq, words in batch.errors:
            logger = self._context.logger_about(instance)
            error = self._context.for_log(words, instance)
            if seq:
                logger.error("event broke a measure and is set aside", seq=seq, error=error)
            else:
                logger.error("measure broke and makes no row", error=error)


class _Begin(Struct, frozen=True):
    """Where a batch begins."""

    after: int = 0
    """The id of the instance behind which it begins."""
    people: int = 10
    """The most instances that it has."""
    events: int = 100
    """The most events that it has, unless one instance alone has more."""
    seconds: float = _ALONE_S
    """How long counting it is to take."""
    learned: frozenset[str] = frozenset()
    """The names of devices that were classified for it."""

    def following(self, last: int, people: int, took: float) -> "_Begin":
        """Give the next one's, after one that went up to an instance and took so many seconds.

        It grows to twice as much at most: how much work the next ones are is not known.
        """
        speed = self.seconds / max(took, self.seconds / 2)
        events = max(int(self.events * speed), _FEWEST_EVENTS)
        return _Begin(last, min(2 * people, _MOST_PEOPLE), min(events, _MOST_EVENTS), self.seconds)

    def paced(self, seconds: float) -> "_Begin":
        """Give the same, whose counting is to take so long; it grows to more by and by."""
        events = int(self.events * min(seconds / self.seconds, 1))
        return msgspec.structs.replace(self, seconds=seconds, events=max(events, _FEWEST_EVENTS))


class _Batch:
    """What one transaction came to."""

    def __init__(self) -> None:
        self.nights: list[InstanceNight] = []
        self.errors: list[tuple[str, int, str]] = []
        """Whose event broke a measure, its `seq`, and how."""
        self.tally = Tally()
        self.following: _Begin | None = None
        self.is_shared = False
        """Whether others needed the database meanwhile."""

    def add(self, found: InstanceNight | Without) -> None:
        """Add what became of an instance."""
        self.tally.add(found)
        if isinstance(found, InstanceNight):
            self.nights.append(found)
            self.errors += [(found.instance.name, *error) for error in found.errors]


_Step = Callable[[_Begin], Awaitable[_Batch]]
