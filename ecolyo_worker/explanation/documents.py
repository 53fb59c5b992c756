"""What an explanation consists of. Days and times are civil time as text, as in the commands."""

from typing import Any

from msgspec import Raw, Struct

__all__ = [
    "AbsentEvent",
    "EventExplanation",
    "EventRow",
    "ExplainedCounting",
    "ExplainedRow",
    "Explanation",
    "LookedAt",
    "MeasureRule",
    "OtherValue",
]


class MeasureRule(Struct, frozen=True, kw_only=True):
    """A measure in words: its purpose and unit, its rule, and what each of its groups allows."""

    measure: str
    purpose: str
    unit: str
    period: str
    rule: str
    """Paragraphs with an empty line between."""
    groups: dict[str, str]


class OtherValue(Struct, frozen=True):
    """A group value that was sent as `other`: what came, and what is allowed. It stays here."""

    group: str
    found: str | None
    allowed: str


class ExplainedRow(Struct, frozen=True, kw_only=True):
    """An indicator, what became of it, and the events it rests on."""

    indicator: Raw
    """As it is sent, byte for byte; `null` where nobody knows its text any more."""
    state: str
    """That of its outbox row; `to come` before the run, `gone` where there is none any more,
    `not made` where there never was one."""
    outbox: int | None
    """The number of its outbox row."""
    others: list[OtherValue]
    events: list[dict[str, Any]]
    note: str | None = None


class AbsentEvent(Struct, frozen=True):
    """An event that is in no indicator of the measure, and why."""

    event: dict[str, Any]
    reason: str
    kind: str
    """`fate`: no measure counts it; `rule`: this measure leaves it out; `type`: it is no matter."""


class ExplainedCounting(Struct, frozen=True, kw_only=True):
    """One counting of a day or month: the rows of the measure, and the events that are in none."""

    n: int
    """0 for the first; the others are supplements of events that came late."""
    state: str
    """`done`, `to come`, or `never`."""
    run: str
    """Which run it is, in words, or why there is none."""
    as_of: str | None
    """The civil time of the run."""
    rows: list[ExplainedRow]
    missing: list[str]
    """Why there is no row, or one less, for another reason than an event."""
    absent: list[AbsentEvent]
    facts: list[str]
    """What it rests on beside events, as it is known now."""
    notes: list[str]


class Explanation(Struct, frozen=True):
    """A measure's day or month of one instance, from the rule to the events."""

    instance: str
    measure: MeasureRule
    period: str
    """YYYY-MM-DD or YYYY-MM."""
    countings: list[ExplainedCounting]
    why: str | None
    """Why there is nothing at all to explain, if so."""


class EventRow(Struct, frozen=True, kw_only=True):
    """An indicator that an event went into, or will go into."""

    measure: str
    period: str
    indicator: Raw
    state: str
    outbox: int | None
    others: list[OtherValue]
    of: int
    """On how many events it rests; 0 where nobody can tell."""
    run: str
    note: str | None


class LookedAt(Struct, frozen=True):
    """A measure that looked at an event and leaves it out, and why."""

    measure: str
    period: str
    reason: str


class EventExplanation(Struct, frozen=True, kw_only=True):
    """What became of one event, or what will."""

    instance: str
    event: dict[str, Any]
    state: str
    why: str
    """The state in words: which counting it is in, or why it is in none."""
    rows: list[EventRow]
    left_out: list[LookedAt]
    notes: list[str]
