"""Made-up events and texts: what an app, a mistaken host or a malicious one may hand over."""

import os
from datetime import datetime, timedelta
from typing import Any

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st

from ecolyo_worker.events import END_TYPES, EVENT_TYPES

__all__ = [
    "FIRST_DAY",
    "TIMES_AS_MANY",
    "events",
    "limits",
    "nights",
    "odd_texts",
    "texts",
    "tried",
]

FIRST_DAY = datetime(2026, 10, 29)
"""The first day on which something happens; a month ends soon after it."""

TIMES_AS_MANY = int(os.environ.get("PROPERTY_EXAMPLES", "1"))
"""How many times as many examples to try as on every change: for a long search."""

WORDS = ["gas", "electricity", "day", "CHALLENGE0001", "QUIZ2", "enedis", "grdf-x", "egl"]
NUMBERS = ["0", "999", "1000", "240", "٣", "007", "+5", "1e3", "²", "1_0", "5.0", "-0"]
# White space by `str.strip`, and what only looks like it.
EDGES = [" ", "\n", "\r\n", "\t", "\x1c", "\x85", "\xa0", "\u2028", "\u3000"]
NO_EDGES = ["\x00", "\u200b", "\ufeff", "\u180e", "\u202e", "\u0301", "\x7f", ":", "\\", '"', "/"]
LOOKALIKES = str.maketrans("aeopcxyi0123", "аеорсхуі٠١٢٣")
# Which device a context stands for, by the rules; an unknown one is slow to classify.
CONTEXTS = {"mobile": "mobile", " Desktop\n": "desktop", None: "desktop", "Firefox": "desktop"}
STARTS = [
    *(None, "", "2026-10-28", "2026-10-29", "2026-10-30T09:00:00Z", "2026-10-30T08:59:59.500"),
    *("2026-11-02T12:00", "2027-01-05", "0001-01-01", "yesterday", "٢٠٢٦-١٠-٣٠"),
]
# Some things end again and again: the app writes an event each time a finished one is looked at.
ENDS = [
    {"type": "ChallengeEndEvent", "target": "CHALLENGE0001", "startDate": "2026-10-28"},
    {"type": "QuizEndEvent", "target": "QUIZ2", "startDate": "2026-10-30T09:00:00Z"},
]
TIMES = [0, 1, 32_400_000, 32_400_499, 32_400_500, 43_200_000, 86_399_999]


def limits(examples: int) -> settings:
    """Give how long a property is tried: real databases take their time, and some are slower."""
    return settings(
        max_examples=examples * TIMES_AS_MANY,
        deadline=None,
        suppress_health_check=[HealthCheck.too_slow],
    )


def tried(examples: int) -> settings:
    """Give the same limits, and the same examples each time, but for a long search by hand."""
    return settings(limits(examples), derandomize=TIMES_AS_MANY == 1)


def texts() -> st.SearchStrategy[str | None]:
    """Give texts that are often allowed."""
    return st.sampled_from([*WORDS, " gas ", "Gas", "x y", "", "ecogestures"]) | st.none()


@st.composite
def odd_texts(draw: st.DrawFn, words: list[str] | None = None) -> str:
    """Give texts that are nearly allowed, and any others; at most 256 characters."""
    text = draw(st.sampled_from([*(words or []), *WORDS, *NUMBERS]) | st.text(max_size=12))
    for change in draw(st.lists(st.sampled_from(_CHANGES), max_size=2)):
        text = change(text, draw(st.sampled_from([*EDGES, *NO_EDGES])))
    return text[:256]


_CHANGES = [
    lambda text, mark: text + mark,
    lambda text, mark: mark + text,
    lambda text, mark: text[:1] + mark + text[1:],
    lambda text, mark: text + mark + text,
    lambda text, _: text * 40,
    lambda text, _: text.swapcase(),
    lambda text, _: text.translate(LOOKALIKES),
    lambda text, _: "".join(chr(ord(c) + 0xFEE0) if "!" <= c <= "~" else c for c in text),
]


def nights() -> st.SearchStrategy[datetime]:
    """Give moments of runs: soon, after a month at which days expire, or after some months."""
    later = st.integers(1, 9) | st.integers(1, 9) | st.sampled_from([8, 25, 36, 40, 110])
    return later.map(lambda n: FIRST_DAY + timedelta(days=n, hours=1))


@st.composite
def events(draw: st.DrawFn, span: int = 6) -> dict[str, Any]:
    """Give one event of the first days, at a time that others have too, with an `_id` or without.

    Some have the `_id` of another one, an equal start, or were counted elsewhere.
    """
    kind = draw(st.sampled_from([*EVENT_TYPES, *sorted(END_TYPES), "ChallengeLaunchEvent"]))
    same: dict[str, str] = draw(st.sampled_from([{}, {}, *ENDS]))
    at = FIRST_DAY + timedelta(days=draw(st.integers(0, span - 1)))
    at += timedelta(milliseconds=draw(st.sampled_from(TIMES) | st.integers(0, 86_399_999)))
    results = ["success", " ERROR ", "firstConnection", 0, 3, 5.0, "6", "oops", None]
    contexts = st.sampled_from(list(CONTEXTS)) if kind == "ConnectionEvent" else texts()
    return {
        "_id": draw(st.none() | st.integers(0, 40).map(str)),
        "type": kind,
        "eventDate": at.isoformat(timespec="milliseconds") + draw(st.sampled_from(["", "Z"])),
        "target": draw(texts()),
        "context": draw(contexts),
        "result": draw(st.sampled_from(results)),
        "startDate": draw(st.sampled_from(STARTS)),
        "aggregated": draw(st.sampled_from([False] * 6 + [True, None])),
        **same,
    }
