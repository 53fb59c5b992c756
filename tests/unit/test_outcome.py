"""Answers: how their words and their `Retry-After` are read."""

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ecolyo_worker.remote.outcome import Kind, Outcome, read_answer

NOW = 1_795_168_000.0  # 2026-11-20T09:46:40Z


def dacc(sentence: str) -> bytes:
    return json.dumps({"error": sentence}).encode()


def judged(status: int, body: bytes = b"", retry_after: str | None = None) -> Outcome:
    headers = {"content-type": "application/json"}
    if retry_after is not None:
        headers["retry-after"] = retry_after
    return read_answer(status, headers, body, NOW)


def stack(status: int, detail: str) -> bytes:
    error = {"status": str(status), "title": "Error", "detail": detail, "source": {}}
    return json.dumps({"errors": [error]}).encode()


OK = b'{"ok": true}'

ANSWERS: list[tuple[Kind, int, bytes]] = [
    *(("delivered", status, body) for status in (200, 201, 202, 299) for body in (OK, b"[]\n")),
    # What the DACC has against an indicator.
    ("rejected", 400, dacc("Group1 key does not match measure definition: None")),
    ("rejected", 400, b""),
    ("rejected", 400, b"\xff\xfe"),
    ("rejected", 413, b"too much"),
    ("rejected", 422, b""),
    # The token of the DACC, or of the stack before it.
    ("unauthorized", 401, b"<h1>Unauthorized Access</h1>"),
    ("unauthorized", 401, stack(401, "No token in request")),
    ("unauthorized", 403, stack(403, "Forbidden")),
    ("unauthorized", 400, dacc("Expired token")),
    ("unauthorized", 400, b"Invalid JWT token"),
    ("unauthorized", 502, stack(502, "the content-type for the response is not authorized")),
    # An address, or a stack, that is not set up for this.
    ("misconfigured", 400, stack(400, "a variable is used in the template but not given")),
    ("misconfigured", 400, stack(400, "the variables are not valid")),
    ("misconfigured", 400, stack(400, "the request is not valid")),
    *(("misconfigured", 201, body) for body in (b"", b"<p>", OK[:-1], b'"\xff"')),
    ("misconfigured", 201, b"[" * 60_000),
    *(("misconfigured", status, OK) for status in (199, 300, 301, 307, 399)),
    *(("misconfigured", status, OK) for status in (402, 404, 405, 408, 414, 423, 430, 499)),
    ("throttled", 429, b"slow down"),
    *(("failed", status, OK) for status in (500, 501, 505, 520, 599)),
    ("unavailable", 502, b"<h1>Bad Gateway</h1>"),
    ("unavailable", 502, stack(502, "something else")),
    ("unavailable", 503, b""),
    ("unknown", 502, stack(502, "can't connect to the remote host")),
    ("unknown", 504, b"<h1>Gateway Time-out</h1>"),
]


@pytest.mark.parametrize(("kind", "status", "body"), ANSWERS)
def test_what_an_answer_is(kind: Kind, status: int, body: bytes) -> None:
    """Status and words tell the kind; status and words, as far as they are kept, stay with it."""
    words = body.strip().decode("utf-8", "replace")[:200]
    assert judged(status, body) == Outcome(kind, words, status)


@pytest.mark.parametrize(
    ("status", "retry_after", "kind", "seconds"),
    [
        (429, "30", "throttled", 30),
        (429, "later", "throttled", None),
        (503, "30", "throttled", 30),
        (503, "later", "throttled", None),
        (400, "30", "rejected", 30),
        (500, "30", "failed", 30),
        (502, "30", "unavailable", 30),
        (504, "30", "unknown", 30),
    ],
)
def test_who_asks_to_wait(status: int, retry_after: str, kind: Kind, seconds: float | None) -> None:
    """`Retry-After`, sane or not, makes a wait of a 503; no other status is another kind by it."""
    assert judged(status, b"busy", retry_after) == Outcome(kind, "busy", status, seconds)


@pytest.mark.parametrize("status", [200, 201, 299, 400, 502])
def test_an_answer_that_cannot_be_read_is_unknown(status: int) -> None:
    """In a strange coding nobody can tell a yes, nor what only words would tell."""
    assert read_answer(status, {}, None, NOW) == Outcome(
        "unknown", "the answer is in a coding that cannot be read", status
    )


@pytest.mark.parametrize(
    ("status", "kind"),
    [(300, "misconfigured"), (401, "unauthorized"), (413, "rejected"), (500, "failed")],
)
def test_a_status_that_needs_no_words_is_enough(status: int, kind: Kind) -> None:
    """Where the status alone tells the kind, an unreadable answer or half a one is as good."""
    assert read_answer(status, {}, None, NOW) == Outcome(kind, "", status)
    half = read_answer(status, {}, b"half", NOW, is_whole=False)
    assert half == Outcome(kind, "half", status)


@pytest.mark.parametrize("status", [200, 201, 299])
def test_half_a_yes_is_unknown(status: int) -> None:
    """A yes that was not read to its end is not taken for one."""
    assert read_answer(status, {}, OK, NOW, is_whole=False) == Outcome(
        "unknown", "the answer could not be read to its end", status
    )


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("007", 7),
        ("000", None),
        ("Fri, 20 Nov 2026 09:47:40 +0000", 60),
        ("Fri, 20 Nov 2026 09:47:40", 60),
        ("Mon, 01 Jan 0001 00:00:00 -2359", None),
        ("Fri, 20 Nov 2026 09:46:40 +9999999999", None),
        ("+5", None),
        ("1e3", None),
        ("inf", None),
        ("nan", None),
        ("²", None),
        ("٣", None),
        ("30 s", None),
        (",", None),
        ("\x00", None),
    ],
)
def test_odd_ways_to_write_retry_after(text: str, seconds: float | None) -> None:
    """Seconds and dates to come are understood; what is neither, or is past, is not said."""
    assert judged(429, b"", text).retry_after == seconds


@pytest.mark.parametrize("text", ["9" * 20, "9" * 5000, "Fri, 31 Dec 9999 23:59:59 GMT"])
def test_an_absurd_retry_after_is_a_number_that_can_be_used(text: str) -> None:
    """However long a wait is asked for, what is given is finite and can be a duration."""
    seconds = judged(503, b"", text).retry_after
    assert seconds is None or 3600 < seconds < 1e13


def test_the_answers_words_are_kept() -> None:
    """What the DACC said against an indicator can be read later."""
    sentence = "Group2 key does not match measure definition: X"
    assert sentence in judged(400, dacc(sentence)).detail
    assert judged(400, b"<p>\n  no \t\n way</p>").detail == "400: <p> no way</p>"
    assert judged(400, b"x" * 65_536).text == "x" * 200
    assert judged(400, b"x" + "é€".encode() * 90).text == "x" + "é€" * 39 + "é"  # no half of "€"


@settings(max_examples=200, deadline=None)
@given(st.integers(100, 999), st.binary(max_size=60), st.none() | st.text(max_size=40))
def test_any_answer_is_judged(status: int, body: bytes, retry_after: str | None) -> None:
    """Whatever comes back is an outcome, and its words are a short line that can be stored."""
    outcome = judged(status, body, retry_after)
    assert outcome.status == status
    assert outcome.detail.startswith(f"{status}:")
    assert len(outcome.text.encode()) <= 200
    assert "\n" not in outcome.detail
    assert outcome.retry_after is None or outcome.retry_after >= 0
