"""Usage events: what the Ecolyo app writes (doctype `com.grandlyon.ecolyo.usageevents`), checked.

`check_event` turns what came in into an `Event`, whose times are civil times; what is wrong raises
`EventRefused`, naming the field, what was found and what is allowed.
"""

import math
import re
import secrets
from collections.abc import Mapping
from datetime import datetime
from operator import attrgetter
from typing import Annotated, Any
from zoneinfo import ZoneInfo

import msgspec

from ecolyo_worker.clock import (
    DAY_MS,
    civil_from_instant,
    civil_text,
    day_of,
    parse_civil,
    parse_day,
    utc_ms,
)
from ecolyo_worker.errors import EventRefused, InputRefused, kind_of, quote

__all__ = [
    "END_TYPES",
    "EVENT_TYPES",
    "MAX_EVENT_BYTES",
    "ORDER",
    "Event",
    "UsageEvent",
    "check_event",
    "decode_object",
    "event_document",
]

EVENT_TYPES = (
    "ConnectionEvent",
    "NavigationEvent",
    "KonnectorConnectEvent",
    "KonnectorRefreshEvent",
    "KonnectorAttemptEvent",
    "ConsumptionCompareEvent",
    "ConsumptionChangeTimeStepEvent",
    "ActionChangeEvent",
    "ProfileSetEvent",
    "ChallengeLaunchEvent",
    "ChallengeEndEvent",
    "ActionEndEvent",
    "ExplorationEndEvent",
    "DuelLaunchEvent",
    "DuelEndEvent",
    "QuizEndEvent",
    "ReportFromEvent",
)

END_TYPES = frozenset(
    {"ChallengeEndEvent", "ActionEndEvent", "ExplorationEndEvent", "DuelEndEvent", "QuizEndEvent"}
)
"""The events that end something, and may carry the start of it."""

MAX_EVENT_BYTES = 65_536
"""The longest event taken, as JSON text in UTF-8."""

_MAX_ID = 128
_MAX_TEXT = 256
_TYPES = frozenset(EVENT_TYPES)

_Text = Annotated[str, msgspec.Meta(min_length=1, max_length=_MAX_TEXT)]


class UsageEvent(
    msgspec.Struct,
    frozen=True,
    kw_only=True,
    rename={"id": "_id", "event_date": "eventDate", "start_date": "startDate"},
):
    """One thing done in the app, as a host hands it over.

    An aware `datetime` is a true instant, a naive one is civil time; text follows the setting
    `intake.event_clock`. Nothing is checked before the event is recorded.
    """

    type: str
    event_date: str | datetime
    target: str | None = None
    context: str | None = None
    result: str | int | float | None = None
    start_date: str | datetime | None = None
    aggregated: bool | None = None
    id: str | None = None


class _Usual(
    msgspec.Struct,
    gc=False,
    rename={"id": "_id", "event_date": "eventDate", "start_date": "startDate"},
):
    """An event as the app writes it, whose fields msgspec reads at once.

    All of what it takes is taken field by field as well, and is the same then.
    """

    id: Annotated[str, msgspec.Meta(min_length=1, max_length=_MAX_ID)]
    type: str
    event_date: datetime
    target: _Text | None = None
    context: _Text | None = None
    result: _Text | None = None
    start_date: Annotated[str, msgspec.Meta(min_length=1)] | None = None
    aggregated: bool | None = None


class Event(msgspec.Struct, frozen=True, gc=False, array_like=True):
    """A checked usage event. `time` and `start` are civil times, in ms (see `clock`).

    `start_text` is the start as it came; `start` is None where it is absent or unreadable. `seq` is
    the order of arrival, 0 until the event is stored. The store reads it as an array of JSON.
    """

    id: str
    type: str
    time: int
    target: str | None
    context: str | None
    result: str | None
    start_text: str | None
    start: int | None
    aggregated: bool
    seq: int = 0

    @property
    def day(self) -> int:
        """The civil day it lies in."""
        return day_of(self.time)

    @property
    def order(self) -> tuple[int, int]:
        """The order of events: civil time, then arrival."""
        return self.time, self.seq

    @property
    def outcome(self) -> str:
        """The result without white space around it and in lower case, for comparisons."""
        return (self.result or "").strip().lower()


ORDER = attrgetter("time", "seq")
"""The order of events, as the key of a sort."""


def decode_object(text: bytes) -> dict[str, Any]:
    """Decode one JSON object; raises `InputRefused`, in words, for anything else."""
    if len(text) > MAX_EVENT_BYTES:
        raise InputRefused("", f"found more than {MAX_EVENT_BYTES} bytes, which is the most")
    if not text.strip():
        raise InputRefused("", "found an empty line; allowed: a JSON object")
    try:
        found = msgspec.json.decode(text)
    except RecursionError:
        raise InputRefused("", "found JSON nested too deep; allowed: one flat object") from None
    except UnicodeDecodeError as error:
        raise InputRefused("", f"found text that is not UTF-8 ({error.reason})") from None
    except msgspec.MsgspecError as error:
        raise InputRefused("", f"found no valid JSON ({error})") from None
    if not isinstance(found, dict):
        raise InputRefused("", f"found {kind_of(found)}; allowed: a JSON object")
    return found


def check_event(found: object, zone: ZoneInfo, event_clock: str) -> Event:
    """Check one event: a mapping with the app's field names, or a `UsageEvent`.

    Fields of CouchDB and Cozy (`_rev`, `cozyMetadata`, …) are ignored. Raises `EventRefused`.
    """
    wall = event_clock == "wall"
    if type(found) is dict and (event := _usual_event(found, zone, wall=wall)) is not None:
        return event
    if isinstance(found, UsageEvent):
        found = msgspec.structs.asdict(found) | {
            "_id": found.id,
            "eventDate": found.event_date,
            "startDate": found.start_date,
        }
    if not isinstance(found, Mapping):
        raise EventRefused("", f"found {kind_of(found)}; allowed: an event as an object")
    start = found.get("startDate")
    return Event(
        id=_text(found.get("_id"), "_id", _MAX_ID) or secrets.token_hex(16),
        type=_type(found.get("type")),
        time=_event_date(found.get("eventDate"), zone, wall=wall),
        target=_text(found.get("target"), "target"),
        context=_text(found.get("context"), "context"),
        result=_result(found.get("result")),
        start_text=_start_text(start),
        start=_start(start, zone, wall=wall),
        aggregated=_flag(found.get("aggregated")),
    )


def event_document(event: Event) -> dict[str, object]:
    """Give an event in the app's own form; its date is civil time, without offset."""
    return {
        "_id": event.id,
        "type": event.type,
        "eventDate": civil_text(event.time),
        "target": event.target,
        "context": event.context,
        "result": event.result,
        "startDate": event.start_text,
        "aggregated": event.aggregated,
    }


def _usual_event(found: dict[str, Any], zone: ZoneInfo, *, wall: bool) -> Event | None:
    """Check an event that is as most are; None for another, which may be as good."""
    try:
        usual = msgspec.convert(found, _Usual)
        if usual.type not in _TYPES or not _is_plain(usual, found["eventDate"]):
            return None
        when, start = usual.event_date, usual.start_date
        time = utc_ms(when) if wall else civil_from_instant(when, zone)
    except (msgspec.ValidationError, UnicodeEncodeError, OverflowError):
        return None
    return Event(
        usual.id,
        usual.type,
        time,
        usual.target,
        usual.context,
        usual.result,
        start,
        None if start is None else _start(start, zone, wall=wall),
        usual.aggregated or False,
    )


def _is_plain(usual: _Usual, date: object) -> bool:
    """Tell whether the date is written as the app writes it, and all other texts are ASCII.

    Other dates msgspec may take that are refused here, or round where digits are cut off.
    """
    return (
        isinstance(date, str)
        and len(date) == len("2026-11-20T18:04:31.123Z")
        and date[10] == "T"
        and date[23] == "Z"
        and usual.id.isascii()
        and (usual.target is None or usual.target.isascii())
        and (usual.context is None or usual.context.isascii())
        and (usual.result is None or usual.result.isascii())
        and (usual.start_date is None or usual.start_date.isascii())
    )


def _type(found: object) -> str:
    if not isinstance(found, str):
        raise EventRefused("type", f"found {kind_of(found)}; allowed: {_known_types()}")
    if found not in _TYPES:
        raise EventRefused("type", f"found {quote(found)}; allowed: {_known_types()}")
    return found


def _known_types() -> str:
    return "one of " + ", ".join(EVENT_TYPES)


def _event_date(found: object, zone: ZoneInfo, *, wall: bool) -> int:
    if found is None or found == "":
        raise EventRefused("eventDate", "found nothing; it is required")
    if isinstance(found, str):
        try:
            return parse_civil(found, zone, zulu_is_wall=wall)
        except ValueError as error:
            raise EventRefused("eventDate", f"found {quote(found)}; {error}") from None
    if isinstance(found, datetime):
        try:
            return civil_from_instant(found, zone)
        except OverflowError:
            raise EventRefused(
                "eventDate", f"found {found}; allowed: the years 1 to 9999"
            ) from None
    raise EventRefused("eventDate", f"found {kind_of(found)}; allowed: a date-time as text")


def _start_text(found: object) -> str | None:
    if found is None or found == "":
        return None
    if isinstance(found, datetime):
        return found.isoformat()
    if not isinstance(found, str):
        raise EventRefused("startDate", f"found {kind_of(found)}; allowed: text, or null")
    _encodable("startDate", found)
    return found


def _start(found: object, zone: ZoneInfo, *, wall: bool) -> int | None:
    """Read the start of what ended: a date-time, or a date, which is that day at 00:00."""
    if found is None:
        return None
    try:
        if isinstance(found, datetime):
            return civil_from_instant(found, zone)
        if isinstance(found, str):
            if re.fullmatch(r"\d{4}-\d\d-\d\d", found, re.ASCII):
                return parse_day(found) * DAY_MS
            return parse_civil(found, zone, zulu_is_wall=wall)
    except (ValueError, OverflowError):
        return None
    return None


def _result(value: object) -> str | None:
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return _text(value, "result", allowed="text or a number, or null")
    if isinstance(value, int):
        if value.bit_length() > 512:
            raise EventRefused(
                "result", f"found a number of {value.bit_length()} bits; allowed: 512"
            )
        return repr(value)
    if not math.isfinite(value):
        raise EventRefused("result", f"found {value}; allowed: a finite number, text, or null")
    return repr(int(value) if value.is_integer() and abs(value) < 1e16 else value)


def _text(
    value: object, field: str, longest: int = _MAX_TEXT, allowed: str = "text, or null"
) -> str | None:
    if value is None or value == "":
        return None
    if not isinstance(value, str):
        raise EventRefused(field, f"found {kind_of(value)}; allowed: {allowed}")
    if len(value) > longest:
        raise EventRefused(
            field, f"found text of {len(value)} characters; allowed: at most {longest}"
        )
    _encodable(field, value)
    return value


def _encodable(field: str, value: str) -> None:
    if value.isascii():
        return
    try:
        value.encode()
    except UnicodeEncodeError:
        raise EventRefused(field, "found half a surrogate pair; allowed: Unicode text") from None


def _flag(found: object) -> bool:
    if found is None:
        return False
    if not isinstance(found, bool):
        raise EventRefused("aggregated", f"found {kind_of(found)}; allowed: true, false or null")
    return found
