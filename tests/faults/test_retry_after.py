"""`Retry-After`: however it is written, it becomes the moment of the next try."""

from pathlib import Path
from typing import Any

import pytest

from tests.fundamentals.outcomes import assert_outcome, attempt

BACKOFF = "2026-11-21T02:00:15Z"
HOUR = "2026-11-21T03:00:00Z"

pytestmark = pytest.mark.fault(45)


@pytest.mark.parametrize("status", [429, 503])
@pytest.mark.parametrize(
    ("told", "until"),
    [
        ("1", "2026-11-21T02:00:01Z"),
        ("90", "2026-11-21T02:01:30Z"),
        (" 90 ", "2026-11-21T02:01:30Z"),
        ("3600", HOUR),
        ("3601", HOUR),
        ("9" * 400, HOUR),
        ("0", BACKOFF),
        ("-30", BACKOFF),
        ("1.5", BACKOFF),
        ("soon", BACKOFF),
        ("", BACKOFF),
        ("30\r\nRetry-After: 60", BACKOFF),
        ("Sat, 21 Nov 2026 02:01:30 GMT", "2026-11-21T02:01:30Z"),
        ("Sat, 21 Nov 2026 03:01:30 +0100", "2026-11-21T02:01:30Z"),
        ("Saturday, 21-Nov-26 02:01:30 GMT", "2026-11-21T02:01:30Z"),
        ("Fri, 31 Dec 9999 23:59:59 GMT", HOUR),
        ("Sat, 21 Nov 2026 02:00:00 GMT", BACKOFF),
        ("Thu, 01 Jan 1970 00:00:00 GMT", BACKOFF),
        ("Sat, 99 Nov 2026 02:01:30 GMT", BACKOFF),
        ("2026-11-21T02:01:30Z", BACKOFF),
    ],
)
async def test_the_wait_that_is_asked_for(
    state_dir: Path, wire: Any, status: int, told: str, until: str
) -> None:
    """The destination is left alone for the seconds, or until the date, that it asks for.

    That is an hour at most; what is absurd or past leaves it to the backoff.
    """
    head = f"HTTP/1.1 {status} Slow\r\nRetry-After: {told}\r\nContent-Length: 0\r\n\r\n"
    wire.answer = lambda _: head.encode()
    tried = await attempt(state_dir, url=wire.url)
    assert_outcome(tried, "throttled", f"{status}: ", until)


async def test_a_wait_without_a_moment(state_dir: Path, wire: Any) -> None:
    """A 429 that tells no moment at all leaves it to the backoff."""
    wire.answer = lambda _: b"HTTP/1.1 429 Slow\r\nContent-Length: 0\r\n\r\n"
    assert_outcome(await attempt(state_dir, url=wire.url), "throttled", "429: ", BACKOFF)
