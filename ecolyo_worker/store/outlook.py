"""Outlooks: which days of an account's series are asked for again, when, and why others are not."""

import sqlite3
from collections.abc import Mapping
from typing import Final, Literal

from msgspec import Struct

from ecolyo_worker.clock import civil_days, day_text
from ecolyo_worker.energy.gaps import Gap
from ecolyo_worker.energy.labels import ZONE
from ecolyo_worker.energy.windows import PolledSeries
from ecolyo_worker.store import cursors, quotas, visits
from ecolyo_worker.store.accounts import Account, State
from ecolyo_worker.store.cursors import Cursor

__all__ = ["Fetching", "Outlook", "Unasked", "outlook"]

_STOPPED: Final[Mapping[State, str]] = {
    "new": "nobody has consented yet",
    "needs_consent": "the account needs a consent",
    "suspended": "the account is suspended",
    "removing": "the account is being removed",
}
"""The states in which nothing is asked for, in words where an account has none of its own."""
_NOT_ASKED: Final = "not asked for yet"
_NO_METER: Final = "which meter it is for is not known yet"


class Fetching(Struct, frozen=True, kw_only=True):
    """How readings are fetched at present."""

    now: int
    """In ms of UTC."""
    today: int
    """The civil day at the providers, of which there is nothing yet."""
    depths: Mapping[PolledSeries, int]
    """How many days of each series are fetched."""
    halted: Mapping[str, str]
    """Why the service asks a provider for nothing, by the provider's name, where that is so."""


class Unasked(Struct, frozen=True):
    """Why a day was not asked for yet, and when it is."""

    state: Literal["late", "missing", "error"]
    reason: str
    again: int | None = None


class Outlook(Struct, frozen=True, kw_only=True):
    """Which open days of a series are asked for again, and why the others are not."""

    due: int
    """The civil day on which the account is visited next."""
    begin: int
    """The first civil day that is fetched."""
    older: str
    """Why none before it is."""
    earliest: int | None
    """The first civil day that the provider gives, if it told."""
    ended: str | None
    """Why nothing is asked for, where that is so."""
    unasked: Unasked
    """What is to be said of days that were not asked for yet."""

    def again(self, gap: Gap) -> int | None:
        """Give the civil day from which on a day is asked for again; None: it is not."""
        if gap.again is None or self._refusal(gap.day) is not None:
            return None
        return max(gap.again, self.due)

    def reason(self, gap: Gap) -> str:
        """Say what is wrong with a day, and why it is not asked for any more if it was to be."""
        why = None if gap.again is None else self._refusal(gap.day)
        return gap.reason if why is None else f"{gap.reason}, and not asked for any more: {why}"

    def reaches(self, day: int) -> bool:
        """Tell whether a day is one of those that are fetched, as far as the provider gives it."""
        return day >= max(self.begin, self.earliest or self.begin)

    def _refusal(self, day: int) -> str | None:
        if self.ended is not None:
            return self.ended
        if day < self.begin:
            return self.older
        if self.earliest is not None and day < self.earliest:
            return f"the provider gives nothing before {day_text(self.earliest)}"
        return None


def outlook(
    connection: sqlite3.Connection, account: Account, series: PolledSeries, fetching: Fetching
) -> Outlook:
    """Tell which days of an account's series are asked for, and when."""
    cursor = cursors.cursor(connection, account.id, series)
    depth = fetching.depths[series]
    setting = "curve_days" if series == "curve" else "history_days"
    ended = _ended(account, cursor, fetching)
    pause = quotas.pause_of(connection, account.provider)
    visit = max(visits.due_of(connection, account.id, fetching.now), pause.until, fetching.now)
    (due,) = civil_days((visit,), ZONE)
    return Outlook(
        due=due,
        begin=fetching.today - depth,
        older=f"{account.provider}.{setting} ({depth}) does not reach so far back",
        earliest=cursor.earliest,
        ended=ended,
        unasked=_unasked(
            account, cursor, ended, pause if pause.until > fetching.now else None, due
        ),
    )


def _ended(account: Account, cursor: Cursor, fetching: Fetching) -> str | None:
    """Say why nothing of a series is asked for, where that is so."""
    if account.state in _STOPPED:
        return account.reason or _STOPPED[account.state]
    return cursor.never or fetching.halted.get(account.provider)


def _unasked(
    account: Account, cursor: Cursor, ended: str | None, pause: quotas.Pause | None, due: int
) -> Unasked:
    """Say why days are not asked for: what ended it, what went wrong, or what is waited for."""
    if ended is not None:
        return Unasked("missing", f"not asked for: {ended}")
    if account.state == "authorized":
        # Enedis is asked for the meter by the number of the consent; without it, nobody is.
        again = None if account.consent is None else due
        return Unasked("late", account.reason or _NO_METER, again)
    if cursor.trouble is not None:
        return Unasked("error", cursor.trouble, due)
    if pause is not None and pause.reason is not None:
        return Unasked("error" if pause.failures else "late", pause.reason, due)
    return Unasked("late", _NOT_ASKED, due)
