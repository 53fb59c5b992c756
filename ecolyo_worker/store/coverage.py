"""Coverage: what is known of each day of an account, and why not where it is not."""

import sqlite3
from collections.abc import Iterator
from typing import Final, Literal

from msgspec import Struct

from ecolyo_worker.energy.gaps import DayHeld, Gap
from ecolyo_worker.energy.windows import PolledSeries
from ecolyo_worker.store import cursors
from ecolyo_worker.store.accounts import Account
from ecolyo_worker.store.curves import NOTHING_CAME, Curve, Lack, curve
from ecolyo_worker.store.outlook import Fetching, Outlook, outlook

__all__ = ["COVERAGE", "DayCoverage", "DayState", "coverage"]

DayState = Literal["measured", "estimated", "late", "missing", "no consent", "error"]

COVERAGE: Final[tuple[DayState, ...]] = (
    "measured",
    "estimated",
    "late",
    "missing",
    "no consent",
    "error",
)
"""The states of a day, from the best on."""

_ESTIMATED: Final = "nobody read the meter for it"
_CHECKED: Final[dict[str, tuple[PolledSeries, PolledSeries]]] = {
    "enedis": ("daily", "curve"),
    "grdf": ("gas_days", "gas_periods"),
}
# In these nobody has consented, or not any more.
_WITHOUT_CONSENT = ("new", "needs_consent")


class DayCoverage(Struct, frozen=True):
    """What is known of a civil day."""

    day: int
    state: DayState
    reason: str | None = None
    """Why nothing is known, or what is to be minded."""
    again: int | None = None
    """The civil day from which on it is asked for again."""
    half_hours: Lack | None = None
    """Why half-hours are not there of a day that has its daily value."""


def coverage(
    connection: sqlite3.Connection, account: Account, days: range, fetching: Fetching
) -> list[DayCoverage]:
    """Tell of each of some civil days of an account what is known of it.

    Days that are to come, and those before the history that is fetched, are left out.
    """
    main, checked = _CHECKED[account.provider]
    days = range(days.start, min(days.stop, fetching.today))
    is_metered = account.meter is not None
    of_checked = outlook(connection, account, checked, fetching)
    known = _Known(
        held=cursors.held_days(connection, account, main, days) if is_metered else {},
        gaps={gap.day: gap for gap in cursors.open_days(connection, account.id, main, days)},
        suspects={
            gap.day: gap
            for gap in cursors.open_days(connection, account.id, checked, days)
            if gap.state == "suspect"
        },
        asked=cursors.asked(connection, account.id, main),
        main=outlook(connection, account, main, fetching),
        checked=of_checked,
        curve=curve(connection, account, days, fetching.today, of_checked)
        if is_metered and checked == "curve"
        else None,
        has_consent=account.state not in _WITHOUT_CONSENT,
    )
    return list(_days(days, known))


class _Known(Struct, frozen=True, kw_only=True):
    held: dict[int, DayHeld]
    gaps: dict[int, Gap]
    suspects: dict[int, Gap]
    asked: tuple[range, ...]
    main: Outlook
    checked: Outlook
    curve: Curve | None
    """Of electricity."""
    has_consent: bool


def _days(days: range, known: _Known) -> Iterator[DayCoverage]:
    for day in days:
        found = _held(day, known) or _absent(day, known)
        if found is not None:
            yield found


def _held(day: int, known: _Known) -> DayCoverage | None:
    held, suspect = known.held.get(day), known.suspects.get(day)
    if held is None:
        return None
    if suspect is not None:
        words, again = known.checked.reason(suspect), known.checked.again(suspect)
        return DayCoverage(day, "error", words, again)
    lack = None if known.curve is None else known.curve.lack(day)
    gap = known.gaps.get(day)
    reason, again = (None, None) if gap is None else (known.main.reason(gap), known.main.again(gap))
    if held.quality.is_estimated:
        words = _ESTIMATED if reason is None else f"{_ESTIMATED}; {reason}"
        return DayCoverage(day, "estimated", words, again, lack)
    return DayCoverage(day, "measured", reason, again, lack)


def _absent(day: int, known: _Known) -> DayCoverage | None:
    gap, main = known.gaps.get(day), known.main
    is_asked = gap is None and any(day in one for one in known.asked)
    if is_asked:
        return DayCoverage(day, "missing", NOTHING_CAME)
    if gap is None and not main.reaches(day):
        return None
    if not known.has_consent:
        return DayCoverage(day, "no consent", main.ended)
    if gap is not None:
        return _open(gap, main)
    unasked = main.unasked
    return DayCoverage(day, unasked.state, unasked.reason, unasked.again)


def _open(gap: Gap, outlook: Outlook) -> DayCoverage:
    """Tell of a day of which nothing is held: once nobody asks, it is not late but missing."""
    reason, again = outlook.reason(gap), outlook.again(gap)
    if gap.state in {"error", "unread"}:
        return DayCoverage(gap.day, "error", reason, again)
    return DayCoverage(gap.day, "missing" if again is None else "late", reason, again)
