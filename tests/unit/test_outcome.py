"""Answers: what the DACC and the stack before it say, and what kind of outcome that is."""

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ecolyo_worker.remote.outcome import Kind, Outcome, read_answer

NOW = 1_795_168_000.0  # 2026-11-20T09:46:40Z
OK = b'{"ok": true}'
HTML = b"<html><h1>Unauthorized Access</h1></html>"


def stack(status: int, detail: str) -> bytes:
    """An error as the stack writes it."""
    error = {"status": str(status), "title": "Error", "detail": detail, "source": {}}
    return json.dumps({"errors": [error]}).encode()


def dacc(sentence: str) -> bytes:
    return json.dumps({"error": sentence}).encode()


def judged(status: int, body: bytes = b"", retry_after: str | None = None) -> Outcome:
    headers = {"content-type": "application/json"}
    if retry_after is not None:
        headers["retry-after"] = retry_after
    return read_answer(status, headers, body, NOW)


ANSWERS: list[tuple[int, bytes, Kind]] = [
    (201, OK, "delivered"),
    (200, OK, "delivered"),
    (202, b" []\n", "delivered"),
    (201, b"null", "delivered"),
    (201, b"", "misconfigured"),
    (204, b"", "misconfigured"),
    (200, HTML, "misconfigured"),
    (200, b"OK", "misconfigured"),
    (201, b'{"ok": tru', "misconfigured"),
    (201, b'"\xff"', "misconfigured"),
    (201, b"[" * 60_000, "misconfigured"),
    (300, OK, "misconfigured"),
    (301, b"", "misconfigured"),
    (302, HTML, "misconfigured"),
    (304, b"", "misconfigured"),
    (307, OK, "misconfigured"),
    (308, OK, "misconfigured"),
    (400, dacc("No measure definition found for: X"), "rejected"),
    (400, dacc("A value must be given"), "rejected"),
    (400, dacc("value type is incorrect, it must be a number"), "rejected"),
    (400, dacc("startDate must be given"), "rejected"),
    (400, dacc("startDate type is incorrect, it must be a date"), "rejected"),
    (400, dacc("groups format is incorrect"), "rejected"),
    (400, dacc("Group1 key does not match measure definition: None"), "rejected"),
    (400, b"", "rejected"),
    (400, b"\xff\xfe", "rejected"),
    (413, HTML, "rejected"),
    (422, b"", "rejected"),
    (401, b"Unauthorized Access", "unauthorized"),
    (401, b"", "unauthorized"),
    (403, b"", "unauthorized"),
    (400, dacc("Expired token"), "unauthorized"),
    (400, b"Expired token", "unauthorized"),
    (400, dacc("Invalid JWT token"), "unauthorized"),
    (400, b"Invalid JWT token\n", "unauthorized"),
    (502, stack(502, "the content-type for the response is not authorized"), "unauthorized"),
    (404, dacc("not found"), "misconfigured"),
    (404, stack(404, "the doctype has no request defined"), "misconfigured"),
    (405, b"", "misconfigured"),
    (402, b"", "misconfigured"),
    (406, b"", "misconfigured"),
    (408, b"", "misconfigured"),
    (409, b"", "misconfigured"),
    (410, b"", "misconfigured"),
    (415, b"", "misconfigured"),
    (418, b"", "misconfigured"),
    (499, b"", "misconfigured"),
    (
        400,
        stack(400, "a variable is used in the template, but no value was given"),
        "misconfigured",
    ),
    (400, stack(400, "the variables are not valid"), "misconfigured"),
    (400, stack(400, "the request is not valid"), "misconfigured"),
    (429, b"", "throttled"),
    (429, OK, "throttled"),
    (500, dacc("float() argument must be a string or a real number"), "failed"),
    (500, HTML, "failed"),
    (501, b"", "failed"),
    (505, b"", "failed"),
    (507, b"", "failed"),
    (520, HTML, "failed"),
    (599, b"", "failed"),
    (502, b"", "unavailable"),
    (502, HTML, "unavailable"),
    (502, stack(502, "something else"), "unavailable"),
    (503, b"", "unavailable"),
    (503, HTML, "unavailable"),
    (502, stack(502, "can't connect to the remote host"), "unknown"),
    (504, b"", "unknown"),
    (504, HTML, "unknown"),
]


@pytest.mark.parametrize(("status", "body", "kind"), ANSWERS)
def test_an_answer_is_one_kind_of_outcome(status: int, body: bytes, kind: Kind) -> None:
    """Each row of the table of answers is the kind of outcome that the table says."""
    outcome = judged(status, body)
    assert (outcome.kind, outcome.status) == (kind, status)
    assert outcome.retry_after is None


@pytest.mark.parametrize(
    ("status", "retry_after", "kind"),
    [
        (503, "30", "throttled"),
        (503, "soon", "throttled"),
        (503, "", "throttled"),
        (429, "30", "throttled"),
        (500, "30", "failed"),
        (502, "30", "unavailable"),
        (504, "30", "unknown"),
        (201, "30", "misconfigured"),
    ],
)
def test_only_a_503_is_throttled_by_its_header(status: int, retry_after: str, kind: Kind) -> None:
    """A 503 with `Retry-After`, whatever it says, is throttled; no other status is changed."""
    assert judged(status, b"", retry_after).kind == kind


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("1", 1),
        ("30", 30),
        (" 120 ", 120),
        ("007", 7),
        ("3600", 3600),
        ("0", None),
        ("000", None),
        ("86400", 86_400),
        ("Fri, 20 Nov 2026 09:47:40 GMT", 60),
        ("Fri, 20 Nov 2026 09:47:40 +0000", 60),
        ("Fri, 20 Nov 2026 10:47:40 +0100", 60),
        ("Friday, 20-Nov-26 09:47:40 GMT", 60),
        ("Fri, 20 Nov 2026 09:47:40", 60),
        ("Fri, 20 Nov 2026 09:46:40 GMT", None),
        ("Thu, 19 Nov 2026 09:46:40 GMT", None),
        ("Mon, 01 Jan 0001 00:00:00 -2359", None),
        ("Fri, 99 Nov 2026 09:46:40 GMT", None),
        ("Fri, 20 Nov 2026 09:46:40 +9999999999", None),
        ("2026-11-20T09:47:40Z", None),
        ("-5", None),
        ("+5", None),
        ("3.5", None),
        ("1e3", None),
        ("inf", None),
        ("nan", None),
        ("²", None),
        ("٣", None),
        ("30 s", None),
        ("30, 60", None),
        ("soon", None),
        ("", None),
        (",", None),
        ("\x00", None),
    ],
)
def test_retry_after_is_seconds_or_a_date(text: str, seconds: float | None) -> None:
    """Seconds and dates to come are understood; what is neither, or is past, is not said."""
    assert judged(429, b"", text).retry_after == seconds


@pytest.mark.parametrize("text", ["9" * 20, "9" * 5000, "Fri, 31 Dec 9999 23:59:59 GMT"])
def test_an_absurd_retry_after_is_a_number_that_can_be_used(text: str) -> None:
    """However long a wait is asked for, what is given is finite and can be a duration."""
    seconds = judged(503, b"", text).retry_after
    assert seconds is None or 3600 < seconds < 1e13


@pytest.mark.parametrize(("status", "body", "kind"), ANSWERS)
def test_what_was_said_is_kept_short(status: int, body: bytes, kind: Kind) -> None:
    """The status and the beginning of the answer are kept in one line that can be stored."""
    detail = judged(status, body).detail
    assert detail.startswith(f"{status}: ")
    assert len(detail) <= 200
    assert "\n" not in detail
    detail.encode()


def test_the_answers_words_are_kept() -> None:
    """What the DACC said against an indicator can be read later."""
    sentence = "Group2 key does not match measure definition: X"
    assert sentence in judged(400, dacc(sentence)).detail
    assert judged(400, b"<p>\n  no \t\n way</p>").detail == "400: <p> no way</p>"
    assert len(judged(400, b"x" * 65_536).detail) == 200


@settings(max_examples=200, deadline=None)
@given(st.integers(100, 999), st.binary(max_size=60), st.none() | st.text(max_size=40))
def test_any_answer_is_judged(status: int, body: bytes, retry_after: str | None) -> None:
    """Whatever comes back is an outcome: no answer is an error of ours."""
    outcome = judged(status, body, retry_after)
    assert outcome.detail.startswith(f"{status}:")
    assert outcome.retry_after is None or outcome.retry_after >= 0
