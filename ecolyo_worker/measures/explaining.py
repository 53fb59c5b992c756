"""What a measure made of a counting, event by event: what is in a row, what is not, and why.

It reads what `count` and `count_month` gave, so it cannot tell anything else than they did.
"""

from collections.abc import Callable, Iterable, Mapping
from decimal import Decimal
from typing import Literal

from msgspec import Struct

from ecolyo_worker.clock import civil_text, day_of, day_text, month_days, month_of, month_text
from ecolyo_worker.events import Event
from ecolyo_worker.facts import FLUIDS
from ecolyo_worker.indicators import ARITHMETIC
from ecolyo_worker.measures.counting import Counted, CountedMonth, Fate, Row, Rules
from ecolyo_worker.measures.period import Consumption, Month

__all__ = [
    "Absent",
    "Explained",
    "explain_day",
    "explain_month",
    "facts_of_month",
    "why_not_counted",
]

_UNITS = {"electricity": "kWh", "gas": "kWh", "water": "litres"}

Kind = Literal["fate", "rule", "type"]


class Absent(Struct, frozen=True):
    """An event that is in no row of a measure."""

    event: Event
    reason: str
    kind: Kind
    """Whether no measure counts it, this measure's rule leaves it out, or its type is no matter."""


class Explained(Struct, frozen=True):
    """One measure's part of a counting. Every event is in a row or absent."""

    rows: tuple[tuple[Row, tuple[Event, ...]], ...]
    """Each row, with the events it rests on."""
    absent: tuple[Absent, ...]
    missing: tuple[str, ...]
    """Why there is no row, or one less, for another reason than an event."""


def explain_day(
    measure: str, counted: Counted, events: Iterable[Event], as_of: int, rules: Rules
) -> Explained:
    """Explain a measure's part of a day's counting; `events` are those it was given."""

    def fate(event: Event) -> str | None:
        return why_not_counted(event, counted, as_of, rules)

    return _explain(measure, counted, tuple(events), (), fate)


def explain_month(measure: str, counted: CountedMonth, month: Month) -> Explained:
    """Explain a measure's part of a month's counting."""

    def fate(event: Event) -> str | None:
        return _broke(counted.errors[event.seq]) if event.seq in counted.errors else None

    return _explain(measure, counted, month.events, month.ever, fate)


def why_not_counted(event: Event, counted: Counted, as_of: int, rules: Rules) -> str | None:
    """Say why no measure counts an event, with the dates; None if it is counted.

    `as_of` is the civil time of the run, in ms.
    """
    fate: Fate = counted.fates[event.seq]
    day, run = day_text(event.day), day_text(day_of(as_of))
    if fate == "counted":
        return None
    if fate == "failed":
        return _broke(counted.errors[event.seq])
    if fate == "unconsented":
        return (
            f"it is older than the acceptance of the terms, {civil_text(counted.facts.acceptance)}"
        )
    if fate == "expired":
        age = day_of(as_of) - event.day
        if age <= rules.max_age_days:
            return (
                f"it expired: events of {day} were counted and removed since, by retention or a"
                " withdrawal, and it may be one of them that came again"
            )
        return (
            f"it expired: {day} lies {age} days before the run of {run}, and"
            f" aggregation.max_age_days is {rules.max_age_days}"
        )
    if event.aggregated:
        return "it came with `aggregated`: it was counted elsewhere"
    limit = "" if rules.not_before is None else f", {day_text(rules.not_before)}"
    return f"{day} lies before aggregation.not_before{limit}, so it counts as done"


def facts_of_month(measure: str, month: Month) -> list[str]:
    """Say on what a measure rests beside events, in words."""
    return _FACTS[measure](month) if measure in _FACTS else []


def _explain(
    measure: str,
    counted: Counted | CountedMonth,
    events: tuple[Event, ...],
    earlier: tuple[Event, ...],
    fate: Callable[[Event], str | None],
) -> Explained:
    known = {event.seq: event for event in (*earlier, *events)}
    rows = [row for row in counted.rows if row.indicator.measure_name == measure]
    left_out = counted.left_out.get(measure, ())
    reasons = {item.event: item.reason for item in left_out if item.event is not None}
    present = {seq for row in rows for seq in row.events}
    # Of earlier months only what was looked at is worth a word.
    looked_at = {event.seq: event for event in events} | {
        event.seq: event for event in earlier if event.seq in reasons
    }
    ordered = sorted(looked_at.values(), key=lambda event: event.order)
    return Explained(
        rows=tuple((row, tuple(known[seq] for seq in row.events)) for row in rows),
        absent=tuple(_absent(one, reasons, fate) for one in ordered if one.seq not in present),
        missing=tuple(item.reason for item in left_out if item.event is None),
    )


def _absent(
    event: Event, reasons: Mapping[int, str], fate: Callable[[Event], str | None]
) -> Absent:
    if (reason := fate(event)) is not None:
        return Absent(event, reason, "fate")
    if event.seq in reasons:
        return Absent(event, reasons[event.seq], "rule")
    return Absent(event, f"the measure does not look at {event.type}", "type")


def _broke(error: str) -> str:
    lines = error.strip().splitlines() or ["for an unknown reason"]
    return f"it broke a measure and was set aside, which is a bug of ours: {lines[-1]}"


def _consumption(month: Month) -> list[str]:
    first = month.facts.first_connection
    uses = ", ".join(
        f"{use.replace('_', ' ')} by {fluid}"
        for use in ("cooking", "heating", "hot_water")
        if (fluid := getattr(month.profile, use)) is not None
    )
    return [
        f"first connection: {'unknown' if first is None else civil_text(first)}",
        *(_two_months(month, fluid) for fluid in FLUIDS),
        f"profile: {uses or 'unknown'}",
    ]


def _two_months(month: Month, fluid: str) -> str:
    sides = (
        (month.days_before, month.consumption_before),
        (month.days, month.consumption),
    )
    texts = []
    for days, by_fluid in sides:
        found = by_fluid.get(fluid, Consumption())
        name = month_text(month_of(days.start))
        texts.append(
            f"{name} {ARITHMETIC.divide(Decimal(found.total), 1000):f} {_UNITS[fluid]}"
            f" on {found.days} of {len(days)} days"
        )
    return f"{fluid}: {', '.join(texts)}"


def _subscription(month: Month) -> list[str]:
    known = {True: "yes", False: "no", None: "never said"}[month.subscribed]
    end = day_text(month_days(month.number).stop - 1)
    return [f"subscribed to the monthly summary at the end of {end}: {known}"]


def _half_hours(month: Month) -> list[str]:
    known = "yes" if month.has_half_hours else "no"
    return [f"a half-hour value of electricity begins in {month_text(month.number)}: {known}"]


_FACTS: Mapping[str, Callable[[Month], list[str]]] = {
    "consumption-variation-monthly": _consumption,
    "summary-subscription-monthly": _subscription,
    "fluid-data-granularity-monthly": _half_hours,
}
