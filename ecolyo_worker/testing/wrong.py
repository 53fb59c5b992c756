"""One wrong input for each reason for which an event, a person's facts or a reading is refused.

The page of errors shows them with what the program says; a host's tests may try how it takes that.
"""

from collections.abc import Callable, Mapping
from datetime import datetime, timedelta, timezone
from typing import Any, Final, Literal
from zoneinfo import ZoneInfo

import msgspec
from msgspec import Struct

from ecolyo_worker.errors import InputRefused
from ecolyo_worker.events import MAX_EVENT_BYTES, check_event, decode_object
from ecolyo_worker.facts import check_facts
from ecolyo_worker.readings import check_reading

__all__ = ["KINDS", "WRONG", "WrongInput", "refusal"]

Kind = Literal["line", "event", "facts", "reading"]

KINDS: Final[Mapping[Kind, str]] = {
    "line": "Any line",
    "event": "Events",
    "facts": "What a host says about a person",
    "reading": "Readings",
}

_ZONE = ZoneInfo("Europe/Paris")
_EVENT = {"type": "NavigationEvent", "eventDate": "2026-03-02T18:04:11Z"}
_FACTS = {"instance": "alice.example"}
_READING = {
    "instance": "alice.example",
    "fluid": "gas",
    "step": "day",
    "start": "2026-10-01",
    "value": 8,
}
_RIGHT: Mapping[Kind, Mapping[str, object]] = {
    "event": _EVENT, "facts": _FACTS, "reading": _READING
}  # fmt: skip
_SINCE = "2026-01-05T10:00"


class WrongInput(Struct, frozen=True):
    """Something that is refused: a line, or the fields that differ from a right one."""

    kind: Kind
    found: Any
    """Bytes of a line; else an object, or the keys and values that make a right object wrong."""
    advice: str
    in_words: str = ""
    """How to show it, where it is too long or no JSON."""

    @property
    def shown(self) -> str:
        """How to show it."""
        if self.in_words:
            return self.in_words
        found = self.found
        return found.decode() if isinstance(found, bytes) else msgspec.json.encode(found).decode()


def refusal(wrong: WrongInput) -> InputRefused:
    """Let a wrong input be refused, and give what is said of it."""
    try:
        _CHECKS[wrong.kind](_whole(wrong))
    except InputRefused as error:
        return error
    raise AssertionError(wrong)


def _whole(wrong: WrongInput) -> Any:  # noqa: ANN401  whatever is wrong
    if isinstance(wrong.found, dict):
        return {**_RIGHT[wrong.kind], **wrong.found}
    return wrong.found


def _event(found: object) -> None:
    check_event(found, _ZONE, "wall")


def _facts(found: Mapping[str, object]) -> None:
    check_facts(found, _ZONE)


def _reading(found: Mapping[str, object]) -> None:
    check_reading(found, _ZONE)


_CHECKS: Mapping[Kind, Callable[[Any], object]] = {
    "line": decode_object,
    "event": _event,
    "facts": _facts,
    "reading": _reading,
}

_DATES = "Write it as `2026-03-02T18:04:11`, with an offset where it is a true instant."

WRONG: Final = (
    WrongInput(
        "line",
        b" " * MAX_EVENT_BYTES + b"{}",
        "Give no more than an event: the largest of the app's has some hundred bytes.",
        "…",
    ),
    WrongInput("line", b" ", "Leave empty lines out.", "an empty line"),
    WrongInput(
        "line", b'{"a":' + b"[" * 60000, "An event has no object or list in it.", '{"a":[[[[…'
    ),
    WrongInput("line", b'{"a":"\xff"}', "Write the file as UTF-8.", "the byte 0xff"),
    WrongInput("line", b"{type: 1}", "Write JSON: names in double quotes, no comma at the end."),
    WrongInput("line", b"[1]", "One object a line, or one array of them for the whole file."),
    WrongInput(
        "facts", {"instance": "Alice"}, "Small letters, as in the address of the person's Cozy."
    ),
    WrongInput("facts", {"instance": 5}, "The name, as text."),
    WrongInput("event", [1], "An event is an object, or a `UsageEvent` in Python."),
    WrongInput("event", {"type": 5}, "One of the app's types, as text."),
    WrongInput("event", {"type": "Click"}, "One of the app's types; capitals matter."),
    WrongInput("event", {"eventDate": ""}, "Every event has its time."),
    WrongInput("event", {"eventDate": "2 March"}, _DATES),
    WrongInput("event", {"eventDate": "2026-02-30T10:00"}, "Look at the calendar."),
    WrongInput("event", {"eventDate": 1772474651}, _DATES),
    WrongInput(
        "event",
        {"eventDate": datetime.max.replace(tzinfo=timezone(timedelta(hours=-12)))},
        "A `datetime` of a time that there will be.",
        "datetime.max, west of Paris",
    ),
    WrongInput("event", {"startDate": 5}, "Text, as the app writes it, or leave it out."),
    WrongInput(
        "event", {"result": 2**600}, "A number as the app has it.", '{"result": 2 to the 600th}'
    ),
    WrongInput(
        "event", {"result": float("inf")}, "NaN and infinity are no JSON.", '{"result": Infinity}'
    ),
    WrongInput("event", {"result": True}, "Text or a number."),
    WrongInput("event", {"target": ["gas"]}, "One text."),
    WrongInput("event", {"target": "x" * 300}, "Shorten it.", '{"target": "xxxx…"}'),
    WrongInput("event", {"_id": "x" * 129}, "Shorten it.", '{"_id": "xxxx…"}'),
    WrongInput(
        "event", {"target": "\ud800"}, "Text that can be written as UTF-8.", r'{"target": "\ud800"}'
    ),
    WrongInput("event", {"aggregated": "yes"}, "true, false, or leave it out."),
    WrongInput("facts", {"consents": []}, "Mend the name of the key, or leave it out."),
    WrongInput("facts", {"consent": "1.0.0"}, "An object, or `null` to withdraw."),
    WrongInput("facts", {"consent": {"at": 1}}, "Mend the name of the key."),
    WrongInput(
        "facts", {"consent": {"version": 1, "accepted_at": _SINCE}}, "Put the version in quotes."
    ),
    WrongInput("facts", {"consent": {"version": "1.0.0"}}, "Say when it was accepted."),
    WrongInput("facts", {"first_connection_at": "in May"}, _DATES),
    WrongInput("facts", {"konnectors": {}}, "A list, of one or more."),
    WrongInput(
        "facts",
        {"konnectors": [{"fluid": "oil", "connected": True, "since": _SINCE}]},
        "The app knows three fluids.",
    ),
    WrongInput(
        "facts",
        {"konnectors": [{"fluid": "gas", "connected": 1, "since": _SINCE}]},
        "true or false, without quotes.",
    ),
    WrongInput("reading", {"unit": "kWh"}, "Leave it out: the fluid says the unit."),
    WrongInput("reading", {"step": "hour"}, "Add hours up to days, or give half-hours."),
    WrongInput(
        "reading",
        {"step": "half-hour", "minutes": 20},
        "Add up what lies in the hour, and give it 60 minutes.",
    ),
    WrongInput("reading", {"minutes": 1440}, "Leave it out: the calendar says how long a day is."),
    WrongInput("reading", {"partial": 1}, "true or false, without quotes."),
    WrongInput(
        "reading",
        {"partial": True},
        "Import the half-hours that are known of the day, from `export --step half-hour`.",
    ),
    WrongInput("reading", {"start": 20261001}, "Put it in quotes."),
    WrongInput("reading", {"start": "2026-02-30"}, "Look at the calendar."),
    WrongInput("reading", {"start": "2026-10-01T12:00"}, "A day begins at midnight."),
    WrongInput("reading", {"step": "half-hour"}, "Give the time, too."),
    WrongInput(
        "reading", {"step": "half-hour", "start": "2026-10-01T10:10"}, "Give where it begins."
    ),
    WrongInput(
        "reading",
        {"step": "half-hour", "start": "2026-10-25T02:30"},
        "Give the offset: `+02:00` is the first one, `+01:00` the second.",
    ),
    WrongInput(
        "reading",
        {"step": "half-hour", "start": "2026-03-29T02:30"},
        "Give the offset, or look at the clock.",
    ),
    WrongInput(
        "reading",
        {"step": "half-hour", "minutes": 60, "start": "2026-10-01T10:30"},
        "Give where the hour begins.",
    ),
    WrongInput("reading", {"start": "1999-12-31"}, "Look at the year."),
    WrongInput("reading", {"start": "0001-01-01T00:00+23:00"}, "Look at the year."),
    WrongInput("reading", {"value": -1}, "What is fed in is no consumption: leave it out."),
)
"""At least one for each place that refuses."""
