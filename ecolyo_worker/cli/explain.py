"""`explain`: from an indicator to its events, and from an event to its indicators."""

import textwrap
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Annotated, Any

import msgspec
from cyclopts import App, Parameter
from msgspec import Raw

from ecolyo_worker import requests as ask
from ecolyo_worker.cli.options import Instance, Time
from ecolyo_worker.cli.output import Output
from ecolyo_worker.cli.session import Session
from ecolyo_worker.commands import Commands
from ecolyo_worker.errors import CommandRefused
from ecolyo_worker.explanation import (
    AbsentEvent,
    EventExplanation,
    ExplainedCounting,
    Explanation,
    MeasureRule,
    OtherValue,
)

__all__ = ["register"]

_WIDTH = 80
_MOST_EVENTS = 20
_USAGE = "say which: a measure and a day, as in `explain quiz-stars 2026-11-20`, or --event ID"


def register(app: App) -> None:
    """Add this command."""
    app.command(explain)


async def explain(
    measure: str | None = None,
    day: str | None = None,
    /,
    *,
    event: Annotated[str | None, Parameter(metavar="ID")] = None,
    instance: Instance = None,
    as_of: Time = None,
    session: Annotated[Session, Parameter(parse=False)],
) -> None:
    """Show which events make which indicator, which are left out, and why. It stores nothing.

    Parameters
    ----------
    measure
        Its name, such as session-duration.
    day
        A day as YYYY-MM-DD; of a monthly measure a month as YYYY-MM, or any day of it.
    event
        Instead of both, the _id of an event: what became of it, for every measure.
    instance
        Only of this instance; default: one after the other, those that have anything then.
    as_of
        What waits, as if the next run were at this time; default: by the schedule.

    Examples
    --------
    ecolyo-worker explain navigation-count-daily 2026-03-02
    ecolyo-worker explain --event 6f1c0a52d3b94e7f8091a2b3c4d5e6f7
    """
    if (event is None) == (measure is None) or (measure is None) != (day is None):
        raise CommandRefused(_USAGE)
    async with session.reading() as commands:
        if event is not None:
            await _explain_event(session.output, commands, ask.ExplainEvent(event, instance, as_of))
        elif measure is not None and day is not None:
            await _explain_period(
                session.output, commands, ask.Explain(measure, day, instance, as_of)
            )


async def _explain_period(output: Output, commands: Commands, request: ask.Explain) -> None:
    count = 0
    async for found in commands.explain(request):
        if output.as_json:
            output.document(found)
        else:
            if not count:
                _show_rule(output, found.measure)
            _show(output, found)
        count += 1
    if not count:
        if not output.as_json:
            _show_rule(output, await commands.explain_rule(request.measure))
        output.talk(f"no instance has anything of {request.period} for {request.measure}")


async def _explain_event(output: Output, commands: Commands, request: ask.ExplainEvent) -> None:
    async for found in commands.explain_event(request):
        if output.as_json:
            output.document(found)
        else:
            _show_event(output, found)


def _show_rule(output: Output, rule: MeasureRule) -> None:
    unit = f", in {rule.unit}" if rule.unit else ""
    output.line(f"{rule.measure}, a number for each {rule.period}{unit}")
    _say(output, rule.purpose)
    output.line("")
    for paragraph in rule.rule.split("\n\n"):
        _say(output, paragraph)


def _show(output: Output, found: Explanation) -> None:
    output.line("")
    output.line(f"{found.instance}, {found.period}")
    if found.why is not None:
        _say(output, f"nothing: {found.why}", 2)
    for counting in found.countings:
        _show_counting(output, counting, is_day=found.measure.period == "day")


def _show_counting(output: Output, counting: ExplainedCounting, *, is_day: bool) -> None:
    late = f"supplement {counting.n} of late events, " if counting.n else ""
    verb = "counted " if counting.state == "done" and counting.as_of is not None else ""
    _say(output, f"{late}{verb}{counting.run}", 2)
    for note in counting.notes:
        _say(output, f"mind: {note}", 2)
    for fact in counting.facts:
        _say(output, f"· {fact}", 2)
    for row in counting.rows:
        _say(output, _indicator(row.indicator, row.state, row.outbox), 4)
        _show_others(output, row.others, row.note, 6)
        _show_events(output, row.events, 6, is_day=is_day)
    for reason in counting.missing:
        _say(output, f"no row: {reason}", 4)
    _show_absent(output, counting.absent, is_day=is_day)


def _show_absent(output: Output, absent: Iterable[AbsentEvent], *, is_day: bool) -> None:
    """Print the events that are in no row: by reason, and those of other types as mere numbers."""
    types: Counter[str] = Counter()
    by_reason: dict[str, list[dict[str, Any]]] = {}
    for item in absent:
        if item.kind == "type":
            types[item.event["type"]] += 1
        else:
            by_reason.setdefault(item.reason, []).append(item.event)
    for reason, events in by_reason.items():
        _say(output, f"left out: {reason}", 4)
        _show_events(output, events, 6, is_day=is_day)
    if types:
        kinds = ", ".join(f"{kind}×{count}" for kind, count in sorted(types.items()))
        _say(output, f"of types that the measure does not look at: {kinds}", 4)


def _show_events(
    output: Output, events: Sequence[Mapping[str, Any]], indent: int, *, is_day: bool
) -> None:
    for event in events[:_MOST_EVENTS]:
        _say(output, _event(event, is_day=is_day), indent)
    if len(events) > _MOST_EVENTS:
        more = len(events) - _MOST_EVENTS
        _say(output, f"and {more} more events; --json gives them all", indent)


def _show_others(
    output: Output, others: Sequence[OtherValue], note: str | None, indent: int
) -> None:
    for other in others[:_MOST_EVENTS]:
        found = "nothing" if other.found is None else repr(other.found)
        _say(output, f"{other.group} is other: found {found}; allowed: {other.allowed}", indent)
    if note is not None:
        _say(output, f"mind: {note}", indent)


def _show_event(output: Output, found: EventExplanation) -> None:
    output.line(f"{found.instance}, {found.state}")
    _say(output, _event(found.event, is_day=False), 2)
    _say(output, found.why, 2)
    for row in found.rows:
        rests = {0: "", 1: ", alone"}.get(row.of, f", with {row.of - 1} more")
        told = _indicator(row.indicator, row.state, row.outbox)
        _say(output, f"{row.measure} {row.period}: {told}{rests}", 4)
        _show_others(output, row.others, row.note, 6)
    if not found.rows:
        _say(output, "it is in no indicator", 4)
    for item in found.left_out:
        _say(output, f"{item.measure} {item.period}: left out: {item.reason}", 4)
    for note in found.notes:
        _say(output, note, 4)


def _indicator(body: Raw, state: str, outbox: int | None) -> str:
    where = state if outbox is None else f"{state}, outbox row {outbox}"
    found = msgspec.json.decode(body)
    if found is None:
        return f"an indicator whose text is gone ({where})"
    groups = [
        f"{key}={value}" for n in (1, 2, 3) for key, value in found.get(f"group{n}", {}).items()
    ]
    return " ".join([str(found["value"]), *groups, f"({where})"])


def _event(event: Mapping[str, Any], *, is_day: bool) -> str:
    """Give an event in a line; of one of a day that is known, the time is enough."""
    fields = ("target", "context", "result", "startDate")
    said = [f"{name} {event[name]}" for name in fields if event[name] is not None]
    time = event["eventDate"][11:] if is_day else event["eventDate"]
    return f"{time} {event['type']} ({event['_id']}) {', '.join(said)}".rstrip()


def _say(output: Output, text: str, indent: int = 0) -> None:
    """Print text folded to a screen's width, what goes on a little more to the right."""
    margin = " " * indent
    lines = textwrap.wrap(
        text,
        _WIDTH,
        initial_indent=margin,
        subsequent_indent=f"{margin}  " if indent else "",
        break_long_words=False,
        break_on_hyphens=False,
    )
    for line in lines:
        output.line(line)
