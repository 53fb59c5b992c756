"""The nights of some instances: what a run makes of their days and months, and how it is stored."""

import sqlite3
from collections.abc import Collection, Iterator, Mapping, Sequence, Set
from functools import partial
from itertools import accumulate, islice
from zoneinfo import ZoneInfo

from msgspec import Struct

from ecolyo_worker.clock import DAY_MS, day_of, day_start, day_text, month_days
from ecolyo_worker.crashpoints import reach
from ecolyo_worker.events import Event
from ecolyo_worker.facts import acceptance
from ecolyo_worker.measures import (
    Counted,
    CountedMonth,
    End,
    EndKey,
    Facts,
    Row,
    Rules,
    count,
    count_connected,
    count_month,
)
from ecolyo_worker.measures.devices import unseen
from ecolyo_worker.store import countings, instances, months, outbox, restoring
from ecolyo_worker.store.countings import DayCounting, WaitingDay
from ecolyo_worker.store.instances import Instance
from ecolyo_worker.store.months import MonthCounting

__all__ = [
    "InstanceNight",
    "Plan",
    "UnseenDevices",
    "Without",
    "count_nights",
    "store_nights",
]

_Loaded = Iterator[tuple[WaitingDay, list[Event], dict[EndKey, End]]]


class UnseenDevices(Exception):
    """Some events name browsers that must be classified first, outside the transaction."""

    def __init__(self, names: Set[str]) -> None:
        """`names` are those that are not known yet."""
        super().__init__(f"{len(names)} names of browsers are not classified yet")
        self.names = names


class Plan(Struct, frozen=True, kw_only=True):
    """What a run looks at. `as_of` is civil time, in ms."""

    as_of: int
    rules: Rules
    consent_version: str
    zone: ZoneInfo
    day: int | None = None
    """The civil day that is chosen."""
    month: int | None = None
    """The civil month that is chosen."""
    instance: str | None = None
    """The name of the one instance that is chosen."""
    due: int = 0
    """When its rows are due, in ms of UTC; 0 is at once."""

    @property
    def is_whole(self) -> bool:
        """Whether nothing is chosen, so that all is done."""
        return self.day is None and self.month is None

    def wants_day(self, day: int) -> bool:
        """Tell whether a civil day is to be counted."""
        return self.is_whole or self.day == day

    def wants_month(self, month: int) -> bool:
        """Tell whether a civil month is to be counted."""
        return self.is_whole or self.month == month


class InstanceNight(Struct, frozen=True):
    """All that a run makes of one instance."""

    instance: Instance
    countings: tuple[DayCounting, ...]
    connected: tuple[tuple[int, Sequence[Row]], ...]
    """The civil days of which a connected row is made, and that row."""
    months: tuple[MonthCounting, ...]

    @property
    def rows(self) -> Iterator[Row]:
        """Its rows, in the order of the days; those of a month come first on its first day."""
        found: list[tuple[int, Sequence[Row]]] = [
            (month_days(item.month).start, item.counted.rows) for item in self.months
        ]
        found += [(counting.day, counting.counted.rows) for counting in self.countings]
        for _, rows in sorted([*found, *self.connected], key=lambda item: item[0]):
            yield from rows

    @property
    def errors(self) -> Iterator[tuple[int, str]]:
        """Each event that broke a measure, by `seq`, and how."""
        for counted in self._counted:
            yield from counted.errors.items()

    @property
    def too_large(self) -> Iterator[str]:
        """The measure of each value that was too large to be sent."""
        for counted in self._counted:
            yield from counted.too_large

    @property
    def launch_row(self) -> int | None:
        """The `seq` of the launch that makes the row from the first connection, after this."""
        if not self.countings:
            return self.instance.launch_row
        return self.countings[-1].counted.facts.launch_row

    @property
    def is_launch_row_new(self) -> bool:
        """Whether the launch that makes that row was not known before."""
        return self.launch_row != self.instance.launch_row

    @property
    def _counted(self) -> list[Counted | CountedMonth]:
        return [item.counted for item in self.countings] + [item.counted for item in self.months]


class Without(Struct, frozen=True):
    """An instance of which nothing is counted, for no consent is in force."""

    is_waiting: bool
    """Whether events wait for one."""


def count_nights(
    connection: sqlite3.Connection,
    ids: Sequence[int],
    plan: Plan,
    most_events: int = 0,
    learned: Collection[str] | None = None,
) -> Iterator[InstanceNight | Without]:
    """Count the waiting days and then the due months of some instances, one after the other.

    It ends before the one with whom there would be more events, unless that is the first one.
    Raises `UnseenDevices` before counting events that name such, but for those in `learned`; with
    None they are classified as they come.
    """
    waiting = countings.waiting(connection, ids, day_of(plan.as_of))
    ids = _with_events(ids, waiting, most_events)
    people = instances.get_all(connection, ids)
    accepted = {
        person.id: moment for person in people if (moment := _acceptance(person, plan)) is not None
    }
    days = {
        ident: [day for day in found if plan.wants_day(day.day)]
        for ident, found in waiting.items()
        if ident in accepted
    }
    ordered = (day for person in people for day in days.get(person.id, ()))
    loaded = countings.with_events(connection, ordered)
    if learned is not None:
        loaded = _classified(loaded, learned)
    connected = _count_connected(connection, people, accepted, plan)
    done = months.done(connection, ids, plan.as_of)
    for person in people:
        if (moment := accepted.get(person.id)) is None:
            yield Without(is_waiting=person.id in waiting)
            continue
        mine = islice(loaded, len(days.get(person.id, ())))
        due = months.due(person, done.get(person.id, ()), plan.as_of, plan.rules)
        yield InstanceNight(
            instance=person,
            countings=tuple(_count_days(person, moment, plan, mine)),
            connected=connected[person.id],
            months=tuple(_count_months(connection, person, moment, plan, due)),
        )


def store_nights(
    connection: sqlite3.Connection,
    nights: Sequence[InstanceNight],
    plan: Plan,
    run: int,
    sink: outbox.Sink,
) -> None:
    """Store all that a run made of some instances."""
    if not nights:
        return
    restored = restoring.restored_on(connection)
    rows = [row for night in nights for row in _new_rows(night, restored)]
    outbox.insert(connection, rows, sink)
    countings.store(
        connection, [(night.instance, item) for night in nights for item in night.countings], run
    )
    countings.note_connected(
        connection, [row for night in nights for _, rows in night.connected for row in rows]
    )
    reach("aggregation.storing")
    months.store(
        connection, [(night.instance, item) for night in nights for item in night.months], run
    )
    instances.note_run(
        connection,
        [night.instance.id for night in nights],
        day_of(plan.as_of) - 1 if plan.is_whole else None,
        months.first(plan.as_of),
        {night.instance.id: night.launch_row for night in nights if night.is_launch_row_new},
    )


def _new_rows(night: InstanceNight, restored: int) -> Iterator[outbox.NewRow]:
    """Give the rows of one instance: in this order, however a run is cut into batches.

    What ended before a backup was put back may have been counted and sent after it was made.
    """
    new_rows = partial(countings.new_rows, night.instance)
    for item in night.countings:
        yield from new_rows(item.counted.rows, item.n, is_doubtful=item.day < restored)
    for day, rows in night.connected:
        yield from new_rows(rows, 0, is_doubtful=day < restored)
    for month in night.months:
        ended = month_days(month.month).stop <= restored
        yield from new_rows(month.counted.rows, 0, is_doubtful=ended)


def _with_events(
    ids: Sequence[int], waiting: Mapping[int, Sequence[WaitingDay]], most: int
) -> Sequence[int]:
    """Give as many of the instances as have no more waiting events than this, at least one."""
    found = accumulate(sum(day.events for day in waiting.get(ident, ())) for ident in ids)
    return ids[: max(sum(number <= most for number in found), 1)]


def _acceptance(person: Instance, plan: Plan) -> int | None:
    return acceptance(person.consents, person.withdrawn_through, plan.as_of, plan.consent_version)


def _classified(loaded: _Loaded, learned: Collection[str]) -> _Loaded:
    """Let only events pass whose devices a measure needs but look up."""
    for day, found, ends in loaded:
        names = unseen([one.context for one in found if one.type == "ConnectionEvent"])
        if names := names.difference(learned):
            raise UnseenDevices(names)
        yield day, found, ends


def _count_months(
    connection: sqlite3.Connection,
    instance: Instance,
    accepted: int,
    plan: Plan,
    due: Iterator[int],
) -> Iterator[MonthCounting]:
    facts = Facts(acceptance=accepted, first_connection=instance.first_connection(plan.as_of))
    for month in due:
        if not plan.wants_month(month):
            continue
        if day_start(month_days(month).stop) <= accepted:
            yield MonthCounting(month, facts, CountedMonth(rows=()))  # it is done, without a row
            continue
        found = months.month_of_instance(connection, instance, facts, month, plan.zone)
        yield MonthCounting(month, facts, count_month(found, plan.rules))


def _count_days(
    instance: Instance, accepted: int, plan: Plan, loaded: _Loaded
) -> Iterator[DayCounting]:
    # What one day's counting finds out holds for the next one, stored or not.
    known: dict[EndKey, End] = {}
    launch_row = instance.launch_row
    for day, found, ends in loaded:
        facts = Facts(
            acceptance=accepted,
            first_connection=instance.first_connection(plan.as_of),
            first_launch=instance.first_launch,
            launch_row=launch_row,
            removed_through=instance.removed_through,
            ends={key: known.get(key, end) for key, end in ends.items()},
            is_supplement=day.n > 0,
        )
        counted = count(facts, found, plan.as_of, plan.rules)
        known.update(counted.facts.ends)
        launch_row = counted.facts.launch_row
        yield DayCounting(
            day=day.day,
            n=day.n,
            after_seq=day.after_seq,
            upto_seq=day.upto_seq,
            aggregated=[event.aggregated for event in found].count(True),
            first_connection=facts.first_connection,
            counted=counted,
        )


def _count_connected(
    connection: sqlite3.Connection,
    people: Sequence[Instance],
    accepted: Mapping[int, int],
    plan: Plan,
) -> dict[int, tuple[tuple[int, Sequence[Row]], ...]]:
    """Make the connected rows of the days since each instance's last run, by instance."""
    made = {
        person.id: tuple(_connected(person, accepted[person.id], plan))
        for person in people
        if person.id in accepted
    }
    keys = {
        (person.id, day): countings.connected_key(person, day_text(day))
        for person in people
        for day, _ in made.get(person.id, ())
    }
    # A day chosen by hand may have been made before its turn.
    there = outbox.known_keys(connection, list(keys.values())) if keys else set()
    return {
        ident: tuple((day, rows) for day, rows in found if keys[ident, day] not in there)
        for ident, found in made.items()
    }


def _connected(
    instance: Instance, accepted: int, plan: Plan
) -> Iterator[tuple[int, Sequence[Row]]]:
    today = day_of(plan.as_of)
    begins = [day_of(accepted), today - plan.rules.max_age_days, plan.rules.not_before]
    if instance.connected_through is not None:
        begins.append(instance.connected_through + 1)
    for day in range(max(begin for begin in begins if begin is not None), today):
        fluids = instance.connected((day + 1) * DAY_MS) if plan.wants_day(day) else ()
        rows = count_connected(fluids, day, plan.rules) if fluids else ()
        if rows:
            yield day, rows
