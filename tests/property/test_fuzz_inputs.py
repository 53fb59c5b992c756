"""Whatever comes in is taken or refused in words: for events, for hosts' facts, for lines."""

import json
import re
from datetime import UTC, datetime, timedelta, timezone
from typing import Any
from zoneinfo import ZoneInfo

import msgspec
from hypothesis import example, given
from hypothesis import strategies as st

from ecolyo_worker import UsageEvent
from ecolyo_worker.errors import EventRefused, FactsRefused, InputRefused
from ecolyo_worker.events import EVENT_TYPES, check_event, decode_object, event_document
from ecolyo_worker.facts import InstanceFacts, check_facts, check_instance
from tests.property.made import limits, odd_texts

PARIS = ZoneInfo("Europe/Paris")
ZONES = st.sampled_from([PARIS, ZoneInfo("UTC"), ZoneInfo("Pacific/Apia")])
KEYS = ["consent", "konnectors", "monthly_summary", "profile", "first_connection_at"]
INNER = ["version", "accepted_at", "fluid", "connected", "since", "subscribed", "heating"]
DATES = [
    *("2026-11-20T18:04:11.000Z", "2026-11-20 18:04,5", "0001-01-01T00:00+14:00", "2026-11-20"),
    *("9999-12-31T23:59:59.9999-14", "2026-02-29T10:00", "2026-11-20T24:00", "٢٠٢٦-١١-٢٠T10:00"),
    *("2026-11-20T18:04\n", "2026-11-20T18:04+99:99", "2026-11-20T18:04:60Z", "-001-01-01T00:00"),
]


def scalars() -> st.SearchStrategy[Any]:
    """Give what JSON and Python hosts put where one value belongs, right ones among them."""
    numbers = st.integers() | st.floats() | st.just(2**9999)
    words = st.sampled_from(["gas", "1.0.0", "alice.mycozy.example", *DATES, *EVENT_TYPES])
    hosts = st.sampled_from([b"gas", datetime(1, 1, 1, tzinfo=UTC), {1, 2}, object])
    surrogates = st.text(st.characters(), max_size=6)
    return (
        st.none()
        | st.booleans()
        | numbers
        | words
        | odd_texts()
        | surrogates
        | hosts
        | st.just("x" * 300)
    )


def values() -> st.SearchStrategy[Any]:
    """Give one value, or lists and objects of some, whose keys are often right."""
    keys = st.sampled_from([*KEYS, *INNER]) | st.text(max_size=3)
    return st.recursive(
        scalars(),
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(keys, inner, max_size=4),
        max_leaves=6,
    )


def said(error: InputRefused) -> None:
    """A refusal can be shown, logged and sent, and does not grow with what came in."""
    assert len(json.dumps([error.field, error.reason])) < 4000
    msgspec.json.encode([error.field, error.reason])


@limits(150)
@given(st.dictionaries(st.sampled_from(["instance", *KEYS]) | st.text(max_size=4), values()), ZONES)
@example({"instance": "a.example", "consent": {"version": "1", "accepted_at": DATES[2]}}, PARIS)
@example({"instance": "a.example", "\ud800": 1}, PARIS)
@example({"instance": "a.example", "consent": {"\ud800" * 9: 1}}, PARIS)
@example({"instance": "a.example", "first_connection_at": "\ud800"}, PARIS)
@example({"instance": "a.example", "konnectors": [{"fluid": "x\ud800"}]}, PARIS)
@example({"instance": "a.example", "k" * 99_999: 1}, PARIS)
def test_any_facts_are_taken_or_refused(found: dict[str, Any], zone: ZoneInfo) -> None:
    """Whatever a host says: facts come out, or `FactsRefused`, which can be shown."""
    found = {"instance": "alice.mycozy.example"} | found
    try:
        facts = check_facts(found, zone)
    except FactsRefused as refused:
        said(refused)
    else:
        assert isinstance(facts, InstanceFacts)
        msgspec.json.encode(facts)


@limits(200)
@given(
    odd_texts(["alice.mycozy.example", "a.b:1", "xn--a", "٣.example"]) | st.text(st.characters())
)
@example("alice.example\n")
@example("alice.example:٣")
@example("a.example:65536")
@example("_")
def test_any_name_is_an_instance_or_refused(name: str) -> None:
    """A name that is taken is a lower-case host name in ASCII, which a URL can hold as it is."""
    try:
        check_instance(name)
    except FactsRefused as refused:
        said(refused)
    else:
        host, _, port = name.partition(":")
        assert name.isascii()
        assert name == name.strip().lower()
        assert all(re.fullmatch("[a-z0-9_-]+", label) for label in host.split("."))
        assert port.isdigit() or name == host


@limits(150)
@given(
    st.dictionaries(
        st.sampled_from([*UsageEvent.__struct_fields__, "_id", "eventDate", "startDate"]), values()
    ),
    ZONES,
    st.sampled_from(["wall", "utc"]),
)
@example({"eventDate": DATES[2]}, PARIS, "utc")
@example({"eventDate": datetime.max.replace(tzinfo=timezone(-timedelta(hours=9)))}, PARIS, "wall")
@example({"startDate": datetime.min.replace(tzinfo=timezone(timedelta(hours=9)))}, PARIS, "wall")
@example({"type": "Nav\ud800"}, PARIS, "wall")
@example({"eventDate": "\ud800"}, PARIS, "wall")
def test_any_event_is_taken_or_refused(
    found: dict[str, Any], zone: ZoneInfo, event_clock: str
) -> None:
    """Whatever stands in an event: it is taken and can be listed, or refused so as to be shown."""
    found = {"type": "QuizEndEvent", "eventDate": DATES[0]} | found
    try:
        event = check_event(found, zone, event_clock)
    except EventRefused as refused:
        said(refused)
    else:
        msgspec.json.encode(event_document(event))
        assert event.start_text is not None or event.start is None


@limits(200)
@given(values(), st.binary(max_size=4), st.integers(0, 40))
def test_any_line_is_an_object_or_refused(value: object, torn: bytes, place: int) -> None:
    """Lines with surrogates, endless numbers or torn bytes: an object, or `InputRefused`."""
    line = json.dumps(value, default=str).encode()
    for text in (line, line[:place] + torn + line[place:]):
        try:
            found = decode_object(text)
        except InputRefused as refused:
            said(refused)
        else:
            msgspec.json.encode(found)
