"""Answers: how their words and their `Retry-After` are read."""

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ecolyo_worker.remote.outcome import Outcome, read_answer

NOW = 1_795_168_000.0  # 2026-11-20T09:46:40Z


def dacc(sentence: str) -> bytes:
    return json.dumps({"error": sentence}).encode()


def judged(status: int, body: bytes = b"", retry_after: str | None = None) -> Outcome:
    headers = {"content-type": "application/json"}
    if retry_after is not None:
        headers["retry-after"] = retry_after
    return read_answer(status, headers, body, NOW)


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
    assert judged(400, "é€".encode() * 90).text == "é€" * 40  # no half a character


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
