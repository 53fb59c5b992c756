"""From a day's events, or a month's, to indicators: the pure functions around the measures.

`aggregate` stores what `count` and `count_month` give, `preview` prints it; neither adds to it.
"""

import math
import traceback
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from decimal import Decimal
from functools import partial
from typing import Literal, TypeVar

import msgspec
from msgspec import Struct

from ecolyo_worker.clock import day_of, day_start, day_text
from ecolyo_worker.events import END_TYPES, Event
from ecolyo_worker.indicators import OTHER, Definition, Definitions, Indicator, ValueTooLarge
from ecolyo_worker.measures.known import CONNECTED, DAILY, MONTHLY, check_fit
from ecolyo_worker.measures.period import (
    Day,
    End,
    EndKey,
    Facts,
    LeftOut,
    Measure,
    Month,
    Observation,
    end_key,
)

__all__ = [
    "Counted",
    "CountedMonth",
    "Fate",
    "Other",
    "Row",
    "Rules",
    "count",
    "count_connected",
    "count_month",
]

P = TypeVar("P", Day, Month)

Fate = Literal["counted", "expired", "imported", "unconsented", "failed"]


class Rules(Struct, frozen=True):
    """What counting goes by beside the events: the definitions and a few settings."""

    definitions: Definitions
    max_age_days: int = 31
    not_before: int | None = None
    """The civil day before which every day counts as done."""
    monthly_day: int = 6
    """From which day of the next month on a month is due."""
    daily: tuple[Measure[Day], ...] = DAILY
    monthly: tuple[Measure[Month], ...] = MONTHLY

    def __post_init__(self) -> None:
        """Raise `ConfigurationError` where the definitions and the measures do not fit."""
        check_fit(self.definitions, (*self.daily, CONNECTED), self.monthly)


class Other(Struct, frozen=True, gc=False):
    """A group value that the definitions do not allow: the group's key, and what came."""

    key: str
    found: str | None


class Row(Struct, frozen=True, gc=False):
    """One indicator, and its place among those of its measure, day and counting."""

    indicator: Indicator
    ordinal: int
    events: tuple[int, ...] = ()
    """The `seq` of each event it rests on."""
    others: tuple[Other, ...] = ()
    """What became `other` in it, each only once."""


_Checked = tuple[tuple[str, ...], int | Decimal, tuple[int, ...], tuple[Other, ...]]
"""Checked group values, the value, the events it rests on, and what is sent as `other`."""


class Counted(Struct, frozen=True):
    """What a counting gives: the rows, the facts after it, and what became of each event."""

    rows: tuple[Row, ...]
    facts: Facts
    fates: Mapping[int, Fate]
    """By `seq`."""
    errors: Mapping[int, str] = {}
    """Why an event failed, by `seq`."""
    others: Mapping[str, int] = {}
    """Group values that the definitions do not allow, sent as `other`: by `measure.key`."""
    too_large: tuple[str, ...] = ()
    """Measures of which a value was too large to be sent."""
    left_out: Mapping[str, tuple[LeftOut, ...]] = {}
    """By measure, what it looked at and did not count."""


class CountedMonth(Struct, frozen=True):
    """What counting a month gives; the fields are those of `Counted`."""

    rows: tuple[Row, ...]
    errors: Mapping[int, str] = {}
    """Why an event was left out as one that breaks a measure, by `seq`; 0 if none is to blame."""
    others: Mapping[str, int] = {}
    too_large: tuple[str, ...] = ()
    left_out: Mapping[str, tuple[LeftOut, ...]] = {}


def count(facts: Facts, events: Sequence[Event], as_of: int, rules: Rules) -> Counted:
    """Count one instance's events of one civil day, given in the order of events.

    `as_of` is the civil time of the run, in ms. What is older than the acceptance, counted
    elsewhere, or too old is not counted; an event that breaks a measure is set aside as failed.
    """
    fates = _fates(facts, events, as_of, rules)
    countable = tuple([event for event in events if fates[event.seq] == "counted"])

    def observe(events: tuple[Event, ...]) -> _Result:
        result = _Result(rules.definitions, day_text(countable[0].day) if countable else "")
        day = Day(facts, events)
        for measure in rules.daily if events else ():
            result.add(measure, measure.observe(day))
        return result

    result, errors = _observe_safely(countable, observe)
    fates |= dict.fromkeys(errors, "failed")
    return Counted(
        rows=tuple(result.rows),
        facts=_facts_after(facts, [event for event in countable if event.seq not in errors]),
        fates=fates,
        errors=errors,
        others=result.others,
        too_large=tuple(result.too_large),
        left_out=result.left_out,
    )


def count_connected(connected: tuple[str, ...], day: int, rules: Rules) -> tuple[Row, ...]:
    """Give the row of the konnectors connected at the end of a day; none if there are none."""
    observed = Day(Facts(acceptance=0), (), connected)
    result = _Result(rules.definitions, day_text(day))
    result.add(CONNECTED, CONNECTED.observe(observed))
    return tuple(result.rows)


def count_month(month: Month, rules: Rules) -> CountedMonth:
    """Count one instance's civil month; none of its events gets another fate by that.

    A measure that breaks takes no other along: it is made without the event that breaks it, or not
    at all if there is none.
    """
    read = {event.seq: event for event in (*month.events, *month.ever)}
    ordered = tuple(sorted(read.values(), key=lambda event: event.order))
    result = _Result(rules.definitions, day_text(month.days.start))
    errors: dict[int, str] = {}
    for measure in rules.monthly:
        observe = partial(_observe_month, measure, month, rules, len(ordered))
        try:
            made, broken = _observe_safely(ordered, observe)
        except Exception as error:  # noqa: BLE001  a measure's bug that no event is to blame for
            errors.setdefault(0, _trace(error))
        else:
            result.take(made)
            errors = broken | errors
    return CountedMonth(
        rows=tuple(result.rows),
        errors=errors,
        others=result.others,
        too_large=tuple(result.too_large),
        left_out=result.left_out,
    )


def _observe_month(
    measure: Measure[Month], month: Month, rules: Rules, all_: int, events: tuple[Event, ...]
) -> "_Result":
    """Make the rows of one measure of a month, of these of `all_` its events only."""
    if len(events) < all_:
        kept = {event.seq for event in events}
        month = msgspec.structs.replace(
            month,
            events=tuple(event for event in month.events if event.seq in kept),
            ever=tuple(event for event in month.ever if event.seq in kept),
        )
    result = _Result(rules.definitions, day_text(month.days.start))
    result.add(measure, measure.observe(month))
    return result


class _Result:
    """Rows being made."""

    def __init__(self, definitions: Definitions, start_date: str) -> None:
        self._definitions = definitions
        self._start_date = start_date
        self.rows: list[Row] = []
        self.others: Counter[str] = Counter()
        self.too_large: list[str] = []
        self.left_out: dict[str, tuple[LeftOut, ...]] = {}

    def add(self, measure: Measure[P], observed: Iterable[Observation | LeftOut]) -> None:
        """Add the rows of one measure; none if the definitions do not have it."""
        name = measure.name
        if name not in self._definitions:
            return
        left_out: list[LeftOut] = []
        checked = self._checked(name, observed, left_out)
        values = _sums(checked) if self._definitions[name].rows == "count" else checked
        for ordinal, (groups, value, events, others) in enumerate(values):
            try:
                indicator = self._definitions.indicator(name, self._start_date, value, groups)
            except ValueTooLarge:
                self.too_large.append(name)
                reason = f"its value, {value}, is too large to be sent: 1e10 or more"
                left_out += [LeftOut(event, reason) for event in events or (None,)]
            else:
                self.rows.append(Row(indicator, ordinal, events, others))
        if left_out:
            self.left_out[name] = tuple(left_out)

    def take(self, other: "_Result") -> None:
        """Add what another one came to."""
        self.rows += other.rows
        self.others += other.others
        self.too_large += other.too_large
        self.left_out |= other.left_out

    def _checked(
        self, measure: str, observed: Iterable[Observation | LeftOut], left_out: list[LeftOut]
    ) -> Iterator[_Checked]:
        allowed = self._definitions.allowed
        for seen in observed:
            if type(seen) is Observation:
                groups = allowed(measure, seen.groups)
                others: tuple[Other, ...] = ()
                if OTHER in groups:
                    others = _others(self._definitions[measure], seen.groups, groups)
                    self.others.update(f"{measure}.{other.key}" for other in others)
                yield groups, seen.value, seen.events, others
            elif type(seen) is LeftOut:
                left_out.append(seen)


def _others(
    definition: Definition, found: Sequence[str | None], checked: Sequence[str]
) -> tuple[Other, ...]:
    groups = zip(definition.groups, found, checked, strict=True)
    return tuple(Other(rule.key, came) for rule, came, text in groups if text == OTHER)


def _sums(observed: Iterable[_Checked]) -> Iterator[_Checked]:
    """Add up what has equal groups, in the order in which the groups were first seen."""
    sums: dict[tuple[str, ...], int] = {}
    seen: dict[tuple[str, ...], list[int]] = {}
    odd: dict[tuple[str, ...], dict[Other, None]] = {}
    for groups, value, events, others in observed:
        if groups in sums:
            sums[groups] += int(value)
            seen[groups] += events
        else:
            sums[groups] = int(value)
            seen[groups] = [*events]
        if others:
            odd.setdefault(groups, {}).update(dict.fromkeys(others))
    for groups, total in sums.items():
        yield groups, total, tuple(seen[groups]), tuple(odd.get(groups, ()))


def _observe_safely(
    events: tuple[Event, ...], observe: Callable[[tuple[Event, ...]], _Result]
) -> tuple[_Result, dict[int, str]]:
    """Observe a period without the events that break a measure; give their errors by `seq`.

    Raises what a measure raises without any event.
    """
    errors: dict[int, str] = {}
    while True:
        try:
            return observe(events), errors
        except Exception as error:
            # A measure's bug must cost one event, not a night.
            if not events:
                raise
            if not errors:
                observe(())  # raises where no event is to blame
            culprit, cause = _culprit(events, observe, error)
            errors[culprit.seq] = _trace(cause)
            events = tuple(event for event in events if event is not culprit)


def _trace(error: Exception) -> str:
    return "".join(traceback.format_exception(error))[-2000:]


def _fates(facts: Facts, events: Sequence[Event], as_of: int, rules: Rules) -> dict[int, Fate]:
    fates: dict[int, Fate] = {}
    begin = -math.inf if rules.not_before is None else day_start(rules.not_before)
    fresh = day_start(day_of(as_of) - rules.max_age_days)
    if facts.removed_through is not None:
        fresh = max(fresh, day_start(facts.removed_through + 1))
    for event in events:
        time = event.time
        if event.aggregated or time < begin:
            fates[event.seq] = "imported"
        elif time < facts.acceptance:
            fates[event.seq] = "unconsented"
        elif time < fresh:
            fates[event.seq] = "expired"
        else:
            fates[event.seq] = "counted"
    return fates


def _culprit(
    events: tuple[Event, ...],
    observe: Callable[[tuple[Event, ...]], _Result],
    cause: Exception,
) -> tuple[Event, Exception]:
    """Find the event that breaks a measure: the last one of the shortest period that fails.

    Give the error of that period too: the whole one's, `cause`, may be another event's.
    """
    low, high = 0, len(events)
    while high - low > 1:
        middle = (low + high) // 2
        try:
            observe(events[:middle])
        except Exception as error:  # noqa: BLE001  looked for: the caller keeps the error
            high, cause = middle, error
        else:
            low = middle
    return events[high - 1], cause


def _facts_after(facts: Facts, counted: Sequence[Event]) -> Facts:
    """Give the facts after these events were counted: which ends, and the first challenge."""
    ends: dict[EndKey, End] = {}
    launch_row = facts.launch_row
    for event in counted:
        kind = event.type
        if kind == "ChallengeLaunchEvent" and launch_row is None:
            is_first = facts.first_launch == event.order and facts.first_connection is not None
            launch_row = event.seq if is_first else None
        if kind not in END_TYPES or event.start is None:
            continue
        key = end_key(event)
        known = ends.get(key) or facts.ends.get(key) or End(event.order)
        row = event.seq if known.row is None and facts.may_make_row(event) else known.row
        ends[key] = End(known.first, known.counted or event.seq, row)
    if not ends and launch_row == facts.launch_row:
        return facts
    return msgspec.structs.replace(facts, ends={**facts.ends, **ends}, launch_row=launch_row)
