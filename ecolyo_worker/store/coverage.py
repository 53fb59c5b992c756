"""Coverage: what is known of each day of an account, and why not where it is not."""

import sqlite3
from collections.abc import Iterator, Mapping
from typing import Final, Literal

from msgspec import Struct

from ecolyo_worker.clock import day_text
from ecolyo_worker.energy.gaps import DayHeld, Gap
from ecolyo_worker.energy.windows import PolledSeries
from ecolyo_worker.store import cursors
from ecolyo_worker.store.accounts import Account, State
from ecolyo_worker.store.cursors import Cursor

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
_STOPPED: Final[Mapping[State, str]] = {
    "needs_consent": "the account needs a consent",
    "suspended": "the account is suspended",
    "removing": "the account is being removed",
}
"""The states in which nothing is asked for, in words where an account has none of its own."""
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
    connection: sqlite3.Connection,
    account: Account,
    days: range,
    today: int,
    depths: Mapping[PolledSeries, int],
) -> list[DayCoverage]:
    """Tell of each of some civil days of an account what is known of it.

    `depths` says how many days of each series are fetched. Days that are to come, and those before
    the history that is fetched, are left out.
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
        main=_outlook(connection, account, main, today, depths[main]),
        checked=_outlook(connection, account, checked, today, depths[checked]),
        is_lost=account.state == "needs_consent",
        reason=account.reason,
    )
    return list(_days(days, known))


class _Outlook(Struct, frozen=True, kw_only=True):
    """Which open days of a series are asked for again, and why the others are not."""

    today: int
    begin: int
    """The first civil day that is fetched."""
    older: str
    """Why none before it is."""
    earliest: int | None
    """The first civil day that the provider gives, if it told."""
    ended: str | None
    """Why nothing is asked for, where that is so."""

    def again(self, gap: Gap) -> int | None:
        """Give the civil day from which on a day is asked for again; None: it is not."""
        if gap.again is None or self._refusal(gap.day) is not None:
            return None
        return max(gap.again, self.today)

    def reason(self, gap: Gap) -> str:
        """Say what is wrong with a day, and why it is not asked for any more if it was to be."""
        why = None if gap.again is None else self._refusal(gap.day)
        return gap.reason if why is None else f"{gap.reason}, and not asked for any more: {why}"

    def _refusal(self, day: int) -> str | None:
        if self.ended is not None:
            return self.ended
        if day < self.begin:
            return self.older
        if self.earliest is not None and day < self.earliest:
            return f"the provider gives nothing before {day_text(self.earliest)}"
        return None


def _outlook(
    connection: sqlite3.Connection, account: Account, series: PolledSeries, today: int, depth: int
) -> _Outlook:
    cursor = cursors.cursor(connection, account.id, series)
    setting = "curve_days" if series == "curve" else "history_days"
    return _Outlook(
        today=today,
        begin=today - depth,
        older=f"{account.provider}.{setting} ({depth}) does not reach so far back",
        earliest=cursor.earliest,
        ended=_ended(account, cursor),
    )


def _ended(account: Account, cursor: Cursor) -> str | None:
    """Say why nothing of a series is asked for, where that is so."""
    if account.state in _STOPPED:
        return account.reason or _STOPPED[account.state]
    return cursor.never


class _Known(Struct, frozen=True, kw_only=True):
    held: dict[int, DayHeld]
    gaps: dict[int, Gap]
    suspects: dict[int, Gap]
    asked: tuple[range, ...]
    main: _Outlook
    checked: _Outlook
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
        return DayCoverage(day, "error", known.checked.reason(gap), known.checked.again(gap))
    again = known.main.again(known.gaps[day]) if day in known.gaps else None
    if held.quality.is_estimated:
        return DayCoverage(day, "estimated", "nobody read the meter for it", again)
    return DayCoverage(day, "measured", None, again)


def _absent(day: int, known: _Known) -> DayCoverage | None:
    gap = known.gaps.get(day)
    if gap is not None and not known.is_lost:
        return _open(gap, known.main)
    if known.is_lost and (gap is not None or not _is_asked(day, known)):
        is_newer = gap is not None or all(day >= one.stop for one in known.asked)
        return DayCoverage(day, "no consent", known.reason) if is_newer else None
    if _is_asked(day, known):
        return DayCoverage(day, "missing", _MISSING)
    if day < max(known.main.begin, known.main.earliest or known.main.begin):
        return None
    if known.main.ended is not None:
        return DayCoverage(day, "missing", f"not asked for: {known.main.ended}")
    return DayCoverage(day, "late", _NOT_ASKED)


def _open(gap: Gap, outlook: _Outlook) -> DayCoverage:
    """Tell of a day of which nothing is held: once nobody asks, it is not late but missing."""
    reason, again = outlook.reason(gap), outlook.again(gap)
    if gap.state == "error":
        return DayCoverage(gap.day, "error", reason, again)
    return DayCoverage(gap.day, "missing" if again is None else "late", reason, again)


def _is_asked(day: int, known: _Known) -> bool:
    return any(day in one for one in known.asked)
