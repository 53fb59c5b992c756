"""Usage events: what is taken, what is refused, and what the refusal says."""

import math
from collections.abc import Mapping
from datetime import UTC, date, datetime
from types import MappingProxyType
from typing import Any
from zoneinfo import ZoneInfo

import msgspec
import pytest

from ecolyo_worker.clock import civil_text
from ecolyo_worker.errors import EventRefused
from ecolyo_worker.events import (
    END_TYPES,
    EVENT_TYPES,
    Event,
    UsageEvent,
    check_event,
    event_document,
)

PARIS = ZoneInfo("Europe/Paris")
GOOD = {"_id": "e1", "type": "NavigationEvent", "eventDate": "2026-11-20T18:04:11.000Z"}
EMOJI = "\N{HOUSE WITH GARDEN}"


def checked(event_clock: str = "wall", **fields: Any) -> Event:
    return check_event({**GOOD, **fields}, PARIS, event_clock)


def answer(found: Mapping[str, Any], event_clock: str) -> object:
    """Give the event, or why it is refused; an id that was made anew is left out."""
    try:
        event = check_event(found, PARIS, event_clock)
    except EventRefused as refused:
        return refused.field, refused.reason
    return event if found["_id"] else msgspec.structs.replace(event, id="")


def without(field: str) -> dict[str, str]:
    return {key: value for key, value in GOOD.items() if key != field}


def test_the_example_of_the_rules_is_taken() -> None:
    """The event that the rules show is taken with each of its fields as they came."""
    event = check_event(
        {
            "_id": "6f1c…",
            "type": "NavigationEvent",
            "eventDate": "2026-11-20T18:04:11.000Z",
            "target": "electricity",
            "context": None,
            "result": None,
            "startDate": None,
            "aggregated": False,
        },
        PARIS,
        "wall",
    )
    assert (event.id, event.type, event.target) == ("6f1c…", "NavigationEvent", "electricity")
    assert civil_text(event.time) == "2026-11-20T18:04:11.000"
    assert (event.context, event.result, event.start_text, event.start) == (None,) * 4
    assert event.aggregated is False


@pytest.mark.parametrize("kind", EVENT_TYPES)
def test_every_known_type_is_taken(kind: str) -> None:
    """Each of the 17 types is taken with nothing but a date."""
    assert len(EVENT_TYPES) == len(set(EVENT_TYPES)) == 17
    event = check_event({"type": kind, "eventDate": "2026-11-20T18:04"}, PARIS, "wall")
    assert event.type == kind


@pytest.mark.parametrize(
    ("field", "value", "found", "allowed"),
    [
        ("type", None, "nothing", "ConnectionEvent"),
        ("type", 4, "the number 4", "ReportFromEvent"),
        ("type", "navigationevent", "'navigationevent'", "NavigationEvent"),
        ("type", "NavigationEvent ", "'NavigationEvent '", "NavigationEvent"),
        ("type", "LoginEvent", "'LoginEvent'", "QuizEndEvent"),
        ("type", "", "''", "DuelEndEvent"),
        ("type", ["NavigationEvent"], "a list", "one of "),
        ("type", "x" * 5000, "xxx…'", "one of "),
        ("eventDate", None, "nothing", "required"),
        ("eventDate", "", "nothing", "required"),
        ("eventDate", "2026-11-20", "'2026-11-20'", "YYYY-MM-DDTHH:MM"),
        ("eventDate", "2026-11-20T25:00", "'2026-11-20T25:00'", "hour must be in 0..23"),
        ("eventDate", "yesterday", "'yesterday'", "YYYY-MM-DDTHH:MM"),
        ("eventDate", 1795197851, "the number 1795197851", "a date-time as text"),
        ("eventDate", True, "true", "a date-time as text"),
        ("eventDate", {}, "an object", "a date-time as text"),
        ("eventDate", date(2026, 11, 20), "a date", "a date-time as text"),
        ("eventDate", "\ud800", "\\ud800", "YYYY-MM-DDTHH:MM"),
        ("_id", 12, "the number 12", "text, or null"),
        ("_id", False, "false", "text, or null"),
        ("_id", "i" * 129, "129 characters", "at most 128"),
        ("_id", "\ud83d", "half a surrogate pair", "Unicode text"),
        ("target", 4, "the number 4", "text, or null"),
        ("target", 10**400, "a huge number", "text, or null"),
        ("target", ["gas"], "a list", "text, or null"),
        ("target", {"page": "gas"}, "an object", "text, or null"),
        ("target", False, "false", "text, or null"),
        ("target", "x" * 257, "257 characters", "at most 256"),
        ("target", EMOJI * 257, "257 characters", "at most 256"),
        ("target", "gas\udfff", "half a surrogate pair", "Unicode text"),
        ("context", 1.5, "the number 1.5", "text, or null"),
        ("context", "x" * 257, "257 characters", "at most 256"),
        ("context", "\ud800", "half a surrogate pair", "Unicode text"),
        ("result", True, "true", "text or a number, or null"),
        ("result", [4], "a list", "text or a number, or null"),
        ("result", {"stars": 4}, "an object", "text or a number, or null"),
        ("result", math.nan, "nan", "a finite number"),
        ("result", math.inf, "inf", "a finite number"),
        ("result", -math.inf, "-inf", "a finite number"),
        ("result", "4" * 257, "257 characters", "at most 256"),
        ("result", "\udc00", "half a surrogate pair", "Unicode text"),
        ("result", 2**512, "513 bits", "512"),
        ("result", -(10**300), "997 bits", "512"),
        ("startDate", 20261120, "the number 20261120", "text, or null"),
        ("startDate", False, "false", "text, or null"),
        ("startDate", [], "a list", "text, or null"),
        ("startDate", "\ud800", "half a surrogate pair", "Unicode text"),
        ("aggregated", "true", "the text 'true'", "true, false or null"),
        ("aggregated", 1, "the number 1", "true, false or null"),
        ("aggregated", [], "a list", "true, false or null"),
    ],
)
def test_a_refusal_names_the_field(field: str, value: object, found: str, allowed: str) -> None:
    """A wrong field is refused by its name, with what was found and what is allowed."""
    with pytest.raises(EventRefused) as refused:
        check_event({**GOOD, field: value}, PARIS, "wall")
    assert refused.value.field == field
    assert found in refused.value.reason
    assert allowed in refused.value.reason
    assert len(refused.value.reason) < 600
    refused.value.reason.encode()


@pytest.mark.parametrize("field", ["type", "eventDate"])
def test_what_is_required_must_be_there(field: str) -> None:
    """An event without a type or without a date is refused, naming what is missing."""
    with pytest.raises(EventRefused, match=f"^{field}: found nothing"):
        check_event(without(field), PARIS, "wall")


@pytest.mark.parametrize("found", [None, [], "NavigationEvent", 4, True, [GOOD], b"{}"])
def test_an_event_is_an_object(found: object) -> None:
    """What is no object is refused as a whole, without a field."""
    with pytest.raises(EventRefused, match="allowed: an event as an object") as refused:
        check_event(found, PARIS, "wall")
    assert refused.value.field == ""


@pytest.mark.parametrize("field", ["target", "context", "result"])
@pytest.mark.parametrize(
    "text", ["x" * 256, EMOJI * 256, " gas ", "\x00", "e\N{COMBINING ACUTE ACCENT}"]
)
def test_text_is_kept_as_it_came(field: str, text: str) -> None:
    """Text of up to 256 code points is kept as it came, whatever its bytes are."""
    assert getattr(checked(**{field: text}), field) == text


def test_an_id_may_have_128_code_points() -> None:
    """The longest `_id` has 128 code points."""
    assert checked(_id=EMOJI * 128).id == EMOJI * 128


@pytest.mark.parametrize("field", ["target", "context", "result", "startDate"])
def test_empty_text_is_null(field: str) -> None:
    """An empty string, null and an absent field are the same."""
    documents = [event_document(checked(**fields)) for fields in ({field: ""}, {field: None}, {})]
    assert documents[0] == documents[1] == documents[2]
    assert documents[0][field] is None


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (4, "4"),
        (4.0, "4"),
        (0, "0"),
        (-0.0, "0"),
        (-3, "-3"),
        (4.5, "4.5"),
        (0.1, "0.1"),
        (9_007_199_254_740_993, "9007199254740993"),
        (2**63, "9223372036854775808"),
        (2**64, "18446744073709551616"),
        (2**512 - 1, str(2**512 - 1)),
        (1e15, "1000000000000000"),
        (1e300, "1e+300"),
        ("4", "4"),
        ("4.0", "4.0"),
        (None, None),
    ],
)
def test_a_number_is_kept_as_text(value: object, text: str | None) -> None:
    """A result that is a number is kept as its text, a whole one without a fraction."""
    assert checked(result=value).result == text


@pytest.mark.parametrize(
    ("result", "outcome"),
    [(" Success\n", "success"), ("ERROR", "error"), ("\N{NO-BREAK SPACE}4 ", "4"), (None, "")],
)
def test_results_are_compared_without_case_and_blanks(result: str | None, outcome: str) -> None:
    """Comparisons of the result trim white space and ignore case; the text stays as it came."""
    event = checked(result=result)
    assert (event.outcome, event.result) == (outcome, result)


@pytest.mark.parametrize(
    ("text", "start"),
    [
        ("2026-11-20T17:00:00.5Z", "2026-11-20T17:00:00.500"),
        ("2026-11-20T17:00+02:00", "2026-11-20T16:00:00.000"),
        ("2026-11-20", "2026-11-20T00:00:00.000"),
        ("2026-11-31", None),
        ("a while ago", None),
        ("2026-11-20T24:00", None),
        ("0001-01-01T00:00+01:00", None),
        ("２０２６-11-20", None),
        ("x" * 1000, None),
    ],
)
def test_a_start_need_not_be_readable(text: str, start: str | None) -> None:
    """A start is kept as it came; one that cannot be read is no reason to refuse the event."""
    event = checked(startDate=text)
    assert event.start_text == text
    assert (None if event.start is None else civil_text(event.start)) == start


@pytest.mark.parametrize("value", [True, False, None])
def test_aggregated_is_a_flag(value: bool | None) -> None:
    """`aggregated` is true only where it says so."""
    assert checked(aggregated=value).aggregated is bool(value)


def test_fields_of_couchdb_and_cozy_are_ignored() -> None:
    """Fields that are not the event's own never make it invalid, whatever is in them."""
    more: dict[str, Any] = {
        "_rev": 3,
        "_type": [],
        "cozyMetadata": {"a": "\ud800"},
        "event_date": 1,
        "n": 2**63,
    }
    assert checked(**more) == checked()


@pytest.mark.parametrize("absent", [{}, {"_id": ""}, {"_id": None}])
def test_an_event_without_id_gets_a_random_one(absent: dict[str, Any]) -> None:
    """Two equal events without `_id` get different ones: they are two events."""
    ids = {check_event(without("_id") | absent, PARIS, "wall").id for _ in range(20)}
    assert len(ids) == 20
    assert all(len(ident) >= 16 for ident in ids)


def test_the_event_clock_decides_what_a_z_means() -> None:
    """With `event_clock = "utc"` a `Z` is a true instant, for the date and for the start."""
    dates = {"eventDate": "2026-07-20T18:00Z", "startDate": "2026-07-20T17:00+00"}
    shown = {}
    for event_clock in ("wall", "utc"):
        event = checked(event_clock, **dates)
        assert event.start is not None
        shown[event_clock] = (civil_text(event.time)[11:16], civil_text(event.start)[11:16])
    assert shown == {"wall": ("18:00", "17:00"), "utc": ("20:00", "19:00")}


@pytest.mark.parametrize("event_clock", ["wall", "utc"])
def test_a_usage_event_may_have_datetimes(event_clock: str) -> None:
    """In Python an aware `datetime` is always a true instant, a naive one is civil time."""
    event = check_event(
        UsageEvent(
            type="QuizEndEvent",
            event_date=datetime(2026, 7, 20, 18, 0, tzinfo=UTC),
            start_date=datetime(2026, 7, 20, 17, 0),
            result=4.0,
        ),
        PARIS,
        event_clock,
    )
    assert civil_text(event.time) == "2026-07-20T20:00:00.000"
    assert event.start is not None
    assert civil_text(event.start) == "2026-07-20T17:00:00.000"
    assert event.result == "4"


def test_a_usage_event_is_the_same_event_as_its_document() -> None:
    """A `UsageEvent` and the app's document with the same fields give the same event."""
    given = UsageEvent(
        type="ActionEndEvent",
        event_date="2026-11-20T18:04Z",
        target="ACTION1",
        context="CHALLENGE1",
        start_date="2026-11-20",
        aggregated=True,
        id="e1",
    )
    document = {
        "_id": "e1",
        "type": "ActionEndEvent",
        "eventDate": "2026-11-20T18:04Z",
        "target": "ACTION1",
        "context": "CHALLENGE1",
        "startDate": "2026-11-20",
        "aggregated": True,
    }
    assert check_event(given, PARIS, "wall") == check_event(document, PARIS, "wall")


@pytest.mark.parametrize("field", ["event_date", "start_date"])
def test_an_instant_out_of_the_years(field: str) -> None:
    """A `datetime` that has no civil time refuses the event, or is an unreadable start."""
    moment = datetime(9999, 12, 31, 23, 30, tzinfo=UTC)
    dates: dict[str, Any] = {"event_date": "2026-11-20T18:04", field: moment}
    event = UsageEvent(type="QuizEndEvent", **dates)
    if field == "start_date":
        assert check_event(event, PARIS, "wall").start is None
    else:
        with pytest.raises(EventRefused, match=r"^eventDate: found 9999-12-31"):
            check_event(event, PARIS, "wall")


@pytest.mark.parametrize(
    ("fields", "field"),
    [({"type": "Nothing"}, "type"), ({"target": 3}, "target"), ({"event_date": 3}, "eventDate")],
)
def test_a_wrong_usage_event_is_refused_like_its_document(
    fields: dict[str, Any], field: str
) -> None:
    """Nothing of a `UsageEvent` is trusted because it came as a struct."""
    event = UsageEvent(**({"type": "QuizEndEvent", "event_date": "2026-11-20T18:04"} | fields))
    with pytest.raises(EventRefused) as refused:
        check_event(event, PARIS, "wall")
    assert refused.value.field == field


@pytest.mark.parametrize("kind", EVENT_TYPES)
def test_a_document_gives_the_event_again(kind: str) -> None:
    """What `event_document` gives can be taken again, and is the same event."""
    event = checked(
        type=kind,
        target=" gas ",
        context=EMOJI,
        result=4.5,
        startDate="2026-11-19",
        aggregated=True,
    )
    assert check_event(event_document(event), PARIS, "wall") == event
    assert (kind in END_TYPES) == (kind.endswith("EndEvent"))


@pytest.mark.parametrize("event_clock", ["wall", "utc"])
@pytest.mark.parametrize(
    "field",
    ["_id", "type", "eventDate", "target", "context", "result", "startDate", "aggregated", "_rev"],
)
def test_an_event_is_read_at_once_as_it_is_field_by_field(field: str, event_clock: str) -> None:
    """A plain `dict`, as most are, gives what another mapping gives, whatever is in a field."""
    texts = ["", "é", EMOJI, "\ud800", "x" * 128, "x" * 129, "x" * 256, "x" * 257, "QuizEndEvent"]
    dates = [
        *("2026-11-20T18:04:31.123Z", "2026-11-20t18:04:31.123Z", "2026-11-20T18:04:31.123z"),
        *("2026-11-20 18:04:31.123Z", "2026-11-20T18:04:31,123Z", "2026-11-20T18:04:31.9999999Z"),
        *("2026-11-20T18:04:31.99999999Z", "2026-11-20T18:04:31Z", "2026-11-20T24:00:00.000Z"),
        *("2026-11-20T18:04:31-01:00", "2026-02-29T18:04:31.123Z"),
        *("9999-12-31T23:59:59.999Z", "0001-01-01T00:00:00.000Z"),
        *("0000-01-01T00:00:00.000Z", "2026-11-20T18:04:60.000Z", "2026-11-20", "2026-11-20T18:04"),
        *(datetime(2026, 11, 20, 18), datetime.max.replace(tzinfo=UTC), date(2026, 11, 20)),
    ]
    for value in [*texts, *dates, None, True, False, 0, 4, 4.5, 2**9999, [], {}, b"x"]:
        found = GOOD | {"startDate": "2026-11-13", field: value}
        assert answer(found, event_clock) == answer(MappingProxyType(found), event_clock), value
