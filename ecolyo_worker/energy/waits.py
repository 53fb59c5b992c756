"""How long a provider wants to be left alone, as far as it says so sanely."""

import re
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

from ecolyo_worker.clock import parse_instant, parse_retry_after, utc_ms

__all__ = ["LONGEST_WAIT", "next_access", "retry_after"]

LONGEST_WAIT = timedelta(days=1)
"""What is told beyond it is a mistake: quotas are those of a second, an hour or a day."""

_MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
# As 2026-Feb-11 07:00:00+0000 UTC; the names of months depend on no language.
_NEXT_ACCESS = re.compile(
    rf"(\d{{4}})-({'|'.join(_MONTHS)})-(\d\d) (\d\d:\d\d:\d\d ?[+-]\d{{4}})(?: UTC)?", re.ASCII
)


def next_access(text: object, now: datetime) -> int | None:
    """Read a `nextAccessTime`, in ms of UTC; None where it is not within the next day."""
    match = _NEXT_ACCESS.fullmatch(text.strip()) if isinstance(text, str) else None
    if match is None:
        return None
    year, month, day, rest = match.groups()
    written = f"{year}-{_MONTHS.index(month) + 1:02}-{day}T{rest.replace(' ', '')}"
    try:
        return _sane(parse_instant(written, ZoneInfo("UTC")), now)
    except ValueError:
        return None


def retry_after(headers: Mapping[str, str], now: datetime) -> int | None:
    """Read a `Retry-After`, in ms of UTC; None where it is not within the next day."""
    seconds = parse_retry_after(headers.get("retry-after"), now.timestamp())
    if seconds is None or seconds > LONGEST_WAIT.total_seconds():
        return None
    return _sane(now + timedelta(seconds=seconds), now)


def _sane(instant: datetime, now: datetime) -> int | None:
    return utc_ms(instant) if now < instant.astimezone(UTC) <= now + LONGEST_WAIT else None
