"""From a day's events to its indicators: the one pure function around the measures.

`aggregate` stores what `count` gives, `preview` prints it; neither adds to it.
"""

import traceback
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from decimal import Decimal
from typing import Literal

import msgspec
from msgspec import Struct

from ecolyo_worker.clock import day_of, day_text
from ecolyo_worker.errors import ConfigurationError
from ecolyo_worker.events import END_TYPES, Event
from ecolyo_worker.indicators import OTHER, Definition, Definitions, Indicator, ValueTooLarge
from ecolyo_worker.measures.daily import CONNECTED, DAILY
from ecolyo_worker.measures.period import Day, End, EndKey, Facts, Measure, Observation, end_key

__all__ = ["Counted", "Fate", "Row", "Rules", "count", "count_connected"]

Fate = Literal["counted", "expired", "imported", "unconsented", "failed"]


class Rules(Struct, frozen=True):
    """What counting goes by beside the events: the definitions and a few settings."""

    definitions: Definitions
    max_age_days: int = 31
    not_before: int | None = None
    """The civil day before which every day counts as done."""
    measures: tuple[Measure, ...] = DAILY

    def __post_init__(self) -> None:
        """Raise `ConfigurationError` where the definitions and the measures do not fit."""
        for measure in (*self.measures, CONNECTED):
            if measure.name in self.definitions:
                found = len(self.definitions[measure.name].groups)
                if found != measure.groups:
                    raise ConfigurationError(
                        f"{measure.name}: its definition has {found} groups, "
                        f"the measure gives {measure.groups}"
                    )


class Row(Struct, frozen=True):
    """One indicator, and its place among those of its measure, day and counting."""

    indicator: Indicator
    ordinal: int


class Counted(Struct, frozen=True):
    """What a counting gives: the rows, the facts after it, and what became of each event."""

    rows: tuple[Row, ...]
    facts: Facts
    fates: Mapping[int, Fate]
    """By `seq`."""
    errors: Mapping[int, str] = {}
    """Why an event failed, by `seq`."""
    others: int = 0
    """Group values that the definitions do not allow, sent as `other`."""
    too_large: tuple[str, ...] = ()
    """Measures of which a value was too large to be sent."""


def count(facts: Facts, events: Sequence[Event], as_of: int, rules: Rules) -> Counted:
    """Count one instance's events of one civil day, given in the order of events.

    `as_of` is the civil time of the run, in ms. What is older than the acceptance, counted
    elsewhere, or too old is not counted; an event that breaks a measure is set aside as failed.
    """
    fates = _fates(facts, events, as_of, rules)
    countable = tuple(event for event in events if fates[event.seq] == "counted")
    result, errors = _observe_safely(facts, countable, rules)
    fates |= dict.fromkeys(errors, "failed")
    return Counted(
        rows=tuple(result.rows),
        facts=_facts_after(facts, [event for event in countable if event.seq not in errors]),
        fates=fates,
        errors=errors,
        others=result.others,
        too_large=tuple(result.too_large),
    )


def count_connected(connected: tuple[str, ...], day: int, rules: Rules) -> tuple[Row, ...]:
    """Give the row of the konnectors connected at the end of a day; none if there are none."""
    observed = Day(Facts(acceptance=0), (), connected)
    result = _Result()
    result.add(CONNECTED, CONNECTED.observe(observed), day_text(day), rules.definitions)
    return tuple(result.rows)


class _Result:
    """Rows being made."""

    def __init__(self) -> None:
        self.rows: list[Row] = []
        self.others = 0
        self.too_large: list[str] = []

    def add(
        self,
        measure: Measure,
        observations: Iterable[Observation],
        start_date: str,
        definitions: Definitions,
    ) -> None:
        """Add the rows of one measure; none if the definitions do not have it."""
        if measure.name not in definitions:
            return
        definition = definitions[measure.name]
        checked = self._checked(definition, observations)
        values = _sums(checked) if definition.rows == "count" else checked
        for ordinal, (groups, value) in enumerate(values):
            try:
                indicator = definitions.indicator(measure.name, start_date, value, groups)
            except ValueTooLarge:
                self.too_large.append(measure.name)
            else:
                self.rows.append(Row(indicator, ordinal))

    def _checked(
        self, definition: Definition, observations: Iterable[Observation]
    ) -> list[tuple[tuple[str, ...], int | Decimal]]:
        checked = []
        for seen in observations:
            groups = definition.check(seen.groups)
            self.others += groups.count(OTHER)
            checked.append((groups, seen.value))
        return checked


def _sums(
    observed: Iterable[tuple[tuple[str, ...], int | Decimal]],
) -> list[tuple[tuple[str, ...], int | Decimal]]:
    """Add up what has equal groups, in the order in which the groups were first seen."""
    sums: Counter[tuple[str, ...]] = Counter()
    for groups, value in observed:
        sums[groups] += int(value)
    return list(sums.items())


def _observe_safely(
    facts: Facts, events: tuple[Event, ...], rules: Rules
) -> tuple[_Result, dict[int, str]]:
    """Observe a day without the events that break a measure; give their errors by `seq`."""
    errors: dict[int, str] = {}
    while events:
        try:
            return _observe_all(Day(facts, events), rules), errors
        except Exception as error:  # noqa: BLE001  a measure's bug must cost one event, not a night
            culprit, cause = _culprit(facts, events, rules, error)
            errors[culprit.seq] = "".join(traceback.format_exception(cause))[-2000:]
            events = tuple(event for event in events if event is not culprit)
    return _Result(), errors


def _observe_all(day: Day, rules: Rules) -> _Result:
    result = _Result()
    start_date = day_text(day.events[0].day)
    for measure in rules.measures:
        result.add(measure, measure.observe(day), start_date, rules.definitions)
    return result


def _fates(facts: Facts, events: Sequence[Event], as_of: int, rules: Rules) -> dict[int, Fate]:
    fates: dict[int, Fate] = {}
    for event in events:
        if event.aggregated or (rules.not_before is not None and event.day < rules.not_before):
            fates[event.seq] = "imported"
        elif event.time < facts.acceptance:
            fates[event.seq] = "unconsented"
        elif day_of(as_of) - event.day > rules.max_age_days:
            fates[event.seq] = "expired"
        else:
            fates[event.seq] = "counted"
    return fates


def _culprit(
    facts: Facts, events: tuple[Event, ...], rules: Rules, cause: Exception
) -> tuple[Event, Exception]:
    """Find the event that breaks a measure: the last one of the shortest day that fails.

    Give the error of that day too: the whole day's, `cause`, may be another event's.
    """
    low, high = 0, len(events)
    while high - low > 1:
        middle = (low + high) // 2
        try:
            _observe_all(Day(facts, events[:middle]), rules)
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
        if event.type == "ChallengeLaunchEvent" and launch_row is None:
            is_first = facts.first_launch == event.order and facts.first_connection is not None
            launch_row = event.seq if is_first else None
        if event.start is None or event.type not in END_TYPES:
            continue
        key = end_key(event)
        known = ends.get(key) or facts.ends.get(key) or End(event.order)
        row = event.seq if known.row is None and facts.may_make_row(event) else known.row
        ends[key] = End(known.first, known.counted or event.seq, row)
    if not ends and launch_row == facts.launch_row:
        return facts
    return msgspec.structs.replace(facts, ends={**facts.ends, **ends}, launch_row=launch_row)
