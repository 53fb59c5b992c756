"""Coverage: what is known of each day of an account, and why not where it is not."""

import sqlite3
from collections.abc import Iterator
from typing import Final, Literal

from msgspec import Struct

from ecolyo_worker.energy.gaps import DayHeld, Gap
from ecolyo_worker.energy.windows import PolledSeries
from ecolyo_worker.store import cursors
from ecolyo_worker.store.accounts import Account

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

_MISSING: Final = "nothing came while it was asked for"
_NOT_ASKED: Final = "not asked for yet"
_CHECKED: Final[dict[str, tuple[PolledSeries, PolledSeries]]] = {
    "enedis": ("daily", "curve"),
    "grdf": ("gas_days", "gas_periods"),
}


class DayCoverage(Struct, frozen=True):
    """What is known of a civil day."""

    day: int
    state: DayState
    reason: str | None = None
    """Why nothing is known, or what is to be minded."""
    again: int | None = None
    """The civil day from which on it is asked for again."""


def coverage(
    connection: sqlite3.Connection, account: Account, days: range, today: int, history_days: int
) -> list[DayCoverage]:
    """Tell of each of some civil days of an account what is known of it.

    Days that are to come, and those before the history that is fetched, are left out.
    """
    if account.meter is None:
        return []
    main, checked = _CHECKED[account.provider]
    days = range(days.start, min(days.stop, today))
    known = _Known(
        held=cursors.held_days(connection, account, main, days),
        gaps={gap.day: gap for gap in cursors.open_days(connection, account.id, main, days)},
        suspects={
            gap.day: gap
            for gap in cursors.open_days(connection, account.id, checked, days)
            if gap.state == "suspect"
        },
        asked=cursors.asked(connection, account.id, main),
        earliest=cursors.cursor(connection, account.id, main).earliest,
        begin=today - history_days,
        is_lost=account.state == "needs_consent",
        reason=account.reason,
    )
    return list(_days(days, known))


class _Known(Struct, frozen=True, kw_only=True):
    held: dict[int, DayHeld]
    gaps: dict[int, Gap]
    suspects: dict[int, Gap]
    asked: tuple[range, ...]
    earliest: int | None
    begin: int
    is_lost: bool
    reason: str | None


def _days(days: range, known: _Known) -> Iterator[DayCoverage]:
    for day in days:
        found = _held(day, known) or _absent(day, known)
        if found is not None:
            yield found


def _held(day: int, known: _Known) -> DayCoverage | None:
    held, gap = known.held.get(day), known.suspects.get(day)
    if held is None:
        return None
    if gap is not None:
        return DayCoverage(day, "error", gap.reason, gap.again)
    again = known.gaps[day].again if day in known.gaps else None
    if held.quality.is_estimated:
        return DayCoverage(day, "estimated", "nobody read the meter for it", again)
    return DayCoverage(day, "measured", None, again)


def _absent(day: int, known: _Known) -> DayCoverage | None:
    gap = known.gaps.get(day)
    if gap is not None and not known.is_lost:
        return DayCoverage(day, "error" if gap.state == "error" else "late", gap.reason, gap.again)
    if known.is_lost and (gap is not None or not _is_asked(day, known)):
        is_newer = gap is not None or all(day >= one.stop for one in known.asked)
        return DayCoverage(day, "no consent", known.reason) if is_newer else None
    if _is_asked(day, known):
        return DayCoverage(day, "missing", _MISSING)
    if day < max(known.begin, known.earliest or known.begin):
        return None
    return DayCoverage(day, "late", _NOT_ASKED)


def _is_asked(day: int, known: _Known) -> bool:
    return any(day in one for one in known.asked)
