"""Lines of JSON: each is an object, or is refused in words and in no other way."""

import json
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ecolyo_worker.errors import EventRefused, InputRefused
from ecolyo_worker.events import EVENT_TYPES, MAX_EVENT_BYTES, Event, check_event, decode_object

PARIS = ZoneInfo("Europe/Paris")
LINE = b'{"type": "NavigationEvent", "eventDate": "2026-11-20T18:04"}'
FIELDS = ["_id", "type", "eventDate", "target", "context", "result", "startDate", "aggregated"]


@pytest.mark.parametrize(
    ("line", "words"),
    [
        (b"", "empty line"),
        (b" \t\r\n", "empty line"),
        (b"\xff\xfe", "no valid JSON"),
        (b'{"target": "\xff"}', "not UTF-8"),
        (b'{"target": "\xc3"}', "UTF-8"),
        (b'{"target": "\xed\xa0\x80"}', "UTF-8"),
        (b'{"target": "\\ud800"}', "no valid JSON"),
        (b'{"target": "\\ud800\\u0041"}', "no valid JSON"),
        (b"\xef\xbb\xbf" + LINE, "no valid JSON"),
        (LINE[:-1], "no valid JSON"),
        (LINE[:20], "no valid JSON"),
        (LINE + b"}", "no valid JSON"),
        (LINE + LINE, "no valid JSON"),
        (LINE + b",", "no valid JSON"),
        (b"not JSON", "no valid JSON"),
        (b"{'type': 1}", "no valid JSON"),
        (b'{"result": NaN}', "no valid JSON"),
        (b'{"result": Infinity}', "no valid JSON"),
        (b'{"result": 1e999}', "out of range"),
        (b'{"result": ' + b"9" * 5000 + b"}", "out of range"),
        (b'{"result": 01}', "no valid JSON"),
        (b'{"target": "a\nb"}', "no valid JSON"),
        (b"NaN", "no valid JSON"),
        (b"[" * 100_000, "more than 65536 bytes"),
        (b"[" * 60_000, "nested too deep"),
        (b"[" * 30_000 + b"]" * 30_000, "nested too deep"),
        (b'{"a":' * 10_000 + b"1" + b"}" * 10_000, "nested too deep"),
        (b'{"target": "' + b"x" * MAX_EVENT_BYTES + b'"}', "more than 65536 bytes"),
        (b"[]", "a list"),
        (b"[" + LINE + b"]", "a list"),
        (b"null", "nothing"),
        (b"true", "true"),
        (b"42", "the number 42"),
        (b"9223372036854775808", "the number 9223372036854775808"),
        (b"1e300", "a huge number"),
        (b'"{}"', "the text '{}'"),
    ],
)
def test_a_bad_line_is_refused(line: bytes, words: str) -> None:
    """What is no JSON object is refused with a sentence that can be shown, never otherwise."""
    with pytest.raises(InputRefused) as refused:
        decode_object(line)
    assert words in refused.value.reason
    assert refused.value.field == ""
    assert len(refused.value.reason.encode()) < 300


@pytest.mark.parametrize("end", [b"", b"\n", b"\r\n", b"  "])
def test_a_good_line_is_an_object(end: bytes) -> None:
    """An object is decoded with the end of its line, and blanks around it."""
    assert decode_object(b" " + LINE + end) == json.loads(LINE)


def test_the_longest_line_is_taken() -> None:
    """A line of exactly the most bytes is taken."""
    line = b'{"target": "' + b"x" * (MAX_EVENT_BYTES - 14) + b'"}'
    assert len(line) == MAX_EVENT_BYTES
    assert len(decode_object(line)["target"]) == MAX_EVENT_BYTES - 14


@pytest.mark.parametrize("number", [2**63, 2**64, -(2**63) - 1, 2**200])
def test_a_number_beyond_64_bits_is_a_number(number: int) -> None:
    """A whole number beyond 64 bits is exact as a result, and refused by name elsewhere."""
    line = b'{"type": "QuizEndEvent", "eventDate": "2026-11-20T18:04", "%s": %d}'
    event = check_event(decode_object(line % (b"result", number)), PARIS, "wall")
    assert event.result == str(number)
    with pytest.raises(EventRefused, match=r"^target: "):
        check_event(decode_object(line % (b"target", number)), PARIS, "wall")


def lines() -> st.SearchStrategy[bytes]:
    """Bytes, and JSON with some of its bytes changed."""
    documents = json_values().map(lambda value: json.dumps(value).encode())
    torn = st.tuples(documents, st.integers(0, 60), st.binary(max_size=3)).map(
        lambda parts: parts[0][: parts[1]] + parts[2] + parts[0][parts[1] + 1 :]
    )
    return st.binary(max_size=80) | documents | torn


def json_values() -> st.SearchStrategy[Any]:
    plain = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8)
    return st.recursive(
        plain,
        lambda inner: (
            st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3)
        ),
        max_leaves=8,
    )


@settings(max_examples=300, deadline=None)
@given(lines())
def test_any_bytes_are_an_object_or_refused(line: bytes) -> None:
    """Whatever the bytes are: an object comes out, or `InputRefused`."""
    try:
        found = decode_object(line)
    except InputRefused as refused:
        str(refused).encode()
    else:
        assert isinstance(found, dict)


def near_events() -> st.SearchStrategy[dict[str, Any]]:
    """Objects with an event's fields, of which each is right, nearly right or wrong."""
    dates = st.sampled_from(["2026-11-20T18:04:11.000Z", "2026-11-20", "0001-01-01T00:00+09", ""])
    values = st.sampled_from(EVENT_TYPES) | dates | json_values()
    return st.dictionaries(st.sampled_from(FIELDS) | st.text(max_size=4), values, max_size=10)


@settings(max_examples=300, deadline=None)
@given(near_events(), st.sampled_from(["wall", "utc"]))
def test_any_object_is_an_event_or_refused(found: dict[str, Any], event_clock: str) -> None:
    """Whatever the fields are: an event comes out, or `EventRefused` naming one of its fields."""
    try:
        event = check_event(found, PARIS, event_clock)
    except EventRefused as error:
        refused = error
    else:
        assert isinstance(event, Event)
        assert event.type == found["type"]
        return
    assert refused.field in FIELDS
    assert refused.reason.startswith("found ")


@settings(max_examples=200, deadline=None)
@given(st.fixed_dictionaries({}, optional=dict.fromkeys(FIELDS[3:6], st.text(max_size=300))))
def test_any_text_is_kept_or_refused_by_its_length(texts: dict[str, str]) -> None:
    """Text without lone surrogates is kept as it came up to 256 code points."""
    found = {"type": "DuelEndEvent", "eventDate": "2026-11-20T18:04", **texts}
    if any(len(text) > 256 for text in texts.values()):
        with pytest.raises(EventRefused, match="at most 256"):
            check_event(found, PARIS, "wall")
        return
    event = check_event(found, PARIS, "wall")
    for field, text in texts.items():
        assert getattr(event, field) == (text or None)
