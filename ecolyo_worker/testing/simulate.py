"""A whole worker on a simulated clock: people use the app for months, and it takes seconds.

    async with echo_server() as echo:
        world = World(first_day=date(2027, 11, 1), days=400)
        report = await simulate(simulated(path, echo.url, world), world)

The worker works by itself: nights by its schedule, sending after the random delay, the janitor. The
indicators go over real sockets to a real echo server. Only time is made up: it moves from one
moment at which something is due to the next.
"""

import random
import shutil
from collections import Counter
from collections.abc import Awaitable, Callable, Collection, Iterable
from datetime import date, datetime, time, timedelta
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import msgspec
from msgspec import Struct

from ecolyo_worker import requests as ask
from ecolyo_worker.actors.aggregator import Aggregator
from ecolyo_worker.clock import instant_of_civil
from ecolyo_worker.commands import Commands
from ecolyo_worker.ledger import Ledger
from ecolyo_worker.settings import Aggregation, Dacc, Retention, Settings
from ecolyo_worker.store import countings, outbox, slots
from ecolyo_worker.store.status import Status
from ecolyo_worker.testing.clock import SimulatedClock
from ecolyo_worker.testing.energy import Twin
from ecolyo_worker.testing.homes import Fetching, FetchingReport, HomeMeter
from ecolyo_worker.testing.people import Delivery, Household, deliveries, make_households
from ecolyo_worker.worker import Worker

if TYPE_CHECKING:
    from structlog.typing import FilteringBoundLogger

__all__ = ["SimulatedDay", "SimulationReport", "World", "simulate", "simulated"]

_DAY = timedelta(days=1)
_SECOND = timedelta(seconds=1)
# When events come in, and in the evening what hosts say and meters show. Twice a day is enough for
# some to come before the rows of the night were sent, and some late.
_NOON, _EVENING = time(12), time(23, 59)
# So long after the last night's run all is sent, whatever the faults.
_LONGEST_REST = timedelta(days=1)


class World(Struct, frozen=True, kw_only=True):
    """Made-up people and the civil days in which they use the app; a seed makes the same ones."""

    first_day: date
    days: int
    people: int = 12
    seldom: int = 0
    """How many of the people look at the app a few times a year: many of them take little time."""
    leaving: int = 0
    """How many of these leave meanwhile: they take their consent back, or want to be forgotten."""
    seed: int = 1
    meters: tuple[HomeMeter, ...] = ()
    """Those that are fetched from a twin, whose readings do not come by themselves."""

    def deliveries(self) -> list[Delivery]:
        """Make all that comes in, day by day; the last one is that of late events."""
        return list(deliveries(self.households(), self.seed))

    def households(self) -> list[Household]:
        """Make the people."""
        return make_households(
            self.seed,
            self.people,
            self.first_day,
            self.days,
            self.meters,
            seldom=self.seldom,
            leaving=self.leaving,
        )


class SimulatedDay(Struct, frozen=True, kw_only=True):
    """What came in on a civil day, and what was made and sent until the noon after it."""

    day: date
    accepted: int
    known: int
    """Events that came once more."""
    indicators: int
    delivered: int
    failed: int
    """Attempts that did not deliver."""


class SimulationReport(Struct, frozen=True, kw_only=True):
    """What a simulation came to."""

    days: list[SimulatedDay]
    runs: int
    slots: list[str]
    """The civil days whose night is done; the first one was before the worker began."""
    ledgers: list[tuple[date, Ledger]]
    """The ledger with what the echo received, after the last day of each month and at the end."""
    clock_changes: list[date]
    leap_days: list[date]
    fetching: FetchingReport | None = None
    """What was fetched from a twin, if there was one."""

    @property
    def ledger(self) -> Ledger:
        """The one at the end."""
        return self.ledgers[-1][1]

    @property
    def balanced(self) -> bool:
        """Whether all of them balance."""
        return all(ledger.balanced for _, ledger in self.ledgers)


def simulated(state_dir: Path, url: str, world: World, *, lanes: int = 2) -> Settings:
    """Give settings for a world: as they are by default, but fast, and nothing is pruned.

    Days before the first one count as done. All is kept, so that a ledger can name each row. A
    second lane makes use of the time in which the echo server answers the first one; with one
    alone, the same faults meet the same indicators each time.
    """
    kept_days = world.days + 60
    return Settings(
        state_dir=state_dir,
        aggregation=Aggregation(not_before=str(world.first_day)),
        dacc=Dacc(url=url, rate=10000.0, concurrency=lanes),
        retention=Retention(events_days=kept_days, sent_days=kept_days),
    )


async def simulate(
    settings: Settings,
    world: World,
    *,
    restarts: Collection[date] = (),
    kills: Collection[date] = (),
    every_month: bool = True,
    twin: Twin | None = None,
    told: Callable[[SimulatedDay], None] = lambda _: None,
    troubles: Callable[[date], Awaitable[None]] | None = None,
    logger: "FilteringBoundLogger | None" = None,
) -> SimulationReport:
    """Let a worker live through a world, until all is sent to the echo server at `dacc.url`.

    On the days of `restarts` it is left and entered anew when the night has run and what it made
    waits for its moment; on those of `kills` the one that follows finds what a kill would leave
    behind then. With `every_month` the ledger is checked after each month, too. `twin` has the
    meters of the world; `fetched` makes settings for it. `told` is told of each day, and `troubles`
    may let something go wrong before one begins. Raises `TimeoutError` if the worker hangs, or if
    something is never sent.
    """
    assert twin is not None or not world.meters, "its meters are fetched from a twin"
    came = world.deliveries()
    first, last = came[0].day, came[-1].day
    ends = {*restarts, *kills}
    begins = [first, *sorted(day for day in ends if first < day <= last)]
    clock = SimulatedClock(instant_of_civil(datetime.combine(first, time()), settings.civil_zone))
    chance = random.Random(world.seed)
    diary = _Diary(told)
    for begin, end in pairwise([*begins, date.max]):
        async with Worker(settings, clock=clock, random=chance, logger=logger) as worker:
            fetching = None if twin is None else Fetching(worker, twin)
            life = _Life(worker, clock, diary, fetching, troubles, every_month=every_month)
            await life.live(item for item in came if begin <= item.day < end)
            left = _copied(settings.directory) if end in kills else None
            if end == date.max:
                await life.end(first, last)
        if left is not None:
            shutil.rmtree(settings.directory)
            left.rename(settings.directory)
    return SimulationReport(
        days=diary.days,
        runs=diary.runs,
        slots=diary.slots,
        ledgers=diary.ledgers,
        clock_changes=[item.day for item in came if _is_clock_change(item.day, settings)],
        leap_days=[item.day for item in came if (item.day.month, item.day.day) == (2, 29)],
        fetching=diary.fetching,
    )


class _Sums(Struct, frozen=True):
    """What was ever made and sent."""

    indicators: int = 0
    attempts: int = 0
    delivered: int = 0

    @classmethod
    def of(cls, status: Status) -> Self:
        """Read them from a status; what was pruned counts, too."""
        ever = [
            status.outbox[state] + status.removed.get(f"outbox.{state}", 0)
            for state in outbox.STATES
        ]
        return cls(sum(ever), status.attempts, ever[outbox.STATES.index("sent")])


class _Diary:
    """What was noted so far, whichever worker lives."""

    def __init__(self, told: Callable[[SimulatedDay], None]) -> None:
        self.days: list[SimulatedDay] = []
        self.ledgers: list[tuple[date, Ledger]] = []
        self.runs = 0
        self.slots: list[str] = []
        self.fetching: FetchingReport | None = None
        self._told = told
        self._came: tuple[date, int, int] | None = None
        self._before = _Sums()

    def note(self, day: date, accepted: int, known: int) -> None:
        """Note what came in on a day."""
        self._came = (day, accepted, known)

    def close(self, sums: _Sums) -> None:
        """Note what was made and sent until the noon after the last day that was noted."""
        if self._came is not None:
            day, accepted, known = self._came
            delivered = sums.delivered - self._before.delivered
            closed = SimulatedDay(
                day=day,
                accepted=accepted,
                known=known,
                indicators=sums.indicators - self._before.indicators,
                delivered=delivered,
                failed=sums.attempts - self._before.attempts - delivered,
            )
            self.days.append(closed)
            self._told(closed)
        self._came, self._before = None, sums


class _Life:
    """A worker from when it is entered until it is left."""

    def __init__(
        self,
        worker: Worker,
        clock: SimulatedClock,
        diary: _Diary,
        fetching: Fetching | None,
        troubles: Callable[[date], Awaitable[None]] | None,
        *,
        every_month: bool,
    ) -> None:
        self._worker = worker
        self._commands = Commands(worker)
        self._clock = clock
        self._diary = diary
        self._fetching = fetching
        self._troubles = troubles
        self._every_month = every_month

    async def live(self, came: Iterable[Delivery]) -> None:
        """Live through some days, and through the night's run after them."""
        await self._step(self._clock.now())
        for delivery in came:
            await self._live_day(delivery)
        await self._until(self._night)

    async def end(self, first: date, last: date) -> None:
        """Wait until all is sent, and reconcile; tell what was fetched from the first day on."""
        latest = self._clock.now() + _LONGEST_REST
        while self._worker.status().outbox["pending"]:
            if self._clock.now() > latest:
                raise TimeoutError(f"not all was sent: {self._worker.status().advice}")
            await self._step(self._due)
        self._diary.close(_Sums.of(self._worker.status()))
        await self._reconcile()
        read = self._worker.database.read
        self._diary.runs = await read(countings.runs)
        self._diary.slots = await read(slots.taken, Aggregator.JOB)
        if self._fetching is not None:
            self._diary.fetching = await self._fetching.report(first, last)

    async def _live_day(self, delivery: Delivery) -> None:
        if self._troubles is not None:
            await self._troubles(delivery.day)
        noon = self._moment(delivery.day, _NOON)
        evening = self._moment(delivery.day, _EVENING)
        await self._until(noon)
        self._diary.close(_Sums.of(self._worker.status()))
        early, late = _at_noon(delivery)
        came = await self._take(early)
        await self._commands.consumption_import(ask.ConsumptionImport(_lines(delivery.consumption)))
        await self._until(evening)
        came += await self._take(late)
        facts = ask.InstancesImport(_lines(delivery.facts))
        _check((await self._commands.instances_import(facts)).refused)
        if self._fetching is not None:
            await self._have_fetched(self._fetching, delivery)
        for household in delivery.left:
            await self._let_go(household)
        self._diary.note(delivery.day, came["accepted"], came["known"])
        if self._every_month and (delivery.day + _DAY).day == 1:
            await self._reconcile()

    async def _let_go(self, household: Household) -> None:
        if household.is_forgotten:
            await self._commands.instances_forget(household.name)
        else:
            await self._commands.instances_withdraw(household.name)

    async def _have_fetched(self, fetching: Fetching, delivery: Delivery) -> None:
        for instance, meter in delivery.added:
            await fetching.add(instance, meter)
        for meter in delivery.lost:
            await fetching.lose(meter)
        if delivery.added:  # their history is fetched before the night that counts
            moment = self._clock.now() + 30 * _SECOND
            await fetching.stand(moment)
            await self._step(moment)

    async def _take(self, events: list[dict[str, Any]]) -> Counter[str]:
        if not events:
            return Counter()
        report = await self._commands.events_import(ask.EventsImport(_lines(events)))
        _check(report.refused)
        return Counter(accepted=report.accepted, known=report.known)

    async def _reconcile(self) -> None:
        settings = self._worker.settings
        ledger = await self._commands.reconcile(ask.Reconcile(settings.dacc.url))
        today = self._clock.now().astimezone(settings.civil_zone).date()
        self._diary.ledgers.append((today, ledger))

    def _moment(self, day: date, at: time) -> datetime:
        return instant_of_civil(datetime.combine(day, at), self._worker.settings.civil_zone)

    @property
    def _night(self) -> datetime:
        night = self._worker.aggregator.next_due
        assert night is not None, "the aggregator does not rest"
        return night

    @property
    def _due(self) -> datetime:
        """When something is due next. The janitor goes its round whenever time comes so far."""
        sender = self._worker.sender.next_due
        if not self._worker.status().outbox["pending"]:
            sender = None
        visit = None if self._fetching is None else self._fetching.next_due
        soonest = self._clock.now() + _SECOND
        others = [max(due, soonest) for due in (sender, visit) if due is not None]
        return min([self._night, *others])

    async def _until(self, moment: datetime) -> None:
        """Let come what is due until a moment, and then the moment itself."""
        while self._due < moment:
            await self._step(self._due)
        if self._clock.now() < moment:
            await self._step(moment)

    async def _step(self, moment: datetime) -> None:
        if self._fetching is not None and self._fetching.is_due(moment):
            await self._fetching.stand(moment)
        # Intake waits by the machine's time, for callers.
        await self._clock.step_whole(moment, resting=len(self._worker.health()) - 1)


def _copied(directory: Path) -> Path:
    """Copy a state as it is on the disk, while its worker rests."""
    target = directory.with_name(f"{directory.name}.killed")
    shutil.copytree(directory, target)
    return target


def _at_noon(delivery: Delivery) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """Part the events of a day: those of its morning, or of a day before, and the others."""
    noon = f"{delivery.day}T{_NOON}"
    early = [event for event in delivery.events if event["eventDate"] < noon]
    return early, list(delivery.events[len(early) :])


def _check(refused: list[ask.LineRefusal]) -> None:
    assert not refused, f"{len(refused)} lines were refused, such as {refused[0]}"


def _lines(documents: Iterable[dict[str, Any]]) -> list[ask.Line]:
    return [ask.Line(n, msgspec.json.encode(item)) for n, item in enumerate(documents, 1)]


def _is_clock_change(day: date, settings: Settings) -> bool:
    begin, end = (
        datetime.combine(one, time(), settings.civil_zone).utcoffset() for one in (day, day + _DAY)
    )
    return begin != end
