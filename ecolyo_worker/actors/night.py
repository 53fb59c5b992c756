"""A night of one instance: what a run makes of its days and months, before anything is stored."""

import sqlite3
from collections.abc import Iterator, Sequence
from zoneinfo import ZoneInfo

import msgspec
from msgspec import Struct

from ecolyo_worker.clock import DAY_MS, day_of, day_start, day_text, month_days
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
from ecolyo_worker.store import countings, events, instances, months, outbox
from ecolyo_worker.store.countings import DayCounting
from ecolyo_worker.store.instances import Instance
from ecolyo_worker.store.months import MonthCounting

__all__ = ["InstanceNight", "Plan", "count_instance", "store_night"]


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
    connected_through: int | None
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
    def _counted(self) -> list[Counted | CountedMonth]:
        return [item.counted for item in self.countings] + [item.counted for item in self.months]


def count_instance(connection: sqlite3.Connection, ident: int, plan: Plan) -> InstanceNight | None:
    """Count one instance's waiting days, then its due months; None without a consent in force."""
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
        months=tuple(_count_months(connection, instance, accepted, plan)),
    )


def store_night(
    connection: sqlite3.Connection, night: InstanceNight, plan: Plan, run: int, sink: outbox.Sink
) -> None:
    """Store all that a run made of one instance."""
    for counting in night.countings:
        countings.store_counting(connection, night.instance, counting, run, sink)
    countings.store_connected(
        connection, night.instance, night.connected, night.connected_through, sink
    )
    if night.instance.months_from is None:
        months.begin_months(connection, night.instance.id, plan.as_of)
    for item in night.months:
        months.store_month(connection, night.instance, item, run, sink)


def _count_months(
    connection: sqlite3.Connection, instance: Instance, accepted: int, plan: Plan
) -> Iterator[MonthCounting]:
    facts = Facts(acceptance=accepted, first_connection=instance.first_connection(plan.as_of))
    for month in months.due(connection, instance, plan.as_of, plan.rules):
        if not plan.wants_month(month):
            continue
        if day_start(month_days(month).stop) <= accepted:
            yield MonthCounting(month, facts, CountedMonth(rows=()))  # it is done, without a row
            continue
        found = months.month_of_instance(connection, instance, facts, month, plan.zone)
        yield MonthCounting(month, facts, count_month(found, plan.rules))


def _count_days(
    connection: sqlite3.Connection, instance: Instance, accepted: int, plan: Plan
) -> Iterator[DayCounting]:
    # What one day's counting finds out holds for the next one, stored or not.
    ends: dict[EndKey, End] = {}
    launch_row = instance.launch_row
    for day in countings.waiting_days(connection, instance.id, day_of(plan.as_of)):
        if not plan.wants_day(day):
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
        if not plan.wants_day(day):
            continue
        rows = count_connected(instance.connected((day + 1) * DAY_MS), day, plan.rules)
        # A day chosen by hand may have been made before its turn.
        if rows and not _is_made(connection, instance, day):
            made.append((day, rows))
    return made, today - 1 if plan.is_whole else None


def _is_made(connection: sqlite3.Connection, instance: Instance, day: int) -> bool:
    return outbox.has_key(connection, countings.connected_key(instance, day_text(day)))
